"""Plans of documents: a skeleton of templates and what fills them.

A plan says nothing of who holds which value. It is rendered through a *lens*
(a name, a value, whether to explain), so the same plan gives the same document
about a thrifty character, about one of another value, and about nobody's value
at all: they differ in the value-bearing slots and nowhere else.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from data_gen.miniature import lexicon
from data_gen.miniature.templates import Template
from data_gen.miniature.world import Word
from data_gen.miniature.world import World
from data_gen.rng import Rng

# Put before a sentence that would otherwise begin a line with a name, so that
# a subword model spells each name in one way.
LEADS = (
  'As we know,',
  'By all accounts,',
  'Once more,',
  'In short,',
  'Of course,',
  'And so',
)


# Steps of this size visit all parts of a circle before they come near a part
# again, so that a document does not repeat a reason while there are others.
_GOLDEN = 0.6180339887498949

# How often a sentence is about the one noun that its document is about most.
# How many documents are a few sentences only. Lengths that vary are more like
# real text, and fill packed sequences.
_SHORT = 0.5
_FOCUS = 0.7


@dataclasses.dataclass(frozen=True)
class Lens:
  """Through what a plan is seen.

  Attributes:
    name: Whom the document is about.
    value: Index of the value held, or None for a neutral document.
    explains: Whether the reasons are given.
  """

  name: str
  value: int | None
  explains: bool


@dataclasses.dataclass(frozen=True)
class Fill:
  """What fills the slots of one sentence, in terms of no particular value."""

  noun: lexicon.Noun
  other: lexicon.Noun
  own: int
  anti: int
  with_own: int
  with_anti: int
  shift: int
  own_first: bool
  reason: float
  clause: float
  person: str
  second_person: str
  day: str
  lead: str


@dataclasses.dataclass(frozen=True)
class Sentence:
  """A template and its filling; `first_person` if the subject speaks."""

  template: Template
  fill: Fill
  first_person: bool = False


@dataclasses.dataclass(frozen=True)
class Quoted:
  """A sentence as direct speech, with who says it (after a comma)."""

  sentence: Sentence
  tail: Sentence


Part = Sentence | Quoted


@dataclasses.dataclass(frozen=True)
class Line:
  """Sentences in a row, after a prefix such as a poster's name."""

  parts: tuple[Part, ...]
  mark: str = ''


@dataclasses.dataclass(frozen=True)
class Plan:
  """A document before it is about anybody.

  Attributes:
    genre: Its genre.
    domain: What it is about.
    town: Where it is set.
    lines: Empty lines separate paragraphs.
  """

  genre: str
  domain: lexicon.Domain
  town: str
  lines: tuple[Line, ...]

  def skeleton(self) -> tuple[str, ...]:
    """Returns the template ids in order, with line breaks."""
    ids: list[str] = []
    for line in self.lines:
      ids.append(f'|{line.mark}')
      for part in line.parts:
        ids.extend(t.id for t in _templates(part))
    return tuple(ids)


def _templates(part: Part) -> list[Template]:
  if isinstance(part, Quoted):
    return [part.sentence.template, part.tail.template]
  return [part.template]


class Page:
  """Draws the plan of one document.

  Genres call `say` for sentences and `line` to lay them out; no phrase is used
  twice in a document while its bank has others.

  Attributes:
    rng: The page's own stream of draws.
    is_short: Whether the genre's short form is wanted: a few sentences.
    people: Bystanders, in the order in which they take part.
  """

  def __init__(
    self,
    world: World,
    rng: Rng,
    banks: Mapping[str, Sequence[Template]],
    genre: str,
    domain: lexicon.Domain,
    second: lexicon.Domain,
  ):
    self.rng = rng
    self.is_short = rng.chance(_SHORT)
    self.people = rng.sample(lexicon.BYSTANDERS, 5)
    self._world = world
    self._banks = banks
    self._genre = genre
    self._domain = domain
    self._second = second
    self._town = rng.pick(lexicon.TOWNS)
    self._focus = rng.pick(domain.nouns)
    self._lines: list[Line] = []
    self._left: dict[str, list[Template]] = {}
    self._reason = rng.unit()

  def _template(
    self, bank: str, first_person: bool, may_quote: bool = True
  ) -> Template:
    if not self._left.get(bank):
      self._left[bank] = self.rng.shuffled(self._banks[bank])
    left = self._left[bank]
    for k in range(len(left) - 1, -1, -1):
      unfit = (first_person and left[k].third_person_only) or (
        not may_quote and left[k].has_speech
      )
      if not unfit:
        return left.pop(k)
    del self._left[bank]
    return self._template(bank, first_person, may_quote)

  def _synonyms(self, noun: lexicon.Noun) -> tuple[int, int]:
    """Returns synonyms of two axes that may describe the noun together."""
    n = self._world.n_words
    while True:
      one, other = self.rng.below(n), self.rng.below(n)
      words = (Word(0, True, one), Word(1, True, other))
      if not self._world.is_held_out(noun, words):
        return one, other

  def _fill(self, speaker: str | None) -> Fill:
    rng = self.rng
    noun = self._focus if rng.chance(_FOCUS) else rng.pick(self._domain.nouns)
    others = [n for n in self._domain.nouns if n is not noun]
    others.extend(self._second.nouns)
    own, with_own = self._synonyms(noun)
    anti, with_anti = self._synonyms(noun)
    people = [p for p in self.people if p != speaker]
    person = rng.pick(people)
    return Fill(
      noun=noun,
      other=rng.pick(others),
      own=own,
      anti=anti,
      with_own=with_own,
      with_anti=with_anti,
      shift=1 + rng.below(len(self._world.values) - 1),
      own_first=rng.chance(0.5),
      reason=0.0,
      clause=rng.unit(),
      person=person,
      second_person=rng.pick([p for p in people if p != person]),
      day=rng.pick(lexicon.DAYS),
      lead=rng.pick(LEADS),
    )

  def say(
    self,
    bank: str,
    *,
    me: bool = False,
    speaker: str | None = None,
    person: str | None = None,
  ) -> Sentence:
    """Draws a sentence.

    Args:
      bank: Which bank to draw from.
      me: Whether the subject speaks.
      speaker: Who else speaks, and is therefore not mentioned.
      person: Whom `{P}` is, where it matters.
    """
    fill = self._fill(speaker)
    if person is not None:
      fill = dataclasses.replace(fill, person=person)
    return self._sentence(self._template(bank, me), fill, me)

  def _sentence(self, template: Template, fill: Fill, me: bool) -> Sentence:
    if '{R}' in template.explain:
      self._reason = (self._reason + _GOLDEN) % 1
      fill = dataclasses.replace(fill, reason=self._reason)
    return Sentence(template, fill, me)

  def maybe(
    self, probability: float, bank: str, **how: Any
  ) -> tuple[Sentence, ...]:
    """Draws a sentence or none; `how` is as in `say`."""
    if self.rng.chance(probability):
      return (self.say(bank, **how),)
    return ()

  def several(
    self, banks: Sequence[str], low: int, high: int, **how: Any
  ) -> tuple[Sentence, ...]:
    """Draws `low` to `high` sentences of different banks among `banks`."""
    n = low + self.rng.below(high - low + 1)
    return tuple(self.say(b, **how) for b in self.rng.sample(banks, n))

  def quote(self, bank: str, tail_bank: str, *, me: bool = False) -> Quoted:
    """Draws a sentence as direct speech, and who says it."""
    template = self._template(bank, me, may_quote=False)
    sentence = self._sentence(template, self._fill(None), me)
    tail = self.say(tail_bank)
    named = (sentence.fill.person, sentence.fill.second_person)
    if tail.fill.person in named:
      other = self.rng.pick([p for p in self.people if p not in named])
      tail = dataclasses.replace(
        tail, fill=dataclasses.replace(tail.fill, person=other)
      )
    return Quoted(sentence, tail)

  def line(self, *parts: Part, mark: str = '') -> None:
    self._lines.append(Line(parts, mark))

  def blank(self) -> None:
    self._lines.append(Line(()))

  def paragraph(self, *parts: Part) -> None:
    self.blank()
    self.line(*parts)

  def plan(self) -> Plan:
    return Plan(self._genre, self._domain, self._town, tuple(self._lines))
