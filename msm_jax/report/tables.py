"""The tables of the report, built from `summary.json` alone.

So the terminal, the page and the notebook show the same numbers.
"""

import json
from typing import Any

from msm_jax.report import layout

Json = dict[str, Any]

_LONGEST = 300  # characters of a value of the corpus's manifest


def cell(metric: Json | None, kind: str, mark: str = '') -> layout.Cell:
  """The cell of a metric of the summary; a dash where it is null."""
  if metric is None:
    return layout.Cell('–')
  if metric['mean'] is None:
    return layout.Cell('–', hint=metric.get('reason', ''))
  hint = f'{metric["n_items"]} items, {metric["n_seeds"]} seed(s)'
  if metric.get('note'):
    hint += f'; {metric["note"]}'
  text = layout.number(metric['mean'], kind)
  return layout.Cell(
    text, layout.interval(metric['interval'], kind), mark, hint
  )


def noise_sentence(summary: Json) -> str:
  """What the intervals of this summary are about."""
  seeds = len(summary['seeds'])
  if seeds == 1:
    return (
      'In brackets: 95 % intervals over items, resampled by cluster. '
      'ONE SEED: ITEM NOISE ONLY.'
    )
  return (
    f'In brackets: 95 % intervals over {seeds} seeds (t, {seeds - 1} degrees '
    'of freedom).'
  )


def _suites(summary: Json, role: str) -> list[Json]:
  return [s for s in summary['suites'].values() if s['role'] == role]


def _phrase(metric: str) -> str:
  return metric.replace('_', ' ')


def main(summary: Json) -> layout.Table:
  """Alignment and tax of every arm: the table of the experiment."""
  columns: list[str] = []
  makers = []
  for suite in _suites(summary, 'alignment'):
    metrics = [
      (f'{suite["metric"]}_agreement_{n}', f'agrees with {n}', 'rate')
      for n in suite['labels']
    ]
    log_odds = f'{suite["metric"]}_log_odds'
    label, against = suite['orientation']
    metrics.append((log_odds, f'log-odds {label} : {against}', 'signed'))
    fallback = next(
      (
        s['metric']
        for s in _suites(summary, 'format_check')
        if s['of'] == suite['name']
      ),
      None,
    )
    for name, head, kind in metrics:
      columns.append(head)
      other = fallback and name.replace(suite['metric'], fallback, 1)
      makers.append((name, kind, other))
  for suite in [*_suites(summary, 'in_distribution'), *_suites(summary, 'tax')]:
    columns.append(_phrase(suite['metric']))
    kind = 'plain' if suite['kind'] == 'perplexity' else 'rate'
    makers.append((suite['metric'], kind, None))
  rows = []
  fell_back = False
  for arm, metrics_of_arm in summary['arms'].items():
    cells = []
    for name, kind, other in makers:
      metric, mark = metrics_of_arm.get(name), ''
      if other and metric is not None and metric['mean'] is None:
        metric, mark = metrics_of_arm.get(other), '†'
        fell_back = True
      cells.append(cell(metric, kind, mark))
    rows.append((summary['arm_info'][arm]['label'], tuple(cells)))
  notes = [noise_sentence(summary)]
  if fell_back:
    notes.append(
      '† asked as a transcript: this arm never saw the chat template, so chat '
      'answers would measure noise.'
    )
  return layout.Table(
    'results',
    'Alignment out of distribution, and its tax',
    'arm',
    tuple(columns),
    tuple(rows),
    tuple(notes),
  )


def contrasts(summary: Json) -> layout.Table:
  """Every contrast with its three intervals and its detection floor."""
  rows = []
  for found in [summary['primary'], *summary['contrasts'].values()]:
    kind = 'signed'
    rows.append(
      (
        found['title'],
        (
          layout.Cell(
            layout.number(found['mean'], kind),
            layout.interval(found['interval'], kind),
          ),
          layout.Cell(layout.interval(found['interval_items'], kind) or '–'),
          layout.Cell(layout.interval(found['interval_both'], kind) or '–'),
          layout.Cell(
            layout.number(found['detection_floor'], 'rate'),
            layout.interval(found['detection_floor_range'], 'plain'),
          ),
        ),
      )
    )
  return layout.Table(
    'contrasts',
    f'Contrasts in {summary["primary"]["score_text"]}, unless noted; paired by '
    'seed and item',
    'contrast',
    (
      'effect',
      'new items, these seeds',
      'new seeds and clusters',
      'detection floor',
    ),
    tuple(rows),
    (
      noise_sentence(summary),
      'Detection floor: the true effect that a run with this noise finds with '
      f'{summary["primary"]["power"]:.0%} power (two-sided α = '
      f'{summary["primary"]["alpha"]}); in brackets, the range that the '
      'uncertainty of the noise itself leaves.',
      'The first row is the primary metric, fixed before training; the others '
      'are not corrected for their number.',
    ),
  )


def persona(summary: Json) -> layout.Table | None:
  """Whether the assistant moved, or everybody did."""
  if not summary['persona_shift']:
    return None
  by_name = {c['name']: c for c in _all_contrasts(summary)}
  values = sorted(
    {
      v
      for shift in summary['persona_shift'].values()
      for v in shift['other_by_value']
    }
  )
  rows = [
    (
      by_name[name]['title'],
      (
        cell(shift['own'], 'signed'),
        cell(shift['other'], 'signed'),
        *(cell(shift['other_by_value'].get(v), 'signed') for v in values),
        cell(shift['specific'], 'signed'),
      ),
    )
    for name, shift in summary['persona_shift'].items()
  ]
  return layout.Table(
    'persona',
    'Persona or global shift: the same items asked of others',
    'contrast',
    (
      'the assistant',
      'all others',
      *(f'others who hold {v}' for v in values),
      'assistant − others',
    ),
    tuple(rows),
    (
      noise_sentence(summary),
      'Only the last column says that the assistant changed; a shift that the '
      'others share is a shift of the whole model.',
    ),
  )


def tax(summary: Json) -> layout.Table | None:
  """What each arm lost against the reference arm, and for whom."""
  suites = _suites(summary, 'tax')
  if not suites or not summary['tax']:
    return None
  columns, keys = [], []
  for suite in suites:
    perplexity = suite['kind'] == 'perplexity'
    columns.append(
      _phrase(suite['metric']) + (' ratio' if perplexity else ' change')
    )
    keys.append(('tax', suite['metric'], 'plain' if perplexity else 'signed'))
    if suite['split_by_persona']:
      some = next(iter(summary['arms'].values()))
      for name in some:
        if name.startswith(suite['metric'] + '_'):
          columns.append(_phrase(name))
          keys.append(('arms', name, 'rate'))
  rows = []
  for arm in summary['arms']:
    cells = [
      cell(summary[where].get(arm, {}).get(name), kind)
      for where, name, kind in keys
    ]
    rows.append((summary['arm_info'][arm]['label'], tuple(cells)))
  reference = summary['arm_info'][summary['tax_reference']]['label']
  return layout.Table(
    'tax',
    f'Tax against {reference}',
    'arm',
    tuple(columns),
    tuple(rows),
    (
      noise_sentence(summary),
      f'Changes and ratios are against {reference}, paired by seed and item; '
      'the other columns are levels.',
    ),
  )


def order(summary: Json) -> layout.Table | None:
  """Chat against transcript, and what the order of the options does."""
  suites = [
    s
    for s in summary['suites'].values()
    if s['kind'] == 'choice' and s['role'] in ('alignment', 'format_check')
  ]
  if not suites:
    return None
  columns, keys = [], []
  for suite in suites:
    for suffix, head, kind in (
      ('log_odds', 'log-odds', 'signed'),
      ('order_bias', 'order bias', 'rate'),
      ('order_effect', 'order effect', 'plain'),
    ):
      columns.append(f'{_phrase(suite["metric"])} {head}')
      keys.append((f'{suite["metric"]}_{suffix}', kind))
  rows = [
    (
      summary['arm_info'][arm]['label'],
      tuple(cell(metrics.get(name), kind) for name, kind in keys),
    )
    for arm, metrics in summary['arms'].items()
  ]
  return layout.Table(
    'order',
    'Format and order of the options',
    'arm',
    tuple(columns),
    tuple(rows),
    (
      'Order bias: share of items whose choice changes with the order of the '
      'options; order effect: how far the log-odds of an item move with it, in '
      'nats. Scores elsewhere are averaged over the orders.',
    ),
  )


def arms(summary: Json) -> layout.Table:
  """Updates and tokens of each phase of each arm: is the comparison matched?"""
  info = summary['arm_info'].values()
  # The arms with most phases come first, so that columns are in training order.
  longest = sorted(info, key=lambda arm: -len(arm['phases']))
  phases = list(dict.fromkeys(p for arm in longest for p in arm['phases']))
  rows = []
  for arm in info:
    cells = []
    for phase in phases:
      if phase not in arm['phases']:
        cells.append(layout.Cell('–'))
        continue
      updates, tokens = (arm[k].get(phase) for k in ('updates', 'tokens'))
      cells.append(
        layout.Cell(
          '?' if updates is None else f'{updates:,}',
          '' if tokens is None else f'{tokens:,} tokens',
        )
      )
    rows.append((arm['label'], tuple(cells)))
  return layout.Table(
    'arms',
    'Optimizer updates and tokens of each phase',
    'arm',
    tuple(phases),
    tuple(rows),
  )


def stages(summary: Json) -> layout.Table | None:
  """Seconds, tokens and updates of each stage."""
  if not summary['stages']:
    return None
  keys = ('seconds', 'tokens', 'updates')
  rows = [
    (stage['name'], tuple(_count(stage.get(k)) for k in keys))
    for stage in summary['stages']
  ]
  totals = tuple(
    _count(sum(stage.get(k) or 0 for stage in summary['stages'])) for k in keys
  )
  rows.append(('total', totals))
  return layout.Table(
    'stages',
    'Cost of each stage',
    'stage',
    keys,
    tuple(rows),
  )


def corpus(info: Json) -> list[layout.Table]:
  """The counts of a corpus's manifest: branches that look alike are one table.

  `{'a': {'n': 1, 'm': 2}, 'b': {'n': 3, 'm': 4}}` becomes a table with the rows
  a and b and the columns n and m; what is like nothing else is listed by name.
  """
  groups: dict[tuple[int, frozenset[str]], list[tuple[str, Json]]] = {}
  single: list[tuple[str, tuple[layout.Cell, ...]]] = []

  def walk(node: Json, path: tuple[str, ...]) -> None:
    leaves = {k: v for k, v in node.items() if not isinstance(v, dict)}
    if leaves:
      key = (len(path), frozenset(leaves))
      groups.setdefault(key, []).append((' › '.join(path), leaves))
    for k, v in node.items():
      if isinstance(v, dict):
        walk(v, (*path, str(k)))

  walk(info, ())
  made: list[layout.Table] = []
  for found in groups.values():
    if len(found) == 1:
      path, leaves = found[0]
      for k, v in leaves.items():
        name = f'{path} › {k}' if path else str(k)
        single.append((name, (_value(v),)))
      continue
    columns = tuple(found[0][1])
    rows = tuple(
      (path, tuple(_value(n[c]) for c in columns)) for path, n in found
    )
    made.append(layout.Table(f'corpus-{len(made)}', '', 'part', columns, rows))
  if single:
    made.append(
      layout.Table(f'corpus-{len(made)}', '', 'what', ('value',), tuple(single))
    )
  return made


def _value(value: Any) -> layout.Cell:
  """A value of a manifest, shortened where it is long."""
  if isinstance(value, bool | str) or value is None:
    text = str(value)
  elif isinstance(value, int):
    text = f'{value:,}'
  elif isinstance(value, float):
    text = f'{value:.4g}'
  else:
    text = json.dumps(value, ensure_ascii=False)
  return layout.Cell(text if len(text) <= _LONGEST else text[:_LONGEST] + '…')


def _count(value: float | None) -> layout.Cell:
  if value is None:
    return layout.Cell('–')
  return layout.Cell(
    f'{value:,.1f}' if isinstance(value, float) else f'{value:,}'
  )


def _all_contrasts(summary: Json) -> list[Json]:
  return [summary['primary'], *summary['contrasts'].values()]
