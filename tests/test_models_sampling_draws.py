"""What tokens are drawn by, and how often each is drawn."""

import functools

import hf_models
import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msm_jax import models
from msm_jax.models.sampling import config
from msm_jax.models.sampling import drawing

CASES = [
  (0.7, None, None),
  (1.0, 5, None),
  (1.0, None, 0.6),
  (2.5, 20, 0.8),
  (0.3, 200, 0.999),
  (1.0, 1, None),
  (1.0, None, 1e-9),
  (1.0, None, 1.0),
]


def _logits(rows=16, V=97, seed=0):
  rng = np.random.default_rng(seed)
  return (3 * rng.normal(size=(rows, V))).astype(np.float32)


def _dials(rows, temperature=1.0, top_k=None, top_p=None, n_ids=10**6, seed=0):
  return drawing.Dials(
    jax.random.split(jax.random.key(seed), rows),
    jnp.float32(temperature),
    jnp.int32(top_k or 0),
    jnp.float32(top_p or 0),
    jnp.int32(n_ids),
  )


@functools.partial(jax.jit, static_argnums=1)
def _filtered(logits, rule, dials):
  return drawing.filtered(logits, rule, dials)


def _distribution(logits, temperature, top_k, top_p, n_ids=10**6):
  """What tokens are drawn by, `[B, V]`."""
  rule = config.rule_of(
    models.SamplingConfig(1, temperature, top_k=top_k, top_p=top_p)
  )
  dials = _dials(len(logits), temperature, top_k, top_p, n_ids)
  return np.asarray(jax.nn.softmax(_filtered(logits, rule, dials), axis=-1))


def _reference(logits, temperature, top_k, top_p):
  """The same of one row, token by token, in float64."""
  scaled = logits.astype(np.float64) / temperature
  weights = np.exp(scaled - scaled.max())
  if top_k is not None and top_k < len(weights):
    least = sorted(weights, reverse=True)[top_k - 1]
    weights = np.where(weights >= least, weights, 0)
  if top_p is not None:
    # A token goes if those that are likelier have the mass already.
    total = weights.sum()
    likelier = np.array([weights[weights > w].sum() for w in weights])
    weights = np.where(likelier < top_p * total, weights, 0)
  return weights / weights.sum()


@pytest.mark.parametrize('temperature, top_k, top_p', CASES)
def test_what_is_drawn_by_equals_a_float64_reference(temperature, top_k, top_p):
  logits = _logits()
  got = _distribution(logits, temperature, top_k, top_p)
  for row, ours in zip(logits, got, strict=True):
    expected = _reference(row, temperature, top_k, top_p)
    np.testing.assert_array_equal(ours > 0, expected > 0)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize('temperature, top_k, top_p', CASES)
def test_what_is_drawn_by_is_that_of_transformers(temperature, top_k, top_p):
  torch = hf_models.import_torch()
  from transformers.generation import logits_process as theirs

  processors = theirs.LogitsProcessorList()
  processors.append(theirs.TemperatureLogitsWarper(temperature))
  if top_k is not None:
    processors.append(theirs.TopKLogitsWarper(top_k))
  if top_p is not None:
    processors.append(theirs.TopPLogitsWarper(top_p))
  logits = _logits(seed=1)
  expected = processors(None, torch.from_numpy(logits)).softmax(-1).numpy()
  got = _distribution(logits, temperature, top_k, top_p)
  np.testing.assert_array_equal(got > 0, expected > 0)
  np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-9)


@hypothesis.given(
  st.lists(st.integers(0, 3), min_size=7, max_size=7),
  st.one_of(st.none(), st.integers(1, 8)),
  st.one_of(st.none(), st.floats(0.01, 0.99)),
)
def test_equals_are_kept_or_dropped_together(levels, top_k, top_p):
  logits = np.asarray([levels], np.float32)
  rule = drawing.Rule(False, top_k is not None, top_p is not None)
  kept = np.isfinite(_filtered(logits, rule, _dials(1, 1.0, top_k, top_p))[0])
  expected = _reference(logits[0], 1.0, top_k, top_p) > 0
  # Where the mass meets top_p but for rounding, either is right.
  hypothesis.assume(
    top_p is None
    or (
      expected == (_reference(logits[0], 1.0, top_k, top_p * (1 - 1e-6)) > 0)
    ).all()
  )
  np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize('top_k, top_p', [(2, None), (None, 0.7)])
def test_neighbouring_floats_are_told_apart(top_k, top_p):
  below = [0.0, 1.0, np.nextafter(np.float32(1), np.float32(2)), 5.0]
  got = _distribution(-np.asarray([below], np.float32), 1.0, top_k, top_p)
  assert (got[0] > 0).tolist() == [True, True, False, False]


def test_a_tiny_temperature_takes_the_likeliest():
  logits = 1e4 * _logits()
  got = _distribution(logits, 1e-6, None, 0.9)
  np.testing.assert_array_equal(got.argmax(axis=-1), logits.argmax(axis=-1))
  assert (got.max(axis=-1) == 1).all()


def test_mass_is_counted_among_the_ids_that_may_be_drawn():
  logits = _logits()
  got = _distribution(logits, 1.0, 10, 0.8, n_ids=40)
  assert not got[:, 40:].any()
  for row, ours in zip(logits, got[:, :40], strict=True):
    np.testing.assert_allclose(ours, _reference(row[:40], 1.0, 10, 0.8), 1e-5)


def _draws(logits_V, n, *, rows=2000, steps=100, seed=0, **fields):
  rule = drawing.Rule(False, 'top_k' in fields, 'top_p' in fields)
  dials = _dials(rows, seed=seed, **fields)
  logits = jnp.broadcast_to(logits_V, (rows, len(logits_V)))

  @jax.jit
  def run(dials):
    def step(n):
      return drawing.draw(logits, rule, dials, n)

    return jax.lax.map(step, n + jnp.arange(steps))

  return np.asarray(run(dials))


def test_tokens_are_drawn_as_often_as_they_are_likely():
  logits = np.asarray([2.0, -1.0, 0.5, 0.5, -4.0, 3.0, -2.0], np.float32)
  how = {'temperature': 1.3, 'top_k': 6, 'top_p': 0.99}
  draws = _draws(logits, 0, **how)
  expected = draws.size * _reference(logits, 1.3, 6, 0.99)
  counts = np.bincount(draws.ravel(), minlength=7)
  assert counts[expected == 0].sum() == 0
  possible = expected > 0
  deviations = (counts - expected)[possible] / np.sqrt(expected[possible])
  # Chi-square with 5 degrees of freedom: above 30 with a chance of 1e-5.
  assert (deviations**2).sum() < 30
  # Draws of one row, and of one step, do not depend on each other.
  for axis in (0, 1):
    same = (draws == np.roll(draws, 1, axis)).mean()
    chance = np.sum((expected / draws.size) ** 2)
    assert abs(same - chance) < 5 * np.sqrt(chance / draws.size)


def test_rare_tokens_have_noise_that_is_fine_enough():
  noise = np.sort(drawing._gumbel(jax.random.key(0), 0, 2**22))
  assert np.isfinite(noise).all()
  # With 23 bits the largest of so many would share a dozen values.
  assert len(np.unique(noise[-200:])) == 200
  assert (noise < 0).mean() == pytest.approx(np.exp(-1), abs=1e-3)


def test_a_rows_noise_depends_on_nothing_but_its_key_and_the_place():
  logits = _logits(rows=8, V=50)
  rule, dials = drawing.Rule(False), _dials(8)
  together = drawing.draw(logits, rule, dials, 3)
  for b in range(8):
    one = dials._replace(keys_B=dials.keys_B[b : b + 1])
    alone = drawing.draw(logits[b : b + 1], rule, one, 3)
    assert alone[0] == together[b]
  # Noise is far from neighbouring places' and keys'.
  noise = np.stack(
    [drawing._gumbel(k, n, 5000) for k in dials.keys_B[:2] for n in range(2)]
  )
  correlations = np.corrcoef(noise)[~np.eye(4, dtype=bool)]
  assert np.abs(correlations).max() < 0.06


@pytest.mark.parametrize(
  'name, value, expected',
  [
    ('max_new_tokens', 0, 'at least 1'),
    ('temperature', -1.0, r'0 \(greedy\), or at least 1e-06 and finite'),
    ('temperature', 1e-30, r'0 \(greedy\), or at least 1e-06 and finite'),
    (
      'temperature',
      float('nan'),
      r'0 \(greedy\), or at least 1e-06 and finite',
    ),
    (
      'temperature',
      float('inf'),
      r'0 \(greedy\), or at least 1e-06 and finite',
    ),
    ('top_k', 0, 'at least 1 or None'),
    ('top_p', 0.0, r'in \(0, 1\] or None'),
    ('top_p', 1.1, r'in \(0, 1\] or None'),
    ('n_ids', 0, 'at least 1 or None'),
    ('seed', -1, r'in \[0, 2\*\*32\)'),
    ('seed', 2**32, r'in \[0, 2\*\*32\)'),
    ('stop_sequences', ((1,), ()), 'at least one id in each'),
    ('stop_strings', ('a', ''), 'no empty string'),
  ],
)
def test_settings_that_make_no_sense_are_refused(name, value, expected):
  with pytest.raises(
    ValueError, match=rf'^sampling\.{name}: .*, expected {expected}$'
  ):
    models.SamplingConfig(**{'max_new_tokens': 1, name: value})
