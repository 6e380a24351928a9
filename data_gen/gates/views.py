"""A text, taken apart once for all gates."""

from collections.abc import Sequence
import functools
import hashlib

import numpy as np

from data_gen.gates.protocol import Candidate
from msm_jax.evals import texts

# Of one block of candidates, each perhaps with a text of its own turns and one
# of the whole conversation.
BLOCK = 256
_CACHED = 2 * BLOCK
_MAX_WORDS = 1_000_000
# An odd multiplier: the golden ratio in 64 bits (Knuth, vol. 3, 6.4).
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class _WordIds(dict[str, int]):
  """64 bits of a word's BLAKE2b, the same in every process."""

  def __missing__(self, word: str) -> int:
    if len(self) >= _MAX_WORDS:
      self.clear()
    digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
    self[word] = value = int.from_bytes(digest, 'little')
    return value


_WORD_IDS = _WordIds()


def word_ids(words: Sequence[str]) -> np.ndarray:
  """Returns uint64 [W], one number a word."""
  ids = map(_WORD_IDS.__getitem__, words)
  return np.fromiter(ids, np.uint64, len(words))


def ngram_ids(ids: np.ndarray, n: int) -> np.ndarray:
  """Returns uint64 [W − n + 1], one number for each run of `n` words.

  Two different runs get the same number with a probability of about 2⁻⁶⁴.
  """
  count = len(ids) - n + 1
  if count < 1:
    return ids[:0]
  hashed = ids[:count].copy()
  for i in range(1, n):
    hashed *= _MULTIPLIER
    hashed += ids[i : i + count]
  return hashed


class View:
  """What gates look at. Do not change what it returns.

  Attributes:
    text: As it was generated.
  """

  def __init__(self, text: str):
    self.text = text
    self._ngrams: dict[int, np.ndarray] = {}

  @functools.cached_property
  def words(self) -> list[str]:
    return texts.words(self.text)

  @functools.cached_property
  def vocabulary(self) -> frozenset[str]:
    return frozenset(self.words)

  @functools.cached_property
  def ids(self) -> np.ndarray:
    """uint64 [W]; see `word_ids`."""
    return word_ids(self.words)

  def ngrams(self, n: int) -> np.ndarray:
    """uint64 [W − n + 1]; see `ngram_ids`."""
    if n not in self._ngrams:
      self._ngrams[n] = ngram_ids(self.ids, n)
    return self._ngrams[n]

  def excerpt(self, start: int, end: int) -> str:
    """Returns the words of positions `start` to `end`."""
    return ' '.join(self.words[start:end])


@functools.lru_cache(maxsize=_CACHED)
def view(text: str) -> View:
  """Returns the view of a text, made once while it is in use."""
  return View(text)


def whole_text(candidate: Candidate) -> str:
  """Returns a document, or all turns of a chat, the user's included."""
  if candidate.messages:
    return '\n'.join(content for _, content in candidate.messages)
  return candidate.text
