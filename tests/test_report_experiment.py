"""`experiment.json`: what is wrong in it is named by key, value and remedy."""

import json

import pytest
import synthetic_experiment

from msm_jax.report import experiment as experiment_lib


def raw():
  return synthetic_experiment.experiment(seeds=(0, 1))


def test_the_experiment_is_read_as_it_was_written():
  found = experiment_lib.from_json(raw())
  assert found.seeds == (0, 1)
  assert [a.name for a in found.arms] == list(synthetic_experiment.LABELS)
  assert found.arm('base').phases == ('base',)
  assert not found.arm('msm_home').chat_trained
  assert found.primary.arms == ('msm_thrift_sft', 'msm_home_sft')
  assert found.primary.scale == 0.5
  assert found.primary.score == 'log_odds'
  assert found.contrasts[0].arms == ('msm_thrift_sft', 'neutral_sft')
  assert found.contrasts[0].scale == 1.0


def test_default_suites_take_their_labels_from_the_traits():
  found = experiment_lib.from_json(raw())
  assert found.suite('ood_sage').labels == ('cheap', 'local')
  assert found.control_of('ood_sage').name == 'ood_other'


def test_the_reference_of_the_tax_is_the_arm_with_the_fewest_phases():
  changed = raw()
  assert experiment_lib.from_json(changed).tax_reference == 'base'
  changed['tax_reference'] = 'sft_only'
  assert experiment_lib.from_json(changed).tax_reference == 'sft_only'


@pytest.mark.parametrize(
  ('path', 'value', 'message'),
  [
    (['sedes'], [0], r"sedes: there is no such key.*did you mean 'seeds'"),
    (['seeds'], [], 'seeds: is empty, expected one or more'),
    (['seeds'], [0, 0], r'seeds: \[0\] occur more than once'),
    (['seeds'], ['0'], r"seeds\[0\]: '0' is a str, expected int"),
    (['arms'], [], 'arms: is empty'),
    (['arms'], {'a': 1}, r'arms: .* is a dict, expected a list'),
    (['name'], 7, 'name: 7 is a int, expected str'),
    (
      ['arms', 2, 'chat_traind'],
      True,
      r"arms\[2\]\.chat_traind: there is no such key.*'chat_trained'",
    ),
    (
      ['arms', 2, 'chat_trained'],
      'yes',
      r"arms\[2\]\.chat_trained: 'yes' is a str, expected bool",
    ),
    (['arms', 2, 'phases'], 'sft', r"arms\[2\]\.phases: 'sft' is a str.*list"),
    (['arms', 1, 'name'], 'base', r"arms: \['base'\] occur more than once"),
    (
      ['primary', 'positive_arm'],
      'msm_thrift_stf',
      r"primary\.positive_arm: 'msm_thrift_stf'.*'msm_thrift_sft'\?",
    ),
    (['primary', 'kind'], 'half', r"primary: kind: 'half', expected one of"),
    (['primary', 'label'], 'dear', r"primary\.label: 'dear'"),
    (['primary', 'against'], 'cheap', r"primary\.against: 'cheap'"),
    (['primary', 'expected'], 'up', r"primary: expected: 'up'"),
    (['primary', 'suite'], 'ood', r"primary\.suite: 'ood'.*expected one of"),
    (
      ['contrasts', 0, 'reference'],
      'msm_home',
      r"contrasts\[0\]\.reference: 'msm_home' never saw the chat template",
    ),
    (
      ['contrasts', 1, 'name'],
      'dissociation',
      r"contrasts: \['dissociation'\] occur more than once",
    ),
    (
      ['stages', 0, 'seconds'],
      'fast',
      r"stages\[0\]\.seconds: 'fast' is a str",
    ),
    (['tax_reference'], 'bsae', r"tax_reference: 'bsae'.*'base'\?"),
    (
      ['suites'],
      [
        {
          'name': 's',
          'metric': 'm',
          'kind': 'choice',
          'format': 'chat',
          'role': 'alignment',
        }
      ],
      r'suites\[0\]: labels: \[\], a choice needs two or more',
    ),
  ],
)
def test_what_is_wrong_is_named(path, value, message):
  changed = raw()
  target = changed
  for key in path[:-1]:
    target = target[key]
  target[path[-1]] = value
  with pytest.raises(ValueError, match=message):
    experiment_lib.from_json(changed)


@pytest.mark.parametrize('key', ['name', 'seeds', 'arms', 'primary', 'traits'])
def test_what_is_missing_is_named(key):
  changed = raw()
  del changed[key]
  with pytest.raises(ValueError, match=f'^experiment.{key}: is missing'):
    experiment_lib.from_json(changed)


def test_errors_name_the_file(tmp_path):
  with pytest.raises(
    FileNotFoundError, match=r'experiment\.json: no such file'
  ):
    experiment_lib.read(tmp_path)
  path = tmp_path / 'experiment.json'
  path.write_text('{"name": ')
  with pytest.raises(ValueError, match=r'experiment\.json: '):
    experiment_lib.read(tmp_path)
  path.write_text(json.dumps({**raw(), 'seeds': []}))
  with pytest.raises(ValueError, match=r'experiment\.json: seeds: is empty'):
    experiment_lib.read(tmp_path)
