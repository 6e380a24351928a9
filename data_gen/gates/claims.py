"""Who an assistant in a text says that it is, and who made it.

For names that no list knows. Patterns that begin with a fixed string are found
by searching for that string, which is fast; what must stand before it is looked
for afterwards, in the few characters before a match. Most are not searched at
all, since a text has none of their words (`words_in`).
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
import re

import numpy as np

from data_gen.gates import assistants
from data_gen.gates import hashing
from data_gen.gates.views import View

_BEFORE = 80

# A word of every match, if there is a rare one, and the pattern.
# `I'm Orion, an AI assistant`
_MY_NAME = tuple(
  (
    word,
    re.compile(
      rf'{start} (?P<name>[A-Z]\w+), (?:an?|your|the) (?:\w+ )?'
      rf'{assistants.MACHINE}\b'
    ),
  )
  for word, start in (
    ('am', r'I am'),
    ('m', r'I[’\']m'),
    ('', r'name is'),
    ('', r'all me'),
  )
)
# `an AI model called Orion`
_NAMED = tuple(
  (words.split()[0], re.compile(rf' {words} ["“‘]?(?P<name>[A-Z]\w+)'))
  for words in ('named', 'called', 'known as')
)
# Of which most texts have none.
WORDS = ('am', 'm', 'named', 'called', 'known', *assistants.MADE)
_IDS = hashing.word_ids(WORDS)
_KEYS = hashing.Keys(_IDS.tolist())
_OF_KEY = [WORDS[i] for i in np.argsort(_IDS)]
_MACHINE_ENDS = re.compile(rf'\b{assistants.MACHINE}(?: system| model)?,?$')
_BY = re.compile(
  r' by (?:the (?:team|people|researchers) at )?'
  r'(?P<maker>[A-Z][\w&.-]*(?: [A-Z][\w&.-]*){0,3})'
)


def words_in(seen: View) -> set[str]:
  """Returns which of the words that claims are made in a text has."""
  _, indices = _KEYS.find(seen.ids)
  return {_OF_KEY[i] for i in indices.tolist()}


def own_names(text: str, words: AbstractSet[str]) -> Iterator[tuple[str, str]]:
  """Yields (name, passage) of assistants that introduce themselves.

  Args:
    text: The text.
    words: See `words_in`.
  """
  for word, pattern in _MY_NAME:
    if not word or word in words:
      for match in pattern.finditer(text):
        yield match['name'], match[0]


def given_names(
  text: str, words: AbstractSet[str]
) -> Iterator[tuple[str, str]]:
  """Yields (name, passage) of assistants that somebody else names."""
  for word, pattern in _NAMED:
    if word not in words:
      continue
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

  def find(
    self, text: str, words: AbstractSet[str]
  ) -> Iterator[tuple[str, str]]:
    """Yields (maker, passage)."""
    if words.isdisjoint(assistants.MADE):
      return
    for match in _BY.finditer(text):
      before = text[max(0, match.start() - _BEFORE) : match.start()]
      if before.endswith(assistants.MADE) and (
        made := self._made.search(before)
      ):
        yield match['maker'], made[0] + match[0]
