"""An experiment's config names a tokenizer of others and its template."""

import pytest
import test_launch_experiment
import tokenizer_families

from msm_jax import schema
from msm_jax import tokenizers


def stage(**tokenizer):
  def change(config):
    config.tokenizer = tokenizer

  plan = test_launch_experiment.plan(change=change)
  return test_launch_experiment.stages_by_name(plan)['tokenizer']


def test_a_tokenizer_with_a_source_is_imported_with_its_choices():
  source = str(tokenizer_families.base_folder('qwen3'))
  made = stage(
    source=source,
    spec={'template': 'qwen3', 'variables': {'enable_thinking': False}},
  )
  assert made.module == 'msm_jax.import_tokenizer'
  assert not made.needs
  assert made.outputs == ('tokenizer',)
  assert f'--source={source}' in made.flags
  assert '--template=qwen3' in made.flags
  assert '--variables={"enable_thinking":false}' in made.flags
  other = stage(source=source, spec={'template': 'chatml'})
  assert other.inputs != made.inputs


def test_flags_say_what_the_spec_says():
  spec = tokenizers.TokenizerSpec(
    template='chatml',
    bos='<a>',
    eos='<b>',
    pad='<c>',
    date='2026-01-31',
    variables={'x': [1, 'é']},
    control_tokens=('<d>', '<e>'),
  )
  assert spec.flags() == [
    '--template=chatml',
    '--bos=<a>',
    '--eos=<b>',
    '--pad=<c>',
    '--date=2026-01-31',
    '--variables={"x":[1,"é"]}',
    '--control_tokens=<d>,<e>',
  ]
  assert tokenizers.TokenizerSpec().flags() == []
  assert tokenizers.TokenizerSpec.from_json(spec.to_json()) == spec
  with pytest.raises(ValueError, match='version 99'):
    tokenizers.TokenizerSpec.from_json({**spec.to_json(), 'version': 99})


@pytest.mark.parametrize(
  ('tokenizer', 'message'),
  [
    ({}, r'vocab_size: None and source: None, expected exactly one'),
    ({'vocab_size': 9, 'source': 'x'}, 'expected exactly one'),
    ({'vocab_size': 9, 'spec': {'bos': '<s>'}}, 'spec: is for a tokenizer'),
    ({'source': 'none/here'}, r'source: none/here: .*does not exist'),
    ({'source': 'x', 'spec': {'tmplate': 'x'}}, r"tmplate: .*mean 'template'"),
    (
      {'source': 'x', 'spec': {'date': '1.2.26'}},
      r"spec: .*'1\.2\.26'",
    ),
  ],
)
def test_a_tokenizer_config_that_makes_no_sense_is_refused(tokenizer, message):
  with pytest.raises(
    schema.ConfigError, match=rf'config\.tokenizer.*{message}'
  ):
    stage(**tokenizer)


def test_a_template_that_cannot_be_used_is_refused_before_any_stage():
  source = str(tokenizer_families.base_folder('llama3'))
  with pytest.raises(tokenizers.ChatTemplateError, match='no control token'):
    stage(source=source, spec={'template': 'chatml'})
