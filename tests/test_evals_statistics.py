"""Statistics against known truths, other formulas and brute force.

Coverage is checked by simulation with fixed seeds; the tolerance is that of a
binomial count at 3.3 standard deviations (one false alarm in a thousand).
"""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from scipy import stats

from msm_jax.evals import intervals
from msm_jax.evals import measures
from msm_jax.evals import rows as rows_lib
from msm_jax.evals import statistics


def scores(values, clusters=None, seeds=None, items=None, weights=None):
  values = np.asarray(values, float)
  n = len(values)
  return measures.Scores(
    seeds=np.zeros(n, int) if seeds is None else np.asarray(seeds),
    items=np.array(
      [f'i{k}' for k in range(n)] if items is None else list(items), np.str_
    ),
    clusters=np.array(
      [f'c{k}' for k in range(n)] if clusters is None else clusters, np.str_
    ),
    values=values,
    weights=np.ones(n) if weights is None else np.asarray(weights, float),
  )


def grid(y):
  """Scores of y [S, G, n]: seeds, clusters that recur, items."""
  n_seeds, n_clusters, n_items = y.shape
  index = list(
    itertools.product(range(n_seeds), range(n_clusters), range(n_items))
  )
  return scores(
    y.reshape(-1),
    clusters=[f'c{g}' for _, g, _ in index],
    seeds=[s for s, _, _ in index],
    items=[f'{g}/{i}' for _, g, i in index],
  )


def tolerance(n):
  return 3.3 * math.sqrt(0.95 * 0.05 / n)


def covers(interval, truth):
  return interval[0] <= truth <= interval[1]


def row(logprobs, order=0, labels=('cheap', 'local'), **kwargs):
  defaults = {
    'arm': 'a',
    'seed': 0,
    'suite': 's',
    'item': 'x',
    'cluster': 'c',
    'tokens': (2,) * len(labels),
  }
  return rows_lib.Row(
    order=order, labels=labels, logprobs=logprobs, **{**defaults, **kwargs}
  )


# Measures.


def test_scores_are_averaged_over_the_orders_of_an_item():
  rows = [row((-1.0, -3.0), 0), row((-2.5, -2.0), 1)]
  found = measures.measure_rows(rows, measures.log_odds('cheap', 'local'))
  assert found.values.tolist() == [pytest.approx((2.0 - 0.5) / 2)]
  found = measures.measure_rows(rows, measures.agreement('cheap'))
  assert found.values.tolist() == [0.5]


def test_agreement_of_tied_options_is_shared():
  tied = row((-1.0, -1.0, -4.0), labels=('a', 'b', 'c'))
  assert [measures.agreement(n)(tied)[0] for n in 'abc'] == [0.5, 0.5, 0.0]


def test_accuracy_is_agreement_with_the_target():
  assert measures.accuracy(row((-1.0, -2.0), target='cheap'))[0] == 1.0
  assert measures.accuracy(row((-1.0, -2.0), target='local'))[0] == 0.0
  with pytest.raises(ValueError, match='has no target'):
    measures.accuracy(row((-1.0, -2.0)))


def test_an_unknown_label_is_named():
  with pytest.raises(ValueError, match=r"'dear', only \['cheap', 'local'\]"):
    measures.log_odds('dear', 'local')(row((-1.0, -2.0)))


def test_a_habit_of_taking_the_first_option_shows_whatever_order_is_which():
  # Two items, always the first option, named in opposite sequences.
  rows = [
    row((-1.0, -3.0), 0, item='x'),
    row((-3.0, -1.0), 1, item='x'),
    row((-3.0, -1.0), 0, item='y'),
    row((-1.0, -3.0), 1, item='y'),
  ]
  spread = measures.order_spread(rows, measures.agreement('cheap'))
  assert spread.values.tolist() == [1.0, 1.0]
  spread = measures.order_spread(rows, measures.log_odds('cheap', 'local'))
  assert spread.values.tolist() == [4.0, 4.0]


def test_rows_of_two_arms_are_not_averaged():
  with pytest.raises(ValueError, match='one arm and suite'):
    measures.measure_rows(
      [row((-1.0, -2.0)), row((-1.0, -2.0), arm='b')], measures.accuracy
    )


def test_unequal_lengths_are_counted_by_item():
  rows = [
    row((-1.0, -2.0), 0, tokens=(2, 3)),
    row((-1.0, -2.0), 1, tokens=(2, 3)),
    row((-1.0, -2.0), 0, item='y'),
  ]
  assert measures.unequal_lengths(rows) == 1


# Item noise: clusters.


def test_equal_clusters_give_the_t_interval_of_the_cluster_means():
  rng = np.random.default_rng(0)
  y = rng.normal(size=(1, 7, 5)) + rng.normal(size=(1, 7, 1))
  found = statistics.mean(grid(y))
  means = y.mean(2)[0]
  low, high = stats.t.interval(
    0.95, 6, loc=means.mean(), scale=stats.sem(means)
  )
  assert found.interval == pytest.approx((low, high), rel=1e-12)
  assert found.df == 6
  assert found.unit == 'cluster'


def test_unequal_clusters_give_the_jackknife_by_brute_force():
  rng = np.random.default_rng(1)
  sizes = (2, 9, 4, 1, 6)
  clusters = [f'c{g}' for g, n in enumerate(sizes) for _ in range(n)]
  y = rng.normal(size=sum(sizes))
  found = statistics.mean(scores(y, clusters))
  left_out = [
    np.mean([v for v, c in zip(y, clusters, strict=True) if c != f'c{g}'])
    for g in range(5)
  ]
  variance = 4 / 5 * sum((m - y.mean()) ** 2 for m in left_out)
  assert found.mean == pytest.approx(y.mean())
  assert found.se_items == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_clustered_intervals_cover_and_independent_ones_do_not():
  rng = np.random.default_rng(2)
  n = 1500
  clustered = naive = 0
  for _ in range(n):
    y = 0.3 + rng.normal(size=(1, 8, 12)) + rng.normal(size=(1, 8, 1))
    clustered += covers(statistics.mean(grid(y)).interval, 0.3)
    flat = y.reshape(-1)
    naive += covers(
      stats.t.interval(0.95, 95, flat.mean(), stats.sem(flat)), 0.3
    )
  assert abs(clustered / n - 0.95) < tolerance(n)
  assert naive / n < 0.6


@pytest.mark.parametrize('spread', [0.0, 0.5, 3.0])
@pytest.mark.parametrize('sizes', [(12, 12, 12), (20, 5, 5, 10, 2, 8)])
def test_intervals_of_few_or_unequal_clusters_cover(sizes, spread):
  rng = np.random.default_rng(3)
  clusters = [f'c{g}' for g, n in enumerate(sizes) for _ in range(n)]
  n = 1500
  hits = 0
  for _ in range(n):
    shift = np.repeat(rng.normal(0, spread, len(sizes)), sizes)
    y = rng.normal(size=sum(sizes)) + shift
    hits += covers(statistics.mean(scores(y, clusters)).interval, 0.0)
  assert hits / n > 0.95 - tolerance(n)


def test_items_of_a_single_cluster_are_the_units_and_it_says_so():
  y = np.array([1.0, 2.0, 4.0, 8.0])
  found = statistics.mean(scores(y, ['fruit'] * 4))
  low, high = stats.t.interval(0.95, 3, loc=y.mean(), scale=stats.sem(y))
  assert found.interval == pytest.approx((low, high), rel=1e-12)
  assert found.unit == 'item'
  assert 'nothing about other clusters' in found.note


def test_a_single_item_has_no_interval_and_says_why():
  found = statistics.mean(scores([1.0]))
  assert found.interval is None
  assert found.se is None
  assert 'no interval: only 1 item' in found.note


# Seed noise.


def test_several_seeds_give_the_t_interval_of_the_seed_means():
  rng = np.random.default_rng(4)
  y = rng.normal(size=(4, 6, 3))
  found = statistics.mean(grid(y))
  means = y.mean((1, 2))
  low, high = stats.t.interval(
    0.95, 3, loc=means.mean(), scale=stats.sem(means)
  )
  assert found.interval == pytest.approx((low, high), rel=1e-12)
  assert found.noise == 'seeds'
  assert found.df == 3
  assert list(found.per_seed.values()) == pytest.approx(means.tolist())


def test_seeds_weigh_the_same_however_many_items_they_have():
  found = statistics.mean(
    scores([1.0, 1.0, 1.0, 5.0], seeds=[0, 0, 0, 1], items='abcd')
  )
  assert found.mean == 3.0


def test_one_seed_says_item_noise_only():
  found = statistics.mean(grid(np.random.default_rng(5).normal(size=(1, 5, 4))))
  assert found.noise == 'items only'
  assert 'item noise only' in found.note
  assert found.se_seeds is None
  assert found.interval_both is None
  assert found.interval == found.interval_items


def test_seed_intervals_cover_new_seeds_and_item_intervals_do_not():
  rng = np.random.default_rng(6)
  n = 1200
  by_seeds = by_items = one_seed = 0
  for _ in range(n):
    y = rng.normal(size=(4, 6, 4)) + rng.normal(0, 1.0, (4, 1, 1))
    found = statistics.mean(grid(y))
    by_seeds += covers(found.interval, 0.0)
    by_items += covers(found.interval_items, 0.0)
    one_seed += covers(statistics.mean(grid(y[:1])).interval, 0.0)
  assert abs(by_seeds / n - 0.95) < tolerance(n)
  assert by_items / n < 0.7
  assert one_seed / n < 0.7


def test_two_way_intervals_cover_where_clusters_recur_in_every_seed():
  rng = np.random.default_rng(7)
  n = 1200
  both = by_seeds = 0
  for _ in range(n):
    y = (
      rng.normal(size=(5, 6, 4))
      + rng.normal(0, 0.5, (5, 1, 1))
      + rng.normal(0, 1.0, (1, 6, 1))
    )
    found = statistics.mean(grid(y))
    both += covers(found.interval_both, 0.0)
    by_seeds += covers(found.interval, 0.0)
  assert both / n > 0.95 - tolerance(n)
  assert by_seeds / n < 0.85


def test_two_way_variance_is_that_of_a_balanced_anova():
  # V = (MS_S + MS_G − MS_SG) / SG of the cell means, computed here by hand.
  rng = np.random.default_rng(8)
  y = (
    rng.normal(0, 3, (4, 1))
    + rng.normal(0, 3, (1, 6))
    + rng.normal(size=(4, 6))
  )
  found = statistics.mean(grid(y[:, :, None]))
  grand, rows, columns = y.mean(), y.mean(1), y.mean(0)
  ms_s = 6 * ((rows - grand) ** 2).sum() / 3
  ms_g = 4 * ((columns - grand) ** 2).sum() / 5
  rest = y - rows[:, None] - columns[None, :] + grand
  ms_e = (rest**2).sum() / 15
  variance = (ms_s + ms_g - ms_e) / 24
  half = stats.t.ppf(0.975, 3) * math.sqrt(variance)
  assert found.sd_seeds == pytest.approx(math.sqrt((ms_s - ms_e) / 6))
  assert found.interval_both == pytest.approx(
    (grand - half, grand + half), rel=1e-9
  )


def test_two_way_intervals_cover_where_some_clusters_recur():
  # Ten clusters, of which each seed draws six.
  rng = np.random.default_rng(27)
  n = 1200
  hits = 0
  for _ in range(n):
    of_cluster = rng.normal(0, 1.0, 10)
    parts = []
    for s in range(5):
      drawn = rng.permutation(10)[:6]
      y = of_cluster[drawn] + rng.normal(0, 0.5) + rng.normal(size=6)
      parts += [(s, f'c{g}', v) for g, v in zip(drawn, y, strict=True)]
    seeds, clusters, values = zip(*parts, strict=True)
    found = statistics.mean(scores(values, clusters, seeds))
    hits += covers(found.interval_both, 0.0)
  assert hits / n > 0.95 - tolerance(n)


def test_two_way_intervals_are_never_the_narrower_ones():
  rng = np.random.default_rng(9)
  for _ in range(50):
    found = statistics.mean(grid(rng.normal(size=(3, 4, 3))))
    low, high = found.interval_both
    assert low <= found.interval[0] and found.interval[1] <= high


def test_clusters_of_one_seed_each_leave_the_seed_interval():
  rng = np.random.default_rng(10)
  seeds = np.repeat(range(3), 8)
  y = rng.normal(size=24) + 2.0 * seeds
  clusters = [f'{s}/{k // 2}' for s in range(3) for k in range(8)]
  found = statistics.mean(scores(y, clusters, seeds))
  assert found.interval_both == found.interval
  # Item noise by hand: the mean of three independent seeds.
  by_hand = 0.0
  for s in range(3):
    means = y[8 * s : 8 * s + 8].reshape(4, 2).mean(1)
    by_hand += np.var(means, ddof=1) / 4 / 9
  assert found.se_items == pytest.approx(math.sqrt(by_hand), rel=1e-12)


def test_item_intervals_cover_new_items_of_the_same_models():
  rng = np.random.default_rng(11)
  n = 1200
  hits = 0
  for _ in range(n):
    effects = rng.normal(0, 1.0, (3, 1, 1))
    y = effects + rng.normal(size=(3, 5, 2)) + rng.normal(0, 1, (3, 5, 1))
    # Each seed has its own clusters.
    found = statistics.mean(
      scores(
        y.reshape(-1),
        clusters=[f'{s}/{g}' for s in range(3) for g in range(5) for _ in '12'],
        seeds=np.repeat(range(3), 10),
      )
    )
    hits += covers(found.interval_items, effects.mean())
  assert abs(hits / n - 0.95) < tolerance(n)


def test_seed_noise_is_told_from_item_noise():
  # sd_seeds² is unbiased; its mean over many experiments is the truth.
  rng = np.random.default_rng(12)
  found = []
  for _ in range(600):
    y = rng.normal(size=(6, 5, 4)) + rng.normal(0, 2.0, (6, 1, 1))
    found.append(statistics.mean(grid(y)).sd_seeds ** 2)
  standard_error = np.std(found, ddof=1) / math.sqrt(len(found))
  assert abs(np.mean(found) - 4.0) < 3.3 * standard_error
  quiet = [
    statistics.mean(grid(rng.normal(size=(6, 5, 4)))).sd_seeds
    for _ in range(100)
  ]
  assert np.median(quiet) < 0.2


# Contrasts.


def test_a_contrast_is_the_mean_of_paired_differences():
  rng = np.random.default_rng(13)
  a, b = rng.normal(size=(2, 3, 4, 5))
  found = statistics.contrast(grid(a), grid(b))
  expected = statistics.mean(grid(a - b))
  assert found.mean == pytest.approx(expected.mean)
  assert found.interval == pytest.approx(expected.interval)
  assert found.interval_items == pytest.approx(expected.interval_items)
  assert found.interval_both == pytest.approx(expected.interval_both)


def test_pairing_removes_the_difficulty_that_the_arms_share():
  rng = np.random.default_rng(14)
  difficulty = rng.normal(0, 5, (1, 8, 6))
  a = 1.0 + difficulty + rng.normal(0, 0.1, (1, 8, 6))
  b = difficulty + rng.normal(0, 0.1, (1, 8, 6))
  paired = statistics.contrast(grid(a), grid(b))
  assert paired.mean == pytest.approx(1.0, abs=0.1)
  assert paired.se < statistics.mean(grid(a)).se / 20


def test_half_a_contrast_is_half_of_it():
  rng = np.random.default_rng(15)
  a, b = rng.normal(size=(2, 3, 4, 5))
  whole = statistics.contrast(grid(a), grid(b))
  half = statistics.contrast(grid(a), grid(b), scale=0.5)
  assert half.mean == pytest.approx(whole.mean / 2)
  assert half.se == pytest.approx(whole.se / 2)


def test_contrasts_without_effect_exclude_zero_five_times_in_a_hundred():
  rng = np.random.default_rng(16)
  n = 1200
  excluded = 0
  for _ in range(n):
    items = rng.normal(0, 2, (1, 6, 4))
    a, b = (
      items + rng.normal(size=(2, 4, 6, 4)) + rng.normal(0, 1, (2, 4, 1, 1))
    )
    excluded += not covers(statistics.contrast(grid(a), grid(b)).interval, 0)
  assert abs(excluded / n - 0.05) < tolerance(n)


def test_arms_with_other_items_are_not_contrasted():
  with pytest.raises(ValueError, match='cannot be paired'):
    statistics.contrast(
      scores([1.0, 2.0]), scores([1.0, 2.0], items=['i0', 'z'])
    )


def test_terms_with_other_seeds_are_not_combined():
  with pytest.raises(ValueError, match='paired by seed'):
    statistics.estimate(
      [(1, scores([1.0], seeds=[0])), (-1, scores([1.0], seeds=[1]))]
    )


def test_no_scores_are_an_error():
  with pytest.raises(ValueError, match='no scores'):
    statistics.estimate([(1, scores([]))])


def test_a_contrast_without_any_variation_has_no_interval():
  y = np.full((1, 4, 3), 0.7)
  found = statistics.contrast(grid(y), grid(y - 0.1))
  assert found.se == 0
  assert found.interval is None
  assert 'no variation' in found.note


def test_each_cluster_is_estimated_by_itself():
  rng = np.random.default_rng(17)
  a, b = rng.normal(size=(2, 1, 3, 6))
  found = statistics.by_cluster([(1, grid(a)), (-1, grid(b))])
  assert list(found) == ['c0', 'c1', 'c2']
  for g in range(3):
    d = (a - b)[0, g]
    low, high = stats.t.interval(0.95, 5, loc=d.mean(), scale=stats.sem(d))
    assert found[f'c{g}'].interval == pytest.approx((low, high))


def test_the_order_of_the_rows_does_not_matter():
  rng = np.random.default_rng(18)
  original = grid(rng.normal(size=(3, 4, 5)))
  shuffled = original.select(rng.permutation(len(original)))
  a, b = (statistics.mean(s) for s in (original, shuffled))
  assert a.mean == pytest.approx(b.mean, rel=1e-14)
  assert a.interval_both == pytest.approx(b.interval_both, rel=1e-12)


# Rates.


def test_rates_of_independent_items_have_clopper_pearson_intervals():
  y = np.array([1.0] * 17 + [0.0] * 8)
  found = statistics.mean(scores(y), rate=True)
  # The jackknife variance is p(1−p)/(n−1): an effective n of 24.
  exact = stats.binomtest(17, 25).proportion_ci(0.95, 'exact')
  wider = stats.beta.ppf([0.025], 17 * 24 / 25, 8 * 24 / 25 + 1)[0]
  assert found.interval[0] == pytest.approx(wider)
  assert found.interval[0] <= exact.low and found.interval[1] >= exact.high


def test_a_perfect_rate_is_not_reported_as_certain():
  found = statistics.mean(scores(np.ones(40)), rate=True)
  assert found.interval == pytest.approx((0.025 ** (1 / 40), 1.0))
  found = statistics.mean(grid(np.zeros((1, 8, 10))), rate=True)
  assert found.interval[0] == 0.0
  assert 0.03 < found.interval[1] < 0.2


def test_rates_have_the_intervals_of_korn_and_graubard():
  # n* = p(1−p)/SE² · (t(n−1)/t(df))², and Clopper-Pearson of n* items.
  p, se, df, n = 0.8, 0.08, 4, 200
  effective = p * (1 - p) / se**2
  effective *= (stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, df)) ** 2
  hits, misses = p * effective, (1 - p) * effective
  assert intervals.rate_interval(p, se, df, n) == pytest.approx(
    (
      stats.beta.ppf(0.025, hits, misses + 1),
      stats.beta.ppf(0.975, hits + 1, misses),
    )
  )


@pytest.mark.parametrize('p', [0.5, 0.9, 0.98])
def test_intervals_of_clustered_rates_cover(p):
  rng = np.random.default_rng(19)
  n = 800
  strength = 8.0
  hits = 0
  for _ in range(n):
    of_cluster = rng.beta(p * strength, (1 - p) * strength, (1, 10, 1))
    y = (rng.random((1, 10, 12)) < of_cluster).astype(float)
    found = statistics.mean(grid(y), rate=True)
    assert 0 <= found.interval[0] <= found.interval[1] <= 1
    hits += covers(found.interval, p)
  assert hits / n > 0.95 - tolerance(n)


def test_only_a_single_mean_is_a_rate():
  one = scores([1.0, 0.0])
  with pytest.raises(ValueError, match='this is a contrast'):
    statistics.estimate([(1, one), (-1, one)], rate=True)


# Detection floors.


@pytest.mark.parametrize('n', [2, 3, 4, 12])
def test_an_effect_at_the_detection_floor_is_found_four_times_in_five(n):
  floor = intervals.detection_floor(1.0 / math.sqrt(n), n - 1)
  rng = np.random.default_rng(20)
  runs = 20_000
  y = rng.normal(floor, 1.0, (runs, n))
  found = stats.ttest_1samp(y, 0.0, axis=1).pvalue < 0.05
  assert abs(found.mean() - 0.8) < 3.3 * math.sqrt(0.8 * 0.2 / runs)


def test_the_detection_floor_of_known_noise_is_the_textbook_one():
  # z(0.975) + z(0.8) = 2.80 standard errors.
  textbook = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
  assert intervals.detection_floor(2.0, 1e6) == pytest.approx(
    2 * textbook, rel=1e-4
  )


def test_the_detection_floor_is_unknown_where_the_noise_is():
  assert intervals.detection_floor(None, 3) is None
  assert intervals.detection_floor(0.0, 3) is None
  assert intervals.detection_floor(1.0, None) is None


def test_the_range_of_a_standard_error_covers_it():
  rng = np.random.default_rng(21)
  n = 4000
  hits = 0
  for _ in range(n):
    y = rng.normal(0, 2.0, 4)
    hits += covers(intervals.se_range(stats.sem(y), 3), 1.0)
  assert abs(hits / n - 0.95) < tolerance(n)


# Perplexity.


def documents(rng, n, seed=0, mean=1.0):
  tokens = rng.integers(20, 200, n)
  nats = rng.lognormal(math.log(mean), 0.3, n)
  return scores(
    nats,
    clusters=['forum', 'blog'] * (n // 2),
    seeds=[seed] * n,
    items=[f'd{k}' for k in range(n)],
    weights=tokens,
  )


def test_perplexity_is_that_of_the_pooled_tokens():
  rows = [
    row((-10.0,), labels=('document',), tokens=(4,), item='a'),
    row((-2.0,), labels=('document',), tokens=(8,), item='b'),
  ]
  found = statistics.perplexity(
    measures.measure_rows(rows, measures.nats_per_token)
  )
  assert found.mean == pytest.approx(math.exp(12 / 12))
  assert found.unit == 'document'


def test_the_document_bootstrap_agrees_with_the_jackknife():
  docs = documents(np.random.default_rng(22), 60)
  found = statistics.perplexity(docs, resamples=8000)
  total = (docs.values * docs.weights).sum()
  left_out = (total - docs.values * docs.weights) / (
    docs.weights.sum() - docs.weights
  )
  log_ppl = total / docs.weights.sum()
  jackknife = math.sqrt(59 / 60 * ((left_out - log_ppl) ** 2).sum())
  assert found.mean == pytest.approx(math.exp(log_ppl))
  assert found.se == pytest.approx(math.exp(log_ppl) * jackknife, rel=0.05)
  assert found.interval[0] < found.mean < found.interval[1]


def test_the_bootstrap_is_a_function_of_its_seed():
  docs = documents(np.random.default_rng(23), 20)
  again = [statistics.perplexity(docs, seed=s).interval for s in (0, 0, 1)]
  assert again[0] == again[1] != again[2]


def test_bootstrap_intervals_cover_roughly():
  # The percentile bootstrap is only asymptotically right; 60 documents.
  rng = np.random.default_rng(24)
  n = 400
  hits = 0
  for _ in range(n):
    docs = documents(rng, 60)
    found = statistics.perplexity(docs, resamples=400)
    hits += covers(found.interval, math.exp(math.exp(0.3**2 / 2)))
  assert 0.90 < hits / n < 0.98


def test_perplexity_of_several_seeds_has_the_interval_of_their_logs():
  rng = np.random.default_rng(25)
  parts = [documents(rng, 30, seed, 1.0 + 0.1 * seed) for seed in range(3)]
  docs = measures.Scores(
    *(
      np.concatenate([getattr(p, f.name) for p in parts])
      for f in dataclasses.fields(measures.Scores)
    )
  )
  found = statistics.perplexity(docs)
  logs = [np.average(p.values, weights=p.weights) for p in parts]
  low, high = stats.t.interval(
    0.95, 2, loc=np.mean(logs), scale=stats.sem(logs)
  )
  assert found.mean == pytest.approx(math.exp(np.mean(logs)))
  assert found.interval == pytest.approx((math.exp(low), math.exp(high)))


def test_a_ratio_of_perplexities_is_paired_by_document():
  rng = np.random.default_rng(26)
  reference = documents(rng, 40)
  arm = dataclasses.replace(
    reference, values=reference.values + 0.1 + rng.normal(0, 0.001, 40)
  )
  found = statistics.perplexity_ratio(arm, reference)
  assert found.mean == pytest.approx(math.exp(0.1), rel=1e-3)
  assert covers(found.interval, math.exp(0.1))
  assert found.interval[1] - found.interval[0] < 0.01


@pytest.mark.parametrize(
  'given',
  [
    scores([1.0]),
    scores([1.0, 1.0]),
    scores([0.0, 1.0], ['c', 'c']),
    scores([0.5, 0.5], seeds=[0, 1]),
    scores([0.0, 0.0, 1.0], ['a', 'b', 'b'], seeds=[0, 1, 1]),
  ],
)
@pytest.mark.parametrize('rate', [False, True])
def test_degenerate_data_never_give_a_number_that_is_not_one(given, rate):
  def walk(value):
    if isinstance(value, dict):
      for v in value.values():
        yield from walk(v)
    elif isinstance(value, list):
      for v in value:
        yield from walk(v)
    elif isinstance(value, float):
      yield value

  raw = statistics.mean(given, rate=rate).to_json()
  assert all(math.isfinite(v) for v in walk(raw))
