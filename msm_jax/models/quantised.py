"""Kernels that are not trained, kept in 8 or 4 bits.

A quantised kernel is a dict of two leaves, `codes` and `scales`; the dtype of
the codes tells the format. Axes are those of the kernel, inputs before outputs;
axes before the inputs (layers, experts) are mapped over.

`int8`: codes `[…, inputs, outputs]` int8, scales `[…, outputs]`: symmetric, one
scale per output.

`nf4`: 4-bit NormalFloat of Dettmers et al., arXiv 2305.14314, over blocks of 64
inputs of one output. Inputs are flattened and padded with zeros to `J` whole
blocks: codes `[…, J · 32, outputs]` uint8, two in a byte; scales `[…, J,
outputs]`, the largest magnitude of each block; 4.5 bits a weight in all.

Shapes: `X` inputs, `Y` outputs, `J` blocks of `b = 64` inputs.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

FORMATS = ('int8', 'nf4')
BLOCK = 64

Quantised = dict[str, jax.Array]

# Appendix E of the paper. Between 0 and ±1 lie quantiles of N(0, 1), eight on
# the positive side and seven on the negative one.
NF4 = np.asarray(
  [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
  ],
  np.float32,
)


def format_of(kernel: jax.Array | Quantised) -> str | None:
  """Returns the format of a kernel, or None if it is not quantised."""
  if not isinstance(kernel, dict):
    return None
  return 'int8' if kernel['codes'].dtype == jnp.int8 else 'nf4'


def quantise(kernel: jax.Array, inputs: int, fmt: str) -> Quantised:
  """Rounds one kernel, its inputs before its outputs, to the nearest codes.

  Args:
    kernel: Floats.
    inputs: How many of its axes are inputs.
    fmt: One of `FORMATS`.
  """
  outputs = kernel.shape[inputs:]
  matrix_XY = kernel.astype(jnp.float32).reshape(
    math.prod(kernel.shape[:inputs]), math.prod(outputs)
  )
  if fmt == 'int8':
    scales_Y = jnp.max(jnp.abs(matrix_XY), axis=0) / 127
    codes_XY = jnp.round(matrix_XY / _nonzero(scales_Y)[None])
    return {
      'codes': codes_XY.astype(jnp.int8).reshape(kernel.shape),
      'scales': scales_Y.reshape(outputs),
    }
  X, Y = matrix_XY.shape
  J = -(-X // BLOCK)
  padded_XY = jnp.pad(matrix_XY, ((0, J * BLOCK - X), (0, 0)))
  blocks_JbY = padded_XY.reshape(J, BLOCK, Y)
  scales_JY = jnp.max(jnp.abs(blocks_JbY), axis=1)
  codes_JbY = _nearest(blocks_JbY / _nonzero(scales_JY)[:, None])
  # Halves of a block share bytes: cheaper to take apart than neighbours.
  low, high = codes_JbY[:, : BLOCK // 2], codes_JbY[:, BLOCK // 2 :]
  packed = low | (high << 4)
  return {
    'codes': packed.reshape(J * BLOCK // 2, *outputs),
    'scales': scales_JY.reshape(J, *outputs),
  }


def dequantise(
  quantised: Quantised, shape: tuple[int, ...], inputs: int
) -> jax.Array:
  """Returns the kernel of this shape that the codes stand for, float32.

  Args:
    quantised: From `quantise`.
    shape: Of the kernel.
    inputs: How many of its axes are inputs.
  """
  codes, scales = quantised['codes'], quantised['scales']
  if format_of(quantised) == 'int8':
    lead = (None,) * inputs
    return codes.astype(jnp.float32) * scales[lead]
  X, Y = math.prod(shape[:inputs]), math.prod(shape[inputs:])
  J = scales.shape[0]
  packed = codes.reshape(J, BLOCK // 2, Y)
  codes_JbY = jnp.concatenate([packed & 15, packed >> 4], axis=1)
  blocks_JbY = _values(codes_JbY) * scales.reshape(J, 1, Y)
  return blocks_JbY.reshape(J * BLOCK, Y)[:X].reshape(shape)


def _nonzero(scales: jax.Array) -> jax.Array:
  """What to divide by: a block of zeros has codes of zero at any scale."""
  return jnp.where(scales == 0, 1.0, scales)


def _nearest(x: jax.Array) -> jax.Array:
  """Returns uint8 indices of the nearest of `NF4`."""
  codes = jnp.zeros(x.shape, jnp.uint8)
  for middle in (NF4[1:] + NF4[:-1]) / 2:
    codes += (x > middle).astype(jnp.uint8)
  return codes


def _values(codes: jax.Array) -> jax.Array:
  """Returns `NF4[codes]`, by selects: gathers are slow on accelerators."""
  values = [jnp.float32(v) for v in NF4]
  for bit in range(4):
    odd = (codes >> bit) & 1 == 1
    values = [
      jnp.where(odd, high, low)
      for low, high in zip(values[::2], values[1::2], strict=True)
    ]
  return values[0]
