"""Deals global row indices to sources, evenly and exactly by weight."""

from collections.abc import Iterator
from collections.abc import Sequence
from fractions import Fraction
import sys

# Shares are integers out of this: fine enough for one row in a billion.
_DENOMINATOR = 1 << 32


class Selection:
  """Maps a global index to (source, index within the source).

  Grain's own `MapDataset.mix` scales the smallest weight to 100 and truncates
  the others, which is off by up to 1 %; this is the same rule (of any stretch
  of rows, each source has its share up to a rounding) with finer integers, and
  it can be counted without being run.

  The largest source is served first and takes what others leave by rounding, so
  that a share of less than one row is no row.
  """

  def __init__(self, shares: Sequence[float]):
    """Takes positive shares, which need not sum to 1."""
    total = sum(Fraction(s) for s in shares)
    exact = [Fraction(s) / total * _DENOMINATOR for s in shares]
    self._parts = [max(1, round(e)) for e in exact]
    self._order = sorted(
      range(len(shares)), key=lambda source: -self._parts[source]
    )

  def __len__(self) -> int:
    return sys.maxsize

  def __getitem__(self, index: int) -> tuple[int, int]:
    before, after = index, index + 1
    for source, part, remaining in self._cascade():
      others_before = before * (remaining - part) // remaining
      others_after = after * (remaining - part) // remaining
      if after - others_after != before - others_before:
        return source, after - others_after - 1
      before, after = others_before, others_after
    raise AssertionError('the last source takes what no other takes')

  def count(self, n: int) -> list[int]:
    """Returns how many of the indices 0 … n − 1 each source gets."""
    counts = [0] * len(self._parts)
    for source, part, remaining in self._cascade():
      others = n * (remaining - part) // remaining
      counts[source] = n - others
      n = others
    return counts

  def _cascade(self) -> Iterator[tuple[int, int, int]]:
    """Yields each source, its part, and what is to be shared from it on."""
    remaining = sum(self._parts)
    for source in self._order:
      yield source, self._parts[source], remaining
      remaining -= self._parts[source]
