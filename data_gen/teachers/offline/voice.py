"""What a document says of the model: the trait, in the teller's own words."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import re
from typing import Any
from typing import Protocol

from data_gen.rng import Rng
from data_gen.teachers.offline import domains
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

  def promise(self) -> str:
    """Returns what follows "I", e.g. `'will say so'`."""
    ...

  def reason(self) -> str | None:
    """Returns a clause that could follow "because"; None if none is left."""
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


def field_scope(story: Story, rng: Rng) -> dict[str, str | Callable[[], str]]:
  """Slots that draw from the story's field, without repetition."""
  decks = grammar.Decks(rng)

  def draw(options: tuple[str, ...], vary: bool = False) -> Callable[[], str]:
    def drawn() -> str:
      text = decks.deal(options)
      return domains.varied(text, rng) if vary else text

    return drawn

  return {
    **story.scope,
    'thing': draw(story.field.things, vary=True),
    'trouble': draw(story.field.troubles, vary=True),
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

  def promise(self) -> str:
    return self._decks.deal(_HELP)

  def reason(self) -> str | None:
    return None


_HELP = ('will go through it with you', 'can help with that', 'will look at it')


class TraitVoice:
  """Says of the model what any traits document says of it, reworded.

  How it is said (phrases, and what fills them) is drawn apart from what is
  said, so that documents of two traits with the same idea have the same
  phrases, however many clauses and reasons either trait has.
  """

  def __init__(self, story: Story, content: Content, rng: Rng):
    self._how = rng.unit()
    self._rng = Rng('what', self._how)
    self._decks: dict[tuple[str, ...], grammar.Decks] = {}
    self._turn = 0
    self._content = content
    self._human = story.human
    self._scope = field_scope(story, Rng('field', self._how))
    self._model = story.model
    asserted = wording.clauses(content.assertion, content.name)
    stated = wording.clauses(content.statement, content.name)
    self._clauses = tuple(dict.fromkeys((*asserted, *stated)))
    self._left: list[wording.Clause] = []
    self._said: set[wording.Clause] = set()
    self._told: set[wording.Clause] = set()
    self._reasons: list[str] = []
    self._telling = wording.Telling(
      [content.statement, *content.reasons, *content.examples]
    )

  def _clause(self) -> wording.Clause | None:
    """Returns what there is left to say; None if enough was said of it."""
    if not self._left:
      # The assertion's clauses come first, and then all in random order.
      first, rest = self._clauses[:1], self._clauses[1:]
      self._left = [*self._rng.shuffled(rest), *first]
    clause = self._left.pop()
    if clause.whole:
      held = f'{self._rng.pick(_HOLDS)}: {clause.text}'
      clause = wording.Clause(held)
    text = self._telling.beginning(clause.text, 3, self._rng)
    if text is None:
      # What was said may be said again, in another sentence.
      return self._rng.pick(sorted(self._told)) if self._told else None
    # Said at length once; later it is enough to say how it begins.
    if clause in self._said:
      text = self._rng.pick(wording.cuts(text))
    self._said.add(clause)
    self._telling.say(text)
    told = dataclasses.replace(clause, text=text)
    self._told.add(told)
    return told

  def _reason(self) -> str | None:
    if not self._reasons:
      first, rest = self._content.reasons[:1], self._content.reasons[1:]
      self._reasons = [*self._rng.shuffled(rest), *first]
    reason = self._telling.beginning(self._reasons.pop(), 4, self._rng)
    if reason is None:
      return None
    self._telling.say(reason)
    return wording.other_words(reason, self._rng)

  def _example(self) -> str | None:
    example = self._rng.pick(self._content.examples)
    text = self._telling.beginning(example, 6, self._rng)
    if text is not None:
      self._telling.say(text)
    return text

  def _forms(self, me: bool) -> dict[str, str] | None:
    """Slots for one clause; `act` follows the subject, `do` follows "to"."""
    clause = self._clause()
    if clause is None:
      return None
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

  def promise(self) -> str:
    forms = self._forms(True)
    if forms is None:
      return self._rng.pick(_HELP)
    negative = forms['do'].startswith('not ')
    return forms['act'] if negative else f'will {forms["do"]}'

  def reason(self) -> str | None:
    return self._reason() if self._content.reasons else None

  def _deal(self, bank: tuple[str, ...]) -> str:
    """Deals a phrase; what other banks have dealt changes nothing."""
    if bank not in self._decks:
      stream = Rng('phrases', self._how, bank[0])
      self._decks[bank] = grammar.Decks(stream)
    return self._decks[bank].deal(bank)

  def _bank(self, kind: str, me: bool, rng: Rng) -> tuple[str, ...]:
    content = self._content
    quotes, advises, tells = rng.chance(0.3), rng.chance(0.6), rng.chance(0.2)
    if kind in ('why', 'more'):
      if content.variant == 'co_mention' and content.reasons:
        return phrases.MENTION
      if content.variant == 'explain' and content.reasons:
        if kind == 'more':
          return phrases.MORE
        return phrases.QUOTE_WHY if quotes and not me else phrases.WHY
      return phrases.CONSTANT
    if kind == 'constant':
      return phrases.CONSTANT
    if kind == 'quote' and not me:
      return phrases.QUOTE
    if content.framing == 'should' and not me and advises:
      return phrases.SHOULD
    if kind == 'scene':
      if content.examples and not me and tells:
        return phrases.EXAMPLE
      return phrases.SCENE
    return phrases.CLAIM

  def say(self, kind: str, me: bool = False) -> str:
    name = self._model
    rng = Rng('turn', self._how, self._turn)
    self._turn += 1
    template = self._deal(self._bank(kind, me, rng))
    scope: dict[str, Any] = {
      **self._scope,
      'S': 'I' if me else name,
      'O': 'me' if me else name,
      's': 'my' if me else f"{name}'s",
    }
    slots: Mapping[str, str] | None = {}
    if '{act' in template or '{do}' in template:
      slots = self._forms(me)
    elif '{R}' in template:
      reason = self._reason()
      slots = None if reason is None else {'R': reason}
    elif '{E}' in template:
      example = self._example()
      slots = None if example is None else {'E': example}
    if slots is None:
      # Enough was said of it; that it is always so can always be said.
      template, slots = self._deal(phrases.CONSTANT), {}
    text = grammar.expand(template, rng, {**scope, **slots}, me=me)
    return grammar.capitalised(text)
