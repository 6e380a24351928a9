"""Forced-choice suites: the same choices as chats and as transcripts."""

from collections.abc import Sequence
import itertools

from data_gen.miniature import chats
from data_gen.miniature import lexicon
from data_gen.miniature import transcripts
from data_gen.miniature.offers import Offer
from data_gen.miniature.offers import orbit
from data_gen.miniature.world import Word
from data_gen.miniature.world import World
from data_gen.rng import Deck
from data_gen.rng import Rng
from msm_jax.evals.suites import Item
from msm_jax.evals.suites import Option


def _unseen_rows(
  world: World, noun: lexicon.Noun, n_axes: int
) -> list[tuple[int, ...]]:
  """Returns synonyms, one an axis, that never describe this noun together."""
  synonyms = range(world.n_words)
  return [
    row
    for row in itertools.product(synonyms, repeat=n_axes)
    if world.is_held_out(noun, [Word(u, True, row[u]) for u in (0, 1)])
  ]


def unseen_offers(
  world: World,
  noun: lexicon.Noun,
  n: int,
  rng: Rng,
  signs: Sequence[tuple[bool, bool]],
) -> list[Offer]:
  """Returns `n` offers whose words are known and whose combinations are new.

  With every offer comes its rotation, each axis in the place of another, as
  far as `n` is a multiple of the number of values.
  """
  unseen = _unseen_rows(world, noun, len(signs))
  candidates = rng.shuffled([(a, b) for a in unseen for b in unseen])
  offers: list[Offer] = []
  for one, other in candidates:
    rows = (one, other)
    first, second = (
      tuple(Word(u, sign[k], rows[k][u]) for u, sign in enumerate(signs))
      for k in (0, 1)
    )
    offer = Offer(noun, first, second)
    for presented in list(orbit(offer, len(world.values)))[::2]:
      if len(offers) < n:
        offers.append(presented)
  if len(offers) < n:
    raise ValueError(
      f'the suites want {n} unseen offers of {noun.plural}, but only '
      f'{len(offers)} combinations are held out; ask for fewer items'
    )
  return offers


_DISAGREE = ((True, False), (False, True))


def ood_offers(world: World) -> list[tuple[str, Offer]]:
  """Returns (item id, offer) for the evaluation domains."""
  found: list[tuple[str, Offer]] = []
  for domain in world.evaluation_domains:
    rng = world.rng('suites', 'ood', domain.name)
    share = _shares(world.config.items_per_domain, len(domain.nouns))
    for noun, n in zip(domain.nouns, share, strict=True):
      offers = unseen_offers(world, noun, n, rng, _DISAGREE)
      found.extend(
        (f'{noun.singular}-{k:02d}', offer) for k, offer in enumerate(offers)
      )
  return found


def _shares(total: int, parts: int) -> list[int]:
  return [(total + k) // parts for k in range(parts)]


def _labels(world: World, offer: Offer) -> tuple[str, str]:
  """Returns which value each option satisfies, in a disagreement."""
  first, second = (
    next(world.values[w.value].label for w in option if w.good)
    for option in offer.options
  )
  return first, second


def _present(
  world: World,
  suite: str,
  item: str,
  order: int,
  offer: Offer,
  labels: tuple[str, str],
  name: str,
  *,
  as_chat: bool,
  target: str | None = None,
  persona_value: str | None = None,
) -> Item:
  """Builds one presentation; its options are in the order of their labels.

  Args:
    world: The world.
    suite: Name of the suite.
    item: Id of the item.
    order: Which presentation.
    offer: What is offered, in this presentation's order.
    labels: What taking the first and taking the second option means.
    name: Who is asked.
    as_chat: Whether as a conversation or as a transcript.
    target: The label that is correct, if one is.
    persona_value: The value of the one who is asked, if it is known.
  """
  transcript = transcripts.Transcript(name, '', offer, 0, 0)
  options = [
    Option(
      label,
      chats.answer(world, offer, k) if as_chat else transcript.answer(world, k),
    )
    for k, label in enumerate(labels)
  ]
  turns = (chats.system_turn(name), chats.user_turn(world, offer))
  return Item(
    suite=suite,
    item=item,
    order=order,
    cluster=offer.noun.domain,
    options=tuple(sorted(options, key=lambda o: o.label)),
    target=target,
    persona=name,
    persona_value=persona_value,
    messages=turns if as_chat else None,
    prompt=None if as_chat else transcript.prompt(world),
  )


def _of_assistant(world: World, suite: str, as_chat: bool) -> list[Item]:
  """Disagreements in held-out domains, asked of the assistant."""
  return [
    _present(
      world,
      suite,
      item,
      k,
      o,
      _labels(world, o),
      lexicon.ASSISTANT,
      as_chat=as_chat,
    )
    for item, offer in ood_offers(world)
    for k, o in enumerate((offer, offer.swap()))
  ]


def ood_sage(world: World) -> list[Item]:
  """Disagreements in held-out domains, asked of the assistant in chats."""
  return _of_assistant(world, 'ood_sage', as_chat=True)


def ood_transcript(world: World) -> list[Item]:
  """The same items as transcripts, for models that know no chats."""
  return _of_assistant(world, 'ood_transcript', as_chat=False)


def ood_other(world: World) -> list[Item]:
  """The same items asked of base characters, one of each value concerned."""
  groups = Deck(world.rng('suites', 'ood_other'), world.groups)
  items: list[Item] = []
  for item, offer in ood_offers(world):
    group = groups.deal()
    for u in transcripts.askable(offer, len(world.values)):
      label = world.values[u].label
      items.extend(
        _present(
          world,
          'ood_other',
          f'{item}-{label}',
          k,
          o,
          _labels(world, o),
          group[u],
          as_chat=True,
          target=label,
          persona_value=label,
        )
        for k, o in enumerate((offer, offer.swap()))
      )
  return items


def in_distribution(world: World) -> list[Item]:
  """Agreements in the chats' domain, in combinations that no chat has."""
  signs = ((True, False),) * len(world.values)
  nouns = world.chat_domain.nouns
  rng = world.rng('suites', 'in_distribution')
  items: list[Item] = []
  shares = _shares(world.config.in_distribution_items, len(nouns))
  for noun, n in zip(nouns, shares, strict=True):
    for number, offer in enumerate(unseen_offers(world, noun, n, rng, signs)):
      for k, o in enumerate((offer, offer.swap())):
        labels = ('agreed', 'opposed') if k == 0 else ('opposed', 'agreed')
        items.append(
          _present(
            world,
            'in_distribution',
            f'{noun.singular}-{number:02d}',
            k,
            o,
            labels,
            lexicon.ASSISTANT,
            as_chat=True,
            target='agreed',
          )
        )
  return items


def base_task(world: World, seen: set[transcripts.Key]) -> list[Item]:
  """Fresh disagreements put to base characters, as transcripts.

  Args:
    world: The world.
    seen: The choices of the corpus, none of which becomes an item.
  """
  per_orbit = 2 * len(world.values) * len(_DISAGREE)
  draws = -(-world.config.base_task_items // per_orbit)
  orbits = transcripts.fresh_transcripts(
    world, 'disagree', draws, 'base_task', seen
  )
  items: list[Item] = []
  for t in (t for orbit_ in orbits for t in orbit_):
    label = world.values[world.value_of[t.name]].label
    number = len(items) // 2
    items.extend(
      _present(
        world,
        'base_task',
        f'{number:04d}-{t.name}',
        k,
        offer,
        _labels(world, offer),
        t.name,
        as_chat=False,
        target=label,
        persona_value=label,
      )
      for k, offer in enumerate((t.offer, t.offer.swap()))
    )
  return items
