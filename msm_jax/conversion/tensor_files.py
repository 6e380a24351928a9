"""Folders of safetensors files, read and written a tensor at a time.

The format (https://huggingface.co/docs/safetensors): eight bytes with the size
of a JSON header, the header, then the tensors' bytes without gaps. Nothing is
memory-mapped: pages of a mapped file count as resident, and a file in a bucket
has none. Files are read through `msm_jax.storage`, so `gs://` works alike.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import math
import re
import struct
from typing import Any
from typing import BinaryIO
from typing import cast

import ml_dtypes
import numpy as np

from msm_jax import storage
from msm_jax.conversion import dtypes
from msm_jax.conversion import errors

SINGLE_NAME = 'model.safetensors'
INDEX_NAME = 'model.safetensors.index.json'

# What a model's parameters may be stored as.
DTYPES: dict[str, np.dtype] = {
  'F64': np.dtype(np.float64),
  'F32': np.dtype(np.float32),
  'F16': np.dtype(np.float16),
  'BF16': np.dtype(ml_dtypes.bfloat16),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
# Every dtype of the format but BOOL says how many bits it has, e.g. F8_E4M3.
_BITS = re.compile(r'(?:F|BF|I|U|C)(\d+)(?:_\w+)?')
_MAX_HEADER = 100_000_000
_BLOCK = 16 << 20


def dtype_name(dtype: np.dtype) -> str:
  """Returns the format's name of a dtype.

  Raises:
    ConversionError: If a model's parameters are not stored as it.
  """
  if dtype not in _NAMES:
    raise errors.ConversionError(
      f'{dtype}: expected one of {sorted(map(str, _NAMES))}'
    )
  return _NAMES[dtype]


@dataclasses.dataclass(frozen=True)
class Tensor:
  """Where a tensor's bytes are.

  Attributes:
    name: In the folder.
    dtype: As the format names it, e.g. `'BF16'`.
    shape: Of the tensor.
    file: Path of its file.
    start: Of its first byte in the file.
    stop: One past its last byte.
  """

  name: str
  dtype: str
  shape: tuple[int, ...]
  file: str
  start: int
  stop: int

  @property
  def n_bytes(self) -> int:
    return self.stop - self.start


def _read_into(f: BinaryIO, out: np.ndarray, what: str) -> None:
  """Fills `out`, of bytes, from a file's position on."""
  view = out.data
  done = 0
  while done < len(view):
    n = f.readinto(view[done : done + _BLOCK])  # type: ignore[attr-defined]
    if not n:
      raise errors.ConversionError(
        f'{what}: the file ends {len(view) - done} bytes too early; it was cut '
        'short: download or copy it again'
      )
    done += n


def _parse_header(file: str, raw: bytes) -> dict[str, Any]:
  try:
    header = json.loads(raw)
  except ValueError as e:
    raise errors.ConversionError(
      f'{file}: its header is not JSON ({e}); it is no safetensors file, or '
      'was damaged: download or copy it again'
    ) from e
  if not isinstance(header, dict):
    raise errors.ConversionError(f'{file}: its header is not a JSON object')
  header.pop('__metadata__', None)
  return header


def _bits(file: str, t: Tensor) -> int:
  if t.dtype == 'BOOL':
    return 8
  match = _BITS.fullmatch(t.dtype)
  if match is None:
    raise errors.ConversionError(
      f'{file}: tensor {t.name!r} has dtype {t.dtype!r}, which is none of the '
      'format'
    )
  return int(match[1])


def _check_layout(file: str, tensors: Sequence[Tensor], begin: int) -> None:
  """Checks that tensors follow each other without gaps and fit their shapes."""
  expected = begin
  for t in sorted(tensors, key=lambda t: (t.start, t.stop)):
    if t.start != expected or t.stop < t.start:
      raise errors.ConversionError(
        f'{file}: tensor {t.name!r} is at bytes {t.start} to {t.stop}, '
        f'expected to begin at {expected}; the file was damaged: download it '
        'again'
      )
    expected = t.stop
    if 8 * t.n_bytes != _bits(file, t) * math.prod(t.shape):
      raise errors.ConversionError(
        f'{file}: tensor {t.name!r} of dtype {t.dtype} and shape '
        f'{list(t.shape)} has {t.n_bytes} bytes; the file was damaged: '
        'download it again'
      )


def read_header(file: str) -> list[Tensor]:
  """Returns the tensors of one file, in the order of their bytes.

  Raises:
    ConversionError: If it is no whole safetensors file. Of one that was cut
      short the tensors that are not all there are listed.
  """
  size = storage.size(file)
  with storage.open_file(file) as f:
    first = f.read(8)
    n = struct.unpack('<Q', first)[0] if len(first) == 8 else 0
    if not 2 <= n <= _MAX_HEADER:
      raise errors.ConversionError(
        f'{file}: is no safetensors file ({size} bytes, the first eight are '
        f'{first!r})'
      )
    raw = f.read(n)
  begin = 8 + n
  if len(raw) < n:
    raise errors.ConversionError(
      f'{file}: has {size} bytes, but its header alone has {begin}; it was cut '
      'short: download or copy it again'
    )
  try:
    tensors = [
      Tensor(
        name=name,
        dtype=entry['dtype'],
        shape=tuple(map(int, entry['shape'])),
        file=file,
        start=begin + int(entry['data_offsets'][0]),
        stop=begin + int(entry['data_offsets'][1]),
      )
      for name, entry in _parse_header(file, raw).items()
    ]
  except (KeyError, TypeError, ValueError, IndexError) as e:
    raise errors.ConversionError(
      f'{file}: its header is not that of a safetensors file ({e!r})'
    ) from e
  _check_layout(file, tensors, begin)
  tensors.sort(key=lambda t: (t.start, t.stop))
  end = tensors[-1].stop if tensors else begin
  if size != end:
    cut = [t.name for t in tensors if t.stop > size]
    raise errors.ConversionError(
      f'{file}: has {size} bytes, its header says {end}: download or copy it '
      f'again. Tensors that are not all there:\n{errors.listing(cut)}'
      if cut
      else f'{file}: has {size} bytes, its header says {end}'
    )
  return tensors


def _read_index(folder: str) -> dict[str, str]:
  """Returns the file name of each tensor of a folder of several files."""
  path = storage.join(folder, INDEX_NAME)
  try:
    weight_map = dict(storage.read_json(path)['weight_map'])
  except (ValueError, KeyError, TypeError) as e:
    raise errors.ConversionError(
      f'{path}: is no index of safetensors files ({e!r})'
    ) from e
  there = storage.list_dir(folder)
  if missing := sorted(set(weight_map.values()) - set(there)):
    raise errors.ConversionError(
      f'{folder}: {INDEX_NAME} names files that are not there; download them:\n'
      + errors.listing(missing)
    )
  return weight_map


def read_folder(folder: str) -> dict[str, Tensor]:
  """Returns the tensors of a model folder, reading headers only.

  Args:
    folder: With `model.safetensors`, or several files and their index; local
      or `gs://`.

  Raises:
    FileNotFoundError: If there are no safetensors.
    ConversionError: If a file is missing, was cut short or damaged, or the
      index and the files disagree; all tensors concerned are listed.
  """
  folder = folder.rstrip('/')
  there = storage.list_dir(folder)
  if SINGLE_NAME in there:
    tensors = read_header(storage.join(folder, SINGLE_NAME))
    return {t.name: t for t in tensors}
  if INDEX_NAME not in there:
    raise FileNotFoundError(
      f'{folder}: has neither {SINGLE_NAME} nor {INDEX_NAME}; it holds '
      f'{there[:12] or "nothing"}. Other formats are not read: save the model '
      'with safetensors'
    )
  weight_map = _read_index(folder)
  found: dict[str, Tensor] = {}
  wrong = []
  for name in sorted(set(weight_map.values())):
    for t in read_header(storage.join(folder, name)):
      if weight_map.get(t.name) != name:
        where = weight_map.get(t.name, 'nowhere')
        wrong.append(f'{t.name}: is in {name}, but {where} in the index')
      found[t.name] = t
  wrong += [
    f'{name}: is in {file} according to the index, but not in it'
    for name, file in weight_map.items()
    if name not in found
  ]
  if wrong:
    raise errors.ConversionError(
      f'{folder}: {INDEX_NAME} and the files disagree:\n'
      + errors.listing(sorted(wrong))
    )
  return found


class Reader:
  """Reads tensors; quickest in the order of files and bytes."""

  def __init__(self) -> None:
    self._file: tuple[str, BinaryIO] | None = None

  def read(self, tensor: Tensor) -> np.ndarray:
    """Returns a tensor as an array of its own.

    Raises:
      ConversionError: If its dtype is not one of `DTYPES`, or the file ends
        early.
    """
    if tensor.dtype not in DTYPES:
      raise errors.ConversionError(
        f'{tensor.name}: has dtype {tensor.dtype}, expected one of '
        f'{sorted(DTYPES)}'
      )
    out = self._bytes(tensor, 0, tensor.n_bytes)
    return out.view(DTYPES[tensor.dtype]).reshape(tensor.shape)

  def same_bytes(self, one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal to the bit; reads a block at a time."""
    if one.n_bytes != other.n_bytes:
      return False
    for start in range(0, one.n_bytes, _BLOCK):
      stop = min(start + _BLOCK, one.n_bytes)
      a, b = (self._bytes(t, start, stop).tobytes() for t in (one, other))
      if a != b:
        return False
    return True

  def _bytes(self, tensor: Tensor, start: int, stop: int) -> np.ndarray:
    if self._file is None or self._file[0] != tensor.file:
      self.close()
      self._file = tensor.file, _open_unbuffered(tensor.file)
    f = self._file[1]
    f.seek(tensor.start + start)
    out = np.empty(stop - start, np.uint8)
    _read_into(f, out, f'{tensor.file}, tensor {tensor.name!r}')
    return out

  def close(self) -> None:
    if self._file is not None:
      self._file[1].close()
      self._file = None

  def __enter__(self) -> 'Reader':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()


def _open_unbuffered(file: str) -> BinaryIO:
  if storage.is_remote(file):
    return cast(BinaryIO, storage.open_file(file))
  return cast(BinaryIO, open(file, 'rb', buffering=0))


@dataclasses.dataclass(frozen=True)
class Entry:
  """A tensor that is to be written."""

  name: str
  dtype: np.dtype
  shape: tuple[int, ...]

  @property
  def n_bytes(self) -> int:
    return self.dtype.itemsize * math.prod(self.shape)


def plan_files(
  entries: Sequence[Entry], max_bytes: int
) -> dict[str, list[Entry]]:
  """Deals tensors over files, in order, as `transformers` names them.

  Args:
    entries: What is to be written.
    max_bytes: Of the tensors of one file; a tensor that is larger has a file
      of its own.
  """
  files: list[list[Entry]] = [[]]
  size = 0
  for entry in entries:
    if files[-1] and size + entry.n_bytes > max_bytes:
      files.append([])
      size = 0
    files[-1].append(entry)
    size += entry.n_bytes
  if len(files) == 1:
    return {SINGLE_NAME: files[0]}
  n = len(files)
  return {
    f'model-{i:05d}-of-{n:05d}.safetensors': of_file
    for i, of_file in enumerate(files, 1)
  }


def write_index(folder: str, files: Mapping[str, Sequence[Entry]]) -> None:
  """Writes the index of several files."""
  entries = [e for of_file in files.values() for e in of_file]
  index = {
    'metadata': {
      'total_parameters': sum(math.prod(e.shape) for e in entries),
      'total_size': sum(e.n_bytes for e in entries),
    },
    'weight_map': {
      e.name: name for name, of_file in files.items() for e in of_file
    },
  }
  storage.write_atomic(
    storage.join(folder, INDEX_NAME),
    json.dumps(index, indent=2, sort_keys=True) + '\n',
  )


def write_file(
  path: str, entries: Sequence[Entry], value: Callable[[Entry], np.ndarray]
) -> None:
  """Writes one file, holding one tensor at a time.

  Args:
    path: A local file that does not exist.
    entries: Its tensors, in order.
    value: Returns a tensor of the entry's shape; any strides. It is cast to
      the entry's dtype, a few rows at a time.
  """
  header: dict[str, Any] = {'__metadata__': {'format': 'pt'}}
  position = 0
  for e in entries:
    header[e.name] = {
      'dtype': dtype_name(e.dtype),
      'shape': list(e.shape),
      'data_offsets': [position, position + e.n_bytes],
    }
    position += e.n_bytes
  raw = json.dumps(header, separators=(',', ':')).encode()
  raw += b' ' * (-len(raw) % 8)  # Tensors begin aligned, as readers map them.
  with open(path, 'xb') as f:
    f.write(struct.pack('<Q', len(raw)) + raw)
    for e in entries:
      array = value(e)
      assert array.shape == e.shape, e.name
      row = max(array.itemsize * math.prod(e.shape[1:]), 1)
      step = max(_BLOCK // row, 1)
      for i in range(0, e.shape[0], step):
        band = dtypes.cast(array[i : i + step], e.dtype, e.name)
        f.write(band.view(np.uint8).data)
      del array  # Before the next one is read.
