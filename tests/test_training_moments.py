"""Moments that are kept in fewer bits than they are computed in."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import one_device
import optax
import processes
import pytest
import small_moments
import tiny_run

from msm_jax import models
from msm_jax import schema
from msm_jax import training
from msm_jax.models import layout as layout_lib
from msm_jax.training import moments
from msm_jax.training import optimizer
from msm_jax.training import phases
from msm_jax.training import step as step_lib
from msm_jax.training.config import OptimizerConfig

# Levels of √ν are this far apart.
LEVEL = 2 ** (1 / 16)
FLOAT32 = OptimizerConfig()
SMALL = OptimizerConfig(mu_dtype='bfloat16', nu_format='log_uint8')


def _blocks(shape=(64, 96), axis=1, size=32):
  return moments.Blocks(shape, axis, size)


def _second_moments(shape, seed=0, spread=3.0):
  """Of which the roots of nearly all are within 2^15 of the largest."""
  rng = np.random.default_rng(seed)
  return np.asarray(rng.lognormal(-20, spread, shape), np.float32)


def _decoded(quantised, axis, size):
  """What codes stand for, in float64; exponents are those of 2 D arrays."""
  codes = np.asarray(quantised['codes'], np.float64)
  exponents = np.asarray(quantised['exponents'], np.float64)
  if exponents.shape[axis] != codes.shape[axis] // size:
    exponents = exponents.T
  top = np.repeat(exponents, size, axis=axis)
  return np.where(codes > 0, 4.0 ** (top - (255 - codes) / 16), 0)


@pytest.mark.parametrize(
  'shape, axis, size', [((64, 96), 1, 32), ((96, 64), 0, 24), ((8, 640), 1, 8)]
)
def test_the_root_of_a_second_moment_is_within_a_level(shape, axis, size):
  nu = _second_moments(shape)
  blocks = _blocks(shape, axis, size)
  quantised = jax.jit(moments.quantise, static_argnums=1)(
    nu, blocks, jax.random.key(1)
  )
  assert quantised['codes'].shape == shape
  assert quantised['codes'].dtype == jnp.uint8
  assert quantised['exponents'].dtype == jnp.int8
  assert quantised['exponents'].size == nu.size // size
  # The longest axis is the last, for the sake of TPUs' tiles.
  assert quantised['exponents'].shape[-1] == max(quantised['exponents'].shape)
  kept = _decoded(quantised, axis, size)
  ratio = np.sqrt(kept / nu)
  assert 1 / LEVEL - 1e-5 < ratio.min() < 0.98
  assert 1.02 < ratio.max() < LEVEL + 1e-5
  ours = jax.jit(moments.dequantise, static_argnums=1)(quantised, blocks)
  np.testing.assert_allclose(ours, kept, rtol=1e-5)


def test_rounding_is_unbiased_in_the_second_moment():
  nu = _second_moments((64, 96))
  n = 400

  @jax.jit
  @jax.vmap
  def kept(key):
    quantised = moments.quantise(nu, _blocks(), key)
    return moments.dequantise(quantised, _blocks())

  keys = jax.random.split(jax.random.key(2), n)
  error = np.asarray(kept(keys), np.float64) / nu - 1
  # Of two levels of ν that are 2^(1/8) − 1 apart.
  assert error.std() < 0.5 * (LEVEL**2 - 1)
  standard_error = error.std() / np.sqrt(error.size)
  assert abs(error.mean()) < 4 * standard_error
  of_elements = np.abs(error.mean(axis=0))
  assert np.mean(of_elements < 4 * error.std(axis=0) / np.sqrt(n) + 1e-5) > 0.99


def test_what_does_not_change_is_not_rounded_again():
  @jax.jit
  def rounded(nu, key):
    quantised = moments.quantise(nu, _blocks(), key)
    return moments.dequantise(quantised, _blocks())

  once = rounded(_second_moments((64, 96)), jax.random.key(0))
  again = once
  for seed in range(20):
    again = rounded(again, jax.random.key(seed))
  np.testing.assert_allclose(again, once, rtol=1e-5)


def test_small_elements_are_rounded_up_and_zeros_stay():
  nu = np.zeros((2, 32), np.float32)
  nu[0, :3] = 4.0, 1e-12, 1e-30
  quantised = moments.quantise(nu, _blocks((2, 32), 1, 32), jax.random.key(0))
  kept = np.asarray(moments.dequantise(quantised, _blocks((2, 32), 1, 32)))
  assert kept[0, 0] == 4.0
  smallest = 4.0 * 4.0 ** (-254 / 16)
  np.testing.assert_allclose(kept[0, 1:3], smallest, rtol=1e-5)
  assert not kept[0, 3:].any() and not kept[1].any()


def _params(seed=0):
  """Some of a model's parameters; two of them are large enough for 8 bits."""
  rng = np.random.default_rng(seed)
  shapes = {
    'layers': {
      'attention': {'q': {'kernel': (2, 64, 4, 16)}},
      'attention_norm': {'scale': (2, 64)},
    },
    'untied_head_DV': (64, 128),
  }
  return jax.tree.map(
    lambda shape: jnp.asarray(rng.standard_normal(shape), jnp.float32),
    shapes,
    is_leaf=lambda x: isinstance(x, tuple),
  )


_update = jax.jit(optimizer.update, static_argnums=0)
_unpack = jax.jit(moments.unpack, static_argnums=0)


def _adamw(config, params, grads, mu, nu, count, rate):
  """Loshchilov and Hutter, algorithm 2, in float64."""
  mu = config.b1 * mu + (1 - config.b1) * grads
  nu = config.b2 * nu + (1 - config.b2) * grads**2
  m = mu / (1 - config.b1**count)
  v = nu / (1 - config.b2**count)
  step = m / (np.sqrt(v) + config.eps) + config.weight_decay * params
  return params - rate * step, mu, nu


def _float64(tree):
  return [np.asarray(x, np.float64) for x in jax.tree.leaves(tree)]


@pytest.mark.parametrize('mu_dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize('nu_format', ['float32', 'log_uint8'])
def test_updates_are_those_of_float64_adamw_from_what_is_kept(
  mu_dtype, nu_format
):
  config = OptimizerConfig(
    mu_dtype=mu_dtype, nu_format=nu_format, clip_norm=None
  )
  params = _params()
  state = moments.init(config, params)
  for count in range(1, 6):
    grads = jax.tree.map(lambda x: 0.1 * x, _params(count))
    before = _unpack(config, state, params)
    expected = [
      _adamw(config, *leaves, count, 1e-2)
      for leaves in zip(
        *map(_float64, (params, grads, before.mu, before.nu)), strict=True
      )
    ]
    params, state, _ = _update(config, grads, state, params, jnp.float32(1e-2))
    after = _unpack(config, state, params)
    for x, (exact, _, _) in zip(_float64(params), expected, strict=True):
      np.testing.assert_allclose(x, exact, rtol=1e-5, atol=1e-6)
    rtol = 1e-6 if mu_dtype == 'float32' else 2**-8
    for x, (_, exact, _) in zip(_float64(after.mu), expected, strict=True):
      np.testing.assert_allclose(x, exact, rtol=rtol, atol=1e-8)
    rtol = 1e-5 if nu_format == 'float32' else LEVEL**2 - 1 + 1e-4
    off = []
    for x, (_, _, exact) in zip(_float64(after.nu), expected, strict=True):
      # Elements below the smallest level of their block are rounded up.
      largest = np.abs(exact).max()
      small = exact < largest * 4.0**-14
      np.testing.assert_array_less(exact[small] * (1 - rtol), x[small])
      np.testing.assert_allclose(x[~small], exact[~small], rtol=rtol)
      off.append(np.abs(x / exact - 1).max())
    assert (max(off) > 0.05) == (nu_format == 'log_uint8')
  assert int(state['count']) == 5


def test_only_large_matrices_are_kept_in_eight_bits():
  model = models.Model(
    dataclasses.replace(small_moments._DECODER, qkv_bias=True, norm='sandwich')
  )
  state = step_lib.abstract_state(model, SMALL).optimizer
  in_bits = set()

  def note(path, param, kept):
    name = '/'.join(key.key for key in path)
    if isinstance(kept, dict):
      in_bits.add(name)
      assert kept['codes'].shape == param.shape
    else:
      assert (kept.shape, kept.dtype) == (param.shape, jnp.float32)

  params = model.abstract_params()
  jax.tree_util.tree_map_with_path(note, params, state['nu'])
  kernels = {f'layers/attention/{x}/kernel' for x in ('q', 'k', 'v', 'out')}
  kernels |= {f'layers/mlp/{x}/kernel' for x in ('gate', 'up', 'down')}
  assert in_bits == kernels | {'embedding_VD', 'untied_head_DV'}
  assert {x.dtype for x in jax.tree.leaves(state['mu'])} == {
    jnp.dtype('bfloat16')
  }


def test_moments_are_float32_whatever_parameters_are():
  config = dataclasses.replace(small_moments._DECODER, param_dtype='bfloat16')
  state = step_lib.abstract_state(models.Model(config)).optimizer
  kinds = {x.dtype for x in jax.tree.leaves((state['mu'], state['nu']))}
  assert kinds == {jnp.dtype('float32')}


def _after_updates(config, n, params):
  state = moments.init(config, params)
  for seed in range(n):
    params, state, _ = _update(
      config, _params(seed + 1), state, params, jnp.float32(1e-2)
    )
  return params, state


def _phase(config, **changes):
  raw = tiny_run.get_config('/nowhere')
  raw.phases[1].update(changes)
  return dataclasses.replace(training.load(raw).phases[1], optimizer=config)


@pytest.mark.parametrize('before', [FLOAT32, SMALL])
@pytest.mark.parametrize('after', [FLOAT32, SMALL])
def test_carried_moments_keep_their_count_in_every_format(before, after):
  params, state = _after_updates(before, 3, _params())
  kept = _unpack(before, state, params)
  entered = phases.enter(
    _phase(after), params, state, one_device.layout()
  ).optimizer
  carried = _unpack(after, entered, params)
  # Bias correction goes on: the next update is the fourth.
  assert int(entered['count']) == 3
  for a, b in zip(*map(_float64, (carried.mu, kept.mu)), strict=True):
    np.testing.assert_allclose(a, b, rtol=2**-8)
  rtol = 1e-4 if before == after or after == FLOAT32 else LEVEL**2 - 1 + 1e-4
  for a, b in zip(*map(_float64, (carried.nu, kept.nu)), strict=True):
    np.testing.assert_allclose(a, b, rtol=rtol)
  grads = _params(9)
  ours, _, _ = _update(after, grads, entered, params, jnp.float32(1e-2))
  exact = [
    _adamw(after, *leaves, 4, 1e-2)[0]
    for leaves in zip(
      *map(_float64, (params, _clipped(grads), carried.mu, carried.nu)),
      strict=True,
    )
  ]
  for x, y in zip(_float64(ours), exact, strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def _clipped(grads):
  norm = float(optax.global_norm(grads))
  assert norm > 1.0
  return jax.tree.map(lambda g: g / norm, grads)


def test_moments_in_the_format_that_is_wanted_are_not_touched():
  params, state = _after_updates(SMALL, 1, _params())
  same = moments.convert(SMALL, state, params, one_device.layout())
  kept, before = jax.tree.leaves(same), jax.tree.leaves(state)
  assert all(a is b for a, b in zip(kept, before, strict=True))


def _on_eight(*arguments):
  done = subprocess.run(
    [sys.executable, 'tests/small_moments.py', *arguments],
    cwd=processes.ROOT,
    env=processes.environment()
    | {
      'PYTHONPATH': str(processes.ROOT),
      'XLA_FLAGS': '--xla_force_host_platform_device_count=8',
    },
    check=False,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  rows = map(json.loads, done.stdout.splitlines())
  return {row['what']: row for row in rows}


@pytest.fixture(scope='module')
def on_eight():
  return _on_eight()


@pytest.mark.parametrize('what', ['kernels', 'of adapters'])
def test_a_mesh_rounds_as_one_device_and_sends_nothing(on_eight, what):
  found = on_eight[what]
  assert found['same']
  assert found['sent'] == []
  assert found['in_bits'] == 1
  assert found['cut'] == 1


def _assert_that_of_one_device(found):
  assert found['params'] < 1e-5
  # Gradients that differ in their last bits change a draw in ten thousand.
  assert found['levels'] <= 1 and found['off'] < 1e-3


def test_an_update_on_a_mesh_is_that_of_one_device(on_eight):
  _assert_that_of_one_device(on_eight['adapters'])


@pytest.mark.slow
def test_an_update_of_all_parameters_on_a_mesh_is_that_of_one_device():
  _assert_that_of_one_device(_on_eight('--rest')['all'])


def test_blocks_that_a_mesh_would_cut_are_refused_by_name():
  sizes = [{'tensor': 8}.get(axis, 1) for axis in layout_lib.MESH_AXES]
  mesh = jax.sharding.AbstractMesh(tuple(sizes), layout_lib.MESH_AXES)
  layout = models.Layout(mesh)
  params = small_moments.MODELS['all'].abstract_params()
  message = (
    r'blocks of 32 of the second moment of \S+: its axis .(vocab|mlp).* of '
    r"size 4 cannot be cut over mesh\.tensor = 8.* nu_format = 'float32'"
  )
  mlp = {'layers': {'mlp': params['layers']['mlp']}}
  with pytest.raises(schema.ConfigError, match=message):
    moments.shardings(SMALL, mlp, layout)
  moments.shardings(FLOAT32, mlp, layout)


@pytest.mark.parametrize(
  'key, value, message',
  [
    ('mu_dtype', 'float16', r"optimizer: mu_dtype: 'float16', expected one of"),
    ('nu_format', 'uint8', r"nu_format: 'uint8', .*mean 'log_uint8'"),
    ('nu_dtype', 'bfloat16', r'optimizer\.nu_dtype: there is no such key'),
  ],
)
def test_formats_that_are_not_offered_are_refused(key, value, message):
  config = tiny_run.get_config('/nowhere')
  config.phases[0].optimizer = {key: value}
  with pytest.raises(schema.ConfigError, match=message):
    training.load(config)


def _config(root):
  """Of which the second phase carries moments on in another format."""
  config = tiny_run.get_config(str(root))
  config.model.update(d_model=32)
  config.checkpoint.keep = 1000
  for phase, formats in zip(config.phases, (SMALL, FLOAT32), strict=True):
    phase.updates = 20
    phase.optimizer = ml_collections.ConfigDict(dataclasses.asdict(formats))
  return config


@contextlib.contextmanager
def _checkpoints(workdir):
  with contextlib.closing(
    training.Checkpoints(workdir / 'checkpoints', read_only=True)
  ) as checkpoints:
    yield checkpoints


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  root = tmp_path_factory.mktemp('moments')
  tiny_run.make_sources(root)
  config = training.load(_config(root))
  return config, root / 'run', training.train(config, root / 'run')


# Within a phase of few bits; at the boundary; after it.
@pytest.mark.parametrize('step', [12, 20, 30])
def test_a_run_in_few_bits_goes_on_bitwise_from_any_checkpoint(
  whole, step, tmp_path
):
  config, workdir, result = whole
  killed = tmp_path / 'killed'
  shutil.copytree(workdir, killed)
  for name in os.listdir(killed / 'checkpoints'):
    if int(name) > step:
      shutil.rmtree(killed / 'checkpoints' / name)
  assert training.train(config, killed) == result


def test_checkpoints_hold_moments_as_they_are_kept(whole):
  config, workdir, _ = whole
  model = models.Model(config.model)
  here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  with _checkpoints(workdir) as checkpoints:
    small = checkpoints.state(12, model, here).optimizer
    large = checkpoints.state(40, model, here).optimizer
  assert small['mu']['embedding_VD'].dtype == jnp.bfloat16
  assert set(small['nu']['embedding_VD']) == {'codes', 'exponents'}
  assert large['nu']['embedding_VD'].dtype == jnp.float32
  assert [int(s['count']) for s in (small, large)] == [12, 40]


def test_a_run_can_carry_on_the_moments_of_another_in_its_own_format(
  whole, tmp_path
):
  config, workdir, _ = whole
  first = dataclasses.replace(
    config.phases[1], optimizer=SMALL, optimizer_state='carry'
  )
  init = training.config.InitFrom(str(workdir), 'midtrain')
  config = dataclasses.replace(config, phases=(first,), init_from=init)
  training.train(config, tmp_path / 'run')
  with _checkpoints(tmp_path / 'run') as checkpoints:
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    model = models.Model(config.model)
    state = checkpoints.state(20, model, here).optimizer
  assert int(state['count']) == 40
  assert set(state['nu']['embedding_VD']) == {'codes', 'exponents'}


def test_the_format_of_moments_is_part_of_a_run(whole, tmp_path):
  config, workdir, _ = whole
  shutil.copytree(workdir, tmp_path / 'run')
  other = dataclasses.replace(config.phases[0], optimizer=FLOAT32)
  config = dataclasses.replace(config, phases=(other, config.phases[1]))
  with pytest.raises(schema.ConfigError, match='nu_format: there'):
    training.train(config, tmp_path / 'run')
