"""Options of XLA: which a run is compiled with, and what is refused."""

import dataclasses

import jax
import meshes
import pytest
import tiny_run

from msm_jax import models
from msm_jax import schema
from msm_jax import training
from msm_jax.training import programs
from msm_jax.training import xla_options

SET = {'xla_tpu_a': 'true', 'xla_tpu_b': '65536'}


@pytest.fixture
def one_set(monkeypatch):
  monkeypatch.setattr(
    xla_options, 'SETS', {'v5p': {'xla_tpu_a': True, 'xla_tpu_b': 65536}}
  )


@pytest.mark.parametrize(
  'wanted, generation, expected',
  [
    ('auto', 'v5p', SET),
    ('auto', 'v4', {}),
    ('auto', None, {}),
    ('none', 'v5p', {}),
    ({}, 'v5p', SET),
    ({'c': 1.5}, 'v5p', {**SET, 'c': '1.5'}),
    ({'xla_tpu_a': False}, 'v5p', {**SET, 'xla_tpu_a': 'false'}),
    ({'xla_tpu_a': None}, 'v5p', {'xla_tpu_b': '65536'}),
    ({'c': 1}, None, {'c': '1'}),
  ],
)
def test_a_config_takes_or_changes_the_set_of_a_generation(
  one_set, wanted, generation, expected
):
  assert xla_options.chosen(wanted, generation) == expected


def test_what_is_asked_for_on_the_command_line_comes_last(one_set):
  asked = {'xla_tpu_b': '1'}
  assert xla_options.chosen('auto', 'v5p', asked) == {**SET, **asked}
  assert xla_options.chosen('none', 'v5p', asked) == asked


def _run(tmp_path, options):
  raw = tiny_run.get_config(str(tmp_path))
  with raw.unlocked():
    raw.xla_options = options
  return raw


@pytest.mark.parametrize(
  'options, message',
  [
    ('fast', r"xla_options: 'fast', expected one of \['auto', 'none'\]"),
    ({'xla_a': [1]}, r'xla_options\.xla_a: \[1\] is a list'),
  ],
)
def test_options_that_are_none_are_refused(tmp_path, options, message):
  with pytest.raises(schema.ConfigError, match=message):
    training.load(_run(tmp_path, options))


@pytest.mark.parametrize(
  'options, message',
  [
    (
      {'xla_cpu_enable_fast_maths': True},
      r"xla_options\.xla_cpu_enable_fast_maths: .*'xla_cpu_enable_fast_maths'",
    ),
    (
      {'xla_backend_optimization_level': 'much'},
      r'xla_options\.xla_backend_optimization_level: .*much',
    ),
  ],
)
def test_what_xla_does_not_know_is_an_error_before_anything_is_written(
  tmp_path, options, message
):
  config = training.load(_run(tmp_path, options))
  workdir = tmp_path / 'run'
  with pytest.raises(schema.ConfigError, match=message):
    training.train(config, workdir)
  assert not list(workdir.iterdir())


def test_options_are_no_part_of_a_runs_identity(tmp_path):
  from msm_jax.training import config as config_lib

  plain = training.load(_run(tmp_path, 'auto'))
  other = training.load(_run(tmp_path, {'xla_cpu_enable_fast_math': False}))
  assert plain != other
  assert config_lib.result_config(plain) == config_lib.result_config(other)


def test_steps_are_compiled_with_the_options(tmp_path):
  model = meshes.MODELS['adapters']
  key = dataclasses.replace(meshes._key(model, 1), loss_group=1)
  layout = models.Layout(
    models.make_mesh(models.MeshConfig(), jax.devices()[:1])
  )
  options = {'xla_dump_to': str(tmp_path)}
  made = programs.Programs(model.config, layout, options)
  try:
    made.step(key)
  finally:
    made.close()
  assert any('jit_step' in path.name for path in tmp_path.iterdir())
