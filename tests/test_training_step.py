import dataclasses
import itertools
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import one_device
import optax
import processes
import pytest

from msm_jax import models
from msm_jax.training import moments
from msm_jax.training import optimizer
from msm_jax.training import step as step_lib
from msm_jax.training.config import OptimizerConfig
from msm_jax.training.config import ScheduleConfig

CONFIG = models.DecoderConfig(
  vocab_size=41,
  d_model=12,
  n_layers=2,
  n_heads=2,
  n_kv_heads=1,
  head_dim=6,
  d_ff=16,
)
MODEL = models.Model(CONFIG)
B, T = 8, 16


def _batch(seed=0):
  """Packed rows with very unequal weights, so that means of means show."""
  rng = np.random.default_rng(seed)
  segments = np.sort(rng.integers(1, 4, (B, T)), axis=1)
  positions = np.zeros((B, T))
  for row, t in itertools.product(range(B), range(1, T)):
    if segments[row, t] == segments[row, t - 1]:
      positions[row, t] = positions[row, t - 1] + 1
  weights = (rng.random((B, T)) < np.linspace(0.05, 1, B)[:, None]) * 1.0
  weights[:, 0] = 1.0
  batch = {
    'tokens': rng.integers(0, 41, (B, T)),
    'targets': rng.integers(0, 41, (B, T)),
    'segment_ids': segments,
    'positions': positions,
    'loss_weights': weights,
  }
  return {
    k: batch[k].astype(dtype) for k, dtype in step_lib.BATCH_DTYPES.items()
  }


def _key(**changes):
  defaults = {
    'batch_size': B,
    'seq_len': T,
    'accumulation': 1,
    'loss_chunk': 8,
    'z_loss': 0.0,
    'optimizer': OptimizerConfig(),
  }
  return step_lib.StepKey(**{**defaults, **changes})


def _state(seed=0):
  params = MODEL.init(jax.random.key(seed))
  return step_lib.TrainState(params, moments.init(OptimizerConfig(), params))


def _reference_loss(params, batch, z_loss=0.0):
  logits = MODEL.logits(
    params, batch['tokens'], batch['segment_ids'], batch['positions']
  )
  losses = optax.softmax_cross_entropy_with_integer_labels(
    logits, batch['targets']
  )
  losses = losses + z_loss * jax.nn.logsumexp(logits, axis=-1) ** 2
  weights = batch['loss_weights']
  return jnp.sum(losses * weights) / jnp.sum(weights)


def _assert_close(a, b, tolerance=1e-5):
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    scale = max(float(jnp.linalg.norm(y)), 1e-6)
    assert float(jnp.linalg.norm(x - y)) / scale < tolerance


@pytest.mark.parametrize('z_loss', [0.0, 1e-2])
def test_an_update_equals_optax_adamw_on_the_mean_loss(z_loss):
  config = OptimizerConfig(weight_decay=0.1, clip_norm=0.5)
  step = jax.jit(
    step_lib.make_step(MODEL, _key(z_loss=z_loss, optimizer=config))
  )
  state = _state()
  decayed = jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key != 'scale', state.params
  )
  learning_rate = 3e-2
  reference = optax.chain(
    optax.clip_by_global_norm(0.5),
    optax.adamw(learning_rate, 0.9, 0.95, 1e-8, weight_decay=0.1, mask=decayed),
  )
  params, opt_state = state.params, reference.init(state.params)
  for seed in range(3):
    batch = _batch(seed)
    loss, grads = jax.value_and_grad(_reference_loss)(params, batch, z_loss)
    norm = float(optax.global_norm(grads))
    assert norm > 0.5, 'clipping must matter here'
    state, metrics = step(state, batch, jnp.float32(learning_rate))
    np.testing.assert_allclose(metrics.grad_norm, norm, rtol=1e-5)
    if not z_loss:
      np.testing.assert_allclose(metrics.loss, loss, rtol=1e-5)
    updates, opt_state = reference.update(grads, opt_state, params)
    params = optax.apply_updates(params, updates)
    _assert_close(state.params, params, 2e-5)


@pytest.mark.parametrize('accumulation', [2, 4, 8])
def test_accumulation_gives_the_gradient_of_the_whole_batch(accumulation):
  params, batch = _state().params, _batch()
  whole, sums = step_lib.summed_gradients(MODEL, _key(), params, batch)
  parts, part_sums = step_lib.summed_gradients(
    MODEL, _key(accumulation=accumulation), params, batch
  )
  _assert_close(parts, whole)
  # The per-row sums come back in the order of the rows.
  np.testing.assert_allclose(part_sums.loss, sums.loss, rtol=1e-5)
  np.testing.assert_array_equal(part_sums.weight, sums.weight)
  # A mean of micro-batch means would be a different gradient on this batch.
  grad = jax.grad(_reference_loss)
  of_means = [
    grad(params, {k: v[a::accumulation] for k, v in batch.items()})
    for a in range(accumulation)
  ]
  mean = jax.tree.map(lambda *g: sum(g) / accumulation, *of_means)
  weight = float(jnp.sum(sums.weight))
  right = jax.tree.map(lambda g: g / weight, whole)
  off = float(optax.global_norm(jax.tree.map(jnp.subtract, mean, right)))
  assert off > 0.02 * float(optax.global_norm(right))


def test_rows_report_their_own_loss():
  batch = _batch()
  step = jax.jit(step_lib.make_step(MODEL, _key()))
  state = _state()
  _, metrics = step(state, batch, jnp.float32(0.0))
  for row in range(B):
    one = {k: v[row : row + 1] for k, v in batch.items()}
    weight = one['loss_weights'].sum()
    assert float(metrics.row_weight[row]) == weight
    if weight:
      np.testing.assert_allclose(
        metrics.row_loss[row] / weight,
        _reference_loss(state.params, one),
        rtol=1e-5,
      )


def test_a_batch_without_weight_changes_nothing_and_is_finite():
  batch = _batch()
  batch['loss_weights'] = np.zeros_like(batch['loss_weights'])
  state = _state()
  after, metrics = jax.jit(step_lib.make_step(MODEL, _key()))(
    state, batch, jnp.float32(0.1)
  )
  assert float(metrics.loss) == 0.0
  jax.tree.map(np.testing.assert_array_equal, after.params, state.params)


def test_the_learning_rate_is_traced_and_the_state_donated():
  step = step_lib.compile_step(
    MODEL,
    _key(),
    one_device.layout(),
  )
  state = _state()
  first = state.params['embedding_VD']
  results = {}
  for rate in (0.0, 1e-2):
    state, _ = step(state, _batch(), np.float32(rate))
    results[rate] = np.asarray(state.params['embedding_VD'])
  assert first.is_deleted(), 'the state was not donated'
  assert not np.array_equal(results[0.0], results[1e-2])


def test_weight_decay_spares_norm_scales():
  config = OptimizerConfig(weight_decay=1.0, clip_norm=None)
  params = _state().params
  zeros = jax.tree.map(jnp.zeros_like, params)
  after, _, _ = optimizer.update(
    config,
    zeros,
    moments.init(OptimizerConfig(), params),
    params,
    jnp.float32(0.1),
  )
  np.testing.assert_array_equal(
    after['final_norm']['scale'], params['final_norm']['scale']
  )
  np.testing.assert_allclose(
    after['embedding_VD'], 0.9 * params['embedding_VD'], rtol=1e-6
  )


@pytest.mark.parametrize('decay', ['constant', 'cosine', 'linear'])
@pytest.mark.parametrize('warmup, final', [(0, 0.0), (5, 0.1)])
def test_schedules_equal_optax(decay, warmup, final):
  peak, horizon = 2e-3, 30
  config = ScheduleConfig(peak, warmup, decay, final)
  span = horizon - 1 - warmup
  after = {
    'constant': optax.constant_schedule(peak),
    'cosine': optax.cosine_decay_schedule(peak, span, alpha=final),
    'linear': optax.linear_schedule(peak, peak * final, span),
  }[decay]
  for position in range(horizon):
    got = optimizer.learning_rate(config, position, horizon)
    if position < warmup:
      expected = peak * (position + 1) / warmup
    else:
      expected = float(after(position - warmup))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-12)


def test_a_batch_that_the_devices_cannot_share_is_refused():
  key = dataclasses.replace(_key(), batch_size=6, accumulation=4)
  with pytest.raises(ValueError, match='batch_size: 6 is not a multiple of'):
    step_lib.compile_step(
      MODEL,
      key,
      one_device.layout(),
    )


@pytest.mark.parametrize('accumulation', [1, 2])
def test_two_devices_share_the_rows_and_give_the_same_update(accumulation):
  done = subprocess.run(
    [sys.executable, 'tests/two_devices.py', str(accumulation)],
    cwd=processes.ROOT,
    env={
      **processes.environment(),
      'PYTHONPATH': str(processes.ROOT),
      'XLA_FLAGS': '--xla_force_host_platform_device_count=2',
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  two = json.loads(done.stdout.splitlines()[-1])
  assert two['rows'] == [B // 2, B // 2]
  _, one = jax.jit(step_lib.make_step(MODEL, _key()))(
    _state(), _batch(), jnp.float32(1e-2)
  )
  np.testing.assert_allclose(two['loss'], one.loss, rtol=1e-5)
  np.testing.assert_allclose(two['grad_norm'], one.grad_norm, rtol=1e-5)
  np.testing.assert_allclose(two['row_loss'], one.row_loss, rtol=1e-5)
