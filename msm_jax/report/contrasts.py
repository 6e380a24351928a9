"""Contrasts between arms: effect, noise, detection floor, verdict."""

from typing import Any

from msm_jax.evals import intervals
from msm_jax.evals import measures
from msm_jax.evals import statistics
from msm_jax.report import experiment as experiment_lib
from msm_jax.report import results as results_lib

Json = dict[str, Any]


def describe(
  results: results_lib.Results, contrast: experiment_lib.Contrast
) -> Json:
  """A contrast's estimate, its detection floor and a verdict in words."""
  (scale, positive), (_, negative) = terms(results, contrast)
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


def terms(
  results: results_lib.Results,
  contrast: experiment_lib.Contrast,
  suite: str | None = None,
  keep: results_lib.Keep | None = None,
) -> list[tuple[float, measures.Scores]]:
  measure = _measure(contrast)
  if labels := [n for n in (contrast.label, contrast.against) if n]:
    keep = results_lib.both(keep, measures.has_labels(*labels))
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


def _statement(
  results: results_lib.Results, contrast: experiment_lib.Contrast
) -> str:
  a, b = (results.experiment.arm(n).label for n in contrast.arms)
  half = 'half of ' if contrast.kind == 'half_contrast' else ''
  return f'{half}{a} minus {b} in {score_text(contrast)}'


def _title(
  results: results_lib.Results, contrast: experiment_lib.Contrast
) -> str:
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


def persona_shift(
  results: results_lib.Results, contrast: experiment_lib.Contrast
) -> Json | None:
  """The contrast asked of the assistant, of others, and the difference.

  Only the difference says that *the assistant* changed: what moved the others
  as far is a global shift.
  """
  control = results.experiment.control_of(contrast.suite)
  if control is None:
    return None
  own = terms(results, contrast)
  other = terms(results, contrast, control.name)
  by_value = {
    value: statistics.estimate(
      terms(
        results,
        contrast,
        control.name,
        results_lib.of_persona(value),
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


def tax(results: results_lib.Results, arm: experiment_lib.Arm) -> Json:
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
