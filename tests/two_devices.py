"""Run in a process with two devices: one update, whose rows are dealt to both.

Prints the rows that each device holds of a batch, and the metrics.
"""

import json
import sys

import jax
import test_training_step as one

from msm_jax import models
from msm_jax.training import step as step_lib


def main(accumulation: int) -> None:
  layout = models.Layout(models.make_mesh(models.MeshConfig()))
  key = one._key(accumulation=accumulation)
  compiled = step_lib.compile_step(one.MODEL, key, layout)
  sharding = step_lib.batch_sharding(layout)
  batch = {k: jax.device_put(v, sharding) for k, v in one._batch().items()}
  state = jax.device_put(
    one._state(), step_lib.state_shardings(one.MODEL, layout)
  )
  shards = batch['tokens'].addressable_shards
  _, metrics = compiled(state, batch, jax.numpy.float32(1e-2))
  print(
    json.dumps(
      {
        'rows': [shard.data.shape[0] for shard in shards],
        'loss': float(metrics.loss),
        'grad_norm': float(metrics.grad_norm),
        'row_loss': metrics.row_loss.tolist(),
      }
    )
  )


if __name__ == '__main__':
  main(int(sys.argv[1]))
