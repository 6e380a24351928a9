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
# Of 500 words each, 256 MiB.
_CACHED_IDS = 1 << 16
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
  return _Ngrams(ids).of(n)


class _Ngrams:
  """Runs of several lengths, the longer ones made of the shorter ones.

  The number of a run is Σ idᵢ · Mⁿ⁻¹⁻ⁱ mod 2⁶⁴, so that of a longer run follows
  from two shorter ones, and 13 words take 5 steps.
  """

  def __init__(self, ids: np.ndarray):
    self._of = {1: ids}

  def of(self, n: int) -> np.ndarray:
    if n not in self._of:
      left = 1 << ((n - 1).bit_length() - 1)
      right = n - left
      count = max(0, len(self._of[1]) - n + 1)
      runs = self.of(left)[:count] * _power(right)
      runs += self.of(right)[left : left + count]
      self._of[n] = runs
    return self._of[n]


@functools.cache
def _power(n: int) -> np.uint64:
  return np.uint64(pow(int(_MULTIPLIER), n, 1 << 64))


class View:
  """What gates look at. Do not change what it returns.

  Attributes:
    text: As it was generated.
  """

  def __init__(self, text: str):
    self.text = text

  @functools.cached_property
  def words(self) -> list[str]:
    return texts.words(self.text)

  @functools.cached_property
  def vocabulary(self) -> frozenset[str]:
    return frozenset(self.words)

  @functools.cached_property
  def ids(self) -> np.ndarray:
    """uint64 [W]; see `word_ids`."""
    return _ids(self.text)

  @functools.cached_property
  def _ngrams(self) -> _Ngrams:
    return _Ngrams(self.ids)

  def ngrams(self, n: int) -> np.ndarray:
    """uint64 [W − n + 1]; see `ngram_ids`."""
    return self._ngrams.of(n)

  def excerpt(self, start: int, end: int) -> str:
    """Returns the words of positions `start` to `end`."""
    return ' '.join(self.words[start:end])


@functools.lru_cache(maxsize=_CACHED)
def view(text: str) -> View:
  """Returns the view of a text, made once while it is in use."""
  return View(text)


@functools.lru_cache(maxsize=_CACHED_IDS)
def _ids(text: str) -> np.ndarray:
  """The numbers of a text's words outlive its view.

  Gates that compare texts come when the views are gone, and need only these.
  """
  return word_ids(view(text).words)


def forget() -> None:
  """Drops what is remembered of texts; for measuring, and to free memory."""
  view.cache_clear()
  _ids.cache_clear()


def whole_text(candidate: Candidate) -> str:
  """Returns a document, or all turns of a chat, the user's included."""
  if candidate.messages:
    return '\n'.join(content for _, content in candidate.messages)
  return candidate.text
