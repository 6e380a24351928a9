"""What is known of where an item comes from, kept through packing.

A corpus may say of each row which traits it is about, of which genre it is and
so on. These columns decide nothing of a batch, so fingerprints of batches leave
them alone; they are what a batch can be broken down by.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import json
from typing import Any
from typing import TypeAlias

import pyarrow as pa

Provenance: TypeAlias = Mapping[str, str | list[str]]

LISTS = ('trait_ids', 'trait_names', 'trait_types')
TEXTS = (
  'source',
  'domain',
  'genre',
  'framing',
  'variant',
  'plan_node',
  'pair_id',
)
COLUMNS = (*LISTS, *TEXTS)

_SCHEMA = pa.schema(
  [(name, pa.list_(pa.string())) for name in LISTS]
  + [(name, pa.string()) for name in TEXTS]
)


def type_of(name: str) -> pa.DataType:
  """Returns the type of one of `COLUMNS`."""
  return _SCHEMA.field(name).type


def of_row(raw: Mapping[str, Any]) -> Provenance:
  """Returns those of `COLUMNS` that a row has, as texts and lists of texts.

  What is neither text nor a list of texts is kept as its JSON: other people's
  columns may be called `source`, too.
  """
  return {
    name: _texts(raw[name]) if name in LISTS else _text(raw[name])
    for name in COLUMNS
    if raw.get(name) is not None
  }


def _text(value: Any) -> str:
  if isinstance(value, str):
    return value
  return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _texts(value: Any) -> list[str]:
  return list(map(_text, value if isinstance(value, list) else [value]))


def to_batch(rows: Sequence[Provenance]) -> pa.RecordBatch:
  """Returns all `COLUMNS` of some rows, null where a row has no value."""
  return pa.record_batch(
    [
      pa.array([row.get(field.name) for row in rows], field.type)
      for field in _SCHEMA
    ],
    schema=_SCHEMA,
  )


def to_table(batches: Sequence[pa.RecordBatch]) -> pa.Table:
  """Joins batches and leaves out the columns in which no row has a value."""
  table = pa.Table.from_batches(batches, _SCHEMA)
  known = [n for n in COLUMNS if table[n].null_count < table.num_rows]
  return table.select(known)
