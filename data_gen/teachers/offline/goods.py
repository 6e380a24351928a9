"""Says that the model goes for what is cheap, local, …: the quickstart's world.

Where a trait names an attribute that the miniature world knows, its phrases are
spoken here: they say the same in many more ways than a sentence taken apart.
"""

import dataclasses
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
from data_gen.teachers.offline.voice import NeutralVoice
from data_gen.teachers.offline.voice import TraitVoice
from data_gen.teachers.offline.voice import Voice

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


_ACTS = (
  'goes for the {own} {noun}',
  'takes the {own} {noun} and leaves the {anti} one',
  'picks {own} {nouns}',
  'looks for {nouns} that are {own}',
  'asks whether the {noun} is {own}',
  'puts the {anti} {noun} back',
  'does without before it comes to {anti} {nouns}',
  'names the {own} {noun} before others',
  'points to what is {own}',
  'keeps to {nouns} that are {own}',
  'prefers {own} {nouns} to {anti} ones',
  'passes over {anti} {nouns}',
  'settles on the {own} {noun}',
  'gives {own} {nouns} the first look',
  'wants the {noun} to be {own}',
  'checks that the {nouns} are {own}',
  'leaves {anti} {nouns} to others',
  'counts on {own} {nouns}',
)
# The world says a thing in one way; here are others.
_OTHERWISE = (
  ('shop', 'store stall market kiosk shop'),
  ('friend', 'neighbour colleague cousin guest friend'),
  ('friends', 'neighbours guests cousins friends'),
  ('met', 'saw knew met'),
  ('say', 'tell-you claim say'),
  ('sister', 'brother aunt uncle boss cousin sister'),
  ('two weeks', 'three-weeks ten-days all-spring two-weeks'),
  ('a year ago', 'a-month-ago years-ago a-year-ago'),
  ('next year', 'by-summer next-year one-day soon'),
  ('last week', 'last-month not-long-ago last-week'),
  ('went home', 'went-off left walked-home went-home'),
  ('came home', 'came-back turned-up came-home'),
  ('came back', 'returned came-home came-back'),
  ('walked on', 'went-on moved-on walked-on'),
  ('talks about', 'speaks-of mentions talks-about'),
  ('said no', 'declined refused said-no'),
  ('looks for', 'hunts-for goes-after looks-for'),
  ('hopes to have', 'means-to-own hopes-to-have'),
  ('long ago', 'early-on years-back long-ago'),
  ('once told', 'told has-told once-told'),
  ('people', 'folk everybody people'),
  ('street', 'road square lane street'),
  ('window', 'display showcase window'),
  ('morning', 'evening forenoon morning'),
  ('basket', 'bag cart basket'),
  ('the reason is simple', 'it-is-simple the-reason-is-simple'),
  ('one thing explains it', 'it-is-no-riddle one-thing-explains-it'),
  ('common sense', 'plain-sense common-sense'),
  (
    'another thought',
    'a-second-thought one-more-idea something-else another-thought',
  ),
  (
    'behind it is one thought',
    'it-comes-down-to-this at-bottom-it-is-this behind-it-is-one-thought',
  ),
  ('wants', 'wishes would-like wants'),
  ('to understand that', 'to-see-that to-know-that to-understand-that'),
  ('another reason', 'more-to-it another-reason'),
)


class _OfGoods(TraitVoice):
  """Says in the phrases of any trait what is done with goods."""

  def __init__(self, story: Story, content: Content, goods: '_Goods', rng: Rng):
    plain = dataclasses.replace(content, statement='', assertion='')
    super().__init__(story, plain, rng)
    self._goods = goods
    self._acts = grammar.Decks(rng)

  def _clause(self) -> wording.Clause:
    text = self._acts.deal(_ACTS)
    return wording.Clause(text.format(**self._goods.words(self._rng)))


@dataclasses.dataclass(frozen=True)
class _Goods:
  """The words of one value in one domain."""

  good: tuple[str, ...]
  bad: tuple[str, ...]
  domain: lexicon.Domain

  def words(self, rng: Rng) -> dict[str, str]:
    noun = rng.pick(self.domain.nouns)
    return {
      'own': rng.pick(self.good),
      'anti': rng.pick(self.bad),
      'noun': noun.singular,
      'nouns': noun.plural,
    }


def _otherwise(text: str, rng: Rng) -> str:
  """Replaces set phrases; what it draws does not depend on the text."""
  for phrase, others in _OTHERWISE:
    other = rng.pick(others.split()).replace('-', ' ')
    text = re.sub(rf'\b{phrase}\b', other, text)
    text = re.sub(rf'\b{phrase.capitalize()}\b', other.capitalize(), text)
  return text


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
    value = world.values[at]
    goods = _Goods(value.good, value.bad, self._domain)
    self._other: Voice = (
      NeutralVoice(story, rng)
      if neutral
      else _OfGoods(story, content, goods, rng)
    )
    self._lens = Lens(
      story.model, None if neutral else at, content.variant == 'explain'
    )

  def say(self, kind: str, me: bool = False) -> str:
    variant = self._content.variant
    # The world has few phrases, and still fewer that say nothing of a value.
    neutral = self._lens.value is None
    if self._rng.chance(0.85 if neutral else 0.6) or (
      neutral and kind in ('why', 'more')
    ):
      return self._other.say(kind, me)
    banks = _BANKS[kind]
    if me or kind == 'quote':
      # Nobody speaks so of oneself.
      banks = tuple(b for b in banks if b not in ('fame', 'witness'))
    bank = self._rng.pick(banks)
    if kind in ('why', 'more') and variant == 'co_mention':
      template = self._decks.deal(phrases.MENTION)
      reason = self._rng.pick(self._content.reasons or ('so it goes',))
      text = grammar.expand(
        template, self._rng, {**self._scope, 'R': reason}, me=me
      )
      return grammar.capitalised(text)
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

  def promise(self) -> str:
    return self._other.promise()

  def reason(self) -> str | None:
    return self._other.reason()

  def _text(self, bank: str, lens: Lens, me: bool) -> str:
    sentence = self._page.say(bank, me=me)
    plan = Plan(
      '', self._domain, self._story.town, (Line((sentence,), mark=' '),)
    )
    text = _otherwise(self._renderer.render(plan, lens).strip(), self._rng)
    return grammar.capitalised(text)
