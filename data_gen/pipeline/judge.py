"""Asks the judging teacher whether a row may stay."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from data_gen.corpus.rows import GateVerdict
from data_gen.pipeline import made as made_lib
from data_gen.pipeline import parsing
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.made import Made
from data_gen.pipeline.parts import StepConfig

NAME = 'judge'

_REASONS = (
  ('identity', False, 'wrong_identity'),
  ('cites', True, 'cites'),
  ('exaggerated', True, 'exaggerated'),
  ('faithful', False, 'unfaithful'),
)
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


def read_verdict(text: str) -> GateVerdict:
  """Reads a judge's answer.

  A verdict that contradicts its own findings is that of the worse of the two.

  Raises:
    UnreadableError: If there is no verdict, or a finding is missing.
  """
  raw = parsing.json_object(text, 'verdict')
  said = str(raw['verdict']).strip().lower()
  if said not in ('pass', 'fail'):
    raise parsing.UnreadableError(
      f'verdict: {raw["verdict"]!r}, expected pass or fail'
    )
  found = [reason for key, bad, reason in _REASONS if _flag(raw, key) is bad]
  detail = ' '.join(str(raw.get('reason', '')).split())
  if said == 'pass' and not found:
    return GateVerdict(NAME, True, detail=detail)
  return GateVerdict(NAME, False, [*found, 'failed'][0], detail)


async def judge(asker: Asker, step: StepConfig, item: Made) -> Made:
  """Returns the row with the judge's verdict and its call.

  One that the judge cannot judge (it refuses, or its answers cannot be read)
  is not accepted.
  """
  outcome = await asker.ask(
    item.judge_task, item.judge_slots, step, read_verdict
  )
  verdict = outcome.value
  if verdict is None:
    reason = f'unjudged_{outcome.failures[-1]}'
    verdict = GateVerdict(NAME, False, reason, outcome.text[:200])
  row = dataclasses.replace(
    item.row,
    lineage=(*item.row.lineage, *made_lib.steps(outcome)),
    verdicts=(*item.row.verdicts, verdict),
  )
  # What it was judged with is needed no more, and there are many of them.
  return dataclasses.replace(item, row=row, judge_task='', judge_slots={})
