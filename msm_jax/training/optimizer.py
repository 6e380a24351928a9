"""AdamW whose learning rate is an argument, and learning-rate schedules.

The optimizer's state is the first and second moments and their count, kept as
`moments` says; clipping and decay have none.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from msm_jax import models
from msm_jax.training import moments
from msm_jax.training.config import OptimizerConfig
from msm_jax.training.config import ScheduleConfig


def update(
  config: OptimizerConfig,
  grads: models.Params,
  state: moments.OptimizerState,
  params: models.Params,
  learning_rate: jax.Array,
) -> tuple[models.Params, moments.OptimizerState, jax.Array]:
  """One AdamW update.

  Args:
    config: Static hyperparameters.
    grads: Gradients of the mean loss.
    state: From `moments.init` or the last update.
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
  exact = moments.unpack(config, state, params)
  grads = jax.tree.map(lambda g: g.astype(models.wide(g)), grads)
  direction, exact = adam.update(grads, exact)

  def apply(path, param, d):
    if config.weight_decay and moments.is_matrix(path):
      d = d + config.weight_decay * param
    return param - (learning_rate * d).astype(param.dtype)

  params = jax.tree_util.tree_map_with_path(apply, params, direction)
  return params, moments.pack(config, exact, params), norm


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
