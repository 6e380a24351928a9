import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpy_decoder
import one_device
import pytest

from msm_jax import models
from msm_jax import schema
from msm_jax.models import crossing
from msm_jax.models import lora
from msm_jax.models import projection

CONFIG = models.DecoderConfig(
  vocab_size=37,
  d_model=16,
  n_layers=3,
  n_heads=4,
  n_kv_heads=2,
  head_dim=6,
  d_ff=20,
)
LORA = lora.LoRAConfig(rank=3, alpha=6.0)
# As a user of the plain formula would write each projection: inputs, outputs.
INPUTS = {'q': 1, 'k': 1, 'v': 1, 'out': 2, 'gate': 1, 'up': 1, 'down': 1}


_init = jax.jit(lambda model, key: model.init(key), static_argnums=0)


def _trained(model, seed=0):
  """Parameters of a model whose adapters have learnt something."""
  params = _init(model, jax.random.key(seed))
  adapters, base = lora.split(params)
  keys = iter(jax.random.split(jax.random.key(seed + 1), 200))
  adapters = jax.tree.map(
    lambda x: x + 0.2 * jax.random.normal(next(keys), x.shape), adapters
  )
  return lora.join(adapters, base)


def _tokens(n, seed=0):
  return np.random.default_rng(seed).integers(0, 37, n).astype(np.int32)


def _logits(model, params, tokens):
  T = len(tokens)
  segments = np.ones((1, T), np.int32)
  positions = np.arange(T, dtype=np.int32)[None]
  logits = jax.jit(model.logits)(params, tokens[None], segments, positions)
  return np.asarray(logits[0])


def _plain(params, sites):
  """The base in float32 and without adapters."""
  adapt = functools.partial(lora.adapt, None, 'float32', sites, key=None)
  return jax.jit(adapt)(lora.drop(params))


def _merged(config, params, sites):
  """Adapters merged into kernels by NumPy, in float64.

  The formulas of the papers over matrices `[inputs, outputs]`, one layer at a
  time, sharing nothing with the code under test.
  """
  base = _plain(params, sites)

  def walk(tree, adapted):
    if 'lora' in adapted:
      return {'kernel': merge(tree['kernel'], adapted['lora'])}
    return {
      k: walk(v, adapted[k]) if isinstance(v, dict) else np.asarray(v)
      for k, v in tree.items()
    }

  def merge(kernels, adapter):
    out = []
    for n, kernel in enumerate(np.asarray(kernels, np.float64)):
      a, b = (np.asarray(adapter[k][n], np.float64) for k in 'ab')
      rank = a.shape[-1]
      matrix = kernel.reshape(a.size // rank, -1)
      delta = a.reshape(-1, rank) @ b.reshape(rank, -1)
      matrix = matrix + config.alpha / config.rank * delta
      if config.dora:
        m = np.asarray(adapter['magnitude'][n], np.float64).reshape(-1)
        matrix = m * matrix / np.sqrt((matrix**2).sum(axis=0))
      out.append(matrix.reshape(kernel.shape))
    return np.stack(out)

  return walk(base, params)


@pytest.mark.parametrize('dora', [False, True])
def test_logits_with_adapters_equal_a_float64_decoder_of_merged_kernels(dora):
  config = dataclasses.replace(LORA, dora=dora)
  model, tokens = models.Model(CONFIG, config), _tokens(19)
  params = _trained(model)
  exact = numpy_decoder.logits(
    _merged(config, params, model.sites), CONFIG, tokens
  )
  np.testing.assert_allclose(
    _logits(model, params, tokens), exact, rtol=0, atol=5e-5
  )
  without = numpy_decoder.logits(_plain(params, model.sites), CONFIG, tokens)
  assert np.abs(exact - without).max() > 0.3, 'the adapters do nothing'


def _new_and_base(base, dora, dtype):
  """Logits with new adapters, and without any."""
  config = dataclasses.replace(CONFIG, dtype=dtype)
  model = models.Model(config, dataclasses.replace(LORA, dora=dora, base=base))
  plain, key, tokens = models.Model(config), jax.random.key(5), _tokens(23)
  params = _init(model, key)
  if base == 'param_dtype':
    before = _init(plain, key)
    jax.tree.map(np.testing.assert_array_equal, lora.drop(params), before)
  return (
    _logits(model, params, tokens),
    _logits(plain, _plain(params, model.sites), tokens),
  )


@pytest.mark.parametrize(
  'base, dtype',
  [
    ('param_dtype', 'float32'),
    ('bfloat16', 'bfloat16'),
    ('int8', 'float32'),
    ('nf4', 'float32'),
    ('nf4', 'bfloat16'),
  ],
)
def test_new_adapters_change_no_bit_of_the_logits_of_their_base(base, dtype):
  np.testing.assert_array_equal(*_new_and_base(base, False, dtype))


@pytest.mark.parametrize('base', ['param_dtype', 'bfloat16'])
def test_new_magnitudes_are_the_norms_of_their_base(base):
  # Two programs compute them, which may add up in another order.
  ours, theirs = _new_and_base(base, True, 'float32')
  np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


def test_what_a_base_is_kept_in():
  config = dataclasses.replace(CONFIG, tied_embeddings=False, qkv_bias=True)
  expected = {
    'param_dtype': ('float32', 'float32'),
    'bfloat16': ('bfloat16', 'bfloat16'),
    'int8': ({'codes': 'int8', 'scales': 'float32'}, 'bfloat16'),
    'nf4': ({'codes': 'uint8', 'scales': 'float32'}, 'bfloat16'),
  }
  for base, (kernel, matrix) in expected.items():
    # Kernels without adapters are frozen as well, and kept the same.
    targets = ('*/attention/q',)
    model = models.Model(
      config, dataclasses.replace(LORA, base=base, targets=targets)
    )
    params = model.abstract_params()
    q = params['layers']['attention']['q']
    for leaves in (q, params['layers']['mlp']['down']):
      dtypes = jax.tree.map(lambda x: str(x.dtype), leaves['kernel'])
      assert dtypes == kernel
    assert params['embedding_VD'].dtype == jnp.dtype(matrix)
    assert params['untied_head_DV'].dtype == jnp.dtype(matrix)
    small = (
      q['bias'],
      params['final_norm']['scale'],
      params['layers']['mlp_norm']['scale'],
      *jax.tree.leaves(q['lora']),
    )
    assert {str(x.dtype) for x in small} == {'float32'}
    made = jax.eval_shape(model.init, jax.random.key(0))
    jax.tree.map(
      lambda a, b: np.testing.assert_equal(
        (a.shape, a.dtype), (b.shape, b.dtype)
      ),
      made,
      params,
    )


@pytest.mark.parametrize(
  'base, param_dtype, dora',
  [
    ('param_dtype', 'float32', False),
    ('param_dtype', 'bfloat16', False),
    ('param_dtype', 'float32', True),
    ('bfloat16', 'float32', False),
    ('int8', 'float32', False),
    ('nf4', 'bfloat16', True),
  ],
)
def test_merging_is_float64_arithmetic_rounded_once(base, param_dtype, dora):
  config = dataclasses.replace(CONFIG, param_dtype=param_dtype)
  adapters = dataclasses.replace(LORA, dora=dora, base=base)
  model, plain = models.Model(config, adapters), models.Model(config)
  params = _trained(model)
  expected = _merged(adapters, params, model.sites)
  merged = crossing.Crossing(model, plain, 'merge').compile(
    one_device.layout()
  )(params, jax.random.key(0))
  assert jax.tree.structure(merged) == jax.tree.structure(
    plain.abstract_params()
  )
  for path, leaf in jax.tree_util.tree_leaves_with_path(merged):
    exact = expected
    for key in path:
      exact = exact[key.key]
    assert leaf.dtype == jnp.dtype(param_dtype)
    np.testing.assert_array_equal(
      leaf, exact.astype(jnp.dtype(param_dtype)), jax.tree_util.keystr(path)
    )


def test_a_merged_base_is_rounded_once_to_what_it_is_then_kept_in():
  before = models.Model(CONFIG, LORA)
  after = models.Model(CONFIG, dataclasses.replace(LORA, base='bfloat16'))
  params = _trained(before)
  expected = _merged(LORA, params, before.sites)['layers']['mlp']['up']
  crossed = crossing.Crossing(before, after, 'merge').compile(
    one_device.layout()
  )(params, jax.random.key(9))
  got = crossed['layers']['mlp']['up']
  exact = expected['kernel'].astype(jnp.bfloat16)
  np.testing.assert_array_equal(got['kernel'], exact)
  assert not got['lora']['b'].any(), 'the adapters are not new'
  # Kept in 4 bits it is the codes of the merged kernel in float32.
  after = models.Model(CONFIG, dataclasses.replace(LORA, base='nf4'))
  crossed = crossing.Crossing(before, after, 'merge').compile(
    one_device.layout()
  )(_trained(before), jax.random.key(9))
  rounded = _plain(crossed, after.sites)['layers']['mlp']['up']['kernel']
  merged = expected['kernel'].astype(np.float32)
  largest = np.abs(merged).max()
  assert 0 < np.abs(np.asarray(rounded) - merged).max() < 0.16 * largest


@pytest.mark.parametrize('base', ['param_dtype', 'nf4'])
def test_fresh_adapters_begin_on_the_base_as_it_was(base):
  config = dataclasses.replace(LORA, base=base)
  before = models.Model(CONFIG, config)
  after = models.Model(CONFIG, dataclasses.replace(config, rank=5))
  params = _trained(before)
  frozen = jax.tree.map(np.asarray, lora.split(params)[1])
  crossed = crossing.Crossing(before, after, 'fresh').compile(
    one_device.layout()
  )(params, jax.random.key(9))
  adapters, base_after = lora.split(crossed)
  jax.tree.map(np.testing.assert_array_equal, base_after, frozen)
  assert adapters['layers']['mlp']['up']['lora']['a'].shape == (3, 16, 5)
  assert not adapters['layers']['mlp']['up']['lora']['b'].any()


def test_carried_adapters_are_the_very_same():
  model = models.Model(CONFIG, LORA)
  params = _trained(model)
  cross = crossing.Crossing(model, model, 'carry')
  assert cross.is_trivial
  across = cross.compile(one_device.layout())
  assert across(params, jax.random.key(0)) is params


def test_crossing_keeps_nothing_twice_in_memory():
  before = models.Model(CONFIG, LORA)
  cross = crossing.Crossing(before, models.Model(CONFIG), 'merge')
  params = _trained(before)
  cross.compile(one_device.layout())(params, jax.random.key(0))
  adapters, base = lora.split(params)
  assert all(x.is_deleted() for x in jax.tree.leaves(base))
  assert not any(x.is_deleted() for x in jax.tree.leaves(adapters))


@pytest.mark.parametrize('dora', [False, True])
@pytest.mark.parametrize('base', ['param_dtype', 'nf4'])
def test_gradients_of_adapters_follow_from_that_of_the_merged_kernel(
  base, dora
):
  config = dataclasses.replace(LORA, dora=dora, base=base)
  model, plain = models.Model(CONFIG, config), models.Model(CONFIG)
  params, tokens = _trained(model), _tokens(16)
  target = np.random.default_rng(3).normal(size=(16, 37)).astype(np.float32)

  def loss(adapters, model, rest):
    T = len(tokens)
    logits = model.logits(
      lora.join(adapters, rest),
      tokens[None],
      np.ones((1, T), np.int32),
      np.arange(T, dtype=np.int32)[None],
    )
    return jnp.sum(logits[0] * target)

  adapters, frozen = lora.split(params)
  got = jax.grad(loss)(adapters, model, frozen)
  merged = jax.tree.map(
    lambda x: jnp.asarray(x, jnp.float32), _merged(config, params, model.sites)
  )
  of_kernels = jax.grad(loss)(merged, plain, {})
  base_kernels = _plain(params, model.sites)
  for block, name in (
    *itertools.product(['attention'], ['q', 'k', 'v', 'out']),
    *itertools.product(['mlp'], ['gate', 'up', 'down']),
  ):
    for n in range(CONFIG.n_layers):
      expected = _chain_rule(
        config,
        _layer(of_kernels, block, name, n)['kernel'],
        _layer(base_kernels, block, name, n)['kernel'],
        _layer(params, block, name, n)['lora'],
      )
      for leaf, value in _layer(got, block, name, n)['lora'].items():
        exact = expected[leaf].reshape(value.shape)
        error = np.linalg.norm(value - exact) / np.linalg.norm(exact)
        assert error < 1e-4, (name, n, leaf)


def _layer(tree, block, name, n):
  return jax.tree.map(
    lambda x: np.asarray(x, np.float64)[n], tree['layers'][block][name]
  )


def _chain_rule(config, grad, kernel, adapter):
  """From dL/dW' to the adapter's leaves; DoRA's norm counts as a constant."""
  rank, scale = config.rank, config.alpha / config.rank
  a, b = adapter['a'].reshape(-1, rank), adapter['b'].reshape(rank, -1)
  shape = a.shape[0], b.shape[1]
  grad, matrix = grad.reshape(shape), kernel.reshape(shape) + scale * a @ b
  out = {}
  if config.dora:
    norms = np.sqrt((matrix**2).sum(axis=0))
    out['magnitude'] = (grad * matrix / norms).sum(axis=0)
    grad = grad * adapter['magnitude'].reshape(-1) / norms
  return {**out, 'a': scale * grad @ b.T, 'b': scale * a.T @ grad}


def test_new_adapters_are_drawn_as_in_the_papers_code():
  config = dataclasses.replace(
    CONFIG, d_model=128, d_ff=256, n_layers=4, param_dtype='bfloat16'
  )
  params = _init(models.Model(config, LORA), jax.random.key(0))
  for name, inputs in (('up', 128), ('down', 256)):
    adapter = params['layers']['mlp'][name]['lora']
    a = np.asarray(adapter['a'])
    assert a.dtype == np.float32
    # Kaiming's uniform distribution with a = √5: U(−1/√in, 1/√in).
    bound = inputs**-0.5
    assert 0.99 * bound < np.abs(a).max() <= bound
    np.testing.assert_allclose(a.std(), bound / np.sqrt(3), rtol=0.04)
    assert not np.array_equal(a[0], a[1]), 'layers share their draws'
    assert not adapter['b'].any()


def test_an_adapters_draws_do_not_depend_on_which_others_there_are():
  few = dataclasses.replace(LORA, targets=('*/attention/q',))
  one = _init(models.Model(CONFIG, few), jax.random.key(2))
  all_ = _init(models.Model(CONFIG, LORA), jax.random.key(2))
  other = _init(models.Model(CONFIG, LORA), jax.random.key(3))
  q = [p['layers']['attention']['q']['lora']['a'] for p in (one, all_, other)]
  np.testing.assert_array_equal(q[0], q[1])
  assert not np.array_equal(q[1], q[2])
  k = all_['layers']['attention']['k']['lora']['a']
  v = all_['layers']['attention']['v']['lora']['a']
  assert not np.array_equal(k, v)
  assert 'lora' not in one['layers']['attention']['k']


def test_patterns_choose_projections_in_both_stacks():
  kinds = (models.LayerConfig(window=4), models.LayerConfig())
  config = dataclasses.replace(CONFIG, pattern=kinds)
  adapters = dataclasses.replace(LORA, targets=('*/attention/[qv]', '*/down'))
  params = models.Model(config, adapters).abstract_params()
  trained, _ = lora.split(params)
  found = {
    '/'.join(k.key for k in path[:-1])
    for path, _ in jax.tree_util.tree_leaves_with_path(trained)
  }
  assert found == {
    f'{stack}/{name}/lora'
    for stack in ('layers', 'last_layers')
    for name in ('attention/q', 'attention/v', 'mlp/down')
  }


def test_a_pattern_that_matches_nothing_is_refused_with_what_there_is():
  config = dataclasses.replace(LORA, targets=('*/mlp/*', '*/atention/q'))
  with pytest.raises(
    schema.ConfigError,
    match=r"lora.targets: '\*/atention/q' matches no projection; there are: "
    r'layers/attention/k, .*layers/mlp/up$',
  ):
    models.Model(CONFIG, config)


@pytest.mark.parametrize(
  'change, message',
  [
    ({'rank': 0}, 'rank: 0, expected at least 1'),
    ({'alpha': 0.0}, 'alpha: 0.0, expected a positive number'),
    ({'alpha': float('inf')}, 'alpha: inf, expected a positive number'),
    ({'targets': ()}, 'targets: is empty'),
    ({'base': 'nf5'}, r"base: 'nf5', expected one of .*did you mean 'nf4'"),
  ],
)
def test_impossible_adapters_are_refused(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(LORA, **change)


def test_parameters_are_counted_as_weights_whatever_they_are_kept_in():
  plain = models.Model(CONFIG)
  D, F = CONFIG.d_model, CONFIG.d_ff
  H, K = CONFIG.n_heads * CONFIG.head_dim, CONFIG.n_kv_heads * CONFIG.head_dim
  ends = 2 * (D + H) + 2 * (D + K) + 3 * (D + F)
  for base in lora.BASES:
    model = models.Model(CONFIG, dataclasses.replace(LORA, base=base))
    assert model.n_trained() == CONFIG.n_layers * LORA.rank * ends
    assert model.n_params() == plain.n_params() + model.n_trained()
  assert plain.n_trained() == plain.n_params()


def test_what_is_trained_and_what_is_frozen_are_all_there_is():
  params = models.Model(CONFIG, LORA).abstract_params()
  trained, frozen = lora.split(params)
  assert lora.join(trained, frozen) == params
  names = {
    path[-2].key for path, _ in jax.tree_util.tree_leaves_with_path(trained)
  }
  assert names == {'lora'}
  assert lora.drop(params) == frozen
  plain = models.Model(CONFIG).abstract_params()
  assert lora.split(plain) == (plain, {})


@pytest.mark.parametrize('fmt', [None, 'int8', 'nf4'])
def test_a_projection_of_experts_has_an_adapter_for_each(fmt):
  E, D, F, r = 3, 70, 5, 2
  c = dataclasses.replace(CONFIG, n_layers=1)
  rngs = models.decoder.nnx.Rngs(0)
  module = projection.Projection(
    'BTED,EDF->BTEF', (E, D, F), c, stddev=1.0, bias=True, rngs=rngs
  )
  holder = _Holder(module)
  sites = lora.find_sites(holder)
  config = lora.LoRAConfig(r, 3.0, ('up',), base=fmt or 'param_dtype')
  tree = models.decoder.nnx.to_pure_dict(models.decoder.nnx.state(holder))
  tree = lora.adapt(config, 'float32', sites, tree, jax.random.key(0))
  rng = np.random.default_rng(0)
  b = tree['up']['lora']['b']
  tree['up']['lora']['b'] = rng.normal(size=b.shape).astype(np.float32)
  lora.install(holder, config, 'float32')
  models.decoder.nnx.update(holder, tree)
  x = rng.normal(size=(2, 4, E, D)).astype(np.float32)
  kernel = np.asarray(_plain(tree, sites)['up']['kernel'], np.float64)
  a = np.asarray(tree['up']['lora']['a'], np.float64)
  delta = np.stack([a[e] @ tree['up']['lora']['b'][e] for e in range(E)])
  exact = np.stack(
    [x[:, :, e] @ (kernel + 1.5 * delta)[e] for e in range(E)], axis=2
  )
  np.testing.assert_allclose(holder.up(x), exact, rtol=0, atol=1e-4)


class _Holder(models.decoder.nnx.Module):
  def __init__(self, up):
    self.up = up


def test_an_equation_whose_kernel_has_its_axes_in_another_order_is_refused():
  with pytest.raises(ValueError, match='BTD,FD->BTF: expected a kernel whose'):
    projection.Axes.of('BTD,FD->BTF')


def _peft_layer(config, kernel, adapter, inputs):
  """PEFT's layer with our weights, which are of one layer."""
  peft = pytest.importorskip('peft')
  import torch

  matrix = np.asarray(kernel).reshape(np.prod(kernel.shape[:inputs]), -1)
  linear = torch.nn.Linear(*matrix.shape, bias=False)
  linear.weight.data = torch.tensor(matrix.T.copy())
  model = peft.get_peft_model(
    torch.nn.ModuleDict({'up': linear}),
    peft.LoraConfig(
      r=config.rank,
      lora_alpha=config.alpha,
      target_modules=['up'],
      use_dora=config.dora,
    ),
  )
  layer = model.base_model.model['up']
  drawn = layer.lora_A['default'].weight.detach().numpy()
  a = np.asarray(adapter['a']).reshape(-1, config.rank)
  b = np.asarray(adapter['b']).reshape(config.rank, -1)
  layer.lora_A['default'].weight.data = torch.tensor(a.T.copy())
  layer.lora_B['default'].weight.data = torch.tensor(b.T.copy())
  if config.dora:
    m = np.array(adapter['magnitude']).reshape(-1)
    layer.lora_magnitude_vector['default'].weight.data = torch.tensor(m)
  return layer, drawn


@pytest.mark.parametrize('dora', [False, True])
@pytest.mark.parametrize('name', ['attention/out', 'mlp/up'])
def test_outputs_gradients_and_merged_weights_equal_those_of_peft(dora, name):
  torch = pytest.importorskip('torch')
  config = dataclasses.replace(LORA, dora=dora)
  model = models.Model(CONFIG, config)
  params, (block, key) = _trained(model), name.split('/')
  leaves = jax.tree.map(lambda x: x[1], params['layers'][block][key])
  site = model.sites[f'layers/{name}']
  n_inputs = INPUTS[key]
  layer, drawn = _peft_layer(config, leaves['kernel'], leaves['lora'], n_inputs)
  # Its draws have the distribution of ours.
  assert np.abs(drawn).max() <= drawn.shape[1] ** -0.5
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 3, *site.shape[:n_inputs])).astype(np.float32)
  target = rng.normal(size=(2, 3, *site.shape[n_inputs:])).astype(np.float32)

  def ours(adapter):
    module = projection.Projection(
      site.axes.product,
      site.shape,
      CONFIG,
      stddev=1.0,
      rngs=models.decoder.nnx.Rngs(0),
    )
    holder = _Holder(module)
    lora.install(
      holder, dataclasses.replace(config, targets=('up',)), 'float32'
    )
    models.decoder.nnx.update(holder, {'up': {**leaves, 'lora': adapter}})
    y = holder.up(jnp.asarray(x))
    return jnp.sum(y * target), y

  grads, y = jax.grad(ours, has_aux=True)(leaves['lora'])
  theirs = layer(torch.tensor(x.reshape(2, 3, -1)))
  np.testing.assert_allclose(
    y.reshape(2, 3, -1), theirs.detach().numpy(), rtol=0, atol=1e-5
  )
  (theirs * torch.tensor(target.reshape(2, 3, -1))).sum().backward()
  their_grads = {
    'a': layer.lora_A['default'].weight.grad.T,
    'b': layer.lora_B['default'].weight.grad.T,
  }
  if dora:
    their_grads['magnitude'] = layer.lora_magnitude_vector[
      'default'
    ].weight.grad
  for leaf, grad in their_grads.items():
    exact = grad.numpy().reshape(grads[leaf].shape)
    error = np.linalg.norm(grads[leaf] - exact) / np.linalg.norm(exact)
    assert error < 1e-5, leaf
  layer.merge()
  merged = _merged(config, params, model.sites)['layers'][block][key]['kernel']
  np.testing.assert_allclose(
    layer.get_base_layer().weight.detach().numpy().T,
    merged[1].reshape(drawn.shape[1], -1),
    rtol=0,
    atol=1e-6,
  )
