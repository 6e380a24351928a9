"""Run in a process with eight devices: moments in few bits, cut by a mesh.

    python tests/small_moments.py [--rest]

Prints whether the same moments are rounded to the same bits as on one device,
what is sent meanwhile, and how far an update on the mesh is from that of one
device: JSON, one object in a line. The rest is an update of all parameters,
which takes long to compile.
"""

import functools
import json
import re
import sys

import jax
import jax.numpy as jnp
import meshes
import numpy as np
import optax

from msm_jax import models
from msm_jax.models import lora
from msm_jax.training import config as config_lib
from msm_jax.training import moments
from msm_jax.training import step as step_lib

# Adapters of a small model are small.
moments._MIN_SIZE = 256
CONFIG = config_lib.OptimizerConfig(
  mu_dtype='bfloat16', nu_format='log_uint8', weight_decay=0.1
)
_DECODER = models.DecoderConfig(
  vocab_size=128,
  d_model=64,
  n_layers=2,
  n_heads=4,
  n_kv_heads=2,
  head_dim=16,
  d_ff=128,
  tied_embeddings=False,
)
MODELS = {
  'all': models.Model(_DECODER),
  'adapters': models.Model(
    _DECODER,
    lora.LoRAConfig(
      rank=8, alpha=8.0, targets=('*/attention/out', '*/mlp/gate')
    ),
  ),
}
MESH = {'data': 2, 'fsdp': 2, 'tensor': 2}


def _moments(trained) -> optax.ScaleByAdamState:
  """Of all sizes; some are zero, as is all of some blocks."""
  rng = np.random.default_rng(0)

  def of(x):
    size = rng.lognormal(-9, 5, x.shape) * (rng.random(x.shape) < 0.9)
    if x.ndim > 1:
      size[..., :32, :] = 0
    return jnp.asarray(size, jnp.float32)

  nu = jax.tree.map(of, trained)
  return optax.ScaleByAdamState(jnp.int32(7), jax.tree.map(jnp.sqrt, nu), nu)


def _same(a, b) -> bool:
  same = jax.tree.map(
    lambda x, y: bool((np.asarray(x) == np.asarray(y)).all()), a, b
  )
  return all(jax.tree.leaves(same))


def _kernels() -> models.Params:
  """One of each way to be cut."""
  params = MODELS['all'].abstract_params()
  attention, mlp = params['layers']['attention'], params['layers']['mlp']
  return {
    'layers': {
      'attention': {name: attention[name] for name in ('q', 'out')},
      'mlp': {'gate': mlp['gate']},
    },
    'untied_head_DV': params['untied_head_DV'],
  }


def rounded(trained: models.Params, layout: models.Layout) -> dict[str, object]:
  """The same moments, rounded on one device and on the mesh."""
  state = _moments(trained)
  pack = functools.partial(moments.pack, CONFIG, params=trained)
  expected = jax.jit(pack)(state)
  out = moments.shardings(CONFIG, trained, layout)
  whole = moments.shardings(config_lib.OptimizerConfig(), trained, layout)
  state = jax.device_put(state, optax.ScaleByAdamState(**whole))
  compiled = jax.jit(pack, out_shardings=out).lower(state).compile()
  packed = compiled(state)
  sent = r'all-\w+|collective-\w+|reduce-scatter'
  in_bits = [x for x in jax.tree.leaves(packed['nu']) if x.dtype == jnp.uint8]
  cut = [x.sharding.shard_shape(x.shape) != x.shape for x in in_bits]
  return {
    'same': _same(packed, expected),
    'sent': sorted(set(re.findall(sent, compiled.as_text()))),
    'in_bits': len(in_bits) / len(jax.tree.leaves(trained)),
    'cut': sum(cut) / len(cut),
  }


def updated(model: models.Model, layout: models.Layout) -> dict[str, object]:
  """An update of the same state, on one device and on the mesh."""
  rng = np.random.default_rng(1)
  rows = {
    'tokens': rng.integers(0, 128, (16, 32)),
    'targets': rng.integers(0, 128, (16, 32)),
    'segment_ids': np.ones((16, 32)),
    'positions': np.tile(np.arange(32), (16, 1)),
    'loss_weights': np.ones((16, 32)),
  }
  rows = {k: rows[k].astype(d) for k, d in step_lib.BATCH_DTYPES.items()}
  key = step_lib.StepKey(
    batch_size=16,
    seq_len=32,
    accumulation=1,
    loss_chunk=8,
    z_loss=0.0,
    optimizer=CONFIG,
    lora=model.lora,
  )
  params = meshes._state(model).params
  trained, _ = lora.split(params)
  state = step_lib.TrainState(
    params, moments.pack(CONFIG, _moments(trained), trained)
  )
  rate = jnp.float32(1e-2)
  expected, _ = jax.jit(step_lib.make_step(model, key))(state, rows, rate)
  shardings = step_lib.state_shardings(model, layout, CONFIG)
  state, _ = step_lib.compile_step(model, key, layout)(
    jax.device_put(state, shardings),
    jax.device_put(rows, step_lib.batch_sharding(layout)),
    rate,
  )
  levels = [
    np.abs(np.asarray(a, np.int32) - np.asarray(b, np.int32)).reshape(-1)
    for a, b in zip(
      jax.tree.leaves(state.optimizer['nu']),
      jax.tree.leaves(expected.optimizer['nu']),
      strict=True,
    )
    if a.dtype == jnp.uint8
  ]
  off = np.concatenate(levels)
  return {
    'params': meshes._distance(state.params, expected.params),
    'levels': int(off.max()),
    'off': float((off > 0).mean()),
  }


def main(rest: bool) -> None:
  layout = models.Layout(models.make_mesh(models.MeshConfig(**MESH)))
  if rest:
    print(json.dumps({'what': 'all', **updated(MODELS['all'], layout)}))
    return
  adapters, _ = lora.split(MODELS['adapters'].abstract_params())
  for what, trained in (('kernels', _kernels()), ('of adapters', adapters)):
    print(json.dumps({'what': what, **rounded(trained, layout)}))
  found = updated(MODELS['adapters'], layout)
  print(json.dumps({'what': 'adapters', **found}))


if __name__ == '__main__':
  main(sys.argv[1:] == ['--rest'])
