import re

import jax
import jax.numpy as jnp
import numpy as np
import one_device
import optax
import pytest

from msm_jax import models
from msm_jax import training
from msm_jax.training import step as step_lib
from msm_jax.training.config import OptimizerConfig

B, T, D, V = 4, 24, 16, 53


def _inputs(seed=0):
  rng = np.random.default_rng(seed)
  return (
    rng.normal(size=(B, T, D)).astype(np.float32),
    rng.normal(size=(D, V)).astype(np.float32),
    rng.integers(0, V, (B, T)).astype(np.int32),
    (rng.random((B, T)) * (rng.random((B, T)) > 0.3)).astype(np.float32),
  )


def _reference(x, head, targets, weights):
  """Mean loss by optax, over full logits."""
  losses = optax.softmax_cross_entropy_with_integer_labels(x @ head, targets)
  return jnp.sum(losses * weights) / jnp.sum(weights)


@pytest.mark.parametrize('chunk', [1, 6, T])
def test_chunked_cross_entropy_equals_optax_in_value_and_gradient(chunk):
  x, head, targets, weights = _inputs()

  def ours(x, head):
    sums = training.chunked_cross_entropy(
      x, head, targets, weights, chunk=chunk
    )
    return jnp.sum(sums.loss) / jnp.sum(sums.weight)

  expected, expected_grads = jax.value_and_grad(_reference, argnums=(0, 1))(
    x, head, targets, weights
  )
  got, grads = jax.value_and_grad(ours, argnums=(0, 1))(x, head)
  np.testing.assert_allclose(got, expected, rtol=1e-6)
  for ours_grad, theirs in zip(grads, expected_grads, strict=True):
    error = np.linalg.norm(ours_grad - theirs) / np.linalg.norm(theirs)
    assert error < 1e-5


def test_row_sums_equal_float64_numpy():
  x, head, targets, weights = _inputs()
  sums = training.chunked_cross_entropy(x, head, targets, weights, chunk=8)
  logits = np.einsum('btd,dv->btv', *map(np.float64, (x, head)))
  log_z = np.log(np.exp(logits).sum(axis=-1))
  label = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
  np.testing.assert_allclose(
    sums.loss, (weights * (log_z - label)).sum(axis=-1), rtol=1e-5
  )
  np.testing.assert_allclose(
    sums.log_z_squared, (weights * log_z**2).sum(axis=-1), rtol=1e-5
  )
  np.testing.assert_allclose(sums.weight, weights.sum(axis=-1), rtol=1e-6)


def test_a_chunk_that_does_not_divide_the_sequence_is_refused():
  with pytest.raises(ValueError, match='loss_chunk: 7 does not divide T = 24'):
    training.chunked_cross_entropy(*_inputs(), chunk=7)


def _largest_buffers(hlo: str) -> list[int]:
  """Element counts of all arrays in the optimised HLO, largest first."""
  shapes = re.findall(r'(?:f32|bf16|f16|s32|u32|pred|f64)\[([\d,]+)\]', hlo)
  sizes = {int(np.prod([int(n) for n in s.split(',')])) for s in shapes}
  return sorted(sizes, reverse=True)


def test_no_buffer_of_logits_size_exists_forward_or_backward():
  # Sizes are such that nothing else in a step comes near B·T·V elements.
  config = models.DecoderConfig(
    vocab_size=4096,
    d_model=8,
    n_layers=2,
    n_heads=2,
    n_kv_heads=1,
    head_dim=4,
    d_ff=16,
  )
  B, T, V = 4, 64, config.vocab_size
  key = step_lib.StepKey(B, T, 1, 8, 1e-4, OptimizerConfig())
  compiled = step_lib.compile_step(
    models.Model(config),
    key,
    one_device.layout(),
  )
  largest = _largest_buffers(compiled.as_text())
  assert largest[0] <= B * 8 * V < B * T * V

  # The same inspection does find the logits of a loss that builds them.
  model = models.Model(config)
  params = model.abstract_params()
  tokens = jax.ShapeDtypeStruct((B, T), jnp.int32)

  def full(params, tokens):
    logits = model.logits(params, tokens, jnp.ones_like(tokens), tokens)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, tokens)
    return losses.mean()

  text = jax.jit(jax.grad(full)).lower(params, tokens).compile().as_text()
  assert _largest_buffers(text)[0] >= B * T * V
