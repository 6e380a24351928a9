"""Measures whether two corpora differ only in what they are meant to differ in.

Counted on the texts as they are, not on how they were made.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from data_gen.pipeline.parts import BalanceConfig
from data_gen.rng import Rng
from data_gen.traits import Trait
from msm_jax.evals import texts

_SHUFFLES = 4

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


def vocabulary(
  a: Sequence[Text], b: Sequence[Text], without: frozenset[str], seed: int
) -> tuple[float, float]:
  """Compares the words of two corpora outside of `without`.

  Two samples of one and the same corpus differ, too, the smaller they are the
  more. So partners are swapped at random, and what such corpora differ by is
  taken off.

  Returns:
    The divergence beyond chance, not below 0, and that of chance, in bits.
  """

  def counted(text: Text) -> Counter[str]:
    return Counter(w for w in texts.words(text.text) if w not in without)

  bags_a, bags_b = list(map(counted, a)), list(map(counted, b))
  seen = divergence(_sum(bags_a), _sum(bags_b))
  floors = []
  for shuffle in range(_SHUFFLES):
    mixed: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for side, corpus, bags in ((0, a, bags_a), (1, b, bags_b)):
      for text, bag in zip(corpus, bags, strict=True):
        swap = Rng(seed, 'swap', shuffle, text.pair).chance(0.5)
        mixed[side ^ swap].update(bag)
    floors.append(divergence(*mixed))
  floor = sum(floors) / len(floors)
  return max(0.0, seen - floor), floor


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
    seed: Of the swaps; see `vocabulary`.
    length: Of a text, in tokens or words.
    wanted: Of how many texts of `a` partners were asked for; None for all.

  Returns:
    JSON: `passed`, `measures`, and the sizes of what was compared.
  """
  pairs = {t.pair for t in a} & {t.pair for t in b}
  wanted = len(a) if wanted is None else wanted
  a = [t for t in a if t.pair in pairs]
  b = [t for t in b if t.pair in pairs]
  lengths_a = [length(t.text) for t in a]
  lengths_b = [length(t.text) for t in b]
  total_a, total_b = sum(lengths_a), sum(lengths_b)
  beyond, floor = vocabulary(a, b, without, seed)
  larger = max(total_a, total_b, 1)
  measures = {
    'coverage': Measure(
      len(pairs) / max(1, wanted), config.coverage, at_least=True
    ),
    'length': Measure(abs(total_a - total_b) / larger, config.length),
    'distribution': Measure(
      distance_of_lengths(lengths_a, lengths_b), config.distribution
    ),
    'genres': Measure(
      distance_of_genres([t.genre for t in a], [t.genre for t in b]),
      config.genres,
    ),
    'vocabulary': Measure(beyond, config.vocabulary, floor),
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
