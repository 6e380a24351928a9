"""Reads a prepared source: verified first, then by random access."""

import functools
import os
from typing import Any

from array_record.python import array_record_data_source
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from msm_jax import storage
from msm_jax.data import records
from msm_jax.data import shards

KIND = 'prepared'
COUNTS_NAME = 'counts.npy'
DOCUMENTS_NAME = 'documents.parquet'


class PreparedSource:
  """Packed sequences of one source.

  Attributes:
    path: Where it was opened.
    info: What the writer recorded: counts, fill, fingerprints.
    fingerprint: Changes with the data, the tokenizer, the template, the packer
      or a packed sequence; not with the location or the number of shards.
    tokenizer_fingerprint: Of the tokenizer that it was prepared with.
    seq_len: L, the length of every sequence.
    counts: [N, 2] int32, tokens and loss tokens of each sequence.
    provenance: Names of the columns that its documents kept from their input,
      of `provenance.COLUMNS`.
  """

  def __init__(self, path: str, manifest: storage.Manifest):
    """Use `PreparedSource.open`, which verifies."""
    self.path = path
    self.info: dict[str, Any] = manifest.info
    self.fingerprint: str = self.info['fingerprint']
    self.tokenizer_fingerprint: str = self.info['fingerprints']['tokenizer']
    self.seq_len: int = self.info['seq_len']
    self.provenance: tuple[str, ...] = tuple(self.info.get('provenance', ()))
    self._files = storage.PublishedFiles(path, manifest)
    with self._files.hold(COUNTS_NAME) as counts:
      self.counts: np.ndarray = np.load(counts.path)
    names = [s['name'] for s in self.info['shards']]
    if storage.is_remote(path):
      self._records: Any = shards.Shards(self._files, self.info['shards'])
      self._files.prefetch(names)
    else:
      self._records = array_record_data_source.ArrayRecordDataSource(
        [os.path.join(path, name) for name in names]
      )
    found = len(self._records), len(self.counts)
    if found != (self.info['sequences'],) * 2:
      raise storage.CorruptError(
        f'{path}: holds {found[0]} records and {found[1]} counts, its manifest '
        f'says {self.info["sequences"]}: prepare it again'
      )

  @classmethod
  def open(cls, path: str | os.PathLike[str]) -> 'PreparedSource':
    """Verifies manifest and checksums, then opens the records.

    What was verified is not read again by this process, unless it changes. Of a
    bucket, each shard is fetched into the local cache, and verified, when it is
    first read, and ahead of that in the background; see `storage.Cache`.

    Raises:
      storage.NotPublishedError: If `prepare` never finished here.
      storage.CorruptError: Naming the file that was cut short or changed.
    """
    path = os.fspath(path)
    manifest = storage.read_manifest(path, kind=KIND)
    if not storage.is_remote(path):
      _verify_once(os.path.abspath(path), _state_of_files(path, manifest))
    return cls(path, manifest)

  def __len__(self) -> int:
    return len(self.counts)

  def record(self, index: int) -> records.Record:
    """Returns sequence `index`; its arrays are read-only."""
    try:
      return records.Record.from_bytes(self._records[int(index)])
    except records.RecordError as e:
      raise storage.CorruptError(f'{self.path}, sequence {index}: {e}') from e

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    """Returns sequence `index` in the batch vocabulary, arrays of shape [L]."""
    return self.record(index).to_dict()

  def origins(self, index: int) -> list[tuple[int, str, int]]:
    """Returns (segment id, document id, piece) of each segment."""
    segments = self.record(index).segments.tolist()
    return [
      (segment, self.document(document)['id'], piece)
      for segment, (document, piece) in enumerate(segments, 1)
    ]

  def documents_of(self, index: int) -> list[dict[str, Any]]:
    """Returns the document of each segment of a sequence; see `document`."""
    segments = self.record(index).segments.tolist()
    return [self.document(document) for document, _ in segments]

  def document(self, index: int) -> dict[str, Any]:
    """Returns id, file, row, tokens, pieces and provenance of a document."""
    row = self.documents.slice(index, 1).to_pylist()
    if not row:
      raise IndexError(f'{self.path}: has no document {index}')
    return row[0]

  @functools.cached_property
  def documents(self) -> pa.Table:
    """One row per document; see `document`."""
    with self._files.hold(DOCUMENTS_NAME) as file:
      return pq.read_table(file.path)


def _state_of_files(
  path: str, manifest: storage.Manifest
) -> tuple[tuple[str, int, int, int], ...]:
  """Returns what tells a file that was touched since from one that was not."""
  states = []
  for name in [*manifest.files, storage.MANIFEST_NAME]:
    file = os.path.join(path, name)
    if os.path.exists(file):
      stat = os.stat(file)
      states.append((name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    else:
      states.append((name, 0, 0, 0))
  return tuple(states)


@functools.lru_cache(maxsize=1024)
def _verify_once(
  path: str, state: tuple[tuple[str, int, int, int], ...]
) -> None:
  del state  # Only the key of the cache; a failure is not cached.
  storage.verify(path, kind=KIND)
