"""Tokenises and packs a source once into a published directory of records.

Three passes, so that memory holds lengths and not tokens: tokens of all items
go to a scratch file, lengths are packed, and records are gathered from it.
"""

from collections.abc import Sequence
import os
import pathlib
import tempfile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from msm_jax import storage
from msm_jax.data import documents
from msm_jax.data import encoding
from msm_jax.data import packing
from msm_jax.data import prepared
from msm_jax.data import records
from msm_jax.data import writing
from msm_jax.tokenizers import Tokenizer

ON_LONG_CONVERSATION = ('error', 'drop')


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
    inputs: Parquet or JSONL files, patterns or directories, all of documents
      or all of conversations.
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
    OSError: If the disk is full.
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
  inputs = documents.find_files(inputs)
  if kind == 'auto':
    kind = documents.detect_kind(inputs)
  packer = {
    'name': packing.NAME,
    'version': packing.VERSION,
    'layout': records.LAYOUT_VERSION,
    'kind': kind,
    'seq_len': seq_len,
    'seed': seed,
    'on_long_conversation': on_long_conversation,
  }
  with (
    storage.publish(os.fspath(out), kind=prepared.KIND) as publication,
    tempfile.TemporaryDirectory(dir=publication.dir) as scratch,
  ):
    encoded = encoding.encode_items(
      inputs,
      kind,
      tokenizer,
      pathlib.Path(scratch),
      seq_len=seq_len,
      drop_long=on_long_conversation == 'drop',
    )
    packed = packing.pack(encoded.lengths - 1, seq_len, seed=seed)
    written = writing.write_shards(
      publication.dir, packed, encoded, pad_id=tokenizer.pad_id, shards=shards
    )
    np.save(publication.dir / prepared.COUNTS_NAME, written.counts)
    _write_documents(publication.dir, encoded, packed)
    publication.info.update(
      inputs=[os.path.basename(p) for p in inputs],
      **_describe(packer, tokenizer, encoded, packed, written),
    )
  return prepared.PreparedSource.open(out)


def _write_documents(
  directory: pathlib.Path, encoded: encoding.Encoded, packed: packing.Packing
) -> None:
  pieces = np.bincount(packed.document, minlength=len(encoded.index))
  table = encoded.index.append_column('pieces', pa.array(pieces, pa.int32()))
  for name in encoded.provenance.column_names:
    table = table.append_column(name, encoded.provenance[name])
  pq.write_table(table, directory / prepared.DOCUMENTS_NAME)


def _describe(
  packer: dict[str, Any],
  tokenizer: Tokenizer,
  encoded: encoding.Encoded,
  packed: packing.Packing,
  written: writing.Written,
) -> dict[str, Any]:
  """Returns what the manifest says: counts, and what the result depends on."""
  fingerprints = {
    'data': encoded.digest,
    'tokenizer': tokenizer.fingerprint,
    'template': tokenizer.template_fingerprint,
    'packer': storage.fingerprint(packer),
    'sequences': written.digest,
  }
  tokens, loss_tokens = written.counts.sum(axis=0, dtype=np.int64).tolist()
  # Of what few sources have; others' manifests stay as they were.
  rare = {
    'masked_prefixes': encoded.masked,
    'provenance': encoded.provenance.column_names,
  }
  return {
    **{key: value for key, value in rare.items() if value},
    'source_kind': packer['kind'],
    'seq_len': packed.seq_len,
    'vocab_size': tokenizer.vocab_size,
    'documents': len(encoded.index),
    'dropped': encoded.dropped,
    'dropped_ids': encoded.dropped_ids,
    'sequences': packed.n_sequences,
    'tokens': tokens,
    'loss_tokens': loss_tokens,
    'splits': packed.splits,
    'fill': packed.fill,
    'packer': packer,
    'shards': written.shards,
    'fingerprints': fingerprints,
    'fingerprint': storage.fingerprint(fingerprints),
  }
