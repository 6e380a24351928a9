"""Result rows: what an evaluation measured, readable without JAX.

One row per (arm, seed, suite, item, order) in Parquet. Everything the report
says is computed from these rows alone, so `read_rows` is strict: rows that
could not be compared fairly (an order missing, another set of items in one arm,
another tokenizer) are an error, never an average over what happens to be there.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import io
import math
import pathlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from msm_jax import storage

ROW_SCHEMA = pa.schema(
  [
    pa.field('arm', pa.string(), nullable=False),
    pa.field('seed', pa.int64(), nullable=False),
    pa.field('suite', pa.string(), nullable=False),
    pa.field('item', pa.string(), nullable=False),
    pa.field('order', pa.int64(), nullable=False),
    pa.field('cluster', pa.string(), nullable=False),
    pa.field('persona', pa.string()),
    pa.field('persona_value', pa.string()),
    pa.field('target', pa.string()),
    pa.field('labels', pa.list_(pa.string()), nullable=False),
    pa.field('logprobs', pa.list_(pa.float64()), nullable=False),
    pa.field('tokens', pa.list_(pa.int64()), nullable=False),
  ]
)

# float32 log-softmax of a certain token can come out a hair above zero.
_ROUNDING = 1e-3


@dataclasses.dataclass(frozen=True)
class Row:
  """One presentation of one item, scored under one arm at one seed.

  Attributes:
    arm: Name of the arm.
    seed: The experiment's seed, which pairs the arms.
    suite: Name of the suite.
    item: Identifies the item within (seed, suite); equal for all its orders.
    order: 0, 1, …: which presentation of the item this is.
    cluster: What items are resampled by, e.g. the domain.
    labels: Label of each option. Perplexity suites: `('document',)`.
    logprobs: Log-probability of each option, summed over its tokens, in nats.
    tokens: Number of scored tokens of each option.
    persona: Who was asked.
    persona_value: The value that the persona holds, if it is known.
    target: Label of the correct option, or None where none is correct.
  """

  arm: str
  seed: int
  suite: str
  item: str
  order: int
  cluster: str
  labels: tuple[str, ...]
  logprobs: tuple[float, ...]
  tokens: tuple[int, ...]
  persona: str | None = None
  persona_value: str | None = None
  target: str | None = None

  @property
  def where(self) -> str:
    """Names the row in messages."""
    return (
      f'arm {self.arm!r}, seed {self.seed}, suite {self.suite!r}, '
      f'item {self.item!r}, order {self.order}'
    )

  def __post_init__(self):
    for name in ('labels', 'logprobs', 'tokens'):
      object.__setattr__(self, name, tuple(getattr(self, name)))
    if not len(self.labels) == len(self.logprobs) == len(self.tokens) > 0:
      raise ValueError(
        f'{self.where}: labels, logprobs and tokens must have one entry per '
        f'option, have {len(self.labels)}, {len(self.logprobs)} and '
        f'{len(self.tokens)}'
      )
    if len(set(self.labels)) != len(self.labels):
      raise ValueError(f'{self.where}: labels {self.labels} repeat')
    for label, value, count in zip(
      self.labels, self.logprobs, self.tokens, strict=True
    ):
      if not math.isfinite(value) or value > _ROUNDING:
        raise ValueError(
          f'{self.where}: logprob of {label!r} is {value}, expected a finite '
          'log-probability in nats (≤ 0); the model or its scorer is broken'
        )
      if count < 1:
        raise ValueError(
          f'{self.where}: option {label!r} has {count} scored tokens, '
          'expected at least 1'
        )
    if self.target is not None and self.target not in self.labels:
      raise ValueError(
        f'{self.where}: target {self.target!r} is not one of its labels '
        f'{list(self.labels)}'
      )

  @property
  def key(self) -> tuple[str, int, str, str, int]:
    return (self.arm, self.seed, self.suite, self.item, self.order)


def write_rows(
  path: str | pathlib.Path, rows: Iterable[Row | Mapping[str, Any]]
) -> None:
  """Writes rows as Parquet, atomically, after checking each.

  Args:
    path: Local or `gs://` file.
    rows: `Row`s, or mappings with their fields.

  Raises:
    ValueError: If a row is not valid, or two have the same key.
  """
  checked = [_as_row(r) for r in rows]
  _check_unique(checked)
  table = pa.Table.from_pylist(
    [dataclasses.asdict(r) for r in checked], schema=ROW_SCHEMA
  )
  buffer = io.BytesIO()
  pq.write_table(table, buffer, compression='zstd')
  storage.write_atomic(path, buffer.getvalue())


def read_rows(
  paths: str | pathlib.Path | Sequence[str | pathlib.Path],
) -> list[Row]:
  """Reads and validates the rows of one or more files.

  Raises:
    FileNotFoundError: If a file does not exist.
    ValueError: If a file has other columns, a row is not valid, or the rows
      taken together could not be compared (see `validate`).
  """
  if isinstance(paths, str | pathlib.Path):
    paths = [paths]
  if not paths:
    raise ValueError('no row files given; expected at least one rows.parquet')
  rows: list[Row] = []
  for path in paths:
    rows += _read_file(path)
  validate(rows)
  return rows


def validate(rows: Sequence[Row]) -> None:
  """Checks that rows can be compared fairly.

  Raises:
    ValueError: Two rows have one key; an item lacks an order that others of its
      suite have; within one (seed, suite) an arm has other items than another,
      or the same item differs in anything but its log-probabilities.
  """
  _check_unique(rows)
  _check_orders(rows)
  _check_paired(rows)


def _as_row(raw: Row | Mapping[str, Any]) -> Row:
  if isinstance(raw, Row):
    return raw
  known = {f.name for f in dataclasses.fields(Row)}
  if unknown := sorted(set(raw) - known):
    raise ValueError(f'row has unknown fields {unknown}; knows {sorted(known)}')
  try:
    return Row(**raw)
  except TypeError as e:
    raise ValueError(f'row {dict(raw)} is incomplete: {e}') from e


def _read_file(path: str | pathlib.Path) -> list[Row]:
  if not storage.exists(path):
    raise FileNotFoundError(f'{path}: no such file; run the evaluation first')
  try:
    table = pq.read_table(io.BytesIO(storage.read_bytes(path)))
  except pa.ArrowInvalid as e:
    raise ValueError(f'{path}: is not a Parquet file: {e}') from e
  if missing := [n for n in ROW_SCHEMA.names if n not in table.column_names]:
    raise ValueError(
      f'{path}: lacks the columns {missing}; expected {ROW_SCHEMA.names}'
    )
  try:
    # Arrow would turn the number 3 into the string '3'; that is not a row.
    for field in ROW_SCHEMA:
      stored = table.schema.field(field.name).type
      if pa.types.is_string(field.type) and not (
        pa.types.is_string(stored)
        or pa.types.is_large_string(stored)
        or pa.types.is_null(stored)
        or pa.types.is_dictionary(stored)
      ):
        raise pa.ArrowInvalid(f'column {field.name!r} has type {stored}')
    table = table.select(ROW_SCHEMA.names).cast(ROW_SCHEMA)
    return [Row(**raw) for raw in table.to_pylist()]
  except (ValueError, TypeError) as e:
    raise ValueError(f'{path}: {e}') from e


def _check_unique(rows: Sequence[Row]) -> None:
  seen = set()
  for row in rows:
    if row.key in seen:
      raise ValueError(
        f'{row.where}: occurs twice; expected one row per (arm, seed, suite, '
        'item, order)'
      )
    seen.add(row.key)


def _check_orders(rows: Sequence[Row]) -> None:
  orders_of_suite: dict[str, set[int]] = {}
  orders_of_item: dict[tuple[str, int, str, str], set[int]] = {}
  for row in rows:
    orders_of_suite.setdefault(row.suite, set()).add(row.order)
    orders_of_item.setdefault(row.key[:4], set()).add(row.order)
  for (arm, seed, suite, item), orders in orders_of_item.items():
    if missing := sorted(orders_of_suite[suite] - orders):
      raise ValueError(
        f'arm {arm!r}, seed {seed}, suite {suite!r}, item {item!r}: lacks '
        f'order {missing}, which other items of the suite have; scores are '
        'averaged over the orders, so evaluate all of them'
      )


def _check_paired(rows: Sequence[Row]) -> None:
  """Within (seed, suite), every arm answers the very same questions."""
  suites: dict[tuple[int, str], dict[str, dict[tuple[str, int], Row]]] = {}
  for row in rows:
    by_arm = suites.setdefault((row.seed, row.suite), {})
    by_arm.setdefault(row.arm, {})[row.item, row.order] = row
  same = ('cluster', 'persona', 'persona_value', 'target', 'labels', 'tokens')
  for (seed, suite), by_arm in suites.items():
    (first, reference), *others = by_arm.items()
    for arm, cell in others:
      where = f'seed {seed}, suite {suite!r}'
      if different := sorted({k[0] for k in set(reference) ^ set(cell)}):
        raise ValueError(
          f'{where}: the arms {first!r} and {arm!r} answer different items, '
          f'e.g. {different[:3]} ({len(different)} in all); arms are compared '
          'item by item, so evaluate both on the same suite file'
        )
      for key, other in cell.items():
        for name in same:
          a, b = getattr(reference[key], name), getattr(other, name)
          if a != b:
            raise ValueError(
              f'{where}, item {key[0]!r}, order {key[1]}: {name} is {a!r} '
              f'in arm {first!r} and {b!r} in arm {arm!r}; the arms were '
              'evaluated with different suite files or tokenizers'
            )
