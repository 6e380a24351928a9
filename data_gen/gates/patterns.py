"""Many regular expressions at the price of few.

Searching a document of 500 words with one pattern takes 10 to 100 µs, and
alternations are no faster. So each pattern names words of which any match must
contain at least one; it is searched only where the document has one of them,
which a look-up of all its words tells in some microseconds.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import re

import numpy as np

from data_gen.gates import hashing
from data_gen.gates.views import View

EDGE = 320
"""Characters that count as the opening or the closing of a text."""


@dataclasses.dataclass(frozen=True)
class Pattern:
  """What to look for.

  Attributes:
    reason: Of the verdict, e.g. `'refusal'`.
    words: Lower case; every match contains at least one of them.
    regex: Case is its own matter.
    where: `'anywhere'`, `'opening'` or `'closing'`.
  """

  reason: str
  words: frozenset[str]
  regex: re.Pattern[str]
  where: str = 'anywhere'

  def search(self, text: str) -> re.Match[str] | None:
    """Returns the first match in that part of the text."""
    if self.where == 'opening':
      text = text[:EDGE].lstrip()
    elif self.where == 'closing':
      text = text.rstrip()[-EDGE:]
    return self.regex.search(text)


def pattern(
  reason: str,
  words: str,
  regex: str,
  where: str = 'anywhere',
  *,
  flags: int = re.IGNORECASE,
) -> Pattern:
  """Makes a pattern.

  Line breaks in `regex` and the indentation after them are layout; apostrophes
  match curly ones too.
  """
  if where not in ('anywhere', 'opening', 'closing'):
    raise ValueError(f'where: {where!r}, expected anywhere, opening or closing')
  regex = re.sub(r'\n\s*', '', regex).replace("'", "['’]")
  compiled = re.compile(regex, flags)
  return Pattern(reason, frozenset(words.split()), compiled, where)


class Patterns:
  """A collection of patterns that is searched by the words of a text."""

  def __init__(self, patterns: Iterable[Pattern]):
    self.patterns = tuple(patterns)
    words = sorted({w for p in self.patterns for w in p.words})
    ids = hashing.word_ids(words)
    if len(ids) != len(words):
      raise ValueError(f'{words}: each must be a word as texts.words gives it')
    self._keys = hashing.Keys(ids.tolist())
    self._of = [
      [i for i, p in enumerate(self.patterns) if words[k] in p.words]
      for k in np.argsort(ids)
    ]

  def matches(self, view: View) -> Iterator[tuple[Pattern, re.Match[str]]]:
    """Yields the first match of each pattern that has one, in their order."""
    _, indices = self._keys.find(view.ids)
    if not len(indices):
      return
    for i in sorted({i for k in set(indices.tolist()) for i in self._of[k]}):
      if match := self.patterns[i].search(view.text):
        yield self.patterns[i], match
