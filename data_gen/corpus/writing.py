"""Publishes a corpus: shards for training, and all that explains them.

manifest.json            checksums, and everything that was counted
card.md                  what it is, how it was made, for people
viewer.html              all rows in a browser, without network
<source>/00000.parquet   accepted rows of one source, `prepare` reads them
rejected.parquet         every other row, with its reason
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import itertools
import os
import pathlib
import shlex
from typing import Any

import pyarrow.parquet as pq

from data_gen import traits as traits_lib
from data_gen.corpus import card
from data_gen.corpus import checking
from data_gen.corpus import columns
from data_gen.corpus import counting
from data_gen.corpus import reading
from data_gen.corpus import viewer
from data_gen.corpus.rows import Row
from msm_jax import storage

ROWS_PER_SHARD = 10_000
_ROWS_PER_GROUP = 1024
_LEFT_OUT = {
  'documents': columns.CHAT_ONLY,
  'conversations': columns.DOCUMENT_ONLY,
}


def write_corpus(
  out: str | os.PathLike[str],
  rows: Sequence[Row],
  *,
  info: Mapping[str, Any],
  traits: Sequence[traits_lib.Trait],
  config: Any,
  command: str | Sequence[str],
  files: Mapping[str, str] | None = None,
  rows_per_shard: int = ROWS_PER_SHARD,
) -> storage.Manifest:
  """Publishes a corpus, all of it or nothing; same rows, same bytes.

  Args:
    out: Directory to publish, local or `gs://…`.
    rows: Accepted and rejected ones, in the order in which they are kept.
    info: Goes into the manifest, beside what is counted here. The card shows
      `name`, `licence`, and the reports `diversity` and `balance`.
    traits: All that rows are about, by the ids that rows have.
    config: Of the run, for the manifest: a mapping or a dataclass.
    command: That made the corpus; a list is quoted as a shell would.
    files: Further files to publish, name to text, e.g. `plan.json`.
    rows_per_shard: The most rows in a Parquet file.

  Returns:
    The manifest as a reader sees it.

  Raises:
    CorpusError: If a row contradicts itself or the others (see `check_rows`),
      if an API key is about to be published, or if `info` or `files` use a name
      that is taken.
  """
  names = {t.id: t.name for t in traits}
  checking.check_rows(rows, names)
  rows = [row if row.accepted else checking.storable(row) for row in rows]
  described = _describe(rows, info, traits, _plain(config), command)
  texts = {'info': storage.canonical_json(described), **(files or {})}
  checking.check_no_keys(texts, described['config'])
  with storage.publish(os.fspath(out), kind=reading.KIND) as publication:
    root = publication.dir
    for source in described['sources']:
      described['sources'][source]['shards'] = _write_source(
        root, source, rows, names, described, rows_per_shard
      )
    rejected = [row for row in rows if not row.accepted]
    _write_parquet(
      root / f'{checking.REJECTED}.parquet', rejected, names, leave_out=()
    )
    _write_text(root, 'card.md', card.render(described))
    accepted = [row for row in rows if row.accepted]
    viewer.write(root / 'viewer.html', [*accepted, *rejected], described)
    for name, text in (files or {}).items():
      _write_text(root, name, text)
    publication.info.update(described)
  return reading.read_manifest(out)


def _describe(
  rows: Sequence[Row],
  info: Mapping[str, Any],
  traits: Sequence[traits_lib.Trait],
  config: Any,
  command: str | Sequence[str],
) -> dict[str, Any]:
  ours = {
    'layout': reading.LAYOUT,
    'command': command if isinstance(command, str) else shlex.join(command),
    'config': config,
    'traits': [{'id': t.id, **dataclasses.asdict(t)} for t in traits],
    **counting.count(rows),
  }
  if taken := sorted(set(ours) & set(info)):
    raise checking.CorpusError(
      f'info: {taken} are counted here; give them other names'
    )
  return {**_plain(info), **ours}


def _plain(value: Any) -> Any:
  """Dataclasses and mappings of any kind become dicts, all the way down."""
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    return {
      f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)
    }
  if hasattr(value, 'items'):  # A ConfigDict is no `Mapping`.
    return {str(k): _plain(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(v) for v in value]
  return str(value) if isinstance(value, pathlib.PurePath) else value


def _write_source(
  root: pathlib.Path,
  source: str,
  rows: Sequence[Row],
  names: Mapping[str, str],
  described: Mapping[str, Any],
  rows_per_shard: int,
) -> list[str]:
  """Writes the accepted rows of a source; returns the names of its shards."""
  leave_out = _LEFT_OUT.get(described['sources'][source]['kind'], ())
  mine = [row for row in rows if row.accepted and row.source == source]
  shards: list[str] = []
  for first in range(0, len(mine), rows_per_shard):
    name = f'{source}/{len(shards):05}.parquet'
    shard = mine[first : first + rows_per_shard]
    _write_parquet(root / name, shard, names, leave_out)
    shards.append(name)
  return shards


def _write_parquet(
  path: pathlib.Path,
  rows: Sequence[Row],
  names: Mapping[str, str],
  leave_out: Sequence[str],
) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  schema = columns.schema(leave_out)
  with pq.ParquetWriter(path, schema, compression='zstd') as writer:
    rest = iter(rows)
    while group := list(itertools.islice(rest, _ROWS_PER_GROUP)):
      writer.write_batch(columns.to_batch(group, names, schema))


def _write_text(root: pathlib.Path, name: str, text: str) -> None:
  path = root / name
  if path.exists() or not path.resolve().is_relative_to(root.resolve()):
    raise checking.CorpusError(
      f'files: {name!r} is a name of the corpus itself, or outside of it'
    )
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text, encoding='utf-8')
