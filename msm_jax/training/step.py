"""One optimizer update as a pure jitted function over plain pytrees.

    state, metrics = step(state, batch, learning_rate)

The state is donated; the batch's rows are sharded over the mesh's `data` axis;
the learning rate is traced.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

from msm_jax import models
from msm_jax import schema
from msm_jax.models import lora as lora_lib
from msm_jax.training import loss as loss_lib
from msm_jax.training import optimizer
from msm_jax.training.config import OptimizerConfig
from msm_jax.training.config import PhaseConfig

Batch = dict[str, Any]
BATCH_DTYPES = {
  'tokens': np.int32,
  'targets': np.int32,
  'segment_ids': np.int32,
  'positions': np.int32,
  'loss_weights': np.float32,
}


class TrainState(NamedTuple):
  """What an update takes and returns.

  Attributes:
    params: All parameters, trained and frozen; see `lora.split`.
    optimizer: Moments of those that are trained.
  """

  params: models.Params
  optimizer: optimizer.OptimizerState


class Metrics(NamedTuple):
  """Of one update.

  Attributes:
    loss: Σ weight · −log p / Σ weight over the whole batch, nats.
    log_z_squared: Σ weight · (log Z)² / Σ weight.
    grad_norm: Global norm of the gradient before clipping.
    row_loss: `[B]`, Σ weight · −log p of each row.
    row_weight: `[B]`, Σ weight of each row.
  """

  loss: jax.Array
  log_z_squared: jax.Array
  grad_norm: jax.Array
  row_loss: jax.Array
  row_weight: jax.Array


@dataclasses.dataclass(frozen=True)
class StepKey:
  """What a step is compiled for; phases with equal keys share one program."""

  batch_size: int
  seq_len: int
  accumulation: int
  loss_chunk: int
  z_loss: float
  optimizer: OptimizerConfig
  lora: lora_lib.LoRAConfig | None = None

  @classmethod
  def of(cls, phase: PhaseConfig, loss_chunk: int) -> 'StepKey':
    return cls(
      batch_size=phase.batch_size,
      seq_len=phase.seq_len,
      accumulation=phase.accumulation,
      loss_chunk=min(loss_chunk, phase.seq_len),
      z_loss=phase.z_loss,
      optimizer=phase.optimizer,
      lora=phase.lora,
    )


def make_mesh(devices: list[Any] | None = None) -> Mesh:
  """Returns a mesh with one axis, `data`, over the devices."""
  return Mesh(np.asarray(devices or jax.devices()), ('data',))


def state_sharding(mesh: Mesh) -> NamedSharding:
  """Parameters and moments: one copy on every device."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Rows of a batch: dealt over the devices."""
  return NamedSharding(mesh, PartitionSpec('data'))


def _summed_loss(
  model: models.Model, key: StepKey, params: models.Params, batch: Batch
) -> tuple[jax.Array, loss_lib.RowSums]:
  x_BTD, head_DV = model.hidden(
    params, batch['tokens'], batch['segment_ids'], batch['positions']
  )
  sums = loss_lib.chunked_cross_entropy(
    x_BTD,
    head_DV,
    batch['targets'],
    batch['loss_weights'],
    chunk=key.loss_chunk,
    softcap=model.config.final_softcap,
  )
  total = jnp.sum(sums.loss)
  if key.z_loss:
    total = total + key.z_loss * jnp.sum(sums.log_z_squared)
  return total, sums


def summed_gradients(
  model: models.Model, key: StepKey, params: models.Params, batch: Batch
) -> tuple[models.Params, loss_lib.RowSums]:
  """Gradient of the *summed* loss of a batch, and its sums per row.

  The gradient is that of the parameters that are trained. Micro-batches are
  added up, not averaged: the caller divides once by the total weight, so the
  result does not depend on how rows were grouped.
  """
  trained, frozen = lora_lib.split(params)
  grad = jax.grad(
    lambda t, b: _summed_loss(model, key, lora_lib.join(t, frozen), b),
    has_aux=True,
  )
  if key.accumulation == 1:
    return grad(trained, batch)
  A = key.accumulation
  # Row r belongs to micro-batch r % A, so each micro-batch keeps the rows of
  # every device and none has to move.
  micro = jax.tree.map(
    lambda x: jnp.moveaxis(x.reshape(x.shape[0] // A, A, *x.shape[1:]), 1, 0),
    batch,
  )

  def add(total, microbatch):
    grads, sums = grad(trained, microbatch)
    return jax.tree.map(jnp.add, total, grads), sums

  zeros = jax.tree.map(jnp.zeros_like, trained)
  grads, sums = jax.lax.scan(add, zeros, micro)
  sums = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1).reshape(-1), sums)
  return grads, sums


def make_step(
  model: models.Model, key: StepKey
) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]:
  """Returns the update as a pure function, not yet compiled."""

  def step(
    state: TrainState, batch: Batch, learning_rate: jax.Array
  ) -> tuple[TrainState, Metrics]:
    grads, sums = summed_gradients(model, key, state.params, batch)
    weight = jnp.maximum(jnp.sum(sums.weight), 1e-8)
    grads = jax.tree.map(lambda g: g / weight.astype(g.dtype), grads)
    trained, frozen = lora_lib.split(state.params)
    trained, moments, norm = optimizer.update(
      key.optimizer, grads, state.optimizer, trained, learning_rate
    )
    metrics = Metrics(
      loss=jnp.sum(sums.loss) / weight,
      log_z_squared=jnp.sum(sums.log_z_squared) / weight,
      grad_norm=norm,
      row_loss=sums.loss,
      row_weight=sums.weight,
    )
    return TrainState(lora_lib.join(trained, frozen), moments), metrics

  return step


def abstract_state(model: models.Model) -> TrainState:
  """Returns shapes and dtypes of the state, without building it."""
  params = model.abstract_params()
  trained, _ = lora_lib.split(params)
  return TrainState(params, jax.eval_shape(optimizer.init, trained))


def compile_step(
  model: models.Model,
  key: StepKey,
  mesh: Mesh,
  compiler_options: Mapping[str, str | bool] | None = None,
) -> jax.stages.Compiled:
  """Compiles the update for `mesh`, ahead of its first call.

  Args:
    model: The decoder.
    key: What is compiled.
    mesh: Devices, which need not be there.
    compiler_options: XLA's, by name.

  Raises:
    ConfigError: If the devices do not divide the batch.
  """
  if key.batch_size % (key.accumulation * mesh.size):
    raise schema.ConfigError(
      f'batch_size: {key.batch_size} is not a multiple of accumulation × '
      f'devices = {key.accumulation} × {mesh.size}'
    )
  shape = (key.batch_size, key.seq_len)
  batch = {
    k: jax.ShapeDtypeStruct(shape, dtype) for k, dtype in BATCH_DTYPES.items()
  }
  replicated, rows = state_sharding(mesh), batch_sharding(mesh)
  jitted = jax.jit(
    make_step(model, key),
    in_shardings=(replicated, rows, replicated),
    out_shardings=(replicated, replicated),
    donate_argnums=0,
  )
  learning_rate = jax.ShapeDtypeStruct((), jnp.float32)
  lowered = jitted.lower(abstract_state(model), batch, learning_rate)
  return lowered.compile(dict(compiler_options or {}))
