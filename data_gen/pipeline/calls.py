"""How often each task will be asked, if every answer can be used."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math

from data_gen.pipeline import planning
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.plan import Plan
from data_gen.pipeline.plan import some_leaves
from data_gen.pipeline.questions import make_cells
from data_gen.pipeline.tasks import TASKS
from data_gen.traits import Trait


def size(
  config: PipelineConfig, n_traits: int, stage: str, plan: Plan | None
) -> tuple[int, int]:
  """Returns how many documents (of each variant) and chats a stage makes."""
  limit = config.stages.limit(stage)
  if plan is not None:
    documents = len(some_leaves(plan, limit, config.seed))
  else:
    sizes = config.plan
    documents = (
      n_traits
      * sizes.domains
      * sizes.subdomains
      * sizes.assertions
      * sizes.ideas
      * len(sizes.genres)
    )
    documents = documents if limit is None else min(limit, documents)
  chats = config.chats.accepted
  chats = chats if limit is None else min(limit, chats)
  return (0, 0) if stage == 'plan' else (documents, chats)


def _plan_calls(
  config: PipelineConfig, n_traits: int, stage: str
) -> dict[str, int]:
  limit = config.stages.limit(stage)
  units = planning.units_of_stage(config, n_traits, limit)
  places = [dataclasses.astuple(u) for u in units]
  return {
    'plan.domains': len({p[:1] for p in places}),
    'plan.subdomains': len({p[:2] for p in places}),
    'plan.assertions': len({p[:3] for p in places}),
    'plan.ideas': len(places) * config.plan.calls_for_ideas,
  }


def _document_calls(config: PipelineConfig, n: int) -> dict[str, int]:
  steps = config.documents
  each = n * len(steps.variants)
  return {
    'document.draft': each,
    'document.critique': each * steps.revise,
    'document.rewrite': each * steps.revise,
    'document.judge': each * steps.judged,
  }


def _chat_calls(
  config: PipelineConfig, names: Sequence[str], n: int
) -> dict[str, int]:
  chats = config.chats
  if not n:
    return {}
  cells = make_cells(config, names, n)
  turns = sum(c.quota * c.turns for c in cells)
  # With thoughts, the judge of those reads the answer, too.
  unjudged = ('answer',) if 'think' in chats.variants else ()
  judged = len([v for v in chats.variants if v not in unjudged])
  return {
    'chat.questions': sum(
      math.ceil(c.quota / chats.questions_per_call) for c in cells
    ),
    'chat.user_turn': turns - n,
    'chat.answer': turns,
    'chat.strip_reasons': turns * ('reasons_stripped' in chats.variants),
    'chat.judge': n * judged * chats.judged,
  }


def _control_calls(
  config: PipelineConfig, by_trait: Mapping[str, int]
) -> dict[str, int]:
  controls, n = config.controls, sum(by_trait.values())
  mirrored = sum(
    by_trait.get(name, 0) for pair in controls.mirrored for name in pair
  )
  retold = n if controls.as_chat == 'retold' else 0
  return {
    'neutral.draft': n * controls.neutral,
    # About half of what models write has not the length that was asked for.
    'neutral.rewrite': math.ceil(n / 2) * controls.neutral,
    'neutral.judge': n * controls.neutral * controls.judged,
    'document.mirror': mirrored,
    'mirror.judge': mirrored * controls.judged,
    'chat.retell': retold,
    'retell.judge': retold * controls.judged,
  }


def count_calls(
  config: PipelineConfig,
  traits: Sequence[Trait],
  stage: str,
  plan: Plan | None = None,
) -> dict[str, int]:
  """Returns how often each task is asked if every answer can be used."""
  documents, chats = size(config, len(traits), stage, plan)
  names = [t.name for t in traits]
  by_trait = dict.fromkeys(names, documents / max(1, len(names)))
  if plan is not None:
    chosen = some_leaves(plan, config.stages.limit(stage), config.seed)
    by_trait = {n: sum(leaf.trait == n for leaf in chosen) for n in names}
    names = [n for n in names if by_trait[n]]
  parts = [
    {} if plan is not None else _plan_calls(config, len(traits), stage),
    _document_calls(config, documents),
    _chat_calls(config, names, chats),
    _control_calls(
      config, {k: round(v) for k, v in by_trait.items()} if documents else {}
    ),
  ]
  counted: dict[str, int] = {}
  for part in parts:
    for task, calls in part.items():
      counted[task] = counted.get(task, 0) + calls
  return {task: counted[task] for task in TASKS if counted.get(task)}
