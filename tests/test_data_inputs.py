"""Files, patterns and directories that a source is read from."""

from byte_tokenizer import ByteTokenizer
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msm_jax import data
from msm_jax import storage


@pytest.fixture(params=['local', 'gs'])
def root(request, tmp_path) -> str:
  if request.param == 'local':
    return str(tmp_path)
  request.getfixturevalue('cloud')
  return 'gs://test-bucket/here'


def write(path: str, texts: list[str]) -> str:
  storage.make_dirs(path.rpartition('/')[0])
  with storage.open_file(path, 'wb') as f:
    if path.endswith('.parquet'):
      pq.write_table(pa.table({'text': texts}), f)
    else:
      f.write(''.join(f'{{"text": "{t}"}}\n' for t in texts).encode())
  return path


def read(*inputs: str) -> list[str]:
  return [item.text for item in data.read_items(inputs)]


def test_a_directory_stands_for_its_shards_in_order(root):
  for i in (2, 0, 1):
    write(f'{root}/documents/{i:05}.parquet', [f'{i}a', f'{i}b'])
  write(f'{root}/documents/sub/x.parquet', ['deeper'])
  # What other tools leave beside shards.
  for name in ('_SUCCESS', '_metadata.parquet', '._00000.parquet'):
    storage.write_atomic(f'{root}/documents/{name}', 'no table')
  expected = ['0a', '0b', '1a', '1b', '2a', '2b']
  assert read(f'{root}/documents') == expected
  assert read(f'{root}/documents/') == expected
  assert data.detect_kind([f'{root}/documents']) == 'documents'


def test_a_pattern_stands_for_what_it_matches_in_order(root):
  for name in ('b', 'a', 'c'):
    write(f'{root}/{name}/0.jsonl', [f'{name}0'])
    write(f'{root}/{name}/1.jsonl', [f'{name}1'])
  assert read(f'{root}/*/1.jsonl') == ['a1', 'b1', 'c1']
  assert read(f'{root}/[ab]/?.jsonl') == ['a0', 'a1', 'b0', 'b1']
  assert read(f'{root}/b/*.jsonl', f'{root}/a/0.jsonl') == ['b0', 'b1', 'a0']


def test_patterns_are_relative_to_where_one_is(tmp_path, monkeypatch):
  write(f'{tmp_path}/x/0.jsonl', ['x'])
  monkeypatch.chdir(tmp_path)
  assert data.find_files(['x/*.jsonl', '*/0.jsonl']) == ['x/0.jsonl'] * 2
  monkeypatch.chdir(tmp_path / 'x')
  assert data.find_files(['*.jsonl']) == ['0.jsonl']


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(root):
  path = write(f'{root}/a[1].jsonl', ['this'])
  write(f'{root}/a1.jsonl', ['other'])
  assert read(path) == ['this']


def test_a_pattern_without_a_match_is_named(root):
  with pytest.raises(data.SourceError, match=r'nothing-\*\.parquet: matches'):
    read(f'{root}/nothing-*.parquet')


def test_a_directory_that_leaves_open_what_is_meant_is_refused(root):
  write(f'{root}/a/0.parquet', ['x'])
  write(f'{root}/a/0.jsonl', ['x'])
  with pytest.raises(data.SourceError, match='both formats'):
    read(f'{root}/a')
  write(f'{root}/b/readme.txt', [])
  with pytest.raises(data.SourceError, match=r'no file.*readme\.txt'):
    read(f'{root}/b')


def test_a_whole_corpus_is_no_source(root):
  with storage.publish(f'{root}/corpus', kind='corpus') as publication:
    (publication.dir / 'documents').mkdir()
    write(f'{publication.dir}/documents/00000.parquet', ['yes'])
    write(f'{publication.dir}/rejected.parquet', ['no'])
  with pytest.raises(data.SourceError, match=r'e\.g\. .*/corpus/documents '):
    read(f'{root}/corpus')
  assert read(f'{root}/corpus/documents') == ['yes']


def test_a_source_is_prepared_from_a_directory(root, tmp_path):
  files = [
    write(f'{root}/docs/{i:05}.parquet', [f'text {i} {j}' for j in range(9)])
    for i in range(3)
  ]
  made = [
    data.prepare_source(inputs, ByteTokenizer(), tmp_path / name, seq_len=64)
    for name, inputs in (('a', [f'{root}/docs']), ('b', files))
  ]
  assert made[0].info == made[1].info
  assert made[0].info['inputs'] == [f'{i:05}.parquet' for i in range(3)]
  assert made[0].info['documents'] == 27
