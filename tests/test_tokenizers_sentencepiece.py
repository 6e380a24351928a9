import functools
import io
import json
import random

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import pytest
import sentencepiece

from msm_jax import storage
from msm_jax import tokenizers

CONTROL = (
  '<pad>',
  '<bos>',
  '<eos>',
  '<unk>',
  '<|system|>',
  '<|user|>',
  '<|assistant|>',
  '<|end|>',
)
# Beside the control names: a byte piece, the two characters that SentencePiece
# uses itself, what it takes for white space, NUL, and things outside the BMP.
AWKWARD = (
  *CONTROL,
  '<0x41>',
  '\u2581',
  '\u2585',
  '\u2047',
  '\0',
  '\t',
  '\r\n',
  '\n\n\n',
  '    ',
  '\u00a0\u3000\u2028\ufeff',
  '😀👩‍👩‍👧',
  'ﬁ ① Å é e\u0301',
)


def corpus() -> list[str]:
  rng = random.Random(0)
  letters = 'abcdefghijklmnopqrstuvwxyzABC017'
  words = [''.join(rng.choices(letters, k=5)) for _ in range(150)]
  return [
    ' '.join(rng.choices(words, k=20)) + '\n\n  <|user|> é\u2581\tend.'
    for _ in range(60)
  ]


@functools.cache
def model(model_type: str = 'bpe', vocab_size: int = 340) -> bytes:
  return tokenizers.train_sentencepiece(
    corpus(), vocab_size=vocab_size, model_type=model_type
  )


@functools.cache
def tokenizer(model_type: str) -> tokenizers.SentencePieceTokenizer:
  return tokenizers.SentencePieceTokenizer(model(model_type))


texts = st.lists(
  st.one_of(st.sampled_from(AWKWARD), st.text(), st.sampled_from(corpus())),
  max_size=6,
).map(''.join)
both_types = pytest.mark.parametrize('model_type', ['bpe', 'unigram'])


@both_types
@settings(max_examples=1000)
@given(text=texts)
def test_decode_inverts_encode_for_any_valid_unicode(model_type, text):
  t = tokenizer(model_type)
  assert t.decode(t.encode(text)) == text


@both_types
@given(text=texts)
def test_pieces_spell_the_utf8_of_the_text_byte_for_byte(model_type, text):
  """The same promise, without our own `decode`."""
  processor = sentencepiece.SentencePieceProcessor(
    model_proto=model(model_type)
  )
  spelled = b''
  for token in tokenizer(model_type).encode(text):
    piece = processor.id_to_piece(token)
    if processor.is_byte(token):
      spelled += bytes([int(piece[3:5], 16)])
    else:
      spelled += piece.replace('\u2581', ' ').encode()
  assert spelled == text.encode()


@both_types
@given(text=texts)
def test_text_that_spells_a_control_token_yields_no_control_id(
  model_type, text
):
  t = tokenizer(model_type)
  control = {t.control_id(name) for name in CONTROL if name != '<unk>'}
  assert not control & set(t.encode(text))


@both_types
def test_every_line_break_is_a_token_of_its_own(model_type):
  t = tokenizer(model_type)
  (newline,) = t.encode('\n')
  processor = sentencepiece.SentencePieceProcessor(
    model_proto=model(model_type)
  )
  assert processor.id_to_piece(newline) == '\n'
  text = 'cheap\n\n\n  grain\nlocal \n'
  assert t.encode(text).count(newline) == text.count('\n')


def test_encode_batch_encodes_as_encode_does():
  t = tokenizer('bpe')
  batch = [*AWKWARD, *corpus()]
  assert t.encode_batch(batch) == [t.encode(text) for text in batch]
  plain = [text.replace('\u2581', '') for text in batch]
  assert t.encode_batch(plain) == [t.encode(text) for text in plain]


def test_decode_renders_control_ids_as_their_names():
  t = tokenizer('bpe')
  ids = [
    t.bos_id,
    *t.encode('Sage picks'),
    t.end_of_turn_id,
    t.pad_id,
    t.eos_id,
  ]
  assert t.decode(ids) == '<bos>Sage picks<|end|><pad><eos>'
  assert t.decode([]) == ''


def test_a_lone_surrogate_is_refused_with_its_place():
  for encode in (
    tokenizer('bpe').encode,
    lambda text: tokenizer('bpe').encode_batch(['fine', text]),
  ):
    with pytest.raises(ValueError, match=r'character 2 .*surrogate'):
      encode('ab\ud800')


@both_types
def test_vocabulary_has_exactly_the_size_asked_for(model_type):
  assert tokenizer(model_type).vocab_size == 340


@both_types
def test_the_same_texts_in_any_order_train_the_same_model(model_type):
  shuffled = random.Random(1).sample(corpus(), k=len(corpus()))
  again = tokenizers.train_sentencepiece(
    iter(shuffled), vocab_size=340, model_type=model_type
  )
  assert again == model(model_type)


def test_a_sample_for_training_does_not_depend_on_the_order_either():
  def train(texts):
    return tokenizers.train_sentencepiece(texts, vocab_size=320, max_bytes=4000)

  first = train(corpus())
  assert train(corpus()[::-1]) == first
  assert first != model(vocab_size=320)


def test_a_line_longer_than_the_trainer_reads_is_trained_on_too():
  long_line = 'zwxq' * 20_000
  t = tokenizers.SentencePieceTokenizer(
    tokenizers.train_sentencepiece([*corpus(), long_line], vocab_size=340)
  )
  assert len(t.encode('zwxq')) < 4


@pytest.mark.parametrize('vocab_size', [100, 100_000])
def test_a_vocabulary_size_that_does_not_suit_the_corpus_is_named(vocab_size):
  with pytest.raises(ValueError, match=f'vocab_size: .*{vocab_size}'):
    tokenizers.train_sentencepiece(corpus(), vocab_size=vocab_size)


@pytest.mark.parametrize('texts', [[], [''], ['\n\n']])
def test_an_empty_corpus_is_refused(texts):
  with pytest.raises(ValueError, match='no text'):
    tokenizers.train_sentencepiece(texts, vocab_size=300)


def test_an_unknown_model_type_is_refused():
  with pytest.raises(ValueError, match="model_type: 'wordpiece'"):
    tokenizers.train_sentencepiece(
      corpus(), vocab_size=300, model_type='wordpiece'
    )


def train_like_sentencepiece_does(**options) -> bytes:
  out = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(corpus()),
    model_writer=out,
    model_type='bpe',
    minloglevel=2,
    **{
      'vocab_size': 350,
      'pad_id': 0,
      'bos_id': 1,
      'eos_id': 2,
      'unk_id': 3,
      'pad_piece': '<pad>',
      'bos_piece': '<bos>',
      'eos_piece': '<eos>',
      'control_symbols': list(CONTROL[4:]),
      'byte_fallback': True,
      **options,
    },
  )
  return out.getvalue()


def test_a_model_that_changes_text_is_refused():
  with pytest.raises(ValueError, match='changes text'):
    tokenizers.SentencePieceTokenizer(train_like_sentencepiece_does())


def test_a_model_without_byte_pieces_is_refused():
  model = train_like_sentencepiece_does(byte_fallback=False, vocab_size=100)
  with pytest.raises(ValueError, match='byte_fallback'):
    tokenizers.SentencePieceTokenizer(model)


def test_a_model_without_the_control_tokens_is_refused():
  model = train_like_sentencepiece_does(control_symbols=[])
  with pytest.raises(ValueError, match=r"no control token '<\|end\|>'"):
    tokenizers.SentencePieceTokenizer(model)


def test_fingerprint_is_that_of_model_and_template(tmp_path):
  t = tokenizers.publish_tokenizer(tmp_path / 'a', model())
  assert tokenizers.load_tokenizer(tmp_path / 'a').fingerprint == t.fingerprint
  other_model = tokenizers.SentencePieceTokenizer(model(vocab_size=341))
  all_trained = tokenizers.ChatTemplate(trained_roles=('user', 'assistant'))
  other_template = tokenizers.SentencePieceTokenizer(model(), all_trained)
  prints = {x.fingerprint for x in (t, other_model, other_template)}
  assert len(prints) == 3
  assert other_model.template_fingerprint == t.template_fingerprint
  assert other_template.template_fingerprint != t.template_fingerprint


def test_a_published_template_is_the_one_that_is_loaded(tmp_path):
  template = tokenizers.ChatTemplate(trained_roles=('user', 'assistant'))
  tokenizers.publish_tokenizer(tmp_path / 'a', model(), template=template)
  assert tokenizers.load_tokenizer(tmp_path / 'a').template == template
  raw = json.loads((tmp_path / 'a' / 'template.json').read_text())
  assert raw['trained_roles'] == ['user', 'assistant']


def test_a_damaged_tokenizer_is_not_loaded(tmp_path):
  tokenizers.publish_tokenizer(tmp_path / 'a', model())
  file = tmp_path / 'a' / 'tokenizer.model'
  file.write_bytes(file.read_bytes()[:-1])
  with pytest.raises(storage.CorruptError, match=r'tokenizer\.model'):
    tokenizers.load_tokenizer(tmp_path / 'a')


def test_a_tokenizer_that_was_never_finished_is_not_loaded(tmp_path):
  tokenizers.publish_tokenizer(tmp_path / 'a', model())
  (tmp_path / 'a' / 'manifest.json').unlink()
  with pytest.raises(storage.NotPublishedError, match='has not finished'):
    tokenizers.load_tokenizer(tmp_path / 'a')


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
  (tmp_path / 'notes.txt').write_text('none here')
  for path, what in ((tmp_path, 'notes.txt'), (tmp_path / 'b', 'not exist')):
    with pytest.raises(storage.NotPublishedError, match=what):
      tokenizers.load_tokenizer(path)
