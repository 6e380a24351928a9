"""The `near_duplicate` gate: texts that share most of their runs of words.

MinHash with locality-sensitive hashing (Broder 1997; `datasketch`) proposes
pairs, the exact Jaccard similarity |A ∩ B| / |A ∪ B| of their sets of word
5-grams decides. Every changed word breaks five 5-grams, so a similarity of .6
means that about one word in eighteen differs, not four in ten.
"""

from collections.abc import Sequence
import dataclasses

import datasketch
import numpy as np

from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import view
from data_gen.gates.views import whole_text

NAME = 'near_duplicate'

_SEED = 1


@dataclasses.dataclass(frozen=True)
class NearDuplicateConfig:
  """How similar is too similar.

  Two texts of similarity s are compared with probability 1 − (1 − sʳ)ᵇ, where
  r = `rows` and b = `bands`.

  Attributes:
    threshold: Jaccard similarity from which on the later text is rejected.
    shingle: Words of a run.
    bands: Of the MinHash.
    rows: Hashes of a band.
  """

  threshold: float = 0.55
  shingle: int = 5
  bands: int = 42
  rows: int = 3

  def __post_init__(self):
    if not 0 < self.threshold <= 1:
      raise ValueError(
        f'threshold: {self.threshold}, expected more than 0, at most 1'
      )
    for key in ('shingle', 'bands', 'rows'):
      if getattr(self, key) < 1:
        raise ValueError(f'{key}: {getattr(self, key)}, expected at least 1')


def shingles(text: str, n: int) -> np.ndarray:
  """Returns the sorted set of word n-grams as uint64 numbers.

  A text of fewer than `n` words is one shingle.
  """
  seen = view(text)
  runs = seen.ngrams(min(n, max(1, len(seen.ids))))
  return np.unique(runs)


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
  """Returns |A ∩ B| / |A ∪ B| of two sorted sets; 0 if both are empty."""
  both = len(np.intersect1d(a, b, assume_unique=True))
  either = len(a) + len(b) - both
  return both / either if either else 0.0


class NearDuplicateGate:
  """Rejects what is similar to an earlier text that was kept.

  Of a chat, all turns count.
  """

  name = NAME

  def __init__(self, config: NearDuplicateConfig):
    self._config = config
    # Makes the permutations once; signatures are copies of it.
    self._empty = datasketch.MinHash(
      num_perm=config.bands * config.rows, seed=_SEED, hashfunc=int
    )

  def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
    c = self._config
    passed = Verdict(NAME, True)
    index = datasketch.MinHashLSH(
      num_perm=c.bands * c.rows, params=(c.bands, c.rows)
    )
    kept: list[np.ndarray] = []
    kept_ids: list[str] = []
    verdicts = []
    for candidate in candidates:
      found = shingles(whole_text(candidate), c.shingle)
      signature = self._signature(found)
      best, of = 0.0, -1
      for other in sorted(index.query(signature)):
        similarity = jaccard(found, kept[other])
        if similarity > best:
          best, of = similarity, other
      if best >= c.threshold:
        detail = f'{best:.2f} of {kept_ids[of]}'
        score = round(best, 3)
        verdicts.append(Verdict(NAME, False, 'similar', detail, score))
        continue
      index.insert(len(kept), signature, check_duplication=False)
      kept.append(found)
      kept_ids.append(candidate.id)
      verdicts.append(passed)
    return verdicts

  def _signature(self, found: np.ndarray) -> datasketch.MinHash:
    signature = self._empty.copy()
    signature.update_batch((found >> np.uint64(32)).tolist())
    return signature
