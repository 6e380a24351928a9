"""Compiles the step of every phase of a run for a topology, and reads it."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import pathlib
import re
import tempfile
import time
from typing import Any

import jax
from jaxlib import _hlo  # type: ignore[attr-defined]

from msm_jax import models
from msm_jax import schema
from msm_jax import training
from msm_jax.compilation import hlo
from msm_jax.compilation import libtpu
from msm_jax.compilation import memory as memory_lib
from msm_jax.compilation import program
from msm_jax.compilation import report as report_lib
from msm_jax.compilation import topology as topology_lib
from msm_jax.log import logger
from msm_jax.training import flops
from msm_jax.training import step as step_lib
from msm_jax.training import xla_options


@dataclasses.dataclass(frozen=True)
class Target:
  """What a run is compiled for.

  Attributes:
    topology: The chips.
    devices: JAX devices that stand for them.
    compiler_options: XLA's, by name, which override those of the config.
    price: US dollars per chip-hour; None if it is not known.
  """

  topology: topology_lib.Topology
  devices: tuple[Any, ...]
  compiler_options: Mapping[str, str] = dataclasses.field(default_factory=dict)
  price: float | None = None

  @classmethod
  def named(
    cls,
    name: str,
    num_slices: int = 1,
    *,
    compiler_options: Mapping[str, str] | None = None,
    price: float | None = None,
  ) -> 'Target':
    """Returns the target of that topology; see `libtpu.devices`.

    Without a price, the list price of its chips is taken.
    """
    topology, devices = libtpu.devices(name, num_slices)
    if price is None:
      price = topology.chip.price
    return cls(topology, tuple(devices), dict(compiler_options or {}), price)


@dataclasses.dataclass(frozen=True)
class Compiled:
  """A compiled step, as far as it can be known without running it."""

  program: program.Program
  memory: memory_lib.Memory
  seconds: float


def text(compiled: jax.stages.Compiled) -> str:
  """Returns a program's HLO with its constants, such as attention masks."""
  options = _hlo.HloPrintOptions()
  options.print_large_constants = True
  executable = compiled.runtime_executable()
  assert executable is not None
  (module,) = executable.hlo_modules()
  return module.to_string(options)


def read(
  compile_with: Callable[[dict[str, str]], jax.stages.Compiled],
  target: Target,
) -> Compiled:
  """Compiles something and reads it.

  Args:
    compile_with: Compiles, given options for XLA.
    target: What for.

  Raises:
    DoesNotFitError: If a device has less memory than it needs.
    ConfigError: For an option that XLA does not have, or cannot read.
  """
  started = time.monotonic()
  with tempfile.TemporaryDirectory() as dump:
    options = {**target.compiler_options, 'xla_dump_to': dump}
    try:
      compiled = compile_with(options)
    except jax.errors.JaxRuntimeError as e:
      raise (
        memory_lib.does_not_fit(e, pathlib.Path(dump))
        or _bad_option(e, target)
        or e
      ) from e
    seconds = time.monotonic() - started
    module = hlo.parse(text(compiled))
    memory = memory_lib.of(
      compiled.memory_analysis(),
      module,
      pathlib.Path(dump),
      target.topology.usable_hbm,
    )
  return Compiled(program.read(module), memory, seconds)


def _bad_option(error: Exception, target: Target) -> schema.ConfigError | None:
  """Returns the error as that of a config, if an option is what is wrong."""
  words = re.findall(r'\w+', str(error))
  named = [name for name in target.compiler_options if name in words]
  if 'INVALID_ARGUMENT' not in words or not named:
    return None
  first, *_ = str(error).splitlines()
  return schema.ConfigError(f'xla_options.{named[0]}: {first}')


def reports(
  config: training.RunConfig, target: Target
) -> Iterator[report_lib.Report | report_lib.Refusal]:
  """Yields what is known of every phase, one after the other.

  Phases whose steps are the same program are compiled once.

  Raises:
    ConfigError: If the run does not go with the chips, or XLA's options are
      none.
  """
  if config.mesh.num_slices != target.topology.num_slices:
    raise schema.ConfigError(
      f'mesh.num_slices: {config.mesh.num_slices}, but the topology has '
      f'{target.topology.num_slices} (--num_slices)'
    )
  made: dict[step_lib.StepKey, Compiled | memory_lib.DoesNotFitError] = {}
  mesh = models.make_mesh(config.mesh, target.devices)
  layout = models.Layout(mesh, grad_reduce_dtype=config.grad_reduce_dtype)
  options = xla_options.of_mesh(
    config.xla_options, mesh, target.compiler_options
  )
  target = dataclasses.replace(target, compiler_options=options)
  for phase in config.phases:
    key = step_lib.StepKey.of(phase, config, layout)
    model = models.Model(config.model, key.lora)
    job = report_lib.Job(
      phase=phase.name,
      updates=phase.n_updates,
      batch_size=phase.batch_size,
      seq_len=phase.seq_len,
      model_flops=flops.flops_per_token(model, phase.seq_len)
      * phase.tokens_per_update,
      n_params=model.n_params(),
      topology=target.topology,
      mesh=dict(mesh.shape),
      price=target.price,
      loss_chunk=key.loss_chunk,
      loss_group=key.loss_group,
      compiler_options=options,
    )
    if key not in made:
      logger.info('compiling phase %s for %s', phase.name, target.topology.name)
      made[key] = _try(model, key, layout, target)
    compiled = made[key]
    if isinstance(compiled, memory_lib.DoesNotFitError):
      yield report_lib.Refusal(
        job, str(compiled), compiled.needed, compiled.largest
      )
    else:
      yield report_lib.make(
        job,
        compiled.program,
        compiled.memory,
        libtpu.places(mesh.devices),
        compiled.seconds,
      )


def _try(
  model: models.Model,
  key: step_lib.StepKey,
  layout: models.Layout,
  target: Target,
) -> Compiled | memory_lib.DoesNotFitError:
  try:
    return read(
      lambda options: step_lib.compile_step(model, key, layout, options), target
    )
  except memory_lib.DoesNotFitError as e:
    return e
