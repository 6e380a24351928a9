import ast
import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import numpy_decoder
import pytest

from msm_jax import models
from msm_jax.models import attention
from msm_jax.models import config as config_lib
from msm_jax.models import decoder
from msm_jax.models import huggingface
from msm_jax.models import layers
from msm_jax.models import presets
from msm_jax.models import projection
from msm_jax.models import remat
from msm_jax.models import rope

CONFIG = models.DecoderConfig(
  vocab_size=37,
  d_model=16,
  n_layers=3,
  n_heads=4,
  n_kv_heads=2,
  head_dim=6,
  d_ff=20,
)


def _params(config, seed=0):
  """Random parameters with norm scales away from 1."""
  params = models.Model(config).init(jax.random.key(seed))
  keys = iter(jax.random.split(jax.random.key(seed + 1), 100))
  return jax.tree_util.tree_map_with_path(
    lambda path, x: (
      x + 0.3 * jax.random.normal(next(keys), x.shape)
      if path[-1].key == 'scale'
      else x
    ),
    params,
  )


def _tokens(n, seed=0, vocab=37):
  return np.random.default_rng(seed).integers(0, vocab, n).astype(np.int32)


def _run(config, params, tokens, segments=None, positions=None):
  """Logits `[T, V]` of one row."""
  T = len(tokens)
  segments = np.ones(T, np.int32) if segments is None else segments
  positions = np.arange(T, dtype=np.int32) if positions is None else positions
  model = models.Model(config)
  out = model.logits(
    params,
    jnp.asarray(tokens)[None],
    jnp.asarray(segments)[None],
    jnp.asarray(positions)[None],
  )
  return np.asarray(out[0])


@pytest.mark.parametrize('tied', [True, False])
@pytest.mark.parametrize('n_kv_heads', [1, 2, 4])
def test_logits_equal_a_float64_numpy_decoder(tied, n_kv_heads):
  config = dataclasses.replace(
    CONFIG, tied_embeddings=tied, n_kv_heads=n_kv_heads
  )
  params, tokens = _params(config), _tokens(23)
  expected = numpy_decoder.logits(params, config, tokens)
  assert np.ptp(expected) > 1.0
  np.testing.assert_allclose(
    _run(config, params, tokens), expected, rtol=0, atol=2e-5
  )


def test_packed_documents_equal_the_documents_run_alone():
  params = _params(CONFIG)
  lengths = [5, 1, 9, 4]
  documents = [_tokens(n, seed=n) for n in lengths]
  packed = np.concatenate([*documents, np.zeros(3, np.int32)])
  segments = np.repeat([1, 2, 3, 4, 0], [*lengths, 3]).astype(np.int32)
  positions = np.concatenate([np.arange(n) for n in [*lengths, 3]])
  together = _run(CONFIG, params, packed, segments, positions.astype(np.int32))
  start = 0
  for document in documents:
    alone = _run(CONFIG, params, document)
    stop = start + len(document)
    np.testing.assert_allclose(together[start:stop], alone, rtol=0, atol=2e-6)
    start = stop
  assert np.isfinite(together).all()


def test_no_token_sees_a_later_one():
  params, tokens = _params(CONFIG), _tokens(12)
  changed = tokens.copy()
  changed[7] = (changed[7] + 1) % CONFIG.vocab_size
  before, after = _run(CONFIG, params, tokens), _run(CONFIG, params, changed)
  np.testing.assert_array_equal(before[:7], after[:7])
  assert (np.abs(before[7:] - after[7:]).max(axis=-1) > 1e-4).all()


@pytest.mark.parametrize('remat', ['minimal', 'full'])
def test_remat_changes_neither_loss_nor_gradient(remat):
  params, tokens = _params(CONFIG), _tokens(16)[None]
  ones = jnp.ones_like(tokens)
  positions = jnp.arange(16, dtype=jnp.int32)[None]

  def loss(params, config):
    model = models.Model(config)
    return jnp.sum(model.logits(params, tokens, ones, positions) ** 2)

  expected = jax.grad(loss)(params, CONFIG)
  got = jax.grad(loss)(params, dataclasses.replace(CONFIG, remat=remat))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=0, atol=1e-5 * float(jnp.linalg.norm(b))
    ),
    got,
    expected,
  )


def _backward(config):
  """The program of a gradient, as JAX writes it before it is compiled."""
  model = models.Model(config)
  tokens = jnp.zeros((2, 16), jnp.int32)

  def loss(params):
    return jnp.sum(model.hidden(params, tokens, tokens, tokens)[0] ** 2)

  return str(jax.make_jaxpr(jax.grad(loss))(model.abstract_params()))


@pytest.mark.parametrize(
  'attention, key',
  [
    ('reference', 'remat_offload'),
    ('splash', 'remat_save'),
    ('splash', 'remat_offload'),
  ],
)
def test_what_is_kept_by_name_changes_no_gradient(attention, key):
  config = dataclasses.replace(
    CONFIG, n_layers=1, remat='full', attention=attention, head_dim=128
  )
  params, tokens = _params(config), _tokens(128)[None]
  ones = jnp.ones_like(tokens)
  positions = jnp.arange(128, dtype=jnp.int32)[None]

  @functools.partial(jax.jit, static_argnums=1)
  def gradient(params, config):
    model = models.Model(config)

    def loss(params):
      return jnp.sum(model.logits(params, tokens, ones, positions) ** 2)

    return jax.grad(loss)(params)

  named = dataclasses.replace(config, **{key: remat.NAMES})
  expected, got = gradient(params, config), gradient(params, named)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=0, atol=1e-6 * float(jnp.linalg.norm(b))
    ),
    got,
    expected,
  )


def _products_of_weights(config):
  """How often a gradient multiplies by a kernel of a block."""
  return _backward(config).count('dot_general[')


def test_what_has_a_name_is_not_computed_again():
  full = dataclasses.replace(CONFIG, remat='full')
  counts = {
    name: _products_of_weights(dataclasses.replace(full, remat_save=(name,)))
    for name in remat.NAMES
  }
  none = _products_of_weights(full)
  # The block's input is kept in any case, its last product is never needed.
  spared = {'block_input': 0, 'mlp_out': 0}
  for name, count in counts.items():
    assert none - count >= spared.get(name, 1), name
  both = dataclasses.replace(full, remat_save=('mlp_gate', 'mlp_up'))
  assert none - _products_of_weights(both) == 2


def test_what_is_offloaded_is_kept_by_the_host():
  full = dataclasses.replace(CONFIG, remat='full')
  kept = dataclasses.replace(full, remat_save=('context', 'mlp_up'))
  away = dataclasses.replace(full, remat_offload=('context', 'mlp_up'))
  assert '<host>' not in _backward(kept)
  assert '<host>' in _backward(away)
  assert _products_of_weights(kept) == _products_of_weights(away)


@pytest.mark.parametrize(
  'change, message',
  [
    ({'remat_save': ('querry',)}, r"remat_save: 'querry', expected one of "
     r"\['block_input', 'query', .*did you mean 'query'"),
    ({'remat_offload': ('key', 'key')}, r"remat_offload: \['key'\] occur more"),
    ({'remat_save': ('key',), 'remat_offload': ('key',)},
     r"remat_offload: \['key'\] are in remat_save as well"),
    ({'remat': 'minimal', 'remat_save': ('key',)},
     r"remat_save: \['key'\], but model.remat is 'minimal'"),
  ],
)  # fmt: skip
def test_names_that_cannot_be_kept_are_refused(change, message):
  config = dataclasses.replace(CONFIG, **{'remat': 'full', **change})
  with pytest.raises(ValueError, match=message):
    models.Model(config)


def test_remat_keeps_less_for_the_backward_pass():
  shape = jax.ShapeDtypeStruct((4, 64), jnp.int32)

  def temporary_bytes(remat):
    config = dataclasses.replace(CONFIG, n_layers=8, d_ff=512, remat=remat)
    model = models.Model(config)

    def loss(params, tokens):
      hidden, _ = model.hidden(params, tokens, tokens, tokens)
      return jnp.sum(hidden**2)

    compiled = jax.jit(jax.grad(loss)).lower(model.abstract_params(), shape)
    return compiled.compile().memory_analysis().temp_size_in_bytes

  full, minimal, none = map(temporary_bytes, ('full', 'minimal', 'none'))
  assert full < minimal < none


def test_bfloat16_compute_keeps_float32_parameters():
  config = dataclasses.replace(CONFIG, dtype='bfloat16')
  params, tokens = _params(config), _tokens(16)
  assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype('float32')}
  hidden, head = models.Model(config).hidden(
    params,
    tokens[None],
    np.ones((1, 16), np.int32),
    np.arange(16, dtype=np.int32)[None],
  )
  assert hidden.dtype == head.dtype == jnp.bfloat16
  exact = numpy_decoder.logits(params, config, tokens)
  error = np.abs(_run(config, params, tokens) - exact).max()
  assert 1e-4 < error < 0.1 * np.ptp(exact)


def test_parameter_count_is_that_of_the_formula():
  c = CONFIG
  block = (
    2 * c.d_model
    + c.d_model * c.head_dim * 2 * (c.n_heads + c.n_kv_heads)
    + 3 * c.d_model * c.d_ff
  )
  tied = c.n_layers * block + c.d_model + c.vocab_size * c.d_model
  assert models.Model(c).n_params() == tied
  untied = dataclasses.replace(c, tied_embeddings=False)
  assert models.Model(untied).n_params() == tied + c.vocab_size * c.d_model


def _said(module):
  """Names and strings in the code of a module; docstrings are not code."""
  tree = ast.parse(inspect.getsource(module))
  for node in ast.walk(tree):
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
      node.value.value = ''
  for node in ast.walk(tree):
    for field in ('id', 'attr', 'arg', 'name', 'value'):
      if isinstance(said := getattr(node, field, None), str):
        yield said.lower()


def test_the_forward_pass_knows_no_family():
  families = {'family', 'qwen', 'gemma', 'olmo', *huggingface.FAMILIES}
  for module in (
    *(attention, config_lib, decoder, layers),
    *(projection, rope),
  ):
    found = {
      said
      for said in _said(module)
      # The name that its makers gave a way to stretch RoPE.
      if any(f in said.replace('llama3', '') for f in families)
    }
    assert not found, module.__name__


@pytest.mark.parametrize(
  'name',
  ['Llama-3.2-1B', 'Gemma-2-2B', 'Gemma-3-1B', 'OLMo-3-7B', 'SmolLM3-3B'],
)
def test_a_deeper_model_is_no_longer_program(name):
  c = presets.get(name).config
  small = {'d_model': 8, 'n_heads': 2, 'n_kv_heads': 1, 'd_ff': 8}
  small |= {'vocab_size': 8, 'head_dim': 4}
  row = jax.ShapeDtypeStruct((1, 8), jnp.int32)

  def equations(repetitions):
    n_layers = repetitions * len(c.pattern) + c.n_layers % len(c.pattern)
    model = models.Model(dataclasses.replace(c, **small, n_layers=n_layers))
    traced = jax.make_jaxpr(model.logits)(model.abstract_params(), *[row] * 3)
    return str(traced).count(' = ')

  assert equations(2) == equations(9)


def test_initialisation_depends_on_the_key_only():
  a = models.Model(CONFIG).init(jax.random.key(3))
  b = models.Model(CONFIG).init(jax.random.key(3))
  c = models.Model(CONFIG).init(jax.random.key(4))
  jax.tree.map(np.testing.assert_array_equal, a, b)
  assert not np.array_equal(a['embedding_VD'], c['embedding_VD'])
  layers = a['layers']['mlp']['up']['kernel']
  assert not np.array_equal(layers[0], layers[1]), 'layers share their draws'


def test_target_logprobs_are_the_log_softmax_of_the_logits():
  params, tokens = _params(CONFIG), _tokens(24).reshape(2, 12)
  targets = _tokens(24, seed=9).reshape(2, 12)
  segments = np.ones((2, 12), np.int32)
  positions = np.tile(np.arange(12, dtype=np.int32), (2, 1))
  got = models.sequence_logprobs(
    models.Model(CONFIG), params, tokens, targets, segments, positions, chunk=4
  )
  for row in range(2):
    exact = numpy_decoder.logits(params, CONFIG, tokens[row])
    exact = exact - np.log(np.exp(exact).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(
      got[row], exact[np.arange(12), targets[row]], rtol=0, atol=2e-5
    )


@pytest.mark.parametrize(
  'change, message',
  [
    ({'n_kv_heads': 3}, 'model.n_kv_heads: 3 does not divide n_heads = 4'),
    ({'head_dim': 5}, 'model.head_dim: 5 is odd'),
    ({'n_layers': 0}, 'model.n_layers: 0, expected at least 1'),
    ({'dtype': 'bf16'}, "model.dtype: 'bf16', expected one of .*'bfloat16'"),
    ({'param_dtype': 'float8_e4m3fn'}, "model.param_dtype: 'float8_e4m3fn', e"),
    ({'param_dtype': 'int8'}, "model.param_dtype: 'int8', expected one of"),
    ({'norm_eps': float('nan')}, 'model.norm_eps: nan, expected > 0'),
  ],
)
def test_impossible_values_are_refused(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize('key', ['attention', 'remat'])
def test_unknown_kernels_and_policies_are_refused(key):
  config = dataclasses.replace(CONFIG, **{key: 'fast'})
  with pytest.raises(ValueError, match=f"model.{key}: 'fast'"):
    models.Model(config)


@pytest.mark.parametrize('columns', [False, True])
def test_a_vocabulary_that_is_drawn_in_parts_is_drawn_as_a_whole(
  columns, monkeypatch
):
  key, V, D = jax.random.key(0), 600, 64
  whole = decoder._vectors(key, V, D, jnp.float32, columns=columns)
  monkeypatch.setattr(decoder, '_DRAWN_AT_ONCE', 50 * D)
  parts = decoder._vectors(key, V, D, jnp.float32, columns=columns)
  assert parts.shape == whole.shape == ((D, V) if columns else (V, D))
  # Other draws of the same distribution, none of them twice.
  assert abs(np.std(parts) / np.std(whole) - 1) < 0.02
  assert abs(np.mean(parts)) < 5e-3 * D**-0.5 * 2
  assert np.abs(parts).max() <= 2 * D**-0.5 / 0.8796
  assert len(np.unique(parts)) > 0.99 * parts.size
  parts = parts.T if columns else parts
  assert len(np.unique(parts[:, 0])) == V


@pytest.mark.parametrize('key', ['dtype', 'param_dtype'])
def test_float64_is_refused_where_jax_would_round_it(key):
  config = dataclasses.replace(CONFIG, **{key: 'float64'})
  with pytest.raises(ValueError, match=f"{key}: 'float64'.*JAX_ENABLE_X64"):
    models.Model(config)
