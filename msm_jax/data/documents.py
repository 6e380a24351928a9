"""Reads sources: Parquet or JSONL of documents or of conversations.

A document row has `text`, and may have a `masked_prefix`; a conversation row
has `messages`, a list of `{'role': …, 'content': …}`. Both may have an `id` and
the columns of `provenance`; others are left alone. Whatever cannot be trained
on is an error that names file, row and id.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import os
import sys
from typing import Any
from typing import TypeAlias

from msm_jax.data import provenance
from msm_jax.data import rows
from msm_jax.data.inputs import find_files
from msm_jax.data.inputs import SourceError
from msm_jax.data.provenance import Provenance

KINDS = ('documents', 'conversations')
ROLES = ('system', 'user', 'assistant')


@dataclasses.dataclass(frozen=True)
class Document:
  """A raw text.

  Attributes:
    id: From the `id` column, else `<file name>:<row>`.
    text: Valid Unicode, not empty.
    file: Where it was read from.
    row: Index in that file, from 0; in JSONL, blank lines count.
    masked_prefix: Characters (Unicode code points) at the start of `text` that
      carry no loss, e.g. a document tag.
    provenance: Those of `provenance.COLUMNS` that the row has; no part of the
      content.
  """

  id: str
  text: str
  file: str
  row: int
  masked_prefix: int = 0
  provenance: Provenance = dataclasses.field(
    default_factory=dict, compare=False
  )


@dataclasses.dataclass(frozen=True)
class Conversation:
  """A list of messages, at least one of them by the assistant.

  Attributes:
    id: From the `id` column, else `<file name>:<row>`.
    messages: Each `{'role': one of ROLES, 'content': text}`.
    file: Where it was read from.
    row: Index in that file, from 0; in JSONL, blank lines count.
    provenance: As of a `Document`.
  """

  id: str
  messages: tuple[dict[str, str], ...]
  file: str
  row: int
  provenance: Provenance = dataclasses.field(
    default_factory=dict, compare=False
  )


Item: TypeAlias = Document | Conversation


def detect_kind(paths: Sequence[str | os.PathLike[str]]) -> str:
  """Returns 'documents' or 'conversations', by the first row of each file.

  Raises:
    SourceError: If a file is empty, has neither column or both, or if the
      files disagree.
  """
  kinds = {path: _kind_of_file(path) for path in find_files(paths)}
  if not kinds:
    raise SourceError('no input files given')
  if len(set(kinds.values())) > 1:
    raise SourceError(
      f'one source has documents and conversations: {kinds}; prepare them as '
      'two sources'
    )
  return next(iter(kinds.values()))


def _kind_of_file(path: str) -> str:
  columns = rows.columns(path)
  found = [kind for kind, column in rows.COLUMN.items() if column in columns]
  if len(found) != 1:
    problem = 'neither' if not found else 'both'
    raise SourceError(
      f"{path}: has {problem} of the columns 'text' and 'messages' "
      f'(columns: {sorted(columns)}); name the kind of this source: '
      f'{" or ".join(KINDS)}'
    )
  return found[0]


def read_items(
  paths: Sequence[str | os.PathLike[str]], kind: str = 'auto'
) -> Iterator[Item]:
  """Yields the rows of all files in order, a stretch of rows in memory.

  Args:
    paths: Parquet (`.parquet`) or JSONL files, or directories of them; see
      `find_files`.
    kind: 'documents', 'conversations', or 'auto' to go by the columns.

  Raises:
    SourceError: Naming file, row and id of what cannot be trained on.
  """
  files = find_files(paths)
  if kind == 'auto':
    kind = detect_kind(files)
  if kind not in KINDS:
    raise SourceError(f"kind: {kind!r} is not 'auto' or one of {KINDS}")
  names = [os.path.basename(p) for p in files]
  for path, name in zip(files, names, strict=True):
    # Two files of one name would give two rows one id.
    prefix = name if names.count(name) == 1 else path
    empty = True
    for item in read_span(path, kind, prefix):
      empty = False
      yield item
    if empty:
      raise SourceError(f'{path}: is empty; expected at least one row')


def read_span(
  path: str,
  kind: str,
  prefix: str,
  first: int = 0,
  stop: int = sys.maxsize,
  offset: int = 0,
) -> Iterator[Item]:
  """Yields some rows of one file in order, a stretch of them in memory.

  Args:
    path: A Parquet or JSONL file.
    kind: One of `KINDS`.
    prefix: Of the ids of rows that have none.
    first: Index of the first row.
    stop: One past the last.
    offset: Where the first row begins in JSONL, in bytes.

  Raises:
    SourceError: Naming file, row and id of what cannot be trained on.
  """
  for row, raw in rows.read(path, kind, first, stop, offset):
    yield _parse_row(raw, kind, path, row, prefix)


def _parse_row(
  raw: dict[str, Any], kind: str, path: str, row: int, prefix: str
) -> Item:
  given = raw.get('id')
  item_id = f'{prefix}:{row}' if given is None else str(given)
  where = f'{path}, row {row} (id {item_id!r})'
  origin = provenance.of_row(raw)
  for name, value in origin.items():
    for text in value if isinstance(value, list) else [value]:
      _checked_text(text, f'{where}: {name}')
  if kind == 'documents':
    text = _checked_text(raw.get('text'), f'{where}: text')
    if not text:
      raise SourceError(f'{where}: text is empty; remove the row')
    masked = _checked_prefix(raw.get(rows.PREFIX), len(text), where)
    return Document(item_id, text, path, row, masked, origin)
  _checked_prefix(raw.get(rows.PREFIX), 0, where)
  messages = _checked_messages(raw.get('messages'), where)
  return Conversation(item_id, messages, path, row, origin)


def _checked_prefix(value: Any, limit: int, where: str) -> int:
  if value is None:
    return 0
  if type(value) is not int or not 0 <= value <= limit:
    raise SourceError(
      f'{where}: {rows.PREFIX} is {value!r}; expected an integer from 0 to '
      f'{limit}, the number of characters of the text (0 for a conversation)'
    )
  return value


def _checked_text(value: Any, where: str) -> str:
  if not isinstance(value, str):
    raise SourceError(f'{where} is {value!r}; expected a string')
  if not value.isascii():
    try:
      value.encode('utf-8')
    except UnicodeEncodeError as e:
      raise SourceError(
        f'{where} is not valid Unicode: character {e.start} is the lone '
        f'surrogate {value[e.start]!a}'
      ) from e
  return value


def _checked_messages(value: Any, where: str) -> tuple[dict[str, str], ...]:
  if not isinstance(value, list) or not value:
    raise SourceError(
      f'{where}: messages is {value!r}; expected a list of at least one '
      "{'role': …, 'content': …}"
    )
  messages = tuple(
    _checked_message(m, f'{where}: messages[{i}]') for i, m in enumerate(value)
  )
  if not any(m['role'] == 'assistant' for m in messages):
    raise SourceError(
      f'{where}: no assistant turn (roles: {[m["role"] for m in messages]}), '
      'so there is nothing to train on'
    )
  return messages


def _checked_message(value: Any, where: str) -> dict[str, str]:
  if not isinstance(value, dict):
    raise SourceError(f'{where} is {value!r}; expected an object')
  role = value.get('role')
  if role not in ROLES:
    raise SourceError(f'{where}.role: {role!r} is not one of {list(ROLES)}')
  # Silently dropping, say, tool calls would train on half a message.
  extra = [k for k, v in value.items() if k not in ('role', 'content') and v]
  if extra:
    raise SourceError(
      f'{where}: has {extra}, which the chat template cannot express; expected '
      "only 'role' and 'content'"
    )
  content = _checked_text(value.get('content'), f'{where}.content')
  return {'role': role, 'content': content}
