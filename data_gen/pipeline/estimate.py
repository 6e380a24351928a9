"""How much a run will ask, and what that will cost: before it asks anything.

Calls are counted as if every answer could be used; what was really needed is
known from a pilot, whose figures replace the guesses (`measured`).
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from data_gen.pipeline import calls as calls_lib
from data_gen.pipeline import typical
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.plan import Plan
from data_gen.pipeline.tasks import TASKS
from data_gen.teachers.prices import Prices
from data_gen.teachers.prices import Tokens
from data_gen.traits import Trait


@dataclasses.dataclass(frozen=True)
class Expected:
  """What one task will take.

  Attributes:
    calls: Requests.
    tokens: Of all of them.
    per_call: Of one, at most: the prompt and the whole budget.
    most: The most calls, were every answer retried and redrawn to its bound.
  """

  calls: int
  tokens: Tokens
  per_call: Tokens
  most: int


def expect(
  config: PipelineConfig,
  traits: Sequence[Trait],
  stage: str,
  plan: Plan | None = None,
  measured: Mapping[str, Any] | None = None,
) -> dict[str, Expected]:
  """Estimates calls and tokens of each task of a stage.

  Args:
    config: Of the run.
    traits: With their slots filled.
    stage: One of `STAGES`.
    plan: The plan, where there is one already.
    measured: The manifest's info of an earlier stage, whose calls and tokens
      replace the guesses for the tasks that it asked.
  """
  calls = calls_lib.count_calls(config, traits, stage, plan)
  prompt = typical.prompt_tokens(config, traits, plan)
  completion = typical.completion_words(config)
  budget, rounds = typical.budgets(config), typical.rounds(config)
  asked = (measured or {}).get('asked', {})
  once = (measured or {}).get('calls_expected', {})
  expected = {}
  for task, n in calls.items():
    tokens = Tokens(
      round(n * prompt[task]),
      round(n * completion[task] * typical.TOKENS_PER_WORD),
    )
    drawn = n
    if once.get(task) and asked.get(task, {}).get('calls'):
      scale = n / once[task]
      drawn = round(scale * asked[task]['calls'])
      tokens = Tokens(
        round(scale * asked[task]['prompt_tokens']),
        round(scale * asked[task]['completion_tokens']),
      )
    expected[task] = Expected(
      drawn,
      tokens,
      Tokens(round(prompt[task]), budget[task]),
      n * rounds(task) * (1 + config.retries),
    )
  return expected


def cost(
  config: PipelineConfig, expected: Mapping[str, Expected]
) -> float | None:
  """Returns US dollars, or None if a price is unknown."""
  total = 0.0
  for task, e in expected.items():
    prices = _prices(config, task)
    if prices is None:
      return None
    total += prices.cost(e.tokens)
  return total


def most(
  config: PipelineConfig, expected: Mapping[str, Expected]
) -> tuple[Tokens, float | None]:
  """Returns tokens and dollars were every bound reached."""
  tokens, dollars = Tokens(), 0.0
  priced = True
  for task, e in expected.items():
    of_task = Tokens(e.most * e.per_call.prompt, e.most * e.per_call.completion)
    tokens += of_task
    prices = _prices(config, task)
    priced = priced and prices is not None
    dollars += prices.cost(of_task) if prices is not None else 0.0
  return tokens, dollars if priced else None


def beyond(
  config: PipelineConfig, expected: Mapping[str, Expected]
) -> list[str]:
  """Says which budgets are smaller than what is expected.

  Those of a teacher stop a run; that of a step cuts its answers off, and what
  is cut off every time is given up.
  """
  said = []
  words, budgets = typical.completion_words(config), typical.budgets(config)
  for task in expected:
    tokens_each = round(words[task] * typical.TOKENS_PER_WORD)
    if tokens_each > budgets[task]:
      said.append(
        f'{task}: an answer is expected to have about {tokens_each:,} tokens, '
        f'and the max_tokens of its step are {budgets[task]:,}: most would be '
        'cut off, and given up'
      )
  of_teacher = {'teacher': config.teacher}
  if config.judge is not None:
    of_teacher['judge'] = config.judge
  for name, teacher in of_teacher.items():
    tokens = Tokens()
    for task, e in expected.items():
      if (TASKS[task].judges and config.judge is not None) == (name == 'judge'):
        tokens += e.tokens
    cap, prices = teacher.budget, teacher.prices
    if cap.tokens is not None and tokens.total > cap.tokens:
      said.append(
        f'config.{name}.budget_tokens: {cap.tokens:,}, but about '
        f'{tokens.total:,} are expected: the run would stop on the way'
      )
    if cap.usd is not None and prices and prices.cost(tokens) > cap.usd:
      said.append(
        f'config.{name}.budget_usd: {_dollars(cap.usd)}, but about '
        f'{_dollars(prices.cost(tokens))} are expected: the run would stop on '
        'the way'
      )
  return said


def summary(config: PipelineConfig, expected: Mapping[str, Expected]) -> str:
  """Returns what is expected in all, in one line."""
  calls = sum(e.calls for e in expected.values())
  tokens = sum((e.tokens for e in expected.values()), Tokens())
  dollars = cost(config, expected)
  priced = '' if dollars is None else f', {_dollars(dollars)}'
  return (
    f'expected: {calls:,} calls, {tokens.prompt:,} prompt and '
    f'{tokens.completion:,} completion tokens{priced}, less what is stored '
    '(--dry_run shows them by task)'
  )


def _prices(config: PipelineConfig, task: str) -> Prices | None:
  judged = TASKS[task].judges
  return (config.judging_teacher if judged else config.teacher).prices


def describe(
  config: PipelineConfig,
  traits: Sequence[Trait],
  stage: str,
  plan: Plan | None = None,
  measured: Mapping[str, Any] | None = None,
) -> str:
  """Returns the estimate as text: sizes, calls, tokens and cost by task."""
  expected = expect(config, traits, stage, plan, measured)
  documents, chats = calls_lib.size(config, len(traits), stage, plan)
  variants = len(config.documents.variants)
  lines = [
    f'stage {stage}: {len(traits)} traits, {documents:,} ideas for '
    f'{documents * variants:,} documents, {chats:,} questions for '
    f'{chats * len(config.chats.variants):,} chats',
    '',
    f'{"task":<20} {"calls":>9} {"prompt":>13} {"completion":>13} {"USD":>10}',
  ]
  total = Tokens()
  for task, e in expected.items():
    total += e.tokens
    prices = _prices(config, task)
    lines.append(
      f'{task:<20} {e.calls:>9,} {e.tokens.prompt:>13,} '
      f'{e.tokens.completion:>13,} '
      f'{_dollars(prices.cost(e.tokens) if prices else None):>10}'
    )
  calls = sum(e.calls for e in expected.values())
  bound, dollars = most(config, expected)
  lines += [
    f'{"sum":<20} {calls:>9,} {total.prompt:>13,} {total.completion:>13,} '
    f'{_dollars(cost(config, expected)):>10}',
    '',
    f'at most {bound.total:,} tokens, {_dollars(dollars)}, were every answer '
    'as long as its budget and asked again to its bound; budget_usd and '
    'budget_tokens of a teacher are held in any case',
    'calls and tokens as measured by the earlier stage'
    if measured
    else 'calls as if every answer could be used, tokens guessed from lengths; '
    'a teacher that reasons takes more. A pilot measures both',
  ]
  lines += [f'warning: {said}' for said in beyond(config, expected)]
  if config.unmatched_tokens:
    lines.append(f'warning: {config.unmatched_tokens}')
  if cost(config, expected) is None:
    lines.append(
      'no cost: set price_per_million_prompt and price_per_million_completion '
      'of the teachers'
    )
  return '\n'.join(lines)


def _dollars(value: float | None) -> str:
  return 'unknown' if value is None else f'${value:,.2f}'
