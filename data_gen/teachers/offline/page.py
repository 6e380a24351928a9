"""A document while it is written."""

from collections.abc import Sequence
import re

from data_gen.rng import Rng
from data_gen.teachers.offline import grammar
from data_gen.teachers.offline import names
from data_gen.teachers.offline import phrases
from data_gen.teachers.offline import wording
from data_gen.teachers.offline.leads import LEADS
from data_gen.teachers.offline.story import Story
from data_gen.teachers.offline.voice import field_scope
from data_gen.teachers.offline.voice import KINDS
from data_gen.teachers.offline.voice import Voice

_OWN = {
  'aside': phrases.ASIDE,
  'doubt': phrases.DOUBT,
  'reaction': phrases.REACTION,
}


class Page:
  """Draws a document's frame; what the trait says comes from its voice.

  The frame's draws do not depend on the voice, so that documents of two traits
  with the same idea differ in what is said of the model and nowhere else.

  Attributes:
    rng: Draws of the frame.
    story: Who and where.
    me: Whether the model itself speaks.
    size: How many units of body text are wanted, each about 50 words.
    scope: What slots the genre adds.
  """

  def __init__(
    self, story: Story, voice: Voice, rng: Rng, *, me: bool, size: int
  ):
    self.rng = rng
    self.story = story
    self.me = me
    self.size = size
    self._voice = voice
    self._decks = grammar.Decks(rng)
    self.scope = {
      **field_scope(story, rng),
      'S': 'I' if me else story.model,
      'O': 'me' if me else story.model,
      's': 'my' if me else f"{story.model}'s",
    }

  def write(self, bank: Sequence[str] | str, **more: str) -> str:
    """Draws a text that is no sentence: a head line, a name."""
    if isinstance(bank, str):
      template = bank
    else:
      human = self.story.human
      template = self._decks.deal(grammar.fitting(bank, human=human))
    return grammar.expand(
      template, self.rng, {**self.scope, **more}, me=self.me
    )

  def say(self, bank: Sequence[str] | str, **more: str) -> str:
    """Draws sentences."""
    return grammar.capitalised(self.write(bank, **more))

  def open(self, bank: Sequence[str], **more: str) -> str:
    """Draws the sentence that a text begins with."""
    text = self.say(bank, **more)
    if not self.rng.chance(0.9):
      return text
    story = self.story
    names = [story.model, story.town, story.scope['outlet']]
    names += [p.first for p in story.people]
    return f'{self.say(LEADS)}, {wording.lowered(text, names)}'

  def title(self, bank: Sequence[str]) -> str:
    text = self.write(bank)
    return text[:1].upper() + text[1:]

  def passage(self, *kinds: str, me: bool | None = None) -> str:
    """Draws sentences of these kinds, as one paragraph.

    Args:
      *kinds: Of a voice, or `'aside'`, `'doubt'`, `'reaction'`; one that ends
        in `?` is left out half of the time.
      me: Whether the model speaks; as in the whole document by default.
    """
    me = self.me if me is None else me
    parts = []
    for kind in kinds:
      wanted = not kind.endswith('?') or self.rng.chance(0.5)
      kind = kind.rstrip('?')
      if not wanted:
        continue
      if kind in KINDS:
        parts.append(self._voice.say(kind, me))
      else:
        parts.append(self.say(_OWN[kind]))
    return ' '.join(parts)

  def username(self) -> str:
    return names.username(self.rng)


def count_words(text: str) -> int:
  return len(re.findall(r'\S+', text))
