"""What the input says of a row is kept, whatever it is, and read back."""

import json
import pathlib

from byte_tokenizer import ByteTokenizer
from prepared_sources import prepare
from prepared_sources import write_chats
from prepared_sources import write_documents
from prepared_sources import write_jsonl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msm_jax import data
from msm_jax import storage

LENGTHS = [5, 40, 63, 64, 90, 200] * 5
CHAT = [
  {'role': 'user', 'content': 'Hello?'},
  {'role': 'assistant', 'content': 'Hello.'},
]


def read_jsonl(path: str) -> list[dict]:
  lines = pathlib.Path(path).read_text(encoding='utf-8').splitlines()
  return [json.loads(line) for line in lines]


def described(path: str) -> list[dict]:
  """The rows of a file, each with columns of its own."""
  return [
    {
      **row,
      'trait_ids': [f't{i % 3}', f't{i % 2}x'][: i % 3],
      'trait_names': [f'name{i % 3}', f'name{i % 2}x'][: i % 3],
      'genre': f'genre{i % 4}' if i % 5 else None,
      'source': 'documents',
      'plan_node': f'd{i}/s0',
      'other': i,
    }
    for i, row in enumerate(read_jsonl(path))
  ]


def write_parquet(path, rows) -> str:
  pq.write_table(pa.Table.from_pylist(rows), path)
  return str(path)


@pytest.mark.parametrize('write', [write_parquet, write_jsonl])
def test_columns_of_the_input_are_kept_for_each_document(tmp_path, write):
  suffix = 'parquet' if write is write_parquet else 'jsonl'
  rows = described(write_documents(tmp_path / 'plain.jsonl', LENGTHS))
  path = write(tmp_path / f'a.{suffix}', rows)
  prepare(tmp_path, 's', path)
  source = data.PreparedSource.open(tmp_path / 's')
  columns = ('trait_ids', 'trait_names', 'source', 'genre', 'plan_node')
  assert source.provenance == columns
  for index, row in enumerate(rows):
    document = source.document(index)
    assert {c: document[c] for c in columns} == {c: row[c] for c in columns}
    assert document['id'] == row['id']
    assert 'other' not in document
  printed = data.describe_source(source).splitlines()
  (line,) = [p for p in printed if p.startswith('provenance')]
  assert line.split(maxsplit=1)[1] == ', '.join(columns)


def test_what_is_kept_is_covered_by_the_checksums(tmp_path):
  rows = described(write_documents(tmp_path / 'plain.jsonl', LENGTHS))
  source = prepare(tmp_path, 's', write_jsonl(tmp_path / 'a.jsonl', rows))
  file = pathlib.Path(source.path) / 'documents.parquet'
  table = pq.read_table(file)
  index = table.schema.get_field_index('genre')
  pq.write_table(
    table.set_column(index, 'genre', pa.array(['x'] * len(table))), file
  )
  with pytest.raises(storage.CorruptError, match=r'documents\.parquet'):
    data.PreparedSource.open(source.path)


def test_provenance_changes_no_batch_and_no_fingerprint_of_batches(tmp_path):
  plain = write_documents(tmp_path / 'plain.jsonl', LENGTHS)
  rows = described(plain)
  a = prepare(tmp_path, 'a', plain)
  b = prepare(tmp_path, 'b', write_jsonl(tmp_path / 'b.jsonl', rows))
  assert a.fingerprint == b.fingerprint
  assert a.provenance == ()
  for shard in a.info['shards']:
    for one, other in [(a.path, b.path)]:
      name = shard['name']
      assert (pathlib.Path(one) / name).read_bytes() == (
        pathlib.Path(other) / name
      ).read_bytes()


def test_the_documents_of_each_segment_can_be_asked_for(tmp_path):
  rows = described(write_documents(tmp_path / 'plain.jsonl', LENGTHS))
  by_id = {row['id']: row for row in rows}
  source = prepare(tmp_path, 's', write_jsonl(tmp_path / 'a.jsonl', rows))
  seen = 0
  for index in range(len(source)):
    segments = source.origins(index)
    for (_, document, _), known in zip(
      segments, source.documents_of(index), strict=True
    ):
      assert known['id'] == document
      assert known['trait_ids'] == by_id[document]['trait_ids']
      seen += 1
  assert seen > len(rows)


def test_conversations_keep_theirs_also_where_some_are_dropped(tmp_path):
  rows = [
    {**row, 'trait_ids': [f't{i}'], 'variant': 'think'}
    for i, row in enumerate(
      read_jsonl(write_chats(tmp_path / 'plain.jsonl', 6, answer=20))
    )
  ]
  rows[2]['messages'] = [CHAT[0], {'role': 'assistant', 'content': 'x' * 99}]
  source = prepare(
    tmp_path,
    's',
    write_jsonl(tmp_path / 'a.jsonl', rows),
    on_long_conversation='drop',
  )
  kept = [source.document(i) for i in range(5)]
  assert [d['id'] for d in kept] == ['c0', 'c1', 'c3', 'c4', 'c5']
  assert [d['trait_ids'] for d in kept] == [[f't{i}'] for i in (0, 1, 3, 4, 5)]
  assert {d['variant'] for d in kept} == {'think'}


def test_files_with_and_without_a_column_make_one_source(tmp_path):
  plain = write_jsonl(tmp_path / 'a.jsonl', [{'id': 'a', 'text': 'aa'}])
  known = write_parquet(
    tmp_path / 'b.parquet', [{'id': 'b', 'text': 'bb', 'genre': 'blog'}]
  )
  source = data.prepare_source(
    [plain, known],
    ByteTokenizer(),
    tmp_path / 's',
    seq_len=64,
  )
  assert [source.document(i)['genre'] for i in range(2)] == [None, 'blog']


def test_columns_of_other_types_are_kept_as_json(tmp_path):
  """Others call their columns `source`, too."""
  rows = [
    {'text': 'a', 'source': {'url': 'é', 'n': 1}, 'trait_ids': 'one'},
    {'text': 'b', 'source': 7, 'trait_ids': [1, 'two'], 'genre': ['x']},
  ]
  source = prepare(tmp_path, 's', write_jsonl(tmp_path / 'a.jsonl', rows))
  first, second = source.document(0), source.document(1)
  assert json.loads(first['source']) == rows[0]['source']
  assert (second['source'], second['genre']) == ('7', '["x"]')
  assert (first['trait_ids'], second['trait_ids']) == (['one'], ['1', 'two'])


def test_a_column_that_is_no_unicode_is_named(tmp_path):
  rows = [{'id': 'bad', 'text': 'a', 'trait_ids': ['x\ud800']}]
  path = write_jsonl(tmp_path / 'a.jsonl', rows)
  with pytest.raises(data.SourceError, match=r"'bad'\): trait_ids.*surrogate"):
    list(data.read_items([path]))
