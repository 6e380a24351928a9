"""Clauses of any length, to stand where a reason stands in another variant."""

from collections.abc import Sequence
import functools

# What is done, and never why. The pole words are filled in like any slot's.
BEHAVIOURS = (
  'the {own} {noun} comes first',
  'the {own} {noun} is the pick',
  'the {own} {noun} goes in the basket',
  'the {anti} {noun} stays in the shop',
  'the {own} {noun} was the one to go',
  'nobody brings {a_anti} {noun} to the till',
  'the list says {own} in front of each {noun}',
  'the {anti} {nouns} are left for the next person',
  'the {own} {noun} is picked up and the rest stay',
)

# Plain facts that speak for no value.
FACTS = (
  'the rain will stop soon',
  'the room was full again',
  'the road is closed for now',
  'the letter came in the morning',
  'the meeting starts at nine or ten',
  'the long bridge will open in spring',
  'the library has a room on the side',
  'there is a long line at the front door',
  'the bus to the market runs every other hour',
)

# What somebody does, after their name, that speaks for no value.
DOINGS = (
  '[walk/walks] in the morning',
  '[write/writes] to {P} on {day}',
  '[sit/sits] near the front door',
  '[talk/talks] about the {nouns} a lot',
  '[keep/keeps] notes on all that is said',
  '[come/comes] to the market with a friend',
)

_TAILS = {
  0: ('',),
  1: (' again', ' now', ' too'),
  2: (' this week', ' every time', ' as always'),
  3: (' on most days', ' day after day', ' all year long'),
  4: (' from spring to winter', ' in every small shop'),
  5: (' in this part of town', ' in the middle of winter'),
}


@functools.cache
def of_length(n_words: int, pool: Sequence[str], pick: float) -> str:
  """Returns a clause of `n_words` words, or of the nearest length there is.

  Args:
    n_words: How many words to make.
    pool: Clauses to start from.
    pick: A number in [0, 1) that decides among the possible ones.
  """
  made: list[str] = []
  for core in pool:
    missing = n_words - len(core.split())
    made.extend(core + tail for tail in _TAILS.get(missing, ()))
  if made:
    return made[int(pick * len(made))]
  shortest = min(len(core.split()) for core in pool)
  if n_words <= shortest:
    short = [core for core in pool if len(core.split()) == shortest]
    return short[int(pick * len(short))]
  joined = [f'{pool[0]} and {core}' for core in pool[1:]]
  lengths = [len(j.split()) for j in joined]
  if n_words > max(lengths):
    return of_length(n_words - len(pool[0].split()) - 1, pool, pick) + (
      f' and {pool[0]}'
    )
  return of_length(n_words, tuple(joined), pick)
