"""config.json and tensor names of published models, read and written."""

import dataclasses
import re

import hf_models
import jax
import numpy as np
import published_configs
import pytest
import transformers

from configs import quickstart
from msm_jax import models
from msm_jax import schema
from msm_jax.models import huggingface
from msm_jax.models import presets

FAMILIES = sorted(huggingface.FAMILIES)
YARN = {'rope_type': 'yarn', 'factor': 4.0, 'rope_theta': 1e6}
PLAIN = {'rope_type': 'default', 'rope_theta': 1e4}


def _effective(c):
  """Two configs of the same logits compare equal, whatever their pattern."""
  layers = [
    (kind.window, kind.rope and huggingface.effective_rope(kind.rope))
    for kind in map(c.layer, range(c.n_layers))
  ]
  return dataclasses.replace(c, pattern=(models.LayerConfig(),)), layers


def _model_type(family):
  return huggingface.FAMILIES[family].model_type


@pytest.mark.parametrize('name', sorted(published_configs.CONFIGS))
def test_published_configs_are_read_as_their_presets(name):
  family, config = huggingface.read_config(published_configs.CONFIGS[name])
  preset = presets.get(name)
  assert family == preset.family
  assert _effective(config) == _effective(preset.config)
  assert len(config.pattern) == len(preset.config.pattern)


@pytest.mark.parametrize('family', FAMILIES)
def test_keys_left_out_are_what_transformers_takes(family):
  model_type = _model_type(family)
  theirs = transformers.AutoConfig.for_model(model_type).to_dict()
  assert 'rope_parameters' in theirs
  assert 'rope_theta' not in theirs
  read = huggingface.read_config(theirs)
  assert read == huggingface.read_config({'model_type': model_type})
  assert read[0] == family


@pytest.mark.parametrize('name', sorted(presets.PRESETS))
def test_what_is_written_is_read_again_and_by_transformers(name):
  preset = presets.get(name)
  written = huggingface.write_config(
    preset.family,
    preset.config,
    bos_token_id=1,
    eos_token_id=(2, 3),
    pad_token_id=None,
    dtype='bfloat16',
  )
  expected = (preset.family, preset.config)
  assert huggingface.read_config(written) == expected
  theirs = transformers.AutoConfig.for_model(**written)
  assert theirs.architectures == written['architectures']
  assert (theirs.bos_token_id, theirs.eos_token_id) == (1, [2, 3])
  assert theirs.pad_token_id is None
  family, config = huggingface.read_config(theirs.to_dict())
  assert family == preset.family
  assert _effective(config) == _effective(preset.config)


@pytest.mark.parametrize('family', FAMILIES)
def test_readers_of_older_files_find_the_same_rope(family):
  c = hf_models.config(family, whole=True)
  written = hf_models.config_json(family, c)
  del written['rope_parameters']
  assert huggingface.read_config(written) == (family, c)


@pytest.mark.parametrize('family', FAMILIES)
def test_every_parameter_is_a_tensor_of_the_same_bits_there_and_back(family):
  c = hf_models.config(family, whole=True)
  params = hf_models.random_params(c)
  specs = huggingface.tensors(family, c)
  tensors = hf_models.exported(family, c, params)
  back = jax.tree.map(lambda x: np.full(x.shape, np.nan, x.dtype), params)
  for spec in specs:
    theirs = tensors[spec.name]
    assert theirs.shape == spec.shape
    leaf = back
    for key in spec.path[:-1]:
      leaf = leaf[key]
    slot = (slice(None),) if spec.layer is None else (spec.layer,)
    assert np.isnan(leaf[spec.path[-1]][slot]).all(), 'written twice'
    leaf[spec.path[-1]][slot] = spec.to_ours(theirs)
  jax.tree.map(np.testing.assert_array_equal, back, params)
  n_params = models.Model(c).n_params()
  assert sum(np.prod(spec.shape) for spec in specs) == n_params


@pytest.mark.parametrize('family', FAMILIES)
def test_tensors_have_the_names_and_shapes_of_transformers(family):
  torch = hf_models.import_torch()
  c = hf_models.config(family, whole=True)
  keys = transformers.AutoConfig.for_model(**hf_models.config_json(family, c))
  with torch.device('meta'):
    model = transformers.AutoModelForCausalLM.from_config(keys)
  theirs = {n: tuple(p.shape) for n, p in model.named_parameters()}
  ours = {s.name: s.shape for s in huggingface.tensors(family, c)}
  assert ours == theirs


def test_a_tensor_of_another_shape_is_refused():
  spec = huggingface.tensors('llama', hf_models.config('llama'))[1]
  expected = re.escape(f'{spec.name}: has shape (3, 4), expected (48, 32)')
  with pytest.raises(ValueError, match=expected):
    spec.to_ours(np.zeros((3, 4)))


@pytest.mark.parametrize('family', FAMILIES)
def test_a_model_is_exported_as_the_family_it_is(family):
  assert huggingface.export_family(hf_models.config(family)) == family


def test_the_quickstarts_model_is_a_granite():
  raw = quickstart.get_config('arm=base').model
  config = schema.structure(models.DecoderConfig, raw)
  assert huggingface.export_family(config) == 'granite'


def test_a_model_of_no_family_is_told_what_stands_in_the_way_of_each():
  config = dataclasses.replace(hf_models.config('olmo2'), scale_embeddings=True)
  with pytest.raises(schema.ConfigError) as e:
    huggingface.export_family(config)
  text = str(e.value)
  assert 'no family of transformers expresses this model' in text
  assert 'OLMo 2: model.scale_embeddings: True, there False' in text
  assert "Granite 3: model.norm: 'post', there 'pre'" in text


@pytest.mark.parametrize(
  'family, change, message',
  [
    ('llama', {'qkv_bias': True}, 'model.qkv_bias: True, there False'),
    ('gemma2', {'query_scale': 0.21}, 'model.query_scale: 0.21, there'),
    ('gemma3', {'attention_softcap': 2.0}, 'attention_softcap: 2.0, there'),
    (
      'qwen3',
      {'pattern': (models.LayerConfig(window=4),)},
      r"model.layer\(0\): {'window': 4",
    ),
    (
      'smollm3',
      {'pattern': (models.LayerConfig(), hf_models.config('olmo3').pattern[1])},
      r'model.layer\(1\)',
    ),
    (
      'olmo3',
      {'pattern': (models.LayerConfig(rope=None), models.LayerConfig(3))},
      r"model.layer\(0\): {'window': None, 'rope': None}",
    ),
  ],
)
def test_what_a_family_cannot_express_is_not_written(family, change, message):
  config = dataclasses.replace(hf_models.config(family), **change)
  with pytest.raises(schema.ConfigError, match=message):
    hf_models.config_json(family, config)
  with pytest.raises(schema.ConfigError, match=message):
    huggingface.tensors(family, config)


def test_a_width_that_transformers_refuses_is_not_written():
  config = dataclasses.replace(hf_models.config('llama'), d_model=30)
  with pytest.raises(schema.ConfigError, match='30, there a multiple of n_he'):
    hf_models.config_json('llama', config)
  family = huggingface.export_family(config)
  assert family == 'smollm3'
  transformers.AutoConfig.for_model(**hf_models.config_json(family, config))


def test_unknown_families_and_dtypes_are_refused():
  config = hf_models.config('llama')
  with pytest.raises(schema.ConfigError, match="did you mean 'llama'"):
    huggingface.tensors('lama', config)
  with pytest.raises(schema.ConfigError, match="dtype: 'bf16', expected one"):
    huggingface.write_config(
      *('llama', config),
      bos_token_id=None,
      eos_token_id=None,
      pad_token_id=None,
      dtype='bf16',
    )


@pytest.mark.parametrize(
  'family, change, message',
  [
    ('llama', {'model_type': 'lama'}, r"'lama' is not a family .* 'llama'"),
    ('llama', {'model_type': 'qwen3_moe'}, "did you mean 'qwen3'"),
    ('llama', {'model_type': None}, 'model_type: None is not a family'),
    (
      'llama',
      {'architectures': ['LlamaForSequenceClassification']},
      r"expected \['LlamaForCausalLM'\] for Llama 3.x",
    ),
    ('llama', {'attention_bias': True}, 'attention_bias: True is not supp'),
    ('llama', {'mlp_bias': True}, 'mlp_bias: True is not supported'),
    ('llama', {'attention_dropout': 0.1}, 'attention_dropout: 0.1 is not'),
    ('llama', {'hidden_act': 'relu'}, "hidden_act: 'relu', expected one of"),
    ('llama', {'num_experts': 8}, 'num_experts: 8 is not supported'),
    ('llama', {'quantization_config': {'bits': 4}}, 'quantization_config: '),
    ('llama', {'partial_rotary_factor': 0.5}, 'partial_rotary_factor: 0.5'),
    ('llama', {'hidden_size': '64'}, "hidden_size: '64', expected an integer"),
    ('llama', {'hidden_size': True}, 'hidden_size: True, expected an integer'),
    ('llama', {'rms_norm_eps': None}, 'rms_norm_eps: None, expected a number'),
    ('llama', {'tie_word_embeddings': 1}, 'tie_word_embeddings: 1, expected'),
    ('llama', {'num_key_value_heads': 3}, 'n_kv_heads: 3 does not divide'),
    ('llama', {'layer_types': ['sliding_attention'] * 32}, r'layer_types\[0\]'),
    (
      'llama',
      {'original_max_position_embeddings': 8192},
      'original_max_position_embeddings: 8192 is not supp.*; expected None',
    ),
    ('qwen2', {'use_sliding_window': True}, 'use_sliding_window: True is not'),
    ('llama', {'num_attention_heads': 0}, 'num_attention_heads: 0, expected >'),
    ('gemma3', {'query_pre_attn_scalar': -1}, 'query_pre_attn_scalar: -1.0, e'),
    ('gemma3', {'sliding_window_pattern': 0}, 'sliding_window_pattern: 0, exp'),
    ('smollm3', {'no_rope_layer_interval': 0}, 'layer_interval: 0, expected >'),
    ('gemma2', {'use_bidirectional_attention': True}, 'bidirectional'),
    ('gemma2', {'sliding_window': None}, 'sliding_window: None, expected an'),
    ('gemma3', {'attn_logit_softcapping': 50.0}, 'attn_logit_softcapping: 50'),
    ('gemma3', {'layer_types': ['full_attention']}, 'num_hidden_layers = 26'),
    ('smollm3', {'no_rope_layers': [2] * 36}, r'no_rope_layers\[0\]: 2, exp'),
    ('granite', {'embedding_multiplier': 12.0}, 'embedding_multiplier: 12.0'),
    ('granite', {'residual_multiplier': 0.22}, 'residual_multiplier: 0.22'),
    ('llama', {'rope_scaling': {'type': 'dynamic'}}, "'dynamic', expected one"),
    ('llama', {'rope_scaling': {'type': 'linear'}}, 'factor: is missing'),
    ('llama', {'rope_scaling': 4}, 'rope_scaling: 4, expected a mapping'),
    (
      'llama',
      {'rope_parameters': YARN | {'mscale': 1.0}},
      "mscale: 1.0; RoPE of type 'yarn' has no such key",
    ),
    (
      'llama',
      {'rope_parameters': YARN, 'rope_theta': 5e5},
      'rope_theta: 500000.0 contradicts rope_parameters',
    ),
    (
      'llama',
      {
        'rope_parameters': YARN,
        'rope_scaling': {'type': 'linear', 'factor': 4},
      },
      'rope_scaling: .* contradicts rope_parameters',
    ),
    ('olmo3', {'rope_parameters': YARN}, 'has one mapping each for full_att'),
    (
      'gemma3',
      {
        'rope_parameters': {'full_attention': YARN, 'sliding_attention': PLAIN},
        'rope_local_base_freq': 5e4,
      },
      'rope_local_base_freq: 50000.0 contradicts rope_parameters',
    ),
  ],
)
def test_what_is_not_exactly_ours_is_refused(family, change, message):
  given = {'model_type': _model_type(family)} | change
  with pytest.raises(ValueError, match=message):
    huggingface.read_config(given)


def test_a_nested_config_without_text_is_refused():
  with pytest.raises(schema.ConfigError, match='text_config: None, expected'):
    huggingface.read_config({'model_type': 'gemma3'})


def test_an_explicit_null_is_no_default():
  _, config = huggingface.read_config(
    {'model_type': 'gemma2', 'final_logit_softcapping': None}
  )
  assert config.final_softcap is None
  assert config.attention_softcap == 50.0


def test_a_null_is_as_good_as_no_key_where_a_value_is_required():
  keys = {'model_type': 'gemma2', 'attention_bias': None}
  keys |= {'use_bidirectional_attention': None, 'quantization_config': None}
  assert huggingface.read_config(keys) == huggingface.read_config(
    {'model_type': 'gemma2'}
  )


def test_only_scaling_of_full_layers_is_read_from_older_files():
  _, config = huggingface.read_config(
    {
      'model_type': 'gemma3_text',
      'rope_theta': 2e6,
      'rope_local_base_freq': 3e4,
      'rope_scaling': {'factor': 8.0, 'rope_type': 'linear'},
    }
  )
  near, full = config.layer(0), config.layer(5)
  assert near.rope == models.RopeConfig(3e4)
  assert full.rope == models.RopeConfig(2e6, 'linear', 8.0)
  assert (near.window, full.window) == (4096, None)


def _names(family, tied=True):
  c = dataclasses.replace(hf_models.config(family), tied_embeddings=tied)
  return huggingface.tensors(family, c)


@pytest.mark.parametrize(
  'inner, head',
  [
    ('model.', 'lm_head.weight'),
    ('language_model.model.', 'language_model.lm_head.weight'),
    ('model.language_model.', 'lm_head.weight'),
  ],
)
def test_a_text_model_is_found_in_every_layout_of_a_checkpoint(inner, head):
  specs = _names('gemma3')
  stored = {s.name: inner + s.name.removeprefix('model.') for s in specs}
  vision = [
    'vision_tower.vision_model.embeddings.patch_embedding.weight',
    'model.multi_modal_projector.mm_soft_emb_norm.weight',
  ]
  buffers = ['model.layers.0.self_attn.rotary_emb.inv_freq']
  located = huggingface.locate(
    specs, [*stored.values(), head, *vision, *buffers]
  )
  assert located.names == stored
  assert located.tied_head == head
  assert set(located.ignored) == {*vision, *buffers}


def test_a_checkpoint_that_is_not_this_model_is_refused():
  specs = _names('qwen2', tied=False)
  names = [s.name for s in specs]
  assert huggingface.locate(specs, names).tied_head is None
  cases = [
    (names[:2] + names[3:], f'{names[2]}: missing in the checkpoint'),
    (
      [*names, 'model.layers.0.mlp.gate.weight'],
      'model.layers.0.mlp.gate.weight: the model has no place for this '
      "(did you mean 'model.layers.0.mlp.gate_proj.weight'?)",
    ),
    (
      [*names, 'language_model.model.norm.weight'],
      'model.norm.weight: is language_model.model.norm.weight once more',
    ),
  ]
  for stored, message in cases:
    with pytest.raises(schema.ConfigError, match=re.escape(message)):
      huggingface.locate(specs, stored)
