"""Rotary position embedding, and how it is stretched to longer contexts.

Shapes: `B` batch, `T` sequence, `H` heads, `C` head size, `c = C / 2` pairs.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from msm_jax.models.config import RopeConfig


def _llama3(frequencies_c: np.ndarray, config: RopeConfig) -> np.ndarray:
  """Llama 3.1's rule: low frequencies are divided, those between blended."""
  low, high = config.low_freq_factor, config.high_freq_factor
  rotations_c = config.original_length * frequencies_c / (2 * math.pi)
  kept_c = np.clip((rotations_c - low) / (high - low), 0.0, 1.0)
  return frequencies_c * (kept_c + (1 - kept_c) / config.factor)


def _yarn(
  frequencies_c: np.ndarray, config: RopeConfig, head_dim: int
) -> np.ndarray:
  """Peng et al., arXiv 2309.00071, section 3.2 ("NTK-by-parts")."""

  def index(rotations: float) -> float:
    """The (real) pair that turns so often over the original context."""
    turns = config.original_length / (rotations * 2 * math.pi)
    return head_dim * math.log(turns) / (2 * math.log(config.theta))

  first, last = index(config.beta_fast), index(config.beta_slow)
  if config.truncate:
    first, last = math.floor(first), math.ceil(last)
  first, last = max(first, 0), min(last, head_dim - 1)
  span = last - first if last != first else 0.001
  indices_c = np.arange(head_dim // 2)
  scaled_c = np.clip((indices_c - first) / span, 0.0, 1.0)
  return frequencies_c * (1 - scaled_c + scaled_c / config.factor)


def frequencies(config: RopeConfig, head_dim: int) -> np.ndarray:
  """Returns the angle per position of each pair, `[C / 2]` float32, radians.

  Computed in float64 and rounded once: at position 100,000 an error of one
  float32 unit in a frequency is already 0.01 rad.
  """
  pairs_c = np.arange(0, head_dim, 2, dtype=np.float64) / head_dim
  frequencies_c = config.theta**-pairs_c
  if config.scaling == 'linear':
    frequencies_c = frequencies_c / config.factor
  elif config.scaling == 'llama3':
    frequencies_c = _llama3(frequencies_c, config)
  elif config.scaling == 'yarn':
    frequencies_c = _yarn(frequencies_c, config, head_dim)
  return frequencies_c.astype(np.float32)


def amplitude(config: RopeConfig) -> float:
  """Returns what sines and cosines are multiplied by; 1 but for YaRN."""
  if config.scaling != 'yarn':
    return 1.0
  if config.attention_factor is not None:
    return config.attention_factor
  return 0.1 * math.log(config.factor) + 1.0 if config.factor > 1 else 1.0


def rotate(
  x_BTHC: jax.Array, positions_BT: jax.Array, config: RopeConfig
) -> jax.Array:
  """Rotates pairs `(c, c + C/2)` of each head by its position.

  The half-split convention of GPT-NeoX and of Llama's HF weights; Su et al.,
  "RoFormer", arXiv 2104.09864, eq. 34. Angles are float32.
  """
  half = x_BTHC.shape[-1] // 2
  frequencies_c = jnp.asarray(frequencies(config, 2 * half))
  angles_BTc = jnp.einsum(
    'BT,c->BTc', positions_BT.astype(jnp.float32), frequencies_c
  )
  scale = amplitude(config)
  sin = jnp.sin(angles_BTc)[:, :, None, :] * scale
  cos = jnp.cos(angles_BTc)[:, :, None, :] * scale
  a, b = x_BTHC[..., :half], x_BTHC[..., half:]
  rotated = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
  return rotated.astype(x_BTHC.dtype)
