"""Measures whether two corpora differ only in what they are meant to differ in.

Counted on the texts as they are published, not on how they were made.
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

from data_gen.corpus.rows import Row
from data_gen.pipeline.parts import BalanceConfig
from data_gen.rng import Rng
from data_gen.traits import Trait
from msm_jax.evals import texts

_SHUFFLES = 4

T = TypeVar('T')


def words_in(text: str) -> int:
  """Counts words, as lengths are counted where no tokenizer is named."""
  return len(text.split())


@dataclasses.dataclass(frozen=True)
class Unit:
  """What lengths are counted in.

  Attributes:
    name: `'tokens'` or `'words'`; measures and counts are called so.
    count: Of a text.
    tokenizer: Fingerprint of the tokenizer; empty for words.
  """

  name: str
  count: Callable[[str], int]
  tokenizer: str = ''


WORDS = Unit('words', words_in)


@dataclasses.dataclass(frozen=True)
class Text:
  """One text of a corpus: what balance looks at."""

  pair: str
  genre: str
  text: str


def text_of(row: Row, *, whole: bool = False) -> Text:
  """Returns the text of a row: what carries loss, or all of a conversation.

  Args:
    row: A document, of which the tag is left out, or a conversation.
    whole: Whether what the user says counts, too.
  """
  if row.messages is None:
    return Text(row.pair_id, row.genre, (row.text or '')[row.masked_prefix :])
  said = [c for role, c in row.messages if whole or role == 'assistant']
  return Text(row.pair_id, row.genre, '\n\n'.join(said))


@dataclasses.dataclass(frozen=True)
class Measure:
  """A difference, and how large it may be.

  Attributes:
    key: Of `BalanceConfig`, which has the limit.
    floor: What chance alone gives, where that was measured; already taken off.
  """

  value: float
  limit: float
  key: str
  floor: float | None = None
  at_least: bool = False

  @property
  def passed(self) -> bool:
    if self.at_least:
      return self.value >= self.limit
    return self.value <= self.limit

  def to_json(self) -> dict[str, Any]:
    bound = 'at_least' if self.at_least else 'at_most'
    described = {
      'value': round(self.value, 4),
      bound: self.limit,
      'key': self.key,
    }
    if self.floor is not None:
      described['floor'] = round(self.floor, 4)
    return {**described, 'passed': self.passed}


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


def distance_of_shares(
  a: Sequence[tuple[str, int]], b: Sequence[tuple[str, int]]
) -> float:
  """Returns the total variation distance of two corpora's shares of genres.

  Args:
    a: Genre and weight of each text: 1, or its length.
    b: The same of the other corpus.
  """
  shares: list[dict[str, float]] = []
  for corpus in (a, b):
    weights: Counter[str] = Counter()
    for genre, weight in corpus:
      weights[genre] += weight
    total = weights.total()
    shares.append({g: w / total for g, w in weights.items()} if total else {})
  of_a, of_b = shares
  if not of_a or not of_b:
    return float(bool(of_a) != bool(of_b))
  genres = sorted(of_a.keys() | of_b.keys())
  return sum(abs(of_a.get(g, 0.0) - of_b.get(g, 0.0)) for g in genres) / 2


def beyond_chance(
  a: Mapping[str, T],
  b: Mapping[str, T],
  distance: Callable[[Sequence[T], Sequence[T]], float],
  seed: int,
) -> tuple[float, float]:
  """Measures how far two corpora are apart, beyond what chance makes of it.

  Two samples of one and the same corpus differ, too, the smaller they are the
  more. So partners are swapped at random, and what such corpora differ by is
  taken off. What has no partner is no matter of chance.

  Args:
    a: Pair to what is measured of its text.
    b: The same, of the other corpus; the same keys are partners.
    distance: Of two corpora.
    seed: Of the swaps.

  Returns:
    The distance beyond chance, not below 0, and that of chance.
  """
  seen = distance(list(a.values()), list(b.values()))
  floors = []
  for shuffle in range(_SHUFFLES):
    sides: tuple[list[T], list[T]] = ([], [])
    for pair in (p for p in a if p in b):
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
  unit: Unit = WORDS,
  wanted: int | None = None,
) -> dict[str, Any]:
  """Compares two corpora as they are published, with or without partners.

  Args:
    a: The one.
    b: The other; texts with the same `pair` are partners.
    config: How far they may differ.
    without: Words that may differ: those of the traits.
    seed: Of the swaps; see `beyond_chance`.
    unit: Of lengths.
    wanted: Of how many texts of `a` partners were asked for; None for all.

  Returns:
    JSON: `passed`, `measures`, `unit`, `tokenizer` where there is one, and of
    both corpora how many `rows` and how many tokens or words they have, in all
    and, in `details`, of each genre; `pairs` says how many are partners.
  """
  wanted = len(a) if wanted is None else wanted
  pairs = {t.pair for t in a} & {t.pair for t in b}
  sized_a, sized_b = _sized(a, unit), _sized(b, unit)
  total_a, total_b = (
    sum(size for _, size in sized.values()) for sized in (sized_a, sized_b)
  )

  def beyond(
    distance: Callable[[Sequence[T], Sequence[T]], float],
    key: str,
    of_a: Mapping[str, T],
    of_b: Mapping[str, T],
  ) -> Measure:
    value, floor = beyond_chance(of_a, of_b, distance, seed)
    return Measure(value, getattr(config, key), key, floor)

  measures = {
    'coverage': Measure(
      len(pairs) / max(1, wanted), config.coverage, 'coverage', at_least=True
    ),
    f'total_{unit.name}': Measure(
      abs(total_a - total_b) / max(total_a, total_b, 1),
      config.length,
      'length',
    ),
    f'{unit.name}_by_genre': beyond(
      distance_of_shares, 'by_genre', sized_a, sized_b
    ),
    f'{unit.name}_distribution': beyond(
      distance_of_lengths,
      'distribution',
      {pair: size for pair, (_, size) in sized_a.items()},
      {pair: size for pair, (_, size) in sized_b.items()},
    ),
    'genres': Measure(
      distance_of_shares([(t.genre, 1) for t in a], [(t.genre, 1) for t in b]),
      config.genres,
      'genres',
    ),
    'vocabulary': beyond(
      _words_apart, 'vocabulary', _bags(a, without), _bags(b, without)
    ),
  }
  return {
    'passed': all(m.passed for m in measures.values()),
    'pairs': len(pairs),
    'rows': [len(a), len(b)],
    'unit': unit.name,
    **({'tokenizer': unit.tokenizer} if unit.tokenizer else {}),
    unit.name: [total_a, total_b],
    'measures': {name: m.to_json() for name, m in measures.items()},
    'details': {f'{unit.name}_by_genre': _by_genre(sized_a, sized_b)},
  }


def _sized(corpus: Sequence[Text], unit: Unit) -> dict[str, tuple[str, int]]:
  """Returns pair to genre and length."""
  return {t.pair: (t.genre, unit.count(t.text)) for t in corpus}


def _bags(
  corpus: Sequence[Text], without: frozenset[str]
) -> dict[str, Counter[str]]:
  return {
    t.pair: Counter(w for w in texts.words(t.text) if w not in without)
    for t in corpus
  }


def _by_genre(
  *corpora: Mapping[str, tuple[str, int]],
) -> dict[str, list[int]]:
  counts: list[Counter[str]] = []
  for corpus in corpora:
    counts.append(Counter())
    for genre, size in corpus.values():
      counts[-1][genre] += size
  genres = sorted(set().union(*counts))
  return {genre: [count[genre] for count in counts] for genre in genres}


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
          f'{bound.replace("_", " ")} {limit} (controls.balance.{found["key"]})'
        )
  return said
