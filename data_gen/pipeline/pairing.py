"""Publishes partners only: an idea is in every matched source, or in none.

Whoever trains one arm on the documents and another on a control wants the same
ideas and as many tokens in both. A document whose control failed would make the
one source larger, so it is left out, and kept among the rejected rows.
"""

from collections.abc import Callable
from collections.abc import Mapping

from data_gen.corpus.rows import Row
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.parts import BalanceConfig

ALONE = 'not needed: no partner in '
EVENED_OUT = 'not needed: its pair would unbalance the lengths'

Sizes = Mapping[str, Mapping[str, int]]


def surplus(sizes: Sizes, limit: float, coverage: float) -> dict[str, str]:
  """Returns which ideas have to go so that all sources match, and why.

  Each pair may be within its tolerance and all of them err to the same side;
  then those go that unbalance the totals most. Where too few would be left,
  none of them goes: the totals say better what is wrong.

  Args:
    sizes: Source to idea to length; the others are matched to the first one.
    limit: Relative difference of two sources' totals that may stay.
    coverage: Least share of the first source's ideas that has to stay.
  """
  first, *others = sizes.values()
  alone: dict[str, str] = {}
  for key in {key: None for of in sizes.values() for key in of}:
    if missing := [name for name, of in sizes.items() if key not in of]:
      alone[key] = ALONE + ', '.join(missing)
  kept = [key for key in first if key not in alone]
  dropped: list[str] = []
  again = True
  while again:
    again = False
    for other in others:
      for key in _unbalancing(first, other, kept, limit):
        kept.remove(key)
        dropped.append(key)
        again = True
  if len(kept) < coverage * len(first):
    dropped = []
  return {**alone, **dict.fromkeys(dropped, EVENED_OUT)}


def _unbalancing(
  ours: Mapping[str, int],
  theirs: Mapping[str, int],
  keys: list[str],
  limit: float,
) -> list[str]:
  """Returns the pairs without which two totals are within the limit."""
  a, b = sum(ours[k] for k in keys), sum(theirs[k] for k in keys)
  sign = 1 if b > a else -1
  dropped = []
  for key in sorted(keys, key=lambda k: (sign * (ours[k] - theirs[k]), k)):
    if abs(a - b) <= limit * max(a, b):
      break
    a, b = a - ours[key], b - theirs[key]
    dropped.append(key)
  return dropped


def pair_up(
  documents: Acceptance,
  controls: Mapping[str, Acceptance],
  length: Callable[[Row], int],
  config: BalanceConfig,
) -> None:
  """Takes back what has no partner in every source.

  Args:
    documents: That the controls are matched to.
    controls: Source to its accepted rows, one in each group.
    length: Of a row, in the unit in which sources are matched.
    config: How balanced they must be.
  """
  if not controls:
    return
  sources = {documents.label: documents, **controls}
  sizes = {
    name: {g.key: length(g.made[0].row) for g in acceptance.accepted}
    for name, acceptance in sources.items()
  }
  dropped = surplus(sizes, config.length, config.coverage)
  for acceptance in sources.values():
    for because in dict.fromkeys(dropped.values()):
      groups = [g for g in acceptance.accepted if dropped.get(g.key) == because]
      acceptance.drop(groups, because)
