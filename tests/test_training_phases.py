import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import one_device
import processes
import pytest
import tiny_run

from msm_jax import models
from msm_jax import schema
from msm_jax import training
from msm_jax.training import moments
from msm_jax.training import phases
from msm_jax.training import programs
from msm_jax.training import step as step_lib
from msm_jax.training.config import OptimizerConfig
from msm_jax.training.config import result_config


def _raw(**changes) -> ml_collections.ConfigDict:
  config = tiny_run.get_config('/nowhere')
  for key, value in changes.items():
    config[key] = value
  return config


def _phase(name, updates, position='fresh', moments='fresh'):
  return {
    'name': name,
    'mixture': {'docs': 1.0},
    'seq_len': 64,
    'batch_size': 4,
    'updates': updates,
    'schedule': {'peak': 1.0, 'decay': 'linear'},
    'optimizer_state': moments,
    'schedule_position': position,
  }


def _plans(*phase_list, inherited=0, **changes):
  config = training.load(
    _raw(phases=tuple(map(ml_collections.ConfigDict, phase_list)), **changes)
  )
  return phases.plan(config, inherited)


def test_phases_follow_each_other_and_count_from_zero():
  plans = _plans(_phase('a', 30), _phase('b', 20), _phase('c', 25))
  assert [(p.start, p.stop) for p in plans] == [(0, 30), (30, 50), (50, 75)]
  assert [p.schedule_offset for p in plans] == [0, 0, 0]
  assert [p.schedule_horizon for p in plans] == [30, 20, 25]


def test_a_carried_schedule_runs_on_over_the_boundary():
  plans = _plans(_phase('a', 30), _phase('b', 20, 'carry'), _phase('c', 25))
  rates = [
    p.learning_rate(u) for p in plans[:2] for u in range(p.stop - p.start)
  ]
  np.testing.assert_allclose(rates, np.linspace(1, 0, 50), atol=1e-6)
  assert plans[2].learning_rate(0) == 1.0


def test_a_first_phase_can_carry_the_position_of_its_parent():
  config = {'init_from': {'workdir': 'x', 'phase': 'base'}}
  (plan,) = _plans(_phase('a', 20, 'carry'), inherited=80, **config)
  assert (plan.schedule_offset, plan.schedule_horizon) == (80, 100)
  np.testing.assert_allclose(plan.learning_rate(19), 0.0, atol=1e-7)
  np.testing.assert_allclose(plan.learning_rate(0), 1 - 80 / 99, rtol=1e-6)


def test_moments_cross_a_boundary_only_if_carried():
  model = models.Model(training.load(_raw()).model)
  params = model.init(jax.random.key(0))
  ones = jax.tree.map(jnp.ones_like, moments.init(OptimizerConfig(), params))
  config = training.load(_raw())
  fresh, carried = config.phases
  entered = phases.enter(fresh, params, ones, one_device.layout())
  assert all(not x.any() for x in jax.tree.leaves(entered.optimizer))
  jax.tree.map(np.testing.assert_array_equal, entered.params, params)
  assert carried.optimizer_state == 'carry'
  kept = phases.enter(carried, params, ones, one_device.layout())
  state = step_lib.TrainState(params, ones)
  jax.tree.map(np.testing.assert_array_equal, kept, state)


def test_a_budget_is_shown_in_updates_and_in_tokens():
  config = _raw()
  config.phases[0].updates = None
  config.phases[0].tokens = 12_001
  plans = phases.plan(training.load(config))
  assert plans[0].phase.n_updates == 24, 'rounded up: 512 tokens an update'
  table = phases.table(plans)
  assert '24' in table and f'{24 * 512:,}' in table


def test_the_next_phase_is_compiled_before_the_boundary(tmp_path, monkeypatch):
  tiny_run.make_sources(tmp_path)
  workdir = tmp_path / 'run'
  steps: dict[int, int] = {}
  request = programs.Programs.request

  def noted(self, key):
    # The log is line-buffered, and has the updates that are finished.
    if isinstance(key, step_lib.StepKey):
      steps.setdefault(key.batch_size, processes.last_step(workdir))
    request(self, key)

  monkeypatch.setattr(programs.Programs, 'request', noted)
  config = tiny_run.get_config(str(tmp_path))
  training.train(training.load(config), workdir)
  first, second = (p.batch_size for p in config.phases)
  assert steps == {first: 0, second: 0}, 'while the first update is running'


@pytest.mark.parametrize(
  'path, value, message',
  [
    ('phases[0].mixture', {'doc': 1.0}, r"phases\[0\].mixture.doc: source "
     r"'doc' is not defined \(did you mean 'docs'\?\)"),
    ('phases[0].updates', 3, r'3 updates, fewer than min_updates = 20'),
    ('phases[0].updates', None, r'expected exactly one of the two'),
    ('phases[0].tokens', 5, r'expected exactly one of the two'),
    ('phases[1].name', 'midtrain', r"names: \['midtrain'\] occur more"),
    ('phases[0].accumulation', 3, r'accumulation: 3 does not divide'),
    ('phases[0].schedule.decay', 'cosin', r"did you mean 'cosine'"),
    ('phases[0].schedule.peak', 0.0, r'peak: 0.0, expected a positive'),
    ('phases[0].schedule.peak', '1e-3', r"phases\[0\].schedule.peak: '1e-3'"),
    ('phases[0].optimizer_state', 'keep', r"'keep', expected one of"),
    ('phases[0].optimizer_state', 'carry', r'nothing to carry over'),
    ('loss_chunk', 48, r'loss_chunk: 48 does not divide'),
    ('model.n_kv_heads', 3, r'n_kv_heads: 3 does not divide'),
  ],
)  # fmt: skip
def test_configs_that_cannot_run_are_refused_by_name(path, value, message):
  config = _raw()
  holder = config
  *parents, last = path.replace('[', '.').replace(']', '').split('.')
  for part in parents:
    holder = holder[int(part)] if part.isdigit() else holder[part]
  with holder.unlocked(), holder.ignore_type():
    holder[last] = value
  with pytest.raises(schema.ConfigError, match=message):
    training.load(config)


@pytest.mark.parametrize(
  'path, near',
  [
    ('sead', 'seed'),
    ('phases[0].bach_size', 'batch_size'),
    ('phases[1].schedule.warm_up', 'warmup'),
    ('model.d_modle', 'd_model'),
  ],
)
def test_a_misspelt_key_is_refused_with_the_nearest_one(path, near):
  config = _raw()
  holder = config
  *parents, last = path.replace('[', '.').replace(']', '').split('.')
  for part in parents:
    holder = holder[int(part)] if part.isdigit() else holder[part]
  with holder.unlocked():
    holder[last] = 1
  with pytest.raises(schema.ConfigError) as error:
    training.load(config)
  assert f'config.{path}: there is no such key' in str(error.value)
  assert f"did you mean '{near}'" in str(error.value)


def test_only_what_changes_the_result_is_part_of_a_run():
  config = _raw()
  before = result_config(training.load(config))
  config.checkpoint.every = 1000
  config.tokenizer = '/elsewhere/tokenizer'
  config.sources.docs.path = '/elsewhere/docs'
  config.log_wandb = True
  assert result_config(training.load(config)) == before
  config.phases[1].schedule.peak = 0.5
  (difference,) = schema.differences(
    result_config(training.load(config)), before
  )
  assert difference == ('config.phases[1].schedule.peak', 0.5, 0.01)
