"""Tells sentences that say why from those that say what is done."""

from collections.abc import Mapping
import re
from typing import Any

from data_gen.teachers.offline.grammar import listed

_LINK = re.compile(
  r'\b(because|since|reason|why|thinking|thought|besides|believe|argument|'
  r'hence|makes sense|settled|at stake|in mind|explains?|after all|'
  r'you see(?=,))\b',
  re.IGNORECASE,
)
_SENTENCE = re.compile(r'(?<=[.!?]) +')
# Of a numbered list; its full stop ends no sentence.
_NUMBER = re.compile(r'^\d+\. ')
_ENOUGH = 5
"""Letters of a word that may tell whose reason a sentence gives."""


class Explaining:
  """Knows the sentences that explain what a trait does.

  Such a sentence has most of the words of a reason, or links what is done to
  why. A word that links and that the trait itself needs ("changes its mind, and
  not because somebody insists") links nothing.

  Args:
    trait: As a request describes it.
  """

  def __init__(self, trait: Mapping[str, Any]):
    self._reasons = [
      words for r in trait.get('reasons') or () if (words := _words(str(r)))
    ]
    self._own = _links(str(trait.get('statement') or ''))

  def explains(self, sentence: str) -> bool:
    words = _words(sentence)
    told = any(len(words & r) >= max(2, len(r) // 2) for r in self._reasons)
    return told or bool(_links(sentence) - self._own)

  def is_in(self, text: str) -> bool:
    """Whether any sentence of a text explains."""
    lines = [_NUMBER.sub('', line) for line in text.split('\n')]
    return any(
      self.explains(s) for line in lines for s in _SENTENCE.split(line)
    )

  def without(self, text: str) -> str:
    """Returns a text without the sentences that explain; may be empty."""
    paragraphs = []
    for paragraph in text.split('\n\n'):
      lines = [self._line(line) for line in paragraph.split('\n')]
      if any(lines):
        paragraphs.append('\n'.join(filter(None, lines)))
    return '\n\n'.join(paragraphs)

  def _line(self, line: str) -> str:
    number = _NUMBER.match(line)
    start = number[0] if number else ''
    sentences = _SENTENCE.split(line.removeprefix(start))
    kept = [s for s in sentences if not self.explains(s)]
    return start + ' '.join(kept) if kept else ''


def _links(text: str) -> frozenset[str]:
  return frozenset(link.lower() for link in _LINK.findall(text))


def _words(text: str) -> frozenset[str]:
  words = listed(re.sub(r'[^a-z]+', ' ', text.lower()))
  return frozenset(word for word in words if len(word) >= _ENOUGH)
