"""safetensors files, against the library that defines them."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors
from safetensors import numpy as files

from msm_jax.conversion import errors
from msm_jax.conversion import stacks
from msm_jax.conversion import tensor_files

DTYPES = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)


def arrays(seed=0):
  """Arrays of all dtypes and ranks, by name."""
  rng = np.random.default_rng(seed)
  shapes = ((7,), (3, 5), (2, 3, 4), (1, 1), (0, 4))
  return {
    f'layer.{i}.{np.dtype(dtype).name}': rng.normal(size=shape).astype(dtype)
    for dtype in DTYPES
    for i, shape in enumerate(shapes)
  }


def entries(tensors):
  return [
    tensor_files.Entry(name, value.dtype, value.shape)
    for name, value in tensors.items()
  ]


def test_what_the_library_wrote_is_read(tmp_path):
  expected = arrays()
  path = str(tmp_path / 'model.safetensors')
  files.save_file(expected, path, metadata={'format': 'pt'})
  found = tensor_files.read_folder(str(tmp_path))
  assert set(found) == set(expected)
  with tensor_files.Reader() as reader:
    for name, value in expected.items():
      got = reader.read(found[name])
      assert (got.dtype, got.shape) == (value.dtype, value.shape)
      assert got.tobytes() == value.tobytes()


def test_the_library_reads_what_was_written(tmp_path):
  expected = arrays()
  path = str(tmp_path / 'model.safetensors')
  tensor_files.write_file(path, entries(expected), lambda e: expected[e.name])
  got = files.load_file(path)
  assert set(got) == set(expected)
  for name, value in expected.items():
    assert (got[name].dtype, got[name].shape) == (value.dtype, value.shape)
    assert got[name].tobytes() == value.tobytes()
  with safetensors.safe_open(path, 'np') as f:
    assert f.metadata() == {'format': 'pt'}


def test_any_strides_are_written_in_c_order(tmp_path):
  value = np.arange(24, dtype=np.float32).reshape(4, 6)
  path = str(tmp_path / 'model.safetensors')
  entry = tensor_files.Entry('x', value.dtype, (6, 4))
  tensor_files.write_file(path, [entry], lambda _: value.T)
  np.testing.assert_array_equal(files.load_file(path)['x'], value.T)


def test_bands_of_a_large_tensor_follow_each_other(tmp_path, monkeypatch):
  monkeypatch.setattr(tensor_files, '_BLOCK', 100)
  value = np.arange(7 * 11, dtype=np.float32).reshape(7, 11)
  path = str(tmp_path / 'model.safetensors')
  tensor_files.write_file(path, entries({'x': value}), lambda _: value)
  np.testing.assert_array_equal(files.load_file(path)['x'], value)
  with tensor_files.Reader() as reader:
    (tensor,) = tensor_files.read_folder(str(tmp_path)).values()
    np.testing.assert_array_equal(reader.read(tensor), value)


def test_a_header_may_be_padded_and_have_notes(tmp_path):
  header = {
    '__metadata__': {'format': 'pt'},
    'x': {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]},
  }
  raw = json.dumps(header).encode() + b'   '
  path = tmp_path / 'model.safetensors'
  path.write_bytes(len(raw).to_bytes(8, 'little') + raw + bytes(8))
  assert list(tensor_files.read_folder(str(tmp_path))) == ['x']


def test_equal_bytes_are_found_a_block_at_a_time(tmp_path, monkeypatch):
  monkeypatch.setattr(tensor_files, '_BLOCK', 8)
  one = np.arange(9, dtype=np.float32)
  other = one.copy()
  other[-1] += 1
  tensors = {'one': one, 'same': one.copy(), 'other': other, 'less': one[:-1]}
  path = str(tmp_path / 'model.safetensors')
  tensor_files.write_file(path, entries(tensors), lambda e: tensors[e.name])
  found = tensor_files.read_folder(str(tmp_path))
  with tensor_files.Reader() as reader:
    assert reader.same_bytes(found['one'], found['same'])
    assert not reader.same_bytes(found['one'], found['other'])
    assert not reader.same_bytes(found['one'], found['less'])


@pytest.mark.parametrize('max_bytes', [1, 100, 10**9])
def test_files_hold_no_more_than_asked_but_for_one_large_tensor(max_bytes):
  sizes = [3, 40, 5, 60, 60, 1]
  planned = [
    tensor_files.Entry(str(i), np.dtype(np.int8), (n,))
    for i, n in enumerate(sizes)
  ]
  dealt = tensor_files.plan_files(planned, max_bytes)
  assert [e for of_file in dealt.values() for e in of_file] == planned
  for of_file in dealt.values():
    assert len(of_file) == 1 or sum(e.n_bytes for e in of_file) <= max_bytes
  if max_bytes == 100:
    assert list(dealt) == [
      'model-00001-of-00003.safetensors',
      'model-00002-of-00003.safetensors',
      'model-00003-of-00003.safetensors',
    ]


def test_a_cast_that_makes_values_infinite_is_refused():
  value = np.asarray([1.0, 7e4], np.float32)
  with pytest.raises(errors.ConversionError, match='x: has values beyond'):
    tensor_files.dtypes.cast(value, np.dtype(np.float16), 'x')
  value[1] = np.inf
  got = tensor_files.dtypes.cast(value, np.dtype(np.float16), 'x')
  np.testing.assert_array_equal(got, [1, np.inf])


@pytest.mark.parametrize('shape', [(1, 1), (128256, 4096), (14336, 3, 4096)])
def test_chunks_are_small_and_cut_all_large_axes(shape):
  chunk = stacks.chunk_shape(shape, 2)
  n_bytes = 2 * np.prod(chunk)
  assert n_bytes <= stacks.CHUNK_BYTES
  assert n_bytes > stacks.CHUNK_BYTES / 4 or chunk == shape
  large = [c for c, n in zip(chunk, shape, strict=True) if n > 1000]
  assert not large or max(large) <= 2 * min(large)
  covered = sum(
    np.prod([s.stop - s.start for s in place])
    for place in stacks.blocks(shape, chunk)
  )
  assert covered == np.prod(shape)
