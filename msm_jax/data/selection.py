"""Deals global row indices to sources, evenly and exactly by weight."""

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
  """

  def __init__(self, shares: Sequence[float]):
    """Takes positive shares, which need not sum to 1."""
    total = sum(Fraction(s) for s in shares)
    exact = [Fraction(s) / total * _DENOMINATOR for s in shares]
    self._parts = [max(1, round(e)) for e in exact]

  def __len__(self) -> int:
    return sys.maxsize

  def __getitem__(self, index: int) -> tuple[int, int]:
    before, after = index, index + 1
    remaining = sum(self._parts)
    for source, part in enumerate(self._parts):
      others_before = before * (remaining - part) // remaining
      others_after = after * (remaining - part) // remaining
      if after - others_after != before - others_before:
        return source, after - others_after - 1
      remaining -= part
      before, after = others_before, others_after
    raise AssertionError('the last source takes what no other takes')

  def count(self, n: int) -> list[int]:
    """Returns how many of the indices 0 … n − 1 each source gets."""
    counts = []
    remaining = sum(self._parts)
    for part in self._parts:
      others = n * (remaining - part) // remaining
      counts.append(n - others)
      remaining -= part
      n = others
    return counts
