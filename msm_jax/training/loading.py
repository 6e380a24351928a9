"""Batches on the devices: each process reads the rows of its own."""

import bisect
from collections.abc import Callable

import jax
from jax.sharding import NamedSharding
import numpy as np

from msm_jax import data
from msm_jax import models
from msm_jax.training import step as step_lib


def rows_here(sharding: NamedSharding, shape: tuple[int, int]) -> list[int]:
  """Returns which rows of a batch the devices of this process have, sorted.

  Args:
    sharding: Of the batch.
    shape: `(B, T)`.
  """
  parts = sharding.addressable_devices_indices_map(shape).values()
  rows = [range(shape[0])[index[0]] for index in parts if index is not None]
  return sorted({row for some in rows for row in some})


def batches(
  mixture: data.Mixture, layout: models.Layout
) -> Callable[[int], step_lib.Batch]:
  """Returns a function from an update to its batch, placed on a mesh.

  Each process calls it for the same updates, and reads only its rows.
  """
  sharding = step_lib.batch_sharding(layout)
  shape = mixture.batch_size, mixture.seq_len
  here = rows_here(sharding, shape)

  def placed(local_rT: np.ndarray) -> jax.Array:
    def part(index: tuple[slice, ...] | None) -> np.ndarray:
      assert index is not None
      first, stop, _ = index[0].indices(shape[0])
      at = bisect.bisect_left(here, first)
      return local_rT[at : at + stop - first]

    return jax.make_array_from_callback(shape, sharding, part)

  def batch(update: int) -> step_lib.Batch:
    rows = mixture.batch(update, here)
    return {k: placed(rows[k]) for k in step_lib.BATCH_DTYPES}

  return batch
