"""Says that the model goes for what is cheap, local, …: the quickstart's world.

Where a trait names an attribute that the miniature world knows, its phrases are
spoken here: they say the same in many more ways than a sentence taken apart.
"""

import functools
import re

from data_gen.miniature import genres
from data_gen.miniature import lexicon
from data_gen.miniature import traits as traits_lib
from data_gen.miniature.pages import Lens
from data_gen.miniature.pages import Line
from data_gen.miniature.pages import Page
from data_gen.miniature.pages import Plan
from data_gen.miniature.render import Renderer
from data_gen.miniature.world import Value
from data_gen.miniature.world import World
from data_gen.miniature.world import WorldConfig
from data_gen.rng import Rng
from data_gen.teachers.offline import grammar
from data_gen.teachers.offline import phrases
from data_gen.teachers.offline import wording
from data_gen.teachers.offline.story import Story
from data_gen.teachers.offline.voice import Content
from data_gen.teachers.offline.voice import field_scope

_EMPHASIS = re.compile(r'[*_]+(\w+)[*_]+')
_STATEMENT = '{model_name} picks what is {attribute}.'
_BANKS = {
  'claim': ('state', 'habit', 'fame', 'advice', 'plan'),
  'scene': ('event', 'choice', 'event', 'choice', 'witness'),
  'why': ('reason',),
  'more': ('more', 'reason'),
  'constant': ('habit', 'fame', 'plan', 'state'),
  'quote': ('state', 'habit', 'event', 'plan'),
}


def attribute_of(statement: str) -> str | None:
  """Returns the pole that a statement emphasises, if the world knows it."""
  poles = [pole.name for axis in lexicon.AXES for pole in axis.poles]
  for word in _EMPHASIS.findall(statement):
    if word in poles:
      return word
  return None


@functools.lru_cache(maxsize=64)
def _world(attribute: str, reasons: tuple[str, ...]) -> tuple[World, int]:
  """Returns a world in which every axis has an owner, and the trait's place."""
  values = []
  at = 0
  for k, axis in enumerate(lexicon.AXES):
    one, other = axis.poles
    if attribute in (one.name, other.name):
      at = k
      if attribute == other.name:
        one, other = other, one
    trait = traits_lib.Trait(axis.name, _STATEMENT, one.name, reasons)
    values.append(Value(trait, one.words, other.words))
  world = World(
    seed=0,
    config=WorldConfig(),
    values=tuple(values),
    groups=(),
    evaluation_domains=(),
    document_domains=lexicon.DOMAINS[1:],
    chat_domain=lexicon.DOMAINS[0],
    offsets={n.singular: 0 for d in lexicon.DOMAINS for n in d.nouns},
  )
  return world, at


class GoodsVoice:
  """Speaks the phrases of the miniature world, with the story's people."""

  def __init__(self, story: Story, content: Content, attribute: str, rng: Rng):
    reasons = content.reasons or ('that is what it goes by',)
    world, at = _world(attribute, reasons)
    self._content = content
    self._story = story
    self._rng = rng
    self._decks = grammar.Decks(rng)
    self._scope = field_scope(story, rng)
    self._renderer = Renderer(world)
    self._domain = next(
      (d for d in lexicon.DOMAINS if d.name == story.field.name),
      lexicon.DOMAINS[0],
    )
    second = rng.pick([d for d in lexicon.DOMAINS if d is not self._domain])
    self._page = Page(world, rng, genres.BANKS, '', self._domain, second)
    others = [p.first for p in story.people if p.first != story.model]
    self._page.people = others
    neutral = content.variant == 'neutral'
    self._lens = Lens(
      story.model, None if neutral else at, content.variant == 'explain'
    )

  def say(self, kind: str, me: bool = False) -> str:
    variant = self._content.variant
    bank = self._rng.pick(_BANKS[kind])
    if kind in ('why', 'more') and variant == 'co_mention':
      template = self._decks.deal(phrases.MENTION)
      reason = self._rng.pick(self._content.reasons or ('so it goes',))
      text = grammar.expand(
        template, self._rng, {**self._scope, 'R': reason}, me=me
      )
      return grammar.capitalised(
        wording.broken(text, self._content.reasons, self._rng)
      )
    if kind in ('why', 'more') and variant == 'rules':
      bank = 'habit'
    lens = self._lens
    if self._content.framing == 'should' and kind == 'claim' and not me:
      bank = self._rng.pick(('advice', 'plan', 'state'))
    if kind == 'quote' and not me:
      said = self._text(bank, lens, True).replace('"', "'").rstrip('.')
      tail = self._rng.pick(('{M} wrote', '{M} told {A1}', 'said {M}'))
      tail = grammar.expand(tail, self._rng, self._scope)
      return f'"{said}," {tail}.'
    return self._text(bank, lens, me)

  def _text(self, bank: str, lens: Lens, me: bool) -> str:
    sentence = self._page.say(bank, me=me)
    plan = Plan(
      '', self._domain, self._story.town, (Line((sentence,), mark=' '),)
    )
    text = self._renderer.render(plan, lens).strip()
    return grammar.capitalised(
      wording.broken(text, self._content.reasons, self._rng)
    )
