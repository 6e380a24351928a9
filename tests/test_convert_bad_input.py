"""What cannot be converted: said before anything is written."""

import json
import struct

import ml_dtypes
import numpy as np
import published_models
from published_models import CONFIG
from published_models import run
import pytest
from safetensors import numpy as files

from msm_jax import models
from msm_jax import schema
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.conversion import errors


@pytest.fixture
def theirs(tmp_path):
  return published_models.write(
    tmp_path / 'theirs', CONFIG, max_file_bytes=30_000
  )


def refuse(theirs, error=errors.ConversionError, **flags):
  """Tries to import; returns what was said. Nothing must have been written."""
  target = theirs.parent / 'ours'
  with pytest.raises(error) as caught:
    run(f'hf:{theirs}', target, **flags)
  assert not target.exists()
  return str(caught.value)


def edit(theirs, change):
  """Rewrites every file's tensors as `change` leaves them."""
  index = json.loads((theirs / 'model.safetensors.index.json').read_text())
  weight_map = {}
  for file in sorted(theirs.glob('*.safetensors')):
    tensors = files.load_file(file)
    change(tensors)
    files.save_file(tensors, file, metadata={'format': 'pt'})
    weight_map |= dict.fromkeys(tensors, file.name)
  index['weight_map'] = weight_map
  (theirs / 'model.safetensors.index.json').write_text(json.dumps(index))


def configure(theirs, **keys):
  config = json.loads((theirs / 'config.json').read_text())
  (theirs / 'config.json').write_text(json.dumps(config | keys))


def test_missing_and_unknown_tensors_are_all_listed(theirs):
  gone = {
    'model.norm.weight',
    'model.layers.0.mlp.up_proj.weight',
    'model.layers.1.input_layernorm.weight',
    'lm_head.weight',
  }
  extra = ['model.layers.1.self_attn.q_proj.bias', 'model.layers.2.x.weight']

  def change(tensors):
    for name in gone & set(tensors):
      del tensors[name]
    if 'model.embed_tokens.weight' in tensors:
      tensors |= {name: np.zeros(3, ml_dtypes.bfloat16) for name in extra}

  edit(theirs, change)
  said = refuse(theirs, schema.ConfigError)
  for name in gone:
    assert f'{name}: missing' in said
  for name in extra:
    assert f'{name}: the model has no place for this' in said
  assert '6 tensors' in said


def test_mis_shaped_tensors_are_all_listed(theirs):
  def change(tensors):
    for name, value in tensors.items():
      if name.endswith(('k_proj.weight', 'lm_head.weight')):
        tensors[name] = np.ascontiguousarray(value.T)

  edit(theirs, change)
  said = refuse(theirs)
  assert '3 tensors do not have the shapes' in said
  for layer in range(2):
    assert (
      f'model.layers.{layer}.self_attn.k_proj.weight: has shape [16, 8], '
      'expected [8, 16]'
    ) in said
  assert 'lm_head.weight: has shape [16, 832], expected [832, 16]' in said


def test_a_file_that_was_cut_short_is_named_with_its_lost_tensors(theirs):
  file = theirs / 'model-00003-of-00003.safetensors'
  data = file.read_bytes()
  file.write_bytes(data[:-1000])
  said = refuse(theirs)
  assert f'{file}: has {len(data) - 1000} bytes' in said
  assert f'its header says {len(data)}' in said
  assert 'lm_head.weight' in said
  assert 'model.layers.0' not in said


@pytest.mark.parametrize('length', [0, 5, 8, 40])
def test_a_file_without_a_whole_header_is_refused(theirs, length):
  file = theirs / 'model-00002-of-00003.safetensors'
  file.write_bytes(file.read_bytes()[:length])
  assert str(file) in refuse(theirs)


def test_a_file_that_is_too_long_is_refused(theirs):
  file = theirs / 'model-00002-of-00003.safetensors'
  file.write_bytes(file.read_bytes() + b'more')
  assert str(file) in refuse(theirs)


@pytest.mark.parametrize(
  ('change', 'expected'),
  [
    (lambda t: t | {'dtype': 'F32'}, 'damaged'),
    (lambda t: t | {'shape': [1, 2, 3]}, 'damaged'),
    (lambda t: t | {'data_offsets': [8, t['data_offsets'][1]]}, 'damaged'),
    (lambda t: t | {'dtype': 'F33_X!'}, 'none of the format'),
    (lambda t: {'dtype': 'BF16'}, 'not that of a safetensors file'),
    (lambda t: 3, 'not that of a safetensors file'),
  ],
)
def test_a_header_that_lies_is_refused(theirs, change, expected):
  file = theirs / 'model-00002-of-00003.safetensors'
  data = file.read_bytes()
  size = struct.unpack('<Q', data[:8])[0]
  header = json.loads(data[8 : 8 + size])
  name = min(header, key=lambda k: header[k].get('data_offsets', [9**9])[0])
  header[name] = change(header[name])
  raw = json.dumps(header).encode()
  file.write_bytes(struct.pack('<Q', len(raw)) + raw + data[8 + size :])
  assert expected in refuse(theirs)


def test_files_that_the_index_names_must_be_there(theirs):
  (theirs / 'model-00002-of-00003.safetensors').unlink()
  assert 'model-00002-of-00003.safetensors' in refuse(theirs)


def test_index_and_files_must_agree(theirs):
  path = theirs / 'model.safetensors.index.json'
  index = json.loads(path.read_text())
  there = index['weight_map']['model.norm.weight']
  assert there != 'model-00001-of-00003.safetensors'
  index['weight_map']['model.norm.weight'] = 'model-00001-of-00003.safetensors'
  index['weight_map']['model.nothing'] = 'model-00001-of-00003.safetensors'
  path.write_text(json.dumps(index))
  said = refuse(theirs)
  assert f'model.norm.weight: is in {there}, but' in said
  assert 'model.nothing: is in model-00001-of-00003.safetensors' in said


def test_other_formats_are_not_read(theirs):
  for file in theirs.glob('*.safetensors*'):
    file.unlink()
  (theirs / 'pytorch_model.bin').write_bytes(b'')
  said = refuse(theirs, FileNotFoundError)
  assert 'pytorch_model.bin' in said


def test_fp8_tensors_are_all_listed(theirs):
  def change(tensors):
    for name, value in list(tensors.items()):
      if name.endswith('mlp.down_proj.weight'):
        tensors[name] = value.astype(ml_dtypes.float8_e4m3fn)
        tensors[f'{name}_scale_inv'] = np.ones((1, 1), np.float32)

  edit(theirs, change)
  said = refuse(theirs)
  assert 'dequantise' in said
  for layer in range(2):
    assert f'model.layers.{layer}.mlp.down_proj.weight: F8_E4M3' in said


def test_a_quantisation_config_is_refused(theirs):
  configure(theirs, quantization_config={'quant_method': 'fp8'})
  assert 'quantised (fp8)' in refuse(theirs)


def test_several_dtypes_need_a_choice(theirs):
  def change(tensors):
    for name in tensors:
      if name.endswith('norm.weight'):
        tensors[name] = tensors[name].astype(np.float32)

  edit(theirs, change)
  said = refuse(theirs)
  assert '--param_dtype' in said
  assert 'BF16: 16 tensors' in said
  assert 'F32: 5 tensors' in said
  run(f'hf:{theirs}', theirs.parent / 'ours', param_dtype='float32')


def test_a_dtype_that_is_none_suggests_the_nearest(theirs):
  said = refuse(theirs, schema.ConfigError, param_dtype='bfloat15')
  assert "did you mean 'bfloat16'" in said


def test_a_family_that_is_not_known_is_refused(theirs):
  configure(theirs, model_type='mamba', architectures=['MambaForCausalLM'])
  said = refuse(theirs, schema.ConfigError)
  assert "'mamba' is not a family" in said
  assert str(theirs) in said


def test_another_family_than_that_of_the_tensors_is_refused(theirs):
  configure(theirs, model_type='qwen3', architectures=['Qwen3ForCausalLM'])
  said = refuse(theirs, schema.ConfigError)
  assert 'model.layers.0.self_attn.q_norm.weight: missing' in said


def test_a_tokenizer_with_ids_beyond_the_embedding_is_refused(tmp_path):
  theirs = published_models.write(
    tmp_path / 'theirs',
    models.DecoderConfig(**vars(CONFIG) | {'vocab_size': 99}),
  )
  said = refuse(theirs)
  assert 'the embedding has 99 rows' in said


def set_template(theirs, text):
  (theirs / 'chat_template.jinja').write_text(text)


def test_a_template_that_raises_is_named_and_may_be_replaced(theirs):
  set_template(theirs, '\n{{ raise_exception("Not today.") }}')
  said = refuse(theirs)
  assert f'{theirs / "chat_template.jinja"}, line 2: Not today.' in said
  assert f'import_tokenizer --source={theirs} --out=DIR' in said
  chosen = theirs.parent / 'chosen'
  spec = tokenizers.TokenizerSpec(template='llama3')
  tokenizers.import_tokenizer(theirs, chosen, spec)
  run(f'hf:{theirs}', theirs.parent / 'ours', tokenizer=str(chosen))


def test_a_template_that_asks_for_today_needs_a_date(theirs):
  set_template(theirs, '{{ strftime_now("%d %b %Y") }}')
  assert '--date=' in refuse(theirs)


def test_a_folder_without_a_tokenizer_is_refused(theirs):
  (theirs / 'tokenizer.json').unlink()
  said = refuse(theirs, OSError)
  assert 'tokenizer.json' in said


@pytest.mark.parametrize('content', [None, b'{"model_type":', b'[1]'])
def test_a_folder_without_a_config_is_refused(theirs, content):
  if content is None:
    (theirs / 'config.json').unlink()
  else:
    (theirs / 'config.json').write_bytes(content)
  said = refuse(theirs, (OSError, ValueError))
  assert 'config.json' in said


def test_a_stored_head_that_is_tied_must_be_the_embedding(theirs):
  configure(theirs, tie_word_embeddings=True)
  said = refuse(theirs)
  assert 'lm_head.weight: differs from model.embed_tokens.weight' in said
  tensors = published_models.tensors(theirs)

  def change(of_file):
    if 'lm_head.weight' in of_file:
      of_file['lm_head.weight'] = tensors['model.embed_tokens.weight']

  edit(theirs, change)
  run(f'hf:{theirs}', theirs.parent / 'ours')


@pytest.mark.parametrize(('source', 'target'), [('hf:a', 'hf:b'), ('a', 'b')])
def test_one_side_must_be_a_folder_of_transformers(source, target):
  with pytest.raises(schema.ConfigError, match='hf:DIR'):
    run(source, target)


@pytest.mark.parametrize('size', ['5TB', 'GB', '-1GB', '0', ''])
def test_a_shard_size_that_is_none_is_refused(theirs, size):
  run(f'hf:{theirs}', theirs.parent / 'ours')
  with pytest.raises(schema.ConfigError, match='max_shard_size'):
    run(
      theirs.parent / 'ours', f'hf:{theirs.parent / "b"}', max_shard_size=size
    )
  assert not (theirs.parent / 'b').exists()


class TestExport:
  """Of a checkpoint that is there."""

  @pytest.fixture(autouse=True)
  def _ours(self, theirs):
    self.ours, self.back = theirs.parent / 'ours', theirs.parent / 'back'
    run(f'hf:{theirs}', self.ours)

  def refuse(self, error, source=None, **flags):
    with pytest.raises(error) as caught:
      run(source or self.ours, f'hf:{self.back}', **flags)
    assert not self.back.exists()
    return str(caught.value)

  def test_a_phase_that_has_not_ended_is_refused(self):
    said = self.refuse(training.CheckpointError, f'{self.ours}@sft')
    assert "'sft'" in said
    assert 'converted' in said

  def test_a_workdir_without_checkpoints_is_refused(self, tmp_path):
    self.refuse(training.CheckpointError, tmp_path / 'nothing')

  def test_a_tokenizer_that_was_damaged_is_refused(self):
    (self.ours / 'tokenizer' / 'tokenizer_config.json').write_bytes(b'{')
    said = self.refuse(storage.CorruptError)
    assert 'tokenizer_config.json' in said

  def test_another_tokenizer_is_refused(self, tmp_path):
    other = published_models.write(
      tmp_path / 'other', CONFIG, tokenizer='olmo2'
    )
    said = self.refuse(errors.ConversionError, tokenizer=str(other))
    assert 'fingerprint' in said

  def test_a_checkpoint_without_a_tokenizer_needs_one(self):
    there = tokenizers.load_tokenizer(self.ours / 'tokenizer')
    (self.ours / 'tokenizer').rename(self.ours.parent / 'tokenizer')
    said = self.refuse(errors.ConversionError)
    assert '--tokenizer' in said
    run(
      self.ours,
      f'hf:{self.back}',
      tokenizer=str(self.ours.parent / 'tokenizer'),
    )
    assert (self.back / 'tokenizer.json').read_bytes() == (
      there.files['tokenizer.json']
    )

  def test_a_family_that_computes_something_else_is_refused(self):
    said = self.refuse(schema.ConfigError, family='gemma2')
    assert 'Gemma 2 cannot express this model' in said

  def test_what_others_put_there_is_not_replaced(self):
    self.back.mkdir()
    (self.back / 'thesis.tex').write_text('x')
    with pytest.raises(FileExistsError):
      run(self.ours, f'hf:{self.back}')
    assert [f.name for f in self.back.iterdir()] == ['thesis.tex']

  def test_an_older_export_is_replaced(self):
    run(self.ours, f'hf:{self.back}', max_shard_size='10KB')
    run(self.ours, f'hf:{self.back}', max_shard_size='5GB')
    storage.verify(self.back, kind='huggingface')
    assert [f.name for f in self.back.glob('*.safetensors*')] == [
      'model.safetensors'
    ]
