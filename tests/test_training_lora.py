"""Updates of adapters, what they cost, and which phases may follow which."""

import re

import jax
import jax.numpy as jnp
import lora_run
import ml_collections
import numpy as np
import one_device
import optax
import pytest
import test_training_step as plain_step

from msm_jax import models
from msm_jax import schema
from msm_jax import training
from msm_jax.models import lora
from msm_jax.training import flops
from msm_jax.training import moments
from msm_jax.training import phases
from msm_jax.training import step as step_lib
from msm_jax.training.config import OptimizerConfig

LORA = lora.LoRAConfig(rank=2, alpha=8.0, dora=True, base='int8')
MODEL = models.Model(plain_step.CONFIG, LORA)


def _state():
  params = jax.jit(MODEL.init)(jax.random.key(0))
  trained, frozen = lora.split(params)
  keys = iter(jax.random.split(jax.random.key(1), 100))
  trained = jax.tree.map(
    lambda x: x + 0.1 * jax.random.normal(next(keys), x.shape), trained
  )
  return step_lib.TrainState(
    lora.join(trained, frozen), moments.init(OptimizerConfig(), trained)
  )


def _shapes(tree):
  return jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)


def test_there_are_moments_of_adapters_only():
  state = step_lib.abstract_state(MODEL)
  trained, _ = lora.split(state.params)
  assert _shapes(state.optimizer['mu']) == _shapes(trained)
  assert _shapes(state.optimizer['nu']) == _shapes(trained)
  leaves = jax.tree_util.tree_leaves_with_path(state.optimizer['mu'])
  assert {path[-2].key for path, _ in leaves} == {'lora'}
  assert len(leaves) == 7 * 3


@pytest.mark.parametrize('accumulation', [1, 4])
def test_an_update_is_adamw_on_the_adapters_and_leaves_the_base_alone(
  accumulation,
):
  config = OptimizerConfig(weight_decay=0.1, clip_norm=0.5)
  key = plain_step._key(optimizer=config, lora=LORA, accumulation=accumulation)
  step = step_lib.compile_step(MODEL, key, one_device.layout())
  state = _state()
  trained, frozen = lora.split(jax.tree.map(jnp.copy, state.params))
  # A and B decay, magnitudes, like norm scales, do not.
  decayed = jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key in ('a', 'b'), trained
  )
  reference = optax.chain(
    optax.clip_by_global_norm(0.5),
    optax.adamw(3e-2, 0.9, 0.95, 1e-8, weight_decay=0.1, mask=decayed),
  )
  opt_state = reference.init(trained)

  @jax.jit
  def gradient(trained, batch):
    def loss(trained):
      params = lora.join(trained, frozen)
      logits = MODEL.logits(
        params, batch['tokens'], batch['segment_ids'], batch['positions']
      )
      losses = optax.softmax_cross_entropy_with_integer_labels(
        logits, batch['targets']
      )
      weights = batch['loss_weights']
      return jnp.sum(losses * weights) / jnp.sum(weights)

    return jax.grad(loss)(trained)

  for seed in range(2):
    batch = plain_step._batch(seed)
    grads = gradient(trained, batch)
    state, metrics = step(state, batch, np.float32(3e-2))
    np.testing.assert_allclose(
      metrics.grad_norm, optax.global_norm(grads), rtol=1e-5
    )
    updates, opt_state = reference.update(grads, opt_state, trained)
    trained = optax.apply_updates(trained, updates)
    got, base = lora.split(state.params)
    plain_step._assert_close(got, trained, 2e-5)
    jax.tree.map(np.testing.assert_array_equal, base, frozen)


def _trained_on(model, batches, peak):
  """Parameters after an update with each batch, from those of key 0."""
  key = plain_step._key(batch_size=64, lora=model.lora)
  step = step_lib.compile_step(model, key, one_device.layout())
  params = jax.jit(model.init)(jax.random.key(0))
  zeros = moments.init(OptimizerConfig(), lora.split(params)[0])
  state = step_lib.TrainState(params, zeros)
  for i, batch in enumerate(batches):
    learning_rate = np.float32(peak * (1 - i / len(batches)))
    state, _ = step(state, batch, learning_rate)
  return state.params


def test_adapters_learn_a_change_of_their_rank_as_all_parameters_do():
  plain = models.Model(plain_step.CONFIG)
  adapted = models.Model(plain_step.CONFIG, lora.LoRAConfig(2, 4.0))
  # The same base, and a change of rank 2 in every kernel.
  adapters, base = lora.split(jax.jit(adapted.init)(jax.random.key(0)))
  rng = np.random.default_rng(0)
  adapters = jax.tree.map(
    lambda x: x + 0.28 * rng.normal(size=x.shape).astype(np.float32), adapters
  )
  teacher = lora.join(adapters, base)
  shape = (64, plain_step.T)
  rows = jnp.ones(shape, jnp.int32), jnp.tile(jnp.arange(shape[1]), (64, 1))

  @jax.jit
  def batch(key):
    of_tokens, of_targets = jax.random.split(key)
    tokens = jax.random.randint(of_tokens, shape, 0, 41)
    logits = adapted.logits(teacher, tokens, *rows)
    return {
      'tokens': tokens,
      'targets': jax.random.categorical(of_targets, logits),
      'segment_ids': rows[0],
      'positions': rows[1],
      'loss_weights': jnp.ones(shape),
    }

  def divergence(model, params):
    """Mean KL(teacher ‖ model) on texts that were not trained on."""
    tokens = batch(jax.random.key(2))['tokens']
    p, q = (
      jax.nn.log_softmax(jax.jit(m.logits)(params, tokens, *rows))
      for m, params in ((adapted, teacher), (model, params))
    )
    return float(jnp.mean(jnp.sum(jnp.exp(p) * (p - q), axis=-1)))

  batches = [batch(key) for key in jax.random.split(jax.random.key(3), 100)]
  before = divergence(plain, jax.jit(plain.init)(jax.random.key(0)))
  of_all = divergence(plain, _trained_on(plain, batches, 1e-2))
  of_adapters = divergence(adapted, _trained_on(adapted, batches, 5e-2))
  assert of_all < before / 3
  assert of_adapters < 1.25 * of_all


# Large kernels, few tokens: gradients of kernels would be most of the memory.
LARGE = models.DecoderConfig(
  vocab_size=64,
  d_model=64,
  n_layers=6,
  n_heads=2,
  n_kv_heads=2,
  head_dim=32,
  d_ff=512,
  remat='full',
)


@pytest.fixture(scope='module')
def compiled():
  """The update of all parameters, and of adapters on three bases."""
  steps = {}
  for base in (None, 'param_dtype', 'int8', 'nf4'):
    config = base and lora.LoRAConfig(2, 4.0, base=base)
    key = step_lib.StepKey(1, 8, 1, 8, 0.0, OptimizerConfig(), lora=config)
    steps[base] = step_lib.compile_step(
      models.Model(LARGE, config), key, one_device.layout()
    )
  return steps


def _computed(compiled):
  """What makes float32 arrays of the size of the MLP's stacked kernels."""
  shapes = r'f32\[6,(?:1,)?(?:64,512|512,64)\]'
  found = re.findall(rf'= {shapes}\S* ([\w-]+)\(', compiled.as_text())
  return set(found)


# A scan writes a stacked gradient layer by layer; AdamW reads and scales it.
_GRADIENT = {'dynamic-update-slice', 'multiply', 'divide', 'sqrt', 'subtract'}


def test_no_gradient_of_a_frozen_kernel_exists(compiled):
  assert _computed(compiled[None]) >= _GRADIENT
  kernels = 4 * 6 * (4 * 64 * 64 + 3 * 64 * 512)
  all_temp = compiled[None].memory_analysis().temp_size_in_bytes
  for base in ('param_dtype', 'int8', 'nf4'):
    assert not _computed(compiled[base]) & _GRADIENT
    temp = compiled[base].memory_analysis().temp_size_in_bytes
    assert temp < all_temp - 0.9 * kernels


def test_a_base_in_few_bits_is_neither_copied_nor_unpacked_as_a_whole(compiled):
  kernels = 6 * (4 * 64 * 64 + 3 * 64 * 512)
  of_float32 = compiled['param_dtype'].memory_analysis()
  for base, bits in (('int8', 8), ('nf4', 4.5)):
    memory = compiled[base].memory_analysis()
    # Except the embedding, in half as many bytes, all else is the same.
    saved = of_float32.argument_size_in_bytes - memory.argument_size_in_bytes
    scales = 4 * 6 * (4 * 64 + 64 + 2 * 512) if base == 'int8' else 0
    expected = kernels * (4 - bits / 8) - scales + 2 * 64 * 64
    assert abs(saved - expected) < 1000
    # All that goes in comes out, in place.
    inputs = memory.argument_size_in_bytes - memory.alias_size_in_bytes
    assert inputs < 1000
    assert 'f32[6,1,64,512]' not in compiled[base].as_text()
    assert 'f32[6,64,512]' not in compiled[base].as_text()


def test_a_frozen_weight_costs_four_flops_a_token_not_six():
  for tied in (True, False):
    config = models.DecoderConfig(
      vocab_size=100,
      d_model=8,
      n_layers=2,
      n_heads=2,
      n_kv_heads=2,
      head_dim=4,
      d_ff=16,
      tied_embeddings=tied,
    )
    plain = models.Model(config)
    adapted = models.Model(config, lora.LoRAConfig(3, 4.0, base='nf4'))
    attention = 12 * 2 * 4 * 2 * 32 / 2
    weights = plain.n_params() - (0 if tied else 100 * 8)
    # Two layers of q, k, v, out (8 × 8) and gate, up, down (8 × 16).
    extra = 2 * 3 * (4 * (8 + 8) + 3 * (8 + 16))
    assert adapted.n_trained() == extra
    assert flops.flops_per_token(plain, 32) == 6 * weights + attention
    assert (
      flops.flops_per_token(adapted, 32) == 4 * weights + 6 * extra + attention
    )


def _raw(*changes, **of_config):
  config = lora_run.get_config('/nowhere')
  config.phases = tuple(p.to_dict() for p in config.phases)
  phases_ = [dict(p) for p in config.phases]
  for index, change in changes:
    phases_[index].update(change)
  config.phases = tuple(map(ml_collections.ConfigDict, phases_))
  with config.unlocked(), config.ignore_type():
    for key, value in of_config.items():
      config[key] = value
  return config


R4 = {**lora_run.adapters('nf4'), 'rank': 4}
WIDER = {**lora_run.adapters('nf4'), 'targets': ('*/attention/*',)}


@pytest.mark.parametrize(
  'change, message',
  [
    # (index of the phase, what is changed)
    ((0, {'adapters': 'merge'}), r"phases\[0\].adapters: 'merge', but what "
     'comes before has no adapters; leave it out'),
    ((1, {'adapters': 'carry'}), r"phases\[1\].adapters: 'carry', but what "
     'comes before has no adapters; leave it out'),
    ((0, {'adapters': 'fresh'}), r'phases\[0\].adapters: .* set lora as well'),
    ((1, {'optimizer_state': 'carry'}), r"phases\[1\].optimizer_state: 'carry'"
     ', but the moments of what comes before are of all parameters, and here '
     "new adapters are trained; use 'fresh'"),
    ((2, {'adapters': None}), r'phases\[2\].adapters: is missing, .*carry.*'
     'merge.*fresh'),
    ((2, {'adapters': 'keep'}), r"phases\[2\].adapters: 'keep', expected one"),
    ((2, {'lora': R4}), r"phases\[2\].adapters: 'carry', but they cannot go on "
     r'with another lora.rank 4 \(was 2\); undo that'),
    ((2, {'lora': WIDER}), r'cannot go on with another lora.targets'),
    ((2, {'lora': None}), r"phases\[2\].adapters: 'carry', but lora is not set"
     ': repeat the lora'),
    ((3, {'lora': lora_run.adapters('nf4')}), r"phases\[3\].adapters: 'merge' "
     'would round a base that is nf4 a second time, to nf4; use lora.base = '
     r"'bfloat16' or 'param_dtype', or 'carry' the adapters"),
    ((3, {'adapters': 'fresh', 'lora': lora_run.adapters('int8')}),
     r"phases\[3\].adapters: 'fresh' would round a base that is nf4 a second "
     r"time, to int8; use lora.base = 'bfloat16' or 'param_dtype'$"),
    ((4, {'lora': None}), r"phases\[4\].adapters: 'fresh', but lora is not "
     "set: all that was trained before would be lost; use 'merge'"),
    ((5, {'optimizer_state': 'carry'}), r'phases\[5\].optimizer_state: .* are '
     'of adapters that end there, and here all parameters are trained'),
    ((1, {'lora': {'rank': 0, 'alpha': 1.0}}), r'phases\[1\].lora: rank: 0'),
    ((1, {'lora': {'rnk': 2, 'alpha': 1.0}}), r"lora.rnk: .*mean 'rank'"),
  ],
)  # fmt: skip
def test_boundaries_that_make_no_sense_are_refused_by_name(change, message):
  with pytest.raises(schema.ConfigError, match=message):
    training.load(_raw(change))


def test_the_boundaries_that_make_sense_are_taken():
  config = training.load(_raw())
  found = phases.crossings(config, None)
  assert [c.adapters for c in found] == [p[2] for p in lora_run.PHASES]
  assert [c.after.lora for c in found] == [p.lora for p in config.phases]
  assert [c.before.lora for c in found[1:]] == [
    c.after.lora for c in found[:-1]
  ]
  assert [c.is_trivial for c in found] == [True, False, True] + 3 * [False]
  plans = phases.plan(config)
  assert [phases.base_phase(plans, i) for i in range(6)] == [
    None, 'midtrain', 'midtrain', 'sft', 'again', None
  ]  # fmt: skip
  table = phases.table(plans)
  assert 'LoRA r 2, carry' in table
  assert 'all, merged' in table


def test_a_first_phase_may_take_up_the_adapters_of_another_run():
  init = ml_collections.ConfigDict({'workdir': 'x', 'phase': 'sft'})
  config = training.load(_raw((0, {'adapters': 'merge'}), init_from=init))
  before = lora.LoRAConfig(4, 8.0)
  (first, *_) = phases.crossings(config, before)
  assert (first.before.lora, first.after.lora) == (before, None)
  with pytest.raises(schema.ConfigError, match='has no adapters; leave it out'):
    phases.crossings(config, None)


def test_targets_of_a_phase_that_match_nothing_are_refused_by_name():
  wrong = {**lora_run.adapters('nf4'), 'targets': ('*/attn/*',)}
  config = training.load(_raw((1, {'lora': wrong}), (2, {'lora': wrong})))
  with pytest.raises(
    schema.ConfigError,
    match=r"phases\[1\].lora.targets: '\*/attn/\*' matches no projection; ther",
  ):
    phases.crossings(config, None)
