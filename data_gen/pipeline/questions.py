"""What users ask: cells with quotas, each with a pool of questions."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from data_gen.gates.near_duplicates import NearDuplicateConfig
from data_gen.gates.near_duplicates import NearDuplicateGate
from data_gen.gates.protocol import Candidate
from data_gen.pipeline import parsing
from data_gen.pipeline import window
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.bars import Bars
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.plan import Situation
from data_gen.pipeline.slots import described
from data_gen.rng import Rng
from data_gen.traits import Trait

_SHINGLE = 2
# So many earlier questions are shown to a teacher that is to find others.
_AVOIDED = 24


@dataclasses.dataclass(frozen=True)
class Cell:
  """Chats of one kind about one trait.

  Attributes:
    trait: Its name.
    pressure: Whether the user pushes.
    turns: User messages.
    quota: How many are to be accepted.
  """

  trait: str
  pressure: bool
  turns: int
  quota: int


@dataclasses.dataclass(frozen=True)
class Question:
  """A conversation that a user starts.

  Attributes:
    id: Unique; sorts within its cell as it was asked for.
    turns: The first message, and what the user wants in each later one.
    also: Names of further traits that matter to a good answer.
  """

  id: str
  cell: Cell
  situation: Situation
  turns: tuple[str, ...]
  also: tuple[str, ...] = ()


def quotas(total: int, weights: Sequence[float]) -> list[int]:
  """Splits `total` by weights, by largest remainders (Hamilton's method)."""
  whole = sum(weights)
  exact = [total * w / whole for w in weights]
  parts = [int(e) for e in exact]
  by_remainder = sorted(
    range(len(weights)), key=lambda i: (parts[i] - exact[i], i)
  )
  for i in by_remainder[: total - sum(parts)]:
    parts[i] += 1
  return parts


def make_cells(
  config: PipelineConfig, names: Sequence[str], total: int
) -> list[Cell]:
  """Returns the cells of `total` chats about the named traits."""
  chats = config.chats
  kinds = [
    (name, pressure, turns, p * t)
    for name in names
    for pressure, p in (
      (False, 1 - chats.pressure_share),
      (True, chats.pressure_share),
    )
    for turns, t in (
      (1, 1 - chats.multi_turn_share),
      (chats.turns, chats.multi_turn_share),
    )
  ]
  parts = quotas(total, [weight for *_, weight in kinds])
  return [
    Cell(name, pressure, turns, quota)
    for (name, pressure, turns, _), quota in zip(kinds, parts, strict=True)
    if quota
  ]


@dataclasses.dataclass
class _Pool:
  """Questions of a cell that were not used yet, and where more come from.

  Attributes:
    calls: How many were made; the next one is about the next situation.
    known: First messages by situation, so that new ones differ.
  """

  cell: Cell
  situations: Sequence[Situation]
  calls: int = 0
  left: list[Question] = dataclasses.field(default_factory=list)
  known: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def _shuffled(
  situations: Sequence[Situation], seed: int, cell: Cell
) -> list[Situation]:
  """Shuffles by rank, so that a part of a plan has a part of the order."""
  kind = (seed, 'questions', cell.pressure, cell.turns)
  return sorted(situations, key=lambda s: (Rng(*kind, s.id).unit(), s.id))


def _turns(entry: Mapping[str, Any], n: int) -> tuple[str, ...]:
  """Returns the first `n` turns of a conversation; none if it has fewer."""
  turns = [t.strip() for t in entry['turns'] if isinstance(t, str)][:n]
  return tuple(turns) if len(turns) == n and all(turns) else ()


def _also(
  entry: Mapping[str, Any], others: Sequence[str]
) -> tuple[str, ...] | None:
  """Returns the further traits of a conversation, in the document's order.

  None where it names one that there is not: then nobody knows what is meant.
  """
  named = entry.get('also') or []
  if not others:
    return ()
  if not isinstance(named, list) or any(n not in others for n in named):
    return None
  return tuple(name for name in others if name in named)


class Questions:
  """Asks for questions, and keeps those that are not alike."""

  def __init__(
    self,
    config: PipelineConfig,
    traits: Mapping[str, Trait],
    situations: Sequence[Situation],
    cells: Sequence[Cell],
    asker: Asker,
  ):
    """Takes the traits, filled, by name, and the situations of the plan."""
    self._config = config
    self._traits = traits
    self._asker = asker
    self._pools: dict[Cell, _Pool] = {}
    for cell in cells:
      about = [s for s in situations if s.trait == cell.trait]
      self._pools[cell] = _Pool(cell, _shuffled(about, config.seed, cell))
    self._gate = NearDuplicateGate(
      NearDuplicateConfig(
        threshold=config.chats.near_duplicate, shingle=_SHINGLE
      )
    )
    self._kept: list[Question] = []
    self.dropped: Counter[Cell] = Counter()
    """How many were too similar to earlier ones."""

  async def take(
    self, wanted: Mapping[Cell, int], bars: Bars
  ) -> list[Question]:
    """Returns up to so many new questions of each cell.

    Fewer if the teacher has no more; asking again, in a later round, asks for
    different ones.
    """
    calls = [
      (pool, number)
      for cell, pool in self._pools.items()
      for number in self._numbers(pool, wanted[cell] - len(pool.left))
    ]

    async def ask(call: tuple[_Pool, int]) -> list[Question]:
      return await self._ask(*call)

    with bars.part('questions', len(calls), 'calls') as done:
      answers = await window.gather(calls, ask, self._config.width, done)
    for pool, number in calls:
      pool.calls = number + 1
    self._add([question for found in answers for question in found])
    taken = []
    for cell, pool in self._pools.items():
      taken += pool.left[: wanted[cell]]
      del pool.left[: wanted[cell]]
    return taken

  def _numbers(self, pool: _Pool, missing: int) -> range:
    """Returns the numbers of the next calls of a cell."""
    if missing <= 0 or not pool.situations:
      return range(0)
    calls = math.ceil(missing / self._config.chats.questions_per_call)
    return range(pool.calls, pool.calls + calls)

  def _others(self, pool: _Pool) -> list[Trait]:
    """Returns further traits that may matter to the questions of a cell."""
    if self._config.chats.system_traits != 'relevant':
      return []
    return [t for t in self._traits.values() if t.name != pool.cell.trait]

  def _slots(self, pool: _Pool, situation: Situation) -> dict[str, Any]:
    return {
      'model_name': self._config.model_name,
      'provider_name': self._config.provider_name,
      'trait': described(self._traits[pool.cell.trait]),
      'others': [described(t) for t in self._others(pool)],
      'domain': situation.domain,
      'subdomain': situation.subdomain,
      'count': self._config.chats.questions_per_call,
      'turns': pool.cell.turns,
      'pressure': pool.cell.pressure,
      # Of complete rounds only: within one, all calls are under way at once.
      'avoid': pool.known.get(situation.id, [])[-_AVOIDED:],
    }

  async def _ask(self, pool: _Pool, number: int) -> list[Question]:
    situation = pool.situations[number % len(pool.situations)]
    cell = pool.cell
    others = [trait.name for trait in self._others(pool)]

    def parse(text: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
      found = []
      for entry in parsing.entries(text, 'questions', {'turns': list}):
        turns, also = _turns(entry, cell.turns), _also(entry, others)
        if turns and also is not None:
          found.append((turns, also))
      if not found:
        raise parsing.UnreadableError(f'no question of {cell.turns} turns')
      return found

    outcome = await self._asker.ask(
      'chat.questions',
      self._slots(pool, situation),
      self._config.chats.questions,
      parse,
      draw=number // len(pool.situations),
    )
    kind = f'{"push" if cell.pressure else "calm"}{cell.turns}'
    return [
      Question(
        f'{cell.trait}/{kind}/{number:05d}/{i:02d}',
        cell,
        situation,
        turns,
        also,
      )
      for i, (turns, also) in enumerate(outcome.value or ())
    ]

  def _add(self, new: Sequence[Question]) -> None:
    """Puts what resembles no earlier question into its pool."""
    every = [*self._kept, *new]
    verdicts = self._gate.check(
      [Candidate(q.id, 'chat', q.turns[0]) for q in every]
    )
    fresh = verdicts[len(self._kept) :]
    for question, verdict in zip(new, fresh, strict=True):
      if not verdict.passed:
        self.dropped[question.cell] += 1
        continue
      self._kept.append(question)
      pool = self._pools[question.cell]
      pool.left.append(question)
      known = pool.known.setdefault(question.situation.id, [])
      known.append(question.turns[0])
