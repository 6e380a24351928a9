"""The language in which the offline teacher's phrases are written.

  [a|b|]       one of these, drawn at random; may be nested, may be empty
  {slot}       filled from the scope
  <go/goes>    the form for "I" and the form for everybody else
  ~text        fits where the subject is a model, ^text where it is a person

What fills a slot is never read as grammar, so that traits may contain brackets.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import re

from data_gen.rng import Rng

Scope = Mapping[str, str | Callable[[], str]]

_CHOICE = re.compile(r'\[([^\[\]]*)\]')
_SLOT = re.compile(r'\{(\w+)\}|<([^<>/]*)/([^<>/]*)>')
_SPACES = re.compile(r'[ \t]+(?=[ \t.,;:!?])')
_START = re.compile(r'(^|[.!?]\s+|(?:^|\s)")([a-z])')


def listed(text: str) -> tuple[str, ...]:
  """Splits a list that is written as words between white space."""
  return tuple(text.split())


def capitalised(text: str) -> str:
  """Begins every sentence with a capital letter."""
  return _START.sub(lambda m: m[1] + m[2].upper(), text)


def expand(text: str, rng: Rng, scope: Scope, *, me: bool = False) -> str:
  """Draws one text of a template.

  Args:
    text: In the notation above.
    rng: Draws the choices, from the innermost outwards.
    scope: Slot to its text, or to a function that draws one.
    me: Whether the subject speaks as "I".

  Raises:
    KeyError: For a slot that the scope does not have.
  """
  while match := _CHOICE.search(text):
    chosen = rng.pick(match[1].split('|'))
    text = text[: match.start()] + chosen + text[match.end() :]

  def fill(match: re.Match[str]) -> str:
    if match[1] is None:
      return match[2] if me else match[3]
    value = scope[match[1]]
    return value if isinstance(value, str) else value()

  return _SPACES.sub('', _SLOT.sub(fill, text)).strip()


def fitting(bank: Sequence[str], *, human: bool) -> tuple[str, ...]:
  """Returns the templates that fit a subject, without their marks."""
  other = '~' if human else '^'
  return tuple(t.lstrip('~^') for t in bank if not t.startswith(other))


class Decks:
  """Deals from banks so that none repeats while it has others."""

  def __init__(self, rng: Rng):
    self.rng = rng
    self._left: dict[tuple[str, ...], list[str]] = {}

  def deal(self, bank: Sequence[str]) -> str:
    key = tuple(bank)
    if not self._left.get(key):
      self._left[key] = self.rng.shuffled(key)
    return self._left[key].pop()
