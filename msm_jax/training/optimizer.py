"""AdamW whose learning rate is an argument, and learning-rate schedules.

The optimizer's state has one layout whatever the phase asks for: the first and
second moments and their count. Clipping and decay have no state.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from msm_jax import models
from msm_jax.training.config import OptimizerConfig
from msm_jax.training.config import ScheduleConfig

OptimizerState = dict[str, Any]


def init(params: models.Params) -> OptimizerState:
  """Returns zero moments: `{'count': int32[], 'mu': …, 'nu': …}`.

  Args:
    params: Those that are trained, as everywhere in this file.
  """
  return {
    'count': jnp.zeros((), jnp.int32),
    'mu': jax.tree.map(jnp.zeros_like, params),
    'nu': jax.tree.map(jnp.zeros_like, params),
  }


def _is_decayed(path: tuple[Any, ...]) -> bool:
  """Everything but norm scales, biases and DoRA's magnitudes decays."""
  return path[-1].key not in ('scale', 'bias', 'magnitude')


def update(
  config: OptimizerConfig,
  grads: models.Params,
  state: OptimizerState,
  params: models.Params,
  learning_rate: jax.Array,
) -> tuple[models.Params, OptimizerState, jax.Array]:
  """One AdamW update.

  Args:
    config: Static hyperparameters.
    grads: Gradients of the mean loss.
    state: From `init` or the last update.
    params: Current parameters.
    learning_rate: float32 scalar, traced, so that no schedule recompiles.

  Returns:
    New parameters, new state, and the global gradient norm before clipping.
  """
  norm = optax.global_norm(grads)
  if config.clip_norm is not None:
    factor = jnp.minimum(1.0, config.clip_norm / jnp.maximum(norm, 1e-16))
    grads = jax.tree.map(lambda g: g * factor.astype(g.dtype), grads)
  adam = optax.scale_by_adam(b1=config.b1, b2=config.b2, eps=config.eps)
  adam_state = optax.ScaleByAdamState(**state)
  direction, adam_state = adam.update(grads, adam_state)

  def apply(path, param, d):
    if config.weight_decay and _is_decayed(path):
      d = d + config.weight_decay * param
    return param - (learning_rate * d).astype(param.dtype)

  params = jax.tree_util.tree_map_with_path(apply, params, direction)
  return params, dict(adam_state._asdict()), norm


def learning_rate(
  config: ScheduleConfig, position: int, horizon: int
) -> np.float32:
  """Returns the learning rate of the update at `position` of `horizon`.

  Position 0 is the first update. Warm-up reaches `peak` at update
  `warmup − 1`; the decay ends at `final · peak` on the last update.
  """
  if position < config.warmup:
    return np.float32(config.peak * (position + 1) / config.warmup)
  span = max(horizon - 1 - config.warmup, 1)
  progress = min(max((position - config.warmup) / span, 0.0), 1.0)
  if config.decay == 'constant':
    return np.float32(config.peak)
  if config.decay == 'linear':
    remaining = 1.0 - progress
  else:
    remaining = 0.5 * (1.0 + np.cos(np.pi * progress))
  fraction = config.final + (1.0 - config.final) * remaining
  return np.float32(config.peak * fraction)
