"""Last pass of `prepare`: gathers packed sequences and writes shards."""

from collections.abc import Iterator
import dataclasses
import hashlib
import itertools
import pathlib
from typing import Any

from array_record.python import array_record_module
import numpy as np

from msm_jax import progress
from msm_jax.data import encoding
from msm_jax.data import packing
from msm_jax.data import records

_PAIRS_PER_BLOCK = 1 << 20
_BYTES_PER_SHARD = 1 << 30  # before compression
# One record a group for random access; zstd reads faster than no compression.
_WRITER_OPTIONS = 'group_size:1,zstd:1'


@dataclasses.dataclass(frozen=True)
class Written:
  """What was written.

  Attributes:
    counts: [N, 2] int32, tokens and loss tokens of each sequence.
    shards: `{'name': …, 'sequences': …}` of each file, in order.
    digest: 16 hex digits of all records in order, whatever the sharding.
  """

  counts: np.ndarray
  shards: list[dict[str, Any]]
  digest: str


def gather_records(
  packed: packing.Packing, encoded: encoding.Encoded, pad_id: int
) -> Iterator[records.Record]:
  """Yields every packed sequence in order, a block of them in memory."""
  tokens = np.memmap(encoded.tokens, np.int32, 'r')
  trained = np.memmap(encoded.trained, np.uint8, 'r')
  first_token = np.cumsum(encoded.lengths) - encoded.lengths
  block = max(1, _PAIRS_PER_BLOCK // packed.seq_len)
  for first in range(0, packed.n_sequences, block):
    last = min(first + block, packed.n_sequences)
    begin, end = np.searchsorted(packed.sequence, [first, last])
    part = slice(begin, end)
    document, length = packed.document[part], packed.length[part]
    within = packing.ragged_arange(length)
    source = within + np.repeat(
      first_token[document] + packed.start[part], length
    )
    row = packed.sequence[part] - first
    place = within + np.repeat(
      row * packed.seq_len + packed.offset[part], length
    )

    fields = np.zeros((5, last - first, packed.seq_len), np.int32)
    fields[:2] = pad_id
    flat = fields.reshape(5, -1)
    flat[0, place] = tokens[source]
    flat[1, place] = tokens[source + 1]
    flat[2, place] = np.repeat(packed.slot[part] + 1, length)
    flat[3, place] = within
    flat[4].view(np.float32)[place] = trained[source + 1]

    segments = np.stack([document, packed.piece[part]], axis=1).astype(np.int32)
    cuts = np.searchsorted(row, np.arange(last - first + 1))
    for i, (a, b) in enumerate(itertools.pairwise(cuts.tolist())):
      yield records.Record(fields=fields[:, i], segments=segments[a:b])


def write_shards(
  directory: pathlib.Path,
  packed: packing.Packing,
  encoded: encoding.Encoded,
  *,
  pad_id: int,
  shards: int = 0,
) -> Written:
  """Writes all sequences as ArrayRecord files.

  Args:
    directory: Where to.
    packed: Which piece lies where.
    encoded: The tokens.
    pad_id: Fills `tokens` and `targets` where there is none.
    shards: Number of files; 0 chooses by size.

  Raises:
    OSError: If the disk is full, or a file cannot be written.
  """
  n_shards = min(shards or _shards_by_size(packed), packed.n_sequences)
  bounds = np.linspace(0, packed.n_sequences, n_shards + 1).astype(int).tolist()
  counts = np.empty((packed.n_sequences, 2), np.int32)
  digest = hashlib.sha256()
  described = []
  sequences = enumerate(gather_records(packed, encoded, pad_id))
  n_tokens = int(packed.length.sum(dtype=np.int64))
  with progress.Progress('pack', n_tokens, 'tokens') as bar:
    for shard, (begin, end) in enumerate(itertools.pairwise(bounds)):
      name = f'shard-{shard:05}-of-{n_shards:05}.array_record'
      path = str(directory / name)
      writer = array_record_module.ArrayRecordWriter(path, _WRITER_OPTIONS)
      for index, record in itertools.islice(sequences, end - begin):
        data = record.to_bytes()
        digest.update(data)
        writer.write(data)
        counts[index] = (
          np.count_nonzero(record.fields[2]),
          np.count_nonzero(record.fields[4]),
        )
        bar.advance(int(counts[index, 0]))
      try:
        writer.close()  # Only here does ArrayRecord report a full disk.
      except RuntimeError as e:
        raise OSError(f'{path}: cannot be written: {e}') from e
      described.append({'name': name, 'sequences': end - begin})
  return Written(counts, described, digest.hexdigest()[:16])


def _shards_by_size(packed: packing.Packing) -> int:
  size = packed.n_sequences * packed.seq_len * 4 * len(records.FIELDS)
  return -(-size // _BYTES_PER_SHARD)
