"""The page: one self-contained HTML file, no network."""

from collections.abc import Iterator
import dataclasses
import pathlib
from typing import Any

import jinja2
import markupsafe

from msm_jax.report import experiment as experiment_lib
from msm_jax.report import figures
from msm_jax.report import layout
from msm_jax.report import materials as materials_lib
from msm_jax.report import tables

Json = dict[str, Any]

_HERE = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Picture:
  """A figure on the page."""

  name: str
  title: str
  caption: str
  svg: markupsafe.Markup


def render(
  summary: Json,
  experiment: experiment_lib.Experiment,
  materials: materials_lib.Materials,
) -> str:
  """Returns the page. Texts of documents and models are escaped, always."""
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters['number'] = layout.number
  environment.filters['interval'] = layout.interval
  template = environment.get_template('page.html.j2')
  style = (_HERE / 'style.css').read_text(encoding='utf-8')
  return template.render(
    style=markupsafe.Markup(style),
    summary=summary,
    experiment=experiment,
    materials=materials,
    pictures={p.name: p for p in _pictures(summary, materials)},
    tables={
      t.name: t
      for t in (
        tables.main(summary),
        tables.contrasts(summary),
        tables.persona(summary),
        tables.tax(summary),
        tables.order(summary),
        tables.arms(summary),
        tables.stages(summary),
      )
      if t is not None
    },
    corpus=tables.corpus(materials.corpus),
  )


def _pictures(
  summary: Json, materials: materials_lib.Materials
) -> Iterator[Picture]:
  primary = summary['primary']
  drawn = (
    (
      'forest',
      'Where each arm stands',
      'Mean log-odds with 95 % intervals; right of zero is '
      f'{primary["label"]}, left is {primary["against"]}.',
      figures.forest(summary),
    ),
    (
      'scatter',
      'Alignment and its tax',
      'Each arm twice: what it prefers, against what it still can. Hollow '
      'markers were asked as transcripts.',
      figures.alignment_and_tax(summary),
    ),
    (
      'clusters',
      'The primary contrast, cluster by cluster',
      'An effect that rests on one cluster would show here.',
      figures.clusters(summary),
    ),
    (
      'persona',
      'Persona or global shift',
      'The same items asked of the assistant and of others: only the gap '
      'between the two belongs to the assistant.',
      figures.persona_shift(summary),
    ),
    (
      'loss',
      'Loss in each phase',
      'One line a run and seed.',
      figures.loss_curves(materials.curves),
    ),
  )
  for name, title, caption, figure in drawn:
    if figure is not None:
      alt = f'{title}. {caption} The numbers are in the tables of this page.'
      svg = figures.to_svg(figure, name, alt)
      yield Picture(name, title, caption, markupsafe.Markup(svg))
