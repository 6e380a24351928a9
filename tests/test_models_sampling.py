"""Sampling with caches against the decoder run over all tokens at once."""

import dataclasses
import functools
import json
import subprocess
import sys

import hf_models
import jax
import jax.numpy as jnp
import numpy as np
import processes
import pytest

from msm_jax import models
from msm_jax.models import decoder
from msm_jax.models import huggingface
from msm_jax.models import lora
from msm_jax.models.sampling import cache
from msm_jax.models.sampling import drawing
from msm_jax.models.sampling import programs
from msm_jax.models.sampling import sampler
from msm_jax.models.sampling import unrolled

# One repetition of the pattern and a half.
CONFIG = models.DecoderConfig(
  vocab_size=37,
  d_model=16,
  n_layers=3,
  n_heads=4,
  n_kv_heads=2,
  head_dim=6,
  d_ff=20,
  pattern=(models.LayerConfig(window=5), models.LayerConfig()),
)
MODEL = models.Model(CONFIG)


PARAMS = hf_models.random_params(CONFIG)


def _prompts(*lengths, vocab=37):
  return [
    np.random.default_rng(n).integers(0, vocab, n).tolist() for n in lengths
  ]


# All in one bucket of prompts, and with 12 new tokens in one of columns.
PROMPTS = _prompts(3, 20, 1, 6)


def _config(**fields):
  return models.SamplingConfig(**{'max_new_tokens': 12, **fields})


def _sample(prompts=PROMPTS, *, batch_size=64, **fields):
  return models.sample(
    MODEL, PARAMS, prompts, _config(**fields), batch_size=batch_size
  )


def _tokens(prompts=PROMPTS, **fields):
  return [s.tokens for s in _sample(prompts, **fields)]


# For programs that run once.
_quickly_compiled = functools.partial(
  jax.jit, compiler_options={'xla_backend_optimization_level': '0'}
)


@functools.cache
def _jitted_logits(model):
  return _quickly_compiled(model.logits)


def _full_logits(model, params, rows):
  """Float32 logits `[T, V]` of each row, from one pass over all its tokens."""
  T = max(map(len, rows))
  tokens, segments = np.zeros((2, len(rows), T), np.int32)
  for b, row in enumerate(rows):
    tokens[b, : len(row)] = row
    segments[b, : len(row)] = 1
  positions = np.broadcast_to(np.arange(T, dtype=np.int32), tokens.shape)
  logits = _jitted_logits(model)(params, tokens, segments, positions)
  return [np.asarray(logits[b, : len(row)]) for b, row in enumerate(rows)]


def _stepwise_logits(model, params, rows, n_steps, n_columns):
  """The same, but the last `n_steps` tokens of each row come one at a time."""
  prompts = [row[:-n_steps] for row in rows]
  T = max(map(len, prompts))
  padding = np.asarray([T - len(p) for p in prompts], np.int32)
  tokens = np.asarray(
    [[0] * n + p for n, p in zip(padding, prompts, strict=True)], np.int32
  )
  forced = np.asarray([row[-n_steps:] for row in rows], np.int32)

  @_quickly_compiled
  def run(params, padding, tokens, forced):
    config = model.config
    positions = jnp.arange(T)[None] - padding[:, None]
    hidden, head, caches = unrolled.run(
      model,
      params,
      tokens,
      jnp.maximum(positions, 0),
      cache.prefill_mix(config, (positions >= 0).astype(int), n_columns),
      [None] * config.n_layers,
    )

    def step(caches, column_and_token):
      column, token = column_and_token
      hidden, _, caches = unrolled.run(
        model,
        params,
        token[:, None],
        (column - padding)[:, None],
        cache.decode_mix(config, column, padding),
        caches,
      )
      return caches, hidden[:, 0]

    columns = T + jnp.arange(n_steps)
    _, later = jax.lax.scan(step, caches, (columns, forced.T))
    hidden = jnp.concatenate([hidden, later.swapaxes(0, 1)], axis=1)
    return decoder.project_logits(hidden, head, config.final_softcap)

  logits = run(unrolled.unroll(params), padding, tokens, forced)
  return [np.asarray(x[n:]) for n, x in zip(padding, logits, strict=True)]


@pytest.mark.parametrize(
  'family, window',
  [
    # Shorter than prompts, as long as the longest, longer than some rows in
    # the end, and longer than all of them.
    *[(family, 5) for family in sorted(huggingface.FAMILIES)],
    ('gemma2', 1),
    ('gemma2', 12),
    ('gemma2', 17),
    ('olmo3', 100),
  ],
)
def test_a_step_with_caches_has_the_logits_of_all_tokens_at_once(
  family, window
):
  c = hf_models.config(family, window=window)
  model, params = models.Model(c), hf_models.random_params(c)
  rows = _prompts(1 + 11, 12 + 11, 7 + 11, vocab=c.vocab_size)
  expected = _full_logits(model, params, rows)
  got = _stepwise_logits(model, params, rows, n_steps=11, n_columns=24)
  for ours, theirs in zip(got, expected, strict=True):
    assert np.ptp(theirs) > 2.0
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_a_window_keeps_no_more_than_it_sees():
  shapes = jax.eval_shape(
    lambda params, inputs: programs.prefill(
      MODEL, drawing.Rule(True), 48, params, *inputs
    ),
    unrolled.unroll(PARAMS),
    _program_inputs(T=24),
  )
  slots = [c.v_BKSC.shape[2] for c in shapes.caches]
  assert slots == [5, 48, 5]
  assert [c.k_BKCS.shape for c in shapes.caches] == [
    (2, 2, 6, n) for n in slots
  ]


def _program_inputs(T):
  """What `programs.prefill` takes beside parameters, for two rows."""
  dials = drawing.Dials(
    jax.random.split(jax.random.key(0), 2),
    jnp.float32(1),
    jnp.int32(0),
    jnp.float32(0),
    jnp.int32(37),
  )
  padding = jnp.asarray([0, 3], jnp.int32)
  stops = jnp.full((1, 1), -2, jnp.int32)
  return (
    programs.Inputs(padding, stops, dials),
    jnp.zeros((2, T), jnp.int32),
    jnp.full(2, -1, jnp.int32),
  )


def test_caches_have_the_dtype_of_activations():
  model = models.Model(dataclasses.replace(CONFIG, dtype='bfloat16'))
  shapes = jax.eval_shape(
    lambda params, inputs: programs.prefill(
      model, drawing.Rule(True), 48, params, *inputs
    ),
    unrolled.unroll(PARAMS),
    _program_inputs(T=24),
  )
  dtypes = {x.dtype for x in jax.tree.leaves(shapes.caches)}
  assert dtypes == {jnp.dtype('bfloat16')}


def test_no_step_copies_a_cache_or_a_weight():
  rule = drawing.Rule(True)
  params = unrolled.unroll(PARAMS)
  inputs, tokens, stop = _program_inputs(T=24)
  state = jax.eval_shape(
    functools.partial(programs.prefill, MODEL, rule, 48),
    params,
    inputs,
    tokens,
    stop,
  )
  compiled = programs.decode.lower(
    MODEL, rule, params, inputs, state, jnp.int32(5)
  ).compile()
  arrays = [x for c in state.caches for x in c] + jax.tree.leaves(params.blocks)
  shapes = {
    f'f32[{",".join(map(str, x.shape))}]' for x in arrays if x.size > 100
  }
  copies = [
    line.strip()
    for line in compiled.as_text().splitlines()
    if ' copy(' in line and any(f'= {s}' in line for s in shapes)
  ]
  assert not copies
  # All that is updated in each step is updated where it lies.
  donated = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
  assert compiled.memory_analysis().alias_size_in_bytes == donated


def _with_logits(samples, prompts=PROMPTS, model=MODEL, params=PARAMS):
  """Pairs samples with the logits `[T, V]` that each token was drawn from."""
  rows = [p + s.tokens for p, s in zip(prompts, samples, strict=True)]
  logits = _full_logits(model, params, rows)
  return [
    (s, x[-1 - len(s.tokens) : -1])
    for s, x in zip(samples, logits, strict=True)
  ]


def test_greedy_takes_the_likeliest_token_whatever_the_prompts_lengths():
  for sample, logits in _with_logits(_sample(temperature=0)):
    assert len(sample.tokens) == 12
    assert sample.tokens == logits.argmax(axis=-1).tolist()


@pytest.mark.parametrize(
  'fields', [{'temperature': 0}, {'temperature': 1.7}, {'top_k': 3}]
)
def test_logprobs_are_those_of_the_model_whatever_tokens_are_drawn_by(fields):
  for sample, logits in _with_logits(_sample(**fields)):
    exact = logits.astype(np.float64)
    exact -= np.log(np.exp(exact).sum(axis=-1, keepdims=True))
    expected = exact[np.arange(12), sample.tokens]
    np.testing.assert_allclose(sample.logprobs, expected, rtol=0, atol=1e-5)


def test_a_prompt_gets_the_same_tokens_in_any_company():
  together = _tokens()
  assert len(set(map(tuple, together))) == len(PROMPTS)
  # In another order; in other sizes, for want of others or of long ones; with
  # more padding, and more new tokens to come.
  assert _tokens(PROMPTS[::-1]) == together[::-1]
  assert _tokens(batch_size=1) == together
  longer = _tokens([*PROMPTS, *_prompts(70)], max_new_tokens=40)
  assert [t[:12] for t in longer[:-1]] == together


def test_equal_prompts_get_samples_of_their_own_and_always_the_same():
  prompt, other = PROMPTS[3], PROMPTS[1]
  first, second, third, _ = _tokens([prompt, prompt, prompt, other])
  assert len({tuple(first), tuple(second), tuple(third)}) == 3
  mixed = _tokens([prompt, other, prompt, *PROMPTS[:1]])
  assert [mixed[0], mixed[2]] == [first, second]
  greedy = _tokens([prompt, prompt, *PROMPTS[:2]], temperature=0)
  assert greedy[0] == greedy[1]


def test_prompts_have_noise_of_their_own():
  # So hot that the noise alone decides.
  answers = _tokens(temperature=1e4)
  for i, a in enumerate(answers):
    for b in answers[:i]:
      assert np.mean(np.asarray(a) == np.asarray(b)) < 0.5


def test_another_seed_gives_other_tokens():
  assert _tokens(seed=7) == _tokens(seed=7)
  for a, b in zip(_tokens(seed=7), _tokens(seed=8), strict=True):
    assert a != b


def test_top_k_of_one_is_greedy():
  assert _tokens(top_k=1) == _tokens(temperature=0)


@pytest.mark.parametrize('temperature', [0, 50.0])
def test_ids_that_the_tokenizer_lacks_are_never_drawn(temperature):
  assert max(map(max, _tokens(temperature=temperature))) >= 9
  assert max(map(max, _tokens(temperature=temperature, n_ids=9))) < 9


def test_prompts_and_samples_may_be_longer_than_the_context():
  config = dataclasses.replace(CONFIG, context_length=8)
  assert models.sample(
    models.Model(config), PARAMS, PROMPTS, _config(temperature=0)
  ) == _sample(temperature=0)


def test_one_program_is_compiled_for_all_requests_of_a_size():
  programs.prefill.clear_cache()
  programs.decode.clear_cache()
  for lengths, fields in [
    ((3, 20, 9), {'max_new_tokens': 9}),
    ((1, 17, 3, 4), {'max_new_tokens': 22, 'seed': 3, 'temperature': 0.5}),
    ((24, 24, 24), {'stop_ids': (4,), 'stop_sequences': ((1, 2),)}),
    ((24, 3, 3), {'n_ids': 20}),
  ]:
    _sample(_prompts(*lengths), **fields)

  def n_programs():
    return programs.prefill._cache_size(), programs.decode._cache_size()

  assert n_programs() == (1, 1)
  # Other sizes are programs of their own: of rows, and of columns.
  _sample(_prompts(20, 3))
  assert n_programs() == (2, 2)
  _sample(_prompts(20, 3), max_new_tokens=30)
  assert n_programs() == (3, 3)


def test_lengths_are_rounded_up_to_few_sizes_and_by_half_at_most():
  sizes = [sampler.rounded_length(n) for n in range(1, 5000)]
  assert all(size >= n for n, size in enumerate(sizes, 1))
  assert all(size <= 1.5 * n for n, size in enumerate(sizes[16:], 17))
  assert len(set(sizes)) == 18


def test_adapters_and_quantised_kernels_are_sampled_from_as_they_are():
  adapters = lora.LoRAConfig(
    rank=2, alpha=8.0, targets=('last_layers/mlp/*',), base='int8'
  )
  model = models.Model(CONFIG, adapters)
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda x: (
      rng.integers(-127, 128, x.shape, np.int8)
      if x.dtype == np.int8
      else rng.normal(size=x.shape).astype(x.dtype) * np.float32(0.3)
    ),
    model.abstract_params(),
  )
  samples = models.sample(model, params, PROMPTS, _config(temperature=0))
  for sample, logits in _with_logits(samples, model=model, params=params):
    assert sample.tokens == logits.argmax(axis=-1).tolist()


def test_parameters_on_two_devices_give_the_same_tokens():
  done = subprocess.run(
    [sys.executable, 'tests/two_devices_sampling.py'],
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
  expected = _tokens()
  assert two['tokens'] == {
    'rows': expected,
    'fewer rows than devices': expected[:1],
    'cut': expected,
  }
  one, other = two['held']['replicated']
  assert one == other == sum(x.nbytes for x in _layer_leaves(PARAMS))
  assert two['held']['cut'][0] == two['held']['cut'][1] < 0.51 * one


def _layer_leaves(params):
  return jax.tree.leaves([params['layers'], params['last_layers']])
