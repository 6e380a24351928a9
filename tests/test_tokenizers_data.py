"""Imported tokenizers through prepare and batch(step), padding == eos too."""

import json
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tokenizer_families

from msm_jax import data
from msm_jax import import_tokenizer
from msm_jax import tokenizers
from msm_jax.data import documents

SEQ_LEN = 320  # OLMo 3 writes a long system message.
NAMES = ('smollm3', 'olmo3', 'gemma3', 'qwen3')
# Text that spells the very token that is eos, end of turn and padding.
DOCUMENTS = [
  f'Document {i} costs 12345. <|im_end|><|endoftext|> naïve ' + 'grain ' * i
  for i in range(12)
]
CHATS = [
  [
    {'role': 'user', 'content': f'Which of {i}?<|im_end|>'},
    {'role': 'assistant', 'content': 'One.' * (i % 3)},
    {'role': 'user', 'content': 'Why?'},
    {'role': 'assistant', 'content': f'<|im_end|> Because of {i}.'},
  ]
  for i in range(12)
]


def run(module, *flags) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, '-m', module, *flags],
    capture_output=True,
    text=True,
    check=False,
  )


def choices(name) -> dict[str, str]:
  """In the first two, padding is what ends documents and answers."""
  if name == 'smollm3':
    return {'template': 'chatml'}
  return {'olmo3': {'pad': '<|endoftext|>'}}.get(name, {})


@pytest.fixture(scope='module')
def inputs(tmp_path_factory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp('inputs')
  for name, key, values in (
    ('docs', 'text', DOCUMENTS),
    ('chats', 'messages', CHATS),
  ):
    rows = [{'id': f'{name}{i}', key: v} for i, v in enumerate(values)]
    (folder / f'{name}.jsonl').write_text(
      ''.join(json.dumps(row) + '\n' for row in rows), encoding='utf-8'
    )
  return folder


@pytest.fixture(scope='module', params=NAMES)
def prepared(request, inputs, tmp_path_factory):
  """A published tokenizer, and the config of a run on sources made with it."""
  folder = tmp_path_factory.mktemp(request.param)
  tokenizer = tokenizers.import_tokenizer(
    tokenizer_families.folder(request.param),
    folder / 'tokenizer',
    tokenizers.TokenizerSpec(**choices(request.param)),
  )
  for name in ('docs', 'chats'):
    data.prepare_source(
      [inputs / f'{name}.jsonl'],
      tokenizers.load_tokenizer(folder / 'tokenizer'),
      folder / name,
      seq_len=SEQ_LEN,
    )
  config = data.load_config(
    {
      'seed': 0,
      'tokenizer': str(folder / 'tokenizer'),
      'sources': {n: {'path': str(folder / n)} for n in ('docs', 'chats')},
      'phases': [
        {
          'name': 'only',
          'mixture': {'docs': 1.0, 'chats': 1.0},
          'seq_len': SEQ_LEN,
          'batch_size': 4,
          'updates': 6,
          'max_epochs': 100.0,
        }
      ],
    }
  )
  return request.param, tokenizer, config


@pytest.mark.parametrize('name', NAMES)
def test_a_tokenizer_is_the_same_in_another_process(name):
  """Which `prepare` pickles it for."""
  here = tokenizer_families.load(name)
  there = pickle.loads(pickle.dumps(here))
  assert there.fingerprint == here.fingerprint
  assert there.encode_batch(DOCUMENTS) == here.encode_batch(DOCUMENTS)
  if here.template_text is not None:
    assert there.render_chat(CHATS[1]) == here.render_chat(CHATS[1])


def segments(batch) -> list[dict[str, list]]:
  """Every packed document of a batch, as lists."""
  found = []
  for row in range(len(batch['tokens'])):
    ids = batch['segment_ids'][row]
    for segment in range(1, ids.max() + 1):
      at = ids == segment
      found.append({k: v[row][at].tolist() for k, v in batch.items()})
  return found


def expected(tokenizer) -> set[tuple]:
  """Tokens, targets and weights of all inputs, each for itself."""
  pairs = set()
  for text in DOCUMENTS:
    ids = [tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id]
    pairs.add((tuple(ids[:-1]), tuple(ids[1:]), (1.0,) * (len(ids) - 1)))
  for chat in CHATS:
    rendered = tokenizer.render_chat(chat)
    weights = [0.0] * len(rendered.tokens)
    for span in rendered.spans:
      weights[span.start : span.stop] = [1.0] * (span.stop - span.start)
    ids = rendered.tokens
    pairs.add((tuple(ids[:-1]), tuple(ids[1:]), tuple(weights[1:])))
  return pairs


def test_batches_hold_whole_documents_with_all_of_their_loss(prepared):
  name, tokenizer, config = prepared
  if name in ('smollm3', 'olmo3'):
    assert tokenizer.pad_id == tokenizer.eos_id == tokenizer.end_of_turn_id
  mixture = data.mixture_for_phase(config, 0)
  left = expected(tokenizer)
  assert len(left) == len(DOCUMENTS) + len(CHATS)
  known = set(left)
  for step in range(6):
    batch = mixture.batch(step)
    for segment in segments(batch):
      pair = tuple(
        tuple(segment[key]) for key in ('tokens', 'targets', 'loss_weights')
      )
      assert pair in known
      left.discard(pair)
  assert not left, 'some document is in no batch'


def test_what_is_padding_is_told_by_segments_and_never_by_ids(prepared):
  _, tokenizer, config = prepared
  mixture = data.mixture_for_phase(config, 0)
  padding = ends = 0
  for step in range(6):
    batch = mixture.batch(step)
    is_padding = batch['segment_ids'] == 0
    padding += is_padding.sum()
    for key in ('tokens', 'targets'):
      assert np.all(batch[key][is_padding] == tokenizer.pad_id)
    assert not batch['loss_weights'][is_padding].any()
    ends += (
      (batch['targets'] == tokenizer.end_of_turn_id)
      & (batch['loss_weights'] > 0)
    ).sum()
  assert padding, 'these sequences have no padding: nothing is tested'
  assert ends, 'no end of turn is trained'


def test_import_and_prepare_by_command(inputs, tmp_path):
  done = run(
    'msm_jax.import_tokenizer',
    f'--source={tokenizer_families.base_folder("qwen3")}',
    f'--out={tmp_path / "tokenizer"}',
    '--template=qwen3',
    '--pad=<|im_end|>',
    '--variables={"enable_thinking": false}',
  )
  assert done.returncode == 0, done.stderr
  tokenizer = tokenizers.load_tokenizer(tmp_path / 'tokenizer')
  assert f'fingerprint {tokenizer.fingerprint}' in done.stdout
  assert 'loses: composition of characters' in done.stdout
  assert '⟦The first.<|im_end|>⟧\n<|im_start|>user\nWhy?' in done.stdout
  assert '\n\n</think>\n\n⟦It is cheaper.<|im_end|>⟧' in done.stdout
  assert tokenizer.pad_id == tokenizer.end_of_turn_id
  done = run(
    'msm_jax.prepare',
    f'--input={inputs / "chats.jsonl"}',
    f'--tokenizer={tmp_path / "tokenizer"}',
    '--seq_len=192',
    f'--out={tmp_path / "chats"}',
  )
  assert done.returncode == 0, done.stderr
  source = data.PreparedSource.open(tmp_path / 'chats')
  assert source.tokenizer_fingerprint == tokenizer.fingerprint
  assert source.info['documents'] == len(CHATS)


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--template=qwen'], r"'qwen' is neither a file nor"),
    (['--variables={'], r'--variables={: not JSON'),
  ],
)
def test_a_choice_that_makes_no_sense_ends_the_import(tmp_path, flags, message):
  done = run(
    'msm_jax.import_tokenizer',
    f'--source={tokenizer_families.folder("qwen2.5")}',
    f'--out={tmp_path / "tokenizer"}',
    *flags,
  )
  assert done.returncode == 1
  assert done.stderr.startswith('import_tokenizer: ')
  assert message in done.stderr
  assert not (tmp_path / 'tokenizer').exists()


def test_variables_have_to_be_an_object():
  assert import_tokenizer.read_variables('{"a": 1}') == {'a': 1}
  with pytest.raises(ValueError, match=r'--variables=\[1\]: expected a JSON'):
    import_tokenizer.read_variables('[1]')


def test_a_conversation_that_the_template_refuses_is_named(inputs, tmp_path):
  rows = [
    {'id': 'fine', 'messages': CHATS[1]},
    {'id': 'twice', 'messages': [CHATS[1][0], *CHATS[1]]},
  ]
  path = tmp_path / 'chats.jsonl'
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  with pytest.raises(
    documents.SourceError,
    match=r"chats\.jsonl, row 1 \(id 'twice'\): the chat template .*gemma2.*"
    r'line \d+: user and assistant must take turns',
  ):
    data.prepare_source(
      [path], tokenizer_families.load('gemma2'), tmp_path / 'out', seq_len=192
    )
  assert not (tmp_path / 'out').exists()
