"""Measures: from result rows to one number per (seed, item). No JAX.

A measure looks at one row (one presentation) and is then averaged over the
orders of the item, so that a habit of picking the first option cancels. Sums
and averages further up live in `statistics`.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from msm_jax.evals import rows as rows_lib

# Returns (value, weight) of one row.
Measure = Callable[[rows_lib.Row], tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Scores:
  """One value for each of N (seed, item) pairs.

  Attributes:
    seeds: int64 [N].
    items: str [N].
    clusters: str [N], what items are resampled by.
    values: float64 [N].
    weights: float64 [N]; 1, or the number of tokens where values are per token.
  """

  seeds: np.ndarray
  items: np.ndarray
  clusters: np.ndarray
  values: np.ndarray
  weights: np.ndarray

  def __len__(self) -> int:
    return len(self.values)

  def select(self, mask: np.ndarray) -> 'Scores':
    """The pairs where `mask` (bool [N]) holds."""
    return Scores(
      *(getattr(self, f.name)[mask] for f in dataclasses.fields(self))
    )


def measure_rows(rows: Iterable[rows_lib.Row], measure: Measure) -> Scores:
  """Applies `measure` to each row and averages over the orders of an item.

  Args:
    rows: Rows of one arm and one suite, any number of seeds.
    measure: E.g. `log_odds('cheap', 'local')`.

  Raises:
    ValueError: If the rows are of more than one arm or suite.
  """
  rows = list(rows)
  if len(kinds := {(r.arm, r.suite) for r in rows}) > 1:
    raise ValueError(f'expected rows of one arm and suite, got {sorted(kinds)}')
  groups: dict[tuple[int, str], list[rows_lib.Row]] = {}
  for row in rows:
    groups.setdefault((row.seed, row.item), []).append(row)
  keys = sorted(groups)
  measured = [[measure(r) for r in groups[k]] for k in keys]
  return Scores(
    seeds=np.array([k[0] for k in keys], np.int64),
    items=np.array([k[1] for k in keys], np.str_),
    clusters=np.array([groups[k][0].cluster for k in keys], np.str_),
    values=np.array([_mean(v for v, _ in m) for m in measured], float),
    weights=np.array([_mean(w for _, w in m) for m in measured], float),
  )


def log_odds(label: str, against: str) -> Measure:
  """log p(label) − log p(against), in nats. Does not saturate, as rates do."""

  def measure(row: rows_lib.Row) -> tuple[float, float]:
    return _logprob(row, label) - _logprob(row, against), 1.0

  return measure


def agreement(label: str) -> Measure:
  """1 if the most probable option is `label`; a tie of k is worth 1/k."""

  def measure(row: rows_lib.Row) -> tuple[float, float]:
    mine = _logprob(row, label)
    best = max(row.logprobs)
    return (mine == best) / row.logprobs.count(best), 1.0

  return measure


def accuracy(row: rows_lib.Row) -> tuple[float, float]:
  """Agreement with the row's target."""
  if row.target is None:
    raise ValueError(
      f'{row.where}: has no target; accuracy needs one in every item'
    )
  return agreement(row.target)(row)


def nats_per_token(row: rows_lib.Row) -> tuple[float, float]:
  """−log p per token, weighted by tokens: means are Σ −log p / Σ tokens."""
  if len(row.labels) != 1:
    raise ValueError(
      f'{row.where}: has options {list(row.labels)}; perplexity is of a '
      "single text, labelled 'document'"
    )
  return -row.logprobs[0] / row.tokens[0], float(row.tokens[0])


def order_spread(rows: Iterable[rows_lib.Row], measure: Measure) -> Scores:
  """How far `measure` of each item moves with the order: max − min over orders.

  Of an agreement this is 1 where the choice changes with the order. A signed
  difference between order 0 and order 1 would not do: rows do not say which
  option was named first, and a suite that balances it would hide any bias.
  """
  rows = list(rows)
  values: dict[tuple[int, str], list[float]] = {}
  for row in rows:
    values.setdefault((row.seed, row.item), []).append(measure(row)[0])
  return measure_rows(
    rows,
    lambda r: (max(v := values[r.seed, r.item]) - min(v), 1.0),
  )


def has_labels(*labels: str) -> Callable[[rows_lib.Row], bool]:
  """Whether a row offers all of `labels`; with many values, not all do."""
  return lambda row: all(n in row.labels for n in labels)


def unequal_lengths(rows: Sequence[rows_lib.Row]) -> int:
  """Counts the items whose options have different numbers of tokens.

  A sum over more tokens is lower for that reason alone.
  """
  return len(
    {(r.seed, r.suite, r.item) for r in rows if len(set(r.tokens)) > 1}
  )


def _mean(values: Iterable[float]) -> float:
  found = list(values)
  return math.fsum(found) / len(found)


def _logprob(row: rows_lib.Row, label: str) -> float:
  try:
    return row.logprobs[row.labels.index(label)]
  except ValueError:
    raise ValueError(
      f'{row.where}: has no option labelled {label!r}, only {list(row.labels)}'
    ) from None
