"""Compiled programs, made in the background before they are needed."""

from collections.abc import Callable
from collections.abc import Mapping
from concurrent import futures
import dataclasses
from typing import Any

import jax

from msm_jax import models
from msm_jax.models import crossing
from msm_jax.models import lora as lora_lib
from msm_jax.training import moments
from msm_jax.training import step as step_lib
from msm_jax.training.config import OptimizerConfig
from msm_jax.training.config import PhaseConfig


@dataclasses.dataclass(frozen=True)
class ZeroMoments:
  """The program that makes the moments with which a phase begins.

  Attributes:
    optimizer: What the moments are of.
    lora: Adapters that the phase trains, if any.
  """

  optimizer: OptimizerConfig
  lora: lora_lib.LoRAConfig | None

  @classmethod
  def of(cls, phase: PhaseConfig) -> 'ZeroMoments':
    return cls(phase.optimizer, phase.lora)


Key = step_lib.StepKey | crossing.Crossing | ZeroMoments


class Programs:
  """Compiles each program once; the next phase's while this one runs."""

  def __init__(
    self,
    config: models.DecoderConfig,
    layout: models.Layout,
    compiler_options: Mapping[str, str],
  ):
    self._config, self._layout = config, layout
    self._options = compiler_options
    self._pool = futures.ThreadPoolExecutor(1, thread_name_prefix='compile')
    self._made: dict[Key, futures.Future[Any]] = {}

  def request(self, key: Key) -> None:
    """Begins to compile a program, unless that was done or begun before."""
    if key not in self._made:
      self._made[key] = self._pool.submit(self._compile, key)

  def _compile(self, key: Key) -> Any:
    if isinstance(key, crossing.Crossing):
      return key.compile(self._layout)
    model = models.Model(self._config, key.lora)
    if isinstance(key, ZeroMoments):
      trained, _ = lora_lib.split(model.abstract_params())
      return moments.compile_zeros(key.optimizer, trained, self._layout)
    return step_lib.compile_step(model, key, self._layout, self._options)

  def step(self, key: step_lib.StepKey) -> jax.stages.Compiled:
    """Returns the compiled update, waiting for it if need be."""
    self.request(key)
    return self._made[key].result()

  def crossing(
    self, key: crossing.Crossing
  ) -> Callable[[models.Params, jax.Array], models.Params]:
    """Returns what takes parameters into a phase, compiled."""
    self.request(key)
    return self._made[key].result()

  def zero_moments(self, key: ZeroMoments) -> Callable[[], Any]:
    """Returns what makes the moments with which a phase begins, compiled."""
    self.request(key)
    return self._made[key].result()

  def close(self) -> None:
    self._pool.shutdown(wait=True, cancel_futures=True)
