"""Reads rows of Parquet and JSONL files as they are, from anywhere in them."""

from collections.abc import Iterator
import itertools
import json
import sys
from typing import Any
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from msm_jax import storage
from msm_jax.data import provenance
from msm_jax.data.inputs import SourceError

COLUMN = {'documents': 'text', 'conversations': 'messages'}
PREFIX = 'masked_prefix'
_ROWS_PER_READ = 1024


def columns(path: str) -> set[str]:
  """Returns the names of columns; of JSONL, those of the first row.

  Raises:
    SourceError: If the file is empty or damaged.
  """
  if _is_parquet(path):
    with storage.open_published(path) as f:
      return set(_open_parquet(path, f).schema_arrow.names)
  for _, raw in _jsonl_rows(path):
    return set(raw)
  raise SourceError(f'{path}: is empty; expected at least one row')


def read(
  path: str,
  kind: str,
  first: int = 0,
  stop: int = sys.maxsize,
  offset: int = 0,
) -> Iterator[tuple[int, dict[str, Any]]]:
  """Yields (row, columns) of some rows of a file, a stretch of them in memory.

  Args:
    path: A Parquet or JSONL file.
    kind: Whose columns are read, of `COLUMN`.
    first: Index of the first row.
    stop: One past the last.
    offset: Where the first row begins in JSONL, in bytes.

  Raises:
    SourceError: Naming file and row of what is damaged.
  """
  if _is_parquet(path):
    return _parquet_rows(path, kind, first, stop)
  return _jsonl_rows(path, first, stop, offset)


def cut(
  path: str, room: int, rows_per_cut: int
) -> Iterator[tuple[int, int, int]]:
  """Yields stretches of rows of a file: first, one past the last, byte offset.

  Rows are not decoded. The byte offset is that of the first row in JSONL, whose
  every line is a row.

  Args:
    path: A Parquet or JSONL file.
    room: Rows of the first stretch, at most; 0 stands for `rows_per_cut`.
    rows_per_cut: Rows of any other one, at most.

  Raises:
    SourceError: If it is empty or damaged.
  """
  room = room or rows_per_cut
  with storage.open_published(path) as f:
    if _is_parquet(path):
      total = _open_parquet(path, f).metadata.num_rows
      offsets = dict.fromkeys([0, *range(room, total, rows_per_cut)], 0)
    else:
      total, offsets = _count_lines(f, room, rows_per_cut)
  if not total:
    raise SourceError(f'{path}: is empty; expected at least one row')
  firsts = list(offsets)
  for first, stop in zip(firsts, [*firsts[1:], total], strict=True):
    yield first, stop, offsets[first]


def _count_lines(
  file: IO[bytes], room: int, rows_per_cut: int
) -> tuple[int, dict[int, int]]:
  """Returns the number of lines, 0 if all are blank, and offsets of some."""
  offsets = {0: 0}
  total = at = 0
  blank = True
  following = room
  for line in file:
    if total == following:
      offsets[total] = at
      following += rows_per_cut
    blank = blank and not line.strip()
    total += 1
    at += len(line)
  return (0 if blank else total), offsets


def _is_parquet(path: str) -> bool:
  if path.endswith('.parquet'):
    return True
  if path.endswith(('.jsonl', '.json')):
    return False
  raise SourceError(f'{path}: expected a name that ends in .parquet or .jsonl')


def _open_parquet(path: str, file: Any) -> pq.ParquetFile:
  try:
    return pq.ParquetFile(file)
  except (pa.ArrowInvalid, OSError) as e:
    raise SourceError(f'{path}: not a complete Parquet file: {e}') from e


def _parquet_rows(
  path: str, kind: str, first: int, stop: int
) -> Iterator[tuple[int, dict[str, Any]]]:
  with storage.open_published(path) as f:
    table = _open_parquet(path, f)
    known = ('id', COLUMN[kind], PREFIX, *provenance.COLUMNS)
    columns = [c for c in known if c in table.schema_arrow.names]
    if COLUMN[kind] not in columns:
      raise SourceError(
        f'{path}: no column {COLUMN[kind]!r}, which {kind} need; it has '
        f'{table.schema_arrow.names}'
      )
    row, groups = _row_groups(table.metadata, first, stop)
    for batch in table.iter_batches(
      _ROWS_PER_READ, row_groups=groups, columns=columns
    ):
      skipped = min(max(0, first - row), batch.num_rows)
      row += skipped
      wanted = batch.slice(skipped, max(0, stop - row))
      for raw in _batch_to_rows(wanted, path, row):
        yield row, raw
        row += 1
      if row >= stop:
        return


def _row_groups(
  metadata: pq.FileMetaData, first: int, stop: int
) -> tuple[int, list[int]]:
  """Returns the first row of the groups that hold some rows, and the groups."""
  ends = list(
    itertools.accumulate(
      metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)
    )
  )
  begins = [0, *ends]
  groups = [g for g, end in enumerate(ends) if begins[g] < stop and end > first]
  return (begins[groups[0]] if groups else first), groups


def _batch_to_rows(
  batch: pa.RecordBatch, path: str, first_row: int
) -> list[dict[str, Any]]:
  try:
    return batch.to_pylist()
  except UnicodeDecodeError:
    for index in range(batch.num_rows):  # Parquet does not say which row.
      try:
        batch.slice(index, 1).to_pylist()
      except UnicodeDecodeError as e:
        raise SourceError(
          f'{path}, row {first_row + index}: invalid UTF-8: {e}'
        ) from e
    raise


def _jsonl_rows(
  path: str, first: int = 0, stop: int = sys.maxsize, offset: int = 0
) -> Iterator[tuple[int, dict[str, Any]]]:
  with storage.open_published(path) as f:
    f.seek(offset)
    for row, line in enumerate(itertools.islice(f, stop - first), first):
      where = f'{path}, row {row} (line {row + 1})'
      try:
        text = line.decode('utf-8')
      except UnicodeDecodeError as e:
        raise SourceError(f'{where}: invalid UTF-8: {e}') from e
      if not text.strip():
        continue
      try:
        raw = json.loads(text)
      except json.JSONDecodeError as e:
        raise SourceError(f'{where}: not JSON: {e}') from e
      if not isinstance(raw, dict):
        raise SourceError(
          f'{where}: expected a JSON object, found {type(raw).__name__}'
        )
      yield row, raw
