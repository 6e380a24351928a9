"""Sums by (term, seed, cluster), and the variances that follow from them.

Everything `statistics` estimates is a signed sum of ratios of sums, so sums per
cell are all that is needed of the items.
"""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from msm_jax.evals import measures

Terms = Sequence[tuple[float, measures.Scores]]


@dataclasses.dataclass(frozen=True)
class Cells:
  """Sums per term k, seed s and unit u: value·weight and weight, [K, S, U]."""

  coefficients: np.ndarray
  sums: np.ndarray
  weights: np.ndarray
  seeds: list[int]
  unit: str

  @classmethod
  def collect(cls, terms: Terms) -> 'Cells':
    if not terms or any(len(s) == 0 for _, s in terms):
      raise ValueError('no scores to estimate from')
    seeds = [np.unique(s.seeds) for _, s in terms]
    if any(not np.array_equal(seeds[0], other) for other in seeds[1:]):
      raise ValueError(
        'contrasts are paired by seed, but the terms have the seeds '
        f'{[s.tolist() for s in seeds]}; run the missing ones'
      )
    unit = 'cluster'
    names = [s.clusters for _, s in terms]
    if _one_each(terms):
      unit = 'item'
      names = [
        np.char.add(np.char.add(s.seeds.astype(str), '/'), s.items)
        for _, s in terms
      ]
    units, index = np.unique(np.concatenate(names), return_inverse=True)
    shape = (len(terms), len(seeds[0]), len(units))
    sums, weights = np.zeros(shape), np.zeros(shape)
    start = 0
    for k, (_, s) in enumerate(terms):
      where = (
        np.searchsorted(seeds[0], s.seeds),
        index[start : start + len(s)],
      )
      np.add.at(sums[k], where, s.values * s.weights)
      np.add.at(weights[k], where, s.weights)
      start += len(s)
    coefficients = np.array([c for c, _ in terms])
    return cls(coefficients, sums, weights, seeds[0].tolist(), unit)

  @property
  def n_units(self) -> int:
    return self.sums.shape[2]

  @property
  def present(self) -> np.ndarray:
    """bool [S, U]: whether the unit occurs in the seed."""
    return np.any(self.weights > 0, axis=0)

  @property
  def crossed(self) -> bool:
    """Whether every unit occurs in every term of every seed."""
    return bool((self.weights > 0).all())

  @property
  def shared(self) -> bool:
    """Whether any unit occurs in more than one seed."""
    return bool((self.present.sum(0) > 1).any())

  def seed_means(self) -> np.ndarray:
    """m_s, [S]."""
    means = self.sums.sum(2) / self.weights.sum(2)
    return np.einsum('k,ks->s', self.coefficients, means)

  def unit_means(self) -> np.ndarray:
    """The statistic in each (seed, unit), [S, U]; needs `crossed`."""
    return np.einsum('k,ksu->su', self.coefficients, self.sums / self.weights)

  def jackknife(self, m: np.ndarray) -> tuple[float | None, float | None]:
    """Standard error over units with the seeds fixed, and its df."""
    left = self.weights.sum(2, keepdims=True) - self.weights
    if self.n_units < 2 or (left <= 0).any():
      return None, None
    without = (self.sums.sum(2, keepdims=True) - self.sums) / left
    # [S, U]: how far m_s moves when unit u is left out.
    moved = np.einsum('k,ksu->su', self.coefficients, without) - m[:, None]
    n_seeds = len(m)
    if self.shared:
      units = self.n_units
      moved_theta = moved.mean(0)
      variance = (units - 1) / units * float((moved_theta**2).sum())
      return math.sqrt(variance), float(units - 1)
    # No unit is in two seeds: strata, with Welch's degrees of freedom.
    units_s = self.present.sum(1)
    parts = (units_s - 1) / units_s * (moved**2).sum(1) / n_seeds**2
    variance = float(parts.sum())
    if variance == 0:
      return 0.0, float((units_s - 1).sum())
    df = variance**2 / float((parts**2 / (units_s - 1)).sum())
    return math.sqrt(variance), df


def _one_each(terms: Terms) -> bool:
  """Whether every seed has its items in a single cluster, in all terms."""
  of_seed: dict[int, set[str]] = {}
  for _, s in terms:
    for seed in np.unique(s.seeds).tolist():
      names = s.clusters[s.seeds == seed]
      of_seed.setdefault(seed, set()).update(np.unique(names).tolist())
  return all(len(names) == 1 for names in of_seed.values())


def seeds_and_clusters(
  cells: Cells, se_seeds: float, se_items: float | None
) -> tuple[float | None, float | None, dict[str, float]]:
  """Standard error, df and components with seeds and clusters random.

  Two-way ANOVA of the S × G cell means: V = (MS_S + MS_G − MS_E)/(SG), never
  below what seeds or clusters alone give; min(S, G) − 1 degrees of freedom.
  """
  n_seeds, n_units = len(cells.seeds), cells.n_units
  if not cells.crossed:
    if cells.shared:
      return None, None, {}
    # Each seed has its own units: the seeds' spread contains both noises.
    within = (se_items or 0.0) ** 2 * n_seeds
    between = se_seeds**2 * n_seeds
    sds = {} if se_items is None else {'seed': _root(between - within)}
    return se_seeds, float(n_seeds - 1), sds
  y = cells.unit_means()
  grand, rows, columns = y.mean(), y.mean(1), y.mean(0)
  df = np.array([n_seeds - 1, n_units - 1, (n_seeds - 1) * (n_units - 1)])
  rest = y - rows[:, None] - columns[None, :] + grand
  squares = np.array(
    [
      n_units * ((rows - grand) ** 2).sum(),
      n_seeds * ((columns - grand) ** 2).sum(),
      (rest**2).sum(),
    ]
  )
  ms_s, ms_g, ms_e = (squares / df).tolist()
  sds = {
    'seed': _root((ms_s - ms_e) / n_units),
    'cluster': _root((ms_g - ms_e) / n_seeds),
    'rest': _root(ms_e),
  }
  combined = max(ms_s + ms_g - ms_e, ms_s, ms_g)
  se = math.sqrt(combined / (n_seeds * n_units))
  return se, float(min(n_seeds, n_units) - 1), sds


def _root(variance: float) -> float:
  return math.sqrt(max(0.0, variance))
