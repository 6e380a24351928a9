"""Where each phase begins and ends, and what crosses the boundary into it."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses

import numpy as np

from msm_jax import models
from msm_jax import schema
from msm_jax.models import crossing
from msm_jax.models import lora
from msm_jax.training import moments
from msm_jax.training import optimizer
from msm_jax.training import step as step_lib
from msm_jax.training.config import check_boundary
from msm_jax.training.config import PhaseConfig
from msm_jax.training.config import RunConfig


@dataclasses.dataclass(frozen=True)
class Plan:
  """A phase, placed in its run.

  Attributes:
    index: Of the phase in the run.
    phase: Its config.
    start: Updates of the run before it.
    stop: Updates of the run at its end.
    schedule_offset: Schedule position of its first update.
    schedule_horizon: Length of the schedule that its updates are part of: its
      own, or that of all phases joined to it by a carried position.
  """

  index: int
  phase: PhaseConfig
  start: int
  stop: int
  schedule_offset: int
  schedule_horizon: int

  def learning_rate(self, update: int) -> np.float32:
    """Returns the learning rate of the phase's update number `update`."""
    return optimizer.learning_rate(
      self.phase.schedule,
      self.schedule_offset + update,
      self.schedule_horizon,
    )


def plan(config: RunConfig, inherited_position: int = 0) -> tuple[Plan, ...]:
  """Lays out the phases of a run.

  Args:
    config: The run.
    inherited_position: Schedule position of the checkpoint it starts from;
      used only if the first phase carries its position.
  """
  offsets = []
  position = inherited_position
  for phase in config.phases:
    if phase.schedule_position == 'fresh':
      position = 0
    offsets.append(position)
    position += phase.n_updates

  plans: list[Plan] = []
  start = sum(p.n_updates for p in config.phases)
  horizon = 0
  for index in reversed(range(len(config.phases))):
    phase = config.phases[index]
    following_carries = (
      index + 1 < len(config.phases)
      and config.phases[index + 1].schedule_position == 'carry'
    )
    if not following_carries:
      horizon = offsets[index] + phase.n_updates
    stop, start = start, start - phase.n_updates
    plans.insert(0, Plan(index, phase, start, stop, offsets[index], horizon))
  return tuple(plans)


def crossings(
  config: RunConfig, before: lora.LoRAConfig | None
) -> list[crossing.Crossing]:
  """Returns, for each phase, how parameters get into it, and its model.

  Args:
    config: The run.
    before: Adapters of the checkpoint it starts from, if it has any.

  Raises:
    ConfigError: If adapters cannot cross so, or would be on nothing.
  """
  check_boundary(config, 0, before)
  made: list[crossing.Crossing] = []
  model = models.Model(config.model, before)
  for i, phase in enumerate(config.phases):
    try:
      after = models.Model(config.model, phase.lora)
    except schema.ConfigError as e:
      raise schema.ConfigError(f'phases[{i}].{e}') from e
    made.append(crossing.Crossing(model, after, phase.adapters))
    model = after
  return made


def base_phase(plans: Sequence[Plan], index: int) -> str | None:
  """Returns the phase at whose beginning a phase's frozen base was made.

  None if the phase trains all parameters. Carried adapters keep their base.
  """
  if plans[index].phase.lora is None:
    return None
  while index > 0 and plans[index].phase.adapters == 'carry':
    index -= 1
  return plans[index].phase.name


def enter(
  phase: PhaseConfig,
  params: models.Params,
  carried: moments.OptimizerState | None,
  layout: models.Layout,
  zeros: Callable[[], moments.OptimizerState] | None = None,
) -> step_lib.TrainState:
  """Returns the state with which a phase begins.

  Args:
    phase: The phase.
    params: Its parameters, over the boundary already.
    carried: Moments of the phase before, in its format; read only if they are
      carried.
    layout: Where all of that lies.
    zeros: Makes moments that are not carried, if that is compiled already.
  """
  trained, _ = lora.split(params)
  if phase.optimizer_state == 'carry':
    assert carried is not None
    kept = moments.convert(phase.optimizer, carried, trained, layout)
  else:
    kept = zeros() if zeros else moments.zeros(phase.optimizer, trained, layout)
  return step_lib.TrainState(params, kept)


def table(plans: tuple[Plan, ...]) -> str:
  """Returns the phases with their budgets in updates *and* tokens."""
  lines = [
    f'{"phase":<12} {"updates":>8} {"tokens":>12} {"seq_len":>8} {"batch":>6} '
    f'{"peak lr":>9} {"decay":>9} {"moments":>8} {"trains":>20}'
  ]
  for p in plans:
    c = p.phase
    lines.append(
      f'{c.name:<12} {c.n_updates:>8,} {c.n_tokens:>12,} {c.seq_len:>8} '
      f'{c.batch_size:>6} {c.schedule.peak:>9.2e} {c.schedule.decay:>9} '
      f'{c.optimizer_state:>8} {_trains(c):>20}'
    )
  return '\n'.join(lines)


def _trains(phase: PhaseConfig) -> str:
  if phase.lora is None:
    return 'all, merged' if phase.adapters == 'merge' else 'all'
  kind = 'DoRA' if phase.lora.dora else 'LoRA'
  return f'{kind} r {phase.lora.rank}, {phase.adapters or "fresh"}'
