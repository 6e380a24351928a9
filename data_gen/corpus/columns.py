"""Rows as Arrow columns, and back, exactly.

The schema follows from the dataclasses: lineage and verdicts are lists of
structs, messages a list of `{role, content}`. Beside a row's fields there is
`trait_names`, for people, which reading leaves alone.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import types
from typing import Any
from typing import get_args
from typing import get_origin
from typing import get_type_hints

import pyarrow as pa

from data_gen.corpus.rows import GateVerdict
from data_gen.corpus.rows import Row
from data_gen.corpus.rows import Step

DOCUMENT_ONLY = ('text', 'masked_prefix')
CHAT_ONLY = ('messages',)
TRAIT_NAMES = 'trait_names'

_SCALARS = {
  str: pa.string(),
  bool: pa.bool_(),
  int: pa.int64(),
  float: pa.float64(),
}
_MESSAGE = pa.struct([('role', pa.string()), ('content', pa.string())])
_RECORDS = {'lineage': Step, 'verdicts': GateVerdict}
_TUPLES = ('trait_ids', 'trait_types')
_NAMES = tuple(f.name for f in dataclasses.fields(Row))


def _arrow_type(hint: Any) -> pa.DataType:
  """The Arrow type of a field; every one may be null."""
  if isinstance(hint, types.UnionType):
    (hint,) = (h for h in get_args(hint) if h is not type(None))
  if get_origin(hint) is tuple:
    item = get_args(hint)[0]
    # The only tuples in a tuple are (role, content).
    inner = _MESSAGE if get_origin(item) is tuple else _arrow_type(item)
    return pa.list_(inner)
  if dataclasses.is_dataclass(hint):
    hints = get_type_hints(hint)
    return pa.struct([(name, _arrow_type(h)) for name, h in hints.items()])
  return _SCALARS[hint]


def schema(leave_out: Sequence[str] = ()) -> pa.Schema:
  """Returns the columns of a file, without some."""
  fields = []
  for name, hint in get_type_hints(Row).items():
    if name not in leave_out:
      fields.append(pa.field(name, _arrow_type(hint)))
    if name == 'trait_ids':
      fields.append(pa.field(TRAIT_NAMES, pa.list_(pa.string())))
  return pa.schema(fields)


def to_dict(row: Row, trait_names: Mapping[str, str]) -> dict[str, Any]:
  """Returns a row as JSON-like values, all columns.

  Args:
    row: The row.
    trait_names: Trait id to name, for all of the row's traits.
  """
  raw = {name: getattr(row, name) for name in _NAMES}
  raw[TRAIT_NAMES] = [trait_names[t] for t in row.trait_ids]
  for name in _TUPLES:
    raw[name] = list(raw[name])
  for name in _RECORDS:
    raw[name] = [dict(vars(record)) for record in raw[name]]
  if row.messages is not None:
    raw['messages'] = [{'role': r, 'content': c} for r, c in row.messages]
  return raw


def from_dict(raw: Mapping[str, Any]) -> Row:
  """Inverts `to_dict`; columns that a file leaves out have their defaults."""
  values = {name: raw[name] for name in _NAMES if name in raw}
  for name in _TUPLES:
    values[name] = tuple(values[name])
  for name, cls in _RECORDS.items():
    values[name] = tuple(cls(**record) for record in values[name])
  if values.get('messages') is not None:
    values['messages'] = tuple(
      (m['role'], m['content']) for m in values['messages']
    )
  return Row(**values)


def to_batch(
  rows: Iterable[Row], trait_names: Mapping[str, str], columns: pa.Schema
) -> pa.RecordBatch:
  """Returns rows as one Arrow batch of some of their columns."""
  return pa.RecordBatch.from_pylist(
    [to_dict(row, trait_names) for row in rows], schema=columns
  )
