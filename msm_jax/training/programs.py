"""Compiled steps, made in the background before they are needed."""

from concurrent import futures

import jax
from jax.sharding import Mesh

from msm_jax import models
from msm_jax.training import step as step_lib


class Programs:
  """Compiles each step once; the next phase's while this one runs."""

  def __init__(self, model: models.Model, mesh: Mesh):
    self._model, self._mesh = model, mesh
    self._pool = futures.ThreadPoolExecutor(1, thread_name_prefix='compile')
    self._made: dict[step_lib.StepKey, futures.Future[jax.stages.Compiled]] = {}

  def request(self, key: step_lib.StepKey) -> None:
    """Begins to compile a step, unless that was done or begun before."""
    if key not in self._made:
      self._made[key] = self._pool.submit(
        step_lib.compile_step, self._model, key, self._mesh
      )

  def get(self, key: step_lib.StepKey) -> jax.stages.Compiled:
    """Returns the compiled step, waiting for it if need be."""
    self.request(key)
    return self._made[key].result()

  def close(self) -> None:
    self._pool.shutdown(wait=True, cancel_futures=True)
