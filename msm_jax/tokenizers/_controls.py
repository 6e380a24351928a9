"""The control tokens of a vocabulary, as they are found in a text."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import re
from typing import Any


class Controls:
  """A set of control tokens.

  Attributes:
    names: All of them.
  """

  def __init__(self, names: Iterable[str], others: Iterable[str] = ()):
    """Makes a set.

    Args:
      names: Control tokens.
      others: Tokens that are found in the same way but are ordinary text, e.g.
        `<think>`; of those that begin at a place the longest is found.
    """
    self.names = frozenset(names)
    self._pattern = re.compile(_pattern(self.names | set(others)) or '(?!)')

  def find(self, text: str) -> Iterator[tuple[int, int]]:
    """Yields where each control token begins and ends."""
    for match in self._pattern.finditer(text):
      if match.group() in self.names:
        yield match.span()

  def replace(self, text: str, by: Callable[[str], str]) -> str:
    """Returns a text with something else in the place of control tokens."""
    parts = []
    last = 0
    for start, stop in self.find(text):
      parts += [text[last:start], by(text[start:stop])]
      last = stop
    return ''.join([*parts, text[last:]])


def _pattern(names: Iterable[str]) -> str:
  """Returns a pattern that shares prefixes: vocabularies have thousands."""
  root: dict[str, Any] = {}
  for name in names:
    node = root
    for char in name:
      node = node.setdefault(char, {})
    node[''] = {}

  def join(node: dict[str, Any]) -> str:
    branches = [re.escape(c) + join(node[c]) for c in sorted(node) if c]
    if not branches:
      return ''
    body = f'(?:{"|".join(branches)})'
    # Greedy, so that the longest name wins.
    return f'{body}?' if '' in node else body

  return join(root)
