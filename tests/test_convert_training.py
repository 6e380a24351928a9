"""A run may begin from a published model, or be published."""

import dataclasses
import json

import jax
import ml_collections
import numpy as np
import published_models
from published_models import run
import pytest
import tiny_run

from msm_jax import data
from msm_jax import evaluate
from msm_jax import models
from msm_jax import schema
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.conversion import stacks
from msm_jax.training import starting

CONFIG = dataclasses.replace(published_models.CONFIG, tied_embeddings=True)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """A converted model, and sources prepared with its tokenizer."""
  root = tmp_path_factory.mktemp('training')
  tiny_run.make_sources(root / 'raw_sources')
  theirs = published_models.write(root / 'theirs', CONFIG)
  run(f'hf:{theirs}', root / 'ours')
  tokenizer = tokenizers.load_tokenizer(root / 'ours' / 'tokenizer')
  for name in ('docs', 'replay'):
    data.prepare_source(
      [root / 'raw_sources' / 'raw' / f'{name}.jsonl'],
      tokenizer,
      root / 'prepared' / name,
      seq_len=tiny_run.SEQ_LEN,
    )
  return root


def config(root, **model):
  """One phase of training that begins from the converted model."""
  raw = tiny_run.get_config(str(root))
  raw.tokenizer = str(root / 'ours' / 'tokenizer')
  del raw.sources['chats']
  raw.phases = raw.phases[:1]
  fields = json.loads((root / 'ours' / 'run.json').read_text())
  raw.model = ml_collections.ConfigDict(fields['config']['model'])
  raw.model.pattern = tuple(raw.model.pattern)
  raw.model.update({'dtype': 'float32', 'param_dtype': 'float32', **model})
  with raw.unlocked():
    raw.init_from = {'workdir': str(root / 'ours'), 'phase': 'converted'}
  return raw


def refuse(raw, workdir, match):
  with pytest.raises(schema.ConfigError, match=match):
    training.train(training.load(raw), workdir)
  assert not (workdir / 'run.json').exists(), 'nothing may be claimed'


@pytest.mark.slow
def test_a_run_begins_from_a_published_model_and_is_published(root, tmp_path):
  run_config = training.load(config(root))
  start = starting.begin(
    run_config,
    models.Model(run_config.model),
    models.Layout(models.make_mesh(run_config.mesh)),
  )
  theirs = published_models.tensors(root / 'theirs')
  embedding = theirs['model.embed_tokens.weight'].astype(np.float32)
  np.testing.assert_array_equal(start.params['embedding_VD'], embedding)
  result = training.train(run_config, tmp_path / 'run')
  assert result.step == 24
  run(
    f'{tmp_path / "run"}@midtrain',
    f'hf:{tmp_path / "back"}',
    tokenizer=str(root / 'ours' / 'tokenizer'),
    verify=True,
  )
  back = published_models.tensors(tmp_path / 'back')
  assert back['model.embed_tokens.weight'].dtype == np.float32
  # It was trained: nothing is what it was, all is near it.
  change = np.abs(back['model.embed_tokens.weight'] - embedding)
  assert 0 < change.max() < 1
  trained = training.Checkpoints(
    tmp_path / 'run' / 'checkpoints', read_only=True
  ).params(
    24,
    models.Model(run_config.model),
    jax.sharding.SingleDeviceSharding(jax.devices()[0]),
  )
  np.testing.assert_array_equal(
    back['model.embed_tokens.weight'], trained['embedding_VD']
  )


def test_moments_cannot_be_carried_from_a_published_model(root, tmp_path):
  raw = config(root)
  raw.phases[0].optimizer_state = 'carry'
  refuse(raw, tmp_path / 'run', "no moments .* use 'fresh'")


def test_another_architecture_is_refused_with_what_differs(root, tmp_path):
  raw = config(root)
  raw.model.pattern[0]['rope']['theta'] = 5.0
  raw.model.norm_eps = 1e-3
  refuse(raw, tmp_path / 'run', r'norm_eps: there 1e-06, here 0\.001')
  refuse(raw, tmp_path / 'run', r'rope\.theta: there 10000\.0, here 5\.0')


def test_parameters_are_not_rounded_without_being_told(root, tmp_path):
  refuse(config(root, param_dtype='float16'), tmp_path / 'run', 'rounded')


def test_a_published_model_is_an_arm_of_an_evaluation(root):
  arm = evaluate.parse_arm(f'base:{root / "ours"}@converted')
  tokenizer = tokenizers.load_tokenizer(root / 'ours' / 'tokenizer')
  checkpoint = evaluate.find_checkpoint(arm, tokenizer)
  params = checkpoint.params()
  theirs = published_models.tensors(root / 'theirs')
  np.testing.assert_array_equal(
    params['embedding_VD'], theirs['model.embed_tokens.weight']
  )
  assert checkpoint.seq_len == CONFIG.context_length


def test_a_run_leaves_blocks_that_are_read_a_layer_at_a_time(root, tmp_path):
  """Of a leaf in one block, each layer would cost the memory of all."""
  model = models.Model(
    dataclasses.replace(CONFIG, d_model=256, d_ff=1024, n_layers=8)
  )
  params = jax.tree.map(
    lambda x: jax.numpy.zeros(x.shape, x.dtype), model.abstract_params()
  )
  tokenizer = tokenizers.load_tokenizer(root / 'ours' / 'tokenizer')
  published_models.save_run(tmp_path, model, params, tokenizer)
  reader = stacks.StackReader(str(tmp_path / 'checkpoints' / '5' / 'params'))
  path = ('layers', 'mlp', 'up', 'kernel')
  assert reader.leaf(path).shape == (8, 256, 1024)
  block = reader._array(path).chunk_layout.read_chunk.shape
  assert block[0] == 1
  assert 4 * np.prod(block) <= stacks.CHUNK_BYTES
