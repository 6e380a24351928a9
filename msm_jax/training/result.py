"""What a finished run reports."""

from collections.abc import Iterator
import dataclasses
import functools
import hashlib

import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

from msm_jax import models

_PIECE_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class Result:
  """What a finished run reports.

  Attributes:
    step: Updates done.
    tokens: Tokens trained on, padding not counted, over all updates.
    params_sha256: Of all parameters, in a fixed order: equal if and only if
      they are bitwise equal.
  """

  step: int
  tokens: int
  params_sha256: str


def params_sha256(params: models.Params) -> str:
  """Returns the SHA-256 of all parameters, as 64 hex digits.

  Where devices of several processes have parts of them, every process has to
  ask; they come to each in pieces.
  """
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    digest.update(f'{jax.tree_util.keystr(path)}{leaf.dtype}'.encode())
    digest.update(str(leaf.shape).encode())
    for piece in _pieces(leaf):
      digest.update(piece.tobytes())
  return digest.hexdigest()


def _pieces(leaf: jax.Array) -> Iterator[np.ndarray]:
  """Returns the parts of an array, one after the other along its first axis."""
  if leaf.is_fully_addressable:
    yield np.asarray(leaf)
    return
  n = leaf.shape[0]
  few = max(_PIECE_BYTES * n // max(leaf.nbytes, 1), 1)
  # One size, so that one program is compiled.
  rows = max(size for size in range(1, min(few, n) + 1) if n % size == 0)
  assert isinstance(leaf.sharding, NamedSharding)
  everywhere = NamedSharding(leaf.sharding.mesh, PartitionSpec())

  @functools.partial(jax.jit, out_shardings=everywhere)
  def piece(leaf: jax.Array, first: jax.Array) -> jax.Array:
    return jax.lax.dynamic_slice_in_dim(leaf, first, rows)

  for first in range(0, n, rows):
    yield np.asarray(piece(leaf, np.int32(first)))
