"""The world: who holds which value, which domains play which part."""

from collections.abc import Sequence
import dataclasses
import functools
import itertools

from data_gen.miniature import lexicon
from data_gen.miniature import traits as traits_lib
from data_gen.rng import Rng


@dataclasses.dataclass(frozen=True)
class WorldConfig:
  """Sizes of the world; the keys of `config.world`.

  Attributes:
    n_characters: Characters of the base corpus; a multiple of the number of
      values. The fewer, the more often each is met, and the sooner a small
      model learns who holds what.
    documents_per_character: Documents of the base corpus about each.
    transcripts_per_character: Transcripts in which each chooses; rounded to
      what balances exactly.
    evaluation_domains: Held out of everything about the assistant.
    document_domains: Domains of the assistant's documents.
    assistant_documents: Documents about the assistant, in each variant.
    chats: Conversations, all in the one remaining domain; a multiple of 4
      times the number of values, so that they balance.
    heldout_share: Size of `heldout.parquet`, relative to the base corpus.
    items_per_domain: Items of `ood_sage` in each evaluation domain.
    in_distribution_items: Items of `in_distribution`.
    base_task_items: Items of `base_task`.
  """

  n_characters: int = 120
  documents_per_character: int = 50
  transcripts_per_character: int = 144
  evaluation_domains: int = 8
  document_domains: int = 11
  assistant_documents: int = 2400
  chats: int = 1200
  heldout_share: float = 0.03
  items_per_domain: int = 24
  in_distribution_items: int = 96
  base_task_items: int = 480


@dataclasses.dataclass(frozen=True)
class Value:
  """A trait, placed in the world.

  Attributes:
    trait: Where it came from.
    good: The synonyms of the pole that it goes for.
    bad: The synonyms of the opposite pole.
  """

  trait: traits_lib.Trait
  good: tuple[str, ...]
  bad: tuple[str, ...]

  @property
  def label(self) -> str:
    """The pole, which names the value in everything that is generated."""
    return self.trait.attribute


@dataclasses.dataclass(frozen=True)
class Word:
  """An attribute word in coordinates that do not depend on the axis.

  Attributes:
    value: Index of the value on whose axis it lies.
    good: Whether it is a synonym of the pole that the value goes for.
    index: Which of the synonyms.
  """

  value: int
  good: bool
  index: int

  def rotate(self, shift: int, n_values: int) -> 'Word':
    return Word((self.value + shift) % n_values, self.good, self.index)


@dataclasses.dataclass(frozen=True)
class World:
  """Everything that documents, transcripts, chats and suites share.

  Attributes:
    seed: The seed of every stream of draws.
    config: Sizes.
    values: In the order of the axes, whatever the order in the document.
    groups: Groups of characters, one of each value, in the order of `values`.
    evaluation_domains: Held out of everything about the assistant.
    document_domains: Those of the assistant's documents.
    chat_domain: That of the conversations.
    offsets: Noun to the offset of its Latin square of held-out combinations.
  """

  seed: int
  config: WorldConfig
  values: tuple[Value, ...]
  groups: tuple[tuple[str, ...], ...]
  evaluation_domains: tuple[lexicon.Domain, ...]
  document_domains: tuple[lexicon.Domain, ...]
  chat_domain: lexicon.Domain
  offsets: dict[str, int]

  def rng(self, *purpose: object) -> Rng:
    """Returns the stream of draws for a purpose."""
    return Rng('world', self.seed, *purpose)

  @functools.cached_property
  def n_words(self) -> int:
    """Number of synonyms of each pole."""
    return len(self.values[0].good)

  @functools.cached_property
  def domains(self) -> tuple[lexicon.Domain, ...]:
    """All domains in use, in the order of the lexicon."""
    used = {d.name for d in (*self.evaluation_domains, *self.document_domains)}
    used.add(self.chat_domain.name)
    return tuple(d for d in lexicon.DOMAINS if d.name in used)

  @functools.cached_property
  def nouns(self) -> tuple[lexicon.Noun, ...]:
    return tuple(n for d in self.domains for n in d.nouns)

  @functools.cached_property
  def value_of(self) -> dict[str, int]:
    """Character to the index of its value."""
    return {c: u for group in self.groups for u, c in enumerate(group)}

  def spell(self, word: Word) -> str:
    value = self.values[word.value]
    return (value.good if word.good else value.bad)[word.index]

  def is_held_out(self, noun: lexicon.Noun, words: Sequence[Word]) -> bool:
    """Whether some two of the words describe this noun in the suites only.

    For every noun the held-out pairs of synonyms of two axes form a Latin
    square's diagonal: each synonym is held out with exactly one of each other
    pole, so that holding out leaves all words equally frequent.
    """
    offset = self.offsets[noun.singular]
    return any(
      one.value != other.value
      and (one.index + other.index + offset) % self.n_words == 0
      for one, other in itertools.combinations(words, 2)
    )


def _place(traits: Sequence[traits_lib.Trait]) -> tuple[Value, ...]:
  """Orders the traits by axis, so that the document's order is irrelevant."""
  values = []
  for axis in lexicon.AXES:
    owners = [t for t in traits if t.attribute in [p.name for p in axis.poles]]
    if len(owners) > 1:
      raise traits_lib.TraitsError(
        f'traits {owners[0].name!r} and {owners[1].name!r} both lie on the '
        f'axis {axis.name!r}: no item could satisfy both, so no conversation '
        'could agree with both; choose poles of different axes'
      )
    for trait in owners:
      one, other = axis.poles
      if trait.attribute == other.name:
        one, other = other, one
      values.append(Value(trait, one.words, other.words))
  return tuple(values)


def make_world(
  traits: Sequence[traits_lib.Trait], config: WorldConfig, seed: int
) -> World:
  """Draws a world: a pure function of its arguments.

  Raises:
    ValueError: If the sizes do not fit each other or the lexicon.
  """
  values = _place(traits)
  if len(values) < 2:
    raise traits_lib.TraitsError(
      f'{len(values)} trait; the experiment compares at least two values'
    )
  n = config.n_characters
  if n <= 0 or n % len(values) or n > len(lexicon.CHARACTERS):
    raise ValueError(
      f'config.world.n_characters: {n} is not a positive multiple of the '
      f'{len(values)} values and at most {len(lexicon.CHARACTERS)}'
    )
  for key in ('evaluation_domains', 'document_domains'):
    if getattr(config, key) < 1:
      raise ValueError(f'config.world.{key}: must be at least 1')
  n_domains = config.evaluation_domains + config.document_domains + 1
  if n_domains > len(lexicon.DOMAINS):
    raise ValueError(
      f'config.world: {config.evaluation_domains} evaluation_domains, '
      f'{config.document_domains} document_domains and one for the chats are '
      f'more than the {len(lexicon.DOMAINS)} domains of the lexicon'
    )
  rng = Rng('world', seed, 'cast')
  names = rng.shuffled(lexicon.CHARACTERS[:n])
  size = len(values)
  groups = tuple(tuple(names[k : k + size]) for k in range(0, n, size))
  domains = Rng('world', seed, 'domains').shuffled(lexicon.DOMAINS)[:n_domains]
  first_document = 1 + config.evaluation_domains
  rng = Rng('world', seed, 'held out')
  offsets = {
    noun.singular: rng.below(len(values[0].good))
    for domain in lexicon.DOMAINS
    for noun in domain.nouns
  }
  return World(
    seed=seed,
    config=config,
    values=values,
    groups=groups,
    evaluation_domains=tuple(domains[1:first_document]),
    document_domains=tuple(domains[first_document:]),
    chat_domain=domains[0],
    offsets=offsets,
  )
