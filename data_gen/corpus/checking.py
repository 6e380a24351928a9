"""What must hold of rows before they are published."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math
import os
import re
from typing import Any

from data_gen.corpus.rows import Row

KINDS = ('documents', 'conversations')
REJECTED = 'rejected'

_SOURCE = re.compile(r'[a-z][a-z0-9]*(_[a-z0-9]+)*')
_SHORTEST_KEY = 8


class CorpusError(ValueError):
  """Rows that make no corpus, or a directory that holds none."""


def check_rows(rows: Sequence[Row], known_traits: Collection[str]) -> None:
  """Checks all rows, each by itself and together.

  Args:
    rows: Accepted and rejected ones.
    known_traits: Ids of the traits that the corpus is about.

  Raises:
    CorpusError: Naming the row and what is wrong with it.
  """
  seen: set[str] = set()
  kinds: dict[str, str] = {}
  for row in rows:
    where = f'row {row.id!r} of source {row.source!r}'
    problem = (
      f'the id occurs twice: {row.id!r}'
      if row.id in seen
      else _problem(row, known_traits)
    )
    if not problem and row.accepted:
      kind = kind_of(row)
      if kinds.setdefault(row.source, kind) != kind:
        problem = f'is one of {kind}, but rows before it of {kinds[row.source]}'
    if problem:
      raise CorpusError(f'{where}: {problem}')
    seen.add(row.id)


def is_source(name: str) -> bool:
  """Whether a source may have this name, which is that of a directory."""
  return bool(_SOURCE.fullmatch(name)) and name != REJECTED


def kind_of(row: Row) -> str:
  """Returns which of `KINDS` a row is of."""
  return KINDS[row.text is None]


def _problem(row: Row, known_traits: Collection[str]) -> str:
  unknown = [t for t in row.trait_ids if t not in known_traits]
  if not row.id:
    return 'the id is empty'
  if not is_source(row.source):
    return (
      'the source becomes the name of a directory; expected lower-case words '
      f'joined by _, and not {REJECTED!r}'
    )
  if unknown:
    return f'trait_ids: {unknown} are none of the traits of this corpus'
  if len(row.trait_ids) != len(row.trait_types):
    return (
      f'{len(row.trait_ids)} trait_ids and {len(row.trait_types)} trait_types; '
      'expected one type for each'
    )
  if not 0 <= row.masked_prefix <= len(row.text or ''):
    return (
      f'masked_prefix is {row.masked_prefix}; expected 0 to '
      f'{len(row.text or "")}, the characters of its text'
    )
  if not all(map(math.isfinite, _measured(row))):
    return 'a cost or a score is not a finite number'
  return _problem_of_accepted(row) if row.accepted else _problem_of_other(row)


def _measured(row: Row) -> Iterator[float]:
  yield from (s.cost_usd for s in row.lineage if s.cost_usd is not None)
  yield from (v.score for v in row.verdicts if v.score is not None)


def _problem_of_accepted(row: Row) -> str:
  failed = [v.gate for v in row.verdicts if not v.passed]
  if failed or row.rejected_because:
    return (
      f'is accepted, but failed {failed or "nothing"} and was rejected because '
      f'{row.rejected_because!r}'
    )
  if bool(row.text) == bool(row.messages):
    return 'is accepted; expected either a text or messages, not empty'
  if storable(row) != row:
    return 'is accepted, but one of its texts is not valid Unicode'
  return ''


def _problem_of_other(row: Row) -> str:
  if not row.rejected_because:
    return 'is rejected without a reason; expected rejected_because'
  return ''


def storable(row: Row) -> Row:
  """Returns a row as it can be written: its lone surrogates as their escapes.

  A teacher may answer with what is not valid Unicode, and no file holds that.
  Such a row is rejected, and is still to be seen.
  """
  return _escaped(row)


def _escaped(value: Any) -> Any:
  if isinstance(value, str):
    if value.isascii():
      return value
    return value.encode('utf-8', 'backslashreplace').decode()
  if isinstance(value, tuple):
    return tuple(map(_escaped, value))
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    changed = {name: _escaped(v) for name, v in vars(value).items()}
    return dataclasses.replace(value, **changed)
  return value


def check_no_keys(texts: Mapping[str, str], config: Any) -> None:
  """Checks that no API key is about to be published.

  Args:
    texts: What is to be published, by a name for the error.
    config: Of the run; each `api_key_env` in it names an environment variable.

  Raises:
    CorpusError: Naming text and variable, never quoting the key.
  """
  for variable in _key_variables(config):
    key = os.environ.get(variable, '').strip()
    for name, text in texts.items():
      if len(key) >= _SHORTEST_KEY and key in text:
        raise CorpusError(
          f'{name}: holds the API key of the environment variable '
          f'{variable}; pass keys in the environment only'
        )


def _key_variables(config: Any) -> Iterator[str]:
  if isinstance(config, Mapping):
    for key, value in config.items():
      if key == 'api_key_env' and isinstance(value, str):
        yield value
      yield from _key_variables(value)
  elif isinstance(config, list | tuple):
    for value in config:
      yield from _key_variables(value)
