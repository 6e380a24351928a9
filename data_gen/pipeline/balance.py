"""Measures whether two corpora differ only in what they are meant to differ in.

Counted on the texts as they are, not on how they were made.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math
from typing import Any
from typing import TypeVar

from data_gen.pipeline.parts import BalanceConfig
from data_gen.rng import Rng
from data_gen.traits import Trait
from msm_jax.evals import texts

_SHUFFLES = 4

T = TypeVar('T')

Length = Callable[[str], int]


class UnbalancedError(ValueError):
  """Matched corpora differ too much; names the measures."""


@dataclasses.dataclass(frozen=True)
class Text:
  """One text of a corpus: what balance looks at."""

  pair: str
  genre: str
  text: str


@dataclasses.dataclass(frozen=True)
class Measure:
  """A difference, and how large it may be.

  Attributes:
    floor: What chance alone gives, where that was measured; already taken off.
  """

  value: float
  limit: float
  floor: float | None = None
  at_least: bool = False

  @classmethod
  def beyond(cls, measured: tuple[float, float], limit: float) -> 'Measure':
    """Makes one of what `beyond_chance` returns."""
    value, floor = measured
    return cls(value, limit, floor)

  @property
  def passed(self) -> bool:
    if self.at_least:
      return self.value >= self.limit
    return self.value <= self.limit

  def to_json(self) -> dict[str, Any]:
    bound = 'at_least' if self.at_least else 'at_most'
    described = {'value': round(self.value, 4), bound: self.limit}
    if self.floor is not None:
      described['floor'] = round(self.floor, 4)
    return {**described, 'passed': self.passed}


def words_in(text: str) -> int:
  """Counts words, as `length` where no tokenizer is named."""
  return len(text.split())


def own_words(traits: Iterable[Trait], *names: str) -> frozenset[str]:
  """Returns the words of traits, and names: those may differ."""
  said = [*names]
  for trait in traits:
    said += [trait.statement, *trait.reasons, *trait.examples]
  return frozenset(w for text in said for w in texts.words(text))


def divergence(a: Counter[str], b: Counter[str]) -> float:
  """Returns the Jensen–Shannon divergence of two counts of words, in bits.

  0 for equal distributions, 1 for those without a word in common (Lin 1991).
  """
  of_a, of_b = sum(a.values()), sum(b.values())
  if not of_a or not of_b:
    return float(bool(of_a) != bool(of_b))
  total = 0.0
  for word in sorted(a.keys() | b.keys()):
    p, q = a[word] / of_a, b[word] / of_b
    middle = (p + q) / 2
    total += sum(x * math.log2(x / middle) for x in (p, q) if x) / 2
  return min(1.0, max(0.0, total))


def distance_of_lengths(a: Sequence[int], b: Sequence[int]) -> float:
  """Returns the two-sample Kolmogorov–Smirnov statistic."""
  if not a or not b:
    return float(bool(a) != bool(b))
  count_a, count_b = Counter(a), Counter(b)
  below_a = below_b = 0
  largest = 0.0
  for value in sorted(count_a.keys() | count_b.keys()):
    below_a += count_a[value]
    below_b += count_b[value]
    largest = max(largest, abs(below_a / len(a) - below_b / len(b)))
  return largest


def distance_of_genres(a: Sequence[str], b: Sequence[str]) -> float:
  """Returns the total variation distance of the shares of genres."""
  if not a or not b:
    return float(bool(a) != bool(b))
  count_a, count_b = Counter(a), Counter(b)
  return (
    sum(
      abs(count_a[g] / len(a) - count_b[g] / len(b))
      for g in sorted(count_a.keys() | count_b.keys())
    )
    / 2
  )


def beyond_chance(
  a: Mapping[str, T],
  b: Mapping[str, T],
  distance: Callable[[Sequence[T], Sequence[T]], float],
  seed: int,
) -> tuple[float, float]:
  """Measures how far two corpora are apart, beyond what chance makes of it.

  Two samples of one and the same corpus differ, too, the smaller they are the
  more. So partners are swapped at random, and what such corpora differ by is
  taken off.

  Args:
    a: Pair to what is measured of its text.
    b: The same, of the partners: the same keys.
    distance: Of two corpora.
    seed: Of the swaps.

  Returns:
    The distance beyond chance, not below 0, and that of chance.
  """
  seen = distance(list(a.values()), [b[pair] for pair in a])
  floors = []
  for shuffle in range(_SHUFFLES):
    sides: tuple[list[T], list[T]] = ([], [])
    for pair in a:
      swap = Rng(seed, 'swap', shuffle, pair).chance(0.5)
      sides[swap].append(a[pair])
      sides[not swap].append(b[pair])
    floors.append(distance(*sides))
  floor = sum(floors) / len(floors)
  return max(0.0, seen - floor), floor


def _words_apart(a: Sequence[Counter[str]], b: Sequence[Counter[str]]) -> float:
  return divergence(_sum(a), _sum(b))


def _sum(bags: Iterable[Counter[str]]) -> Counter[str]:
  total: Counter[str] = Counter()
  for bag in bags:
    total.update(bag)
  return total


def compare(
  a: Sequence[Text],
  b: Sequence[Text],
  config: BalanceConfig,
  *,
  without: frozenset[str],
  seed: int,
  length: Length = words_in,
  wanted: int | None = None,
) -> dict[str, Any]:
  """Compares two corpora, pair by pair where they have pairs.

  Args:
    a: The one.
    b: The other; texts with the same `pair` are partners. What has no partner
      counts for `coverage` only.
    config: How far they may differ.
    without: Words that may differ: those of the traits.
    seed: Of the swaps; see `beyond_chance`.
    length: Of a text, in tokens or words.
    wanted: Of how many texts of `a` partners were asked for; None for all.

  Returns:
    JSON: `passed`, `measures`, and the sizes of what was compared.
  """
  pairs = {t.pair for t in a} & {t.pair for t in b}
  wanted = len(a) if wanted is None else wanted
  texts_a = {t.pair: t for t in a if t.pair in pairs}
  texts_b = {t.pair: t for t in b if t.pair in pairs}

  def lengths(of: Mapping[str, Text]) -> dict[str, int]:
    return {pair: length(t.text) for pair, t in of.items()}

  def bags(of: Mapping[str, Text]) -> dict[str, Counter[str]]:
    return {
      pair: Counter(w for w in texts.words(t.text) if w not in without)
      for pair, t in of.items()
    }

  lengths_a, lengths_b = lengths(texts_a), lengths(texts_b)
  total_a, total_b = sum(lengths_a.values()), sum(lengths_b.values())
  larger = max(total_a, total_b, 1)
  measures = {
    'coverage': Measure(
      len(pairs) / max(1, wanted), config.coverage, at_least=True
    ),
    'length': Measure(abs(total_a - total_b) / larger, config.length),
    'distribution': Measure.beyond(
      beyond_chance(lengths_a, lengths_b, distance_of_lengths, seed),
      config.distribution,
    ),
    'genres': Measure(
      distance_of_genres(
        [t.genre for t in texts_a.values()], [t.genre for t in texts_b.values()]
      ),
      config.genres,
    ),
    'vocabulary': Measure.beyond(
      beyond_chance(bags(texts_a), bags(texts_b), _words_apart, seed),
      config.vocabulary,
    ),
  }
  return {
    'passed': all(m.passed for m in measures.values()),
    'pairs': len(pairs),
    'lengths': [total_a, total_b],
    'measures': {name: m.to_json() for name, m in measures.items()},
  }


def failures(report: dict[str, Any]) -> list[str]:
  """Says in words which measures of which comparison are beyond their limits.

  Args:
    report: Name of a comparison to what `compare` returned.
  """
  said = []
  for name, compared in report.items():
    for measure, found in compared['measures'].items():
      if not found['passed']:
        bound, limit = next(
          (k, v) for k, v in found.items() if k in ('at_most', 'at_least')
        )
        said.append(
          f'{name}: {measure} is {found["value"]}, expected '
          f'{bound.replace("_", " ")} {limit}'
        )
  return said
