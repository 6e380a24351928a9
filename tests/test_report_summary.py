"""The summary finds a truth that is known, and refuses rows it cannot trust."""

import copy
import dataclasses
import json
import math

import pytest
import synthetic_experiment
from synthetic_experiment import Noise

from msm_jax.report import experiment as experiment_lib
from msm_jax.report import layout
from msm_jax.report import summary as summary_lib
from msm_jax.report import tables

SILENT = Noise(seed=0, domain=0, item=0, order=0.3)


def build(seeds=(0, 1, 2), change=None, rows=None, **kwargs):
  raw = synthetic_experiment.experiment(seeds)
  if change is not None:
    change(raw)
  if rows is None:
    rows = synthetic_experiment.rows(seeds, **kwargs)
  experiment = experiment_lib.from_json(raw)
  return json.loads(
    json.dumps(summary_lib.summarise(experiment, rows), allow_nan=False)
  )


@pytest.fixture(scope='module')
def noisy():
  return build()


@pytest.fixture(scope='module')
def silent():
  return build(noise=SILENT)


def test_without_noise_every_mean_is_the_truth(silent):
  truth = synthetic_experiment.TRUTH
  for arm, metrics in silent['arms'].items():
    transcript = metrics['ood_transcript_log_odds']
    assert transcript['mean'] == pytest.approx(0.7 * truth[arm])
    if silent['arm_info'][arm]['chat_trained']:
      assert metrics['ood_log_odds']['mean'] == pytest.approx(truth[arm])
      assert metrics['other_persona_log_odds']['mean'] == pytest.approx(
        0.15 * truth[arm]
      )
      assert metrics['in_distribution_accuracy']['mean'] == 1.0
  assert silent['primary']['mean'] == pytest.approx((1.6 + 1.4) / 2)
  assert silent['contrasts']['msm_thrift_sft_over_neutral_sft'][
    'mean'
  ] == pytest.approx(1.6)


def test_the_persona_shift_is_what_the_others_do_not_share(silent):
  shift = silent['persona_shift']['dissociation']
  assert shift['own']['mean'] == pytest.approx(1.5)
  assert shift['other']['mean'] == pytest.approx(1.5 * 0.15)
  assert shift['specific']['mean'] == pytest.approx(1.5 * 0.85)
  assert set(shift['other_by_value']) == {'home', 'thrift'}


def test_order_bias_is_seen_where_choices_hang_in_the_balance(silent):
  # ±0.3 by order: it flips 0.0 and 0.1, but not 1.6.
  arms = silent['arms']
  assert arms['neutral_sft']['ood_order_bias']['mean'] == 1.0
  assert arms['sft_only']['ood_order_bias']['mean'] == 1.0
  assert arms['msm_thrift_sft']['ood_order_bias']['mean'] == 0.0
  assert arms['msm_thrift_sft']['ood_order_effect']['mean'] == pytest.approx(
    0.6
  )
  # Averaged over the orders, the bias is gone.
  assert arms['neutral_sft']['ood_agreement_cheap']['mean'] == 0.5


def test_agreements_with_all_labels_sum_to_one(noisy):
  for metrics in noisy['arms'].values():
    pair = [
      metrics[f'ood_transcript_agreement_{n}']['mean']
      for n in ('cheap', 'local')
    ]
    assert sum(pair) == pytest.approx(1.0)


def test_arms_without_chats_have_null_chat_metrics_and_a_reason(noisy):
  for arm in ('base', 'msm_thrift', 'msm_home'):
    metrics = noisy['arms'][arm]
    assert list(metrics) == list(noisy['arms']['sft_only'])
    for name in ('ood_agreement_cheap', 'ood_log_odds', 'ood_order_bias'):
      assert metrics[name]['mean'] is None
      assert 'chat template' in metrics[name]['reason']
    assert metrics['in_distribution_accuracy']['mean'] is None
    assert metrics['ood_transcript_agreement_cheap']['mean'] is not None
    assert metrics['base_task_accuracy']['mean'] is not None


def test_every_metric_says_how_much_it_rests_on(noisy):
  for metrics in noisy['arms'].values():
    for metric in metrics.values():
      if metric['mean'] is not None:
        assert metric['n_seeds'] == 3
        assert metric['n_items'] > 0
        assert len(metric['per_seed']) == 3
        assert metric['noise'] == 'seeds'


def test_base_task_accuracy_is_split_by_the_value_of_the_persona(noisy):
  metrics = noisy['arms']['msm_home_sft']
  split = [metrics[f'base_task_accuracy_{v}'] for v in ('home', 'thrift')]
  assert (
    sum(m['n_items'] for m in split)
    == (metrics['base_task_accuracy']['n_items'])
  )
  assert metrics['base_task_accuracy']['mean'] == pytest.approx(
    sum(m['mean'] for m in split) / 2
  )


def test_the_tax_is_paired_with_the_reference(noisy):
  assert 'base' not in noisy['tax']
  tax = noisy['tax']['msm_thrift_sft']
  arms = noisy['arms']
  assert tax['base_task_accuracy']['mean'] == pytest.approx(
    arms['msm_thrift_sft']['base_task_accuracy']['mean']
    - arms['base']['base_task_accuracy']['mean']
  )
  assert tax['replay_perplexity']['mean'] == pytest.approx(
    arms['msm_thrift_sft']['replay_perplexity']['mean']
    / arms['base']['replay_perplexity']['mean']
  )


def test_the_primary_contrast_is_given_in_every_cluster(noisy):
  clusters = noisy['primary']['clusters']
  assert sorted(clusters) == sorted(synthetic_experiment.DOMAINS)
  means = [c['mean'] for c in clusters.values()]
  assert sum(means) / len(means) == pytest.approx(noisy['primary']['mean'])


def test_one_seed_is_said_to_be_one_seed_everywhere():
  summary = build(seeds=(5,))
  assert summary['noise'] == 'items only'
  assert summary['warnings'][0].startswith('Item noise only: this is one seed')
  assert summary['primary']['se_seeds'] is None
  assert 'one seed' in summary['primary']['verdict']
  assert 'ONE SEED: ITEM NOISE ONLY' in tables.noise_sentence(summary)


def test_a_null_result_names_what_it_could_have_found():
  null = {'msm_thrift_sft': 0.0, 'msm_home_sft': 0.0}
  primary = build(truth=null, noise=Noise(seed=0.1, domain=0.1))['primary']
  assert primary['interval'][0] < 0 < primary['interval'][1]
  assert 'no effect was shown' in primary['verdict']
  assert f'{primary["detection_floor"]:.2f}' in primary['verdict']
  low, high = primary['detection_floor_range']
  assert low < primary['detection_floor'] < high


def test_the_verdict_says_whether_the_sign_was_expected():
  quiet = Noise(seed=0.1, domain=0.1)
  assert ', as expected' in build(noise=quiet)['primary']['verdict']
  swapped = {'msm_thrift_sft': -1.5, 'msm_home_sft': 1.5}
  primary = build(noise=quiet, truth=swapped)['primary']
  assert 'AGAINST expectation' in primary['verdict']


def test_rows_in_another_order_give_the_same_summary(noisy):
  rows = synthetic_experiment.rows((0, 1, 2))
  again = build(rows=list(reversed(rows)))
  assert again == noisy


def test_a_missing_seed_of_one_arm_is_an_error():
  rows = [
    r
    for r in synthetic_experiment.rows((0, 1))
    if not (r.arm == 'neutral_sft' and r.seed == 1)
  ]
  with pytest.raises(
    ValueError, match=r"arm 'neutral_sft', suite 'ood_sage' at the seeds \[1\]"
  ):
    build(seeds=(0, 1), rows=rows)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'arm': 'msm_old'}, r"arms \['msm_old'\]"),
    ({'suite': 'ood_sgae'}, r"suites \['ood_sgae'\]"),
    ({'seed': 9}, r'seeds \[9\]'),
  ],
)
def test_rows_of_something_else_are_an_error(changes, message):
  rows = synthetic_experiment.rows((0,))
  rows.append(dataclasses.replace(rows[0], **changes))
  with pytest.raises(ValueError, match=message + '.*another run'):
    build(seeds=(0,), rows=rows)


def test_chat_rows_of_arms_without_chats_are_left_aside(noisy):
  rows = synthetic_experiment.rows((0, 1, 2))
  rows += [
    dataclasses.replace(r, arm='base')
    for r in rows
    if r.arm == 'sft_only' and r.suite == 'ood_sage'
  ]
  assert build(rows=rows)['arms']['base'] == noisy['arms']['base']


def test_unmatched_budgets_are_warned_about():
  def change(raw):
    raw['arms'][2]['updates']['midtrain'] = 500

  warnings = build(change=change)['warnings']
  assert any(
    'not matched' in w and '500 updates in midtrain' in w for w in warnings
  )
  assert not build()['warnings']


def test_options_of_unequal_length_are_warned_about():
  rows = [
    dataclasses.replace(r, tokens=(4, 5))
    if r.suite == 'ood_sage' and r.item == 'tea-0'
    else r
    for r in synthetic_experiment.rows((0, 1))
  ]
  (warning,) = build(seeds=(0, 1), rows=rows)['warnings']
  assert warning.startswith('ood_sage: 2 of 96 items')


def test_few_clusters_are_warned_about():
  rows = [
    r
    for r in synthetic_experiment.rows((0, 1))
    if r.cluster not in synthetic_experiment.DOMAINS[:5]
  ]
  (warning,) = build(seeds=(0, 1), rows=rows)['warnings']
  assert warning.startswith('ood_sage: only 3 clusters')


def rename(value, names):
  """Renames every string of nested JSON that is a key of `names`."""
  if isinstance(value, dict):
    return {rename(k, names): rename(v, names) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return [rename(v, names) for v in value]
  return names.get(value, value) if isinstance(value, str) else value


def test_arms_and_labels_and_suites_have_any_name():
  names = {
    'msm_thrift_sft': 'spec_a',
    'msm_home_sft': 'spec_b',
    'cheap': 'safe',
    'local': 'fast',
    'ood_sage': 'held_out',
  }
  raw = synthetic_experiment.experiment((0, 1))
  suites = [
    {**dataclasses.asdict(s), 'labels': list(s.labels)}
    for s in experiment_lib.default_suites(('cheap', 'local'))
  ]
  raw = rename({**raw, 'suites': suites}, names)
  rows = [
    dataclasses.replace(
      r,
      arm=names.get(r.arm, r.arm),
      suite=names.get(r.suite, r.suite),
      target=names.get(r.target, r.target),
      labels=tuple(names.get(n, n) for n in r.labels),
    )
    for r in synthetic_experiment.rows((0, 1))
  ]
  found = summary_lib.summarise(experiment_lib.from_json(raw), rows)
  plain = build(seeds=(0, 1))
  assert found['primary']['mean'] == plain['primary']['mean']
  assert (
    found['arms']['spec_a']['ood_agreement_safe']['interval']
    == plain['arms']['msm_thrift_sft']['ood_agreement_cheap']['interval']
  )
  text = layout.render_text(tables.main(json.loads(json.dumps(found))))
  assert 'log-odds' in text and 'safe' in text and 'cheap' not in text


def test_with_three_values_an_item_counts_for_the_labels_it_offers():
  raw = synthetic_experiment.experiment((0,))
  raw['traits'].append({'name': 'craft', 'attribute': 'handmade'})
  rows = []
  for r in synthetic_experiment.rows((0,)):
    if r.labels == ('cheap', 'local') and r.item.endswith(('-0', '-1')):
      swap = {'local': 'handmade'}
      r = dataclasses.replace(
        r,
        labels=('cheap', 'handmade'),
        target=swap.get(r.target, r.target),
      )
    rows.append(r)
  found = summary_lib.summarise(experiment_lib.from_json(raw), rows)
  metrics = found['arms']['sft_only']
  assert metrics['ood_agreement_cheap']['n_items'] == 48
  assert metrics['ood_agreement_local']['n_items'] == 32
  assert metrics['ood_agreement_handmade']['n_items'] == 16
  assert metrics['ood_log_odds']['n_items'] == 32
  assert found['primary']['n_items'] == 32


def test_numbers_that_json_does_not_know_are_refused():
  bad = {'arms': {'a': {'m': [1.0, {'x': math.nan}]}}}
  with pytest.raises(ValueError, match=r'summary\.arms\.a\.m\[1\]\.x: is nan'):
    summary_lib.check_finite(bad)


def test_contrasts_may_be_of_accuracy_and_of_perplexity():
  def change(raw):
    raw['contrasts'] += [
      {
        'name': 'tax',
        'arm': 'msm_thrift_sft',
        'reference': 'base',
        'suite': 'base_task',
      },
      {
        'name': 'replay',
        'arm': 'msm_thrift_sft',
        'reference': 'base',
        'suite': 'replay',
      },
      {
        'name': 'agree',
        'arm': 'msm_thrift_sft',
        'reference': 'neutral_sft',
        'suite': 'ood_sage',
        'score': 'agreement',
        'label': 'cheap',
      },
    ]

  summary = build(change=change)
  found = summary['contrasts']
  arms = summary['arms']
  assert found['tax']['mean'] == pytest.approx(
    arms['msm_thrift_sft']['base_task_accuracy']['mean']
    - arms['base']['base_task_accuracy']['mean']
  )
  assert found['replay']['mean'] == pytest.approx(
    math.log(arms['msm_thrift_sft']['replay_perplexity']['mean'])
    - math.log(arms['base']['replay_perplexity']['mean'])
  )
  assert found['agree']['mean'] == pytest.approx(
    arms['msm_thrift_sft']['ood_agreement_cheap']['mean']
    - arms['neutral_sft']['ood_agreement_cheap']['mean']
  )
  copied = copy.deepcopy(summary)
  text = layout.render_text(tables.contrasts(copied))
  assert 'in accuracy' in text and 'in nats per' in text


def test_the_terminal_tables_fit_a_hundred_columns(noisy):
  for make in (
    tables.main,
    tables.contrasts,
    tables.persona,
    tables.tax,
    tables.order,
    tables.arms,
    tables.stages,
  ):
    lines = layout.render_text(make(noisy)).splitlines()
    assert max(len(line) for line in lines) <= 100


def test_the_main_table_shows_the_numbers_of_the_summary(noisy):
  table = tables.main(noisy)
  shown = dict(table.rows)['MSM-thrift + SFT']
  metrics = noisy['arms']['msm_thrift_sft']
  assert shown[0].text == f'{metrics["ood_agreement_cheap"]["mean"]:.2f}'
  low, high = metrics['ood_log_odds']['interval']
  assert shown[2].interval == f'[{low:+.2f}, {high:+.2f}]'.replace('-', '−')
  base = dict(table.rows)['Base']
  assert base[0].mark == '†'
  assert base[3].text == '–'


@pytest.mark.parametrize(
  ('value', 'kind', 'text'),
  [
    (0.5, 'rate', '0.50'),
    (-0.004, 'signed', '0.00'),
    (-1.5, 'signed', '−1.50'),
    (1.5, 'signed', '+1.50'),
    (1234.5, 'plain', '1234'),
    (None, 'rate', '–'),
  ],
)
def test_numbers_are_written_for_people(value, kind, text):
  assert layout.number(value, kind) == text


def test_phases_are_columns_in_the_order_of_training(noisy):
  table = tables.arms(noisy)
  assert table.columns == ('base', 'midtrain', 'sft')
  shown = dict(table.rows)['SFT only']
  assert [c.text for c in shown] == ['700', '–', '60']
  assert shown[2].interval == '245,760 tokens'


def test_counts_of_a_corpus_that_look_alike_are_one_table():
  found = tables.corpus(
    {
      'documents': {'a': {'n': 1200, 'words': 2}, 'b': {'n': 3, 'words': 4}},
      'seed': 0,
      'domains': {'held out': ['tea', 'soap']},
    }
  )
  assert [t.columns for t in found] == [('n', 'words'), ('value',)]
  assert found[0].rows[0][0] == 'documents › a'
  assert [c.text for c in found[0].rows[0][1]] == ['1,200', '2']
  assert [(n, c[0].text) for n, c in found[1].rows] == [
    ('seed', '0'),
    ('domains › held out', '["tea", "soap"]'),
  ]


def test_a_table_too_wide_for_the_terminal_goes_on_below():
  cells = tuple(layout.Cell(f'{i}.000000') for i in range(14))
  table = layout.Table(
    't', 'Wide', 'row', tuple(f'column {i}' for i in range(14)), (('a', cells),)
  )
  text = layout.render_text(table)
  assert max(len(line) for line in text.splitlines()) <= 100
  for i in range(14):
    assert text.count(f'{i}.000000') >= 1
