"""The configs that are shipped: what each of them asks of a corpus."""

import importlib.util
import pathlib

import pytest

from data_gen.pipeline import config as config_lib
from msm_jax import schema

FOLDER = pathlib.Path(__file__).parent.parent / 'configs' / 'data'
OF_TEACHERS = ('openai_compatible', 'gemini')


def shipped(name: str, arg: str = '') -> config_lib.PipelineConfig:
  spec = importlib.util.spec_from_file_location(name, FOLDER / f'{name}.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return config_lib.load(module.get_config(arg))


@pytest.mark.parametrize('name', OF_TEACHERS)
def test_a_collapsed_corpus_of_a_real_teacher_is_refused(name):
  gates = shipped(name).gates
  assert gates.diversity.on_failure == 'refuse'
  assert gates.diversity_in_chats.on_failure == 'refuse'


def test_the_grammar_reports_only_and_says_why():
  gates = shipped('offline').gates
  for config in (gates.diversity, gates.diversity_in_chats):
    assert config.on_failure == 'report'
    assert 'grammar' in config.because


def test_the_offline_example_has_as_many_chats_as_it_is_told():
  assert shipped('offline').chats.accepted == 24
  assert shipped('offline', 'documents=24,chats=7').chats.accepted == 7
  with pytest.raises(ValueError, match='chats=many, expected a number'):
    shipped('offline', 'chats=many')


@pytest.mark.parametrize(
  ('name', 'arg', 'said'),
  [
    ('openai_compatible', 'scale=much', 'scale=much, expected a whole number'),
    ('openai_compatible', 'scale=0', 'scale=0, expected a whole number'),
    ('gemini', 'batch=yes', 'batch=yes, expected 0 or 1'),
  ],
)
def test_an_argument_that_cannot_be_meant_is_an_error(name, arg, said):
  with pytest.raises(schema.ConfigError, match=said):
    shipped(name, arg)


@pytest.mark.parametrize('name', OF_TEACHERS)
def test_a_key_in_the_wrong_place_of_an_argument_is_not_quoted(name):
  with pytest.raises(schema.ConfigError, match='KEY=VALUE') as e:
    shipped(name, 'key=sk-proj-0123,modle=x,sk-proj-0123')
  assert '0123' not in str(e.value)
