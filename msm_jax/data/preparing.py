"""Tokenises and packs a source once into a published directory of records.

Three passes, so that memory holds lengths and not tokens: tokens of all items
go to a scratch file, lengths are packed, and records are gathered from it.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import hashlib
import itertools
import os
import pathlib
import tempfile
import time
from typing import Any
from typing import BinaryIO

from array_record.python import array_record_module
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from msm_jax import progress
from msm_jax import storage
from msm_jax.data import documents
from msm_jax.data import packing
from msm_jax.data import prepared
from msm_jax.data import records
from msm_jax.tokenizers import Tokenizer

ON_LONG_CONVERSATION = ('error', 'drop')

_ITEMS_PER_CHUNK = 512
_PAIRS_PER_BLOCK = 1 << 20
_BYTES_PER_SHARD = 1 << 30  # before compression
# One record a group for random access; zstd reads faster than no compression.
_WRITER_OPTIONS = 'group_size:1,zstd:1'
_DROPPED_IDS_KEPT = 20


@dataclasses.dataclass
class _Encoded:
  """What the first pass leaves: flat files, and what to know of each item."""

  tokens: pathlib.Path
  trained: pathlib.Path
  n_tokens: list[int] = dataclasses.field(default_factory=list)
  ids: list[str] = dataclasses.field(default_factory=list)
  files: list[str] = dataclasses.field(default_factory=list)
  rows: list[int] = dataclasses.field(default_factory=list)
  dropped: int = 0
  dropped_ids: list[str] = dataclasses.field(default_factory=list)
  digest: Any = dataclasses.field(default_factory=hashlib.sha256)


def prepare_source(
  inputs: Sequence[str | os.PathLike[str]],
  tokenizer: Tokenizer,
  out: str | os.PathLike[str],
  *,
  seq_len: int,
  kind: str = 'auto',
  on_long_conversation: str = 'error',
  shards: int = 0,
  seed: int = 0,
) -> prepared.PreparedSource:
  """Prepares one source; publishes all of it or nothing.

  Args:
    inputs: Parquet or JSONL files, all of documents or all of conversations.
    tokenizer: Encodes documents as `<bos> text <eos>`, and conversations by its
      chat template.
    out: The directory to publish.
    seq_len: Length of a sequence: the number of (token, next token) pairs.
    kind: 'documents', 'conversations', or 'auto' to go by the columns.
    on_long_conversation: What to do with a conversation longer than a sequence:
      'error', or 'drop' it and count it.
    shards: Number of files; 0 chooses by size. Does not change the content.
    seed: Decides which of equally long pieces share a sequence.

  Returns:
    The published source.

  Raises:
    SourceError: Naming file, row and id of what cannot be trained on.
    ValueError: If an argument is not what is described here.
  """
  if on_long_conversation not in ON_LONG_CONVERSATION:
    raise ValueError(
      f'on_long_conversation: {on_long_conversation!r} is not one of '
      f'{ON_LONG_CONVERSATION}'
    )
  if seq_len < 1 or shards < 0:
    raise ValueError(
      f'seq_len: {seq_len} and shards: {shards}; expected seq_len ≥ 1 and '
      'shards ≥ 0'
    )
  if kind == 'auto':
    kind = documents.detect_kind(inputs)
  with (
    storage.publish(os.fspath(out), kind=prepared.KIND) as publication,
    tempfile.TemporaryDirectory(dir=publication.dir) as scratch,
  ):
    encoded = _encode_all(
      inputs,
      kind,
      tokenizer,
      pathlib.Path(scratch),
      max_pairs=seq_len if kind == 'conversations' else None,
      drop_long=on_long_conversation == 'drop',
    )
    lengths = np.array(encoded.n_tokens, np.int64) - 1
    packed = packing.pack(lengths, seq_len, seed=seed)
    shards = shards or max(
      1, -(-packed.n_sequences * seq_len * 20 // _BYTES_PER_SHARD)
    )
    shards = min(shards, packed.n_sequences)
    written = _write_shards(
      publication.dir, packed, encoded, tokenizer.pad_id, shards
    )
    np.save(publication.dir / prepared.COUNTS_NAME, written.counts)
    pq.write_table(
      _documents_table(encoded, packed),
      publication.dir / prepared.DOCUMENTS_NAME,
    )
    packer = {
      'name': packing.NAME,
      'version': packing.VERSION,
      'layout': records.LAYOUT_VERSION,
      'seed': seed,
      'on_long_conversation': on_long_conversation,
    }
    fingerprints = {
      'data': encoded.digest.hexdigest()[:16],
      'tokenizer': tokenizer.fingerprint,
      'template': tokenizer.template_fingerprint,
      'packer': storage.fingerprint({**packer, 'seq_len': seq_len}),
      'sequences': written.digest,
    }
    publication.info.update(
      source_kind=kind,
      inputs=[os.path.basename(os.fspath(p)) for p in inputs],
      seq_len=seq_len,
      vocab_size=tokenizer.vocab_size,
      documents=len(encoded.ids),
      dropped=encoded.dropped,
      dropped_ids=encoded.dropped_ids,
      sequences=packed.n_sequences,
      tokens=int(written.counts[:, 0].sum(dtype=np.int64)),
      loss_tokens=int(written.counts[:, 1].sum(dtype=np.int64)),
      splits=packed.splits,
      fill=packed.fill,
      packer=packer,
      shards=written.shards,
      fingerprints=fingerprints,
      fingerprint=storage.fingerprint(fingerprints),
    )
  return prepared.PreparedSource.open(out)


def _encode_all(
  inputs: Sequence[str | os.PathLike[str]],
  kind: str,
  tokenizer: Tokenizer,
  scratch: pathlib.Path,
  *,
  max_pairs: int | None,
  drop_long: bool,
) -> _Encoded:
  encoded = _Encoded(scratch / 'tokens', scratch / 'trained')
  total = 0
  n_rows = documents.count_rows(inputs)
  with (
    open(encoded.tokens, 'wb') as tokens,
    open(encoded.trained, 'wb') as on,
    progress.Progress('tokenise', n_rows, 'rows') as bar,
  ):
    begin = time.monotonic()
    for chunk in _chunks(documents.read_items(inputs, kind)):
      for item, ids, mask in _encode_chunk(chunk, tokenizer):
        encoded.digest.update(_canonical_bytes(item))
        if max_pairs is not None and len(ids) - 1 > max_pairs:
          _reject_long(item, len(ids) - 1, max_pairs, drop_long)
          encoded.dropped += 1
          if len(encoded.dropped_ids) < _DROPPED_IDS_KEPT:
            encoded.dropped_ids.append(item.id)
          continue
        _append(encoded, item, ids, mask, tokens, on)
        total += len(ids) - 1
      rate = total / max(1e-9, time.monotonic() - begin)
      bar.advance(len(chunk), f'{progress.human(rate)} tokens/s')
  if not encoded.ids:
    raise documents.SourceError(
      f'{", ".join(os.fspath(p) for p in inputs)}: nothing is left to prepare; '
      f'all {encoded.dropped} conversations are longer than a sequence'
    )
  return encoded


def _chunks(items: Iterator[documents.Item]) -> Iterator[list[documents.Item]]:
  chunk = []
  for item in items:
    chunk.append(item)
    if len(chunk) == _ITEMS_PER_CHUNK:
      yield chunk
      chunk = []
  if chunk:
    yield chunk


def _encode_chunk(
  chunk: list[documents.Item], tokenizer: Tokenizer
) -> Iterator[tuple[documents.Item, np.ndarray, np.ndarray]]:
  """Yields each item, its token ids, and which of them are trained."""
  plain = [item for item in chunk if isinstance(item, documents.Document)]
  encoded = iter(tokenizer.encode_batch([d.text for d in plain]))
  for item in chunk:
    if isinstance(item, documents.Document):
      ids = [tokenizer.bos_id, *next(encoded), tokenizer.eos_id]
      mask = np.ones(len(ids), np.uint8)
    else:
      chat = tokenizer.render_chat(item.messages)
      ids = chat.tokens
      mask = np.zeros(len(ids), np.uint8)
      for span in chat.spans:
        mask[span.start : span.stop] = span.trained
    yield item, np.array(ids, np.int32), mask


def _canonical_bytes(item: documents.Item) -> bytes:
  content = item.text if isinstance(item, documents.Document) else item.messages
  return storage.canonical_json([item.id, content]).encode() + b'\n'


def _reject_long(
  item: documents.Item, length: int, limit: int, drop: bool
) -> None:
  if not drop:
    raise documents.SourceError(
      f'{item.file}, row {item.row} (id {item.id!r}): the conversation has '
      f'{length} tokens, a sequence {limit}, and conversations are never '
      'split; raise seq_len, shorten it, or choose on_long_conversation=drop'
    )


def _append(
  encoded: _Encoded,
  item: documents.Item,
  ids: np.ndarray,
  mask: np.ndarray,
  tokens: BinaryIO,
  trained: BinaryIO,
) -> None:
  tokens.write(ids.tobytes())
  trained.write(mask.tobytes())
  encoded.n_tokens.append(len(ids))
  encoded.ids.append(item.id)
  encoded.files.append(os.path.basename(item.file))
  encoded.rows.append(item.row)


@dataclasses.dataclass(frozen=True)
class _Written:
  counts: np.ndarray  # [N, 2] int32: tokens and loss tokens of each sequence
  shards: list[dict[str, Any]]
  digest: str  # of all records in order, whatever the sharding


def _write_shards(
  directory: pathlib.Path,
  packed: packing.Packing,
  encoded: _Encoded,
  pad_id: int,
  n_shards: int,
) -> _Written:
  counts = np.empty((packed.n_sequences, 2), np.int32)
  digest = hashlib.sha256()
  shards = []
  bounds = np.linspace(0, packed.n_sequences, n_shards + 1).astype(int).tolist()
  gather = _Gatherer(packed, encoded, pad_id)
  block = max(1, _PAIRS_PER_BLOCK // packed.seq_len)
  n_tokens = int(packed.length.sum(dtype=np.int64))
  with progress.Progress('pack', n_tokens, 'tokens') as bar:
    for shard, (begin, end) in enumerate(itertools.pairwise(bounds)):
      name = f'shard-{shard:05}-of-{n_shards:05}.array_record'
      writer = array_record_module.ArrayRecordWriter(
        str(directory / name), _WRITER_OPTIONS
      )
      for first in range(begin, end, block):
        last = min(first + block, end)
        for sequence, record in enumerate(gather(first, last), first):
          data = record.to_bytes()
          digest.update(data)
          writer.write(data)
          counts[sequence] = (
            np.count_nonzero(record.fields[2]),
            np.count_nonzero(record.fields[4]),
          )
        bar.advance(int(counts[first:last, 0].sum()))
      writer.close()
      shards.append({'name': name, 'sequences': end - begin})
  return _Written(counts, shards, digest.hexdigest()[:16])


class _Gatherer:
  """Builds records from the flat token file."""

  def __init__(self, packed: packing.Packing, encoded: _Encoded, pad_id: int):
    self._packed = packed
    self._pad_id = pad_id
    self._tokens = np.memmap(encoded.tokens, np.int32, 'r')
    self._trained = np.memmap(encoded.trained, np.uint8, 'r')
    n_tokens = np.array(encoded.n_tokens, np.int64)
    self._first_token = np.cumsum(n_tokens) - n_tokens

  def __call__(self, first: int, last: int) -> Iterator[records.Record]:
    """Yields the records of sequences `first` … `last` − 1."""
    p = self._packed
    begin, end = np.searchsorted(p.sequence, [first, last])
    piece = slice(begin, end)
    length = p.length[piece].astype(np.int64)
    within = packing.ragged_arange(length)
    at = self._first_token[p.document[piece]] + p.start[piece]
    source = np.repeat(at, length) + within
    row = (p.sequence[piece] - first) * p.seq_len + p.offset[piece]
    target = np.repeat(row, length) + within

    n = (last - first) * p.seq_len
    fields = np.zeros((5, n), np.int32)
    fields[:2] = self._pad_id
    fields[0, target] = self._tokens[source]
    fields[1, target] = self._tokens[source + 1]
    fields[2, target] = np.repeat(p.slot[piece] + 1, length)
    fields[3, target] = within
    weights = fields[4].view(np.float32)
    weights[target] = self._trained[source + 1]
    by_sequence = fields.reshape(5, last - first, p.seq_len)

    segments = np.stack([p.document[piece], p.piece[piece]], axis=1)
    cuts = np.searchsorted(p.sequence[piece], np.arange(first, last + 1))
    for i in range(last - first):
      yield records.Record(
        fields=by_sequence[:, i],
        segments=segments[cuts[i] : cuts[i + 1]].astype(np.int32),
      )


def _documents_table(encoded: _Encoded, packed: packing.Packing) -> pa.Table:
  pieces = np.bincount(packed.document, minlength=len(encoded.ids))
  return pa.table(
    {
      'id': pa.array(encoded.ids, pa.string()),
      'file': pa.array(encoded.files, pa.string()),
      'row': pa.array(encoded.rows, pa.int64()),
      'tokens': pa.array(encoded.n_tokens, pa.int64()),
      'pieces': pa.array(pieces, pa.int32()),
    }
  )
