"""Means, contrasts and their noise. NumPy float64, no JAX.

Seeds s = 1…S; each seed trains every arm once, in a world of its own, and asks
every arm the same items. Items fall into clusters g (e.g. domains) whose
answers go up and down together. A *statistic* is θ = mean over s of m_s, where
m_s is a mean over the items of seed s, or a signed sum of such means (a
contrast between arms, paired by seed and item).

Two kinds of noise, two standard errors, never mixed up:

- `se_items`: had other domains been asked, of the same trained models. The
  delete-one-cluster jackknife (CV3), V = (G−1)/G · Σ_g (θ_(−g) − θ)²:
  MacKinnon, Nielsen and Webb, "Cluster-robust inference: a guide to empirical
  practice", J. Econometrics 232 (2023), arXiv 2205.03285. For clusters of one
  size it is exactly the t(G−1)-interval of the G cluster means; for unequal
  ones the degrees of freedom shrink (Bell and McCaffrey 2002). With few
  clusters it is wide (G = 2: ±12.7 SE) and leans on the cluster means being
  roughly normal, which no method can check with so few.
- `se_seeds`: had other seeds been trained, sd(m_s)/√S with t(S−1). It contains
  the item noise of the seeds' different worlds. One seed says nothing about it:
  then the interval is of item noise only, and says so.

`interval` is by seeds where there are two or more, else by items. Where
clusters recur in several seeds, `interval_both` treats seeds and clusters as
random at once, and is never the narrower one: would it hold for new seeds *and*
new domains? That this is another question is Clark's "language-as-fixed-effect
fallacy" (J. Verbal Learning and Verbal Behavior 12, 1973); the variance is that
of the two-way ANOVA, with min(S, G) − 1 degrees of freedom (Cameron and Miller,
"A practitioner's guide to cluster-robust inference", J. Human Resources 50,
2015).
"""

import dataclasses
import math
from typing import Any

import numpy as np

from msm_jax.evals import _cells
from msm_jax.evals import intervals
from msm_jax.evals import measures

Interval = intervals.Interval
Terms = _cells.Terms

_ONE_CLUSTER = 'all items are in one cluster: nothing about other clusters'


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A statistic and what is known about its noise.

  Attributes:
    mean: θ.
    interval: 95 % interval: by seeds where n_seeds ≥ 2, else by items. None if
      the data allow none; `note` says why.
    noise: `'seeds'`, or `'items only'` for one seed.
    n_items: Number of (seed, item) pairs.
    n_seeds: S.
    n_units: Distinct units of resampling.
    unit: What was resampled: `'cluster'`, or `'item'` where all items of each
      seed are in one cluster.
    se_items: Standard error from items, the seeds held fixed.
    se_seeds: Standard error from seeds; None for one seed.
    se: The one behind `interval`.
    df: Its degrees of freedom.
    interval_items: Interval from items, the seeds held fixed.
    interval_both: Interval over new seeds and new clusters together; None for
      one seed.
    sd_seeds: Standard deviation between seeds beyond what the items of each
      explain (0 if that would be negative); None for one seed.
    per_seed: m_s by seed.
    note: What a reader must know before trusting the interval.
  """

  mean: float
  interval: Interval | None
  noise: str
  n_items: int
  n_seeds: int
  n_units: int
  unit: str
  se_items: float | None
  se_seeds: float | None
  se: float | None
  df: float | None
  interval_items: Interval | None
  interval_both: Interval | None
  sd_seeds: float | None
  per_seed: dict[int, float]
  note: str | None

  def to_json(self) -> dict[str, Any]:
    """JSON without NaN: what is not known is null."""
    raw = dataclasses.asdict(self)
    raw['per_seed'] = {str(k): v for k, v in self.per_seed.items()}
    for name in ('interval', 'interval_items', 'interval_both'):
      if raw[name] is not None:
        raw[name] = list(raw[name])
    return raw


def check_paired(a: measures.Scores, b: measures.Scores) -> None:
  """Raises ValueError unless both hold the same (seed, item, cluster)s."""
  left, right = (
    set(
      zip(s.seeds.tolist(), s.items.tolist(), s.clusters.tolist(), strict=True)
    )
    for s in (a, b)
  )
  if left != right:
    raise ValueError(
      'the arms cannot be paired: (seed, item, cluster) '
      f'{sorted(left ^ right)[:3]} occur in one only '
      f'({len(left ^ right)} in all)'
    )


def mean(scores: measures.Scores, *, rate: bool = False) -> Estimate:
  """The mean over seeds of the item means."""
  return estimate([(1.0, scores)], rate=rate)


def contrast(
  arm: measures.Scores, reference: measures.Scores, *, scale: float = 1.0
) -> Estimate:
  """scale · (arm − reference), paired by seed and item.

  `scale=0.5` gives half the contrast between two arms that were pushed in
  opposite directions, i.e. the effect of one push.
  """
  check_paired(arm, reference)
  return estimate([(scale, arm), (-scale, reference)])


def estimate(terms: Terms, *, rate: bool = False) -> Estimate:
  """Estimates Σ_k coefficient_k · mean_k with its intervals.

  Args:
    terms: (coefficient, scores) pairs. They need not hold the same items, but
      must have the same seeds; clusters pair them.
    rate: The statistic is a single proportion.

  Raises:
    ValueError: Without scores, or if the terms have different seeds.
  """
  if rate and (len(terms) != 1 or terms[0][0] != 1.0):
    raise ValueError('rate=True is for a single mean; this is a contrast')
  cells = _cells.Cells.collect(terms)
  per_seed = cells.seed_means()
  theta = float(per_seed.mean())
  n_seeds = len(per_seed)
  n_items = max(len(s) for _, s in terms)

  def interval(se: float | None, df: float | None) -> Interval | None:
    if se is None or df is None:
      return None
    if rate:
      return intervals.rate_interval(theta, se, df, n_items)
    return None if se == 0 else intervals.t_interval(theta, se, df)

  # Below this a standard error is rounding: the values do not vary at all.
  rounding = 1e-12 * max(float(np.abs(s.values).max()) for _, s in terms)

  def exact(se: float | None) -> float | None:
    return 0.0 if se is not None and se <= rounding else se

  se_items, df_items = cells.jackknife(per_seed)
  se_seeds = se_both = df_both = sd_seeds = None
  if n_seeds >= 2:
    se_seeds = float(per_seed.std(ddof=1)) / math.sqrt(n_seeds)
    se_both, sd_seeds = _cells.two_way(cells, per_seed, se_seeds, se_items)
    df_both = float(min(n_seeds, cells.n_units) - 1)
  se_items, se_seeds, se_both = exact(se_items), exact(se_seeds), exact(se_both)
  by_seeds = n_seeds >= 2
  se = se_seeds if by_seeds else se_items
  df = float(n_seeds - 1) if by_seeds else df_items
  return Estimate(
    mean=theta,
    interval=interval(se, df),
    noise='seeds' if by_seeds else 'items only',
    n_items=n_items,
    n_seeds=n_seeds,
    n_units=cells.n_units,
    unit=cells.unit,
    se_items=se_items,
    se_seeds=se_seeds,
    se=se,
    df=df,
    interval_items=interval(se_items, df_items),
    interval_both=interval(se_both, df_both),
    sd_seeds=sd_seeds,
    per_seed=dict(zip(cells.seeds, per_seed.tolist(), strict=True)),
    note=_note(cells, n_seeds, se),
  )


def by_cluster(terms: Terms) -> dict[str, Estimate]:
  """The statistic within each cluster, which must occur in every term."""
  names = [set(s.clusters.tolist()) for _, s in terms]
  found = {}
  for name in sorted(set.intersection(*names)):
    parts = [(c, s.select(s.clusters == name)) for c, s in terms]
    if len({tuple(np.unique(s.seeds)) for _, s in parts}) == 1:
      inside = estimate(parts)
      note = None if inside.note is None else _without_cluster(inside.note)
      found[name] = dataclasses.replace(inside, note=note)
  return found


def perplexity(
  scores: measures.Scores, *, resamples: int = 2000, seed: int = 0
) -> Estimate:
  """exp(Σ −log p / Σ tokens), the documents resampled.

  The interval of one seed is the percentile bootstrap over documents (Efron and
  Tibshirani, 1993, ch. 13); with several seeds it is t(S−1) of the seeds' log
  perplexities. Standard errors are of the perplexity, by the delta method.

  Args:
    scores: Of `measures.nats_per_token`.
    resamples: Bootstrap resamples.
    seed: Of the bootstrap's generator; the result is a function of it.
  """
  logs = mean(_unclustered(scores))
  draws = bootstrap_log_perplexity(scores, resamples=resamples, seed=seed)
  low, high = np.quantile(
    draws, [intervals.ALPHA / 2, 1 - intervals.ALPHA / 2]
  ).tolist()
  ppl = math.exp(logs.mean)
  se_items = ppl * float(draws.std(ddof=1)) if len(scores) > 1 else None
  se_seeds = None if logs.se_seeds is None else ppl * logs.se_seeds
  by_items = _exp((low, high)) if len(scores) > 1 else None
  return dataclasses.replace(
    logs,
    mean=ppl,
    interval=by_items if logs.n_seeds == 1 else _exp(logs.interval),
    unit='document',
    se_items=se_items,
    se_seeds=se_seeds,
    se=se_items if logs.n_seeds == 1 else se_seeds,
    interval_items=by_items,
    interval_both=_exp(logs.interval_both),
    sd_seeds=None,
    per_seed={k: math.exp(v) for k, v in logs.per_seed.items()},
    note=_of_documents(logs.note),
  )


def perplexity_ratio(
  arm: measures.Scores, reference: measures.Scores
) -> Estimate:
  """perplexity(arm) / perplexity(reference), paired by document.

  Estimated as a difference of logs with the documents as units; `mean` and
  intervals are ratios, standard errors stay on the log scale.
  """
  check_paired(arm, reference)
  arm, reference = (_unclustered(s) for s in (arm, reference))
  logs = estimate([(1.0, arm), (-1.0, reference)])
  return dataclasses.replace(
    logs,
    mean=math.exp(logs.mean),
    interval=_exp(logs.interval),
    unit='document',
    interval_items=_exp(logs.interval_items),
    interval_both=_exp(logs.interval_both),
    per_seed={k: math.exp(v) for k, v in logs.per_seed.items()},
    note=_of_documents(logs.note),
  )


def bootstrap_log_perplexity(
  scores: measures.Scores, *, resamples: int, seed: int
) -> np.ndarray:
  """float64 [resamples]: mean over seeds of log perplexity."""
  rng = np.random.default_rng(seed)
  total = np.zeros(resamples)
  seeds = np.unique(scores.seeds)
  for s in seeds:
    part = scores.select(scores.seeds == s)
    n = len(part)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    nats = counts @ (part.values * part.weights)
    total += nats / (counts @ part.weights)
  return total / len(seeds)


def _unclustered(scores: measures.Scores) -> measures.Scores:
  """Makes every document its own unit of resampling."""
  return dataclasses.replace(scores, clusters=np.full(len(scores), 'document'))


def _without_cluster(note: str) -> str | None:
  """Drops what is said of clusters where that is plain anyway."""
  kept = [part for part in note.split('; ') if part != _ONE_CLUSTER]
  return '; '.join(kept) or None


def _of_documents(note: str | None) -> str | None:
  kept = _without_cluster(note) if note else None
  return kept and kept.replace('item', 'document')


def _exp(interval: Interval | None) -> Interval | None:
  return interval and (math.exp(interval[0]), math.exp(interval[1]))


def _note(cells: _cells.Cells, n_seeds: int, se: float | None) -> str | None:
  notes = []
  if n_seeds == 1:
    notes.append('one seed: item noise only, another seed may differ by more')
  if se is None:
    notes.append(f'no interval: only {cells.n_units} {cells.unit}')
  elif se == 0:
    notes.append('no variation at all between the units')
  if cells.unit == 'item':
    notes.append(_ONE_CLUSTER)
  return '; '.join(notes) or None
