"""Decides, round by round, what is accepted.

Everything of a round is complete before any of it is decided, and gates see it
in the order of the plan. So what is accepted does not depend on the order in
which answers came.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Sequence
import dataclasses

from data_gen.corpus.rows import GateVerdict
from data_gen.corpus.rows import Row
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Gate
from data_gen.gates.protocol import Verdict
from data_gen.gates.suite import run_gates
from data_gen.pipeline import judge as judge_lib
from data_gen.pipeline import made as made_lib
from data_gen.pipeline import window
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.bars import Bars
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.parts import StepConfig

GatesOf = Callable[[str, str], Sequence[Gate]]
"""Source and kind (`'document'` or `'chat'`) to the gates of its rows."""


def _verdict(verdict: Verdict) -> GateVerdict:
  return GateVerdict(**dataclasses.asdict(verdict))


def _first_failure(row: Row) -> str:
  for v in row.verdicts:
    if not v.passed:
      return f'{v.gate}: {v.reason}'
  return ''


class Acceptance:
  """Collects the accepted groups of one part of the corpus, and the others.

  Attributes:
    label: What is made, for people.
    accepted: In the order in which they were accepted: round, then plan.
    rejected: Rows, with reasons.
  """

  def __init__(
    self,
    gates_of: GatesOf,
    asker: Asker,
    judge_step: StepConfig,
    width: int,
    bars: Bars,
    label: str,
  ):
    """Starts empty.

    Args:
      gates_of: See `GatesOf`; asked once for each source.
      asker: Asks the judge.
      judge_step: How.
      width: How many rows are judged at once.
      bars: Show the rows that are judged.
      label: What is made, for people.
    """
    self._gates_of = gates_of
    self._gates: dict[str, Sequence[Gate]] = {}
    self._asker = asker
    self._judge_step = judge_step
    self._width = width
    self._bars = bars
    self.label = label
    self.accepted: list[Group] = []
    self.rejected: list[Row] = []

  async def settle(self, new: Sequence[Group]) -> None:
    """Decides about a whole round.

    Gates look at what was accepted before and at the new groups, in this order:
    those that compare keep the earlier one. What was accepted before and does
    not pass in the larger company is rejected after all.
    """
    whole = [g for g in new if not any(m.given_up for m in g.made)]
    for group in new:
      if reason := next((m.given_up for m in group.made if m.given_up), ''):
        self._reject(group, f'given up: {reason}')
    kept, before = self.accepted, len(self.accepted)
    passed = self._through_gates([*kept, *whole])
    old = [g for i, g in enumerate(passed[:before]) if self._keep(g)]
    fresh = [g for g in passed[before:] if self._keep(g)]
    self.accepted = old
    judged = [g for g in await self._judged(fresh) if self._keep(g)]
    judged = [g for g in await self._judged_groups(judged) if self._keep(g)]
    self.accepted += judged
    self._bars.settled(self.label, len(judged), len(new))

  def drop(self, groups: Sequence[Group], because: str) -> None:
    """Takes back what was accepted, e.g. because it is not needed."""
    keys = {g.key for g in groups}
    for group in groups:
      self._reject(group, because)
    self.accepted = [g for g in self.accepted if g.key not in keys]

  def _keep(self, group: Group) -> bool:
    """Whether all rows passed; if not, they go to the rejected ones."""
    failures = [_first_failure(m.row) for m in group.made]
    if any(failures):
      self._reject(group, next(filter(None, failures)))
      return False
    return True

  def _reject(self, group: Group, because: str) -> None:
    """Rejects all rows, those without a fault of their own for the others'."""
    for item in group.made:
      own = _first_failure(item.row) or (
        f'given up: {item.given_up}' if item.given_up else ''
      )
      shared = because if len(group.made) == 1 else f'partner: {because}'
      self.rejected.append(made_lib.rejected(item.row, own or shared))

  def _through_gates(self, groups: Sequence[Group]) -> list[Group]:
    """Returns the groups with the verdicts of the gates of each source."""
    places: dict[str, list[tuple[int, int]]] = {}
    for g, group in enumerate(groups):
      for m, item in enumerate(group.made):
        places.setdefault(item.row.source, []).append((g, m))
    made = [list(group.made) for group in groups]
    for source, where in places.items():
      candidates = [made[g][m].candidate for g, m in where]
      verdicts = self._run(source, candidates)
      names = {gate.name for gate in self._gates[source]}
      for (g, m), said in zip(where, verdicts, strict=True):
        made[g][m] = _with_verdicts(made[g][m], said, names)
    return [
      dataclasses.replace(group, made=tuple(items))
      for group, items in zip(groups, made, strict=True)
    ]

  def _run(
    self, source: str, candidates: Sequence[Candidate]
  ) -> Sequence[Sequence[Verdict]]:
    if source not in self._gates:
      self._gates[source] = self._gates_of(source, candidates[0].kind)
    return run_gates(self._gates[source], candidates)

  async def _judged(self, groups: Sequence[Group]) -> list[Group]:
    """Returns the groups with the verdicts of the judge."""
    flat = [m for group in groups for m in group.made if m.judge_task]

    async def ask(item: Made) -> Made:
      return await judge_lib.judge(self._asker, self._judge_step, item)

    with self._bars.part(f'{self.label}: judged', len(flat)) as done:
      judged = iter(await window.gather(flat, ask, self._width, done))
    return [
      dataclasses.replace(
        group,
        made=tuple(next(judged) if m.judge_task else m for m in group.made),
      )
      for group in groups
    ]

  async def _judged_groups(self, groups: Sequence[Group]) -> list[Group]:
    """Returns the groups with what the judge says of all of their rows."""
    pending = [group for group in groups if group.judge_task]
    if not pending:
      return list(groups)

    async def ask(group: Group) -> Group:
      return await judge_lib.judge_group(self._asker, self._judge_step, group)

    with self._bars.part(f'{self.label}: pairs judged', len(pending)) as done:
      judged = iter(await window.gather(pending, ask, self._width, done))
    return [next(judged) if group.judge_task else group for group in groups]


def _with_verdicts(
  item: Made, said: Sequence[Verdict], gates: Collection[str]
) -> Made:
  """Replaces the gates' verdicts, and keeps those of others."""
  others = tuple(v for v in item.row.verdicts if v.gate not in gates)
  verdicts = (*map(_verdict, said), *others)
  return dataclasses.replace(
    item, row=dataclasses.replace(item.row, verdicts=verdicts)
  )
