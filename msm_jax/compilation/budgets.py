"""What a compiled step may use at most, recorded beside the code.

A budget is a JSON file: what to compile, and a limit for each figure. Compilers
are deterministic, so that a limit is the figure itself; a change that exceeds
it is a change for the worse, or is written down by whoever makes it.
"""

import dataclasses
import pathlib

from msm_jax import schema
from msm_jax import storage
from msm_jax.compilation import report as report_lib


@dataclasses.dataclass(frozen=True)
class Budget:
  """Limits of one phase's step on one topology.

  Attributes:
    config: As given to `python -m msm_jax.compile`.
    phase: Name of the phase.
    topology: For instance `'v5p:4x4x4'`.
    num_slices: Slices.
    limits: The most that each figure may be; keys of `figures`.
    compiler_options: XLA's, besides those of the config.
    versions: Of JAX and libtpu with which the limits were found.
  """

  config: str
  phase: str
  topology: str
  limits: dict[str, float]
  num_slices: int = 1
  compiler_options: dict[str, str] = dataclasses.field(default_factory=dict)
  versions: dict[str, str] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    for key in self.limits:
      schema.one_of(key, FIGURES, 'limits: the figure')


FIGURES = (
  'temp_bytes',
  'xla_temp_bytes',
  'total_bytes',
  'executed_flops',
  'all_gather_bytes',
  'all_reduce_bytes',
  'reduce_scatter_bytes',
  'non_overlapped_collectives',
  'exposed_seconds',
  'schedule_seconds',
)


def figures(report: report_lib.Report) -> dict[str, float]:
  """Returns what a budget can limit."""

  def nbytes(kind: str) -> int:
    return sum(c.nbytes for c in report.collectives if c.kind == kind)

  return {
    'temp_bytes': report.memory.temp,
    'xla_temp_bytes': report.memory.xla_temp,
    'total_bytes': report.memory.total,
    'executed_flops': report.flops,
    'all_gather_bytes': nbytes('all-gather'),
    'all_reduce_bytes': nbytes('all-reduce'),
    'reduce_scatter_bytes': nbytes('reduce-scatter'),
    'non_overlapped_collectives': report.non_overlapped,
    'exposed_seconds': report.times.exposed,
    'schedule_seconds': report.times.schedule,
  }


def load(path: pathlib.Path | str) -> Budget:
  """Reads a budget.

  Raises:
    ConfigError: If the file is none, naming the key.
  """
  raw = storage.read_json(path)
  return schema.structure(Budget, raw, str(path))


def exceeded(report: report_lib.Report, budget: Budget) -> list[str]:
  """Returns a sentence for each limit that a report exceeds."""
  found = figures(report)
  return [
    f'{key}: {_shown(found[key])}, the budget is {_shown(limit)}'
    for key, limit in budget.limits.items()
    if found[key] > limit
  ]


def _shown(value: float) -> str:
  return f'{value:,.0f}' if value >= 1000 else f'{value:.6g}'
