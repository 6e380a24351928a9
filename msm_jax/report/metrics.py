"""The metrics of one arm."""

from typing import Any

from msm_jax.evals import measures
from msm_jax.evals import statistics
from msm_jax.report import experiment as experiment_lib
from msm_jax.report import results as results_lib

Json = dict[str, Any]


def of_arm(results: results_lib.Results, arm: experiment_lib.Arm) -> Json:
  """Every metric of an arm by name; null, with a reason, where it has none."""
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


def _metric_names(
  results: results_lib.Results, suite: experiment_lib.Suite
) -> list[str]:
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
  results: results_lib.Results, arm: str, suite: experiment_lib.Suite
) -> Json:
  if suite.kind == 'perplexity':
    scores = results.scores(arm, suite.name, measures.nats_per_token)
    return {suite.metric: statistics.perplexity(scores).to_json()}
  parts: list[tuple[str, results_lib.Keep | None]] = [('', None)]
  if suite.split_by_persona:
    for value in results.persona_values(suite.name):
      parts.append((f'_{value}', results_lib.of_persona(value)))
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
  results: results_lib.Results,
  arm: str,
  suite: experiment_lib.Suite,
  suffix: str,
  keep: results_lib.Keep | None,
) -> Json:
  """Agreement with each label, of the items that offer it, and log-odds."""
  metrics: Json = {}
  for label in suite.labels:
    scores = results.scores(
      arm,
      suite.name,
      measures.agreement(label),
      results_lib.both(keep, measures.has_labels(label)),
    )
    name = f'{suite.metric}_agreement_{label}{suffix}'
    metrics[name] = _null(f'no item offers {label!r}')
    if len(scores):
      metrics[name] = statistics.mean(scores, rate=True).to_json()
    metrics[name]['label'] = label
  label, against = results_lib.orientation(results.experiment, suite)
  scores = results.scores(
    arm,
    suite.name,
    measures.log_odds(label, against),
    results_lib.both(keep, measures.has_labels(label, against)),
  )
  name = f'{suite.metric}_log_odds{suffix}'
  metrics[name] = _null(f'no item offers both {label!r} and {against!r}')
  if len(scores):
    metrics[name] = statistics.mean(scores).to_json()
  metrics[name] |= {'label': label, 'against': against}
  return metrics


def _order_metrics(
  results: results_lib.Results, arm: str, suite: experiment_lib.Suite
) -> Json:
  """How much the answer depends on the order in which options are named."""
  label, against = results_lib.orientation(results.experiment, suite)
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
