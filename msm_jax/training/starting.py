"""Where parameters and moments come from when a run begins or goes on."""

import contextlib
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from msm_jax import models
from msm_jax import schema
from msm_jax import storage
from msm_jax.log import logger
from msm_jax.models import axes
from msm_jax.training import checkpoints as checkpoints_lib
from msm_jax.training import moments as moments_lib
from msm_jax.training import step as step_lib
from msm_jax.training.config import InitFrom
from msm_jax.training.config import RunConfig

# How a model is computed, and for how long a text it was made, may change
# between runs; what its parameters mean may not.
_NOT_ARCHITECTURE = (
  'dtype',
  'param_dtype',
  'remat',
  'remat_save',
  'remat_offload',
  'attention',
  'context_length',
)


class Start(NamedTuple):
  """What an update, or the boundary into a phase, starts from.

  Attributes:
    params: Parameters.
    moments: Of those that are trained; None where nothing would read them.
  """

  params: models.Params
  moments: moments_lib.OptimizerState | None


def load(
  checkpoints: checkpoints_lib.Checkpoints,
  step: int,
  model: models.Model,
  layout: models.Layout,
  *,
  with_moments: bool,
) -> Start:
  """Restores a checkpoint; moments that nobody reads stay on the disk."""
  if not with_moments:
    of_params = axes.shardings(model.abstract_params(), layout)
    return Start(checkpoints.params(step, model, of_params), None)
  config = checkpoints.meta(step).optimizer()
  of_state = step_lib.state_shardings(model, layout, config)
  state = checkpoints.state(step, model, of_state)
  return Start(state.params, state.optimizer)


def begin(
  config: RunConfig, model: models.Model, layout: models.Layout
) -> Start:
  """Returns what a run has before its first phase.

  Args:
    config: The run.
    model: Before the first phase: that of the run that `init_from` names, or
      the decoder without adapters.
    layout: Where parameters lie.
  """
  if (init := config.init_from) is None:
    random = axes.compile_init(model, layout)
    return Start(random(jax.random.key(config.seed)), None)
  logger.info(
    'starting from %s at the end of phase %s', init.workdir, init.phase
  )
  with contextlib.closing(_open_parent(init)) as parent:
    return load(
      parent,
      parent.phase_end(init.phase),
      model,
      layout,
      with_moments=config.phases[0].optimizer_state == 'carry',
    )


def parent_meta(config: RunConfig) -> checkpoints_lib.Meta | None:
  """Returns what is known of the checkpoint that a run starts from, if any.

  Raises:
    CheckpointError: If there is no such checkpoint.
    ConfigError: If it is another model's, would have to be rounded, or has no
      moments to carry over.
  """
  if (init := config.init_from) is None:
    return None
  with contextlib.closing(_open_parent(init)) as parent:
    step = parent.phase_end(init.phase)
    meta, has_moments = parent.meta(step), parent.has_moments(step)
  _check_architecture(config, meta)
  if config.phases[0].optimizer_state == 'carry' and not has_moments:
    raise schema.ConfigError(
      f"phases[0].optimizer_state: 'carry', but {init.workdir} has no moments "
      f"at the end of phase {init.phase!r}: use 'fresh'"
    )
  return meta


def _check_architecture(
  config: RunConfig, parent: checkpoints_lib.Meta
) -> None:
  """Refuses parameters that this model would not read as they were meant."""
  assert config.init_from is not None
  where = config.init_from.workdir
  theirs = parent.config['model']
  found = [
    f'  {key}: there {there!r}, here {here!r}'
    for key, here, there in schema.differences(
      dataclasses.asdict(config.model), theirs, 'model'
    )
    if key.removeprefix('model.') not in _NOT_ARCHITECTURE
  ]
  if found:
    raise schema.ConfigError(
      f'init_from: {where} holds another model:\n' + '\n'.join(found)
    )
  here, there = config.model.param_dtype, theirs['param_dtype']
  if jnp.promote_types(here, there) != jnp.dtype(here):
    raise schema.ConfigError(
      f'model.param_dtype: {here!r}, but {where} holds {there}, which would be '
      f'rounded; use {there!r}'
    )


def _open_parent(init: InitFrom) -> checkpoints_lib.Checkpoints:
  return checkpoints_lib.Checkpoints(
    storage.join(init.workdir, 'checkpoints'), read_only=True
  )
