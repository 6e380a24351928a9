"""The configs for slices of TPUs: each is a run that its chips can compute."""

import importlib.util
import types

import jax
import numpy as np
import processes
import pytest

from msm_jax import models
from msm_jax import schema
from msm_jax import training
from msm_jax.compilation import budgets
from msm_jax.compilation import topology as topology_lib
from msm_jax.models import presets
from msm_jax.models import tpus
from msm_jax.training import step as step_lib

ROOT = processes.ROOT
FILE = ROOT / 'configs' / 'tuned.py'


def _module():
  spec = importlib.util.spec_from_file_location('tuned', FILE)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


tuned = _module()
PAIRS = sorted(tuned.TUNED)


def _load(model, topology, **values):
  pairs = {'model': model, 'topology': topology, **values}
  return training.load(
    tuned.get_config(','.join(f'{k}={v}' for k, v in pairs.items()))
  )


def _layout(config, topology):
  """The mesh of a topology, without devices."""
  t = topology_lib.parse(topology, config.mesh.num_slices)
  kind = {'v5e': 'TPU v5 lite', 'v5p': 'TPU v5', 'v6e': 'TPU v6 lite'}
  chips = [
    types.SimpleNamespace(device_kind=kind[t.chip.name], coords=coords)
    for coords in np.ndindex(*(*t.shape, 1)[:3])
  ]
  sizes = config.mesh.sizes(t.n_chips, tpus.parts(chips))
  return models.Layout(
    jax.sharding.AbstractMesh(tuple(sizes.values()), tuple(sizes))
  )


@pytest.mark.parametrize('arm', ['msm', 'neutral', 'sft_only'])
@pytest.mark.parametrize('model, topology', PAIRS)
def test_a_config_is_a_run_that_its_chips_can_compute(model, topology, arm):
  config = _load(model, topology, arm=arm, num_slices=2)
  layout = _layout(config, topology)
  assert layout.size('fsdp', 'fsdp_inner') == layout.size(*models.ROWS) // 2
  assert layout.size('data') == 2
  # Scattered in two steps, but for the cube.
  assert (layout.size('fsdp_inner') == 1) == (topology == 'v5p:4x4x4')
  keys = set()
  for phase in config.phases:
    key = step_lib.StepKey.of(phase, config, layout)
    step_lib.check_shapes(models.Model(config.model), key, layout)
    keys.add(key)
  # Phases share one program, so that one budget is that of both.
  assert len(keys) == 1
  assert len(config.phases) == (1 if arm == 'sft_only' else 2)


@pytest.mark.parametrize('model, topology', PAIRS)
def test_a_config_is_the_published_model(model, topology):
  config = _load(model, topology).model
  published = presets.get(model)
  assert models.Model(config).n_params() == published.n_params
  assert (config.dtype, config.param_dtype) == ('bfloat16', 'float32')


def test_what_is_given_replaces_what_is_tuned():
  config = _load(
    'Llama-3.1-8B',
    'v5p:4x4x4',
    rows=128,
    seq_len=4096,
    remat='none',
    updates=30,
    root='gs://bucket/x',
  )
  midtrain, _ = config.phases
  assert (midtrain.batch_size, midtrain.seq_len) == (128, 4096)
  assert config.model.remat == 'none'
  assert midtrain.n_updates == 30
  assert config.sources['documents'].path == 'gs://bucket/x/prepared/documents'


@pytest.mark.parametrize(
  'arg, message',
  [
    ('model=Llama-3.1-8B,topology=v5p:2x2x2', 'Llama-3.1-8B on v5p:2x2x2'),
    ('arm=mms', r"arm: 'mms', expected one of .*did you mean 'msm'"),
    ('topologie=v5e:4x4', r"'topologie=…' is not .*did you mean 'topology'"),
  ],
)
def test_what_does_not_exist_is_refused_by_name(arg, message):
  with pytest.raises(schema.ConfigError, match=message):
    tuned.get_config(arg)


BUDGETS = [
  budget
  for budget in map(budgets.load, (ROOT / 'configs/budgets').glob('*.json'))
  if budget.config.startswith('configs/tuned.py:')
]


@pytest.mark.parametrize('budget', BUDGETS, ids=lambda b: b.config)
def test_a_budget_is_of_a_config_on_its_slice(budget):
  argument = budget.config.partition(':')[2]
  config = training.load(tuned.get_config(argument))
  assert budget.topology == tuned.parse(argument)['topology']
  assert budget.num_slices == config.mesh.num_slices
  assert budget.phase in [phase.name for phase in config.phases]
  assert 'non_overlapped_collectives' in budget.limits
  assert {'temp_bytes', 'xla_temp_bytes'} & set(budget.limits)


def test_every_config_has_a_budget():
  pairs = [tuned.parse(b.config.partition(':')[2]) for b in BUDGETS]
  assert {(p['model'], p['topology']) for p in pairs} == set(PAIRS)
