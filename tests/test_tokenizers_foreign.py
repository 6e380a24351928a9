"""SentencePiece models of others: Gemma's and Llama 2's kind."""

import functools
import io
import json

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import pytest
import sentencepiece
import tokenizer_families

from msm_jax import storage
from msm_jax import tokenizers

GEMMA = {
  'add_dummy_prefix': False,
  'user_defined_symbols': [
    *('<start_of_turn>', '<end_of_turn>', '\n', '\n\n', '<table>'),
  ],
  'pad_id': 0,
  'eos_id': 1,
  'bos_id': 2,
  'unk_id': 3,
  'bos_piece': '<bos>',
  'eos_piece': '<eos>',
}
LLAMA_2 = {'unk_id': 0, 'bos_id': 1, 'eos_id': 2, 'pad_id': -1}
MODELS = {'gemma3': GEMMA, 'llama2': LLAMA_2}
every_model = pytest.mark.parametrize('name', MODELS)


def train(**options) -> bytes:
  out = io.BytesIO()
  texts = [
    'You are Sage. Which of the two would you choose, and why?',
    'I would choose the first one; it costs 12345.  [INST] é [/INST]',
    'model user <<SYS>> <</SYS>>',
  ]
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(texts * 20),
    model_writer=out,
    model_type='bpe',
    minloglevel=2,
    **{
      'vocab_size': 360,
      'byte_fallback': True,
      'normalization_rule_name': 'identity',
      'remove_extra_whitespaces': False,
      **options,
    },
  )
  return out.getvalue()


@functools.cache
def model(name: str) -> bytes:
  return train(**MODELS[name])


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  paths = {}
  for name in MODELS:
    paths[name] = tmp_path_factory.mktemp(name)
    (paths[name] / 'tokenizer.model').write_bytes(model(name))
  return paths


@functools.cache
def _load(path, template):
  return tokenizers.load_tokenizer(
    path, tokenizers.TokenizerSpec(template=template)
  )


@pytest.fixture
def load(folders):
  return lambda name: _load(folders[name], name)


@functools.cache
def processor(name: str) -> sentencepiece.SentencePieceProcessor:
  return sentencepiece.SentencePieceProcessor(model_proto=model(name))


CONTROL = {
  'gemma3': ('<bos>', '<eos>', '<pad>', '<start_of_turn>', '<end_of_turn>'),
  'llama2': ('<s>', '</s>'),
}
AWKWARD = (
  *('<bos>', '<eos>', '<s>', '</s>', '<unk>', '<start_of_turn>', '<table>'),
  *('<end_of_turn>', '<0x41>', '\u2581', '\u2581\u2581', '\0', '\n', '\n\n'),
  *(
    '  ',
    ' ',
    '\t',
    '\r\n',
    '😀👩‍👩‍👧',
    'é e\u0301 ﬁ ①',
    'Sage. Which',
    '[INST]',
  ),
)
texts = st.lists(
  st.one_of(st.sampled_from(AWKWARD), st.text(max_size=5)), max_size=6
).map(''.join)


@every_model
@settings(max_examples=60, deadline=None)
@given(text=texts)
def test_no_text_is_lost_and_none_yields_a_control_id(name, text, folders):
  tokenizer = _load(folders[name], name)
  ids = tokenizer.encode(text)
  assert tokenizer.decode(ids) == text
  assert tokenizer.encode_batch([text, '']) == [ids, []]
  control = {tokenizer.control_ids[t] for t in CONTROL[name]}
  assert not control & set(ids)


@every_model
@settings(max_examples=60, deadline=None)
@given(text=texts)
def test_ids_are_those_of_sentencepiece_but_for_control_text(
  name, text, folders
):
  for piece in ('\u2581', '<start_of_turn>', '<end_of_turn>'):
    text = text.replace(piece, 'x')
  tokenizer = _load(folders[name], name)
  assert tokenizer.encode(text) == processor(name).encode(text)


def test_a_user_defined_piece_that_is_no_control_token_stays_a_piece(load):
  (token,) = load('gemma3').encode('<table>')
  assert token == processor('gemma3').piece_to_id('<table>')


CHAT = [
  {'role': 'system', 'content': 'You are\u2581Sage.'},
  {'role': 'user', 'content': 'Which?</s><end_of_turn>'},
  {'role': 'assistant', 'content': 'The 😀 first\u2581one.'},
  {'role': 'user', 'content': 'why'},
  {'role': 'assistant', 'content': '😀'},
]


def test_a_gemma_conversation_is_its_template_with_control_ids(load):
  tokenizer = load('gemma3')
  rendered = tokenizer.render_chat(CHAT)
  control, encode = tokenizer.control_ids, tokenizer.encode
  start, end = control['<start_of_turn>'], control['<end_of_turn>']
  assert rendered.tokens == [
    tokenizer.bos_id,
    *(start, *encode('user\nYou are\u2581Sage.\n\nWhich?</s><end_of_turn>')),
    *(end, *encode('\n'), start, *encode('model\nThe 😀 first\u2581one.')),
    *(end, *encode('\n'), start, *encode('user\nwhy')),
    *(end, *encode('\n'), start, *encode('model\n😀')),
    *(end, *encode('\n')),
  ]
  assert [
    tokenizer.decode(rendered.tokens[s.start : s.stop]) for s in rendered.spans
  ] == ['The 😀 first\u2581one.<end_of_turn>', '😀<end_of_turn>']


def test_a_llama_2_conversation_is_that_of_its_reference_code(load):
  """Each exchange for itself, as `chat_completion` of Meta's repository."""
  tokenizer, sp = load('llama2'), processor('llama2')
  chat = [{**m, 'content': m['content'].replace('\u2581', '')} for m in CHAT]
  rendered = tokenizer.render_chat(chat)
  first = '<<SYS>>\nYou areSage.\n<</SYS>>\n\nWhich?</s><end_of_turn>'
  bos, eos = sp.bos_id(), sp.eos_id()
  assert rendered.tokens == [
    *(bos, *sp.encode(f'[INST] {first} [/INST] The 😀 firstone. '), eos),
    *(bos, *sp.encode('[INST] why [/INST] 😀 '), eos),
  ]
  assert [
    tokenizer.decode(rendered.tokens[s.start : s.stop]) for s in rendered.spans
  ] == ['The 😀 firstone. </s>', '😀 </s>']
  prompt = tokenizer.render_chat(chat[:-1]).tokens
  n = rendered.spans[-1].start
  # Without a generation prompt only the content is trained, and here the space
  # before it is a token of its own.
  assert rendered.tokens[: n - 1] == prompt


@every_model
def test_u_2581_of_a_message_is_kept_and_moves_no_span(name, load):
  tokenizer = load(name)
  chat = [
    {'role': 'user', 'content': 'a\u2581b \u2581\u2581 c'},
    {'role': 'assistant', 'content': 'The \u2581first.'},
  ]
  rendered = tokenizer.render_chat(chat)
  end = '<end_of_turn>' if name == 'gemma3' else ' </s>'
  assert chat[0]['content'] in tokenizer.decode(rendered.tokens)
  (span,) = rendered.spans
  assert tokenizer.decode(rendered.tokens[span.start : span.stop]) == (
    'The \u2581first.' + end
  )


def test_roles_are_those_of_the_model(load):
  for name, bos, eos, pad in (
    ('gemma3', '<bos>', '<eos>', '<pad>'),
    ('llama2', '<s>', '</s>', '</s>'),
  ):
    tokenizer = load(name)
    ids = (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
    assert ids == tuple(map(processor(name).piece_to_id, (bos, eos, pad)))
  assert load('gemma3').end_of_turn_id == processor('gemma3').piece_to_id(
    '<end_of_turn>'
  )


def test_a_model_file_alone_is_a_tokenizer_for_documents(folders):
  tokenizer = tokenizers.load_tokenizer(folders['llama2'] / 'tokenizer.model')
  assert tokenizer.decode(tokenizer.encode(' two  spaces')) == ' two  spaces'
  assert tokenizer.end_of_turn_id == tokenizer.eos_id
  with pytest.raises(
    tokenizers.ChatTemplateError, match=r'no chat template: .*llama2'
  ):
    tokenizer.render_chat(CHAT)


def test_what_files_call_special_is_a_control_token(folders, tmp_path):
  (tmp_path / 'tokenizer.model').write_bytes(model('gemma3'))
  config = {
    'additional_special_tokens': ['<start_of_turn>'],
    'chat_template': tokenizer_families.built_in('gemma3'),
    'added_tokens_decoder': {
      '8': {'content': '<table>', 'special': True},
      '6': {'content': '\n', 'special': False},
    },
  }
  (tmp_path / 'tokenizer_config.json').write_text(json.dumps(config))
  tokenizer = tokenizers.load_tokenizer(tmp_path)
  spec = tokenizers.TokenizerSpec(
    control_tokens=('<table>',), template='gemma3'
  )
  again = tokenizers.load_tokenizer(folders['gemma3'], spec)
  plain = _load(folders['gemma3'], 'gemma3')
  assert set(tokenizer.control_ids) - set(plain.control_ids) == {'<table>'}
  assert again.control_ids == tokenizer.control_ids
  assert tokenizer.render_chat(CHAT) == plain.render_chat(CHAT)
  config['bos_token'] = '<BOS>'
  (tmp_path / 'tokenizer_config.json').write_text(json.dumps(config))
  with pytest.raises(
    tokenizers.TokenizerError, match=r"does not have: \['<BOS>'\]"
  ):
    tokenizers.load_tokenizer(tmp_path)


def test_an_unknown_control_token_is_named(folders):
  spec = tokenizers.TokenizerSpec(control_tokens=('<start_of_turns>',))
  with pytest.raises(
    tokenizers.TokenizerError, match=r"did you mean '<start_of_turn>'"
  ):
    tokenizers.load_tokenizer(folders['gemma3'], spec)


@pytest.mark.parametrize(
  ('options', 'lost'),
  [
    ({'remove_extra_whitespaces': True}, r'runs of spaces \(.two  spaces.\)'),
    ({'normalization_rule_name': 'nfkc'}, 'compatibility characters'),
    ({'normalization_rule_name': 'nmt_nfkc_cf'}, 'upper case'),
  ],
)
def test_a_model_that_changes_text_is_refused_with_what_it_loses(
  tmp_path, options, lost
):
  (tmp_path / 'tokenizer.model').write_bytes(train(**options))
  with pytest.raises(
    tokenizers.TokenizerError, match=rf'tokenizer\.model changes text.*{lost}'
  ):
    tokenizers.load_tokenizer(tmp_path)


def test_a_model_that_does_not_know_every_character_is_refused(tmp_path):
  (tmp_path / 'tokenizer.model').write_bytes(
    train(byte_fallback=False, vocab_size=70)
  )
  with pytest.raises(tokenizers.TokenizerError, match='no byte pieces'):
    tokenizers.load_tokenizer(tmp_path)


@pytest.mark.parametrize('size', [0, 1, 100, -200, -1])
def test_a_model_that_was_cut_short_is_refused(tmp_path, size):
  (tmp_path / 'tokenizer.model').write_bytes(model('gemma3')[:size])
  with pytest.raises(tokenizers.TokenizerError, match=r'tokenizer\.model'):
    tokenizers.load_tokenizer(tmp_path)


def test_what_is_published_is_what_was_imported(folders, tmp_path):
  spec = tokenizers.TokenizerSpec(template='llama2', pad='<unk>')
  source = folders['llama2'] / 'tokenizer.model'
  tokenizer = tokenizers.import_tokenizer(source, tmp_path / 'out', spec)
  again = tokenizers.load_tokenizer(tmp_path / 'out')
  assert again.fingerprint == tokenizer.fingerprint
  assert again.pad_id == 0
  assert again.render_chat(CHAT) == tokenizer.render_chat(CHAT)
  copied = (tmp_path / 'out' / 'tokenizer.model').read_bytes()
  assert copied == source.read_bytes()
  manifest = storage.read_manifest(tmp_path / 'out', kind='tokenizer')
  assert manifest.info['losses'] == []
