"""Best-fit packing of documents into fixed-length sequences.

A document of n tokens trains n − 1 pairs (token, next token); that number is
its *length*. Pairs are what is packed: a document longer than a sequence is cut
into pieces between two pairs, and since each pair carries its own target, the
last pair of a piece still predicts the first token of the next piece. Nothing
is lost and nothing is trained twice.

Best fit after "Fewer Truncations Improve Language Modeling", arXiv 2404.10830.
"""

import dataclasses

import numpy as np

from msm_jax.data import fitting
from msm_jax.data import hashing

NAME = 'best-fit'
VERSION = 1

# Fuller than this, there is nothing left to gain.
_FULL = 0.999


@dataclasses.dataclass(frozen=True)
class Packing:
  """Which piece lies where; one entry per piece, ordered by sequence and slot.

  Attributes:
    n_sequences: Number of sequences.
    seq_len: Pairs that a sequence holds.
    document: [P] int64, index of the document.
    piece: [P] int32, 0, 1, … within the document.
    start: [P] int64, first pair of the piece within its document.
    length: [P] int32, number of pairs.
    sequence: [P] int64, which sequence; non-decreasing.
    slot: [P] int32, 0, 1, … within the sequence.
    offset: [P] int32, first position within the sequence.
  """

  n_sequences: int
  seq_len: int
  document: np.ndarray
  piece: np.ndarray
  start: np.ndarray
  length: np.ndarray
  sequence: np.ndarray
  slot: np.ndarray
  offset: np.ndarray

  @property
  def splits(self) -> int:
    """Σ(⌈length/L⌉ − 1): only what cannot fit is cut, and as little as can."""
    return int(np.count_nonzero(self.piece))

  @property
  def fill(self) -> float:
    """Share of positions that hold a pair."""
    return int(self.length.sum()) / max(1, self.n_sequences * self.seq_len)


def pack(lengths: np.ndarray, seq_len: int, *, seed: int = 0) -> Packing:
  """Packs documents of `lengths` pairs each.

  Args:
    lengths: [N] integers, at least 1.
    seq_len: Pairs that a sequence holds.
    seed: Decides which of equally long pieces are packed together, so that
      neighbours in the file do not become neighbours in a sequence.
  """
  lengths = np.asarray(lengths, np.int64)
  if seq_len < 1:
    raise ValueError(f'seq_len: {seq_len} is not positive')
  if lengths.size and lengths.min() < 1:
    raise ValueError(
      f'document {int(lengths.argmin())} has length {int(lengths.min())}; '
      'expected at least one pair (token, next token)'
    )
  n_pieces = -(-lengths // seq_len)
  document = np.repeat(np.arange(lengths.size), n_pieces)
  piece = ragged_arange(n_pieces)
  start = piece * seq_len
  length = np.minimum(lengths[document] - start, seq_len)

  order = np.lexsort((hashing.mix(seed, np.arange(length.size)), -length))
  bins, n_sequences = _fit(length[order], seq_len)
  sequence = np.empty(length.size, np.int64)
  sequence[order] = bins
  rank = np.empty(length.size, np.int64)
  rank[order] = np.arange(length.size)

  placed = np.lexsort((rank, sequence))
  per_sequence = np.bincount(sequence, minlength=n_sequences)
  ends = np.cumsum(length[placed])
  base = np.repeat(np.arange(n_sequences), per_sequence)
  firsts = np.cumsum(per_sequence) - per_sequence
  before = np.concatenate([[0], ends])[firsts]
  return Packing(
    n_sequences=n_sequences,
    seq_len=seq_len,
    document=document[placed],
    piece=piece[placed].astype(np.int32),
    start=start[placed],
    length=length[placed].astype(np.int32),
    sequence=base,
    slot=ragged_arange(per_sequence).astype(np.int32),
    offset=(ends - length[placed] - before[base]).astype(np.int32),
  )


def _fit(lengths: np.ndarray, seq_len: int) -> fitting.Fit:
  fit = fitting.best_fit_decreasing(lengths, seq_len)
  if lengths.sum() >= _FULL * fit[1] * seq_len:
    return fit
  sets = fitting.best_set_decreasing(lengths, seq_len)
  return min(fit, sets, key=lambda fit: fit[1])


def ragged_arange(counts: np.ndarray) -> np.ndarray:
  """Returns 0 … counts[0]−1, 0 … counts[1]−1, …, as one int64 array."""
  counts = np.asarray(counts, np.int64)
  starts = np.repeat(np.cumsum(counts) - counts, counts)
  return np.arange(int(counts.sum()), dtype=np.int64) - starts
