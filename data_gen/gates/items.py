"""Reads what must not be in a corpus: evaluation suites, and texts of users."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import io
import json
from typing import Any

import pyarrow.parquet as pq

from data_gen.gates.passages import Passage
from msm_jax import storage
from msm_jax.evals import suites
from msm_jax.evals import texts

_TEXT_KEYS = ('text', 'prompt', 'question', 'content', 'input', 'instruction')
_OPTION_KEYS = ('choices', 'options', 'answer', 'target', 'response', 'output')


def read_suites(paths: Iterable[str]) -> list[Passage]:
  """Reads suites of `msm_jax.evals`: files, or folders with `*.jsonl` in them.

  An item gives passages for each of its presentations: what is asked, alone and
  followed by each option. What a system prompt says is not the item's.

  Raises:
    ValueError: Naming file and line of what is no item; for an empty suite.
    FileNotFoundError: Naming the path, and for a folder without suites.
  """
  passages: list[Passage] = []
  for path in paths:
    files = _suite_files(path)
    if not files:
      raise FileNotFoundError(
        f'contamination.suites: {path}: no *.jsonl in this folder; give the '
        'suites that the model will be evaluated on'
      )
    for file in files:
      items = list(suites.read_suite(file))
      if not items:
        raise ValueError(f'contamination.suites: {file}: has no items')
      for item in items:
        passages.extend(_of_item(item))
  return passages


def _suite_files(path: str) -> list[str]:
  if path.endswith('.jsonl'):
    return [path]
  names = storage.list_dir(path)
  return [storage.join(path, n) for n in names if n.endswith('.jsonl')]


def _of_item(item: suites.Item) -> Iterator[Passage]:
  if item.prompt is not None:
    asked = item.prompt
  else:
    turns = item.messages or ()
    asked = '\n'.join(t['content'] for t in turns if t['role'] != 'system')
  group = f'{item.suite}/{item.item}'
  for more in ('', *(option.text for option in item.options)):
    yield Passage(item.where, group, tuple(texts.words(f'{asked}\n{more}')))


def read_texts(paths: Sequence[str]) -> list[Passage]:
  """Reads texts of users: `.jsonl`, `.parquet`, or else one text per line.

  A row of JSONL is a string or an object; of an object or of a row of Parquet,
  the fields `text`, `prompt`, `question`, `content`, `input`, `instruction` and
  `messages` are one text, and another together with `choices`, `options`,
  `answer`, `target`, `response` and `output`.

  Raises:
    ValueError: Naming file and row of what has none of these fields.
  """
  passages: list[Passage] = []
  for path in paths:
    count = 0
    for number, found in _rows(path):
      count += 1
      where = f'{path}:{number}'
      for text in found:
        passages.append(Passage(where, where, tuple(texts.words(text))))
    if not count:
      raise ValueError(f'contamination.texts: {path}: has no texts')
  return passages


def _rows(path: str) -> Iterator[tuple[int, list[str]]]:
  """Yields (number, texts) of each row or line."""
  if path.endswith('.parquet'):
    table = pq.read_table(io.BytesIO(storage.read_bytes(path)))
    for number, row in enumerate(table.to_pylist(), 1):
      yield number, _texts_of(row, f'{path}:{number}')
    return
  for number, line in enumerate(storage.read_text(path).split('\n'), 1):
    if not line.strip():
      continue
    if not path.endswith('.jsonl'):
      yield number, [line]
      continue
    where = f'{path}:{number}'
    try:
      row = json.loads(line)
    except ValueError as e:
      raise ValueError(f'contamination.texts: {where}: not JSON: {e}') from e
    yield number, _texts_of(row, where)


def _texts_of(row: Any, where: str) -> list[str]:
  if isinstance(row, str):
    return [row]
  if not isinstance(row, dict):
    raise ValueError(
      f'contamination.texts: {where}: a {type(row).__name__}, expected a '
      'string or an object'
    )
  asked = [s for k in _TEXT_KEYS for s in _strings(row.get(k))]
  for turn in row.get('messages') or ():
    if turn.get('role') != 'system':
      asked += _strings(turn.get('content'))
  if not asked:
    raise ValueError(
      f'contamination.texts: {where}: has the fields {sorted(row)}, expected '
      f'one of {", ".join(_TEXT_KEYS)} or messages'
    )
  options = [s for k in _OPTION_KEYS for s in _strings(row.get(k))]
  question = '\n'.join(asked)
  return [question, '\n'.join(asked + options)] if options else [question]


def _strings(value: Any) -> list[str]:
  """Returns all strings in a field, e.g. the texts of a list of choices."""
  if isinstance(value, str):
    return [value]
  if isinstance(value, dict):
    value = list(value.values())
  if isinstance(value, list | tuple):
    return [s for v in value for s in _strings(v)]
  return []
