"""What `python -m msm_jax.compile` does once JAX may be imported."""

import dataclasses
import enum
from importlib import metadata
import json
from typing import Any

from msm_jax import schema
from msm_jax import storage
from msm_jax import training
from msm_jax.compilation import budgets
from msm_jax.compilation import display
from msm_jax.compilation import phases
from msm_jax.compilation import report as report_lib
from msm_jax.compilation import sweep as sweep_lib
from msm_jax.log import logger
from msm_jax.models import tpus

Reports = list[report_lib.Report | report_lib.Refusal]


class Outcome(enum.IntEnum):
  """Exit codes."""

  FITS = 0
  DOES_NOT_FIT = 2
  EXCEEDS_BUDGET = 3


@dataclasses.dataclass(frozen=True)
class Request:
  """What is asked for; the flags of `msm_jax.compile`."""

  topology: str
  num_slices: int = 1
  phase: str | None = None
  price: float | None = None
  options: dict[str, str] = dataclasses.field(default_factory=dict)
  sweep: bool = False
  out: str | None = None
  budget: str | None = None
  write_budget: str | None = None

  def __post_init__(self):
    if self.sweep and (self.budget or self.write_budget):
      raise schema.ConfigError('sweep: a budget is of one step, not of a sweep')
    if (self.budget or self.write_budget) and self.phase is None:
      raise schema.ConfigError(
        'budget: is of one phase; name it with --phase=NAME'
      )


def run(config: training.RunConfig, request: Request, name: str) -> Outcome:
  """Compiles what is asked for, prints and writes what is found.

  Args:
    config: The run.
    request: What to do with it.
    name: Of the config, as given.

  Raises:
    ConfigError: For a request that cannot be met, before anything is compiled.
  """
  config = _only(config, request.phase)
  limits = budgets.load(request.budget) if request.budget else None
  target = phases.Target.named(
    request.topology,
    request.num_slices,
    compiler_options=request.options,
    price=request.price,
  )
  if request.sweep:
    return _sweep(config, target, request)
  reports: Reports = []
  for report in phases.reports(config, target):
    print(display.of(report), flush=True)
    reports.append(report)
  print(display.assumptions())
  _write(request.out, {'phases': [r.summary() for r in reports]})
  fitting = [r for r in reports if isinstance(r, report_lib.Report)]
  if len(fitting) < len(reports):
    return Outcome.DOES_NOT_FIT
  if request.write_budget:
    budget = _budget(fitting[0], request, name)
    storage.write_atomic(
      request.write_budget, _json(dataclasses.asdict(budget))
    )
  if limits and (excess := budgets.exceeded(fitting[0], limits)):
    for line in excess:
      logger.error('%s: %s', request.budget, line)
    return Outcome.EXCEEDS_BUDGET
  return Outcome.FITS


def _only(config: training.RunConfig, phase: str | None) -> training.RunConfig:
  if phase is None:
    return config
  names = [p.name for p in config.phases]
  schema.one_of(phase, names, 'phase')
  chosen = config.phases[names.index(phase)]
  return dataclasses.replace(config, phases=(chosen,))


def _sweep(
  config: training.RunConfig, target: phases.Target, request: Request
) -> Outcome:
  """Tries variants of each phase; it fits if one of them does."""
  written = []
  outcome = Outcome.FITS
  for phase in config.phases:
    tried = []
    n_devices = target.topology.n_devices
    parts = tpus.parts(target.devices)
    for variant in sweep_lib.variants(
      config, phase.name, n_devices, parts=parts
    ):
      (report,) = phases.reports(variant.config, target)
      tried.append(sweep_lib.Tried(variant, report))
      logger.info('%s', sweep_lib.table(tried[-1:]).splitlines()[1])
    print(f'phase {phase.name} on {target.topology.name}')
    print(sweep_lib.table(tried), flush=True)
    best = sweep_lib.frontier(tried)
    if not best:
      outcome = Outcome.DOES_NOT_FIT
    written += [
      {
        'variant': t.variant.label,
        'on_frontier': t in best,
        **t.report.summary(),
      }
      for t in tried
    ]
  _write(request.out, {'variants': written})
  return outcome


def _budget(
  report: report_lib.Report, request: Request, name: str
) -> budgets.Budget:
  assert request.phase is not None
  return budgets.Budget(
    config=name,
    phase=request.phase,
    topology=request.topology,
    num_slices=request.num_slices,
    compiler_options=request.options,
    limits=budgets.figures(report),
    versions={p: metadata.version(p) for p in ('jax', 'libtpu')},
  )


def _json(value: Any) -> str:
  return json.dumps(value, indent=2) + '\n'


def _write(path: str | None, value: Any) -> None:
  if path is not None:
    storage.write_atomic(path, _json(value))
