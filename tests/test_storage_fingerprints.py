import hashlib
import shutil

import pytest

from msm_jax import storage


def test_a_fingerprint_is_the_sha256_of_sorted_json():
  digest = hashlib.sha256('{"a":[1,2.5,null],"b":"Zoë"}'.encode()).hexdigest()
  assert storage.fingerprint({'b': 'Zoë', 'a': (1, 2.5, None)}) == digest[:16]
  assert storage.fingerprint(b'xyz') == hashlib.sha256(b'xyz').hexdigest()[:16]


def test_what_is_not_a_number_has_no_fingerprint():
  with pytest.raises(ValueError, match='not JSON compliant'):
    storage.fingerprint({'loss': float('nan')})


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path, cloud):
  data = bytes(range(256)) * 5000
  expected = hashlib.sha256(data).hexdigest()
  for path in (tmp_path / 'file', 'gs://test-bucket/file'):
    storage.write_atomic(path, data)
    assert storage.sha256_file(path) == expected


@pytest.fixture
def code(tmp_path):
  """A room and a module beside it."""
  room = tmp_path / 'here' / 'room'
  (room / 'sub').mkdir(parents=True)
  (room / '__init__.py').write_text('')
  (room / 'sub' / 'deep.py').write_text('x = 1\n')
  (tmp_path / 'here' / 'main.py').write_text('import room\n')
  return tmp_path / 'here'


def test_code_has_one_fingerprint_wherever_it_is(code, tmp_path):
  first = storage.source_fingerprint([code / 'room', code / 'main.py'])
  moved = tmp_path / 'there'
  shutil.copytree(code, moved)
  assert (
    storage.source_fingerprint([moved / 'main.py', moved / 'room']) == first
  )


def test_any_changed_added_or_renamed_source_changes_the_fingerprint(code):
  def current():
    return storage.source_fingerprint([code / 'room', code / 'main.py'])

  found = [current()]
  (code / 'room' / 'sub' / 'deep.py').write_text('x = 2\n')
  found.append(current())
  (code / 'room' / 'new.py').write_text('')
  found.append(current())
  (code / 'room' / 'new.py').rename(code / 'room' / 'newer.py')
  found.append(current())
  (code / 'main.py').write_text('import room  # again\n')
  found.append(current())
  assert len(set(found)) == 5


def test_what_is_not_python_does_not_count_as_code(code):
  first = storage.source_fingerprint([code / 'room'])
  (code / 'room' / 'notes.txt').write_text('x')
  (code / 'room' / '__pycache__').mkdir()
  (code / 'room' / '__pycache__' / 'a.cpython-311.pyc').write_bytes(b'x')
  assert storage.source_fingerprint([code / 'room']) == first


def test_two_sources_of_the_same_name_both_count(code):
  other = code / 'other' / 'room'
  other.mkdir(parents=True)
  (other / '__init__.py').write_text('y = 1\n')
  roots = [code / 'room', other]
  before = storage.source_fingerprint(roots)
  (other / '__init__.py').write_text('y = 2\n')
  one = storage.source_fingerprint(roots)
  (code / 'room' / '__init__.py').write_text('z = 1\n')
  both = storage.source_fingerprint(roots)
  assert len({before, one, both}) == 3


def test_code_that_does_not_exist_has_no_fingerprint(code):
  with pytest.raises(FileNotFoundError, match='rom: no Python source'):
    storage.source_fingerprint([code / 'rom'])
