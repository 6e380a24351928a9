"""Reads a published corpus back, row by row."""

from collections.abc import Iterator
import os

import pyarrow.parquet as pq

from data_gen.corpus import columns
from data_gen.corpus.checking import CorpusError
from data_gen.corpus.checking import REJECTED
from data_gen.corpus.rows import Row
from msm_jax import schema
from msm_jax import storage

KIND = 'corpus'
LAYOUT = 1

_ROWS_PER_READ = 1024

Path = str | os.PathLike[str]


def read_manifest(corpus: Path) -> storage.Manifest:
  """Returns the manifest of a corpus that `write_corpus` published.

  Raises:
    storage.NotPublishedError: If there is none.
    storage.CorruptError: If it is not the manifest of a corpus.
    CorpusError: If something else wrote the corpus.
  """
  manifest = storage.read_manifest(os.fspath(corpus), kind=KIND)
  if manifest.info.get('layout') != LAYOUT:
    raise CorpusError(
      f'{os.fspath(corpus)}: is no corpus of layout {LAYOUT} that '
      'data_gen.corpus.writing wrote; generate it again'
    )
  return manifest


def read_source(corpus: Path, name: str) -> Iterator[Row]:
  """Yields the accepted rows of a source, in the order in which they came.

  Raises:
    CorpusError: If there is no such source.
  """
  info = read_manifest(corpus).info
  if name not in info['sources']:
    raise CorpusError(
      f'{os.fspath(corpus)}: has no source {name!r}'
      f'{schema.suggest(name, list(info["sources"]))}; it has '
      f'{", ".join(info["sources"]) or "none"}'
    )
  for shard in info['sources'][name]['shards']:
    yield from _read(storage.join(os.fspath(corpus), shard))


def read_rejected(corpus: Path) -> Iterator[Row]:
  """Yields the rejected rows of all sources, in the order they came in."""
  read_manifest(corpus)
  yield from _read(storage.join(os.fspath(corpus), f'{REJECTED}.parquet'))


def read_rows(corpus: Path) -> Iterator[Row]:
  """Yields all rows: accepted ones source by source, then the rejected."""
  for name in read_manifest(corpus).info['sources']:
    yield from read_source(corpus, name)
  yield from read_rejected(corpus)


def _read(path: str) -> Iterator[Row]:
  with storage.open_published(path) as f:
    for batch in pq.ParquetFile(f).iter_batches(_ROWS_PER_READ):
      yield from map(columns.from_dict, batch.to_pylist())
