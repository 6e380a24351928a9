"""The local copy of files in buckets: right, bounded, and shared."""

import hashlib
import json
import pathlib
import resource
import signal
import subprocess
import sys
import threading

import gcs
import pytest

from msm_jax import storage
from msm_jax.storage import _cache

ROOT = pathlib.Path(__file__).parent.parent
SIZE = 1000
_CHILD = """
import json, pathlib, sys
from msm_jax import storage
from msm_jax.storage import _cache

folder, size = pathlib.Path(sys.argv[1]), int(sys.argv[2])
_cache._PIECE = 100
cache = storage.Cache(folder, size)
for line in sys.stdin:
  url, expected = json.loads(line)
  with cache.hold(url, expected) as held:
    print(held.path.read_bytes()[:4].decode(), flush=True)
"""


@pytest.fixture
def put(cloud):
  """Puts a file of `SIZE` bytes; returns its URL and what is expected."""

  def put(name):
    data = name.encode().ljust(SIZE, b'.')
    storage.write_atomic(f'gs://{gcs.BUCKET}/{name}', data)
    sha256 = hashlib.sha256(data).hexdigest()
    return f'gs://{gcs.BUCKET}/{name}', {'bytes': SIZE, 'sha256': sha256}

  return put


@pytest.fixture
def cache(tmp_path):
  """Room for three files."""
  return storage.Cache(tmp_path / 'cache', 3 * SIZE)


def downloads(cloud, name=''):
  return [r for r in cloud.requests if 'alt=media' in r and name in r]


def entries(cache):
  """The first bytes of what is there, but locks."""
  return sorted(
    p.read_bytes()[:1].decode()
    for p in cache.directory.iterdir()
    if p.name != 'lock'
  )


def child(cache, cloud):
  return subprocess.Popen(
    [sys.executable, '-c', _CHILD, str(cache.directory), str(cache.max_bytes)],
    cwd=ROOT,
    env=cloud.environment,
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )


def ask(process, file):
  process.stdin.write(json.dumps(file) + '\n')
  process.stdin.flush()


def test_a_file_is_fetched_once_and_is_the_bytes_of_its_manifest(
  cache, cloud, put
):
  file = put('a')
  for _ in range(3):
    with cache.hold(*file) as held:
      data = held.path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == file[1]['sha256']
  assert len(downloads(cloud)) == 1


def test_the_same_content_elsewhere_is_not_fetched(cache, cloud, put):
  url, expected = put('a')
  cache.hold(url, expected).close()
  cache.hold(f'gs://{gcs.BUCKET}/copy-that-is-not-even-there', expected).close()
  assert len(downloads(cloud)) == 1


def test_what_was_used_least_recently_goes_first_and_the_bound_holds(
  cache, cloud, put
):
  files = {name: put(name) for name in 'abcd'}
  for name in 'abcad':
    cache.hold(*files[name]).close()
    used = sum(p.stat().st_size for p in cache.directory.iterdir())
    assert used <= cache.max_bytes
  assert entries(cache) == ['a', 'c', 'd']


def test_what_somebody_reads_is_not_evicted(cache, cloud, put):
  files = {name: put(name) for name in 'abcd'}
  cache.hold(*files['a']).close()
  held = cache.hold(*files['a'])  # Not by who fetched it.
  for name in 'bcdbcd':
    cache.hold(*files[name]).close()
  assert entries(cache)[0] == 'a'
  assert held.path.read_bytes()[:1] == b'a'
  held.close()
  for name in 'bcd':
    cache.hold(*files[name]).close()
  assert entries(cache) == ['b', 'c', 'd']


def test_a_file_for_which_there_is_no_room_is_an_error_that_says_so(
  cache, cloud, put
):
  files = {name: put(name) for name in 'abcd'}
  held = [cache.hold(*files[name]) for name in 'abc']
  with pytest.raises(
    storage.CacheFullError,
    match=r'/d: no room for its 1,000 .* 3,000 of 3,000 .*MSM_JAX_CACHE_GB',
  ):
    cache.hold(*files['d'])
  small = storage.Cache(cache.directory, SIZE - 1)
  with pytest.raises(storage.CacheFullError, match=r'has 1,000 bytes.* 999 in'):
    small.hold(*files['d'])
  assert not downloads(cloud, '/o/d')
  assert entries(cache) == ['a', 'b', 'c']
  del held


@pytest.mark.parametrize('damage', ['flipped', 'shorter', 'longer'])
def test_a_damaged_entry_is_fetched_again(cache, cloud, put, damage):
  file = put('a')
  with cache.hold(*file) as held:
    good, path = held.path.read_bytes(), held.path
  bad = {'flipped': b'b' + good[1:], 'shorter': good[:-1]}
  path.write_bytes(bad.get(damage, good + b'.'))
  with cache.hold(*file) as held:
    assert held.path.read_bytes() == good
  assert len(downloads(cloud)) == 2


def test_what_is_garbled_on_its_way_is_fetched_again(cache, cloud, put):
  file = put('a')
  cloud.fail('alt=media', 'garbled')
  with cache.hold(*file) as held:
    data = held.path.read_bytes()
  assert hashlib.sha256(data).hexdigest() == file[1]['sha256']


@pytest.mark.parametrize('data', [b'b' * SIZE, b'b', None])
def test_a_bucket_that_holds_something_else_is_an_error(
  cache, cloud, put, data
):
  url, expected = put('a')
  if data is None:
    storage.remove_tree(url)
  else:
    storage.write_atomic(url, data)
  with pytest.raises(storage.CorruptError, match=f'{url}: .*manifest'):
    cache.hold(url, expected)
  assert not entries(cache)


def test_a_full_disk_is_an_error_before_anything_is_fetched(cache, cloud, put):
  file = put('a')
  code = (
    'import sys; from msm_jax import storage; import pathlib\n'
    'cache = storage.Cache(pathlib.Path(sys.argv[1]), 10 ** 6)\n'
    f'cache.hold(*{file!r})\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code, str(cache.directory)],
    cwd=ROOT,
    env=cloud.environment,
    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900)),
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 1
  assert 'no room for its 1,000 bytes' in done.stderr
  assert not downloads(cloud)
  assert not entries(cache)


def test_many_processes_fetch_each_file_once(cache, cloud, put):
  files = [put(name) for name in 'abc']
  processes = [child(cache, cloud) for _ in range(3)]
  for process in processes:
    for file in files:
      ask(process, file)
  for process in processes:
    out, _ = process.communicate()
    assert process.returncode == 0
    assert out.split() == ['a...', 'b...', 'c...']
  # In pieces of 100 bytes.
  assert len(downloads(cloud)) == 3 * SIZE // 100
  assert entries(cache) == ['a', 'b', 'c']


def test_many_processes_with_too_little_room_each_read_what_is_right(
  tmp_path, cloud, put
):
  cache = storage.Cache(tmp_path / 'cache', 3 * SIZE)
  files = [put(name) for name in 'abcdef']
  processes = [child(cache, cloud) for _ in range(3)]
  for turn, process in enumerate(processes):
    for index in range(18):
      ask(process, files[(index * (turn + 1) + turn) % 6])
  for turn, process in enumerate(processes):
    out, _ = process.communicate()
    assert process.returncode == 0
    assert out.split() == [
      'abcdef'[(index * (turn + 1) + turn) % 6] + '...' for index in range(18)
    ]
  assert sum(p.stat().st_size for p in cache.directory.iterdir()) <= 3 * SIZE


def test_a_downloader_that_is_killed_holds_up_nobody(cache, cloud, put):
  file = put('a')
  cloud.fail('alt=media', 'silent', skip=3)
  victim = child(cache, cloud)
  ask(victim, file)
  cloud.wait_for('alt=media', 4)
  (part,) = [p for p in cache.directory.iterdir() if p.name.endswith('.part')]
  assert part.stat().st_size == SIZE
  other = child(cache, cloud)  # Waits for the first, which gets no further.
  ask(other, file)
  victim.send_signal(signal.SIGKILL)
  victim.wait()
  assert other.communicate()[0] == 'a...\n'
  assert entries(cache) == ['a']


def test_room_that_a_killed_downloader_took_is_given_back(cache, cloud, put):
  files = {name: put(name) for name in 'abcd'}
  cloud.fail('/o/d.*alt=media', 'silent')
  victim = child(cache, cloud)
  ask(victim, files['d'])
  cloud.wait_for('/o/d.*alt=media', 1)
  cache.hold(*files['a']).close()
  victim.send_signal(signal.SIGKILL)
  victim.wait()
  held = [cache.hold(*files[name]) for name in 'abc']
  assert entries(cache) == ['a', 'b', 'c']
  del held


def test_an_entry_evicted_before_it_is_locked_is_fetched_again(
  cache, cloud, put, monkeypatch
):
  file = put('a')
  cache.hold(*file).close()
  real, once = _cache.fcntl.flock, []

  def flock(descriptor, operation):
    if operation == _cache.fcntl.LOCK_SH and not once:
      once.append(True)
      (cache.directory / file[1]['sha256']).unlink()
    return real(descriptor, operation)

  monkeypatch.setattr(_cache.fcntl, 'flock', flock)
  with cache.hold(*file) as held:
    assert held.path.read_bytes()[:1] == b'a'
  assert len(downloads(cloud)) == 2


def test_threads_of_one_process_share_it_too(cache, cloud, put):
  file = put('a')
  found = []
  threads = [
    threading.Thread(
      target=lambda: found.append(cache.hold(*file).path.read_bytes())
    )
    for _ in range(8)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(found) == 8
  assert len(set(found)) == 1
  assert len(downloads(cloud)) == 1


def test_the_environment_says_where_and_how_much(monkeypatch, tmp_path):
  monkeypatch.setenv('MSM_JAX_CACHE_DIR', str(tmp_path / 'here'))
  monkeypatch.setenv('MSM_JAX_CACHE_GB', '0.5')
  assert storage.default_cache() == storage.Cache(
    tmp_path / 'here', 500_000_000
  )
  monkeypatch.delenv('MSM_JAX_CACHE_DIR')
  monkeypatch.delenv('MSM_JAX_CACHE_GB')
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  assert storage.default_cache() == storage.Cache(
    tmp_path / 'msm_jax', 64 * 10**9
  )
  for bad in ('much', '0', '-1', 'nan', 'inf'):
    monkeypatch.setenv('MSM_JAX_CACHE_GB', bad)
    with pytest.raises(ValueError, match=f'MSM_JAX_CACHE_GB={bad}: expected'):
      storage.default_cache()
