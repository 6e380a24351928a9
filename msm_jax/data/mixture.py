"""Weighted sources as a pure function of the step: `batch(step)`.

Per source: shuffle, then repeat with a new order each epoch; then mix by global
row index. Nothing is shuffled after the mix, so a longer phase begins with the
same batches. Within a batch the rows are permuted (by the step), so that any
contiguous block of rows, which is what a process or a micro-batch gets, holds
a mix of sources.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import math
from typing import Any

import grain
import numpy as np

from msm_jax import storage
from msm_jax.data import checks
from msm_jax.data import hashing
from msm_jax.data import prepared
from msm_jax.data import records
from msm_jax.data import selection
from msm_jax.data.shares import MixtureReport
from msm_jax.data.shares import SourceShares

WEIGHT_BY = ('tokens', 'loss_tokens')
_PROBED_ROWS = 16
_COLUMN = {'tokens': 0, 'loss_tokens': 1}


@dataclasses.dataclass(frozen=True)
class RowOrigin:
  """Where one row of a batch comes from.

  Attributes:
    source: Name of the source.
    sequence: Index of the packed sequence in the source.
    segments: (segment id, document id, piece) of each segment.
    documents: What is known of the document of each segment; see
      `PreparedSource.document`.
  """

  source: str
  sequence: int
  segments: list[tuple[int, str, int]]
  documents: list[dict[str, Any]]


class Mixture:
  """Batches of `batch_size` sequences from weighted sources.

  Weights are token-true: a source's share of all tokens (or loss tokens) is its
  share of the weights, so the rows that it gets are divided by the mean tokens
  (or loss tokens) of its sequences.

  Attributes:
    names: The sources, sorted; the order of `weights` does not matter.
    weights: Source to its share of the weight; sums to 1.
    seq_len: T.
    batch_size: B, of the whole batch over all processes.
    n_batches: Number of batches in the phase.
    fingerprint: Of all that decides `batch(step)`; not of `n_batches`.
  """

  def __init__(
    self,
    sources: Mapping[str, prepared.PreparedSource],
    weights: Mapping[str, float],
    *,
    seed: int,
    batch_size: int,
    n_batches: int,
    weight_by: str = 'tokens',
    max_epochs: float | Mapping[str, float] | None = None,
    where: str = 'mixture',
  ):
    """Checks everything that can be wrong before the first step.

    Args:
      sources: At least those that have a weight.
      weights: Source to a positive number; they need not sum to 1.
      seed: Decides the order of each source and of the rows in a batch.
      batch_size: B, of the whole batch over all processes.
      n_batches: Number of batches in the phase.
      weight_by: What the weights are shares of, 'tokens' or 'loss_tokens'.
      max_epochs: How often a source may be seen, for all sources or by name; a
        source without one is not limited.
      where: Config key that errors name.

    Raises:
      ValueError: Naming the key, if a source is unknown, would get no sequence
        or is repeated beyond `max_epochs`, if a weight is not positive, or if
        sources differ in sequence length or tokenizer.
    """
    checks.check_positive_integer(batch_size, f'{where}: batch_size')
    checks.check_positive_integer(n_batches, f'{where}: n_batches')
    if weight_by not in WEIGHT_BY:
      raise ValueError(
        f'{where}: weight_by={weight_by!r} is not one of {WEIGHT_BY}'
      )
    checks.check_weights(weights, sources, where)
    self.names = tuple(sorted(weights))
    self._sources = [sources[n] for n in self.names]
    checks.check_alike(dict(zip(self.names, self._sources, strict=True)), where)
    total = math.fsum(weights.values())
    self.weights = {n: weights[n] / total for n in self.names}
    self.weight_by = weight_by
    self.seed = seed
    self.batch_size = batch_size
    self.n_batches = n_batches
    self.seq_len = self._sources[0].seq_len
    self.tokenizer_fingerprint = self._sources[0].tokenizer_fingerprint

    self._selection = selection.Selection(self._row_shares(where))
    self._order = [
      grain.MapDataset.range(len(source))
      .shuffle(seed=hashing.seed_of(seed, 'order', name))
      .repeat()
      for name, source in zip(self.names, self._sources, strict=True)
    ]
    self._rows = grain.MapDataset.select_from_datasets(
      [
        order.map(functools.partial(_tag, index))
        for index, order in enumerate(self._order)
      ],
      self._selection,
    )
    self.max_epochs = checks.epoch_limits(
      max_epochs, self.names, sources, where
    )
    checks.check_draws(self._drawn(), self._sizes(), self.max_epochs, where)

  def _row_shares(self, where: str) -> list[float]:
    shares = []
    for name, source in zip(self.names, self._sources, strict=True):
      column = source.counts[:, _COLUMN[self.weight_by]]
      mean = column.sum(dtype=np.int64) / len(source)
      if mean == 0:
        raise ValueError(
          f'{where}.{name}: source {name!r} has no {self.weight_by} to '
          'weight by'
        )
      shares.append(self.weights[name] / mean)
    return shares

  def _drawn(self) -> dict[str, int]:
    counts = self._selection.count(self.n_batches * self.batch_size)
    return dict(zip(self.names, counts, strict=True))

  def _sizes(self) -> dict[str, int]:
    return {n: len(s) for n, s in zip(self.names, self._sources, strict=True)}

  @functools.cached_property
  def fingerprint(self) -> str:
    """16 hex digits of all that decides what `batch(step)` returns."""
    return storage.fingerprint(self.describe())

  def describe(self) -> dict[str, object]:
    """Returns what the fingerprint is made of, as JSON."""
    return {
      'sources': {
        n: s.fingerprint for n, s in zip(self.names, self._sources, strict=True)
      },
      'weights': self.weights,
      # Should Grain's shuffle ever change, then so does this.
      'begin': [self._rows[i] for i in range(_PROBED_ROWS)],
      'weight_by': self.weight_by,
      'seed': self.seed,
      'batch_size': self.batch_size,
      'seq_len': self.seq_len,
    }

  def rows(
    self, step: int, only: Sequence[int] | None = None
  ) -> list[tuple[int, int]]:
    """Returns (index into `names`, sequence) of each row of `batch(step)`."""
    if step < 0:
      raise ValueError(f'step: {step} is negative')
    B = self.batch_size
    wanted = range(B) if only is None else only
    if outside := [row for row in wanted if not 0 <= row < B]:
      raise ValueError(f'only: row {outside[0]} of a batch of {B} rows')
    permuted = hashing.permutation(B, self.seed, 'rows', step).tolist()
    return [self._rows[step * B + permuted[row]] for row in wanted]

  def batch(
    self, step: int, only: Sequence[int] | None = None
  ) -> dict[str, np.ndarray]:
    """Returns the batch of `step`, or some of its rows.

    A pure function of the arguments. What is not asked for is not read.

    Args:
      step: Counted from 0, at the beginning of the phase.
      only: Numbers of rows, in the order in which they are wanted, such as
        those of one process; None is all of them.

    Returns:
      `tokens`, `targets`, `segment_ids`, `positions` (int32) and `loss_weights`
      (float32), each `[rows, T]`.
    """
    rows = self.rows(step, only)
    stacked = np.empty((5, len(rows), self.seq_len), np.int32)
    for row, (source, sequence) in enumerate(rows):
      stacked[:, row] = self._sources[source].record(sequence).fields
    named: dict[str, np.ndarray] = dict(
      zip(records.FIELDS, stacked, strict=True)
    )
    named['loss_weights'] = stacked[4].view(np.float32)
    return named

  def source_of(self, step: int) -> list[str]:
    """Returns the name of the source of each row."""
    return [self.names[source] for source, _ in self.rows(step)]

  def origins(self, step: int) -> list[RowOrigin]:
    """Returns source, sequence and documents of each row."""
    return [
      RowOrigin(
        self.names[source],
        sequence,
        self._sources[source].origins(sequence),
        self._sources[source].documents_of(sequence),
      )
      for source, sequence in self.rows(step)
    ]

  def source(self, name: str) -> prepared.PreparedSource:
    """Returns the source of that name."""
    return self._sources[self.names.index(name)]

  def taken(self, name: str) -> np.ndarray:
    """Returns [N] int64, how often the phase takes each sequence of a source.

    Sums to the rows that the source gets in steps 0 … `n_batches` − 1.
    """
    index = self.names.index(name)
    size = len(self._sources[index])
    epochs, rest = divmod(self._drawn()[name], size)
    times = np.full(size, epochs, np.int64)
    order = self._order[index]
    times[[order[epochs * size + i] for i in range(rest)]] += 1
    return times

  def counts(self, step: int) -> dict[str, tuple[int, int]]:
    """Returns (tokens, loss tokens) of each source in `batch(step)`."""
    totals = np.zeros((len(self.names), 2), np.int64)
    for source, sequence in self.rows(step):
      totals[source] += self._sources[source].counts[sequence]
    return {
      name: (tokens, loss_tokens)
      for name, (tokens, loss_tokens) in zip(
        self.names, totals.tolist(), strict=True
      )
    }

  @functools.cached_property
  def _report(self) -> MixtureReport:
    shares = []
    for name, source in zip(self.names, self._sources, strict=True):
      taken = self.taken(name)
      tokens, loss_tokens = (taken @ source.counts.astype(np.int64)).tolist()
      sequences = int(taken.sum())
      shares.append(
        SourceShares(
          name=name,
          requested=self.weights[name],
          sequences=sequences,
          tokens=tokens,
          loss_tokens=loss_tokens,
          epochs=sequences / len(source),
        )
      )
    return MixtureReport(self.weight_by, tuple(shares))

  def report(self) -> MixtureReport:
    """Counts, exactly, what the whole phase takes from each source."""
    return self._report


def _tag(source: int, sequence: int) -> tuple[int, int]:
  return source, int(sequence)
