"""Variants of a phase, compiled one by one, and which of them are worth it."""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import itertools

import jax

from msm_jax import models
from msm_jax import training
from msm_jax.compilation import report as report_lib
from msm_jax.log import logger
from msm_jax.models import layout as layout_lib
from msm_jax.training import step as step_lib

_BATCH_FACTORS = (1, 2, 4)
_TENSOR = (1, 2, 4)


@dataclasses.dataclass(frozen=True)
class Variant:
  """A run that differs from the configured one.

  Attributes:
    label: In what, e.g. `'batch 128, remat minimal, fsdp 32, tensor 2'`.
    config: The run, with one phase.
  """

  label: str
  config: training.RunConfig


def meshes(
  config: layout_lib.MeshConfig,
  n_devices: int,
  parts: tuple[int, int] | None = None,
) -> list[layout_lib.MeshConfig]:
  """Returns the configured mesh, and others that are usual.

  All devices of a slice share parameters; or they do so in groups, of which
  each cuts heads, MLP and vocabulary over 2 or 4 devices.
  """
  inner = config.fsdp_inner
  if isinstance(inner, int):
    inner = max(inner, 1)  # -1 is for the outer one here.
  given = 1 if isinstance(inner, str) else inner
  usual = [config] + [
    layout_lib.MeshConfig(
      data=config.num_slices,
      fsdp=-1,
      fsdp_inner=inner,
      tensor=tensor,
      num_slices=config.num_slices,
    )
    for tensor in _TENSOR
    if n_devices % (config.num_slices * given * tensor) == 0
  ]
  by_sizes = {
    tuple(m.sizes(n_devices, parts).values()): m for m in reversed(usual)
  }
  return list(reversed(by_sizes.values()))


def variants(
  config: training.RunConfig,
  phase: str,
  n_devices: int,
  *,
  parts: tuple[int, int] | None = None,
  batch_factors: Sequence[int] = _BATCH_FACTORS,
  remat: Sequence[str] = tuple(models.REMAT_POLICIES),
) -> Iterator[Variant]:
  """Yields variants of one phase: each batch size, remat policy and mesh.

  Args:
    config: The run.
    phase: Name of its phase.
    n_devices: For which it is compiled.
    parts: How they lie; see `tpus.parts`.
    batch_factors: By what the configured batch is multiplied. A budget in
      updates is divided by it, so that all variants see the same tokens.
    remat: Policies for rematerialisation.
  """
  (chosen,) = (p for p in config.phases if p.name == phase)
  for mesh, factor, policy in itertools.product(
    meshes(config.mesh, n_devices, parts), batch_factors, remat
  ):
    updates = chosen.updates and -(-chosen.updates // factor)
    size = chosen.batch_size * factor
    sizes = mesh.sizes(n_devices, parts)
    cut = ', '.join(f'{axis} {n}' for axis, n in sizes.items() if n > 1)
    label = f'batch {size}, remat {policy}, {cut or "one device"}'
    try:
      varied = dataclasses.replace(chosen, batch_size=size, updates=updates)
      variant = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, remat=policy),
        phases=(varied,),
        mesh=mesh,
      )
      _check(variant, sizes)
    except ValueError as e:
      logger.warning('%s: left out: %s', label, e)
      continue
    yield Variant(label, variant)


def _check(config: training.RunConfig, sizes: dict[str, int]) -> None:
  """Checks that a run of one phase can be computed on a mesh of these sizes.

  Raises:
    ConfigError: If it cannot.
  """
  (phase,) = config.phases
  layout = models.Layout(
    jax.sharding.AbstractMesh(tuple(sizes.values()), tuple(sizes))
  )
  key = step_lib.StepKey.of(phase, config, layout)
  model = models.Model(config.model, key.lora)
  step_lib.check_shapes(model, key, layout)


@dataclasses.dataclass(frozen=True)
class Tried:
  """A variant and what became of it."""

  variant: Variant
  report: report_lib.Report | report_lib.Refusal


def frontier(tried: Sequence[Tried]) -> list[Tried]:
  """Returns those that no other beats in speed without taking more memory.

  Sorted by speed, the fastest first.
  """
  fitting = [
    (t.report.tokens_per_second_per_chip, t.report.memory.total, t)
    for t in tried
    if isinstance(t.report, report_lib.Report)
  ]
  fitting.sort(key=lambda row: (-row[0], row[1]))
  best: list[Tried] = []
  least: float = float('inf')
  for _, total, one in fitting:
    if total < least:
      best.append(one)
      least = total
  return best


def table(tried: Sequence[Tried]) -> str:
  """Returns all variants as text, those on the frontier marked."""
  best = {id(t) for t in frontier(tried)}
  lines = [
    f'  {"":>1} {"variant":<52} {"GiB":>7} {"ms":>9} {"MFU bound":>9} '
    f'{"tokens/s/chip":>13} {"chip-hours":>10} {"USD":>9}'
  ]
  for one in tried:
    r = one.report
    if isinstance(r, report_lib.Refusal):
      needed = f'{r.needed / 2**30:.2f}'
      lines.append(f'    {one.variant.label:<52} {needed:>7} does not fit')
      continue
    cost = '?' if r.cost is None else f'{r.cost:,.0f}'
    lines.append(
      f'  {"*" if id(one) in best else " "} {one.variant.label:<52} '
      f'{r.memory.total / 2**30:>7.2f} {r.times.schedule * 1e3:>9.1f} '
      f'{r.mfu_bound:>9.1%} {r.tokens_per_second_per_chip:>13,.0f} '
      f'{r.chip_hours:>10,.1f} {cost:>9}'
    )
  return '\n'.join([*lines, '  * on the frontier of speed and memory'])
