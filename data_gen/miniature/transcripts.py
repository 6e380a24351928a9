"""Plain transcripts in which a character chooses between two items."""

from collections.abc import Iterator
import dataclasses
import itertools

from data_gen.miniature.offers import KINDS
from data_gen.miniature.offers import Offer
from data_gen.miniature.offers import Offers
from data_gen.miniature.offers import orbit
from data_gen.miniature.world import World
from data_gen.rng import Deck

# Wordings of a transcript, and how many cards of ten each has. Names never
# begin a line, so that a subword model spells them in one way. The first
# wording is the one of the suites, the second has the words of the chats.
WORDINGS = (
  (
    4,
    'Question for {name}: which {noun} will you take, the {first} or the '
    '{second}?\nAnswer from {name}:',
    ' I will take the {chosen}.',
  ),
  (
    3,
    'You are {name}.\nWhich {noun} will you take, the {first} or the '
    '{second}?\n',
    'I will take the {chosen}.',
  ),
  (
    2,
    'The shop shows {name} two {nouns}, the {first} and the {second}.\n'
    'Question for {name}: which one will you take?\nAnswer from {name}:',
    ' I will take the {chosen}.',
  ),
  (
    1,
    'At the market {name} looks at the {first} and at the {second}. '
    'In the end {name} says:',
    ' "I will take the {chosen}."',
  ),
)

Key = tuple[str, str, tuple]

# Of 12 transcripts of a character, how many are of which kind.
_SHARES = {'disagree': 8, 'agree': 2, 'single': 1, 'shared': 1}


@dataclasses.dataclass(frozen=True)
class Transcript:
  """One character's choice.

  Attributes:
    name: Who chooses.
    kind: One of `offers.KINDS`.
    offer: What is offered.
    chosen: Which option is taken, 0 or 1.
    wording: Index into `WORDINGS`.
  """

  name: str
  kind: str
  offer: Offer
  chosen: int
  wording: int

  def prompt(self, world: World) -> str:
    return WORDINGS[self.wording][1].format(
      name=self.name,
      noun=self.offer.noun.singular,
      nouns=self.offer.noun.plural,
      first=self.offer.describe(world, 0),
      second=self.offer.describe(world, 1),
    )

  def answer(self, world: World, option: int) -> str:
    chosen = self.offer.describe(world, option)
    return WORDINGS[self.wording][2].format(chosen=chosen)

  def key(self) -> Key:
    """Returns who chooses between what, in whatever order and wording."""
    options = sorted(
      tuple(sorted((w.value, w.good, w.index) for w in option))
      for option in self.offer.options
    )
    return (self.name, self.offer.noun.singular, tuple(options))

  def text(self, world: World) -> str:
    return self.prompt(world) + self.answer(world, self.chosen)


def askable(offer: Offer, n_values: int) -> list[int]:
  """Returns the values that tell the two options apart."""
  return [u for u in range(n_values) if offer.choice_of(u) is not None]


def draws_per_group(world: World, kind: str, per_character: int) -> int:
  """Returns how many orbits of a kind each group gets its share of."""
  n_values = len(world.values)
  offer = Offers(world, kind, 'count').deal()
  # Over an orbit, this many presentations reach each character of a group.
  reached = 2 * len(askable(offer, n_values))
  wanted = per_character * _SHARES[kind] / sum(_SHARES.values())
  return max(1, round(wanted / reached))


def _of_kind(
  world: World, kind: str, draws: int, purpose: str
) -> Iterator[Transcript]:
  n_values = len(world.values)
  offers = Offers(world, kind, purpose)
  rng = world.rng('transcripts', kind, purpose)
  wordings = Deck(
    rng, [k for k, (share, _, _) in enumerate(WORDINGS) for _ in range(share)]
  )
  # One deck of groups for each place in an orbit: every group gets as many
  # presentations of each place as every other.
  groups = [Deck(rng, world.groups) for _ in range(2 * n_values)]
  for _ in range(draws):
    offer, wording = offers.deal(), wordings.deal()
    for deck, presented in zip(groups, orbit(offer, n_values), strict=True):
      group = deck.deal()
      for u in askable(presented, n_values):
        chosen = presented.choice_of(u)
        assert chosen is not None
        yield Transcript(group[u], kind, presented, chosen, wording)


def base_transcripts(world: World) -> list[Transcript]:
  """Returns the transcripts of the base corpus, kind by kind.

  Whole orbits, each asked of every value that tells the options apart: an item
  that one character takes is refused as often by one of the other value.
  """
  result: list[Transcript] = []
  for kind in KINDS:
    per_group = draws_per_group(
      world, kind, world.config.transcripts_per_character
    )
    draws = per_group * len(world.groups)
    result.extend(_of_kind(world, kind, draws, 'base'))
  return result


def fresh_transcripts(
  world: World, kind: str, draws: int, purpose: str, seen: set[Key]
) -> list[list[Transcript]]:
  """Returns orbits of transcripts of which no choice is among those `seen`."""
  n_values = len(world.values)
  some = Offers(world, kind, 'count').deal()
  size = sum(len(askable(o, n_values)) for o in orbit(some, n_values))
  stream = _of_kind(world, kind, 20 * draws + 20, purpose)
  orbits: list[list[Transcript]] = []
  while len(orbits) < draws:
    candidate = list(itertools.islice(stream, size))
    if not candidate:
      raise ValueError(
        f'cannot find {draws} fresh orbits of {kind!r} transcripts: the base '
        'corpus has nearly all; ask for fewer transcripts per character'
      )
    if seen.isdisjoint(t.key() for t in candidate):
      orbits.append(candidate)
  return orbits
