"""Run in a process with eight devices: what copies of the parameters exchange.

    python tests/copies.py

Prints bytes of float32 that each device sends to other copies in an update, for
each number of micro-batches, and those of its part of the parameters: JSON.
"""

import dataclasses
import json
import math

import jax
import meshes

from msm_jax import models
from msm_jax.compilation import hlo
from msm_jax.compilation import phases
from msm_jax.compilation import program
from msm_jax.models import axes
from msm_jax.training import step as step_lib

COPIES, ACCUMULATIONS = 2, (1, 2, 4)
_MODEL = meshes.MODELS['own head, a key for each query, rematerialised']


def main() -> None:
  mesh = models.make_mesh(models.MeshConfig(data=COPIES, fsdp=-1))
  layout = models.Layout(mesh)
  ids = [d.id for d in mesh.devices.flat]
  copy_of = {number: ids.index(number) * COPIES // len(ids) for number in ids}
  exchanged = {}
  for accumulation in ACCUMULATIONS:
    key = dataclasses.replace(meshes._key(_MODEL, accumulation), batch_size=32)
    compiled = step_lib.compile_step(_MODEL, key, layout)
    events = program.read(hlo.parse(phases.text(compiled))).events
    exchanged[accumulation] = sum(
      c.nbytes * runs
      for c, runs in program.all_collectives(events)
      if any(len({copy_of[n] for n in group}) > 1 for group in c.groups)
    )
  shapes = jax.tree.leaves(_MODEL.abstract_params())
  shardings = jax.tree.leaves(axes.shardings(_MODEL.abstract_params(), layout))
  part = sum(
    4 * math.prod(sharding.shard_shape(x.shape))
    for x, sharding in zip(shapes, shardings, strict=True)
  )
  print(json.dumps({'exchanged': exchanged, 'part': part}))


if __name__ == '__main__':
  main()
