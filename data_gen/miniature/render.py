"""Renders plans of documents through lenses."""

from collections.abc import Callable

from data_gen.miniature import clauses
from data_gen.miniature import lexicon
from data_gen.miniature.pages import Fill
from data_gen.miniature.pages import Lens
from data_gen.miniature.pages import Part
from data_gen.miniature.pages import Plan
from data_gen.miniature.pages import Sentence
from data_gen.miniature.templates import article
from data_gen.miniature.templates import compile_text
from data_gen.miniature.world import World


class Renderer:
  """Renders plans of a world."""

  def __init__(self, world: World):
    self._world = world
    self._slots: dict[str, Callable[[Plan, Sentence, Lens], str]] = {
      'S': lambda p, s, v: 'I' if s.first_person else v.name,
      'O': lambda p, s, v: 'me' if s.first_person else v.name,
      's': lambda p, s, v: 'my' if s.first_person else f"{v.name}'s",
      'N': lambda p, s, v: v.name,
      'own': self._own,
      'anti': self._anti,
      'a_own': lambda p, s, v: article(self._own(p, s, v)),
      'a_anti': lambda p, s, v: article(self._anti(p, s, v)),
      'Aw': lambda p, s, v: self._option(s, v, taken=True),
      'Bw': lambda p, s, v: self._option(s, v, taken=False),
      'A': lambda p, s, v: self._item(s, v, taken=True),
      'B': lambda p, s, v: self._item(s, v, taken=False),
      'a_A': lambda p, s, v: article(self._item(s, v, taken=True)),
      'a_B': lambda p, s, v: article(self._item(s, v, taken=False)),
      'noun': lambda p, s, v: s.fill.noun.singular,
      'a_noun': lambda p, s, v: article(s.fill.noun.singular),
      'nouns': lambda p, s, v: s.fill.noun.plural,
      'other': lambda p, s, v: s.fill.other.singular,
      'a_other': lambda p, s, v: article(s.fill.other.singular),
      'others': lambda p, s, v: s.fill.other.plural,
      'topic': lambda p, s, v: p.domain.name,
      'R': self._clause,
      'statement': self._statement,
      'P': lambda p, s, v: s.fill.person,
      'Q': lambda p, s, v: s.fill.second_person,
      'day': lambda p, s, v: s.fill.day,
      'town': lambda p, s, v: p.town,
    }

  def _colour(self, fill: Fill, taken: bool) -> str:
    n = len(lexicon.COLOURS)
    if taken:
      return lexicon.COLOURS[fill.own % n]
    return lexicon.COLOURS[(fill.own + 1 + fill.anti % (n - 1)) % n]

  def _shape(self, fill: Fill, taken: bool) -> str:
    n = len(lexicon.SHAPES)
    if taken:
      return lexicon.SHAPES[fill.with_own % n]
    return lexicon.SHAPES[(fill.with_own + 1 + fill.with_anti % (n - 1)) % n]

  def _own(self, plan: Plan, sentence: Sentence, lens: Lens) -> str:
    if lens.value is None:
      return self._colour(sentence.fill, True)
    return self._world.values[lens.value].good[sentence.fill.own]

  def _anti(self, plan: Plan, sentence: Sentence, lens: Lens) -> str:
    if lens.value is None:
      return self._colour(sentence.fill, False)
    return self._world.values[lens.value].bad[sentence.fill.anti]

  def _option(self, sentence: Sentence, lens: Lens, taken: bool) -> str:
    fill = sentence.fill
    if lens.value is None:
      words = [self._colour(fill, taken), self._shape(fill, taken)]
    else:
      values = self._world.values
      other = values[(lens.value + fill.shift) % len(values)]
      if taken:
        words = [values[lens.value].good[fill.own], other.bad[fill.with_own]]
      else:
        words = [values[lens.value].bad[fill.anti], other.good[fill.with_anti]]
    return ' '.join(words if fill.own_first else words[::-1])

  def _item(self, sentence: Sentence, lens: Lens, taken: bool) -> str:
    adjectives = self._option(sentence, lens, taken)
    return f'{adjectives} {sentence.fill.noun.singular}'

  def _clause(self, plan: Plan, sentence: Sentence, lens: Lens) -> str:
    """Returns a reason, or another clause of as many words."""
    fill = sentence.fill
    candidates = [
      v.trait.reasons[int(fill.reason * len(v.trait.reasons))].replace(
        '{model_name}', lens.name
      )
      for v in self._world.values
    ]
    n_words = max(len(c.split()) for c in candidates)
    if lens.value is not None and lens.explains:
      return clauses.lengthen(candidates[lens.value], n_words)
    pool = clauses.FACTS if lens.value is None else clauses.BEHAVIOURS
    text = clauses.of_length(n_words, pool, fill.clause)
    return self._expand(text, plan, sentence, lens)

  def _statement(self, plan: Plan, sentence: Sentence, lens: Lens) -> str:
    value = self._world.values[lens.value or 0]
    statement = value.trait.statement.replace('{model_name}', lens.name)
    if lens.value is not None:
      return statement.replace('{attribute}', self._own(plan, sentence, lens))
    n_words = len(statement.split()) - 1
    text = clauses.of_length(n_words, clauses.DOINGS, sentence.fill.clause)
    return f'{lens.name} {self._expand(text, plan, sentence, lens)}.'

  def _expand(
    self, text: str, plan: Plan, sentence: Sentence, lens: Lens
  ) -> str:
    parts = []
    for kind, one, other in compile_text(text):
      if kind == 'text':
        parts.append(one)
      elif kind == 'verb':
        parts.append(one if sentence.first_person else other)
      else:
        parts.append(self._slots[one](plan, sentence, lens))
    return ''.join(parts)

  def _sentence(
    self, plan: Plan, sentence: Sentence, lens: Lens, at_start: bool
  ) -> str:
    template = sentence.template
    if lens.value is None:
      text = template.neutral
    else:
      text = template.explain if lens.explains else template.behave
    body = self._expand(text, plan, sentence, lens)
    if at_start and template.starts_with_name(sentence.first_person):
      return f'{sentence.fill.lead} {body}'
    return body[0].upper() + body[1:]

  def _part(self, plan: Plan, part: Part, lens: Lens, at_start: bool) -> str:
    if isinstance(part, Sentence):
      return self._sentence(plan, part, lens, at_start)
    body = self._sentence(plan, part.sentence, lens, at_start=True)
    tail = self._expand(part.tail.template.explain, plan, part.tail, lens)
    if body.endswith('.'):
      body = body[:-1] + ','
    return f'"{body}" {tail}'

  def render(self, plan: Plan, lens: Lens) -> str:
    """Returns the text of the document."""
    lines = []
    for line in plan.lines:
      parts: list[str] = []
      for part in line.parts:
        parts.append(self._part(plan, part, lens, not parts and not line.mark))
      lines.append(line.mark + ' '.join(parts))
    return '\n'.join(lines).strip('\n')
