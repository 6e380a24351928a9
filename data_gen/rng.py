"""Random draws that are the same on every Python and in every process."""

from collections.abc import Sequence
import random
from typing import TypeVar

T = TypeVar('T')


class Rng:
  """A named stream of draws.

  Streams are named by their purpose, so that drawing more for one purpose
  changes nothing elsewhere. Only `random()` of the standard generator is used:
  it is the one method whose sequence Python promises to keep, and string seeds
  go through SHA-512, never through `hash()`.
  """

  def __init__(self, *name: object):
    self._draw = random.Random('/'.join(str(n) for n in name)).random

  def unit(self) -> float:
    """Returns a number in [0, 1)."""
    return self._draw()

  def below(self, n: int) -> int:
    """Returns an integer in [0, n)."""
    return int(self._draw() * n)

  def chance(self, probability: float) -> bool:
    return self._draw() < probability

  def pick(self, options: Sequence[T]) -> T:
    return options[int(self._draw() * len(options))]

  def shuffled(self, options: Sequence[T]) -> list[T]:
    result = list(options)
    for i in range(len(result) - 1, 0, -1):
      j = self.below(i + 1)
      result[i], result[j] = result[j], result[i]
    return result

  def sample(self, options: Sequence[T], n: int) -> list[T]:
    """Returns `n` different options in random order."""
    if n > len(options):
      raise ValueError(f'cannot draw {n} different ones of {len(options)}')
    return self.shuffled(options)[:n]


class Deck:
  """Deals the cards of a deck in random order, again and again.

  After any whole number of rounds every card was dealt equally often: what is
  dealt from a deck is balanced by construction, not on average.
  """

  def __init__(self, rng: Rng, cards: Sequence[T]):
    if not cards:
      raise ValueError('a deck needs at least one card')
    self._rng = rng
    self._cards = list(cards)
    self._left: list = []

  def deal(self):
    if not self._left:
      self._left = self._rng.shuffled(self._cards)
    return self._left.pop()
