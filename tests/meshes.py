"""Run in a process with eight devices: one update on many meshes.

    python tests/meshes.py [--rest]

Prints, for each mesh and model, how far losses and gradients are from those of
one device, and what share of parameters and moments is cut: JSON, one object in
a line.
"""

import dataclasses
import functools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

from msm_jax import models
from msm_jax.models import lora
from msm_jax.training import config as config_lib
from msm_jax.training import loss
from msm_jax.training import mesh_loss
from msm_jax.training import moments
from msm_jax.training import step as step_lib

B, T, V = 16, 32, 48

_GROUPED = models.DecoderConfig(
  vocab_size=V,
  d_model=16,
  n_layers=3,
  n_heads=8,
  n_kv_heads=4,
  head_dim=6,
  d_ff=32,
  pattern=(models.LayerConfig(window=7), models.LayerConfig()),
  qk_norm='full',
  attention_softcap=5.0,
  final_softcap=3.0,
)
_DENSE = dataclasses.replace(
  _GROUPED,
  n_kv_heads=8,
  pattern=(models.LayerConfig(),),
  norm='sandwich',
  qk_norm='head',
  qkv_bias=True,
  tied_embeddings=False,
  attention_softcap=None,
  remat='full',
)
_ADAPTERS = lora.LoRAConfig(rank=4, alpha=8.0, dora=True)
MODELS = {
  'tied heads, grouped queries, windows': models.Model(_GROUPED),
  'own head, a key for each query, rematerialised': models.Model(_DENSE),
  'adapters': models.Model(_GROUPED, _ADAPTERS),
  'adapters on 8 bits': models.Model(
    _DENSE, dataclasses.replace(_ADAPTERS, dora=False, base='int8')
  ),
}
_MIXED = 'fsdp, context, tensor'
MESHES = {
  _MIXED: {'fsdp': 2, 'context': 2, 'tensor': 2},
  'two of fsdp, tensor': {'fsdp': 2, 'fsdp_inner': 2, 'tensor': 2},
  'data, fsdp, tensor': {'data': 2, 'fsdp': -1, 'tensor': 2},
  'data': {},
  'fsdp': {'fsdp': 8, 'data': 1},
  'context': {'context': 8},
  'fsdp, tensor': {'fsdp': 2, 'tensor': 4},
}
# Neighbours that share the vocabulary in the loss.
_GROUPS = {_MIXED: 2, 'fsdp': 4}
# Every model on the mesh that has most, the first model on all meshes.
SOME = [(_MIXED, name) for name in MODELS] + [
  ('two of fsdp, tensor', next(iter(MODELS))),
  ('data, fsdp, tensor', next(iter(MODELS))),
]
REST = [
  (mesh, name)
  for name in MODELS
  for mesh in MESHES
  if (mesh, name) not in SOME
  and (name == next(iter(MODELS)) or mesh == 'data, fsdp, tensor')
]


def _batch() -> step_lib.Batch:
  """Packed rows of unequal weights; the last row ends in padding."""
  rng = np.random.default_rng(0)
  segments = np.sort(rng.integers(1, 5, (B, T)), axis=1)
  segments[-1, -5:] = 0
  new = np.diff(segments, axis=1, prepend=-1) != 0
  starts = np.maximum.accumulate(np.where(new, np.arange(T), 0), axis=1)
  weights = rng.random((B, T)) * np.linspace(0.1, 1, B)[:, None]
  batch = {
    'tokens': rng.integers(0, V, (B, T)),
    'targets': rng.integers(0, V, (B, T)),
    'segment_ids': segments,
    'positions': np.arange(T) - starts,
    'loss_weights': weights * (segments > 0),
  }
  return {
    k: batch[k].astype(dtype) for k, dtype in step_lib.BATCH_DTYPES.items()
  }


def _key(
  model: models.Model, accumulation: int, group: int = 1
) -> step_lib.StepKey:
  return step_lib.StepKey(
    batch_size=B,
    seq_len=T,
    accumulation=accumulation,
    loss_chunk=8,
    loss_group=group,
    z_loss=1e-3,
    optimizer=config_lib.OptimizerConfig(weight_decay=0.1, clip_norm=0.1),
    lora=model.lora,
  )


def _state(model: models.Model) -> step_lib.TrainState:
  """Parameters of which none is zero, so that all have a gradient."""
  rng = np.random.default_rng(2)
  trained, frozen = lora.split(model.init(jax.random.key(1)))
  trained = jax.tree.map(
    lambda x: x + 0.1 * rng.standard_normal(x.shape).astype(x.dtype), trained
  )
  params = lora.join(trained, frozen)
  return step_lib.TrainState(
    params, moments.init(config_lib.OptimizerConfig(), trained)
  )


def _distance(ours, theirs) -> float:
  """The largest norm of a difference over the norm of what it should be."""
  return max(
    float(np.linalg.norm(np.asarray(a, np.float64) - np.asarray(b, np.float64)))
    / (float(np.linalg.norm(np.asarray(b, np.float64))) + 1e-30)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
  )


def compare(mesh: str, name: str, expected) -> dict[str, object]:
  model = MODELS[name]
  layout = models.Layout(models.make_mesh(models.MeshConfig(**MESHES[mesh])))
  # Rows that are two at a time on each device only with more than one.
  accumulation = 2 if layout.size(*models.ROWS) < 8 else 1
  state = jax.device_put(_state(model), step_lib.state_shardings(model, layout))
  rows = jax.device_put(_batch(), step_lib.batch_sharding(layout))
  key = _key(model, accumulation, _GROUPS.get(mesh, 1))
  step = step_lib.compile_step(model, key, layout)
  state, metrics = step(state, rows, jnp.float32(1e-2))
  on_one, metrics_on_one = expected
  cut = [
    leaf.sharding.shard_shape(leaf.shape) != leaf.shape
    for leaf in jax.tree.leaves(state)
  ]
  return {
    'mesh': mesh,
    'model': name,
    'metrics': _distance(metrics, metrics_on_one),
    # After one update the first moment is the clipped gradient, scaled.
    'gradients': _distance(state.optimizer['mu'], on_one.optimizer['mu']),
    'cut': sum(cut) / len(cut),
  }


def loss_alone() -> float:
  """Distance of the loss that nobody differentiates, where all axes are cut."""
  layout = models.Layout(models.make_mesh(models.MeshConfig(**MESHES[_MIXED])))
  rng = np.random.default_rng(3)
  batch = _batch()
  x = rng.standard_normal((B, T, 16)).astype(np.float32)
  head = rng.standard_normal((16, V)).astype(np.float32)
  rows = batch['targets'], batch['loss_weights']
  plan = mesh_loss.LossPlan(
    layout, chunk=8, group=2, softcap=3.0, z_loss=0.1, trains_head=True
  )
  total, sums = jax.jit(
    functools.partial(mesh_loss.summed_cross_entropy, plan)
  )(x, head, *rows)
  expected = loss.chunked_cross_entropy(x, head, *rows, chunk=8, softcap=3.0)
  total_1 = np.sum(expected.loss) + 0.1 * np.sum(expected.log_z_squared)
  return _distance((total, sums), (total_1, expected))


def on_one_device(name: str) -> tuple[step_lib.TrainState, step_lib.Metrics]:
  model = MODELS[name]
  step = jax.jit(step_lib.make_step(model, _key(model, 1)))
  return step(_state(model), _batch(), jnp.float32(1e-2))


def main(pairs: list[tuple[str, str]]) -> None:
  print(json.dumps({'mesh': _MIXED, 'model': 'loss', 'loss': loss_alone()}))
  expected = {name: on_one_device(name) for _, name in pairs}
  for mesh, name in pairs:
    print(json.dumps(compare(mesh, name, expected[name])))


if __name__ == '__main__':
  main(REST if sys.argv[1:] == ['--rest'] else SOME)
