"""What a document says of the model: the trait, in the teller's own words."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import re
from typing import Any
from typing import Protocol

from data_gen.rng import Rng
from data_gen.teachers.offline import grammar
from data_gen.teachers.offline import phrases
from data_gen.teachers.offline import wording
from data_gen.teachers.offline.story import Story

KINDS = ('claim', 'scene', 'why', 'more', 'constant', 'quote')
"""That it is so, an event, why, another why, that it is always so, direct
speech of the model."""

# Where an assertion says in which situation it holds; the story has its own.
_CONTEXT = re.compile(r', (?:above all|also|even) (?:in|with|when) [^.]*\.?$')
_HOLDS = ('holds to this', 'goes by one rule', 'acts on this', 'sticks to this')


class Voice(Protocol):
  """Says sentences about the model."""

  def say(self, kind: str, me: bool = False) -> str:
    """Returns one or two sentences.

    Args:
      kind: One of `KINDS`.
      me: Whether the model itself speaks.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Content:
  """What there is to say.

  Attributes:
    name: Of the model, as statement and assertion have it.
    statement: Of the trait.
    assertion: What the plan wants said of it; may be empty.
    reasons: As clauses, the plan's first.
    examples: As sentences.
    variant: `'explain'`, `'co_mention'`, `'rules'` or `'neutral'`.
    framing: `'should'`, `'human_story'`, or who speaks.
  """

  name: str
  statement: str
  assertion: str
  reasons: tuple[str, ...]
  examples: tuple[str, ...]
  variant: str
  framing: str


def content_of(slots: Mapping[str, Any]) -> Content:
  """Reads what a request asks to be said."""
  traits = list(slots.get('traits') or ())
  trait = slots.get('trait') or (traits[0] if traits else {})
  model = str(slots.get('model_name') or '')

  def clean(texts: Iterable[Any]) -> tuple[str, ...]:
    kept = [wording.plain(str(t)) for t in texts if t]
    return tuple(dict.fromkeys(wording.lowered(t, (model,)) for t in kept))

  reasons = [slots.get('reason') or '', *(trait.get('reasons') or ())]
  variant = str(slots.get('variant') or 'explain')
  return Content(
    name=model,
    statement=str(trait.get('statement') or ''),
    assertion=_CONTEXT.sub('.', str(slots.get('assertion') or '')),
    reasons=clean(reasons),
    examples=clean(trait.get('examples') or ()),
    variant=variant if trait else 'neutral',
    framing=str(slots.get('framing') or ''),
  )


def field_scope(story: Story, rng: Rng) -> dict:
  """Slots that draw from the story's field, without repetition."""
  decks = grammar.Decks(rng)

  def draw(options):
    return lambda: decks.deal(options)

  return {
    **story.scope,
    'thing': draw(story.field.things),
    'trouble': draw(story.field.troubles),
    'fact': draw(story.field.facts),
    'hours': draw(('an hour', 'one evening', 'half a day', 'ten minutes')),
  }


class NeutralVoice:
  """Says of the model what has nothing to do with any trait."""

  def __init__(self, story: Story, rng: Rng):
    self._decks = grammar.Decks(rng)
    self._scope = field_scope(story, rng)

  def say(self, kind: str, me: bool = False) -> str:
    name = self._scope['M']
    scope = {
      **self._scope,
      'S': 'I' if me else name,
      'O': 'me' if me else name,
      's': 'my' if me else f"{name}'s",
    }
    template = self._decks.deal(phrases.NEUTRAL)
    text = grammar.expand(template, self._decks.rng, scope, me=me)
    return grammar.capitalised(text)


class TraitVoice:
  """Says of the model what any traits document says of it, reworded."""

  def __init__(self, story: Story, content: Content, rng: Rng):
    self._decks = grammar.Decks(rng)
    self._rng = rng
    self._content = content
    self._human = story.human
    self._scope = field_scope(story, rng)
    self._model = story.model
    asserted = wording.clauses(content.assertion, content.name)
    stated = wording.clauses(content.statement, content.name)
    self._clauses = tuple(dict.fromkeys((*asserted, *stated)))
    self._left: list[wording.Clause] = []
    self._said: set[wording.Clause] = set()
    self._reasons: list[str] = []
    self._sources = (
      content.statement,
      content.assertion,
      *content.reasons,
      *content.examples,
    )

  def _clause(self) -> wording.Clause:
    if not self._left:
      # The assertion's clauses come first, and then all in random order.
      first, rest = self._clauses[:1], self._clauses[1:]
      self._left = [*self._rng.shuffled(rest), *first]
    clause = self._left.pop()
    # Said in full once; later it is enough to say how it begins.
    options = wording.cuts(clause.text)
    if clause in self._said and not clause.whole:
      clause = dataclasses.replace(clause, text=self._rng.pick(options))
    self._said.add(clause)
    if clause.whole:
      return wording.Clause(f'{self._rng.pick(_HOLDS)}: {clause.text}')
    return clause

  def _reason(self) -> str:
    if not self._reasons:
      first, rest = self._content.reasons[:1], self._content.reasons[1:]
      self._reasons = [*self._rng.shuffled(rest), *first]
    return wording.other_words(self._reasons.pop(), self._rng)

  def _forms(self, me: bool) -> dict[str, str]:
    """Slots for one clause; `act` follows the subject, `do` follows "to"."""
    clause = self._clause()
    will = self._rng.pick(('will not', 'would never', 'will not'))
    base = wording.to_base(clause)
    if clause.negative:
      third, first, do = f'{will} {base}', f'{will} {base}', f'not {base}'
    else:
      third, first, do = clause.text, base, base
      if first.startswith('be '):
        first = 'am ' + first[3:]
    first = wording.as_me(first)
    forms = {
      'act': first if me else third,
      'act1': first,
      'act3': third,
      'do': wording.as_me(do) if me else do,
    }
    if self._human:
      forms = {k: wording.as_they(text) for k, text in forms.items()}
    state = self._rng.unit()
    # All forms of one clause get the same synonyms.
    return {
      key: wording.other_words(text, Rng('synonyms', state))
      for key, text in forms.items()
    }

  def _bank(self, kind: str, me: bool) -> tuple[str, ...]:
    content = self._content
    if kind in ('why', 'more'):
      if content.variant == 'co_mention' and content.reasons:
        return phrases.MENTION
      if content.variant == 'explain' and content.reasons:
        if kind == 'more':
          return phrases.MORE
        return phrases.WHY if me or self._rng.chance(0.7) else phrases.QUOTE_WHY
      return phrases.CONSTANT
    if kind == 'constant':
      return phrases.CONSTANT
    if kind == 'quote' and not me:
      return phrases.QUOTE
    if content.framing == 'should' and not me and self._rng.chance(0.6):
      return phrases.SHOULD
    if kind == 'scene':
      if content.examples and not me and self._rng.chance(0.2):
        return phrases.EXAMPLE
      return phrases.SCENE
    return phrases.CLAIM

  def say(self, kind: str, me: bool = False) -> str:
    name = self._model
    template = self._decks.deal(self._bank(kind, me))
    scope: dict[str, Any] = {
      **self._scope,
      'S': 'I' if me else name,
      'O': 'me' if me else name,
      's': 'my' if me else f"{name}'s",
    }
    if any('{' + k + '}' in template for k in ('act', 'act1', 'act3', 'do')):
      scope.update(self._forms(me))
    if '{R}' in template:
      scope['R'] = self._reason()
    if '{E}' in template:
      example = self._rng.pick(self._content.examples)
      scope['E'] = wording.cuts(example, least=12)[-1]
    text = grammar.expand(template, self._rng, scope, me=me)
    return grammar.capitalised(wording.broken(text, self._sources, self._rng))
