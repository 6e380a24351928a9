"""Parts of what was published in a bucket are read as its manifest has them."""

import gcs
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msm_jax import data
from msm_jax import storage
from msm_jax.storage import _gcs

CORPUS = f'gs://{gcs.BUCKET}/corpus'
TEXTS = [f'text {i} ' * 50 for i in range(300)]


@pytest.fixture
def corpus(cloud, tmp_path, monkeypatch):
  """Three Parquet shards of documents, and one of JSONL beside them."""

  async def wait(seconds):
    del seconds

  monkeypatch.setattr(_gcs, 'wait', wait)
  monkeypatch.setenv('MSM_JAX_CACHE_DIR', str(tmp_path / 'cache'))
  with storage.publish(CORPUS, kind='corpus') as publication:
    (publication.dir / 'documents').mkdir()
    for i in range(3):
      table = pa.table({'text': TEXTS[100 * i : 100 * (i + 1)]})
      pq.write_table(table, publication.dir / f'documents/{i}.parquet')
    lines = ''.join(f'{{"text": "{t}"}}\n' for t in TEXTS)
    (publication.dir / 'plain.jsonl').write_text(lines)
  cloud.heal()
  return CORPUS


def read(path):
  return [item.text for item in data.read_items([path])]


@pytest.mark.parametrize(
  'fault',
  [
    {'status': 429},
    {'status': 503},
    {'kind': 'reset'},
    {'kind': 'truncated'},
    {'kind': 'short'},
    {'kind': 'garbled'},
  ],
  ids=str,
)
@pytest.mark.parametrize('part', ['documents', 'plain.jsonl'])
def test_no_fault_gives_another_text(cloud, corpus, part, fault):
  for name in ('0.parquet', '2.parquet', 'plain'):
    cloud.fail(f'{name}.*alt=media', **fault)
  cloud.fail('GET .*manifest', **fault)
  assert read(f'{corpus}/{part}') == TEXTS


def test_each_file_is_fetched_once(cloud, corpus):
  for _ in range(3):
    assert read(f'{corpus}/documents') == TEXTS
  fetched = [r for r in cloud.requests if '.parquet?alt=media' in r]
  assert len(fetched) == 3


def test_a_stale_listing_hides_no_shard(cloud, tmp_path, monkeypatch):
  monkeypatch.setenv('MSM_JAX_CACHE_DIR', str(tmp_path / 'cache'))
  cloud.fail('GET .*/o[?]', 'stale', times=1000)
  with storage.publish(CORPUS, kind='corpus') as publication:
    (publication.dir / 'documents').mkdir()
    for i in range(3):
      table = pa.table({'text': [str(i)]})
      pq.write_table(table, publication.dir / f'documents/{i}.parquet')
  assert storage.list_dir(f'{CORPUS}/documents') == []
  assert read(f'{CORPUS}/documents') == ['0', '1', '2']
  assert read(f'{CORPUS}/documents/[12].parquet') == ['1', '2']


def test_what_was_not_published_with_it_is_no_part_of_it(corpus):
  storage.write_atomic(f'{corpus}/documents/3.parquet', b'stray')
  assert read(f'{corpus}/documents') == TEXTS


def test_a_shard_that_is_another_is_an_error(corpus):
  name = f'{corpus}/documents/1.parquet'
  data_there = storage.read_bytes(name)
  storage.write_atomic(name, data_there[:-9] + b'x' + data_there[-8:])
  with pytest.raises(storage.CorruptError, match=r'documents/1\.parquet: SHA'):
    read(f'{corpus}/documents')


def test_what_is_being_published_is_not_read(corpus):
  claim = '{"publishing": {"by": "process 7", "since": "now", "files": []}}'
  storage.write_atomic(f'{corpus}/manifest.json', claim)
  with pytest.raises(storage.NotPublishedError, match='process 7 began to pub'):
    read(f'{corpus}/documents')


def test_what_no_manifest_lists_is_streamed(cloud, tmp_path, monkeypatch):
  monkeypatch.setenv('MSM_JAX_CACHE_DIR', str(tmp_path / 'cache'))
  folder = f'gs://{gcs.BUCKET}/raw'
  storage.write_atomic(f'{folder}/manifest.json', '{"made": "by others"}')
  storage.write_atomic(f'{folder}/a/x.jsonl', '{"text": "x"}\n')
  assert read(f'{folder}/a') == ['x']
  assert not (tmp_path / 'cache').exists()
  with pytest.raises(storage.NotPublishedError, match='no manifest'):
    storage.hold(f'{folder}/a/x.jsonl')
