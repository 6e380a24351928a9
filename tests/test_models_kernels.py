"""Attention kernels against the reference: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msm_jax import models
from msm_jax.models import attention
from msm_jax.models import splash

SCORES = [
  models.Scores(0.4),
  models.Scores(0.4, window=20),
  models.Scores(0.4, window=70, softcap=0.5),
]
# Absolute, of outputs and of gradients: for values of order 1 in float32.
TOLERANCES = {'blocked': (1e-6, 1e-5), 'splash': (5e-6, 1e-5)}


def _inputs(T, seed=0):
  """Queries, keys, values, and segments of which the last is padding."""
  rng = np.random.default_rng(seed)
  shapes = [(2, T, 4, 6), (2, T, 2, 6), (2, T, 2, 6)]
  q, k, v = [rng.normal(size=s).astype(np.float32) for s in shapes]
  segments = np.sort(rng.integers(0, 4, (2, T)), axis=1)[:, ::-1]
  return q, k, v, np.ascontiguousarray(segments, np.int32)


def _with_gradient(kernel, q, k, v, segments, scores):
  """Outputs where there is no padding, and gradients of a sum of them."""

  def loss(q, k, v):
    out = kernel(q, k, v, segments, scores)
    out = out * (segments > 0)[..., None, None]
    weights = jnp.cos(jnp.arange(out.size)).reshape(out.shape)
    return jnp.sum(out * weights), out

  grad = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))
  return grad(q, k, v)


def _check(name, T, scores):
  inputs = _inputs(T)
  expected, expected_out = _with_gradient(
    attention.reference_attention, *inputs, scores
  )
  got, out = _with_gradient(models.kernel(name), *inputs, scores)
  of_values, of_gradients = TOLERANCES[name]
  np.testing.assert_allclose(out, expected_out, rtol=0, atol=of_values)
  for a, b in zip(got, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=of_gradients)


@pytest.mark.parametrize('scores', SCORES)
@pytest.mark.parametrize('T', [1, 64, 65, 150])
def test_blocks_equal_the_reference_in_value_and_gradient(T, scores):
  _check('blocked', T, scores)


# One block that is filled up; several blocks, of which some are skipped.
@pytest.mark.parametrize('T, scores', [(150, SCORES[2]), (384, SCORES[1])])
def test_splash_equals_the_reference_in_value_and_gradient(T, scores):
  _check('splash', T, scores)


@pytest.mark.slow
@pytest.mark.parametrize('scores', SCORES)
@pytest.mark.parametrize('T', [1, 128, 256, 300])
def test_splash_equals_the_reference_at_other_lengths(T, scores):
  _check('splash', T, scores)


@pytest.mark.parametrize(
  'name, window',
  [('reference', 30), ('splash', None), ('splash', 150)],
)
def test_shards_of_the_queries_have_the_outputs_of_all(name, window):
  T, n_shards = 512, 2
  q, k, v, segments = _inputs(T)
  scores = models.Scores(0.4, window=window)
  order_nT = models.balanced_order(T, n_shards).reshape(n_shards, -1)
  whole = attention.reference_attention(q, k, v, segments, scores)
  for shard, order_T in enumerate(order_nT):

    @jax.jit
    def part(shard, q, segments_BT):
      queries = attention.Queries(segments_BT, order_nT, shard)
      return models.kernel(name)(q, k, v, segments, scores, queries)

    got = part(jnp.int32(shard), q[:, order_T], segments[:, order_T])
    np.testing.assert_allclose(
      got * (segments[:, order_T] > 0)[..., None, None],
      whole[:, order_T] * (segments[:, order_T] > 0)[..., None, None],
      rtol=0,
      atol=5e-6,
    )


def test_parts_that_splash_cannot_block_are_refused():
  q, k, v, segments = _inputs(192)
  queries = attention.Queries(segments[:, :96], np.zeros((2, 96), np.int32), 0)
  with pytest.raises(ValueError, match=r'multiples of 128, but .* is 96'):
    splash.splash_attention(
      q[:, :96], k, v, segments, SCORES[0], queries, interpret=True
    )


def test_the_kernel_is_chosen_by_the_device():
  mesh = jax.sharding.AbstractMesh((1, 1, 1, 2, 1), models.layout.MESH_AXES)
  assert models.kernel('auto') is attention.blocked_attention
  cut = models.Layout(mesh)
  assert models.kernel('auto', cut) is attention.reference_attention
