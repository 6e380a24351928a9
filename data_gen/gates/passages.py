"""Finds passages of a given collection in texts, verbatim or lightly edited."""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from data_gen.gates.views import ngram_ids
from data_gen.gates.views import View
from data_gen.gates.views import word_ids
from msm_jax.evals import texts

_TABLE_BITS = 22
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


class _Keys:
  """A set of 64-bit numbers that an array is filtered by.

  A table of bits answers for nearly all of an array in one step; what passes
  it by chance is the dictionary's to find.
  """

  def __init__(self, keys: np.ndarray):
    self._table = np.zeros(1 << _TABLE_BITS, bool)
    self._table[self._slots(keys)] = True

  def _slots(self, keys: np.ndarray) -> np.ndarray:
    return (keys >> np.uint64(64 - _TABLE_BITS)).astype(np.intp)

  def positions(self, keys: np.ndarray) -> list[int]:
    """Returns where `keys` may be in the set."""
    return np.flatnonzero(self._table[self._slots(keys)]).tolist()


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
    self._keys = _Keys(np.array(list(self._owner), np.uint64))

  def find(self, view: View) -> Found | None:
    """Returns the first shared run, as long as it goes on."""
    keys = view.ngrams(self.n)
    hits = self._keys.positions(keys)
    known = [i for i in hits if int(keys[i]) in self._owner]
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
    too_short: Passages with fewer, which are not looked for.
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
    self._passages: list[Passage] = []
    self.too_short: list[Passage] = []
    runs_of: list[list[int]] = []
    for passage in passages:
      runs = [r for r in _content_runs(passage.words, k) if r in self._weight]
      if len(runs) < min_runs:
        self.too_short.append(passage)
      else:
        self._passages.append(passage)
        runs_of.append(runs)
    self._total = [sum(self._weight[r] for r in runs) for runs in runs_of]
    self._owners: dict[int, list[int]] = {}
    for i, runs in enumerate(runs_of):
      for run in runs:
        self._owners.setdefault(run, []).append(i)
    self._keys = _Keys(np.array(list(self._owners), np.uint64))

  def find(self, view: View) -> Found | None:
    """Returns the passage with the largest share, if that is large enough."""
    keys = view.ngrams(self._k)
    hits: dict[int, list[tuple[int, int]]] = {}
    for position in self._keys.positions(keys):
      run = int(keys[position])
      for owner in self._owners.get(run, ()):
        hits.setdefault(owner, []).append((position, run))
    best: Found | None = None
    for owner, found in hits.items():
      needed = self._min_share * self._total[owner]
      if sum(self._weight[r] for r in {r for _, r in found}) < needed:
        continue
      candidate = self._densest(owner, found)
      if candidate.share >= self._min_share and (
        best is None or candidate.share > best.share
      ):
        best = candidate
    return best

  def _densest(self, owner: int, hits: list[tuple[int, int]]) -> Found:
    """Returns the window of the text with the largest share of a passage."""
    passage = self._passages[owner]
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
    share = min(1.0, best / self._total[owner])
    return Found(passage, share, *span)


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
