"""The control tokens of a vocabulary, as they are found in a text."""

from collections.abc import Iterable
from collections.abc import Iterator
import re


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
        `<think>`; the longest of all that match wins.
    """
    self.names = frozenset(names)
    every = sorted(self.names | set(others), key=lambda n: (-len(n), n))
    self._pattern = re.compile('|'.join(map(re.escape, every)) or '(?!)')

  def find(self, text: str) -> Iterator[tuple[int, int]]:
    """Yields where each control token begins and ends."""
    for match in self._pattern.finditer(text):
      if match.group() in self.names:
        yield match.span()
