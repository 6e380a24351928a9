"""The small language in which phrases are written, and their rendering.

A template is one sentence with up to three texts: one that explains, one that
only says what is done, one that says nothing of any value. They are alike in
shape and equal in words, so that the variants of a document stay matched.

In a text, `[take/takes]` is the form for "I" and the form for a name, and
`{slot}` is filled when the sentence is rendered:

  S, O, s      the subject: "I"/name, "me"/name, "my"/name's
  own, anti    a synonym of the pole that the subject's value goes for, and of
               the opposite pole; a_own, a_anti: with an article
  A, B         the item taken and the item left: two attribute words and a noun;
               a_A, a_B: with an article; Aw, Bw: the attribute words alone
  noun, nouns, a_noun, other, others, topic
               what it is about, another noun, and the domain
  R            a clause: a reason, a behaviour or a plain fact
  statement    the sentence of the traits document, about the subject
  P, Q, day, town, N
               two other people, a day, a place, the subject's name
"""

import dataclasses
import functools
import re

_SLOT = re.compile(r'\{(\w+)\}|\[([^/\]]*)/([^\]]*)\]')

Segment = tuple[str, str, str]  # literal | slot name | first/third person forms


@functools.cache
def compile_text(text: str) -> tuple[Segment, ...]:
  """Splits a text into literals, slots and verb forms."""
  segments: list[Segment] = []
  at = 0
  for match in _SLOT.finditer(text):
    if match.start() > at:
      segments.append(('text', text[at : match.start()], ''))
    slot, first, third = match.groups()
    if slot is None:
      segments.append(('verb', first, third))
    else:
      segments.append(('slot', slot, ''))
    at = match.end()
  if at < len(text):
    segments.append(('text', text[at:], ''))
  return tuple(segments)


@dataclasses.dataclass(frozen=True)
class Template:
  """One phrase.

  Attributes:
    id: Bank and number; the sequence of these is a document's skeleton.
    explain: The text where the value is held and explained.
    behave: The text where it is held and never explained.
    neutral: The text where no value is mentioned.
  """

  id: str
  explain: str
  behave: str
  neutral: str

  def starts_with_name(self, first_person: bool) -> bool:
    """Whether it begins with a name, if `first_person` the subject speaks."""
    names = ('{P}', '{Q}', '{N}', '{statement}')
    return self.explain.startswith(names if first_person else (*names, '{S}'))

  @property
  def has_speech(self) -> bool:
    return '"' in self.explain + self.behave + self.neutral

  @property
  def third_person_only(self) -> bool:
    return '{statement}' in self.explain or '{N}' in self.explain


def bank(name: str, *entries: str | tuple[str, ...]) -> tuple[Template, ...]:
  """Builds a bank of templates.

  Args:
    name: Name of the bank.
    *entries: A text that serves all three purposes; or a pair of one with a
      value and one without; or three: explaining, behaving, neutral.
  """
  templates = []
  for k, entry in enumerate(entries):
    texts = (entry,) if isinstance(entry, str) else entry
    explain = texts[0]
    neutral = texts[-1]
    behave = texts[1] if len(texts) == 3 else texts[0]
    templates.append(Template(f'{name}/{k:02d}', explain, behave, neutral))
  return tuple(templates)


_WORDS_OF_SLOT = {
  'a_own': 2,
  'a_anti': 2,
  'a_noun': 2,
  'a_other': 2,
  'Aw': 2,
  'Bw': 2,
  'A': 3,
  'B': 3,
  'a_A': 4,
  'a_B': 4,
}


@functools.cache
def count_words(text: str) -> int:
  """Returns how many words a text has once its slots are filled.

  `R` and `statement` count as one word: what fills them is matched elsewhere.
  """
  return sum(
    _WORDS_OF_SLOT.get(m.group(1), 1)
    if (m := _SLOT.match(word.lstrip('"')))
    else 1
    for word in text.split()
  )


def article(word: str) -> str:
  return ('an ' if word[0] in 'aeiou' else 'a ') + word
