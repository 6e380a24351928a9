"""Restores an item of a checkpoint onto any mesh, holding little beside it.

Every device reads its own part of every leaf. Orbax would read all of them at
once, each into a host buffer before it is on its device, which is the model
twice; here only so much is in flight as the largest part needs.
"""

from collections.abc import Mapping
import math
from typing import Any

from etils import epath
import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

_MIN_IN_FLIGHT = 64 << 20
_SHOWN = 20


class CheckpointError(RuntimeError):
  """A checkpoint could not be written or read."""


def place(abstract: Any, sharding: Any) -> Any:
  """Gives leaves their sharding: one for all, or a tree of one for each."""
  if isinstance(sharding, jax.sharding.Sharding):
    sharding = jax.tree.map(lambda _: sharding, abstract)
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    abstract,
    sharding,
  )


def _flat(tree: Any) -> dict[str, Any]:
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {
    '.'.join(str(getattr(k, 'key', getattr(k, 'name', k))) for k in path): leaf
    for path, leaf in leaves
  }


def _problems(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
  """Says of which leaves the checkpoint is not what is asked for."""
  found = [
    f'{k}: not in the checkpoint' for k in sorted(set(here) - set(there))
  ]
  found += [f'{k}: not in the model' for k in sorted(set(there) - set(here))]
  for key in sorted(set(there) & set(here)):
    saved, wanted = there[key], here[key]
    if tuple(saved.shape) != tuple(wanted.shape):
      found.append(
        f'{key}: has shape {list(saved.shape)}, the model {list(wanted.shape)}'
      )
    elif jnp.promote_types(saved.dtype, wanted.dtype) != wanted.dtype:
      found.append(
        f'{key}: is {saved.dtype}, and would be rounded to {wanted.dtype}; use '
        f'model.param_dtype={str(saved.dtype)!r}'
      )
  return found


def _footprint(saved: Any, wanted: jax.ShapeDtypeStruct) -> int:
  """Bytes that reading one device's part of a leaf takes, in whole chunks."""
  assert wanted.sharding is not None
  parts = wanted.sharding.addressable_devices_indices_map(wanted.shape)
  elements = 0
  for index in parts.values():
    extents = []
    for cut, size, chunk in zip(
      index, wanted.shape, saved.storage.chunk_shape, strict=True
    ):
      start, stop, _ = cut.indices(size)
      extents.append(-(-stop // chunk) * chunk - start // chunk * chunk)
    elements = max(elements, math.prod(extents))
  return elements * max(saved.dtype.itemsize, wanted.dtype.itemsize)


def restore(directory: epath.Path, abstract: Any) -> Any:
  """Restores an item of a checkpoint that `StandardSave` saved.

  Args:
    directory: Of the item, e.g. `checkpoints/0/params`.
    abstract: Tree of `jax.ShapeDtypeStruct` with shardings. Leaves are cast to
      these dtypes if nothing is lost by it, e.g. from bfloat16 to float32.

  Raises:
    CheckpointError: If the checkpoint has other leaves, other shapes, or a
      dtype that would have to be rounded, listing all of them; or if it cannot
      be read.
  """
  try:
    metadata = ocp.StandardCheckpointHandler().metadata(directory)
    there, here = _flat(metadata.tree), _flat(abstract)
  except (OSError, ValueError, KeyError) as e:
    raise CheckpointError(f'{directory}: could not be restored ({e})') from e
  if problems := _problems(there, here):
    more = len(problems) - _SHOWN
    lines = problems[:_SHOWN] + ([f'… and {more} more'] if more > 0 else [])
    raise CheckpointError(
      f'{directory}: does not fit the model:\n'
      + '\n'.join(f'  {line}' for line in lines)
    )
  largest = max(_footprint(there[key], leaf) for key, leaf in here.items())
  # Orbax wants more room than any one part takes, and counts in units of 1e9.
  in_flight = max(1.01 * largest, _MIN_IN_FLIGHT) / 1e9
  handler = ocp.StandardCheckpointHandler(restore_concurrent_gb=in_flight)
  try:
    with ocp.Checkpointer(handler) as checkpointer:
      return checkpointer.restore(
        directory, args=ocp.args.StandardRestore(abstract)
      )
  except (OSError, ValueError, KeyError) as e:
    raise CheckpointError(f'{directory}: could not be restored ({e})') from e
