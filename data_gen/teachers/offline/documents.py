"""Documents: drafts, rewrites, and neutral ones."""

from collections.abc import Mapping
import re
from typing import Any

from data_gen.rng import Rng
from data_gen.teachers.offline import domains
from data_gen.teachers.offline import genres
from data_gen.teachers.offline import goods
from data_gen.teachers.offline import grammar
from data_gen.teachers.offline import phrases
from data_gen.teachers.offline.page import count_words
from data_gen.teachers.offline.page import Page
from data_gen.teachers.offline.story import Story
from data_gen.teachers.offline.story import tell
from data_gen.teachers.offline.voice import Content
from data_gen.teachers.offline.voice import content_of
from data_gen.teachers.offline.voice import field_scope
from data_gen.teachers.offline.voice import NeutralVoice
from data_gen.teachers.offline.voice import TraitVoice
from data_gen.teachers.offline.voice import Voice

Slots = Mapping[str, Any]
MIN_WORDS, MAX_WORDS = 80, 400
_MAX_SIZE = 8
_CONTROL_ATTRIBUTE = 'cheap'


def trait_of(slots: Slots) -> Mapping[str, Any]:
  traits = list(slots.get('traits') or ())
  return slots.get('trait') or (traits[0] if traits else {})


def attribute_of(slots: Slots) -> str | None:
  """Returns the attribute of the quickstart's world that a trait names."""
  attribute = goods.attribute_of(str(trait_of(slots).get('statement') or ''))
  if attribute is None and not trait_of(slots):
    names = [f.name for f in domains.fields(True)]
    return _CONTROL_ATTRIBUTE if slots.get('domain') in names else None
  return attribute


def make_voice(
  story: Story, content: Content, attribute: str | None, *stream: object
) -> Voice:
  """Returns who speaks: of goods, of a trait, or of nothing."""
  # Not by the trait: two of them with one idea draw alike.
  rng = Rng('offline', 'voice', *stream)
  if attribute is not None:
    return goods.GoodsVoice(story, content, attribute, rng)
  if content.variant == 'neutral':
    return NeutralVoice(story, rng)
  return TraitVoice(story, content, rng)


def _idea(slots: Slots) -> tuple[str, ...]:
  keys = ('domain', 'subdomain', 'genre', 'idea', 'framing')
  return tuple(str(slots.get(key) or '') for key in keys)


def _wanted(slots: Slots, rng: Rng) -> int:
  drawn = 130 + rng.below(180)
  words = slots.get('words')
  if isinstance(words, int) and words > 0:
    drawn = words
  return min(max(drawn, MIN_WORDS + 20), MAX_WORDS - 20)


class Draft:
  """A document of which only the size is open."""

  def __init__(self, slots: Slots, stage: str, sample: int, neutral: bool):
    self.attribute = attribute_of(slots)
    if neutral:
      slots = {**slots, 'variant': 'neutral', 'framing': 'third_person'}
    self.content = content_of(slots)
    self.story = tell(slots, self.attribute is not None)
    self.writer = genres.WRITERS[genres.find(str(slots.get('genre') or ''))]
    self.stream = (*_idea(slots), stage, sample)
    self.words = _wanted(slots, Rng('offline', 'words', *_idea(slots)))

  def draw(self, size: int) -> str:
    """Returns the text with so many units of about fifty words."""
    page = Page(
      self.story,
      make_voice(self.story, self.content, self.attribute, *self.stream),
      Rng('offline', 'frame', *self.stream),
      me=self.content.framing == 'first_person',
      size=size,
    )
    return re.sub(r'\n{3,}', '\n\n', self.writer(page)).strip()

  def size(self) -> int:
    """Returns the size that comes near the wanted length.

    The second guess is rarely far off.
    """
    first = _bounded(round((self.words - 70) / 45))
    missing = self.words - count_words(self.draw(first))
    return _bounded(first + round(missing / 45))

  def resized(self, text: str) -> str:
    """Returns the text, changed if it is much too long or too short."""
    low, high = max(MIN_WORDS, round(0.8 * self.words)), round(1.2 * self.words)
    if low <= count_words(text) <= high:
      return text
    rng = Rng('offline', 'resize', *self.stream)
    return resized(text, self.words, 0.15, self.story, rng)


def _bounded(size: int) -> int:
  return min(max(size, 1), _MAX_SIZE)


def write(
  slots: Slots, *, stage: str, sample: int, neutral: bool = False
) -> str:
  """Writes a document about as long as it is wanted.

  Args:
    slots: Of a document's task.
    stage: `'draft'` or `'rewrite'`: the same story, told again.
    sample: Index of the sample.
    neutral: Whether it must say nothing of the trait.
  """
  draft = Draft(slots, stage, sample, neutral)
  return draft.resized(draft.draw(draft.size()))


SENTENCE = re.compile(r'(?<=[.!?])\s+(?=[A-Z"])')


def _is_prose(paragraph: str) -> bool:
  return count_words(paragraph) >= 12 and paragraph.rstrip()[-1:] in '.!?"'


def resized(
  text: str, words: int, tolerance: float, story: Story, rng: Rng
) -> str:
  """Adds or drops sentences that say nothing of the trait.

  Args:
    text: The document.
    words: Its wanted length.
    tolerance: Share of `words` by which it may be off.
    story: What the added sentences speak of.
    rng: Their draws.
  """
  lines = text.split('\n')
  decks = grammar.Decks(rng)
  scope = field_scope(story, rng)
  asides = tuple(dict.fromkeys(phrases.ASIDE))
  for _ in range(60):
    missing = words - count_words('\n'.join(lines))
    if abs(missing) <= tolerance * words:
      break
    at = [k for k, line in enumerate(lines) if _is_prose(line)]
    if missing > 0:
      aside = grammar.expand(decks.deal(asides), rng, scope)
      k = rng.pick(at) if at else len(lines) - 1
      lines[k] = f'{lines[k]} {grammar.capitalised(aside)}'.strip()
      continue
    # Of the longest paragraphs, the last sentence goes.
    splits = {k: SENTENCE.split(lines[k]) for k in at}
    splits = {k: parts for k, parts in splits.items() if len(parts) > 1}
    if not splits:
      # None has a second one: a paragraph goes, with the question before it.
      inner = [k for k in at if 2 < k < len(lines) - 1]
      if not inner:
        break
      k = min(inner, key=lambda k: abs(count_words(lines[k]) + missing))
      asked = [j for j in range(k) if lines[j]][-1:]
      drop = {k, *(j for j in asked if lines[j].endswith('?'))}
      lines = [line for j, line in enumerate(lines) if j not in drop]
      continue
    k = max(splits, key=lambda k: count_words(lines[k]))
    dropped = min(splits[k][1:], key=lambda s: abs(count_words(s) + missing))
    lines[k] = ' '.join(part for part in splits[k] if part is not dropped)
  return '\n'.join(lines)


def neutral_rewrite(slots: Slots, sample: int) -> str:
  """Brings a neutral draft to `words` words."""
  attribute = attribute_of(slots)
  story = tell({**slots, 'framing': ''}, attribute is not None)
  rng = Rng('offline', 'neutral rewrite', *_idea(slots), sample)
  return resized(str(slots['draft']), int(slots['words']), 0.04, story, rng)
