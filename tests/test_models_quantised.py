"""Kernels in 8 and 4 bits, against NumPy and the papers' figures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from msm_jax.models import quantised


def _kernel(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=shape).astype(np.float32)


def _round_trip(kernel, fmt, inputs=1):
  codes = jax.jit(quantised.quantise, static_argnums=(1, 2))(
    kernel, inputs, fmt
  )
  return codes, np.asarray(
    quantised.dequantise(codes, kernel.shape, inputs), np.float64
  )


def test_the_codes_of_nf4_are_those_of_the_papers_formula():
  # QLoRA, section 3 and appendix E: quantiles of N(0, 1) between the offset
  # and one half, eight steps up and seven down, scaled to a largest of 1.
  offset = (1 - 1 / 32 + 1 - 1 / 30) / 2
  up = scipy.stats.norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
  down = -scipy.stats.norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
  expected = np.sort([*up, 0.0, *down]) / up[0]
  assert quantised.NF4.dtype == np.float32
  # The authors computed in float32.
  np.testing.assert_allclose(quantised.NF4, expected, rtol=0, atol=3e-7)


def test_the_error_of_nf4_is_that_of_the_authors_code():
  # The test of bitsandbytes' `quantize_4bit` expects, of N(0, 1) in blocks of
  # 64, a mean error of 0.072792 and a mean relative error of 0.203299.
  kernel = _kernel(1024, 1024)
  _, back = _round_trip(kernel, 'nf4')
  error = np.abs(back - kernel)
  np.testing.assert_allclose(error.mean(), 0.072792, rtol=3e-3)
  relative = (error / (np.abs(kernel) + 1e-8)).mean()
  np.testing.assert_allclose(relative, 0.203299, rtol=3e-3)


@pytest.mark.parametrize('inputs', [1, 2])
@pytest.mark.parametrize('shape', [(64, 3, 5), (7, 20, 3), (1, 130, 2)])
def test_nf4_rounds_each_block_of_64_inputs_to_the_nearest_code(shape, inputs):
  kernel = _kernel(*shape)
  codes, back = _round_trip(kernel, 'nf4', inputs)
  matrix = kernel.reshape(np.prod(shape[:inputs]), -1).astype(np.float64)
  table = quantised.NF4.astype(np.float64)
  for first in range(0, len(matrix), 64):
    block = matrix[first : first + 64]
    largest = np.abs(block).max(axis=0)
    nearest = np.abs(block[..., None] / largest[:, None] - table).argmin(-1)
    got = back.reshape(matrix.shape)[first : first + 64]
    np.testing.assert_allclose(got, table[nearest] * largest, rtol=1e-6)
  n_blocks = -(-len(matrix) // 64)
  assert codes['codes'].dtype == jnp.uint8
  assert codes['codes'].size == n_blocks * 32 * matrix.shape[1]
  assert codes['scales'].size == n_blocks * matrix.shape[1]


def test_int8_is_off_by_half_a_step_at_most():
  kernel = _kernel(6, 40, 7)
  codes, back = _round_trip(kernel, 'int8', 2)
  largest = np.abs(kernel.astype(np.float64)).max(axis=(0, 1))
  step = largest / 127
  np.testing.assert_allclose(codes['scales'], step, rtol=1e-6)
  error = np.abs(back - kernel)
  assert (error <= 0.5 * step * (1 + 1e-5)).all()
  assert error.max() > 0.45 * step.min(), 'the bound is far off'
  assert codes['codes'].dtype == jnp.int8
  assert codes['codes'].shape == kernel.shape
  assert (np.abs(codes['codes']).max(axis=(0, 1)) == 127).all()


@pytest.mark.parametrize('fmt', quantised.FORMATS)
def test_zeros_and_what_codes_stand_for_come_back_exactly(fmt):
  kernel = _kernel(128, 6)
  kernel[:, 2] = 0.0
  kernel[:64, 4] = 0.0
  codes, back = _round_trip(kernel, fmt)
  assert np.isfinite(back).all()
  assert not back[:, 2].any()
  assert not back[:64, 4].any()
  again, back_again = _round_trip(back.astype(np.float32), fmt)
  np.testing.assert_array_equal(codes['codes'], again['codes'])
  np.testing.assert_allclose(back, back_again, rtol=1e-6)
  assert quantised.format_of(codes) == fmt
  assert quantised.format_of(jnp.asarray(kernel)) is None
