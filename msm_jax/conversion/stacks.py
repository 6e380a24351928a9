"""Checkpoints of parameters, written and read a layer at a time.

A checkpoint's leaves are stacked over layers, so one of them may be a fifth of
the model. Orbax takes and gives whole leaves; here the same layout (Zarr arrays
in one OCDBT database per item) is written through TensorStore in blocks of a
few megabytes, and Orbax does what makes a checkpoint of it: names, metadata,
and the rename at the end. What is written is read by plain Orbax.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import itertools
import json
import math
import pathlib
from typing import Any
from typing import Protocol

from etils import epath
import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from msm_jax import storage
from msm_jax.conversion import dtypes
from msm_jax.conversion import errors

Path = tuple[str, ...]
Leaves = Mapping[Path, jax.ShapeDtypeStruct]

METADATA_NAME = '_METADATA'
CHUNK_BYTES = 4 << 20
_IN_FLIGHT_BYTES = 8 << 20


def flatten(tree: Any) -> dict[Path, Any]:
  """Returns the leaves of a nested dict by their path."""
  return {
    tuple(str(key.key) for key in path): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def unflatten(leaves: Mapping[Path, Any]) -> dict[str, Any]:
  """Returns the nested dict of leaves by their path."""
  tree: dict[str, Any] = {}
  for path, leaf in leaves.items():
    node = tree
    for key in path[:-1]:
      node = node.setdefault(key, {})
    node[path[-1]] = leaf
  return tree


@dataclasses.dataclass(frozen=True)
class Slice:
  """A part of a leaf that is to be written.

  Attributes:
    path: Of the leaf.
    layer: Index into its first axis, or None for a whole leaf.
    value: Of the leaf's shape, less the first axis where there is a `layer`;
      any strides. Cast to the leaf's dtype, a block at a time.
  """

  path: Path
  layer: int | None
  value: np.ndarray


def _context() -> ts.Context:
  # Chunks are not read twice, so none are kept, but nodes of the database's
  # tree are; few copies in flight.
  return ts.Context(
    {
      'cache_pool': {'total_bytes_limit': 0},
      'cache_pool#ocdbt': {'total_bytes_limit': 100_000_000},
      'data_copy_concurrency': {'limit': 4},
      'file_io_concurrency': {'limit': 16},
      'gcs_request_concurrency': {'limit': 16},
    }
  )


def _base(directory: str) -> dict[str, Any]:
  """TensorStore's spec of a directory, local or `gs://`."""
  if storage.is_remote(directory):
    scheme, _, rest = directory.partition('://')
    if scheme != 'gs':
      raise errors.ConversionError(f'{directory}: expected a path or gs://…')
    bucket, _, key = rest.partition('/')
    return {'driver': 'gcs', 'bucket': bucket, 'path': key.rstrip('/') + '/'}
  path = pathlib.Path(directory).absolute()
  return {'driver': 'file', 'path': f'{path}/'}


def _kvstore(directory: str, path: Path) -> dict[str, Any]:
  """TensorStore's spec of where a leaf is in an item's database."""
  return {
    'driver': 'ocdbt',
    'base': _base(directory),
    'path': '.'.join(path) + '/',
    'cache_pool': 'cache_pool#ocdbt',
  }


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
  """Returns chunks of at most `CHUNK_BYTES`.

  The largest axis is halved again and again, so that chunks are nearly cubes:
  whatever axis a reader's sharding cuts, it reads little beyond its part.
  """
  chunk = list(shape)
  while itemsize * math.prod(chunk) > CHUNK_BYTES:
    axis = chunk.index(max(chunk))
    chunk[axis] = -(-chunk[axis] // 2)
  return tuple(chunk)


def blocks(
  shape: tuple[int, ...], chunk: tuple[int, ...]
) -> Iterator[tuple[slice, ...]]:
  """Yields the places of all chunks of an array."""
  for start in itertools.product(
    *(range(0, n, c) for n, c in zip(shape, chunk, strict=True))
  ):
    yield tuple(
      slice(a, min(a + c, n))
      for a, c, n in zip(start, chunk, shape, strict=True)
    )


def _chunk(leaf: jax.ShapeDtypeStruct, stacked: bool) -> tuple[int, ...]:
  """Returns the chunks of a leaf: of one layer each, if it is stacked."""
  itemsize = np.dtype(leaf.dtype).itemsize
  if not stacked:
    return chunk_shape(tuple(leaf.shape), itemsize)
  return (1, *chunk_shape(tuple(leaf.shape[1:]), itemsize))


def _create(
  directory: str,
  path: Path,
  leaf: jax.ShapeDtypeStruct,
  chunk: tuple[int, ...],
  context: ts.Context,
) -> Any:
  """Begins to make an array; returns the future of it."""
  return ts.open(
    {
      'driver': 'zarr',
      'dtype': np.dtype(leaf.dtype).name,
      'create': True,
      'store_data_equal_to_fill_value': True,
      # Nobody else writes to it.
      'recheck_cached_metadata': False,
      'recheck_cached_data': False,
      'kvstore': {
        **_kvstore(directory, path),
        # As Orbax has it: one small tree, chunks outside of it.
        'config': {
          'max_inline_value_bytes': 1024,
          'max_decoded_node_bytes': 100_000_000,
          'manifest_kind': 'single',
        },
        'assume_config': True,
      },
      'metadata': {
        'shape': leaf.shape,
        'chunks': chunk,
        'compressor': {'id': 'zstd', 'level': 1},
      },
    },
    context=context,
  )


class _LeafWriter:
  """An array of a checkpoint in the making, and which of it is written."""

  def __init__(
    self, array: ts.TensorStore, leaf: jax.ShapeDtypeStruct, *, stacked: bool
  ):
    self._array, self._dtype = array, np.dtype(leaf.dtype)
    self._chunk = _chunk(leaf, stacked)[int(stacked) :]
    self._missing: set[int | None] = {None}
    if stacked:
      self._missing = set(range(leaf.shape[0]))

  def write(self, s: Slice) -> Iterator[tuple[int, ts.WriteFutures]]:
    """Begins to write all blocks; yields each one's bytes and future."""
    self._missing.remove(s.layer)
    array = self._array if s.layer is None else self._array[s.layer]
    if s.value.shape != array.shape:
      raise ValueError(f'{s.path}: {s.value.shape}, expected {array.shape}')
    for place in blocks(s.value.shape, self._chunk):
      # A copy even where a view would do: a view that is still being written
      # would keep the whole tensor in memory while the next one is read.
      block = dtypes.cast(s.value[place], self._dtype, '.'.join(s.path))
      yield (
        block.nbytes,
        array[place].write(block, can_reference_source_data_indefinitely=True),
      )

  def check_is_whole(self, path: Path) -> None:
    if self._missing:
      raise ValueError(f'{path}: layers {self._missing} were not given')


def _create_all(
  directory: str, leaves: Leaves, stacked: tuple[str, ...]
) -> dict[Path, _LeafWriter]:
  """Makes all arrays of an item at once, in one change of its database."""
  context = _context()
  arrays = {
    path: _create(
      directory, path, leaf, _chunk(leaf, path[0] in stacked), context
    )
    for path, leaf in leaves.items()
  }
  return {
    path: _LeafWriter(array.result(), leaves[path], stacked=path[0] in stacked)
    for path, array in arrays.items()
  }


@dataclasses.dataclass
class StackSave(ocp.args.CheckpointArgs):
  """Arguments of saving, for Orbax.

  Attributes:
    leaves: Shape and dtype of every leaf.
    slices: All parts of all leaves, in any order, each once.
    stacked: The first keys of leaves that come a layer at a time.
  """

  leaves: Leaves
  slices: Iterable[Slice]
  stacked: tuple[str, ...]


class StackHandler(ocp.AsyncCheckpointHandler):
  """Writes one item of an Orbax checkpoint; Orbax itself restores it."""

  async def async_save(self, directory: epath.Path, args: StackSave) -> None:
    # Nothing is left for later. Were this no method of an asynchronous handler,
    # an error would leave coroutines of other items that nobody awaits.
    self.save(directory, args)

  def save(self, directory: epath.Path, args: StackSave) -> None:
    writers = _create_all(str(directory), args.leaves, args.stacked)
    in_flight: list[ts.WriteFutures] = []
    size = 0
    for s in args.slices:
      for n_bytes, future in writers[s.path].write(s):
        in_flight.append(future)
        size += n_bytes
        if size >= _IN_FLIGHT_BYTES:
          _wait(in_flight)
          size = 0
      del s  # Before the next one is read.
    _wait(in_flight)
    for path, writer in writers.items():
      writer.check_is_whole(path)
    storage.write_atomic(
      storage.join(str(directory), METADATA_NAME),
      json.dumps(_metadata(args.leaves)),
    )

  def restore(self, directory: epath.Path, *args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError(
      'restored by orbax.checkpoint.args.StandardRestore'
    )

  @classmethod
  def typestr(cls) -> str:
    """Recorded in the checkpoint as what reads it."""
    return ocp.StandardCheckpointHandler.typestr()


def _wait(futures: list[ts.WriteFutures]) -> None:
  for future in futures:
    future.result()
  futures.clear()


def _metadata(leaves: Leaves) -> dict[str, Any]:
  """What Orbax needs to know of an item's leaves, as its handlers write it."""
  dictionary_key = 2
  return {
    'tree_metadata': {
      str(path): {
        'key_metadata': [
          {'key': key, 'key_type': dictionary_key} for key in path
        ],
        'value_metadata': {
          'value_type': 'jax.Array',
          'skip_deserialize': False,
          'write_shape': list(leaf.shape),
        },
      }
      for path, leaf in leaves.items()
    },
    'use_ocdbt': True,
    'use_zarr3': False,
    'store_array_data_equal_to_fill_value': True,
    'custom_metadata': None,
  }


def save(
  directory: str,
  step: int,
  params: StackSave,
  meta: dict[str, Any],
) -> None:
  """Writes a checkpoint with the items `params` and `meta`, or nothing.

  What a killed writer left behind is removed first.
  """
  registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
  registry.add('params', StackSave, StackHandler())
  registry.add('meta', ocp.args.JsonSave, ocp.JsonCheckpointHandler())
  if not storage.is_remote(directory):
    directory = str(pathlib.Path(directory).absolute())
  manager = ocp.CheckpointManager(
    directory,
    options=ocp.CheckpointManagerOptions(
      enable_async_checkpointing=False, cleanup_tmp_directories=True
    ),
    handler_registry=registry,
  )
  try:
    manager.save(
      step,
      args=ocp.args.Composite(params=params, meta=ocp.args.JsonSave(meta)),
    )
  finally:
    manager.close()


class Reader(Protocol):
  """Reads leaves, a layer at a time."""

  @property
  def paths(self) -> Sequence[Path]:
    """Of all leaves."""
    ...

  def leaf(self, path: Path) -> jax.ShapeDtypeStruct:
    """Returns the shape and dtype of a leaf."""
    ...

  def read(self, path: Path, layer: int | None) -> np.ndarray:
    """Returns one layer of a leaf, or, with None, all of it."""
    ...


class StackReader:
  """Reads leaves of a checkpoint's item, a layer at a time."""

  def __init__(self, directory: str):
    """Opens an item, e.g. `checkpoints/0/params`.

    Raises:
      FileNotFoundError: If there is none.
    """
    self._directory = directory
    self._context = _context()
    raw = storage.read_json(storage.join(directory, METADATA_NAME))
    self._driver = 'zarr3' if raw['use_zarr3'] else 'zarr'
    if not raw['use_ocdbt']:
      raise errors.ConversionError(
        f'{directory}: was written without OCDBT, which msm_jax always uses'
      )
    self.paths: list[Path] = [
      tuple(key['key'] for key in entry['key_metadata'])
      for entry in raw['tree_metadata'].values()
    ]
    self._arrays: dict[Path, ts.TensorStore] = {}

  def _array(self, path: Path) -> ts.TensorStore:
    if path not in self._arrays:
      self._arrays[path] = ts.open(
        {
          'driver': self._driver,
          'kvstore': _kvstore(self._directory, path),
          # It never changes.
          'recheck_cached_metadata': False,
          'recheck_cached_data': False,
          # A chunk that is not there is an error, not a block of zeros.
          'fill_missing_data_reads': False,
        },
        read=True,
        context=self._context,
      ).result()
    return self._arrays[path]

  def leaf(self, path: Path) -> jax.ShapeDtypeStruct:
    """Returns the shape and dtype of a leaf."""
    array = self._array(path)
    return jax.ShapeDtypeStruct(array.shape, array.dtype.numpy_dtype)

  def read(self, path: Path, layer: int | None) -> np.ndarray:
    """Returns one layer of a leaf, or, with None, all of it."""
    array = self._array(path)
    return (array if layer is None else array[layer]).read().result()


class JoinedReader:
  """Reads leaves of several items as if they were one."""

  def __init__(self, readers: Iterable[StackReader]):
    self._readers = {path: r for r in readers for path in r.paths}

  @property
  def paths(self) -> list[Path]:
    return list(self._readers)

  def leaf(self, path: Path) -> jax.ShapeDtypeStruct:
    return self._readers[path].leaf(path)

  def read(self, path: Path, layer: int | None) -> np.ndarray:
    return self._readers[path].read(path, layer)
