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
  def shared(self) -> bool:
    """Whether any unit occurs in more than one seed."""
    return bool((self.present.sum(0) > 1).any())

  def seed_means(self) -> np.ndarray:
    """m_s, [S]."""
    means = self.sums.sum(2) / self.weights.sum(2)
    return np.einsum('k,ks->s', self.coefficients, means)

  def jackknife(
    self, m: np.ndarray, *, by_seed: bool = False
  ) -> tuple[float | None, float | None]:
    """Standard error over units with the seeds fixed, and its df.

    Args:
      m: From `seed_means`.
      by_seed: Take a unit that is in several seeds as another one in each.

    Returns:
      (None, None) if leaving out a unit would leave a seed without any.
    """
    left = self.weights.sum(2, keepdims=True) - self.weights
    if self.n_units < 2 or (left <= 0).any():
      return None, None
    without = (self.sums.sum(2, keepdims=True) - self.sums) / left
    # [S, U]: how far m_s moves when unit u is left out.
    moved = np.einsum('k,ksu->su', self.coefficients, without) - m[:, None]
    n_seeds = len(m)
    if self.shared and not by_seed:
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


def two_way(
  cells: Cells, m: np.ndarray, se_seeds: float, se_items: float | None
) -> float | None:
  """Standard error with seeds and clusters random.

  V = V_seeds + V_clusters − V_(seed × cluster), never below either of the first
  two. Where no cluster is in two seeds, the last two are equal and V = V_seeds.
  """
  if se_items is None:
    return None
  if not cells.shared:
    return se_seeds
  within, _ = cells.jackknife(m, by_seed=True)
  if within is None:
    return None
  combined = se_seeds**2 + se_items**2 - within**2
  return math.sqrt(max(combined, se_seeds**2, se_items**2))


def sd_between_seeds(
  cells: Cells, m: np.ndarray, se_seeds: float
) -> float | None:
  """Standard deviation of m_s beyond what its own items explain."""
  within, _ = cells.jackknife(m, by_seed=True)
  if within is None:
    return None
  return math.sqrt(max(0.0, (se_seeds**2 - within**2) * len(m)))
