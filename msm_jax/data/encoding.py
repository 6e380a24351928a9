"""First pass of `prepare`: items → one flat file of token ids.

Memory holds what is known of each item, not its tokens.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import hashlib
import itertools
import os
import pathlib
import time
from typing import Any

import numpy as np
import pyarrow as pa

from msm_jax import progress
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax.data import documents
from msm_jax.data import provenance

_ITEMS_PER_CHUNK = 512
_DROPPED_IDS_KEPT = 20

_INDEX = pa.schema(
  [
    ('id', pa.string()),
    ('file', pa.string()),
    ('row', pa.int64()),
    ('tokens', pa.int64()),
  ]
)


@dataclasses.dataclass(frozen=True)
class Encoded:
  """All items of a source as token ids, one after the other.

  Attributes:
    tokens: File of int32 token ids.
    trained: File of uint8, 1 where the token is one to be predicted.
    index: One row per item, in order: id, file, row, tokens.
    provenance: One row per item, in order: what the input says of it.
    digest: 16 hex digits of ids and contents, whatever the file format.
    dropped: Number of conversations that were too long.
    dropped_ids: The first of their ids.
    masked: Number of documents with a masked prefix.
  """

  tokens: pathlib.Path
  trained: pathlib.Path
  index: pa.Table
  provenance: pa.Table
  digest: str
  dropped: int
  dropped_ids: list[str]
  masked: int

  @property
  def lengths(self) -> np.ndarray:
    """[N] int64, tokens per item."""
    return self.index['tokens'].to_numpy()


def encode_items(
  inputs: Sequence[str | os.PathLike[str]],
  kind: str,
  tokenizer: tokenizers.Tokenizer,
  scratch: pathlib.Path,
  *,
  seq_len: int,
  drop_long: bool,
) -> Encoded:
  """Encodes a source into files below `scratch`.

  Args:
    inputs: Parquet or JSONL files.
    kind: 'documents' or 'conversations'.
    tokenizer: Encodes documents as `<bos> text <eos>`, a masked prefix and the
      rest of the text each for itself, and conversations by its chat template.
    scratch: A directory.
    seq_len: A conversation of more pairs (token, next token) is too long.
    drop_long: Whether to leave those out rather than to raise.

  Raises:
    SourceError: Naming file, row and id of what cannot be trained on.
  """
  digest = hashlib.sha256()
  batches, origins = [], []
  dropped: list[str] = []
  total = masked = 0
  with (
    open(scratch / 'tokens', 'wb') as tokens,
    open(scratch / 'trained', 'wb') as trained,
    progress.Progress('tokenise', documents.count_rows(inputs), 'rows') as bar,
  ):
    begin = time.monotonic()
    for chunk in _chunks(documents.read_items(inputs, kind)):
      kept = []
      for item, ids, mask in _encode_chunk(chunk, tokenizer):
        digest.update(_canonical_bytes(item))
        if _is_too_long(item, len(ids) - 1, seq_len, drop_long):
          dropped.append(item.id)
          continue
        tokens.write(ids.tobytes())
        trained.write(mask.tobytes())
        kept.append((item, len(ids)))
        total += len(ids)
        masked += _masked_prefix(item) > 0
      batches.append(_index_batch(kept))
      origins.append(provenance.to_batch([i.provenance for i, _ in kept]))
      rate = total / max(1e-9, time.monotonic() - begin)
      bar.advance(len(chunk), f'{progress.human(rate)} tokens/s')
  if not total:
    raise documents.SourceError(
      f'{", ".join(os.fspath(p) for p in inputs)}: nothing is left to prepare; '
      f'all {len(dropped)} conversations are longer than seq_len={seq_len}'
    )
  return Encoded(
    tokens=scratch / 'tokens',
    trained=scratch / 'trained',
    index=pa.Table.from_batches(batches, _INDEX),
    provenance=provenance.to_table(origins),
    digest=digest.hexdigest()[:16],
    dropped=len(dropped),
    dropped_ids=dropped[:_DROPPED_IDS_KEPT],
    masked=masked,
  )


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
  chunk: list[documents.Item], tokenizer: tokenizers.Tokenizer
) -> Iterator[tuple[documents.Item, np.ndarray, np.ndarray]]:
  """Yields each item, its token ids, and which of them are trained."""
  documents_only = [i for i in chunk if isinstance(i, documents.Document)]
  parts = [_parts(d) for d in documents_only]
  encoded = iter(tokenizer.encode_batch([p for ps in parts for p in ps]))
  for item in chunk:
    if isinstance(item, documents.Document):
      first, *rest = [next(encoded) for _ in _parts(item)]
      ids = [tokenizer.bos_id, *first, *itertools.chain(*rest)]
      ids.append(tokenizer.eos_id)
      mask = np.ones(len(ids), np.uint8)
      if rest:
        mask[1 : 1 + len(first)] = 0
    else:
      chat = _render(item, tokenizer)
      ids = chat.tokens
      mask = np.zeros(len(ids), np.uint8)
      for span in chat.spans:
        mask[span.start : span.stop] = span.trained
    yield item, np.array(ids, np.int32), mask


def _render(
  item: documents.Conversation, tokenizer: tokenizers.Tokenizer
) -> tokenizers.RenderedChat:
  try:
    return tokenizer.render_chat(item.messages)
  except ValueError as e:
    raise documents.SourceError(
      f'{item.file}, row {item.row} (id {item.id!r}): {e}'
    ) from e


def _masked_prefix(item: documents.Item) -> int:
  return item.masked_prefix if isinstance(item, documents.Document) else 0


def _parts(document: documents.Document) -> tuple[str, ...]:
  """The text, cut where its masked prefix ends, so that no token spans it."""
  end = document.masked_prefix
  return (document.text[:end], document.text[end:]) if end else (document.text,)


def _canonical_bytes(item: documents.Item) -> bytes:
  content = item.text if isinstance(item, documents.Document) else item.messages
  described: list[Any] = [item.id, content]
  if prefix := _masked_prefix(item):
    described.append(prefix)
  return storage.canonical_json(described).encode() + b'\n'


def _is_too_long(
  item: documents.Item, length: int, seq_len: int, drop: bool
) -> bool:
  if isinstance(item, documents.Document) or length <= seq_len:
    return False
  if not drop:
    raise documents.SourceError(
      f'{item.file}, row {item.row} (id {item.id!r}): the conversation has '
      f'{length} tokens, a sequence {seq_len}, and conversations are never '
      'split; raise seq_len, shorten it, or choose on_long_conversation=drop'
    )
  return True


def _index_batch(kept: list[tuple[documents.Item, int]]) -> pa.RecordBatch:
  columns = [
    [item.id for item, _ in kept],
    [os.path.basename(item.file) for item, _ in kept],
    [item.row for item, _ in kept],
    [n_tokens for _, n_tokens in kept],
  ]
  return pa.record_batch(
    [pa.array(c, t) for c, t in zip(columns, _INDEX.types, strict=True)],
    schema=_INDEX,
  )
