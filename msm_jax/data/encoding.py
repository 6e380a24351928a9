"""First pass of `prepare`: items → one flat file of token ids.

Memory holds what is known of each item, not its tokens.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import hashlib
import itertools
import os
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa

from msm_jax import storage
from msm_jax import tokenizers
from msm_jax.data import documents
from msm_jax.data import provenance

TOKENS_NAME = 'tokens'
TRAINED_NAME = 'trained'
DIGESTS_NAME = 'digests'
DROPPED_IDS_KEPT = 20
_ITEMS_PER_CHUNK = 512

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
  """Items as token ids, one after the other.

  Attributes:
    tokens: File of int32 token ids.
    trained: File of uint8, 1 where the token is one to be predicted.
    digests: File of the SHA-256 of each item, dropped ones too: of id and
      content, whatever the file format.
    index: One row per item, in order: id, file, row, tokens.
    provenance: One row per item, in order: what the input says of it.
    dropped: Number of conversations that were too long.
    dropped_ids: The first of their ids.
    masked: Number of documents with a masked prefix.
  """

  tokens: pathlib.Path
  trained: pathlib.Path
  digests: pathlib.Path
  index: pa.Table
  provenance: pa.Table
  dropped: int
  dropped_ids: list[str]
  masked: int

  @property
  def lengths(self) -> np.ndarray:
    """[N] int64, tokens per item."""
    return self.index['tokens'].to_numpy()


def encode_items(
  items: Iterator[documents.Item],
  tokenizer: tokenizers.Tokenizer,
  directory: pathlib.Path,
  *,
  seq_len: int,
  drop_long: bool,
  report: Callable[[int, int], None],
) -> Encoded:
  """Encodes items into files in `directory`.

  Args:
    items: Documents or conversations.
    tokenizer: Encodes documents as `<bos> text <eos>`, a masked prefix and the
      rest of the text each for itself, and conversations by its chat template.
    directory: A directory.
    seq_len: A conversation of more pairs (token, next token) is too long.
    drop_long: Whether to leave those out rather than to raise.
    report: Is told, every now and then, of so many more items and tokens.

  Raises:
    SourceError: Naming file, row and id of what cannot be trained on.
  """
  batches, origins = [], []
  dropped: list[str] = []
  masked = 0
  with (
    open(directory / TOKENS_NAME, 'wb') as tokens,
    open(directory / TRAINED_NAME, 'wb') as trained,
    open(directory / DIGESTS_NAME, 'wb') as digests,
  ):
    for chunk in _chunks(items):
      kept = []
      for item, ids, mask in _encode_chunk(chunk, tokenizer):
        digests.write(hashlib.sha256(_canonical_bytes(item)).digest())
        if _is_too_long(item, len(ids) - 1, seq_len, drop_long):
          dropped.append(item.id)
          continue
        tokens.write(ids.tobytes())
        trained.write(mask.tobytes())
        kept.append((item, len(ids)))
        masked += _masked_prefix(item) > 0
      batches.append(_index_batch(kept))
      origins.append(provenance.to_batch([i.provenance for i, _ in kept]))
      report(len(chunk), sum(length for _, length in kept))
  return Encoded(
    tokens=directory / TOKENS_NAME,
    trained=directory / TRAINED_NAME,
    digests=directory / DIGESTS_NAME,
    index=pa.Table.from_batches(batches, _INDEX),
    provenance=provenance.to_table(origins),
    dropped=len(dropped),
    dropped_ids=dropped[:DROPPED_IDS_KEPT],
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
