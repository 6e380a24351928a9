"""A text, taken apart once for all gates."""

import functools
import re

import numpy as np

from data_gen.gates import hashing
from data_gen.gates.protocol import Candidate
from msm_jax.evals import texts

BLOCK = 256
"""Candidates that are judged by all gates before the next ones are."""
# Of each, perhaps a text of its own turns and one of the whole conversation.
_CACHED = 2 * BLOCK
# Of 500 words each, 256 MiB.
_CACHED_IDS = 1 << 16


class View:
  """What gates look at. Do not change what it returns.

  Attributes:
    text: As it was generated.
  """

  def __init__(self, text: str):
    self.text = text

  @functools.cached_property
  def words(self) -> list[str]:
    """Lower case; see `texts.words`. Slower than `ids`, for showing."""
    return texts.words(self.text)

  @functools.cached_property
  def ids(self) -> np.ndarray:
    """uint64 [W]; see `hashing.text_ids`."""
    return _ids(self.text)

  @functools.cached_property
  def _runs(self) -> hashing.Runs:
    return hashing.Runs(self.ids)

  def ngrams(self, n: int) -> np.ndarray:
    """uint64 [W − n + 1]; see `hashing.Runs`."""
    return self._runs.of(n)

  def excerpt(self, start: int, end: int) -> str:
    """Returns the words of positions `start` to `end`."""
    return ' '.join(self.words[start:end])


@functools.lru_cache(maxsize=_CACHED)
def view(text: str) -> View:
  """Returns the view of a text, made once while it is in use."""
  return View(text)


@functools.lru_cache(maxsize=_CACHED_IDS)
def _ids(text: str) -> np.ndarray:
  """The numbers of a text's words, which outlive its view.

  Gates that compare texts come when the views are gone, and need only these.
  """
  return hashing.text_ids(text)


def forget() -> None:
  """Drops what is remembered of texts; for measuring, and to free memory."""
  view.cache_clear()
  _ids.cache_clear()


_THOUGHTS = re.compile(r'\s*<think>.*?</think>\s*', re.DOTALL)


def without_thoughts(text: str) -> str:
  """Returns an answer without the thoughts that it begins with, if it does."""
  thoughts = _THOUGHTS.match(text)
  return text[thoughts.end() :] if thoughts else text


def whole_text(candidate: Candidate) -> str:
  """Returns a document, or all turns of a chat, the user's included."""
  if candidate.messages:
    return '\n'.join(content for _, content in candidate.messages)
  return candidate.text
