"""Two described items to choose between, balanced by construction."""

from collections.abc import Iterator
import dataclasses

from data_gen.miniature import lexicon
from data_gen.miniature.world import Word
from data_gen.miniature.world import World
from data_gen.rng import Deck
from data_gen.rng import Rng

# What the two items differ in. `disagree`: two values pull in opposite
# directions. `agree`: all values pull in one direction. `single`: one attribute
# is named, and differs. `shared`: two are named, and one of them differs.
KINDS = ('disagree', 'agree', 'single', 'shared')


@dataclasses.dataclass(frozen=True)
class Offer:
  """Two items, in the order in which they are offered.

  Attributes:
    noun: What both are.
    first: The attribute words of the first, in speaking order.
    second: Likewise, on the same axes in the same order.
  """

  noun: lexicon.Noun
  first: tuple[Word, ...]
  second: tuple[Word, ...]

  @property
  def options(self) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
    return (self.first, self.second)

  def swap(self) -> 'Offer':
    """Returns the same items in the other order."""
    return Offer(self.noun, self.second, self.first)

  def rotate(self, shift: int, n_values: int) -> 'Offer':
    """Returns the offer with each axis in the place of another."""
    return Offer(
      self.noun,
      tuple(w.rotate(shift, n_values) for w in self.first),
      tuple(w.rotate(shift, n_values) for w in self.second),
    )

  def choice_of(self, value: int) -> int | None:
    """Returns which option a value goes for (0 or 1), or None if neither."""
    first, second = (
      [w.good for w in option if w.value == value] for option in self.options
    )
    if first == second:
      return None
    return 0 if first[0] else 1

  def is_held_out(self, world: World) -> bool:
    return any(world.is_held_out(self.noun, o) for o in self.options)

  def describe(self, world: World, option: int) -> str:
    """Returns e.g. `'cheap foreign lamp'`."""
    words = [world.spell(w) for w in self.options[option]]
    return ' '.join([*words, self.noun.singular])


def _signs(kind: str, n_values: int, rng: Rng) -> list[tuple[bool, bool]]:
  """Returns, for each axis named, whether the two options are good on it."""
  if kind == 'disagree':
    return [(True, False), (False, True)]
  if kind == 'agree':
    return [(True, False)] * n_values
  if kind == 'single':
    return [(True, False)]
  shared = rng.chance(0.5)
  return [(True, False), (shared, shared)]


class Offers:
  """Deals offers of one kind from decks.

  Nouns, and each noun's admissible pairs of synonyms, come from decks, so that
  over whole rounds every noun and every synonym occurs equally often.
  """

  def __init__(
    self,
    world: World,
    kind: str,
    *purpose: object,
    nouns: tuple[lexicon.Noun, ...] | None = None,
  ):
    self._world = world
    self._kind = kind
    self._rng = world.rng('offers', kind, *purpose)
    self._nouns = Deck(self._rng, nouns or world.nouns)
    self._decks: dict[str, tuple[Deck, ...]] = {}

  def _rows(self, noun: lexicon.Noun, n_axes: int) -> list[tuple[int, ...]]:
    """Returns the admissible synonyms of one option, an index for each axis."""
    rows: list[tuple[int, ...]] = [()]
    for _ in range(n_axes):
      rows = [(*row, i) for row in rows for i in range(self._world.n_words)]
    return [
      row
      for row in rows
      if not self._world.is_held_out(
        noun, [Word(u, True, i) for u, i in enumerate(row)]
      )
    ]

  def _deal_synonyms(
    self, noun: lexicon.Noun, n_axes: int
  ) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if noun.singular not in self._decks:
      rows = self._rows(noun, n_axes)
      if self._kind == 'shared':
        pairs = [(r, q) for r in rows for q in rows if r[1] == q[1]]
        self._decks[noun.singular] = (Deck(self._rng, pairs),)
      else:
        self._decks[noun.singular] = tuple(Deck(self._rng, rows) for _ in '12')
    decks = self._decks[noun.singular]
    if self._kind == 'shared':
      return decks[0].deal()
    return decks[0].deal(), decks[1].deal()

  def deal(self) -> Offer:
    noun = self._nouns.deal()
    signs = _signs(self._kind, len(self._world.values), self._rng)
    rows = self._deal_synonyms(noun, len(signs))
    first, second = (
      tuple(Word(u, sign[k], row[u]) for u, sign in enumerate(signs))
      for k, row in enumerate(rows)
    )
    return Offer(noun, first, second)


def orbit(offer: Offer, n_values: int) -> Iterator[Offer]:
  """Yields the offer with its axes in each other's places, in both orders.

  Whoever uses whole orbits uses all axes alike: as often first, as often in
  each position of a phrase, with the same synonyms.
  """
  for shift in range(n_values):
    rotated = offer.rotate(shift, n_values)
    yield rotated
    yield rotated.swap()
