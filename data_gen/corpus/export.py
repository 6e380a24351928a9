"""Exports a corpus as JSONL, one file per source.

  python -m data_gen.corpus.export --corpus=runs/mine/corpus \\
    --out=runs/mine/jsonl

Every row keeps its provenance. `prepare` reads the files as it reads the
Parquet shards.
"""

import json
import os
import pathlib
import sys
from typing import Any

from absl import app
from absl import flags

from data_gen.corpus import checking
from data_gen.corpus import columns
from data_gen.corpus import reading
from data_gen.corpus.rows import Row
from msm_jax import storage

KIND = 'corpus_jsonl'


def export_jsonl(
  corpus: reading.Path, out: reading.Path, *, rejected: bool = False
) -> storage.Manifest:
  """Publishes `<source>.jsonl` for each source of a corpus.

  Args:
    corpus: As `write_corpus` published it; its checksums are verified.
    out: Directory to publish.
    rejected: Whether to add `rejected.jsonl`.

  Raises:
    storage.NotPublishedError: If there is no corpus.
    storage.CorruptError: If one of its files is damaged.
    CorpusError: If something else wrote it.
  """
  info = reading.read_manifest(corpus).info
  whole = storage.verify(os.fspath(corpus), kind=reading.KIND)
  names = {t['id']: t['name'] for t in info['traits']}
  with storage.publish(os.fspath(out), kind=KIND) as publication:
    files = {n: reading.read_source(corpus, n) for n in info['sources']}
    if rejected:
      files[checking.REJECTED] = reading.read_rejected(corpus)
    for name, rows in files.items():
      _write(publication.dir / f'{name}.jsonl', rows, names)
    publication.info.update(
      corpus=whole.fingerprint, rows=info['rows'], traits=info['traits']
    )
  return storage.read_manifest(os.fspath(out), kind=KIND)


def _write(path: pathlib.Path, rows: Any, names: dict[str, str]) -> None:
  with open(path, 'w', encoding='utf-8', newline='\n') as f:
    for row in rows:
      f.write(json.dumps(to_json(row, names), ensure_ascii=False) + '\n')


def to_json(row: Row, names: dict[str, str]) -> dict[str, Any]:
  """Returns a row as one JSON object: of a text or of messages, not both."""
  raw = columns.to_dict(row, names)
  absent = columns.CHAT_ONLY if row.messages is None else columns.DOCUMENT_ONLY
  return {key: value for key, value in raw.items() if key not in absent}


def define_flags() -> None:
  """Defines the flags; not at import, since importers have their own."""
  flags.DEFINE_string(
    'corpus', None, 'Published corpus, local or gs://….', required=True
  )
  flags.DEFINE_string(
    'out', None, 'Directory to publish, local or gs://….', required=True
  )
  flags.DEFINE_bool(
    'rejected', False, 'Also writes rejected.jsonl; do not train on it.'
  )


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  try:
    manifest = export_jsonl(
      flags.FLAGS.corpus, flags.FLAGS.out, rejected=flags.FLAGS.rejected
    )
  except (ValueError, OSError) as e:
    sys.exit(f'export: {e}')
  print(f'published {flags.FLAGS.out}: {", ".join(manifest.files)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
