"""Last pass of `prepare`: gathers packed sequences and writes them."""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import hashlib
import itertools
import os
import pathlib

from array_record.python import array_record_module
import numpy as np

from msm_jax.data import packing
from msm_jax.data import records

_PAIRS_PER_BLOCK = 1 << 20
# One record a group for random access; zstd reads faster than no compression.
_WRITER_OPTIONS = 'group_size:1,zstd:1'


@dataclasses.dataclass(frozen=True)
class Placed:
  """Sequences, and where the tokens of their pieces are.

  Attributes:
    n_sequences: N.
    document: [P] int64, index of the document.
    piece: [P] int32, 0, 1, … within the document.
    flat: [P] int64, where the piece begins in a flat file of tokens.
    length: [P] int32, number of pairs.
    sequence: [P] int64, which sequence; non-decreasing.
    slot: [P] int32, 0, 1, … within the sequence.
    offset: [P] int32, first position within the sequence.
  """

  n_sequences: int
  document: np.ndarray
  piece: np.ndarray
  flat: np.ndarray
  length: np.ndarray
  sequence: np.ndarray
  slot: np.ndarray
  offset: np.ndarray

  def select(self, sequences: np.ndarray) -> 'Placed':
    """Returns some sequences, numbered anew; `sequences` is [N] bool."""
    number = np.cumsum(sequences) - 1
    chosen = self.pieces(sequences[self.sequence])
    return dataclasses.replace(
      chosen,
      n_sequences=int(np.count_nonzero(sequences)),
      sequence=number[chosen.sequence],
    )

  def pieces(self, which: np.ndarray | slice) -> 'Placed':
    """Returns some of the pieces; sequences keep their numbers."""
    return dataclasses.replace(
      self, **{name: getattr(self, name)[which] for name in _PER_PIECE}
    )

  def save(self, path: pathlib.Path) -> None:
    arrays = {name: getattr(self, name) for name in _PER_PIECE}
    np.savez(path, n_sequences=self.n_sequences, **arrays)

  @classmethod
  def load(cls, path: str | os.PathLike[str]) -> 'Placed':
    with np.load(path) as saved:
      arrays = {name: saved[name] for name in _PER_PIECE}
      return cls(n_sequences=int(saved['n_sequences']), **arrays)


_PER_PIECE = [f.name for f in dataclasses.fields(Placed)][1:]


@dataclasses.dataclass(frozen=True)
class Stretch:
  """Sequences that lie beside each other, of one flat file of tokens.

  Attributes:
    placed: Of all sequences of that file.
    first: The first that is meant.
    stop: One past the last.
    tokens: File of int32 token ids.
    trained: File of uint8, 1 where the token is one to be predicted.
    first_document: Is added to the indices of documents.
  """

  placed: Placed
  first: int
  stop: int
  tokens: str
  trained: str
  first_document: int


def gather_records(
  stretch: Stretch, seq_len: int, pad_id: int
) -> Iterator[records.Record]:
  """Yields every sequence of a stretch in order, a block of them in memory."""
  tokens = np.memmap(stretch.tokens, np.int32, 'r')
  trained = np.memmap(stretch.trained, np.uint8, 'r')
  block = max(1, _PAIRS_PER_BLOCK // seq_len)
  for first in range(stretch.first, stretch.stop, block):
    last = min(first + block, stretch.stop)
    begin, end = np.searchsorted(stretch.placed.sequence, [first, last])
    part = stretch.placed.pieces(slice(begin, end))
    within = packing.ragged_arange(part.length)
    source = within + np.repeat(part.flat, part.length)
    row = part.sequence - first
    place = within + np.repeat(row * seq_len + part.offset, part.length)

    fields = np.zeros((5, last - first, seq_len), np.int32)
    fields[:2] = pad_id
    flat = fields.reshape(5, -1)
    flat[0, place] = tokens[source]
    flat[1, place] = tokens[source + 1]
    flat[2, place] = np.repeat(part.slot + 1, part.length)
    flat[3, place] = within
    flat[4].view(np.float32)[place] = trained[source + 1]

    document = part.document + stretch.first_document
    segments = np.stack([document, part.piece], axis=1).astype(np.int32)
    cuts = np.searchsorted(row, np.arange(last - first + 1))
    for i, (a, b) in enumerate(itertools.pairwise(cuts.tolist())):
      yield records.Record(fields=fields[:, i], segments=segments[a:b])


@dataclasses.dataclass(frozen=True)
class Written:
  """What was written.

  Attributes:
    counts: [N, 2] int32, tokens and loss tokens of each sequence.
    digests: The SHA-256 of each record, one after the other.
  """

  counts: np.ndarray
  digests: bytes


def write_records(
  path: pathlib.Path,
  sequences: Iterator[records.Record],
  report: Callable[[int], None],
) -> Written:
  """Writes an ArrayRecord file.

  Args:
    path: Of the file.
    sequences: In order.
    report: Is told of so many more tokens.

  Raises:
    OSError: If the disk is full, or the file cannot be written.
  """
  counts = []
  digests = []
  writer = array_record_module.ArrayRecordWriter(str(path), _WRITER_OPTIONS)
  for record in sequences:
    data = record.to_bytes()
    digests.append(hashlib.sha256(data).digest())
    writer.write(data)
    tokens = int(np.count_nonzero(record.fields[2]))
    counts.append((tokens, int(np.count_nonzero(record.fields[4]))))
    report(tokens)
  try:
    writer.close()  # Only here does ArrayRecord report a full disk.
  except RuntimeError as e:
    raise OSError(f'{path}: cannot be written: {e}') from e
  return Written(np.array(counts, np.int32).reshape(-1, 2), b''.join(digests))
