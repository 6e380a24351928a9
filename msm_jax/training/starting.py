"""Where parameters and moments come from when a run begins or goes on."""

import contextlib
import pathlib
from typing import NamedTuple

import jax

from msm_jax import models
from msm_jax.log import logger
from msm_jax.training import checkpoints as checkpoints_lib
from msm_jax.training import optimizer
from msm_jax.training.config import InitFrom
from msm_jax.training.config import RunConfig


class Start(NamedTuple):
  """What an update, or the boundary into a phase, starts from.

  Attributes:
    params: Parameters.
    moments: Of those that are trained; None where nothing would read them.
  """

  params: models.Params
  moments: optimizer.OptimizerState | None


def load(
  checkpoints: checkpoints_lib.Checkpoints,
  step: int,
  model: models.Model,
  sharding: jax.sharding.Sharding,
  *,
  with_moments: bool,
) -> Start:
  """Restores a checkpoint; moments that nobody reads stay on the disk."""
  if not with_moments:
    return Start(checkpoints.params(step, model, sharding), None)
  state = checkpoints.state(step, model, sharding)
  return Start(state.params, state.optimizer)


def begin(
  config: RunConfig, model: models.Model, sharding: jax.sharding.Sharding
) -> Start:
  """Returns what a run has before its first phase.

  Args:
    config: The run.
    model: Before the first phase: that of the run that `init_from` names, or
      the decoder without adapters.
    sharding: Of all leaves.
  """
  if (init := config.init_from) is None:
    random = jax.jit(model.init, out_shardings=sharding)
    return Start(random(jax.random.key(config.seed)), None)
  logger.info(
    'starting from %s at the end of phase %s', init.workdir, init.phase
  )
  with contextlib.closing(_open_parent(init)) as parent:
    return load(
      parent,
      parent.phase_end(init.phase),
      model,
      sharding,
      with_moments=config.phases[0].optimizer_state == 'carry',
    )


def parent_meta(init: InitFrom) -> checkpoints_lib.Meta:
  """Returns what is known of the checkpoint that a run starts from.

  Raises:
    CheckpointError: If there is none.
  """
  with contextlib.closing(_open_parent(init)) as parent:
    return parent.meta(parent.phase_end(init.phase))


def _open_parent(init: InitFrom) -> checkpoints_lib.Checkpoints:
  return checkpoints_lib.Checkpoints(
    pathlib.Path(init.workdir) / 'checkpoints', read_only=True
  )
