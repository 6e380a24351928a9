"""Published models in and out: the same to the bit, and to `transformers`."""

import contextlib
import json
import pathlib

import hf_models
import jax
import numpy as np
import published_models
from published_models import run
import pytest
import tokenizer_families

from msm_jax import models
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.conversion import checkpoint
from msm_jax.conversion import errors
from msm_jax.conversion import stacks
from msm_jax.conversion import verifying
from msm_jax.models import huggingface

torch = hf_models.import_torch()
transformers = pytest.importorskip('transformers')

# What is quick; the others differ from these in their configs only.
_QUICK = ('llama', 'qwen3', 'gemma3')
_CHAT = [
  {'role': 'user', 'content': 'Which of the two?'},
  {'role': 'assistant', 'content': 'The cheaper one.'},
]


@pytest.fixture(
  scope='module',
  params=[
    pytest.param(f, marks=() if f in _QUICK else pytest.mark.slow)
    for f in huggingface.FAMILIES
  ],
)
def trip(request, tmp_path_factory):
  """A published model, the checkpoint made of it, and that exported again."""
  root = tmp_path_factory.mktemp(request.param)
  published_models.save(request.param, root / 'theirs')
  if request.param == 'smollm3':  # Its template asks for today.
    tokenizers.import_tokenizer(
      root / 'theirs', root / 'dated', published_models.DATED
    )
  run(f'hf:{root / "theirs"}', root / 'ours', tokenizer=dated(root))
  run(root / 'ours', f'hf:{root / "back"}', max_shard_size='40KB')
  return root


def dated(root):
  """The tokenizer to give for a model whose template asks for today."""
  return str(root / 'dated') if (root / 'dated').exists() else None


@pytest.fixture(scope='module')
def llama(tmp_path_factory):
  """A published Llama and the checkpoint made of it."""
  root = tmp_path_factory.mktemp('llama')
  published_models.save('llama', root / 'theirs')
  run(f'hf:{root / "theirs"}', root / 'ours')
  return root


def params_of(workdir, **changes):
  """The parameters of a converted model, on the first device."""
  found = checkpoint.find(str(workdir), 'converted')
  config = models.DecoderConfig(**{**vars(found.config), **changes})
  with contextlib.closing(
    training.Checkpoints(workdir / 'checkpoints', read_only=True)
  ) as checkpoints:
    return checkpoints.params(
      0,
      models.Model(config),
      jax.sharding.SingleDeviceSharding(jax.devices()[0]),
    )


def test_what_is_exported_is_what_was_imported_to_the_bit(trip):
  theirs = published_models.tensors(trip / 'theirs')
  back = published_models.tensors(trip / 'back')
  assert len(list((trip / 'theirs').glob('*.safetensors'))) > 2
  assert len(list((trip / 'back').glob('*.safetensors'))) > 2
  assert set(back) == set(theirs)
  for name, value in theirs.items():
    assert (back[name].dtype, back[name].shape) == (value.dtype, value.shape)
    assert back[name].tobytes() == value.tobytes(), name


def test_an_exported_folder_loads_in_transformers_and_says_the_same(
  trip, monkeypatch
):
  tokenizer_families.fix_today(monkeypatch)
  loaded = [
    transformers.AutoModelForCausalLM.from_pretrained(
      trip / folder, attn_implementation='eager'
    ).eval()
    for folder in ('theirs', 'back')
  ]
  assert [m.dtype for m in loaded] == [torch.bfloat16] * 2
  assert type(loaded[0]) is type(loaded[1])
  tokens = torch.arange(2, 40)[None]
  with torch.no_grad():
    a, b = (m(tokens).logits for m in loaded)
  assert torch.equal(a, b)
  chats = [
    transformers.AutoTokenizer.from_pretrained(
      trip / folder
    ).apply_chat_template(_CHAT, return_dict=False)
    for folder in ('theirs', 'back')
  ]
  assert chats[0] == chats[1]
  ours = tokenizers.load_tokenizer(trip / 'ours' / 'tokenizer')
  assert chats[0] == ours.render_chat(_CHAT).tokens
  answers = [
    m.generate(tokens[:, :6], max_new_tokens=3, do_sample=False) for m in loaded
  ]
  assert torch.equal(*answers)


def test_tokenizer_and_generation_config_are_copied_byte_for_byte(trip):
  names = {
    file.name
    for file in (trip / 'theirs').iterdir()
    if 'safetensors' not in file.name and file.name != 'config.json'
  }
  assert {'tokenizer.json', 'generation_config.json'} <= names
  for name in names:
    copied = (trip / 'back' / name).read_bytes()
    assert copied == (trip / 'theirs' / name).read_bytes(), name


def test_an_exported_folder_is_imported_to_the_same_checkpoint(trip, tmp_path):
  run(f'hf:{trip / "back"}', tmp_path / 'again', tokenizer=dated(trip))
  jax.tree.map(
    np.testing.assert_array_equal,
    params_of(trip / 'ours'),
    params_of(tmp_path / 'again'),
  )


def test_our_logits_are_those_of_transformers(trip):
  report = verifying.verify(
    checkpoint.find(str(trip / 'ours'), None),
    str(trip / 'theirs'),
    written='checkpoint',
  )
  assert report.n_tensors == len(published_models.tensors(trip / 'theirs'))
  assert report.ours.logits == 0
  assert report.theirs.relative < 1e-5
  assert 'ours against transformers: logits differ by' in report.describe()


def test_verify_says_if_transformers_was_not_compared(llama, monkeypatch):
  monkeypatch.setitem(__import__('sys').modules, 'torch', None)
  report = run(f'hf:{llama / "theirs"}', llama / 'ours', verify=True)
  assert 'ours against transformers: not compared' in report


def test_verify_names_the_tensors_that_differ(llama, tmp_path):
  published_models.save('llama', tmp_path / 'other', seed=1)
  found = checkpoint.find(str(llama / 'ours'), None)
  with pytest.raises(errors.ConversionError, match='30 of 30 tensors differ'):
    verifying.verify(found, str(tmp_path / 'other'), written='checkpoint')


def test_verify_finds_a_model_that_computes_something_else(llama, tmp_path):
  other = tmp_path / 'other'
  published_models.save('llama', other)
  config = json.loads((other / 'config.json').read_text())
  config['rope_parameters']['rope_theta'] = 100.0
  (other / 'config.json').write_text(json.dumps(config))
  found = checkpoint.find(str(llama / 'ours'), None)
  with pytest.raises(errors.ConversionError, match='not the same model'):
    verifying.verify(found, str(other), written='checkpoint')


def test_parameters_stay_bfloat16_unless_asked(llama, tmp_path):
  theirs = published_models.tensors(llama / 'theirs')
  ours = params_of(llama / 'ours')
  assert {str(x.dtype) for x in jax.tree.leaves(ours)} == {'bfloat16'}
  wide = tmp_path / 'wide'
  report = run(
    f'hf:{llama / "theirs"}', wide, param_dtype='float32', verify=True
  )
  assert 'equal to the bit' in report
  in_float32 = params_of(wide)
  np.testing.assert_array_equal(
    in_float32['embedding_VD'],
    theirs['model.embed_tokens.weight'].astype(np.float32),
  )
  # And back: nothing was lost.
  run(wide, f'hf:{tmp_path / "narrow"}', param_dtype='bfloat16')
  narrow = published_models.tensors(tmp_path / 'narrow')
  for name, value in theirs.items():
    assert narrow[name].tobytes() == value.tobytes(), name


def test_rounding_happens_only_where_it_is_asked_for(tmp_path):
  theirs = published_models.save('llama', tmp_path / 'f32', dtype='float32')
  report = run(
    f'hf:{theirs}', tmp_path / 'ours', param_dtype='bfloat16', verify=True
  )
  assert 'equal to the bit' in report
  embedding = params_of(tmp_path / 'ours')['embedding_VD']
  expected = torch.tensor(
    published_models.tensors(theirs)['model.embed_tokens.weight']
  ).to(torch.bfloat16)
  assert np.asarray(embedding).tobytes() == (
    expected.view(torch.int16).numpy().tobytes()
  )
  run(f'hf:{theirs}', tmp_path / 'exact')
  with pytest.raises(training.CheckpointError, match='would be rounded'):
    params_of(tmp_path / 'exact', param_dtype='bfloat16')


def test_values_beyond_the_range_of_a_dtype_are_refused(tmp_path):
  theirs = published_models.save('llama', tmp_path / 'theirs')
  from safetensors import torch as files

  for file in theirs.glob('*.safetensors'):
    tensors = files.load_file(file)
    for name, value in tensors.items():
      if 'layers.1.mlp.up' in name:
        value[3, 5] = 1e30
    files.save_file(tensors, file, metadata={'format': 'pt'})
  with pytest.raises(errors.ConversionError, match=r'mlp\.up\.kernel.*range'):
    run(f'hf:{theirs}', tmp_path / 'ours', param_dtype='float16')
  with pytest.raises(training.CheckpointError, match='no phase has ended'):
    checkpoint.find(str(tmp_path / 'ours'), None)


def test_the_same_conversion_again_does_nothing(llama):
  files = sorted((llama / 'ours').rglob('*'))
  before = {f: f.stat().st_mtime_ns for f in files if f.is_file()}
  run(f'hf:{llama / "theirs"}', llama / 'ours')
  assert {f: f.stat().st_mtime_ns for f in before} == before
  assert sorted((llama / 'ours').rglob('*')) == files


def test_another_conversion_does_not_replace_it(llama):
  with pytest.raises(training.MismatchError, match='param_dtype'):
    run(f'hf:{llama / "theirs"}', llama / 'ours', param_dtype='float32')
  params_of(llama / 'ours')


def test_other_weights_of_the_same_shape_do_not_replace_it(llama, tmp_path):
  other = published_models.save('llama', tmp_path / 'other', seed=1)
  with pytest.raises(training.MismatchError, match='weights_sha256'):
    run(f'hf:{other}', llama / 'ours')


def test_another_model_is_not_restored_and_all_that_differs_is_named(llama):
  with pytest.raises(training.CheckpointError) as caught:
    params_of(llama / 'ours', d_ff=64, qkv_bias=True, tied_embeddings=True)
  said = str(caught.value)
  for name in ('gate', 'up', 'down'):
    assert f'layers.mlp.{name}.kernel: has shape' in said
  for name in ('q', 'k', 'v'):
    assert f'layers.attention.{name}.bias: not in the checkpoint' in said
  assert 'untied_head_DV: not in the model' in said


def test_a_checkpoint_that_lacks_a_layer_is_not_written(tmp_path):
  leaf = jax.ShapeDtypeStruct((3, 4), np.float32)
  slices = [
    stacks.Slice(('layers', 'x'), n, np.ones(4, np.float32)) for n in (0, 2)
  ]
  save = stacks.StackSave({('layers', 'x'): leaf}, slices, ('layers',))
  with pytest.raises(ValueError, match=r'layers \{1\} were not given'):
    stacks.save(str(tmp_path / 'checkpoints'), 0, save, {})
  reader = training.Checkpoints(tmp_path / 'checkpoints', read_only=True)
  assert reader.steps() == []


def test_a_head_that_is_tied_is_written_once(tmp_path):
  theirs = published_models.save('qwen3', tmp_path / 'theirs')
  run(f'hf:{theirs}', tmp_path / 'ours')
  run(tmp_path / 'ours', f'hf:{tmp_path / "back"}', max_shard_size='5GB')
  assert [f.name for f in (tmp_path / 'back').glob('*.safetensors')] == [
    'model.safetensors'
  ]
  assert 'lm_head.weight' not in published_models.tensors(tmp_path / 'back')


@pytest.mark.parametrize(
  ('family', 'choices'),
  [
    # Its own template is in tokenizer_config.json, which stays as it is.
    (
      'llama',
      {'template': 'llama3.1', 'variables': {'date_string': '1 May "26"'}},
    ),
    ('qwen3', {'variables': {'enable_thinking': False}}),
  ],
)
def test_choices_for_a_tokenizer_are_exported_with_it(
  family, choices, tmp_path
):
  theirs = published_models.save(family, tmp_path / 'theirs')
  spec = tokenizers.TokenizerSpec(**choices)
  chosen = tokenizers.import_tokenizer(theirs, tmp_path / 'tokenizer', spec)
  run(f'hf:{theirs}', tmp_path / 'ours', tokenizer=str(tmp_path / 'tokenizer'))
  there = tokenizers.load_tokenizer(tmp_path / 'ours' / 'tokenizer')
  assert there.fingerprint == chosen.fingerprint
  run(tmp_path / 'ours', f'hf:{tmp_path / "back"}')
  before, after = (
    transformers.AutoTokenizer.from_pretrained(folder).apply_chat_template(
      _CHAT[:1], add_generation_prompt=True, return_dict=False
    )
    for folder in (theirs, tmp_path / 'back')
  )
  ours = chosen.render_chat(_CHAT[:1], add_generation_prompt=True).tokens
  assert after == ours != before


def test_generate_ends_where_answers_of_the_chosen_template_do(tmp_path):
  """A base model's own generation config knows the end of documents only."""
  base = published_models.save('qwen3', tmp_path / 'base')
  tokenizer = tokenizers.load_tokenizer(base)
  ids = dict.fromkeys(('bos_token_id', 'eos_token_id'), tokenizer.pad_id)
  own = {**ids, 'temperature': 0.6}
  (base / 'generation_config.json').write_text(json.dumps(own))
  run(f'hf:{base}', tmp_path / 'ours')
  run(tmp_path / 'ours', f'hf:{tmp_path / "back"}')
  generation = transformers.GenerationConfig.from_pretrained(tmp_path / 'back')
  assert generation.eos_token_id == [
    tokenizer.pad_id,
    tokenizer.end_of_turn_id,
  ]
  assert generation.temperature == 0.6


def test_the_command_converts(llama, tmp_path):
  import subprocess
  import sys

  done = subprocess.run(
    [
      *(sys.executable, '-m', 'msm_jax.convert'),
      *(f'--from={llama / "ours"}@converted', f'--to=hf:{tmp_path / "back"}'),
    ],
    cwd=pathlib.Path(__file__).parent.parent,
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  assert 'converted from' in done.stdout
  assert 'never awaited' not in done.stderr
  manifest = storage.verify(tmp_path / 'back', kind='huggingface')
  assert manifest.info['family'] == 'llama'
