"""From rows to `summary.json`: every number of the report, and nothing else."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from msm_jax.evals import intervals
from msm_jax.evals import measures
from msm_jax.evals import rows as rows_lib
from msm_jax.evals import statistics
from msm_jax.report import experiment as experiment_lib

Json = dict[str, Any]
Keep = Callable[[rows_lib.Row], bool]

FORMAT = 1
FEW_CLUSTERS = 5


@dataclasses.dataclass(frozen=True)
class Results:
  """An experiment with its rows, by (arm, suite)."""

  experiment: experiment_lib.Experiment
  rows: dict[tuple[str, str], list[rows_lib.Row]]

  @classmethod
  def build(
    cls,
    experiment: experiment_lib.Experiment,
    rows: Sequence[rows_lib.Row],
  ) -> 'Results':
    """Groups the rows and checks that they are the experiment's, all of them.

    Raises:
      ValueError: If rows are of arms, suites or seeds that the experiment does
        not have, or if any that it has are missing: a missing seed would change
        the result without a trace.
    """
    grouped: dict[tuple[str, str], list[rows_lib.Row]] = {}
    for row in rows:
      grouped.setdefault((row.arm, row.suite), []).append(row)
    arms = {a.name for a in experiment.arms}
    suites = {s.name for s in experiment.suites}
    for what, found, known in (
      ('arms', {k[0] for k in grouped}, arms),
      ('suites', {k[1] for k in grouped}, suites),
      ('seeds', {r.seed for r in rows}, set(experiment.seeds)),
    ):
      if unknown := sorted(found - known):
        raise ValueError(
          f'the rows hold the {what} {unknown}, which experiment.json does not '
          'list; they may be left over from another run'
        )
    for arm in experiment.arms:
      for suite in experiment.suites:
        if suite.format == 'chat' and not arm.chat_trained:
          continue
        seeds = {r.seed for r in grouped.get((arm.name, suite.name), [])}
        if missing := sorted(set(experiment.seeds) - seeds):
          raise ValueError(
            f'no rows of arm {arm.name!r}, suite {suite.name!r} at the seeds '
            f'{missing}; evaluate them, or take the seed out of the experiment '
            'for every arm'
          )
    return cls(experiment, grouped)

  def scores(
    self,
    arm: str,
    suite: str,
    measure: measures.Measure,
    keep: Keep | None = None,
  ) -> measures.Scores:
    rows = self.rows.get((arm, suite), [])
    rows = rows if keep is None else [r for r in rows if keep(r)]
    return measures.measure_rows(rows, measure)

  def persona_values(self, suite: str) -> list[str]:
    """The values that the personas of a suite hold, sorted."""
    return sorted(
      {
        r.persona_value
        for (_, name), rows in self.rows.items()
        for r in rows
        if name == suite and r.persona_value is not None
      }
    )


def summarise(
  experiment: experiment_lib.Experiment, rows: Sequence[rows_lib.Row]
) -> Json:
  """Returns the content of `summary.json`: plain JSON, without NaN.

  Raises:
    ValueError: If the rows are not those of the experiment; see `Results`.
  """
  results = Results.build(experiment, rows)
  primary = contrast_json(results, experiment.primary)
  primary['clusters'] = {
    name: e.to_json()
    for name, e in statistics.by_cluster(
      _contrast_terms(results, experiment.primary)
    ).items()
  }
  contrasts = [experiment.primary, *experiment.contrasts]
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
      c.name: contrast_json(results, c) for c in experiment.contrasts
    },
    'persona_shift': {
      c.name: shift
      for c in contrasts
      if (shift := _persona_shift(results, c)) is not None
    },
    'arms': {a.name: _arm_metrics(results, a) for a in experiment.arms},
    'tax': {
      a.name: _tax(results, a)
      for a in experiment.arms
      if a.name != experiment.tax_reference
    },
    'tax_reference': experiment.tax_reference,
    'arm_info': {a.name: dataclasses.asdict(a) for a in experiment.arms},
    'stages': [dict(s) for s in experiment.stages],
    'suites': {s.name: _suite_json(results, s) for s in experiment.suites},
  }


def contrast_json(results: Results, contrast: experiment_lib.Contrast) -> Json:
  """A contrast's estimate, its detection floor and a verdict in words."""
  (scale, positive), (_, negative) = _contrast_terms(results, contrast)
  found = statistics.contrast(positive, negative, scale=scale)
  floor = intervals.detection_floor(found.se, found.df)
  noise = intervals.se_range(found.se, found.df)
  return {
    **found.to_json(),
    'name': contrast.name,
    'title': _title(results, contrast),
    'statement': contrast.statement or _statement(results, contrast),
    'score_name': score_name(contrast),
    'score_text': score_text(contrast),
    'kind': contrast.kind,
    'suite': contrast.suite,
    'score': contrast.score,
    'label': contrast.label,
    'against': contrast.against,
    'arm': contrast.arms[0],
    'reference': contrast.arms[1],
    'detection_floor': floor,
    'detection_floor_range': None
    if floor is None or noise is None or found.se is None
    else [floor * n / found.se for n in noise],
    'power': intervals.POWER,
    'alpha': intervals.ALPHA,
    'expected': contrast.expected,
    'verdict': verdict(found, floor, contrast.expected),
  }


def verdict(
  found: statistics.Estimate, floor: float | None, expected: str | None
) -> str:
  """What may be concluded from a contrast, in words."""
  if found.interval is None:
    return f'No conclusion: {found.note}.'
  low, high = found.interval
  one_seed = found.n_seeds == 1
  if low > 0 or high < 0:
    side = 'positive' if low > 0 else 'negative'
    text = 'The interval excludes zero: '
    if one_seed:
      text = 'Whatever the items, these trained models differ: '
    text += f'the effect is {side}'
    if expected is not None:
      text += ', as expected' if side == expected else ', AGAINST expectation'
    text += '.'
  else:
    text = (
      'The interval includes zero: no effect was shown, which is not the same '
      'as showing that there is none.'
    )
    if floor is not None:
      text += (
        f' A true effect of {floor:.2f} would have been found 4 times in 5; '
        'smaller ones would often be missed.'
      )
  if one_seed:
    text += (
      ' But this is one seed, and the interval holds item noise only: another '
      'seed may give another result.'
    )
  return text


def _contrast_terms(
  results: Results,
  contrast: experiment_lib.Contrast,
  suite: str | None = None,
  keep: Keep | None = None,
) -> list[tuple[float, measures.Scores]]:
  measure = _measure(contrast)
  if labels := [n for n in (contrast.label, contrast.against) if n]:
    keep = _both(keep, measures.has_labels(*labels))
  suite = suite or contrast.suite
  terms = []
  for scale, arm in zip((1, -1), contrast.arms, strict=True):
    scores = results.scores(arm, suite, measure, keep)
    if not len(scores):
      raise ValueError(
        f'contrast {contrast.name!r}: no item of suite {suite!r} offers '
        f'{labels}'
      )
    terms.append((scale * contrast.scale, scores))
  return terms


def _measure(contrast: experiment_lib.Contrast) -> measures.Measure:
  if contrast.score == 'log_odds':
    assert contrast.label and contrast.against
    return measures.log_odds(contrast.label, contrast.against)
  if contrast.score == 'agreement':
    assert contrast.label
    return measures.agreement(contrast.label)
  if contrast.score == 'accuracy':
    return measures.accuracy
  return measures.nats_per_token


def score_name(contrast: experiment_lib.Contrast) -> str:
  """What a contrast is measured in, without its labels."""
  return {
    'log_odds': 'mean log-odds',
    'agreement': 'agreement',
    'accuracy': 'accuracy',
    'nats_per_token': 'nats per token',
  }[contrast.score]


def score_text(contrast: experiment_lib.Contrast) -> str:
  """What a contrast is measured in, with its labels."""
  labels = {
    'log_odds': f' of {contrast.label} over {contrast.against}',
    'agreement': f' with {contrast.label}',
  }
  return score_name(contrast) + labels.get(contrast.score, '')


def _statement(results: Results, contrast: experiment_lib.Contrast) -> str:
  a, b = (results.experiment.arm(n).label for n in contrast.arms)
  half = 'half of ' if contrast.kind == 'half_contrast' else ''
  return f'{half}{a} minus {b} in {score_text(contrast)}'


def _title(results: Results, contrast: experiment_lib.Contrast) -> str:
  """Short; says what it is measured in only where the primary differs."""
  a, b = (results.experiment.arm(n).label for n in contrast.arms)
  title = f'{a} over {b}'
  if contrast.kind == 'half_contrast':
    title = f'½ ({a} over {b})'
  primary = results.experiment.primary
  if contrast.score != primary.score:
    title += f' in {score_text(contrast)}'
  elif (contrast.label, contrast.against) != (primary.label, primary.against):
    others = [n for n in (contrast.label, contrast.against) if n]
    title += f' ({" : ".join(others)})'
  if contrast.suite != primary.suite:
    title += f' ({contrast.suite})'
  return title


def _arm_metrics(results: Results, arm: experiment_lib.Arm) -> Json:
  metrics: Json = {}
  for suite in results.experiment.suites:
    if suite.format == 'chat' and not arm.chat_trained:
      null = _null(
        'not trained on the chat template, so its answers in that format would '
        'measure noise; see the transcript metrics'
      )
      metrics.update(dict.fromkeys(_metric_names(results, suite), null))
    else:
      metrics.update(_suite_metrics(results, arm.name, suite))
  return metrics


def orientation(
  experiment: experiment_lib.Experiment, suite: experiment_lib.Suite
) -> tuple[str, str]:
  """(label, against) of a suite's log-odds: the primary's where it has them."""
  primary = experiment.primary
  if primary.label in suite.labels and primary.against in suite.labels:
    assert primary.label and primary.against
    return primary.label, primary.against
  return suite.labels[0], suite.labels[1]


def _metric_names(results: Results, suite: experiment_lib.Suite) -> list[str]:
  """Names of the metrics of a suite, in the order of `summary.json`."""
  values = results.persona_values(suite.name) if suite.split_by_persona else []
  if suite.kind != 'choice':
    return [suite.metric, *(f'{suite.metric}_{v}' for v in values)]
  base = [f'{suite.metric}_agreement_{n}' for n in suite.labels]
  base.append(f'{suite.metric}_log_odds')
  split = [f'{name}_{v}' for v in values for name in base]
  order = [f'{suite.metric}_order_bias', f'{suite.metric}_order_effect']
  return [*base, *split, *order]


def _suite_metrics(
  results: Results, arm: str, suite: experiment_lib.Suite
) -> Json:
  if suite.kind == 'perplexity':
    scores = results.scores(arm, suite.name, measures.nats_per_token)
    return {suite.metric: statistics.perplexity(scores).to_json()}
  parts: list[tuple[str, Keep | None]] = [('', None)]
  if suite.split_by_persona:
    for value in results.persona_values(suite.name):
      parts.append((f'_{value}', _of_persona(value)))
  metrics: Json = {}
  for suffix, keep in parts:
    if suite.kind == 'accuracy':
      scores = results.scores(arm, suite.name, measures.accuracy, keep)
      found = statistics.mean(scores, rate=True)
      metrics[suite.metric + suffix] = found.to_json()
    else:
      metrics.update(_choice_metrics(results, arm, suite, suffix, keep))
  if suite.kind == 'choice':
    metrics.update(_order_metrics(results, arm, suite))
  return metrics


def _choice_metrics(
  results: Results,
  arm: str,
  suite: experiment_lib.Suite,
  suffix: str,
  keep: Keep | None,
) -> Json:
  """Agreement with each label, of the items that offer it, and log-odds."""
  metrics: Json = {}
  for label in suite.labels:
    scores = results.scores(
      arm,
      suite.name,
      measures.agreement(label),
      _both(keep, measures.has_labels(label)),
    )
    name = f'{suite.metric}_agreement_{label}{suffix}'
    metrics[name] = _null(f'no item offers {label!r}')
    if len(scores):
      metrics[name] = statistics.mean(scores, rate=True).to_json()
    metrics[name]['label'] = label
  label, against = orientation(results.experiment, suite)
  scores = results.scores(
    arm,
    suite.name,
    measures.log_odds(label, against),
    _both(keep, measures.has_labels(label, against)),
  )
  name = f'{suite.metric}_log_odds{suffix}'
  metrics[name] = _null(f'no item offers both {label!r} and {against!r}')
  if len(scores):
    metrics[name] = statistics.mean(scores).to_json()
  metrics[name] |= {'label': label, 'against': against}
  return metrics


def _both(first: Keep | None, second: Keep) -> Keep:
  if first is None:
    return second
  return lambda row: first(row) and second(row)


def _order_metrics(
  results: Results, arm: str, suite: experiment_lib.Suite
) -> Json:
  """How much the answer depends on the order in which options are named."""
  label, against = orientation(results.experiment, suite)
  rows = [
    r
    for r in results.rows[arm, suite.name]
    if measures.has_labels(label, against)(r)
  ]
  names = (f'{suite.metric}_order_bias', f'{suite.metric}_order_effect')
  if len(orders := sorted({r.order for r in rows})) < 2:
    reason = f'the suite has the orders {orders}; this needs two'
    return {name: _null(reason) for name in names}
  bias = measures.order_spread(rows, measures.agreement(label))
  effect = measures.order_spread(rows, measures.log_odds(label, against))
  return {
    names[0]: statistics.mean(bias, rate=True).to_json(),
    names[1]: statistics.mean(effect).to_json(),
  }


def _null(reason: str) -> Json:
  """A metric that cannot be given, and why."""
  return {
    'mean': None,
    'interval': None,
    'n_items': 0,
    'n_seeds': 0,
    'reason': reason,
  }


def _of_persona(value: str) -> Keep:
  return lambda row: row.persona_value == value


def _tax(results: Results, arm: experiment_lib.Arm) -> Json:
  """What an arm lost against the reference, paired by seed and item."""
  reference = results.experiment.tax_reference
  tax: Json = {}
  for suite in results.experiment.with_role('tax'):
    if suite.kind == 'choice' or suite.format == 'chat':
      continue
    measure = (
      measures.accuracy if suite.kind == 'accuracy' else measures.nats_per_token
    )
    mine, theirs = (
      results.scores(name, suite.name, measure)
      for name in (arm.name, reference)
    )
    if suite.kind == 'accuracy':
      found = statistics.contrast(mine, theirs)
      tax[suite.metric] = {**found.to_json(), 'scale': 'difference'}
    else:
      tax[suite.metric] = {
        **statistics.perplexity_ratio(mine, theirs).to_json(),
        'scale': 'ratio',
      }
  return tax


def _persona_shift(
  results: Results, contrast: experiment_lib.Contrast
) -> Json | None:
  """The contrast asked of the assistant, of others, and the difference.

  Only the difference says that *the assistant* changed: what moved the others
  as far is a global shift.
  """
  control = results.experiment.control_of(contrast.suite)
  if control is None:
    return None
  own = _contrast_terms(results, contrast)
  other = _contrast_terms(results, contrast, control.name)
  by_value = {
    value: statistics.estimate(
      _contrast_terms(
        results,
        contrast,
        control.name,
        _of_persona(value),
      )
    ).to_json()
    for value in results.persona_values(control.name)
  }
  specific = statistics.estimate([*own, *((-c, s) for c, s in other)])
  return {
    'own': statistics.estimate(own).to_json(),
    'other': statistics.estimate(other).to_json(),
    'other_by_value': by_value,
    'specific': specific.to_json(),
  }


def _suite_json(results: Results, suite: experiment_lib.Suite) -> Json:
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
    else list(orientation(results.experiment, suite)),
    'n_items': len(items),
    'n_orders': len({r.order for r in rows}),
    'clusters': sorted({r.cluster for r in rows}),
    'unequal_lengths': measures.unequal_lengths(rows),
  }


def _warnings(results: Results) -> list[str]:
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
