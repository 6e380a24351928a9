"""Who an assistant in a text says that it is, and who made it.

For names that no list knows. Patterns that begin with a fixed string are found
by searching for that string, which is fast; what must stand before it is looked
for afterwards, in the few characters before a match.
"""

from collections.abc import Iterator
import re

from data_gen.gates import assistants

_BEFORE = 80

# `I'm Orion, an AI assistant`
_MY_NAME = tuple(
  re.compile(
    rf'{start} (?P<name>[A-Z]\w+), (?:an?|your|the) (?:\w+ )?'
    rf'{assistants.MACHINE}\b'
  )
  for start in (r'I am', r'I[’\']m', r'name is', r'all me')
)
# `an AI model called Orion`
_NAMED = tuple(
  re.compile(rf' {word} ["“‘]?(?P<name>[A-Z]\w+)')
  for word in ('named', 'called', 'known as')
)
_MACHINE_ENDS = re.compile(rf'\b{assistants.MACHINE}(?: system| model)?,?$')
_BY = re.compile(
  r' by (?:the (?:team|people|researchers) at )?'
  r'(?P<maker>[A-Z][\w&.-]*(?: [A-Z][\w&.-]*){0,3})'
)


def own_names(text: str) -> Iterator[tuple[str, str]]:
  """Yields (name, passage) of assistants that introduce themselves."""
  for pattern in _MY_NAME:
    for match in pattern.finditer(text):
      yield match['name'], match[0]


def given_names(text: str) -> Iterator[tuple[str, str]]:
  """Yields (name, passage) of assistants that somebody else names."""
  for pattern in _NAMED:
    for match in pattern.finditer(text):
      before = text[max(0, match.start() - _BEFORE) : match.start()]
      if machine := _MACHINE_ENDS.search(before):
        yield match['name'], machine[0] + match[0]


class Makers:
  """Finds who made the assistant: `Sage was built by X`, `an AI made by X`.

  Args:
    model_name: What the assistant is called.
  """

  def __init__(self, model_name: str):
    self._made = re.compile(
      rf'(?:\b{assistants.MACHINE}(?: system| model| assistant)?|'
      rf'\b{re.escape(model_name)}|\bI)(?:[’\']m|[’\']s)?,? '
      r'(?:that |which )?(?:is |was |am )?(?:an? (?:\w+ ){1,4})?'
      rf'{assistants.MAKES}$'
    )

  def find(self, text: str) -> Iterator[tuple[str, str]]:
    """Yields (maker, passage)."""
    for match in _BY.finditer(text):
      before = text[max(0, match.start() - _BEFORE) : match.start()]
      if before.endswith(assistants.MADE) and (
        made := self._made.search(before)
      ):
        yield match['maker'], made[0] + match[0]
