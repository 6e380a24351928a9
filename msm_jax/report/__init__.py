"""Rows to tables, figures and one HTML page. Needs no JAX.

`python -m msm_jax.report --workdir=…` reads `experiment.json` and the rows
below the workdir and writes `summary.json` and `report/index.html`.
"""

import dataclasses
import json
import pathlib
import textwrap
from typing import Any

from msm_jax import storage
from msm_jax.evals import rows as rows_lib
from msm_jax.report import experiment as experiment_lib
from msm_jax.report import layout
from msm_jax.report import materials as materials_lib
from msm_jax.report import page
from msm_jax.report import summary as summary_lib
from msm_jax.report import tables

__all__ = ['Written', 'load', 'terminal_text', 'write']


@dataclasses.dataclass(frozen=True)
class Written:
  """What `write` wrote.

  Attributes:
    summary: Content of `summary.json`.
    text: The report for a terminal, at most 100 columns wide.
    summary_path: Of `summary.json`.
    page_path: Of `report/index.html`.
  """

  summary: dict[str, Any]
  text: str
  summary_path: str
  page_path: str


def load(
  workdir: str | pathlib.Path,
) -> tuple[experiment_lib.Experiment, list[rows_lib.Row]]:
  """Reads the experiment and the rows of all its seeds.

  Raises:
    FileNotFoundError: If `experiment.json` or a seed's rows do not exist.
    ValueError: If they are not valid; the message says where and why.
  """
  experiment = experiment_lib.read(workdir)
  paths = []
  for seed in experiment.seeds:
    evaluation = materials_lib.evaluation_dir(workdir, seed)
    if storage.exists(evaluation):
      storage.verify(evaluation, kind='evaluation')
    paths.append(storage.join(evaluation, 'rows.parquet'))
  return experiment, rows_lib.read_rows(paths)


def write(workdir: str | pathlib.Path) -> Written:
  """Writes `summary.json` and `report/index.html` below `workdir`.

  Both are functions of the inputs: the same rows give the same bytes.
  """
  experiment, rows = load(workdir)
  summary = summary_lib.summarise(experiment, rows)
  summary_lib.check_finite(summary)
  text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False)
  summary = json.loads(text)
  materials = materials_lib.collect(workdir, experiment)
  html = page.render(summary, experiment, materials)
  summary_path = storage.join(workdir, 'summary.json')
  page_path = storage.join(workdir, 'report', 'index.html')
  storage.write_atomic(page_path, html)
  storage.write_atomic(summary_path, text + '\n')
  return Written(summary, terminal_text(summary), summary_path, page_path)


def terminal_text(summary: dict[str, Any]) -> str:
  """The primary result and the tables, at most 100 columns wide."""
  primary = summary['primary']
  lines = [f'{summary["name"]}: {primary["statement"]}', '']
  effect = layout.number(primary['mean'], 'signed')
  bounds = layout.interval(primary['interval'], 'signed') or 'no interval'
  floor = layout.number(primary['detection_floor'], 'rate')
  lines.append(f'  {effect}  {bounds}   detection floor {floor}')
  seeds = ', '.join(
    f'{layout.number(v, "signed")} (seed {s})'
    for s, v in primary['per_seed'].items()
  )
  lines += textwrap.wrap(
    f'Each seed: {seeds}.',
    layout.WIDTH,
    initial_indent='  ',
    subsequent_indent='  ',
  )
  lines += textwrap.wrap(
    primary['verdict'],
    layout.WIDTH,
    initial_indent='  ',
    subsequent_indent='  ',
  )
  for warning in summary['warnings']:
    lines += textwrap.wrap(
      f'Warning: {warning}', layout.WIDTH, subsequent_indent='  '
    )
  parts = ['\n'.join(lines) + '\n']
  for table in (
    tables.main(summary),
    tables.contrasts(summary),
    tables.persona(summary),
  ):
    if table is not None:
      parts.append(layout.render_text(table))
  return '\n'.join(parts)
