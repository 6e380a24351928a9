"""Every family against `transformers` in float32 and in float64.

Float64 is the reference; see `hf_models.float64`.
"""

import dataclasses
import functools

import hf_models
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers

from msm_jax import models
from msm_jax.models import huggingface
from msm_jax.models import presets
from msm_jax.models import rope

torch = hf_models.import_torch()

FAMILIES = sorted(huggingface.FAMILIES)
LENGTHS = (17, 1, 9, 12)
PADDING = 5


def _tokens(n, c, seed=0):
  return np.random.default_rng(seed).integers(0, c.vocab_size, n, np.int32)


def _logits(c, params, tokens):
  """Our logits `[T, V]` of one row of tokens."""
  T = len(tokens)
  rows = np.ones((1, T), np.int32), np.arange(T, dtype=np.int32)[None]
  logits_BTV = jax.jit(models.Model(c).logits)(params, tokens[None], *rows)
  return np.asarray(logits_BTV[0])


def _kl(reference, logits):
  """KL(reference ‖ ours) of each position, nats, in float64."""
  p, q = (
    x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    for x in (reference, logits.astype(np.float64))
  )
  return (np.exp(p) * (p - q)).sum(axis=-1)


def _assert_same_logits(ours, float32, float64):
  """Both float32 results lie this close to what float64 gives."""
  assert np.ptp(float64) > 2.0
  np.testing.assert_allclose(float32, float64, rtol=0, atol=1e-4)
  np.testing.assert_allclose(ours, float64, rtol=0, atol=1e-4)
  assert _kl(float64, ours).max() < 1e-6


@functools.cache
def _packed(family):
  """Logits and gradients of documents in one padded row, and of each alone."""
  c = hf_models.config(family)
  params = hf_models.random_params(c)
  documents = [_tokens(n, c, seed=n) for n in LENGTHS]
  row = np.concatenate([*documents, _tokens(PADDING, c, seed=99)])
  segments = np.repeat([1, 2, 3, 4, 0], [*LENGTHS, PADDING]).astype(np.int32)
  positions = np.concatenate([np.arange(n) for n in [*LENGTHS, PADDING]])
  # What is predicted: the next token of the document, if there is one.
  weights = (segments == np.append(segments[1:], 0)) & (segments > 0)

  def loss(params):
    model = models.Model(c)
    logits_TV = model.logits(
      params, row[None], segments[None], positions.astype(np.int32)[None]
    )[0]
    logp_TV = jax.nn.log_softmax(logits_TV)
    logp_T = logp_TV[jnp.arange(len(row)), np.roll(row, -1)]
    return -jnp.sum(logp_T * weights), logits_TV

  grads, ours = jax.jit(jax.grad(loss, has_aux=True))(params)
  with hf_models.float64():
    model = hf_models.torch_model(family, c, params)
    for document in documents:
      logp = torch.log_softmax(hf_models.torch_logits(model, document), dim=-1)
      wanted = torch.from_numpy(document[1:].astype(np.int64))
      (-logp[torch.arange(len(wanted)), wanted].sum()).backward()
  theirs = {name: p.grad.numpy() for name, p in model.named_parameters()}
  start, parts = 0, []
  for document in documents:
    stop = start + len(document)
    alone = hf_models.both_logits(family, c, params, document)
    parts.append((np.asarray(ours[start:stop]), *alone))
    start = stop
  return parts, np.asarray(ours), grads, theirs


@pytest.mark.parametrize('family', FAMILIES)
def test_packed_documents_have_the_logits_of_each_alone(family):
  parts, row, _, _ = _packed(family)
  _assert_same_logits(*map(np.concatenate, zip(*parts, strict=True)))
  assert np.isfinite(row).all()


@pytest.mark.parametrize('family', FAMILIES)
def test_gradients_are_those_of_torch(family):
  _, _, ours, theirs = _packed(family)
  specs = huggingface.tensors(family, hf_models.config(family))
  assert {spec.name for spec in specs} == set(theirs)
  for spec in specs:
    expected = spec.to_ours(theirs[spec.name])
    assert np.linalg.norm(expected) > 1e-4, spec.name
    error = np.linalg.norm(hf_models.at(ours, spec) - expected)
    assert error < 1e-3 * np.linalg.norm(expected), spec.name


@pytest.mark.parametrize('family', FAMILIES)
def test_logits_beyond_every_window_and_original_context(family):
  c = hf_models.config(family, window=1500, context=256, whole=True)
  c = dataclasses.replace(c, n_heads=2, n_kv_heads=1)
  params, tokens = hf_models.random_params(c), _tokens(2100, c)
  theirs = hf_models.both_logits(family, c, params, tokens)
  _assert_same_logits(_logits(c, params, tokens), *theirs)


@pytest.mark.parametrize(
  'family, kind',
  [('gemma2', 1), ('gemma3', 0), ('gemma3', 1), ('olmo3', 1), ('smollm3', 1)],
)
def test_layers_of_one_kind_only(family, kind):
  c = hf_models.config(family)
  c = dataclasses.replace(c, pattern=c.pattern[kind : kind + 1], n_layers=1)
  params, tokens = hf_models.random_params(c), _tokens(20, c)
  theirs = hf_models.both_logits(family, c, params, tokens)
  _assert_same_logits(_logits(c, params, tokens), *theirs)


def _rotary(name):
  """The module of `transformers` that makes a preset's sines and cosines."""
  preset = presets.get(name)
  c = preset.config
  small = {'d_model': 8, 'n_heads': 2, 'n_kv_heads': 1, 'd_ff': 8}
  small |= {'vocab_size': 8, 'n_layers': len(c.pattern)}
  c = dataclasses.replace(c, **small)
  keys = transformers.AutoConfig.for_model(
    **hf_models.config_json(preset.family, c)
  )
  return c, transformers.AutoModelForCausalLM.from_config(keys).model.rotary_emb


@pytest.mark.parametrize('name', sorted(presets.PRESETS))
def test_rope_of_every_preset_is_that_of_transformers(name):
  c, theirs = _rotary(name)
  for kind in set(c.pattern):
    if kind.rope is None:
      continue
    prefix = ''
    if not hasattr(theirs, 'inv_freq'):
      prefix = 'sliding_attention_' if kind.window else 'full_attention_'
    expected = getattr(theirs, f'{prefix}inv_freq').numpy()
    # Theirs are a power, a quotient and a blend in float32, ours one rounding.
    ours = rope.frequencies(kind.rope, c.head_dim)
    np.testing.assert_allclose(ours, expected, rtol=8 * 2.0**-24)
    scale = getattr(theirs, f'{prefix}attention_scaling')
    assert rope.amplitude(kind.rope) == scale


def test_angles_at_long_positions_are_as_exact_as_float32_allows():
  c, theirs = _rotary('Qwen2.5-72B')
  kind = c.pattern[0].rope
  positions = np.random.default_rng(0).integers(0, c.context_length, 4000)
  half = c.head_dim // 2
  exact = positions[:, None] * kind.theta ** -(np.arange(half) / half)
  # Two roundings: of the frequency, and of its product with the position.
  allowed = exact * 2.0**-23 + 1e-6

  ones = np.zeros((1, len(positions), 1, c.head_dim), np.float32)
  ones[..., :half] = 1.0
  rotated = rope.rotate(jnp.asarray(ones), positions[None], kind)[0, :, 0]
  ours = np.asarray(rotated)
  cos, sin = theirs(torch.zeros(1), torch.from_numpy(positions)[None])
  for a, b, wanted in (
    (ours[:, :half], cos[0, :, :half].numpy(), np.cos(exact)),
    (ours[:, half:], sin[0, :, :half].numpy(), np.sin(exact)),
  ):
    assert (np.abs(a - wanted) < allowed).all()
    assert np.abs(a - wanted).max() <= np.abs(b - wanted).max()
    assert np.abs(a - b).max() > 1e-3, 'positions too near to tell'
