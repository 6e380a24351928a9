"""Run in a process with eight devices: in which dtype gradients are added up.

Prints how far a bfloat16 projection's gradients are from float64, norm-wise,
by what `grad_reduce_dtype` is and whether there is a mesh: JSON, one object in
a line.
"""

import json

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from msm_jax import models
from msm_jax.models.projection import Projection

MESH = {'data': 2, 'fsdp': 2, 'tensor': 2}
B, T, D, H, C = 8, 64, 16, 4, 8


def _projection() -> Projection:
  c = models.DecoderConfig(
    vocab_size=8,
    d_model=D,
    n_layers=1,
    n_heads=H,
    n_kv_heads=H,
    head_dim=C,
    d_ff=8,
  )
  return Projection(
    'BTD,DHC->BTHC', (D, H, C), c, stddev=0.3, bias=True, rngs=nnx.Rngs(0)
  )


def errors(layout: models.Layout) -> dict[str, float]:
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((B, T, D)), jnp.bfloat16)
  dy = jnp.asarray(rng.standard_normal((B, T, H, C)), jnp.bfloat16)
  graphdef, state = nnx.split(_projection())
  params = nnx.to_pure_dict(state)

  def loss(params, x):
    nnx.replace_by_pure_dict(state, params)
    y = nnx.merge(graphdef, state)(layout.constrain(x, 'BTD'), layout)
    return jnp.sum(y.astype(jnp.float32) * dy.astype(jnp.float32))

  found = jax.jit(jax.grad(loss, (0, 1)))(params, x)
  x_64, dy_64 = np.asarray(x, np.float64), np.asarray(dy, np.float64)
  kernel = np.asarray(jnp.asarray(params['kernel'], jnp.bfloat16), np.float64)
  expected = (
    {
      'kernel': np.einsum('BTD,BTHC->DHC', x_64, dy_64),
      'bias': dy_64.sum((0, 1)),
    },
    np.einsum('BTHC,DHC->BTD', dy_64, kernel),
  )

  def error(a, b):
    return float(np.linalg.norm(np.asarray(a, np.float64) - b))

  return {
    'kernel': error(found[0]['kernel'], expected[0]['kernel'])
    / float(np.linalg.norm(expected[0]['kernel'])),
    'bias': error(found[0]['bias'], expected[0]['bias'])
    / float(np.linalg.norm(expected[0]['bias'])),
    'input': error(found[1], expected[1]) / float(np.linalg.norm(expected[1])),
  }


def main() -> None:
  mesh = models.make_mesh(models.MeshConfig(**MESH))
  for dtype in (None, 'float32'):
    for where in (None, mesh):
      layout = models.Layout(where, grad_reduce_dtype=dtype)
      row = {'dtype': dtype, 'mesh': where is not None, **errors(layout)}
      print(json.dumps(row))


if __name__ == '__main__':
  main()
