"""Prepared sources in a bucket are read as those on the disk are."""

from byte_tokenizer import ByteTokenizer
import gcs
import numpy as np
from prepared_sources import prepare
from prepared_sources import write_documents
import pytest

from msm_jax import data
from msm_jax import storage
from msm_jax.storage import _gcs

PLACE = f'gs://{gcs.BUCKET}/prepared'


@pytest.fixture
def local(tmp_path):
  """Five shards."""
  lengths = np.random.default_rng(0).integers(5, 100, 90).tolist()
  docs = write_documents(tmp_path / 'docs.jsonl', lengths)
  return prepare(tmp_path, 'local', docs, shards=5)


@pytest.fixture
def bucket(cloud, local, tmp_path, monkeypatch):
  """Publishes the same in a bucket; returns how many bytes its shards have."""

  async def wait(seconds):
    del seconds

  monkeypatch.setattr(_gcs, 'wait', wait)
  monkeypatch.setenv('MSM_JAX_CACHE_DIR', str(tmp_path / 'cache'))
  with storage.publish(PLACE, kind='prepared') as publication:
    manifest = storage.read_manifest(local.path)
    for name in manifest.files:
      file = publication.dir / name
      file.write_bytes(storage.read_bytes(f'{local.path}/{name}'))
    publication.info.update(manifest.info)
  cloud.heal()
  files = storage.read_manifest(PLACE).files
  return {n: f['bytes'] for n, f in files.items() if n.startswith('shard')}


def assert_same(source, local):
  order = np.random.default_rng(1).permutation(len(local)).tolist()
  for index in order:
    ours, theirs = source[index], local[index]
    for key in theirs:
      np.testing.assert_array_equal(ours[key], theirs[key])
  assert source.fingerprint == local.fingerprint
  assert source.documents.equals(local.documents)
  np.testing.assert_array_equal(source.counts, local.counts)


def cached(tmp_path):
  return sum(p.stat().st_size for p in (tmp_path / 'cache').iterdir())


def test_a_source_in_a_bucket_is_the_one_on_the_disk(bucket, local):
  assert len(bucket) == 5
  assert_same(data.PreparedSource.open(PLACE), local)


def test_a_source_that_was_prepared_into_a_bucket_is_read_from_there(
  cloud, local, tmp_path, monkeypatch
):
  monkeypatch.setenv('MSM_JAX_CACHE_DIR', str(tmp_path / 'cache'))
  source = data.prepare_source(
    [str(tmp_path / 'docs.jsonl')],
    ByteTokenizer(),
    PLACE,
    seq_len=64,
    shards=2,
  )
  assert_same(source, local)


def test_a_cache_of_one_shard_is_enough(
  bucket, local, tmp_path, monkeypatch, caplog
):
  room = max(bucket.values()) + 10_000
  monkeypatch.setenv('MSM_JAX_CACHE_GB', str(room / 1e9))
  monkeypatch.setattr('msm_jax.log.logger.propagate', True)
  source = data.PreparedSource.open(PLACE)
  assert 'MSM_JAX_CACHE_GB' in caplog.text
  for index in range(0, len(local), 7):
    np.testing.assert_array_equal(
      source[index]['tokens'], local[index]['tokens']
    )
    assert cached(tmp_path) <= room


def test_shards_are_fetched_ahead_of_need(cloud, bucket):
  source = data.PreparedSource.open(PLACE)
  cloud.wait_for('shard.*alt=media', len(bucket))
  cloud.wait_for('counts.*alt=media', 1)
  assert source.counts.shape == (len(source), 2)


def test_a_cache_too_small_for_all_is_not_filled_ahead(
  cloud, bucket, monkeypatch
):
  room = max(bucket.values()) + 10_000
  monkeypatch.setenv('MSM_JAX_CACHE_GB', str(room / 1e9))
  source = data.PreparedSource.open(PLACE)
  source.documents  # noqa: B018 (a request that comes after)
  assert not [r for r in cloud.requests if 'shard' in r]


@pytest.mark.parametrize(
  'fault',
  [
    {'status': 429},
    {'status': 500},
    {'status': 503},
    {'kind': 'reset'},
    {'kind': 'truncated'},
    {'kind': 'short'},
    {'kind': 'garbled'},
  ],
  ids=str,
)
def test_no_fault_gives_a_wrong_byte(cloud, bucket, local, fault):
  for name in (*bucket, 'counts', 'documents'):
    cloud.fail(f'{name}.*alt=media', **fault)
  assert_same(data.PreparedSource.open(PLACE), local)


def test_a_shard_that_is_another_is_an_error_that_names_it(bucket):
  name = sorted(bucket)[3]
  storage.write_atomic(f'{PLACE}/{name}', b'x' * bucket[name])
  source = data.PreparedSource.open(PLACE)
  source[0]
  with pytest.raises(storage.CorruptError, match=f'{PLACE}/{name}: SHA-256'):
    for index in range(len(source)):
      source[index]


def test_a_source_that_was_never_prepared_says_so(cloud):
  with pytest.raises(storage.NotPublishedError, match=f'{PLACE}: no manifest'):
    data.PreparedSource.open(PLACE)
