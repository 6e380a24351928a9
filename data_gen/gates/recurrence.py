"""The `recurrence` gate: names, dates, openings, phrases that come too often.

Scan, cluster, filter: what more documents of the corpus have than a limit is
found (`tics`), and the later ones of those documents are rejected. Teachers
collapse: practitioners counted 439,000 uses of one name.
"""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import math

from data_gen.gates import tics
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import without_thoughts
from data_gen.traits import Trait
from msm_jax.evals import texts

NAME = 'recurrence'


@dataclasses.dataclass(frozen=True)
class RecurrenceConfig:
  """How many documents may share something.

  Attributes:
    name_share: Of the documents, how many may have the same name, be it
      `Elara` or `Elara Voss`.
    date_share: The same calendar date.
    opening_share: The same opening; of a chat, the first answer's, without the
      thoughts before it.
    phrase_share: The same phrase.
    at_least: So many documents always may.
    opening_words: Words of an opening.
    phrase_words: Words of a phrase.
    allowed: Names, words and phrases that may recur, beside those of the model,
      its provider and the traits document.
  """

  name_share: float = 0.01
  date_share: float = 0.01
  opening_share: float = 0.01
  phrase_share: float = 0.01
  at_least: int = 10
  opening_words: int = 5
  phrase_words: int = 6
  allowed: tuple[str, ...] = ()

  def __post_init__(self):
    for kind in tics.KINDS:
      share = getattr(self, f'{kind}_share')
      if not 0 <= share <= 1:
        raise ValueError(f'{kind}_share: {share}, expected 0 to 1')
    for key in ('at_least', 'opening_words', 'phrase_words'):
      if getattr(self, key) < 1:
        raise ValueError(f'{key}: {getattr(self, key)}, expected at least 1')

  def limits(self, documents: int) -> dict[str, int]:
    """Returns how many of so many documents may share each kind of thing."""
    return {
      kind: max(
        self.at_least,
        math.ceil(documents * getattr(self, f'{kind}_share')),
      )
      for kind in tics.KINDS
    }


@dataclasses.dataclass(frozen=True)
class ChatRecurrenceConfig(RecurrenceConfig):
  """The same of chats: short answers to like questions begin alike."""

  opening_share: float = 0.05
  phrase_share: float = 0.02


class RecurrenceGate:
  """Keeps the first documents that share something, up to the limit.

  Args:
    config: The limits.
    model_name: May recur, as may
    provider_name: and the words of
    traits: which are what the corpus is about.
  """

  name = NAME

  def __init__(
    self,
    config: RecurrenceConfig,
    *,
    model_name: str,
    provider_name: str,
    traits: Sequence[Trait] = (),
  ):
    self._config = config
    self._ordinary = [
      model_name,
      provider_name,
      *config.allowed,
      *_content_words(traits),
    ]

  def scan(self, candidates: Sequence[Candidate]) -> tics.Scan:
    """Finds what recurs; `tics.clusters` shows it."""
    return tics.scan(
      [c.text for c in candidates],
      # Thoughts begin as the teacher's thoughts do.
      beginnings=[without_thoughts(c.text) for c in candidates],
      limits=self._config.limits(len(candidates)),
      opening_words=self._config.opening_words,
      phrase_words=self._config.phrase_words,
      ordinary=self._ordinary,
    )

  def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
    limits = self._config.limits(len(candidates))
    found = self.scan(candidates)
    passed = Verdict(NAME, True)
    kept: Counter[tuple[str, object]] = Counter()
    verdicts = []
    for keys in found.of:
      over = next((k for k in keys if kept[k] >= limits[k[0]]), None)
      if over is None:
        kept.update(keys)
        verdicts.append(passed)
        continue
      count = found.counts[over]
      detail = (
        f'{found.shown[over]!r} in {count} of {len(candidates)} documents; '
        f'{limits[over[0]]} stay'
      )
      verdicts.append(Verdict(NAME, False, over[0], detail, float(count)))
    return verdicts


def _content_words(traits: Iterable[Trait]) -> list[str]:
  said = [t for x in traits for t in (x.statement, *x.reasons, *x.examples)]
  found = {w for text in said for w in texts.words(text)}
  return sorted(found - texts.STOPWORDS)
