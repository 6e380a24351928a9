import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msm_jax import data

USER = {'role': 'user', 'content': 'Hello?'}
ASSISTANT = {'role': 'assistant', 'content': 'Hello.'}


def write_jsonl(path, rows) -> str:
  path.write_text(''.join(json.dumps(r) + '\n' for r in rows))
  return str(path)


def write_parquet(path, rows, **options) -> str:
  pq.write_table(pa.Table.from_pylist(rows), path, **options)
  return str(path)


WRITERS = {'parquet': write_parquet, 'jsonl': write_jsonl}
both_formats = pytest.mark.parametrize('suffix', WRITERS)


@both_formats
def test_documents_come_in_order_with_id_and_row(tmp_path, suffix):
  rows = [{'id': f'd{i}', 'text': f'text {i}', 'genre': 'x'} for i in range(5)]
  path = WRITERS[suffix](tmp_path / f'a.{suffix}', rows)
  items = list(data.read_items([path]))
  assert items == [
    data.Document(f'd{i}', f'text {i}', path, i) for i in range(5)
  ]


@both_formats
def test_conversations_come_in_order_with_their_messages(tmp_path, suffix):
  rows = [{'id': i, 'messages': [USER, ASSISTANT], 'x': 1} for i in range(3)]
  path = WRITERS[suffix](tmp_path / f'a.{suffix}', rows)
  items = list(data.read_items([path]))
  assert [i.id for i in items] == ['0', '1', '2']
  assert items[1] == data.Conversation('1', (USER, ASSISTANT), path, 1)


def test_rows_of_all_row_groups_are_read(tmp_path):
  rows = [{'text': str(i)} for i in range(2500)]
  path = write_parquet(tmp_path / 'a.parquet', rows, row_group_size=700)
  items = list(data.read_items([path]))
  assert [i.text for i in items] == [str(i) for i in range(2500)]
  assert [i.row for i in items] == list(range(2500))


@both_formats
def test_a_missing_id_becomes_file_and_row(tmp_path, suffix):
  rows = [{'id': 'x', 'text': 'a'}, {'id': None, 'text': 'b'}]
  path = WRITERS[suffix](tmp_path / f'a.{suffix}', rows)
  assert [i.id for i in data.read_items([path])] == ['x', f'a.{suffix}:1']


def test_two_files_of_one_name_give_different_ids(tmp_path):
  paths = []
  for folder in ('x', 'y'):
    (tmp_path / folder).mkdir()
    paths.append(write_jsonl(tmp_path / folder / 'a.jsonl', [{'text': 'a'}]))
  ids = [i.id for i in data.read_items(paths)]
  assert ids == [f'{p}:0' for p in paths]


def test_blank_lines_are_skipped_but_counted(tmp_path):
  path = tmp_path / 'a.jsonl'
  path.write_text('{"text": "a"}\n\n{"text": "b"}\n')
  assert [i.row for i in data.read_items([path])] == [0, 2]


def test_text_is_taken_as_it_is(tmp_path):
  text = '  \n\n<|user|>\t\u2581 e\u0301 \U0001f600\u2028\n'
  path = write_jsonl(tmp_path / 'a.jsonl', [{'text': text}])
  assert next(data.read_items([path])).text == text


def refuse(paths, *needles, kind='auto'):
  if isinstance(paths, str):
    paths = [paths]
  with pytest.raises(data.SourceError) as error:
    list(data.read_items(paths, kind))
  for needle in needles:
    assert needle in str(error.value)


def test_an_empty_source_is_refused(tmp_path):
  (tmp_path / 'a.jsonl').write_text('')
  refuse(str(tmp_path / 'a.jsonl'), 'a.jsonl', 'empty')
  refuse(str(tmp_path / 'a.jsonl'), 'a.jsonl', 'empty', kind='documents')
  schema = pa.schema([('text', pa.string())])
  pq.write_table(schema.empty_table(), tmp_path / 'b.parquet')
  full = write_jsonl(tmp_path / 'c.jsonl', [{'text': 'a'}])
  refuse([full, str(tmp_path / 'b.parquet')], 'b.parquet', 'empty')
  refuse([], 'no input')


@both_formats
@pytest.mark.parametrize(
  ('messages', 'needles'),
  [
    ([USER], ['no assistant turn', "['user']"]),
    ([], ['messages', 'at least one']),
    ([{'role': 'tool', 'content': 'x'}, ASSISTANT], ['messages[0]', "'tool'"]),
    ([USER, {'role': 'assistant', 'content': None}], ['messages[1].content']),
    ([USER, {'role': None, 'content': 'x'}], ['messages[1].role', 'None']),
    ([USER, {**ASSISTANT, 'tool_calls': 'f()'}], ['messages[1]', 'tool_calls']),
  ],
  ids=['no assistant', 'none', 'unknown role', 'null', 'no role', 'extra'],
)
def test_a_conversation_that_cannot_be_trained_on_is_named(
  tmp_path, suffix, messages, needles
):
  rows = [
    {'id': 'good', 'messages': [USER, ASSISTANT]},
    {'id': 'bad', 'messages': messages},
  ]
  path = WRITERS[suffix](tmp_path / f'a.{suffix}', rows)
  refuse(path, path, 'row 1', "'bad'", *needles)


@both_formats
@pytest.mark.parametrize('text', [None, '', 7])
def test_a_document_without_text_is_named(tmp_path, suffix, text):
  rows = [{'id': 'bad', 'text': text}]
  path = WRITERS[suffix](tmp_path / f'a.{suffix}', rows)
  refuse(path, path, 'row 0', "'bad'", 'text')


def test_invalid_utf8_in_jsonl_names_the_line(tmp_path):
  path = tmp_path / 'a.jsonl'
  path.write_bytes(b'{"text": "fine"}\n{"text": "caf\xe9"}\n')
  refuse(str(path), str(path), 'row 1', 'line 2', 'UTF-8', '0xe9')


def test_invalid_utf8_in_parquet_names_the_row(tmp_path):
  raw = pa.array([b'fine'] * 1500 + [b'caf\xe9', b'fine'], pa.binary())
  text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
  pq.write_table(pa.table({'text': text}), tmp_path / 'a.parquet')
  refuse(str(tmp_path / 'a.parquet'), 'a.parquet', 'row 1500', 'UTF-8', '0xe9')


@pytest.mark.parametrize(
  'row',
  [
    {'text': 'a\ud800'},
    {'messages': [USER, {'role': 'assistant', 'content': 'a\ud800'}]},
  ],
  ids=['document', 'conversation'],
)
def test_a_lone_surrogate_is_named(tmp_path, row):
  path = write_jsonl(tmp_path / 'a.jsonl', [row])
  refuse(path, 'row 0', 'surrogate', 'character 1')


def test_a_line_that_is_not_an_object_is_named(tmp_path):
  path = tmp_path / 'a.jsonl'
  path.write_text('{"text": "a"}\n{"text": \n')
  refuse(str(path), 'row 1', 'not JSON')
  path.write_text('{"text": "a"}\n[1]\n')
  refuse(str(path), 'row 1', 'list')


def test_a_parquet_file_that_was_cut_short_is_named(tmp_path):
  path = write_parquet(tmp_path / 'a.parquet', [{'text': 'a' * 1000}])
  content = (tmp_path / 'a.parquet').read_bytes()
  (tmp_path / 'a.parquet').write_bytes(content[: len(content) // 2])
  refuse(path, path, 'not a complete Parquet file')


def test_a_kind_that_cannot_be_told_is_asked_for(tmp_path):
  both = write_jsonl(
    tmp_path / 'a.jsonl', [{'text': 'a', 'messages': [USER, ASSISTANT]}]
  )
  refuse(both, 'both', 'documents or conversations')
  assert isinstance(
    next(data.read_items([both], 'conversations')), data.Conversation
  )
  neither = write_jsonl(tmp_path / 'b.jsonl', [{'body': 'a'}])
  refuse(neither, 'neither', 'body')
  refuse(both, "'chats'", kind='chats')


def test_documents_and_conversations_do_not_mix(tmp_path):
  a = write_jsonl(tmp_path / 'a.jsonl', [{'text': 'a'}])
  b = write_jsonl(tmp_path / 'b.jsonl', [{'messages': [USER, ASSISTANT]}])
  refuse([a, b], 'two sources')
  refuse([a, b], 'b.jsonl', 'row 0', 'text', kind='documents')


def test_a_column_that_is_missing_is_named(tmp_path):
  path = write_parquet(
    tmp_path / 'a.parquet', [{'messages': [USER, ASSISTANT]}]
  )
  refuse(path, "'text'", "['messages']", kind='documents')


def test_a_file_of_another_format_is_refused(tmp_path):
  refuse(str(tmp_path / 'a.csv'), 'a.csv', '.parquet or .jsonl')
