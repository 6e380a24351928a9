"""Restores a converted model onto eight devices and says its peak memory.

    python tests/restoring_process.py WORKDIR

Every leaf is cut along its largest axis that eight divides. Prints JSON: bytes
of all parameters, of the largest leaf, and by how many bytes the peak of this
process grew while it restored.
"""

import json
import os
import pathlib
import sys

os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=8'
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from converting_process import peak_bytes
import jax
import numpy as np

from msm_jax import models
from msm_jax import training
from msm_jax.conversion import checkpoint


def sharding(leaf, mesh):
  cut = [n if n % mesh.size == 0 else 0 for n in leaf.shape]
  spec = [None] * len(cut)
  spec[int(np.argmax(cut))] = 'data'
  return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))


def main(workdir: str) -> None:
  found = checkpoint.find(workdir, None)
  model = models.Model(found.config)
  abstract = model.abstract_params()
  mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ('data',))
  reader = training.Checkpoints(f'{workdir}/checkpoints', read_only=True)
  # What restoring needs of code and threads is there before it is measured.
  small = jax.tree.map(lambda leaf: sharding(leaf, mesh), abstract)
  before = peak_bytes()
  params = jax.block_until_ready(reader.params(found.meta.step, model, small))
  after = peak_bytes()
  for leaf in jax.tree.leaves(params):
    parts = {shard.data.size for shard in leaf.addressable_shards}
    assert parts == {leaf.size // 8}, (leaf.shape, parts)
  sizes = [x.size * x.dtype.itemsize for x in jax.tree.leaves(abstract)]
  print(
    json.dumps(
      {'params': sum(sizes), 'largest': max(sizes), 'grown': after - before}
    )
  )


if __name__ == '__main__':
  main(sys.argv[1])
