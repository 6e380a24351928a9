"""One optimizer update as a pure jitted function over plain pytrees.

    state, metrics = step(state, batch, learning_rate)

The state is donated; where it, the batch and activations lie is said by a
`models.Layout`; the learning rate is traced.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

from msm_jax import models
from msm_jax import schema
from msm_jax.models import axes
from msm_jax.models import lora as lora_lib
from msm_jax.training import loss as loss_lib
from msm_jax.training import loss_sizes
from msm_jax.training import mesh_loss
from msm_jax.training import moments
from msm_jax.training import optimizer
from msm_jax.training.config import OptimizerConfig
from msm_jax.training.config import PhaseConfig
from msm_jax.training.config import RunConfig

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
  optimizer: moments.OptimizerState


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
  loss_group: int = 1
  lora: lora_lib.LoRAConfig | None = None

  @classmethod
  def of(
    cls, phase: PhaseConfig, run: RunConfig, layout: models.Layout
  ) -> 'StepKey':
    """Returns the key of a phase, its choices made where they are `'auto'`."""
    sizes: dict[str, Any] = {
      # Less than one where rows cannot be dealt; `check_shapes` says so.
      'rows': max(
        phase.batch_size // (phase.accumulation * layout.size(*models.ROWS)), 1
      ),
      'length': phase.seq_len,
      'vocab_size': run.model.vocab_size,
      'layout': layout,
    }
    chunk, group = run.loss_chunk, run.loss_group
    if isinstance(chunk, str):
      chunk = loss_sizes.chunk(**sizes)
    if isinstance(group, str):
      group = loss_sizes.group(**sizes, trains_head=phase.lora is None)
    return cls(
      batch_size=phase.batch_size,
      seq_len=phase.seq_len,
      accumulation=phase.accumulation,
      loss_chunk=min(chunk, phase.seq_len),
      loss_group=group,
      z_loss=phase.z_loss,
      optimizer=phase.optimizer,
      lora=phase.lora,
    )


def state_shardings(
  model: models.Model,
  layout: models.Layout,
  config: OptimizerConfig = OptimizerConfig(),  # noqa: B008 - is frozen.
) -> TrainState:
  """Returns how the state lies, in a tree like `abstract_state`.

  Raises:
    ConfigError: If a parameter cannot be cut as the mesh wants it.
  """
  params = model.abstract_params()
  trained, _ = lora_lib.split(params)
  return TrainState(
    axes.shardings(params, layout),
    moments.shardings(config, trained, layout),
  )


def batch_sharding(layout: models.Layout) -> NamedSharding:
  """Returns how rows are dealt over the devices, each of them whole."""
  return layout.sharding('batch', None)


def _summed_loss(
  model: models.Model,
  key: StepKey,
  layout: models.Layout,
  params: models.Params,
  batch: Batch,
) -> tuple[jax.Array, loss_lib.RowSums]:
  x_BTD, head_DV = model.hidden(
    params, batch['tokens'], batch['segment_ids'], batch['positions'], layout
  )
  targets_BT, weights_BT = batch['targets'], batch['loss_weights']
  softcap = model.config.final_softcap
  if not layout.is_alone:
    plan = mesh_loss.LossPlan(
      layout,
      chunk=key.loss_chunk // layout.size('context'),
      group=key.loss_group,
      softcap=softcap,
      z_loss=key.z_loss,
      trains_head=model.lora is None,
    )
    return mesh_loss.summed_cross_entropy(
      plan, x_BTD, head_DV, targets_BT, weights_BT
    )
  sums = loss_lib.chunked_cross_entropy(
    x_BTD,
    head_DV,
    targets_BT,
    weights_BT,
    chunk=key.loss_chunk,
    softcap=softcap,
  )
  total = jnp.sum(sums.loss)
  if key.z_loss:
    total = total + key.z_loss * jnp.sum(sums.log_z_squared)
  return total, sums


def _placed(batch: Batch, layout: models.Layout) -> Batch:
  """Cuts sequences as the mesh wants it, in the order that it wants."""
  shards = layout.size('context')
  if shards > 1:
    T = batch['tokens'].shape[1]
    order_T = models.balanced_order(T, shards)
    batch = {k: x[:, order_T] for k, x in batch.items()}
  return {k: layout.constrain(x, 'BT') for k, x in batch.items()}


def summed_gradients(
  model: models.Model,
  key: StepKey,
  params: models.Params,
  batch: Batch,
  layout: models.Layout = models.ALONE,
) -> tuple[models.Params, loss_lib.RowSums]:
  """Gradient of the *summed* loss of a batch, and its sums per row.

  The gradient is that of the parameters that are trained. Micro-batches are
  added up, not averaged: the caller divides once by the total weight, so the
  result does not depend on how rows were grouped.
  """
  trained, frozen = lora_lib.split(params)

  def summed(
    trained: models.Params, batch: Batch, layout: models.Layout
  ) -> tuple[jax.Array, loss_lib.RowSums]:
    params = lora_lib.join(trained, frozen)
    return _summed_loss(model, key, layout, params, _placed(batch, layout))

  grad = jax.grad(summed, has_aux=True)
  A, copies = key.accumulation, layout.size('data')
  if A == 1:
    return grad(trained, batch, layout)

  # Row r of a copy belongs to micro-batch r % A, so each micro-batch keeps the
  # rows of every device and none has to move.
  def dealt(x: jax.Array) -> jax.Array:
    rows = (copies,) * (copies > 1) + (x.shape[0] // copies // A, A)
    return jnp.moveaxis(x.reshape(*rows, *x.shape[1:]), len(rows) - 1, 0)

  zeros = jax.tree.map(jnp.zeros_like, trained)
  if copies == 1:
    each = functools.partial(grad, layout=layout)
  else:
    # Every copy adds its micro-batches up, and copies are added up once.
    zeros = _of_copies(zeros, copies, layout)
    each = jax.vmap(
      functools.partial(grad, layout=layout.one_copy()),
      (None, 0),
      spmd_axis_name='data',
    )

  def add(
    total: models.Params, microbatch: Batch
  ) -> tuple[models.Params, loss_lib.RowSums]:
    grads, sums = each(trained, microbatch)
    return jax.tree.map(jnp.add, total, grads), sums

  grads, sums = jax.lax.scan(add, zeros, jax.tree.map(dealt, batch))
  if copies > 1:
    grads = jax.tree.map(lambda g: jnp.sum(g, axis=0), grads)
  sums = jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1).reshape(-1), sums)
  return grads, sums


def _of_copies(
  zeros: models.Params, copies: int, layout: models.Layout
) -> models.Params:
  """Returns arrays with an axis in front for the copies of the parameters."""

  def of_each(x: jax.Array, sharding: NamedSharding) -> jax.Array:
    spec = PartitionSpec('data', *sharding.spec)
    return jax.lax.with_sharding_constraint(
      jnp.broadcast_to(x, (copies, *x.shape)),
      NamedSharding(sharding.mesh, spec),
    )

  return jax.tree.map(of_each, zeros, axes.shardings(zeros, layout))


def make_step(
  model: models.Model, key: StepKey, layout: models.Layout = models.ALONE
) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]:
  """Returns the update as a pure function, not yet compiled."""

  def step(
    state: TrainState, batch: Batch, learning_rate: jax.Array
  ) -> tuple[TrainState, Metrics]:
    grads, sums = summed_gradients(model, key, state.params, batch, layout)
    weight = jnp.maximum(jnp.sum(sums.weight), 1e-8)
    grads = jax.tree.map(lambda g: g / weight.astype(g.dtype), grads)
    trained, frozen = lora_lib.split(state.params)
    trained, kept, norm = optimizer.update(
      key.optimizer, grads, state.optimizer, trained, learning_rate
    )
    metrics = Metrics(
      loss=jnp.sum(sums.loss) / weight,
      log_z_squared=jnp.sum(sums.log_z_squared) / weight,
      grad_norm=norm,
      row_loss=sums.loss,
      row_weight=sums.weight,
    )
    return TrainState(lora_lib.join(trained, frozen), kept), metrics

  return step


def abstract_state(
  model: models.Model,
  config: OptimizerConfig = OptimizerConfig(),  # noqa: B008 - is frozen.
) -> TrainState:
  """Returns shapes and dtypes of the state, without building it."""
  params = model.abstract_params()
  trained, _ = lora_lib.split(params)
  state = jax.eval_shape(functools.partial(moments.init, config), trained)
  return TrainState(params, state)


def check_shapes(
  model: models.Model, key: StepKey, layout: models.Layout
) -> None:
  """Checks that a step can be computed on a mesh.

  Raises:
    ConfigError: Naming the key or the parameter, the axis and the sizes.
  """
  n_rows = layout.size(*models.ROWS)
  if key.batch_size % (key.accumulation * n_rows):
    raise schema.ConfigError(
      f'batch_size: {key.batch_size} is not a multiple of accumulation × '
      f'mesh.data × mesh.fsdp = {key.accumulation} × {n_rows}'
    )
  shards = layout.size('context')
  if shards > 1:
    models.balanced_order(key.seq_len, shards)
  if key.loss_chunk % shards:
    raise schema.ConfigError(
      f'loss_chunk: {key.loss_chunk} is not a multiple of mesh.context = '
      f'{shards}'
    )
  last = layout.size(*layout.cut(models.FSDP)[-1:])
  if last % key.loss_group:
    raise schema.ConfigError(
      f'loss_group: {key.loss_group} does not divide {last}, the devices of '
      'the last axis of fsdp'
    )
  vocabulary = layout.size('tensor') * key.loss_group
  if model.config.vocab_size % vocabulary:
    raise schema.ConfigError(
      f'model.vocab_size: {model.config.vocab_size} is not a multiple of '
      f'mesh.tensor × loss_group = {vocabulary}'
    )
  models.check_layout(model.config.attention, layout)
  layout.check('model.vocab_size', (model.config.vocab_size,), ('vocab',))
  c = model.config
  for name, size in (('heads', c.n_heads), ('kv_heads', c.n_kv_heads)):
    layout.check(f'model.n_{name}', (size,), (name,))
  state_shardings(model, layout, key.optimizer)


def compile_step(
  model: models.Model,
  key: StepKey,
  layout: models.Layout,
  compiler_options: Mapping[str, str | bool] | None = None,
) -> jax.stages.Compiled:
  """Compiles the update for a mesh, ahead of its first call.

  Args:
    model: The decoder.
    key: What is compiled.
    layout: Where things lie; its devices need not be there.
    compiler_options: XLA's, by name.

  Raises:
    ConfigError: If a size cannot be cut as the mesh wants it.
  """
  check_shapes(model, key, layout)
  shape = (key.batch_size, key.seq_len)
  batch = {
    k: jax.ShapeDtypeStruct(shape, dtype) for k, dtype in BATCH_DTYPES.items()
  }
  state = state_shardings(model, layout, key.optimizer)
  everywhere = layout.sharding()
  jitted = jax.jit(
    make_step(model, key, layout),
    in_shardings=(state, batch_sharding(layout), everywhere),
    out_shardings=(state, everywhere),
    donate_argnums=0,
  )
  learning_rate = jax.ShapeDtypeStruct((), jnp.float32)
  lowered = jitted.lower(
    abstract_state(model, key.optimizer), batch, learning_rate
  )
  return lowered.compile(dict(compiler_options or {}))
