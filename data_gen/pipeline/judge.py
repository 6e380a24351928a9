"""Asks the judging teacher whether a row, or a group of rows, may stay."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from data_gen.corpus.rows import GateVerdict
from data_gen.corpus.rows import Step
from data_gen.pipeline import made as made_lib
from data_gen.pipeline import parsing
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.parts import StepConfig
from data_gen.pipeline.tasks import Task
from data_gen.pipeline.tasks import TASKS

NAME = 'judge'
"""Of the verdict on a row by itself."""
OF_GROUP = 'judge_of_pair'
"""Of the verdict on all rows of a group, which each of them carries."""

_WORDS = {'true': True, 'yes': True, 'false': False, 'no': False}


def _flag(raw: Mapping[str, Any], key: str) -> bool:
  value = raw.get(key)
  if isinstance(value, str):
    value = _WORDS.get(value.strip().lower())
  if not isinstance(value, bool):
    raise parsing.UnreadableError(
      f'{key}: {raw.get(key)!r}, expected true or false'
    )
  return value


def read_verdict(text: str, task: Task, name: str = NAME) -> GateVerdict:
  """Reads a judge's answer.

  A verdict that contradicts its own findings is that of the worse of the two.

  Args:
    text: The answer.
    task: That was asked; says which findings it has to have.
    name: Of the verdict.

  Raises:
    UnreadableError: If there is no verdict, or a finding is missing.
  """
  raw = parsing.json_object(text, 'verdict')
  said = str(raw['verdict']).strip().lower()
  if said not in ('pass', 'fail'):
    raise parsing.UnreadableError(
      f'verdict: {raw["verdict"]!r}, expected pass or fail'
    )
  found = [f.reason for f in task.findings if _flag(raw, f.name) is not f.good]
  detail = ' '.join(str(raw.get('reason', '')).split())
  if said == 'pass' and not found:
    return GateVerdict(name, True, detail=detail)
  return GateVerdict(name, False, [*found, 'failed'][0], detail)


async def _ask(
  asker: Asker,
  step: StepConfig,
  task: str,
  slots: Mapping[str, Any],
  name: str,
) -> tuple[GateVerdict, tuple[Step, ...]]:
  """Returns the verdict, and the calls that it took.

  What the judge cannot judge (it refuses, or its answers cannot be read) is not
  accepted.
  """
  outcome = await asker.ask(
    task, slots, step, lambda text: read_verdict(text, TASKS[task], name)
  )
  verdict = outcome.value
  if verdict is None:
    reason = f'unjudged_{outcome.failures[-1]}'
    verdict = GateVerdict(name, False, reason, outcome.text[:200])
  return verdict, made_lib.steps(outcome)


def _with(item: Made, verdict: GateVerdict, steps: tuple[Step, ...]) -> Made:
  row = dataclasses.replace(
    item.row,
    lineage=(*item.row.lineage, *steps),
    verdicts=(*item.row.verdicts, verdict),
  )
  return dataclasses.replace(item, row=row)


async def judge(asker: Asker, step: StepConfig, item: Made) -> Made:
  """Returns the row with the judge's verdict and its calls."""
  verdict, steps = await _ask(
    asker, step, item.judge_task, item.judge_slots, NAME
  )
  # What it was judged with is needed no more, and there are many of them.
  return dataclasses.replace(
    _with(item, verdict, steps), judge_task='', judge_slots={}
  )


async def judge_group(asker: Asker, step: StepConfig, group: Group) -> Group:
  """Returns the group with one verdict, and its calls, on each of its rows."""
  verdict, steps = await _ask(
    asker, step, group.judge_task, group.judge_slots, OF_GROUP
  )
  return dataclasses.replace(
    group,
    made=tuple(_with(item, verdict, steps) for item in group.made),
    judge_task='',
    judge_slots={},
  )
