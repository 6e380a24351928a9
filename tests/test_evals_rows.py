"""Rows: what is written comes back, and what cannot be compared is refused."""

import dataclasses
import math
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msm_jax.evals import rows as rows_lib

BASE = rows_lib.Row(
  arm='a',
  seed=0,
  suite='ood',
  item='tea-1',
  order=0,
  cluster='tea',
  labels=('cheap', 'local'),
  logprobs=(-1.5, -2.25),
  tokens=(3, 3),
  persona='Sage',
)


def make(**changes):
  return dataclasses.replace(BASE, **changes)


def both_orders(**changes):
  return [make(order=0, **changes), make(order=1, **changes)]


def test_rows_come_back_exactly_as_they_were_written(tmp_path):
  rows = [
    *both_orders(),
    make(suite='base', persona_value='thrift', target='cheap'),
    make(suite='replay', labels=('document',), logprobs=(-80.0,), tokens=(40,)),
  ]
  path = tmp_path / 'rows.parquet'
  rows_lib.write_rows(path, rows)
  assert rows_lib.read_rows(path) == rows
  assert pq.read_schema(path).names == rows_lib.ROW_SCHEMA.names


def test_rows_of_several_files_are_read_together(tmp_path):
  for seed in (0, 1):
    rows_lib.write_rows(tmp_path / f'{seed}.parquet', both_orders(seed=seed))
  rows = rows_lib.read_rows([tmp_path / '0.parquet', tmp_path / '1.parquet'])
  assert [r.seed for r in rows] == [0, 0, 1, 1]


def test_mappings_may_be_written_and_unknown_fields_are_refused(tmp_path):
  path = tmp_path / 'rows.parquet'
  rows_lib.write_rows(path, [dataclasses.asdict(BASE)])
  assert rows_lib.read_rows(path) == [BASE]
  with pytest.raises(ValueError, match=r"unknown fields \['ordre'\]"):
    rows_lib.write_rows(path, [{**dataclasses.asdict(BASE), 'ordre': 1}])
  incomplete = dataclasses.asdict(BASE)
  del incomplete['cluster']
  with pytest.raises(ValueError, match=r'incomplete.*cluster'):
    rows_lib.write_rows(path, [incomplete])


def test_a_refused_write_leaves_the_old_file_as_it_was(tmp_path):
  path = tmp_path / 'rows.parquet'
  rows_lib.write_rows(path, both_orders())
  before = path.read_bytes()
  with pytest.raises(ValueError, match='occurs twice'):
    rows_lib.write_rows(path, [BASE, BASE])
  assert path.read_bytes() == before
  assert [p.name for p in tmp_path.iterdir()] == ['rows.parquet']


def test_a_disk_that_fills_up_leaves_the_old_file_as_it_was(tmp_path):
  path = tmp_path / 'rows.parquet'
  rows_lib.write_rows(path, both_orders())
  before = path.read_bytes()
  code = f"""
import resource, signal
from msm_jax.evals import rows
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
many = [
  rows.Row('a', 0, 's', f'item {{i}}', 0, 'c', ('x',), (-i / 7,), (1,))
  for i in range(5000)
]
try:
  rows.write_rows({str(path)!r}, many)
except OSError:
  raise SystemExit(7)
"""
  done = subprocess.run([sys.executable, '-c', code], check=False)
  assert done.returncode == 7
  assert path.read_bytes() == before
  assert [p.name for p in tmp_path.iterdir()] == ['rows.parquet']


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'logprobs': (-1.0, math.nan)}, "logprob of 'local' is nan"),
    ({'logprobs': (-math.inf, -1.0)}, "logprob of 'cheap' is -inf"),
    ({'logprobs': (0.5, -1.0)}, r"'cheap' is 0\.5.*≤ 0"),
    ({'tokens': (3, 0)}, "'local' has 0 scored tokens"),
    ({'logprobs': (-1.0,)}, 'one entry per option'),
    ({'labels': ('cheap', 'cheap')}, 'repeat'),
    ({'target': 'dear'}, "target 'dear' is not one of its labels"),
  ],
)
def test_a_row_that_cannot_be_is_refused_and_named(changes, message):
  with pytest.raises(ValueError, match=message) as error:
    make(**changes)
  assert "item 'tea-1'" in str(error.value)


def test_a_certain_token_may_round_to_just_above_zero():
  assert make(logprobs=(1e-6, -9.0)).logprobs[0] == 1e-6


def test_the_same_row_in_two_files_is_refused(tmp_path):
  for name in 'ab':
    rows_lib.write_rows(tmp_path / f'{name}.parquet', both_orders())
  with pytest.raises(ValueError, match='occurs twice'):
    rows_lib.read_rows([tmp_path / 'a.parquet', tmp_path / 'b.parquet'])


def test_an_item_that_lacks_an_order_is_refused():
  rows = [*both_orders(), make(item='tea-2')]
  with pytest.raises(ValueError, match=r"'tea-2': lacks order \[1\]"):
    rows_lib.validate(rows)


def test_arms_that_answer_different_items_are_refused():
  rows = [
    *both_orders(),
    *both_orders(arm='b'),
    *both_orders(arm='b', item='tea-2'),
  ]
  with pytest.raises(ValueError, match=r"'a' and 'b'.*\['tea-2'\].*1 in all"):
    rows_lib.validate(rows)


def test_arms_may_answer_different_items_at_different_seeds():
  rows_lib.validate(
    [
      *both_orders(seed=0, item='x'),
      *both_orders(seed=0, item='x', arm='b'),
      *both_orders(seed=1, item='y'),
      *both_orders(seed=1, item='y', arm='b'),
    ]
  )


@pytest.mark.parametrize(
  'changes',
  [
    {'tokens': (3, 4)},
    {'cluster': 'soap'},
    {'target': 'cheap'},
    {'persona': 'Mira'},
    {'persona_value': 'thrift'},
    {'labels': ('local', 'cheap')},
  ],
)
def test_an_item_that_differs_between_arms_is_refused(changes):
  rows = [*both_orders(), *both_orders(arm='b', **changes)]
  with pytest.raises(ValueError, match=f'{next(iter(changes))} is .* in arm'):
    rows_lib.validate(rows)


def test_a_missing_file_says_what_to_do(tmp_path):
  with pytest.raises(FileNotFoundError, match='run the evaluation first'):
    rows_lib.read_rows(tmp_path / 'rows.parquet')


def test_a_file_that_is_not_parquet_is_named(tmp_path):
  path = tmp_path / 'rows.parquet'
  path.write_text('arm,seed\na,0\n')
  with pytest.raises(ValueError, match=r'rows\.parquet: is not a Parquet file'):
    rows_lib.read_rows(path)


def test_a_cut_off_file_is_refused(tmp_path):
  path = tmp_path / 'rows.parquet'
  rows_lib.write_rows(path, both_orders())
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(ValueError, match='is not a Parquet file'):
    rows_lib.read_rows(path)


def test_missing_columns_are_named(tmp_path):
  path = tmp_path / 'rows.parquet'
  table = pa.Table.from_pylist(
    [dataclasses.asdict(BASE)], schema=rows_lib.ROW_SCHEMA
  )
  pq.write_table(table.drop_columns(['cluster', 'tokens']), path)
  with pytest.raises(ValueError, match=r"lacks the columns \['cluster', 'tok"):
    rows_lib.read_rows(path)


def test_a_column_of_another_type_is_refused(tmp_path):
  path = tmp_path / 'rows.parquet'
  table = pa.Table.from_pylist([{**dataclasses.asdict(BASE), 'item': 7}])
  pq.write_table(table, path)
  with pytest.raises(ValueError, match="column 'item' has type int64"):
    rows_lib.read_rows(path)


def test_an_empty_list_of_files_is_an_error():
  with pytest.raises(ValueError, match='no row files'):
    rows_lib.read_rows([])


def test_statistics_and_report_load_without_jax():
  code = (
    'import sys; import msm_jax.report, msm_jax.report.__main__, '
    'msm_jax.evals.rows, msm_jax.evals.suites, msm_jax.evals.statistics; '
    "sys.exit('jax' in sys.modules or 'jaxlib' in sys.modules)"
  )
  assert (
    subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
  )
