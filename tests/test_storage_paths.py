import resource
import subprocess
import sys

import kills
import pytest

from msm_jax import storage


@pytest.fixture(params=['local', 'gs'])
def root(request, tmp_path):
  if request.param == 'local':
    return str(tmp_path / 'root')
  request.getfixturevalue('cloud')
  return 'gs://test-bucket/here/root'


def test_local_paths_and_urls_are_told_apart(tmp_path):
  assert storage.is_remote('gs://bucket/key')
  assert not storage.is_remote(tmp_path)
  assert not storage.is_remote('runs/x:arm=1')


def test_joining_keeps_one_slash_between_parts():
  assert storage.join('gs://bucket/a/', '/b/', 'c') == 'gs://bucket/a/b/c'
  assert storage.join('/', 'tmp') == '/tmp'


def test_what_is_written_is_read_back(root):
  path = storage.join(root, 'deep', 'file.json')
  storage.write_atomic(path, '{"name": "Zoë"}')
  assert storage.read_bytes(path) == '{"name": "Zoë"}'.encode()
  assert storage.read_text(path) == '{"name": "Zoë"}'
  assert storage.read_json(path) == {'name': 'Zoë'}
  with storage.open_file(path, 'r') as f:
    assert f.read() == '{"name": "Zoë"}'


def test_writing_again_replaces_the_whole_file(root):
  path = storage.join(root, 'file')
  storage.write_atomic(path, b'long content')
  storage.write_atomic(path, b'short')
  assert storage.read_bytes(path) == b'short'
  assert storage.list_dir(root) == ['file']


def test_existence_holds_for_files_and_directories(root):
  storage.write_atomic(storage.join(root, 'a', 'b'), 'x')
  assert storage.exists(storage.join(root, 'a'))
  assert storage.exists(storage.join(root, 'a', 'b'))
  assert not storage.exists(storage.join(root, 'a', 'c'))


def test_names_in_a_directory_are_sorted_and_none_where_there_is_none(root):
  for name in ('b/x', 'c', 'a'):
    storage.write_atomic(storage.join(root, name), 'x')
  assert storage.list_dir(root) == ['a', 'b', 'c']
  assert storage.list_dir(storage.join(root, 'nowhere')) == []


def test_removing_a_tree_removes_that_tree_only(root):
  for name in ('a/x', 'a/b/y', 'ab/z'):
    storage.write_atomic(storage.join(root, name), 'x')
  storage.remove_tree(storage.join(root, 'a'))
  storage.remove_tree(storage.join(root, 'nowhere'))
  assert storage.list_dir(root) == ['ab']
  assert storage.read_text(storage.join(root, 'ab', 'z')) == 'x'


def test_missing_files_are_not_found(root):
  for read in (storage.read_bytes, storage.read_text, storage.read_json):
    with pytest.raises(FileNotFoundError):
      read(storage.join(root, 'nowhere'))


def test_a_writer_killed_anywhere_leaves_the_old_file_or_the_new(tmp_path):
  code = (
    'from msm_jax import storage\n'
    'def before(folder): storage.write_atomic(folder / "file", "o" * 100)\n'
    'def act(folder): storage.write_atomic(folder / "file", "n" * 200)\n'
  )
  folders = kills.at_every_file_operation(code, tmp_path)
  found = [(f / 'file').read_text() for f in folders]
  assert set(found) == {'o' * 100, 'n' * 200}
  assert any(len(list(f.iterdir())) > 1 for f in folders)
  for folder in folders:
    storage.write_atomic(folder / 'file', 'again')
    assert [p.name for p in folder.iterdir()] == ['file']


def test_a_reader_in_the_middle_of_a_file_reads_it_to_its_end(tmp_path):
  path = tmp_path / 'file'
  storage.write_atomic(path, 'o' * 100_000)
  with storage.open_file(path) as reader:
    begin = reader.read(10)
    storage.write_atomic(path, 'new')
    assert begin + reader.read() == b'o' * 100_000
  assert storage.read_text(path) == 'new'


def test_a_full_disk_leaves_the_old_file(tmp_path):
  path = tmp_path / 'file'
  storage.write_atomic(path, 'old')
  done = subprocess.run(
    [
      sys.executable,
      '-c',
      'import sys\nfrom msm_jax import storage\n'
      'storage.write_atomic(sys.argv[1], "n" * 100_000)',
      str(path),
    ],
    preexec_fn=lambda: resource.setrlimit(
      resource.RLIMIT_FSIZE, (10_000, 10_000)
    ),
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 1
  assert 'File too large' in done.stderr
  assert [p.name for p in tmp_path.iterdir()] == ['file']
  assert path.read_text() == 'old'
