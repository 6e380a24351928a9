"""Ordinary instruction data, copied into the corpus as a source of its own."""

from collections.abc import Iterator
import dataclasses
import json
from typing import Any

import pyarrow.parquet as pq

from data_gen.corpus.rows import Row
from data_gen.pipeline.config import RetentionConfig
from data_gen.rng import Rng
from msm_jax import schema
from msm_jax import storage

_ROLES = ('system', 'user', 'assistant')


@dataclasses.dataclass(frozen=True)
class Retained:
  """What was copied.

  Attributes:
    rows: Accepted ones; the id says file and line.
    info: File, checksum and counts, for the manifest.
  """

  rows: list[Row]
  info: dict[str, Any]


def _read(path: str) -> Iterator[tuple[int, Any]]:
  """Yields the rows of a file with their numbers, from 0."""
  if path.endswith('.parquet'):
    with storage.open_file(path) as f:
      table = pq.ParquetFile(f)
      if 'messages' not in table.schema_arrow.names:
        raise schema.ConfigError(
          f'config.retention.path: {path} has no column messages, it has '
          f'{table.schema_arrow.names}'
        )
      row = 0
      for batch in table.iter_batches(columns=['messages']):
        for raw in batch.to_pylist():
          yield row, raw
          row += 1
    return
  if not path.endswith('.jsonl'):
    raise schema.ConfigError(
      f'config.retention.path: {path}, expected a name that ends in .parquet '
      'or .jsonl'
    )
  with storage.open_file(path) as f:
    for row, line in enumerate(f):
      if line.strip():
        try:
          yield row, json.loads(line)
        except ValueError as e:
          raise schema.ConfigError(
            f'config.retention.path: {path}, line {row + 1}: not JSON: {e}'
          ) from e


def _messages(raw: Any, where: str) -> tuple[tuple[str, str], ...]:
  """Checks the messages of a row, as `prepare` would.

  Raises:
    ConfigError: Naming the row and what is wrong with it.
  """
  if isinstance(raw, dict) and 'messages' in raw:
    raw = raw['messages']
  problem = ''
  if not isinstance(raw, list) or not raw:
    problem = 'has no list of messages'
  elif any(
    not isinstance(m, dict)
    or m.get('role') not in _ROLES
    or not isinstance(m.get('content'), str)
    for m in raw
  ):
    problem = f'has a message without a role of {_ROLES} and a text as content'
  elif any(not _is_unicode(m['content']) for m in raw):
    problem = 'has a text that is not valid Unicode, a lone surrogate'
  elif not any(m['role'] == 'assistant' for m in raw):
    problem = 'has no message of the assistant'
  if problem:
    raise schema.ConfigError(f'config.retention.path: {where}: {problem}')
  return tuple((m['role'], m['content']) for m in raw)


def _is_unicode(text: str) -> bool:
  return text.isascii() or text == text.encode('utf-8', 'replace').decode()


def copy(config: RetentionConfig, seed: int) -> Retained:
  """Reads the source and draws from it, in the order of the file.

  Raises:
    ConfigError: Naming the row that cannot be used.
    FileNotFoundError: If there is no such file.
  """
  found = list(_read(config.path))
  chosen = found
  if config.rows is not None and config.rows < len(found):
    ranked = sorted(
      found, key=lambda item: Rng(seed, 'retention', item[0]).unit()
    )
    chosen = sorted(ranked[: config.rows], key=lambda item: item[0])
  rows = [
    Row(
      f'{config.source}/{number:07d}',
      config.source,
      messages=_messages(raw, f'{config.path}, row {number}'),
      variant='retention',
    )
    for number, raw in chosen
  ]
  return Retained(
    rows,
    {
      'source': config.source,
      'path': config.path,
      'sha256': storage.sha256_file(config.path),
      'rows_of_file': len(found),
      'rows': len(rows),
    },
  )
