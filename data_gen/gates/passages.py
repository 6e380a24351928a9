"""Finds passages of a given collection in texts, verbatim or lightly edited."""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from data_gen.gates.hashing import Keys
from data_gen.gates.hashing import ngram_ids
from data_gen.gates.hashing import word_ids
from data_gen.gates.views import View
from msm_jax.evals import texts

# A run that more groups have is the format of a suite, and would make every
# text that has it a candidate for all of its items.
_COMMON_GROUPS = 64
_COMMON_SHARE = 0.01


@dataclasses.dataclass(frozen=True)
class Passage:
  """A text to look for.

  Attributes:
    name: For people, e.g. `'ood_sage/plate-00'`.
    group: Passages with the same one are presentations of the same thing.
    words: Lower case.
  """

  name: str
  group: str
  words: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Found:
  """A passage in a text.

  Attributes:
    passage: Which.
    share: Of the passage that was found, in [0, 1]; see the index.
    start: First word of the text that belongs to it.
    end: After the last word.
  """

  passage: Passage
  share: float
  start: int
  end: int


class VerbatimIndex:
  """Finds runs of `n` words that a passage and a text share.

  A shorter passage is not looked for; see `LooseIndex` and `unindexed`.

  Args:
    passages: What to look for.
    n: Words of a run.
  """

  def __init__(self, passages: Sequence[Passage], n: int):
    self.n = n
    self._owner: dict[int, Passage] = {}
    for passage in passages:
      for key in ngram_ids(word_ids(passage.words), n).tolist():
        self._owner.setdefault(key, passage)
    self._keys = Keys(self._owner)

  def find(self, view: View) -> Found | None:
    """Returns the first shared run, as long as it goes on."""
    keys = view.ngrams(self.n)
    known = self._keys.find(keys)[0].tolist()
    if not known:
      return None
    end = start = known[0]
    for i in known:
      if i > end + 1:
        break
      end = i
    passage = self._owner[int(keys[start])]
    run = end + self.n - start
    share = min(1.0, run / len(passage.words))
    return Found(passage, share, start, end + self.n)


class LooseIndex:
  """Finds passages of which a text holds most short runs, close together.

  The share of a passage is Σ w over its runs of `k` words that the text has,
  within a window of the text, over Σ w over all its runs. The weight w of a run
  is its inverse document frequency log((1 + G) / g) over the G groups of
  passages, g of which have it: what is common to all items of a suite, such as
  `which of the following`, says nothing about any of them. Runs of function
  words alone, and runs that more than 64 groups and 1 % of them have, weigh
  nothing.

  Args:
    passages: What to look for.
    k: Words of a run. Every changed word breaks k runs.
    min_share: Of a passage, from which on it counts as found.
    min_runs: Different runs that weigh something, at least.

  Attributes:
    passages: That are looked for.
    too_short: Passages with fewer runs, which are not.
  """

  def __init__(
    self,
    passages: Sequence[Passage],
    *,
    k: int,
    min_share: float,
    min_runs: int,
  ):
    self._k = k
    self._min_share = min_share
    self._weight = _weights(passages, k)
    self.passages: list[Passage] = []
    self.too_short: list[Passage] = []
    runs_of: list[list[int]] = []
    for passage in passages:
      runs = [r for r in _content_runs(passage.words, k) if r in self._weight]
      if len(runs) < min_runs:
        self.too_short.append(passage)
      else:
        self.passages.append(passage)
        runs_of.append(runs)
    self._runs = [frozenset(runs) for runs in runs_of]
    self._total = [sum(self._weight[r] for r in runs) for runs in runs_of]
    self._index_groups()

  def _index_groups(self) -> None:
    """Makes arrays of which group has which run, for `_groups_near`.

    The commonest runs of a group are left out, up to half of the weight that a
    text needs: what is left must then weigh the other half. They are the runs
    that most texts have, so this finds the same at a fraction of the price.
    """
    numbers: dict[str, int] = {}
    self._members: list[list[int]] = []
    for i, passage in enumerate(self.passages):
      group = numbers.setdefault(passage.group, len(numbers))
      if group == len(self._members):
        self._members.append([])
      self._members[group].append(i)
    groups_of: dict[int, list[int]] = {}
    needed = []
    for group, members in enumerate(self._members):
      least = self._min_share * min(self._total[i] for i in members)
      kept, left_out = self._rarest(members, least / 2)
      needed.append(least - left_out)
      for run in kept:
        groups_of.setdefault(run, []).append(group)
    self._needed = np.array(needed, np.float64)
    self._keys = Keys(groups_of)
    lists = [groups_of[int(key)] for key in self._keys.keys]
    self._lengths = np.array([*map(len, lists)], np.int64)
    self._first = _before(self._lengths)
    self._groups = np.array([g for gs in lists for g in gs], np.int64)
    weights = [self._weight[int(key)] for key in self._keys.keys]
    self._weights = np.repeat(np.array(weights, np.float64), self._lengths)

  def _rarest(
    self, members: Sequence[int], most: float
  ) -> tuple[list[int], float]:
    """Returns a group's runs without the commonest, and what those weigh."""
    runs = {run for i in members for run in self._runs[i]}
    ranked = sorted(runs, key=lambda run: (self._weight[run], run))
    left_out, first = 0.0, 0
    while left_out + self._weight[ranked[first]] <= most:
      left_out += self._weight[ranked[first]]
      first += 1
    return ranked[first:], left_out

  def _groups_near(self, indices: np.ndarray) -> list[int]:
    """Returns groups of which a text may hold enough, given its runs.

    Adds up the weights of each group's indexed runs that the text has anywhere,
    in a handful of array operations for all groups at once. A run that the text
    has twice counts twice: that lets no group through that has enough.
    """
    lengths = self._lengths.take(indices)
    # Positions in `_groups` of all groups of all these runs.
    offsets = np.repeat(self._first.take(indices) - _before(lengths), lengths)
    offsets += np.arange(len(offsets))
    sums = np.bincount(
      self._groups.take(offsets),
      self._weights.take(offsets),
      len(self._needed),
    )
    # Sums in another order differ in the last digits.
    return (sums >= self._needed * (1 - 1e-9)).nonzero()[0].tolist()

  def find(self, view: View) -> Found | None:
    """Returns the passage with the largest share, if that is large enough."""
    keys = view.ngrams(self._k)
    _, indices = self._keys.find(keys)
    if not len(indices):
      return None
    best: Found | None = None
    for group in self._groups_near(indices):
      for i in self._members[group]:
        found = self._densest(i, keys)
        if found.share >= self._min_share and (
          best is None or found.share > best.share
        ):
          best = found
    return best

  def _densest(self, i: int, keys: np.ndarray) -> Found:
    """Returns the window of the text with the largest share of a passage."""
    passage, runs = self.passages[i], self._runs[i]
    hits = [(p, run) for p, run in enumerate(keys.tolist()) if run in runs]
    width = 2 * len(passage.words)
    inside: dict[int, int] = {}
    best, span, weight, first = 0.0, (0, 0), 0.0, 0
    for position, run in hits:
      inside[run] = inside.get(run, 0) + 1
      if inside[run] == 1:
        weight += self._weight[run]
      while hits[first][0] <= position - width:
        leaving = hits[first][1]
        inside[leaving] -= 1
        if not inside[leaving]:
          weight -= self._weight[leaving]
        first += 1
      if weight > best:
        best, span = weight, (hits[first][0], position + self._k)
    share = min(1.0, best / self._total[i])
    return Found(passage, share, *span)


def _before(lengths: np.ndarray) -> np.ndarray:
  """Returns for each length the sum of those before it."""
  return np.cumsum(lengths) - lengths


def _weights(passages: Sequence[Passage], k: int) -> dict[int, float]:
  """Returns the weight of every run that is not common; see `LooseIndex`."""
  groups_of: dict[int, set[str]] = {}
  for passage in passages:
    for run in _content_runs(passage.words, k):
      groups_of.setdefault(run, set()).add(passage.group)
  n_groups = len({p.group for p in passages})
  common = max(_COMMON_GROUPS, _COMMON_SHARE * n_groups)
  return {
    run: math.log((1 + n_groups) / len(groups))
    for run, groups in groups_of.items()
    if len(groups) <= common
  }


def _content_runs(words: Sequence[str], k: int) -> list[int]:
  """Returns the different runs of `k` words that have a content word."""
  runs = ngram_ids(word_ids(words), k).tolist()
  return list(
    {
      run: None
      for i, run in enumerate(runs)
      if not texts.STOPWORDS.issuperset(words[i : i + k])
    }
  )
