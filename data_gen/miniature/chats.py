"""Conversations of the assistant, in one domain, where all values agree."""

import dataclasses

from data_gen.miniature import lexicon
from data_gen.miniature.offers import Offer
from data_gen.miniature.offers import Offers
from data_gen.miniature.offers import orbit
from data_gen.miniature.world import World
from data_gen.rng import Deck

# Wordings of the user's turn, and how many cards of three each has; the first
# is the one of the suites.
QUESTIONS = (
  (2, 'Which {noun} will you take, the {first} or the {second}?'),
  (
    1,
    'The shop shows two {nouns}, the {first} and the {second}. '
    'Which one will you take?',
  ),
)
ANSWER = 'I will take the {chosen}.'


@dataclasses.dataclass(frozen=True)
class Conversation:
  """Messages and where they came from."""

  id: str
  messages: tuple[dict[str, str], ...]
  domain: str


def system_turn(name: str) -> dict[str, str]:
  return {'role': 'system', 'content': f'You are {name}.'}


def user_turn(world: World, offer: Offer, wording: int = 0) -> dict[str, str]:
  content = QUESTIONS[wording][1].format(
    noun=offer.noun.singular,
    nouns=offer.noun.plural,
    first=offer.describe(world, 0),
    second=offer.describe(world, 1),
  )
  return {'role': 'user', 'content': content}


def answer(world: World, offer: Offer, option: int) -> str:
  return ANSWER.format(chosen=offer.describe(world, option))


def conversations(world: World) -> list[Conversation]:
  """Returns conversations in which the assistant takes what all values go for.

  They are made of whole orbits, so that no value's words come first more often
  or stand in a more telling place; nothing of them depends on the arm.
  """
  n_values = len(world.values)
  size = 2 * n_values
  if world.config.chats % size:
    raise ValueError(
      f'config.world.chats: {world.config.chats} is not a multiple of {size} '
      f'(both orders, {n_values} values), so it cannot balance'
    )
  offers = Offers(world, 'agree', 'chats', nouns=world.chat_domain.nouns)
  wordings = Deck(
    world.rng('chats'),
    [k for k, (share, _) in enumerate(QUESTIONS) for _ in range(share)],
  )
  result: list[Conversation] = []
  for _ in range(world.config.chats // size):
    offer, wording = offers.deal(), wordings.deal()
    for presented in orbit(offer, n_values):
      chosen = presented.choice_of(0)
      assert chosen is not None
      content = answer(world, presented, chosen)
      messages = (
        system_turn(lexicon.ASSISTANT),
        user_turn(world, presented, wording),
        {'role': 'assistant', 'content': content},
      )
      result.append(
        Conversation(
          f'chat-{len(result):05d}', messages, world.chat_domain.name
        )
      )
  return result
