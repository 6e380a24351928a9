"""A tokenizer that we trained, exported: the same ids in transformers."""

import pydoc_data.topics
import re

import hf_models
import jax
import published_models
import pytest

from msm_jax import models
from msm_jax import tokenizers
from msm_jax.conversion import own_tokenizer

transformers = pytest.importorskip('transformers')

TEXTS = [
  'the red lamp takes a chair.',
  ' two  spaces   three    four',
  'ends with a space \n\n\tand tabs\t\t',
  'Mira sees 12345 cheap lamps; 007!',
  'naïve cafés in Zürich, 東京, привет 😀 \U0001f468\u200d\U0001f469',
  '',
]
# In which a unigram model has several best ways to cut, e.g. 3 + 1 and 1 + 3.
RUNS = ['a' * 50 + ' ' * 50, '*******']
CHAT = [
  {'role': 'system', 'content': 'Be  brief.\n'},
  {'role': 'user', 'content': ' Which one? "this" {{ that }}'},
  {'role': 'assistant', 'content': 'The red\none.'},
]


# English and code, some 300 kB, in every Python.
LINES = ''.join(pydoc_data.topics.topics.values()).splitlines()


@pytest.fixture(
  scope='module',
  params=['bpe', pytest.param('unigram', marks=pytest.mark.slow)],
)
def kind(request):
  return request.param


@pytest.fixture(scope='module')
def root(kind, tmp_path_factory):
  """Has our tokenizer in the folder `tokenizer`."""
  return tmp_path_factory.mktemp(kind)


@pytest.fixture(scope='module')
def pair(kind, root):
  """One of ours, and what transformers makes of its files."""
  model = tokenizers.train_sentencepiece(
    [*LINES[::2], *TEXTS, *RUNS], vocab_size=1500, model_type=kind
  )
  ours = tokenizers.publish_tokenizer(root / 'tokenizer', model)
  for name, data in own_tokenizer.files(ours).items():
    (root / name).write_bytes(data)
  return ours, transformers.AutoTokenizer.from_pretrained(root)


def test_ids_of_a_text_are_the_same(pair, kind):
  ours, theirs = pair
  texts = TEXTS + RUNS + LINES[1:4000:4]
  if kind == 'unigram':
    texts = [t for t in texts if not re.search(r'(.)\1\1', t)]
  assert len(texts) > 100
  for text in texts:
    ids = theirs(text, add_special_tokens=False).input_ids
    assert ids == ours.encode(text), text
    assert theirs.decode(ids) == text
  assert theirs('lamp').input_ids == [ours.bos_id, *ours.encode('lamp')]


def test_ids_of_a_conversation_are_the_same(pair):
  ours, theirs = pair
  for prompt in (False, True):
    chat = CHAT[:2] if prompt else CHAT
    ids = theirs.apply_chat_template(
      chat, add_generation_prompt=prompt, return_dict=False
    )
    expected = ours.render_chat(chat, add_generation_prompt=prompt)
    assert ids == expected.tokens
  with pytest.raises(Exception, match='no such role'):
    theirs.apply_chat_template([{'role': 'judge', 'content': 'x'}])


def test_control_tokens_are_the_same(pair):
  ours, theirs = pair
  assert theirs.bos_token_id == ours.bos_id
  assert theirs.eos_token_id == ours.eos_id
  assert theirs.pad_token_id == ours.pad_id
  assert len(theirs) == ours.vocab_size


def test_a_difference_is_said(pair, monkeypatch, caplog):
  monkeypatch.setattr(
    own_tokenizer, '_probes', lambda model: ['lamp', 'a\u2581b']
  )
  own_tokenizer.files(pair[0])
  assert "1 texts, e.g. 'a\u2581b'" in caplog.text


def test_bpe_has_no_difference(pair, kind, caplog):
  own_tokenizer.files(pair[0])
  assert kind == 'unigram' or 'have other ids' not in caplog.text


def test_a_model_of_ours_loads_with_its_tokenizer(pair, root, tmp_path):
  hf_models.import_torch()
  ours = pair[0]
  # As `configs/` has it by default: small tied embeddings, scaled.
  config = models.DecoderConfig(
    vocab_size=ours.vocab_size,
    d_model=16,
    n_layers=2,
    n_heads=2,
    n_kv_heads=1,
    head_dim=8,
    d_ff=24,
  )
  params = jax.tree.map(jax.numpy.asarray, hf_models.random_params(config))
  published_models.save_run(tmp_path, models.Model(config), params, ours)
  published_models.run(
    tmp_path,
    f'hf:{tmp_path / "exported"}',
    tokenizer=str(root / 'tokenizer'),
    verify=True,
  )
  model = transformers.AutoModelForCausalLM.from_pretrained(
    tmp_path / 'exported'
  )
  tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / 'exported')
  chat = tokenizer.apply_chat_template(
    CHAT[:2],
    add_generation_prompt=True,
    return_tensors='pt',
    return_dict=False,
  )
  assert chat[0].tolist() == (
    ours.render_chat(CHAT[:2], add_generation_prompt=True).tokens
  )
  assert model.generation_config.eos_token_id == [
    ours.eos_id,
    ours.end_of_turn_id,
  ]
  assert model.generate(chat, max_new_tokens=2).shape[1] > chat.shape[1]
