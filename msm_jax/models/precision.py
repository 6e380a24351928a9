"""In which precision sums, norms and soft-maxes are computed.

float32, whatever narrower the activations are; float64 where these are, for
runs that are compared to more digits than float32 has.
"""

from typing import Any

import jax
import jax.numpy as jnp

from msm_jax import schema
from msm_jax.models.config import DecoderConfig


def wide(x: jax.Array) -> Any:
  """Returns the dtype in which to add up elements of an array."""
  return jnp.promote_types(x.dtype, jnp.float32)


def check(c: DecoderConfig) -> None:
  """Checks that JAX computes in the dtypes of a model.

  Raises:
    ConfigError: For float64 where JAX would silently use float32.
  """
  if jax.config.read('jax_enable_x64'):
    return
  for key in ('dtype', 'param_dtype'):
    if getattr(c, key) == 'float64':
      raise schema.ConfigError(
        f"model.{key}: 'float64', but JAX is limited to 32 bits; set "
        'JAX_ENABLE_X64=true in the environment'
      )
