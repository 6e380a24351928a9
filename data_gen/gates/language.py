"""The `language` and `length` gates."""

import dataclasses
import re

import numpy as np

from data_gen.gates.each import EachGate
from data_gen.gates.hashing import Keys
from data_gen.gates.hashing import word_ids
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import view
from msm_jax.evals import texts

_SHOWN = 12
_NOT_LATIN = re.compile('[^\x00-\u024f]')


@dataclasses.dataclass(frozen=True)
class LanguageConfig:
  """How English is recognised: by the share of its function words.

  They make up 40 to 55 % of English prose; of other languages that use the
  same letters, they make up less than 15 %.

  Attributes:
    min_share: Of the whole text.
    min_window_share: Of every window, so that a page that turns into another
      language half-way is found. Lists and tables are poor in function words.
    window: Words; the next one begins in the middle of the last.
    max_foreign_letters: Share of characters that are letters of other scripts.
    min_words: Shorter texts have too few words to tell.
  """

  min_share: float = 0.25
  min_window_share: float = 0.12
  window: int = 60
  max_foreign_letters: float = 0.05
  min_words: int = 12

  def __post_init__(self):
    if self.window < 2:
      raise ValueError(f'window: {self.window}, expected at least 2 words')


class LanguageGate(EachGate):
  """Passes English."""

  def __init__(self, config: LanguageConfig):
    super().__init__('language')
    self._config = config
    self._stopwords = Keys(word_ids(sorted(texts.STOPWORDS)).tolist())

  def judge(self, candidate: Candidate) -> Verdict:
    c = self._config
    text = candidate.text
    if not text.isascii():
      foreign = sum(x.isalpha() for x in _NOT_LATIN.findall(text))
      if foreign > c.max_foreign_letters * len(text):
        return self.fail('script', score=round(foreign / len(text), 3))
    seen = view(text)
    n = len(seen.ids)
    if n < c.min_words:
      return self._passed
    stopwords, _ = self._stopwords.find(seen.ids)
    share = len(stopwords) / n
    if share < c.min_share:
      return self.fail('not_english', score=round(share, 3))
    # The last window ends with the text.
    last = n - c.window
    if last > 0:
      starts = np.append(np.arange(0, last, c.window // 2), last)
      ends = np.searchsorted(stopwords, starts + c.window)
      parts = (ends - np.searchsorted(stopwords, starts)) / c.window
      worst = int(np.argmin(parts))
      if parts[worst] < c.min_window_share:
        start = int(starts[worst])
        detail = seen.excerpt(start, start + _SHOWN)
        score = round(float(parts[worst]), 3)
        return self.fail('partly_not_english', detail, score)
    return self._passed


@dataclasses.dataclass(frozen=True)
class LengthConfig:
  """Allowed numbers of words, both ends included."""

  document: tuple[int, int] = (50, 4000)
  chat: tuple[int, int] = (1, 1500)

  def __post_init__(self):
    for kind in ('document', 'chat'):
      low, high = getattr(self, kind)
      if not 0 < low <= high:
        raise ValueError(
          f'{kind}: {(low, high)}, expected two numbers of words, at least 1, '
          'the smaller first'
        )


class LengthGate(EachGate):
  """Counts the words of a document, or of the assistant's turns."""

  def __init__(self, config: LengthConfig):
    super().__init__('length')
    self._config = config

  def judge(self, candidate: Candidate) -> Verdict:
    chat = candidate.kind == 'chat'
    low, high = self._config.chat if chat else self._config.document
    count = len(view(candidate.text).ids)
    if count < low:
      return self.fail('too_short', f'{count} words, at least {low}', count)
    if count > high:
      return self.fail('too_long', f'{count} words, at most {high}', count)
    return self._passed
