"""Casts that say so where they lose more than the last bits."""

import ml_dtypes
import numpy as np

from msm_jax.conversion import errors


def cast(array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
  """Returns a copy of an array, in C order, in another floating dtype.

  Args:
    array: Any strides.
    dtype: Of the copy; values are rounded to the nearest.
    name: Of the array, for errors.

  Raises:
    ConversionError: If finite values become infinite.
  """
  with np.errstate(over='ignore'):  # Looked for below.
    out = np.array(array, dtype=dtype, order='C')
  before, after = (float(ml_dtypes.finfo(x.dtype).max) for x in (array, out))
  if after < before and np.isfinite(array).all() and not np.isfinite(out).all():
    raise errors.ConversionError(
      f'{name}: has values beyond the range of {dtype}; choose another '
      '--param_dtype'
    )
  return out
