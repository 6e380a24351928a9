"""From rows to `summary.json`: all numbers of the report, and nothing else."""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from msm_jax.evals import measures
from msm_jax.evals import rows as rows_lib
from msm_jax.evals import statistics
from msm_jax.report import contrasts
from msm_jax.report import experiment as experiment_lib
from msm_jax.report import metrics
from msm_jax.report import results as results_lib

Json = dict[str, Any]

FORMAT = 1
FEW_CLUSTERS = 5


def summarise(
  experiment: experiment_lib.Experiment, rows: Sequence[rows_lib.Row]
) -> Json:
  """Returns the content of `summary.json`: plain JSON, without NaN.

  Raises:
    ValueError: If the rows are not the experiment's; see `results.Results`.
  """
  results = results_lib.Results.build(experiment, rows)
  primary = contrasts.describe(results, experiment.primary)
  primary['clusters'] = {
    name: e.to_json()
    for name, e in statistics.by_cluster(
      contrasts.terms(results, experiment.primary)
    ).items()
  }
  promised = [experiment.primary, *experiment.contrasts]
  return {
    'format': FORMAT,
    'name': experiment.name,
    'command': experiment.command,
    'seeds': list(experiment.seeds),
    'assistant': experiment.assistant,
    'noise': primary['noise'],
    'warnings': _warnings(results),
    'primary': primary,
    'contrasts': {
      c.name: contrasts.describe(results, c) for c in experiment.contrasts
    },
    'persona_shift': {
      c.name: shift
      for c in promised
      if (shift := contrasts.persona_shift(results, c)) is not None
    },
    'arms': {a.name: metrics.of_arm(results, a) for a in experiment.arms},
    'tax': {
      a.name: contrasts.tax(results, a)
      for a in experiment.arms
      if a.name != experiment.tax_reference
    },
    'tax_reference': experiment.tax_reference,
    'arm_info': {a.name: dataclasses.asdict(a) for a in experiment.arms},
    'stages': [dataclasses.asdict(s) for s in experiment.stages],
    'suites': {s.name: _suite_json(results, s) for s in experiment.suites},
  }


def _suite_json(
  results: results_lib.Results, suite: experiment_lib.Suite
) -> Json:
  rows = [
    r
    for (_, name), found in results.rows.items()
    if name == suite.name
    for r in found
  ]
  items = {(r.seed, r.item) for r in rows}
  return {
    **dataclasses.asdict(suite),
    'labels': list(suite.labels),
    'orientation': None
    if suite.kind != 'choice'
    else list(results_lib.orientation(results.experiment, suite)),
    'n_items': len(items),
    'n_orders': len({r.order for r in rows}),
    'clusters': sorted({r.cluster for r in rows}),
    'unequal_lengths': measures.unequal_lengths(rows),
  }


def _warnings(results: results_lib.Results) -> list[str]:
  """What a careful reader should be told before any number."""
  experiment = results.experiment
  found = []
  if len(experiment.seeds) == 1:
    found.append(
      'Item noise only: this is one seed. Intervals say how much other items '
      'would have changed the result, not how much another seed would.'
    )
  primary = experiment.suite(experiment.primary.suite)
  clusters = _suite_json(results, primary)['clusters']
  if len(clusters) < FEW_CLUSTERS:
    found.append(
      f'{primary.name}: only {len(clusters)} clusters of items; an interval '
      'from so few rests on their means being normally distributed.'
    )
  for suite in experiment.suites:
    if suite.kind == 'perplexity':
      continue
    info = _suite_json(results, suite)
    if info['unequal_lengths']:
      found.append(
        f'{suite.name}: {info["unequal_lengths"]} of {info["n_items"]} items '
        'have options of different numbers of tokens; the longer one is less '
        'probable for that reason alone.'
      )
  for contrast in (experiment.primary, *experiment.contrasts):
    a, b = (experiment.arm(n) for n in contrast.arms)
    for what in ('updates', 'tokens'):
      x, y = getattr(a, what), getattr(b, what)
      for phase in (p for p in x if p in y and x[p] != y[p]):
        found.append(
          f'{contrast.name}: not matched, {a.label} has {x[phase]} {what} in '
          f'{phase} and {b.label} has {y[phase]}.'
        )
  return found


def check_finite(value: Any, where: str = 'summary') -> None:
  """Raises ValueError if any number in nested JSON is NaN or infinite."""
  if isinstance(value, dict):
    for key, item in value.items():
      check_finite(item, f'{where}.{key}')
  elif isinstance(value, list | tuple):
    for i, item in enumerate(value):
      check_finite(item, f'{where}[{i}]')
  elif isinstance(value, float) and not math.isfinite(value):
    raise ValueError(f'{where}: is {value}; JSON has no such number')
