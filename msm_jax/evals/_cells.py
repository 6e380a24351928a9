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
    if self.shared and not by_seed:
      factor = (self.n_units - 1) / self.n_units
      variance = factor * float((moved.mean(0) ** 2).sum())
    else:
      # No unit is in two seeds: the variances of the seeds add up.
      units_s = self.present.sum(1)
      parts = (units_s - 1) / units_s * (moved**2).sum(1)
      variance = float(parts.sum()) / len(m) ** 2
    return math.sqrt(variance), self._df(by_seed or not self.shared)

  def _df(self, by_seed: bool) -> float:
    """Satterthwaite's degrees of freedom of the jackknife variance.

    Bell and McCaffrey ("Bias reduction in standard errors …", Survey
    Methodology 28, 2002) take items as independent; here the smaller of that
    and of items that are one within a cluster. G − 1 for clusters of one size,
    fewer where a few large clusters decide.
    """
    if self.unit == 'item':
      return float((self.present.sum(1) - 1).sum())
    shares = (self.weights / self.weights.sum(2, keepdims=True)).mean(0)
    found = []
    for independent in (True, False):
      # moved = leave · (means of the units); the columns carry their spread.
      leaves = []
      for p in shares:
        leave = (p / (1 - p))[:, None] * (p[None, :] - np.eye(len(p)))
        variance = 1 / np.where(p > 0, p, np.inf) if independent else p > 0
        leaves.append(leave * np.sqrt(variance))
      if by_seed:
        scale = 1 - 1 / self.present.sum(1)
        spreads = [k * b @ b.T for k, b in zip(scale, leaves, strict=True)]
      elif independent:
        spreads = [np.sum([b @ b.T for b in leaves], axis=0)]
      else:
        spreads = [np.sum(leaves, axis=0) @ np.sum(leaves, axis=0).T]
      trace = sum(float(np.trace(g)) for g in spreads)
      found.append(trace**2 / sum(float((g**2).sum()) for g in spreads))
    return min(found)


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
) -> tuple[float | None, float | None]:
  """Seeds and clusters both random.

  With σ_a² between seeds, σ_b² between clusters and σ_e² between cells, V_seeds
  lacks S/(S−1) times the part of σ_b² that recurs in several seeds. That is
  V_items − V_within, where V_within takes a recurring cluster as another one in
  each seed. So V = V_seeds + (V_items − V_within) · S/(S−1): the balanced
  ANOVA's (MS_S + MS_G − MS_E)/(SG) where every cluster is in every seed, and
  V_seeds where none is in two.

  Returns:
    (standard error, never below `se_seeds` and `se_items`; σ_a, or 0 where its
    estimate is negative), None where the units do not suffice.
  """
  within, _ = cells.jackknife(m, by_seed=True)
  if se_items is None or within is None:
    return None, None
  n_seeds = len(m)
  recurring = 0.0
  if cells.shared:
    recurring = (se_items**2 - within**2) * n_seeds / (n_seeds - 1)
  variance = se_seeds**2 + recurring
  sd_seeds = math.sqrt(max(0.0, (variance - se_items**2) * n_seeds))
  return math.sqrt(max(variance, se_seeds**2, se_items**2)), sd_seeds
