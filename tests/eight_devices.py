"""Run in a process with eight devices: how parameters are made, sharded.

Prints, for a large model, the memory of one device as it was compiled, nothing
allocated; and for a small one, what the devices really hold.
"""

import json
import math

import hf_models
import jax
import numpy as np

from msm_jax import models
from msm_jax.models import axes
from msm_jax.models import decoder
from msm_jax.models import presets

LARGE = 'Llama-3.1-8B'


def _layout():
  return models.Layout(models.make_mesh(models.MeshConfig(fsdp=8)))


def _shard_bytes(params, shardings):
  """Bytes that one device holds of each parameter."""
  return [
    math.prod(sharding.shard_shape(x.shape)) * x.dtype.itemsize
    for x, sharding in zip(
      jax.tree.leaves(params), jax.tree.leaves(shardings), strict=True
    )
  ]


def large():
  model = models.Model(presets.get(LARGE).config)
  shardings = axes.shardings(model.abstract_params(), _layout())
  shards = _shard_bytes(model.abstract_params(), shardings)
  memory = axes.compile_init(model, _layout()).memory_analysis()
  return {
    'shard': sum(shards),
    'largest': max(shards),
    'whole': 4 * model.n_params(),
    'output': memory.output_size_in_bytes,
    'temporary': memory.temp_size_in_bytes,
  }


def small():
  # The embedding as well is drawn in parts.
  decoder._DRAWN_AT_ONCE = 500
  model = models.Model(hf_models.config('olmo3'))
  key = jax.random.key(3)
  shardings = axes.shardings(model.abstract_params(), _layout())
  params = axes.compile_init(model, _layout())(key)
  expected = jax.jit(model.init)(key)
  leaves = jax.tree.leaves(params)
  held = {
    sum(x.addressable_shards[device].data.nbytes for x in leaves)
    for device in range(8)
  }
  same = jax.tree.map(
    lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), params, expected
  )
  return {
    'same': all(jax.tree.leaves(same)),
    'held': sorted(held),
    'expected': sum(_shard_bytes(params, shardings)),
    'whole': sum(x.nbytes for x in jax.tree.leaves(expected)),
  }


if __name__ == '__main__':
  print(json.dumps({'large': large(), 'small': small()}))
