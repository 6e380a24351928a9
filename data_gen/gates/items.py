"""Reads what must not be in a corpus: evaluation suites, and texts of users."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import io
import json
from typing import Any

import pyarrow.parquet as pq

from data_gen.gates.finding import find_suites
from data_gen.gates.passages import Passage
from msm_jax import storage
from msm_jax.evals import suites
from msm_jax.evals import texts

_TEXT_KEYS = ('text', 'prompt', 'question', 'content', 'input', 'instruction')
_OPTION_KEYS = ('choices', 'options', 'answer', 'target', 'response', 'output')


@dataclasses.dataclass(frozen=True)
class Source:
  """A file of what a model will be evaluated on.

  Attributes:
    path: Of the file.
    kind: `'suite'` or `'texts'`.
    sha256: Of the file, so that a later reader can tell whether it is the same.
    passages: That are looked for; those of one item have the same group.
  """

  path: str
  kind: str
  sha256: str
  passages: tuple[Passage, ...]

  @property
  def items(self) -> int:
    """How many different ones there are."""
    return len({p.group for p in self.passages})

  def to_json(self) -> dict[str, Any]:
    """Returns what a manifest says of it."""
    return {
      'path': self.path,
      'kind': self.kind,
      'items': self.items,
      'sha256': self.sha256,
    }


def read_suites(paths: Iterable[str]) -> list[Source]:
  """Reads suites of `msm_jax.evals`; see `finding` for how they are named.

  An item gives passages for each of its presentations: what is asked, alone and
  followed by each option. What a system prompt says is not the item's.

  Raises:
    ValueError: Naming file and line of what is no item; for an empty suite.
    FileNotFoundError: Naming the path, and for a folder without suites.
  """
  sources = []
  for file in find_suites(paths):
    items = list(suites.read_suite(file))
    if not items:
      raise ValueError(f'contamination.suites: {file}: has no items')
    # Suites of several seeds have the same names, and are not the same.
    passages = tuple(p for item in items for p in _of_item(item, file))
    sources.append(Source(file, 'suite', storage.sha256_file(file), passages))
  return sources


def _of_item(item: suites.Item, file: str) -> Iterator[Passage]:
  if item.prompt is not None:
    asked = item.prompt
  else:
    turns = item.messages or ()
    asked = '\n'.join(t['content'] for t in turns if t['role'] != 'system')
  group = f'{file}:{item.suite}/{item.item}'
  for more in ('', *(option.text for option in item.options)):
    yield Passage(item.where, group, tuple(texts.words(f'{asked}\n{more}')))


def read_texts(paths: Sequence[str]) -> list[Source]:
  """Reads texts of users: `.jsonl`, `.parquet`, or else one text per line.

  A row of JSONL is a string or an object; of an object or of a row of Parquet,
  the fields `text`, `prompt`, `question`, `content`, `input`, `instruction` and
  `messages` are one text, and another together with `choices`, `options`,
  `answer`, `target`, `response` and `output`.

  Raises:
    ValueError: Naming file and row of what has none of these fields.
  """
  sources = []
  for path in paths:
    passages = tuple(
      Passage(f'{path}:{number}', f'{path}:{number}', tuple(texts.words(text)))
      for number, found in _rows(path)
      for text in found
    )
    if not passages:
      raise ValueError(f'contamination.texts: {path}: has no texts')
    sources.append(Source(path, 'texts', storage.sha256_file(path), passages))
  return sources


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
