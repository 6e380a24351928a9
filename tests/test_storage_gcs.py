"""What befalls a request to Cloud Storage, and what becomes of it."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import fsspec
import gcs
import pytest

from msm_jax import storage
from msm_jax.storage import _gcs
from msm_jax.storage import _paths

ROOT = f'gs://{gcs.BUCKET}'
DATA = bytes(range(256)) * 40


@pytest.fixture
def waits(monkeypatch):
  """The waits that there would be, and nobody waits."""
  found = []

  async def wait(seconds):
    found.append(seconds)

  monkeypatch.setattr(_gcs, 'wait', wait)
  return found


@pytest.fixture
def file(cloud):
  """An object of `DATA`, and no request so far."""
  storage.write_atomic(f'{ROOT}/file', DATA)
  cloud.heal()
  return f'{ROOT}/file'


def publish(path, files):
  with storage.publish(path, kind='test') as publication:
    for name, data in files.items():
      target = publication.dir / name
      target.parent.mkdir(parents=True, exist_ok=True)
      target.write_bytes(data)


FAULTS = [
  {'status': 408},
  {'status': 429},
  {'status': 500},
  {'status': 503},
  {'status': 504},
  {'kind': 'reset'},
  {'kind': 'truncated'},
  {'kind': 'short'},
  {'kind': 'garbled'},
]


@pytest.mark.parametrize('fault', FAULTS, ids=str)
def test_a_read_that_fails_for_a_while_gives_the_right_bytes(
  cloud, file, waits, fault
):
  cloud.fail('alt=media', times=3, **fault)
  assert storage.read_bytes(file) == DATA
  assert len(waits) == 3


# A part of an object has no checksum; the cache is for what needs one.
@pytest.mark.parametrize('fault', FAULTS[:-1], ids=str)
def test_a_part_of_a_file_is_never_less(cloud, file, waits, fault):
  with storage.open_file(file) as f:
    cloud.fail('alt=media', times=2, **fault)
    f.seek(100)
    assert f.read(1000) == DATA[100:1100]
  assert waits


@pytest.mark.parametrize('fault', FAULTS, ids=str)
def test_a_write_that_fails_for_a_while_happens_once_and_right(
  cloud, waits, fault
):
  cloud.fail('POST /upload/', times=2, **fault)
  before = threading.active_count()
  generation = _paths.filesystem(ROOT)[0].upload(f'{gcs.BUCKET}/new', DATA, 0)
  assert threading.active_count() <= before + 4
  there = cloud.buckets[gcs.BUCKET].get('new', {})
  assert (there.data, there.generation) == (DATA, generation)


def test_a_server_that_says_nothing_is_asked_again(
  cloud, file, waits, monkeypatch
):
  monkeypatch.setattr(_gcs, 'READ_TIMEOUT', 0.2)
  fs = _gcs.FileSystem(skip_instance_cache=True)
  cloud.fail('alt=media', 'silent')
  assert fs.cat_file(file) == DATA
  assert len(waits) == 1


def test_waits_grow_with_jitter_and_end(cloud, file, waits):
  cloud.fail('alt=media', times=1000)
  with pytest.raises(storage.StorageError, match=f'{file}: no answer in 8 att'):
    storage.read_bytes(file)
  longest = [0.5, 1, 2, 4, 8, 16, 16]
  assert len(waits) == len(longest)
  assert all(0 <= w <= m for w, m in zip(waits, longest, strict=True))
  assert len(cloud.requests) == 8
  first = list(waits)
  with pytest.raises(storage.StorageError):
    storage.read_bytes(file)
  assert waits[7:] != first


def test_what_the_server_asks_to_wait_is_waited(cloud, file, waits):
  cloud.fail('alt=media', status=429, headers={'Retry-After': '7'})
  cloud.fail('alt=media', status=503, headers={'Retry-After': '3600'})
  assert storage.read_bytes(file) == DATA
  assert 7 <= waits[0] <= 7.5
  assert 60 <= waits[1] <= 61


@pytest.mark.parametrize(
  ('fault', 'said'),
  [
    (
      {'status': 401, 'message': 'Invalid Credentials'},
      r'credentials \(401 Invalid.*gcloud auth application-default login',
    ),
    ({'status': 403, 'message': 'no access'}, r'no access.*objectUser'),
    (
      {'status': 404, 'message': 'The specified bucket does not exist.'},
      r'test-bucket does not exist.*buckets create gs://test-bucket',
    ),
    ({'status': 400, 'message': 'what?'}, r'refuses: 400 what\?'),
  ],
)
def test_what_cannot_get_better_is_said_at_once(
  cloud, file, waits, fault, said
):
  """By every operation: none takes it for an absence."""
  cloud.fail(' /', times=1000, **fault)
  acts = (
    storage.read_bytes,
    storage.exists,
    storage.size,
    storage.list_dir,
    storage.sha256_file,
    storage.read_manifest,
    lambda path: storage.write_atomic(path, b''),
    storage.check_place,
    storage.remove_tree,
  )
  for act in acts:
    with pytest.raises(storage.StorageError, match=f'(?s)gs://.*{said}'):
      act(file)
  # Of each, at most whether it is a file, and whether a folder.
  assert len(cloud.requests) <= 2 * len(acts)
  assert not waits


def test_credentials_that_cannot_be_renewed_are_named(file, monkeypatch):
  import google.auth.exceptions
  import google.oauth2.credentials

  fs = _gcs.FileSystem(skip_instance_cache=True)
  fs.credentials.credentials = google.oauth2.credentials.Credentials(None)
  with pytest.raises(storage.StorageError, match=r'credentials .* expired'):
    fs.cat_file(file)


def test_what_is_not_there_is_not_found_without_waiting(cloud, waits):
  with pytest.raises(FileNotFoundError, match=f'{ROOT}/no/file'):
    storage.read_bytes(f'{ROOT}/no/file')
  assert not storage.exists(f'{ROOT}/no/file')
  assert not waits


def test_a_file_that_changes_under_its_reader_is_never_a_mixture(file):
  with storage.open_file(file) as f:
    head = f.read(10)
    storage.write_atomic(file, DATA[::-1])
    f.seek(5000)
    f.cache = type(f.cache)(f.blocksize, f._fetch_range, f.size)
    with pytest.raises(FileNotFoundError, match='file'):
      f.read(10)
  assert head == DATA[:10]


def test_all_of_this_process_goes_the_same_way():
  for protocol in ('gs', 'gcs'):
    assert fsspec.get_filesystem_class(protocol) is _gcs.FileSystem


@pytest.mark.parametrize('fault', [None, *FAULTS], ids=str)
def test_a_large_file_is_uploaded_in_parts(
  cloud, waits, fault, tmp_path, monkeypatch
):
  monkeypatch.setattr(_gcs, '_PART', 256 << 10)
  data = os.urandom(600 << 10)
  (tmp_path / 'large').write_bytes(data)
  if fault:
    for where in ('uploadType=resumable&', 'upload_id'):
      cloud.fail(where, skip=1, times=2, **fault)
  fs, key = _paths.filesystem(f'{ROOT}/large')
  generation = fs.upload(key, tmp_path / 'large', 0)
  there = cloud.buckets[gcs.BUCKET].get('large', {})
  assert (there.data, there.generation) == (data, generation)
  assert sum('PUT' in r for r in cloud.requests) >= 3


def test_appending_adds_to_the_end_of_what_was_known(cloud, waits):
  fs, key = _paths.filesystem(f'{ROOT}/log')
  there = fs.append(key, b'one ', _gcs.NOTHING)
  for fault in ('reset', 'truncated', 'status'):
    cloud.fail('/compose', fault)
    there = fs.append(key, b'two ', there)
  assert cloud.buckets[gcs.BUCKET].get('log', {}).data == b'one two two two '
  assert storage.list_dir(ROOT) == ['log']
  storage.write_atomic(f'{ROOT}/log', b'by somebody else')
  with pytest.raises(FileExistsError):
    fs.append(key, b'three', there)
  assert storage.read_bytes(f'{ROOT}/log') == b'by somebody else'
  # A bucket that keeps old generations would compose them again.
  composed = [r for r in cloud.requests if '/compose' in r]
  assert all('ifGenerationMatch=' in r for r in composed)


@pytest.mark.parametrize('fault', FAULTS, ids=str)
def test_publishing_goes_on_through_faults(cloud, waits, fault):
  publish(f'{ROOT}/out', {'a': b'old', 'b': b'old'})
  for pattern in ('POST', 'PUT', 'GET', 'DELETE'):
    cloud.fail(pattern, skip=1, times=2, **fault)
  publish(f'{ROOT}/out', {'a': DATA, 'c/d': DATA[:100]})
  cloud.heal()
  assert set(storage.verify(f'{ROOT}/out').files) == {'a', 'c/d'}
  assert storage.list_dir(f'{ROOT}/out') == ['a', 'c', 'manifest.json']


def test_an_upload_cut_short_is_not_published(cloud, waits):
  out = f'{ROOT}/out'
  publish(out, {'a': b'old', 'b': b'old'})
  cloud.fail('POST /upload/.*name=out/b', times=1000)
  with pytest.raises(storage.StorageError, match='out/b: no answer'):
    publish(out, {'a': b'new', 'b': b'new'})
  with pytest.raises(storage.NotPublishedError, match=r'process \d+ on'):
    storage.read_manifest(out)
  # Nor is it a whole of old and new to anybody who knows no manifest.
  assert storage.list_dir(out) == ['a', 'manifest.json']
  assert storage.read_bytes(f'{out}/a') == b'new'
  cloud.heal()
  publish(out, {'b': b'newer'})
  storage.verify(out)
  assert storage.list_dir(out) == ['b', 'manifest.json']


def test_nothing_that_was_not_published_is_ever_replaced_there_either(cloud):
  storage.write_atomic(f'{ROOT}/home/thesis.tex', 'years of work')
  for act in (storage.check_place, lambda p: publish(p, {'a': b'x'})):
    with pytest.raises(FileExistsError, match=r"holds 'thesis\.tex' but no"):
      act(f'{ROOT}/home')
  assert storage.list_dir(ROOT) == ['home']
  publish(f'{ROOT}/out', {'a': b'x'})
  storage.write_atomic(f'{ROOT}/out/notes', 'by hand')
  publish(f'{ROOT}/out', {'b': b'x'})
  assert storage.list_dir(f'{ROOT}/out') == ['b', 'manifest.json', 'notes']


def test_who_published_meanwhile_stays_and_the_other_is_told(cloud):
  out = f'{ROOT}/out'
  with (
    pytest.raises(storage.ConflictError, match=f'{out}: somebody else'),
    storage.publish(out, kind='test') as late,
  ):
    (late.dir / 'a').write_bytes(b'late')
    publish(out, {'a': b'early'})
  assert storage.read_bytes(f'{out}/a') == b'early'
  storage.verify(out)


def test_the_same_result_of_two_publishers_is_no_conflict(cloud):
  out = f'{ROOT}/out'
  with storage.publish(out, kind='test') as late:
    (late.dir / 'a').write_bytes(b'same')
    publish(out, {'a': b'same'})
  storage.verify(out)


class _Paused:
  """A publisher in a thread that stops before each upload, until let on."""

  def __init__(self, path, files, monkeypatch):
    self.error = None
    self._go, self._at = threading.Semaphore(0), threading.Semaphore(0)
    self._path, self._files = path, files
    self.ended = False
    real = _gcs.FileSystem.upload
    me = self

    def upload(fs, *args, **kwargs):
      if threading.current_thread() is me.thread:
        me._at.release()
        me._go.acquire()
      return real(fs, *args, **kwargs)

    monkeypatch.setattr(_gcs.FileSystem, 'upload', upload)
    self.thread = threading.Thread(target=self._run)
    self.thread.start()
    self._at.acquire()

  def _run(self):
    try:
      publish(self._path, self._files)
    except Exception as e:
      self.error = e
    self.ended = True
    self._at.release()

  def step(self):
    """Lets it do one upload; returns whether there may be more."""
    if not self.ended:
      self._go.release()
      self._at.acquire()
    return not self.ended


def _interleavings(count):
  """Every order in which two publishers of `count` uploads take turns."""
  for bits in range(2 ** (2 * count)):
    order = [bits >> i & 1 for i in range(2 * count)]
    if sum(order) == count:
      yield order


def test_two_publishers_have_one_winner_however_they_take_turns(
  cloud, monkeypatch
):
  """Claim, a, and one more file each, then the manifest."""
  winners = set()
  for turn, order in enumerate(_interleavings(3)):
    out = f'{ROOT}/race-{turn}'
    with monkeypatch.context() as patch:
      rivals = [
        _Paused(out, {'a': name, name.decode(): name}, patch)
        for name in (b'one', b'two')
      ]
      for index in order:
        rivals[index].step()
      for rival in rivals:
        while rival.step():
          pass
        rival.thread.join()
    errors = [rival.error for rival in rivals]
    assert sum(e is None for e in errors) == 1, (order, errors)
    (lost,) = [e for e in errors if e]
    assert isinstance(lost, storage.ConflictError), lost
    winner = (b'one', b'two')[errors.index(None)]
    files = storage.verify(out).files
    assert set(files) == {'a', winner.decode()}
    assert storage.read_bytes(f'{out}/a') == winner
    assert storage.list_dir(out) == sorted([*files, 'manifest.json'])
    winners.add(winner)
  assert len(winners) == 2


def test_a_publisher_whose_claim_was_taken_over_cannot_win(cloud, monkeypatch):
  """As if it had been killed, which nobody can tell from being slow."""
  for steps in (1, 2, 3):
    out = f'{ROOT}/taken-{steps}'
    slow = _Paused(out, {'a': b'slow', 'b': b'slow', 'c': b'slow'}, monkeypatch)
    for _ in range(steps):
      slow.step()
    publish(out, {'a': b'fast', 'b': b'fast'})
    while slow.step():
      pass
    slow.thread.join()
    assert isinstance(slow.error, storage.ConflictError)
    storage.verify(out)
    assert storage.list_dir(out) == ['a', 'b', 'manifest.json']
    assert storage.read_bytes(f'{out}/b') == b'fast'


_KILLED = """
import os, signal, sys
from msm_jax import storage
from msm_jax.storage import _gcs

left = int(sys.argv[2])
real = _gcs.FileSystem._request

async def request(self, *args, **kwargs):
  global left
  left -= 1
  if left == 0:
    os.kill(os.getpid(), signal.SIGKILL)
  return await real(self, *args, **kwargs)

_gcs.FileSystem._request = request
with storage.publish(sys.argv[1], kind='test') as publication:
  for name in ('a', 'b'):
    (publication.dir / name).write_text('new')
"""


@pytest.mark.parametrize('at', [3, 6, 8])
def test_a_publisher_that_is_killed_leaves_nothing_visible(cloud, at):
  out = f'{ROOT}/out'
  publish(out, {'a': b'old', 'c': b'old'})
  done = subprocess.run(
    [sys.executable, '-c', _KILLED, out, str(at)],
    cwd=pathlib.Path(__file__).parent.parent,
    env=cloud.environment,
    check=False,
  )
  assert done.returncode == -signal.SIGKILL
  try:
    storage.verify(out)
    found = storage.read_bytes(f'{out}/a')
  except storage.NotPublishedError:
    found = b''
  assert found in (b'', b'old')
  publish(out, {'b': b'newer'})
  storage.verify(out)
  assert storage.list_dir(out) == ['b', 'manifest.json']


def test_a_stale_listing_hides_nothing_that_was_published(cloud):
  out = f'{ROOT}/out'
  cloud.fail('GET .*/o[?]', 'stale', times=1000)
  publish(out, {'a': b'x', 'b': b'y'})
  assert set(storage.verify(out).files) == {'a', 'b'}
  publish(out, {'c': b'z'})
  storage.verify(out)
  cloud.heal()
  assert storage.list_dir(out) == ['c', 'manifest.json']


def test_other_clouds_are_refused():
  with pytest.raises(ValueError, match=r's3://bucket/x: expected a local path'):
    storage.read_bytes('s3://bucket/x')
