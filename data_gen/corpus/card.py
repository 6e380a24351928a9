"""The dataset card: what a corpus is, how it was made, and what it is not."""

from collections.abc import Iterator
import json
import pathlib
from typing import Any

import jinja2

from data_gen import traits as traits_lib

_HERE = pathlib.Path(__file__).parent
_LINES_OF_A_REPORT = 60
_ITEMS_OF_A_LIST = 6

_MEANING = {
  'constraint': 'simple constraint',
  'preference': 'preference',
  'stance': 'complex stance',
}


def render(info: dict[str, Any]) -> str:
  """Returns the card as Markdown, from what the manifest says.

  Args:
    info: As `write_corpus` describes a corpus. Shown where they are given:
      `name`, `licence`, `plan` (sizes), `asked` (task to what all of its calls
      came to), `contamination` (what it was compared with), and the reports
      `diversity` and `balance`: name of what was measured to `measures`, each
      with `value`, `at_least` or `at_most`, and `passed`. Of other reports,
      every value is listed.
  """
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=False,  # Markdown; every text goes through a filter of ours.
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters['cell'] = cell
  environment.filters['number'] = lambda value: f'{value:,}'
  environment.filters['money'] = _money
  environment.filters['code'] = _code
  environment.filters['yaml'] = lambda value: json.dumps(
    value, ensure_ascii=False
  )
  return environment.get_template('card.md.j2').render(
    info=info,
    name=info.get('name') or 'A generated corpus',
    trait_types=_MEANING,
    traits=sorted(
      info['traits'], key=lambda t: traits_lib.TYPES.index(t['type'])
    ),
    plan=list(_values(info.get('plan') or {})),
    asked=info.get('asked') or {},
    kept_out=info.get('contamination'),
    reports={
      title: (list(_measures(info[key])), list(_others(info[key])))
      for key, title in (('diversity', 'Diversity'), ('balance', 'Balance'))
      if info.get(key)
    },
    lines_of_a_report=_LINES_OF_A_REPORT,
  )


def cell(value: Any) -> str:
  """Returns a text as one cell of a Markdown table, or part of a line.

  Texts come from teachers and users: none of them is markup.
  """
  text = ' '.join(str(value).split())
  for character in '\\`*_[]|#~':
    text = text.replace(character, '\\' + character)
  return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')


def _code(text: str) -> str:
  """Returns a block of code that the text cannot end."""
  longest = current = 0
  for character in text:
    current = current + 1 if character == '`' else 0
    longest = max(longest, current)
  fence = '`' * max(3, longest + 1)
  return f'{fence}\n{text}\n{fence}'


def _money(usage: dict[str, Any]) -> str:
  if usage['cost_usd'] is None:
    return 'unknown (no prices given)' if usage['calls'] else '0'
  rest = usage['calls_without_price']
  more = f' and {rest:,} calls without a price' if rest else ''
  return f'{usage["cost_usd"]:,.2f} USD{more}'


def _measures(report: dict[str, Any]) -> Iterator[tuple[str, ...]]:
  """Yields (what was measured, measure, value, limit, verdict)."""
  for name, part in report.items():
    measures = part.get('measures', {}) if isinstance(part, dict) else {}
    for measure, found in measures.items():
      limits = [
        f'{word} {_scalar(found[key])}'
        for key, word in (('at_least', '≥'), ('at_most', '≤'))
        if key in found
      ]
      yield (
        name,
        measure,
        _scalar(found['value']),
        ', '.join(limits),
        'within' if found['passed'] else '**beyond**',
      )


def _others(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
  """Yields (path, value) of what are no measures, and no details of them."""
  for name, part in report.items():
    if isinstance(part, dict) and 'measures' in part:
      part = {
        k: v
        for k, v in part.items()
        if k not in ('measures', 'details', 'passed')
      }
    yield from _values({name: part})


def _values(value: Any, path: str = '') -> Iterator[tuple[str, str]]:
  """Yields (path, value) of every leaf of nested mappings."""
  if isinstance(value, dict):
    for key, inner in value.items():
      yield from _values(inner, f'{path}.{key}' if path else str(key))
  elif isinstance(value, list):
    shown = ', '.join(
      _scalar(v) if not isinstance(v, dict | list) else json.dumps(v)
      for v in value[:_ITEMS_OF_A_LIST]
    )
    more = len(value) - _ITEMS_OF_A_LIST
    yield path, shown + (f', … ({more} more)' if more > 0 else '')
  else:
    yield path, _scalar(value)


def _scalar(value: Any) -> str:
  return f'{value:.4g}' if isinstance(value, float) else str(value)
