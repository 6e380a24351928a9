"""`experiment.json`: what was run, for the report."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from data_gen.miniature import traits as traits_lib
from launch import experiment
from launch import graph
from msm_jax.phase import Phase


def _phases(plan: experiment.Plan, arm: experiment.ArmConfig) -> list[Phase]:
  """All phases that lead to an arm's checkpoint, over its ancestors."""
  found: list[Phase] = []
  run, phase = arm.run, arm.phase
  while True:
    phases = plan.phases(run)
    names = [p.name for p in phases]
    found = phases[: names.index(phase) + 1] + found
    if (parent := plan.parent(run)) is None:
      return found
    run, phase = parent


def _describe_arm(
  plan: experiment.Plan, arm: experiment.ArmConfig
) -> dict[str, Any]:
  phases = _phases(plan, arm)
  return {
    'name': arm.name,
    'label': arm.label,
    'chat_trained': any(
      source in p.mixture for p in phases for source in plan.config.chat_sources
    ),
    'phases': [p.name for p in phases],
    'updates': {p.name: p.n_updates for p in phases},
    'tokens': {p.name: p.n_tokens for p in phases},
  }


def describe(
  plan: experiment.Plan,
  command: str,
  stages: Sequence[graph.Stage],
  records: Mapping[str, graph.Record],
) -> dict[str, Any]:
  """Returns the content of `experiment.json`; see `msm_jax.report.experiment`.

  Args:
    plan: The experiment.
    command: That runs it again.
    stages: In order.
    records: Of those stages that have finished.
  """
  config = plan.config
  return {
    'name': config.name,
    'command': command,
    'seeds': list(config.seeds),
    'assistant': config.assistant,
    'traits': [
      {
        'name': t.name,
        'attribute': t.attribute,
        'statement': t.statement.replace('{model_name}', config.assistant),
        'reasons': list(t.reasons),
      }
      for t in traits_lib.load(config.traits)
    ],
    'arms': [_describe_arm(plan, arm) for arm in config.arms],
    'primary': config.primary,
    'contrasts': list(config.contrasts),
    'stages': [
      {
        'name': stage.name,
        'seconds': records[stage.name].seconds,
        'updates': records[stage.name].result.get('updates'),
        'tokens': records[stage.name].result.get('tokens'),
      }
      for stage in stages
      if stage.name in records
    ],
  }
