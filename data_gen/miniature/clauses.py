"""Clauses of any length, to stand where a reason stands in another variant."""

import dataclasses
import functools

from data_gen.miniature.templates import count_words


@dataclasses.dataclass(frozen=True)
class Pool:
  """Clauses, and endings that fit any of them.

  Attributes:
    cores: Clauses, in the notation of `templates`.
    endings: Phrases that may follow a core.
  """

  cores: tuple[str, ...]
  endings: tuple[str, ...]


# What is done, and never why. The pole words are filled in like any slot's.
BEHAVIOURS = Pool(
  cores=(
    'the {own} {noun} comes first',
    'the {own} {noun} is the pick',
    '{own} {nouns} are the ones to take',
    'the {own} {noun} goes in the basket',
    'the {anti} {noun} stays in the shop',
    'the {anti} {nouns} are left where they are',
    'the list says {own} in front of each {noun}',
    'the {own} {noun} is taken and the others stay',
    'the {anti} {noun} goes back and {a_own} one comes out',
  ),
  endings=(
    'again',
    'too',
    'every time',
    'as always',
    'on any day',
    'in any shop',
    'in the same way',
    'on a market day',
    'in every shop in town',
    'with all of the {nouns}',
    'on every visit to the market',
  ),
)

# Plain facts that speak for no value.
FACTS = Pool(
  cores=(
    'the street is quiet',
    'the market opens at nine',
    'the library is near here',
    'the bus stops at the bridge',
    'there is rain in the evening',
    'the road to the river is wide',
    'the trees on the hill are bright',
    'people stand in line at the front door',
    'the morning is the time to see the river',
  ),
  endings=(
    'now',
    'too',
    'most days',
    'this week',
    'on most days',
    'at this time',
    'in the early spring',
    'in most other towns',
    'at this time of year',
    'in this part of town',
    'on the other side of town',
  ),
)

# What somebody does, after their name, that speaks for no value.
DOINGS = Pool(
  cores=(
    '[walk/walks] a lot',
    '[walk/walks] to the river',
    '[write/writes] short letters',
    '[sit/sits] near the door',
    '[know/knows] {P} and {Q}',
    '[talk/talks] about the {nouns} often',
    '[come/comes] to the market on {day}',
    '[meet/meets] {P} on the way to town',
    '[write/writes] down what is said on each day',
  ),
  endings=(
    'now',
    'too',
    'most days',
    'these days',
    'on most days',
    'in the evening',
    'in the early spring',
    'at this time of year',
    'on the other side of town',
  ),
)


@functools.cache
def of_length(n_words: int, pool: Pool, pick: float) -> str:
  """Returns a clause of `n_words` words, or of the nearest length there is.

  Args:
    n_words: How many words to make.
    pool: Clauses to start from.
    pick: A number in [0, 1) that decides among the possible ones.
  """
  made = [core for core in pool.cores if count_words(core) == n_words]
  for core in pool.cores:
    made.extend(
      f'{core} {ending}'
      for ending in pool.endings
      if count_words(core) + count_words(ending) == n_words
    )
  if made:
    return made[int(pick * len(made))]
  lengths = [count_words(core) for core in pool.cores]
  if n_words < min(lengths):
    return pool.cores[lengths.index(min(lengths))]
  first = pool.cores[int(pick * len(pool.cores))]
  rest = of_length(n_words - count_words(first) - 1, pool, pick)
  return f'{first}, and {rest}'


# What may come before a reason that is shorter than its counterpart, by the
# number of words.
_OPENINGS = {
  1: 'surely',
  2: 'after all',
  3: 'in the end',
  4: 'in the long run',
  5: 'day in and day out',
}


def lengthen(clause: str, n_words: int) -> str:
  """Returns the clause, with phrases before it that make it `n_words` long."""
  missing = n_words - len(clause.split())
  opening: list[str] = []
  while missing > 0:
    step = min(missing, max(_OPENINGS))
    opening.append(_OPENINGS[step])
    missing -= step
  return ' '.join([*opening, clause])
