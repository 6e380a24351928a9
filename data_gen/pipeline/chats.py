"""Chats: rounds of questions until exactly so many are accepted."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math

from data_gen.pipeline import window
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.bars import Bars
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.conversing import Conversation
from data_gen.pipeline.made import Group
from data_gen.pipeline.plan import Situation
from data_gen.pipeline.questions import Cell
from data_gen.pipeline.questions import make_cells
from data_gen.pipeline.questions import Question
from data_gen.pipeline.questions import Questions
from data_gen.traits import Trait

NOT_NEEDED = 'not needed: the quota was full'
# Never ask for more than this many times what is missing.
_MOST = 4.0
_REASONS = 5


@dataclasses.dataclass(frozen=True)
class Shortfall:
  """What is missing after the last round, and why.

  Attributes:
    cell: Of which kind.
    accepted: How many there are.
    reasons: Why the others are not, by frequency.
  """

  cell: Cell
  accepted: int
  reasons: Mapping[str, int]

  def __str__(self) -> str:
    kind = 'with pressure' if self.cell.pressure else 'without pressure'
    why = ', '.join(f'{n} {r}' for r, n in self.reasons.items())
    return (
      f'{self.cell.trait}, {kind}, {self.cell.turns} turns: '
      f'{self.accepted} of {self.cell.quota} ({why or "no more questions"})'
    )


def _wanted(missing: int, tried: int, accepted: int) -> int:
  """Returns how many to try so that about `missing` are accepted.

  The first round tries no more than are needed, later ones go by the yield so
  far.
  """
  if not missing or not tried:
    return missing
  rate = max(accepted / tried, 1 / _MOST)
  return math.ceil(missing / rate)


async def make_chats(
  config: PipelineConfig,
  traits: Mapping[str, Trait],
  situations: Sequence[Situation],
  total: int,
  asker: Asker,
  acceptance: Acceptance,
  bars: Bars,
) -> tuple[list[Shortfall], dict[str, int]]:
  """Makes exactly `total` accepted chats, in each variant.

  Args:
    config: Of the run.
    traits: Filled, by name; those that the plan has.
    situations: Of the plan.
    total: How many.
    asker: Asks the teachers.
    acceptance: Gets every conversation, and decides.
    bars: Show what is being made.

  Returns:
    What is missing when the rounds are over, and counts of questions.
  """
  about = [t for t in traits if any(s.trait == t for s in situations)]
  cells = make_cells(config, about, total)
  pool = Questions(config, traits, situations, cells, asker)
  cell_of: dict[str, Cell] = {}
  tried = Counter[Cell]()
  rounds = 0

  async def play(question: Question) -> Group:
    return await Conversation(config, traits, asker, question).play()

  for _ in range(config.chats.rounds):
    accepted = Counter(cell_of[g.key] for g in acceptance.accepted)
    wanted = {
      c: _wanted(max(0, c.quota - accepted[c]), tried[c], accepted[c])
      for c in cells
    }
    if not any(wanted.values()):
      break
    rounds += 1
    questions = await pool.take(wanted, bars)
    cell_of |= {q.id: q.cell for q in questions}
    tried.update(q.cell for q in questions)
    with bars.part(f'{acceptance.label} {rounds}', len(questions)) as done_one:
      made = await window.gather(questions, play, config.width, done_one)
    await acceptance.settle(made)
  _drop_surplus(cells, cell_of, acceptance)
  counts = {
    'rounds': rounds,
    'tried': len(cell_of),
    'near_duplicate_questions': pool.dropped.total(),
  }
  return _shortfalls(cells, cell_of, acceptance, pool.dropped), counts


def _drop_surplus(
  cells: Sequence[Cell], cell_of: Mapping[str, Cell], acceptance: Acceptance
) -> None:
  """Keeps the first ones of each cell, so many as its quota."""
  seen = Counter[Cell]()
  surplus = []
  for group in acceptance.accepted:
    cell = cell_of[group.key]
    seen[cell] += 1
    if seen[cell] > cell.quota:
      surplus.append(group)
  acceptance.drop(surplus, NOT_NEEDED)


def _shortfalls(
  cells: Sequence[Cell],
  cell_of: Mapping[str, Cell],
  acceptance: Acceptance,
  dropped: Mapping[Cell, int],
) -> list[Shortfall]:
  accepted = Counter(cell_of[g.key] for g in acceptance.accepted)
  reasons: dict[Cell, Counter[str]] = {cell: Counter() for cell in cells}
  for row in acceptance.rejected:
    # A row's pair id is its question; partners share its fate.
    if not row.rejected_because.startswith('partner: '):
      reasons[cell_of[row.pair_id]][row.rejected_because] += 1
  for cell, n in dropped.items():
    reasons[cell]['near-duplicate question'] += n
  return [
    Shortfall(cell, accepted[cell], dict(reasons[cell].most_common(_REASONS)))
    for cell in cells
    if accepted[cell] < cell.quota
  ]
