import json
import os
import pathlib
import subprocess
import sys

import kills
import pytest

from msm_jax import storage
from msm_jax.storage import _staging

_PUBLISH = """
from msm_jax import storage

def publish(folder, version):
  with storage.publish(folder / 'out', kind='test') as publication:
    (publication.dir / 'a.txt').write_text(version * 10)
    (publication.dir / 'sub').mkdir()
    (publication.dir / 'sub' / 'b.txt').write_text(version * 20)
    publication.info['version'] = version
"""


def publish(path, files, info=None, kind='test'):
  with storage.publish(path, kind=kind) as publication:
    for name, text in files.items():
      file = publication.dir / name
      file.parent.mkdir(parents=True, exist_ok=True)
      file.write_text(text)
    publication.info.update(info or {})


def contents(path):
  """Every file below a directory, but the manifest."""
  return {
    p.relative_to(path).as_posix(): p.read_text()
    for p in pathlib.Path(path).rglob('*')
    if p.is_file() and p.name != storage.MANIFEST_NAME
  }


def whole(version):
  return {'a.txt': version * 10, 'sub/b.txt': version * 20}


@pytest.fixture(params=['local', 'gs'])
def out(request, tmp_path):
  if request.param == 'local':
    return str(tmp_path / 'out')
  request.getfixturevalue('cloud')
  return 'gs://test-bucket/here/out'


def overwrite(out, name, data):
  with storage.open_file(storage.join(out, name), 'wb') as f:
    f.write(data)


def test_a_publisher_killed_anywhere_has_published_all_or_nothing(tmp_path):
  code = _PUBLISH + (
    'def before(folder): pass\ndef act(folder): publish(folder, "x")\n'
  )
  *killed, finished = kills.at_every_file_operation(code, tmp_path)
  assert len(killed) > 10
  for folder in [*killed, finished]:
    try:
      manifest = storage.verify(folder / 'out', kind='test')
    except storage.NotPublishedError:
      assert not (folder / 'out').exists()
      assert folder != finished
    else:
      assert contents(folder / 'out') == whole('x')
      assert manifest.info == {'version': 'x'}


def test_a_killed_publisher_leaves_what_was_published_before(tmp_path):
  code = _PUBLISH + (
    'def before(folder): publish(folder, "x")\n'
    'def act(folder): publish(folder, "y")\n'
  )
  folders = kills.at_every_file_operation(code, tmp_path)
  found = []
  for folder in folders:
    version = storage.verify(folder / 'out', kind='test').info['version']
    assert contents(folder / 'out') == whole(version)
    found.append(version)
  assert found == sorted(found)
  assert set(found) == {'x', 'y'}


def test_the_next_publisher_removes_what_a_killed_one_left(tmp_path):
  code = _PUBLISH + (
    'def before(folder): publish(folder, "x")\n'
    'def act(folder): publish(folder, "y")\n'
  )
  folders = kills.at_every_file_operation(code, tmp_path)
  assert any(len(os.listdir(folder)) > 1 for folder in folders)
  for folder in folders:
    publish(folder / 'out', {'c.txt': 'z'})
    assert os.listdir(folder) == ['out']
    assert contents(folder / 'out') == {'c.txt': 'z'}


def test_staging_of_a_living_publisher_is_left_alone(tmp_path):
  code = _PUBLISH + (
    'import pathlib, sys\n'
    'with storage.publish(pathlib.Path(sys.argv[1]), kind="test") as p:\n'
    '  (p.dir / "slow.txt").write_text("slow")\n'
    '  print("ready", flush=True)\n'
    '  sys.stdin.readline()\n'
  )
  out = tmp_path / 'out'
  with subprocess.Popen(
    [sys.executable, '-c', code, str(out)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as slow:
    assert slow.stdout.readline() == 'ready\n'
    publish(out, {'quick.txt': 'quick'})
    assert contents(out) == {'quick.txt': 'quick'}
    slow.communicate('go on\n')
  assert slow.returncode == 0
  storage.verify(out)
  assert contents(out) == {'slow.txt': 'slow'}
  assert os.listdir(tmp_path) == ['out']


def test_staging_of_another_machine_is_left_alone(tmp_path, monkeypatch):
  gone = subprocess.Popen(['true'])
  gone.wait()
  monkeypatch.setattr(os, 'getpid', lambda: gone.pid)
  ours = _staging.staging_path(tmp_path / 'out')
  theirs = ours.with_name(ours.name + '.elsewhere')
  monkeypatch.undo()
  ours.mkdir()
  theirs.mkdir()
  publish(tmp_path / 'out', {'a': 'x'})
  assert not ours.exists()
  assert theirs.exists()


def test_a_block_that_raises_changes_nothing(out):
  publish(out, {'a.txt': 'old'})
  before = storage.verify(out)
  with (
    pytest.raises(RuntimeError, match='halfway'),
    storage.publish(out, kind='test') as publication,
  ):
    (publication.dir / 'a.txt').write_text('new')
    raise RuntimeError('halfway')
  assert storage.verify(out) == before
  assert storage.read_text(storage.join(out, 'a.txt')) == 'old'


def test_publishing_again_replaces_all_files(out):
  publish(out, {'a.txt': 'old', 'b.txt': 'old'})
  publish(out, {'a.txt': 'new', 'sub/c.txt': 'new'})
  assert set(storage.verify(out).files) == {'a.txt', 'sub/c.txt'}
  assert storage.list_dir(out) == ['a.txt', 'manifest.json', 'sub']
  assert storage.read_text(storage.join(out, 'a.txt')) == 'new'


def test_nothing_that_was_not_published_is_ever_replaced(tmp_path):
  home = tmp_path / 'home'
  home.mkdir()
  (home / 'thesis.tex').write_text('years of work')
  with pytest.raises(FileExistsError, match=r'home: holds files but no mani'):
    publish(home, {'a': 'x'})
  assert (home / 'thesis.tex').read_text() == 'years of work'
  with pytest.raises(FileExistsError, match=r'thesis\.tex: is a file'):
    publish(home / 'thesis.tex', {'a': 'x'})
  (tmp_path / 'empty').mkdir()
  publish(tmp_path / 'empty', {'a': 'x'})
  storage.verify(tmp_path / 'empty')


def test_a_place_is_known_to_be_good_before_there_is_anything(tmp_path):
  home = tmp_path / 'home'
  home.mkdir()
  (home / 'thesis.tex').write_text('years of work')
  with pytest.raises(FileExistsError, match=r'home: holds files but no mani'):
    storage.check_place(home)
  with pytest.raises(OSError, match=r'thesis\.tex'):
    storage.check_place(home / 'thesis.tex' / 'corpus')
  publish(tmp_path / 'published', {'a': 'x'})
  for name in ('new', 'deep/new', 'published'):
    storage.check_place(tmp_path / name)
  # And nothing is left of it, but directories above.
  assert contents(tmp_path / 'published') == {'a': 'x'}
  assert {p.name for p in tmp_path.iterdir()} == {'home', 'published', 'deep'}


def test_publishing_to_a_link_replaces_what_it_points_to(tmp_path):
  (tmp_path / 'disk').mkdir()
  (tmp_path / 'link').symlink_to(tmp_path / 'disk' / 'out')
  publish(tmp_path / 'link', {'a': 'x'})
  publish(tmp_path / 'link', {'a': 'y'})
  assert (tmp_path / 'link').is_symlink()
  assert contents(tmp_path / 'disk' / 'out') == {'a': 'y'}


def test_a_file_with_the_name_of_the_manifest_is_refused(tmp_path):
  with pytest.raises(ValueError, match=r'manifest\.json: is the name'):
    publish(tmp_path / 'out', {'manifest.json': '{}'})
  assert os.listdir(tmp_path) == []


def test_the_fingerprint_depends_on_content_only(tmp_path):
  def fingerprint(name, files, info, kind='test'):
    publish(tmp_path / name, files, info, kind)
    return storage.verify(tmp_path / name).fingerprint

  files, info = {'a': 'x', 'b': 'y'}, {'n': 1, 'm': 2}
  same = fingerprint('one', files, info)
  turned = dict(reversed(files.items())), dict(reversed(info.items()))
  assert fingerprint('two', *turned) == same
  others = [
    fingerprint('three', {'a': 'x', 'b': 'z'}, info),
    fingerprint('four', {'a': 'x', 'c': 'y'}, info),
    fingerprint('five', files, {'n': 1, 'm': 3}),
    fingerprint('six', files, info, kind='other'),
  ]
  assert len({same, *others}) == 5


def test_info_is_read_as_json_has_it(out):
  publish(out, {}, {'pair': (1, 2), 'counts': {2: 'two', 10: 'ten'}})
  info = storage.read_manifest(out).info
  assert info == {'pair': [1, 2], 'counts': {'2': 'two', '10': 'ten'}}


def test_a_directory_that_was_never_published_says_so(out):
  with pytest.raises(storage.NotPublishedError, match=r'out: no manifest\.jso'):
    storage.read_manifest(out)


@pytest.mark.parametrize('key', ['kind', 'info', 'files'])
def test_an_edited_manifest_is_refused(out, key):
  publish(out, {'a.txt': 'x'}, {'n': 1})
  raw = storage.read_json(storage.join(out, 'manifest.json'))
  raw[key] = {
    'kind': 'other',
    'info': {'n': 2},
    'files': {'a.txt': {**raw['files']['a.txt'], 'bytes': 7}},
  }[key]
  overwrite(out, 'manifest.json', json.dumps(raw).encode())
  with pytest.raises(storage.CorruptError, match=r'manifest\.json: was edited'):
    storage.read_manifest(out)


@pytest.mark.parametrize('text', ['', 'not JSON', '[]', '{"kind": "test"}'])
def test_what_is_no_manifest_is_refused(out, text):
  publish(out, {'a.txt': 'x'})
  overwrite(out, 'manifest.json', text.encode())
  with pytest.raises(storage.CorruptError, match='not a manifest'):
    storage.read_manifest(out)


def test_a_manifest_of_another_format_is_refused(out):
  publish(out, {'a.txt': 'x'})
  raw = storage.read_json(storage.join(out, 'manifest.json'))
  raw['format'] = 99
  overwrite(out, 'manifest.json', json.dumps(raw).encode())
  with pytest.raises(storage.CorruptError, match='has format 99'):
    storage.read_manifest(out)


def test_a_directory_of_another_kind_is_refused(out):
  publish(out, {'a.txt': 'x'}, kind='corpus')
  storage.verify(out, kind='corpus')
  with pytest.raises(storage.CorruptError, match="'corpus', expected 'prepare"):
    storage.verify(out, kind='prepared')


def test_verify_names_the_first_file_that_is_damaged(out):
  publish(out, {n: n * 9 for n in 'abcd'})
  overwrite(out, 'd', b'D' * 9)
  with pytest.raises(storage.CorruptError, match=r'out/d: SHA-256'):
    storage.verify(out)
  overwrite(out, 'c', b'c' * 8)
  with pytest.raises(storage.CorruptError, match=r'out/c: has 8 bytes.* 9'):
    storage.verify(out)
  storage.remove_tree(storage.join(out, 'b'))
  if not storage.is_remote(out):
    os.remove(storage.join(out, 'b'))
  with pytest.raises(storage.CorruptError, match=r'out/b: is listed.*missing'):
    storage.verify(out)
