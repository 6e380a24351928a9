"""What a finished run reports."""

import dataclasses
import hashlib

import jax
import numpy as np

from msm_jax import models


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
  """Returns the SHA-256 of all parameters, as 64 hex digits."""
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    array = np.asarray(leaf)
    digest.update(f'{jax.tree_util.keystr(path)}{array.dtype}'.encode())
    digest.update(str(array.shape).encode() + array.tobytes())
  return digest.hexdigest()
