"""Run in a process with two devices: sampling from parameters on a mesh.

Prints the tokens with rows dealt over the devices, and with parameters cut in
two; and what each device holds.
"""

import json

import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np
import test_models_sampling as one

from msm_jax import models
from msm_jax.models.sampling import unrolled

CONFIG = models.SamplingConfig(max_new_tokens=12)


def _cut(mesh: jax.sharding.Mesh, x: np.ndarray) -> jax.Array:
  """Puts half of the last axis on each device, if it has two halves."""
  axes = [None] * x.ndim
  if x.shape[-1] % 2 == 0:
    axes[-1] = 'data'
  return jax.device_put(x, NamedSharding(mesh, PartitionSpec(*axes)))


def _sizes(params: models.Params) -> list[int]:
  """Bytes of the layers' parameters that each device holds."""
  held = dict.fromkeys(jax.devices(), 0)
  for leaf in jax.tree.leaves(unrolled.unroll(params).blocks):
    for shard in leaf.addressable_shards:
      held[shard.device] += shard.data.nbytes
  return list(held.values())


def main() -> None:
  mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ('data',))
  everywhere = NamedSharding(mesh, PartitionSpec())
  rows = NamedSharding(mesh, PartitionSpec('data'))
  replicated = jax.device_put(one.PARAMS, everywhere)
  cut = jax.tree.map(lambda x: _cut(mesh, x), one.PARAMS)
  dealt = models.Sampler(one.MODEL, replicated, rows=rows)
  tokens = {
    'rows': dealt.sample(one.PROMPTS, CONFIG),
    'fewer rows than devices': dealt.sample(one.PROMPTS[:1], CONFIG),
    'cut': models.Sampler(one.MODEL, cut).sample(one.PROMPTS, CONFIG),
  }
  print(
    json.dumps(
      {
        'tokens': {k: [s.tokens for s in v] for k, v in tokens.items()},
        'held': {'replicated': _sizes(replicated), 'cut': _sizes(cut)},
      }
    )
  )


if __name__ == '__main__':
  main()
