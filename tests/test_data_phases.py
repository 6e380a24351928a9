"""`mixture_for_phase`, and `python -m msm_jax.data.show` on the same config."""

import dataclasses
import pathlib
import random
import subprocess
import sys

from byte_tokenizer import ByteTokenizer
from ml_collections import ConfigDict
import numpy as np
from prepared_sources import write_chats
from prepared_sources import write_jsonl
import pytest

from msm_jax import data
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.data import rendering
from msm_jax.phase import Phase


@pytest.fixture(scope='module')
def prepared(tmp_path_factory) -> pathlib.Path:
  """A directory with a tokenizer and two sources."""
  directory = tmp_path_factory.mktemp('prepared')
  rng = random.Random(0)
  texts = [
    ' '.join(rng.choices(['thrift', 'is', 'a', 'virtue', 'home'], k=20))
    for _ in range(80)
  ]
  docs = write_jsonl(
    directory / 'docs.jsonl',
    [{'id': f'd{i}', 'text': t} for i, t in enumerate(texts)],
  )
  chats = write_chats(directory / 'chats.jsonl', 60)
  tokenizer = tokenizers.publish_tokenizer(
    directory / 'tokenizer',
    tokenizers.train_sentencepiece(texts, vocab_size=290),
  )
  for name, path in (('docs', docs), ('chats', chats)):
    data.prepare_source([path], tokenizer, directory / name, seq_len=64)
  return directory


def raw_config(prepared, **phase) -> dict:
  midtrain = {
    'name': 'midtrain',
    'mixture': {'docs': 0.75, 'chats': 0.25},
    'seq_len': 64,
    'batch_size': 8,
    'updates': 30,
    'tokens': None,
    'max_epochs': None,
    **phase,
  }
  return {
    'seed': 3,
    'tokenizer': str(prepared / 'tokenizer'),
    'sources': {
      'docs': {'path': str(prepared / 'docs')},
      'chats': {'path': str(prepared / 'chats')},
    },
    'phases': [
      midtrain,
      {**midtrain, 'name': 'sft', 'mixture': {'chats': 1.0}},
    ],
  }


def make_config(prepared, **phase) -> data.DataConfig:
  return data.load_config(raw_config(prepared, **phase))


def test_a_phase_gives_the_mixture_that_it_describes(prepared):
  m = data.mixture_for_phase(make_config(prepared), 0)
  assert m.names == ('chats', 'docs')
  assert m.weights == {'docs': 0.75, 'chats': 0.25}
  assert (m.batch_size, m.seq_len, m.n_batches) == (8, 64, 30)
  assert m.weight_by == 'tokens'
  by_loss = make_config(prepared, weight_by='loss_tokens')
  assert data.mixture_for_phase(by_loss, 0).weight_by == 'loss_tokens'


def test_the_trainers_config_gives_the_same_batches(prepared):
  raw = raw_config(prepared, max_epochs={'docs': 100, 'chats': 100})
  # A tuple's mappings stay plain dicts unless they are wrapped.
  raw['phases'] = tuple(
    ConfigDict({**phase, 'schedule': {'peak': 1e-3}}) for phase in raw['phases']
  )
  raw['model'] = dict.fromkeys(
    ('vocab_size', 'd_model', 'n_layers', 'n_heads', 'n_kv_heads', 'd_ff'), 1
  ) | {'head_dim': 2}
  raw = ConfigDict(raw)
  a = data.mixture_for_phase(data.load_config(raw), 0)
  b = data.mixture_for_phase(training.load(raw), 0)
  assert a.fingerprint == b.fingerprint
  for key, field in a.batch(7).items():
    np.testing.assert_array_equal(b.batch(7)[key], field)


def test_phases_and_seeds_have_data_orders_of_their_own(prepared):
  config = make_config(prepared, mixture={'chats': 1.0})
  other_seed = dataclasses.replace(config, seed=4)
  offset = make_config(prepared, mixture={'chats': 1.0}, seed_offset=1)
  rows = [
    tuple(data.mixture_for_phase(c, i).rows(0))
    for c, i in ((config, 0), (config, 1), (other_seed, 0), (offset, 0))
  ]
  assert len(set(rows)) == 4


def test_a_budget_in_tokens_is_rounded_up_to_updates():
  def phase(**budget):
    return Phase(name='p', mixture={}, seq_len=64, batch_size=8, **budget)

  for tokens, updates in ((512, 1), (513, 2), (5120, 10)):
    assert phase(tokens=tokens).n_updates == updates
    assert phase(tokens=tokens).n_tokens == updates * 512
  assert phase(updates=7).n_updates == 7
  assert phase(updates=7).n_tokens == 7 * 512


@pytest.mark.parametrize(
  ('budget', 'needle'),
  [
    ({'updates': None, 'tokens': None}, 'exactly one'),
    ({'updates': 3, 'tokens': 1000}, 'exactly one'),
    ({'updates': 0}, r'updates: 0, expected at least 1'),
    ({'updates': None, 'tokens': 1.5}, r'tokens: 1\.5 is a float'),
    ({'batch_size': 0}, 'batch_size: 0, expected at least 1'),
  ],
)
def test_a_budget_that_makes_no_sense_is_refused(prepared, budget, needle):
  with pytest.raises(ValueError, match=rf'phases\[0\].*{needle}'):
    make_config(prepared, **budget)


def test_an_unknown_source_is_named_with_the_nearest(prepared):
  with pytest.raises(ValueError) as error:
    make_config(prepared, mixture={'doc': 1.0})
  assert str(error.value).startswith(
    "config: phases[0].mixture.doc: source 'doc' is not defined (did you "
    "mean 'docs'?)"
  )


def test_max_epochs_is_checked_by_source_or_for_all(prepared):
  for max_epochs in (0.5, {'chats': 0.5}):
    config = make_config(prepared, max_epochs=max_epochs)
    with pytest.raises(ValueError, match=r'phases\[0\].mixture.chats.*0\.5'):
      data.mixture_for_phase(config, 0)


def test_a_length_other_than_that_of_the_sources_is_refused(prepared):
  with pytest.raises(ValueError, match=r'phases\[0\]\.seq_len: 32.*seq_len=64'):
    data.mixture_for_phase(make_config(prepared, seq_len=32), 0)


def test_a_source_of_another_tokenizer_is_refused(prepared, tmp_path):
  texts = [f'number {i} of several' for i in range(50)]
  tokenizers.publish_tokenizer(
    tmp_path / 'other', tokenizers.train_sentencepiece(texts, vocab_size=300)
  )
  config = dataclasses.replace(
    make_config(prepared), tokenizer=str(tmp_path / 'other')
  )
  with pytest.raises(ValueError, match=r'sources\.docs.*prepare it again'):
    data.mixture_for_phase(config, 0)


@pytest.mark.parametrize('key', ['tokenizer', 'sources', 'seed', 'phases'])
def test_a_key_that_is_missing_is_named(prepared, key):
  raw = raw_config(prepared)
  del raw[key]
  with pytest.raises(ValueError, match=f'config.{key}: is missing'):
    data.load_config(raw)


def test_a_mixture_of_nothing_is_refused(prepared):
  with pytest.raises(ValueError, match=r'phases\[0\]\.mixture: None is a'):
    make_config(prepared, mixture=None)
  with pytest.raises(ValueError, match=r'phases\[0\]\.mixture: names no'):
    make_config(prepared, mixture={})


def test_micro_batches_must_divide_the_batch(prepared):
  with pytest.raises(ValueError, match=r'phases\[0\]: accumulation: 3 does'):
    make_config(prepared, accumulation=3)
  data.mixture_for_phase(make_config(prepared, accumulation=4), 0)


def test_two_phases_of_one_name_are_refused(prepared):
  raw = raw_config(prepared)
  raw['phases'][1]['name'] = 'midtrain'
  with pytest.raises(ValueError, match=r"names: \['midtrain'\] occur more"):
    data.load_config(raw)


def test_trained_tokens_are_marked_and_the_first_is_context():
  t = ByteTokenizer()
  chat = t.render_chat(
    [
      {'role': 'user', 'content': 'A or B?'},
      {'role': 'assistant', 'content': 'Bé'},
      {'role': 'user', 'content': 'Why?'},
    ]
  )
  ids = np.array(chat.tokens)
  weights = np.zeros(len(ids), np.float32)
  for span in chat.spans:
    weights[span.start : span.stop] = span.trained
  text = rendering.decode_segment(t, ids[:-1], ids[1:], weights[1:])
  assert text == (
    '<bos><|user|>A or B?<|end|><|assistant|>⟦Bé<|end|>⟧<|user|>Why?<|end|>'
  )


def show(prepared, *flags):
  raw = raw_config(prepared)
  file = prepared / 'config.py'
  file.write_text(
    'from ml_collections import ConfigDict\n\n\ndef get_config(arm):\n'
    f'  raw = {raw!r}\n'
    '  return ConfigDict(raw)\n'
  )
  return subprocess.run(
    [
      sys.executable,
      '-m',
      'msm_jax.data.show',
      f'--config={file}:arm',
      *flags,
    ],
    capture_output=True,
    text=True,
    check=False,
  )


def test_show_prints_the_batch_with_origins_and_marks(prepared):
  done = show(prepared, '--phase=midtrain', '--step=12', '--rows=5')
  assert done.returncode == 0, done.stderr
  m = data.mixture_for_phase(make_config(prepared), 0)
  t = tokenizers.load_tokenizer(prepared / 'tokenizer')
  assert done.stdout.count('── row ') == 5
  texts = {
    d.id: d.text for d in data.read_items([str(prepared / 'docs.jsonl')])
  }
  shown = done.stdout
  for origin in m.origins(12)[:5]:
    assert f'source {origin.source}, sequence {origin.sequence}:' in shown
    for segment, document, piece in origin.segments:
      assert f'[{segment}] {document}' in shown
      if origin.source == 'chats':
        i = int(document[1:])
        assert (
          f'<bos><|user|>Question {i}?<|end|><|assistant|>'
          f'⟦{str(i % 10) * 10}<|end|>⟧'
        ) in shown
      elif len(t.encode(texts[document])) + 1 <= 64:
        assert f'<bos>⟦{texts[document]}<eos>⟧' in shown
      assert piece == 0 or f', piece {piece}' in shown


@pytest.mark.parametrize(
  ('flags', 'needle'),
  [
    (('--phase=midtrian', '--step=0'), "did you mean 'midtrain'?"),
    (('--phase=sft', '--step=30'), 'steps 0 … 29'),
  ],
)
def test_show_says_what_is_wrong_in_one_line(prepared, flags, needle):
  done = show(prepared, *flags)
  assert done.returncode == 1
  assert done.stderr.startswith('show: ')
  assert needle in done.stderr
  assert len(done.stderr.splitlines()) == 1
