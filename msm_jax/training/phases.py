"""Where each phase begins and ends, and what crosses the boundary into it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from msm_jax.training import optimizer
from msm_jax.training import step as step_lib
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


def enter(
  phase: PhaseConfig, state: step_lib.TrainState
) -> step_lib.TrainState:
  """Returns the state with which a phase begins, given that of its end before.

  Parameters cross as they are; moments and their count as the phase says.
  """
  if phase.optimizer_state == 'carry':
    return state
  zeros = jax.tree.map(jnp.zeros_like, state.optimizer)
  return step_lib.TrainState(state.params, zeros)


def table(plans: tuple[Plan, ...]) -> str:
  """Returns the phases with their budgets in updates *and* tokens."""
  lines = [
    f'{"phase":<12} {"updates":>8} {"tokens":>12} {"seq_len":>8} {"batch":>6} '
    f'{"peak lr":>9} {"decay":>9} {"moments":>8}'
  ]
  for p in plans:
    c = p.phase
    lines.append(
      f'{c.name:<12} {c.n_updates:>8,} {c.n_tokens:>12,} {c.seq_len:>8} '
      f'{c.batch_size:>6} {c.schedule.peak:>9.2e} {c.schedule.decay:>9} '
      f'{c.optimizer_state:>8}'
    )
  return '\n'.join(lines)
