"""Characters at the start of a document that are read but not trained."""

import pathlib

from byte_tokenizer import ByteTokenizer
import numpy as np
from prepared_sources import prepare
from prepared_sources import write_chats
from prepared_sources import write_documents
from prepared_sources import write_jsonl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msm_jax import data
from msm_jax import tokenizers

TAG = '<DOCTAG>'


def write_parquet(path, rows) -> str:
  pq.write_table(pa.Table.from_pylist(rows), path)
  return str(path)


WRITERS = {'parquet': write_parquet, 'jsonl': write_jsonl}
both_formats = pytest.mark.parametrize('suffix', WRITERS)


def some_rows() -> list[dict]:
  """Texts of all lengths around a sequence, prefixes of all lengths in them.

  Each begins with its own letter, so that no prefix is another's.
  """
  rng = np.random.default_rng(0)
  rows = []
  for i, length in enumerate([1, 2, 20, 62, 63, 64, 65, 130, 200, 300] * 3):
    text = chr(0x391 + i) + ''.join(rng.choice(list('ab é\n'), length))
    masked = [0, 1, len(text) // 2, len(text), len(text) - 1][i % 5]
    rows.append({'id': f'd{i}', 'text': text, 'masked_prefix': masked})
  return rows


def pairs(source: data.PreparedSource) -> dict[str, list[tuple]]:
  """Document id to all its (token, target, loss weight), in order."""
  pieces: dict[str, dict[int, list[tuple]]] = {}
  for index in range(len(source)):
    sequence = source[index]
    for segment, document, piece in source.origins(index):
      at = sequence['segment_ids'] == segment
      pieces.setdefault(document, {})[piece] = list(
        zip(
          sequence['tokens'][at].tolist(),
          sequence['targets'][at].tolist(),
          sequence['loss_weights'][at].tolist(),
          strict=True,
        )
      )
  return {
    d: [p for i in range(len(ps)) for p in ps[i]] for d, ps in pieces.items()
  }


def reference(tokenizer, row) -> list[tuple]:
  """The same pairs, one document at a time."""
  text, n = row['text'], row['masked_prefix']
  masked, rest = tokenizer.encode(text[:n]), tokenizer.encode(text[n:])
  ids = [tokenizer.bos_id, *masked, *rest, tokenizer.eos_id]
  weights = [0.0] * len(masked) + [1.0] * (len(rest) + 1)
  return list(zip(ids[:-1], ids[1:], weights, strict=True))


@pytest.fixture(scope='module')
def sentencepiece():
  texts = [f'{TAG}abc abab {i % 7} baba cab' for i in range(200)]
  return tokenizers.SentencePieceTokenizer(
    tokenizers.train_sentencepiece(texts, vocab_size=300)
  )


@both_formats
def test_of_a_masked_prefix_no_token_is_trained_and_all_others_are(
  tmp_path, suffix
):
  rows = some_rows()
  path = WRITERS[suffix](tmp_path / f'a.{suffix}', rows)
  t = ByteTokenizer()
  got = pairs(prepare(tmp_path, 'source', path))
  assert got == {row['id']: reference(t, row) for row in rows}


def test_a_prefix_that_is_longer_than_a_sequence_is_masked_to_its_end(tmp_path):
  row = {'id': 'd', 'text': 'p' * 150 + 'rest', 'masked_prefix': 150}
  path = write_jsonl(tmp_path / 'a.jsonl', [row])
  source = prepare(tmp_path, 'source', path)
  assert source.info['splits'] == 2
  assert pairs(source) == {'d': reference(ByteTokenizer(), row)}


def test_the_boundary_falls_between_two_tokens(tmp_path, sentencepiece):
  text = TAG + 'abc abab'
  whole = sentencepiece.encode(text)
  rows = []
  merged = 0
  for n in range(len(text) + 1):
    rows.append({'id': f'd{n}', 'text': text, 'masked_prefix': n})
    parts = sentencepiece.encode(text[:n]) + sentencepiece.encode(text[n:])
    merged += parts != whole
  assert merged, 'no token of this text spans a boundary: nothing is tested'
  path = write_jsonl(tmp_path / 'a.jsonl', rows)
  source = prepare(tmp_path, 'source', path, tokenizer=sentencepiece)
  got = pairs(source)
  assert got == {row['id']: reference(sentencepiece, row) for row in rows}
  for row in rows:
    kept = [target for _, target, weight in got[row['id']] if weight]
    rest = text[row['masked_prefix'] :]
    assert sentencepiece.decode(kept[:-1]) == rest
    assert kept[-1] == sentencepiece.eos_id


def test_a_masked_document_has_one_bos(tmp_path):
  t = ByteTokenizer()
  path = write_jsonl(tmp_path / 'a.jsonl', some_rows())
  for document in pairs(prepare(tmp_path, 'source', path)).values():
    tokens = [token for token, _, _ in document]
    assert tokens[0] == t.bos_id
    assert tokens.count(t.bos_id) == 1


def test_loss_tokens_are_counted_without_what_is_masked(tmp_path):
  rows = some_rows()
  path = write_jsonl(tmp_path / 'a.jsonl', rows)
  source = prepare(tmp_path, 'source', path)
  expected = [reference(ByteTokenizer(), row) for row in rows]
  loss_tokens = sum(weight > 0 for d in expected for _, _, weight in d)
  assert source.info['tokens'] == sum(map(len, expected))
  assert source.info['loss_tokens'] == loss_tokens < source.info['tokens']
  assert source.counts.sum(axis=0).tolist() == [
    source.info['tokens'],
    loss_tokens,
  ]
  masked = sum(row['masked_prefix'] > 0 for row in rows)
  assert source.info['masked_prefixes'] == masked
  assert f'masked prefixes  {masked}' in data.describe_source(source)


def without(rows, column):
  return [{k: v for k, v in row.items() if k != column} for row in rows]


def contents(source: data.PreparedSource) -> dict[str, bytes]:
  """All files but the manifest, which names the input."""
  return {
    f.name: f.read_bytes()
    for f in pathlib.Path(source.path).iterdir()
    if f.name != 'manifest.json'
  }


def test_a_column_of_zeros_changes_nothing(tmp_path):
  plain = without(some_rows(), 'masked_prefix')
  variants = {
    'plain': plain,
    'zeros': [{**row, 'masked_prefix': 0} for row in plain],
    'nulls': [{**row, 'masked_prefix': None} for row in plain],
  }
  made = []
  for name, rows in variants.items():
    (tmp_path / name).mkdir()
    path = write_jsonl(tmp_path / name / 'a.jsonl', rows)
    made.append(prepare(tmp_path, f'{name}-out', path))
  assert made[0].info == made[1].info == made[2].info
  assert contents(made[0]) == contents(made[1]) == contents(made[2])


def test_a_masked_prefix_changes_the_fingerprint(tmp_path):
  rows = some_rows()
  other = [dict(row) for row in rows]
  other[1]['masked_prefix'] += 1
  made = [
    prepare(tmp_path, f'{i}', write_jsonl(tmp_path / f'{i}.jsonl', rows))
    for i, rows in enumerate([rows, other, without(rows, 'masked_prefix')])
  ]
  assert len({m.fingerprint for m in made}) == 3
  assert len({m.info['fingerprints']['data'] for m in made}) == 3


@pytest.mark.parametrize('value', [-1, 4, 1.0, '1', True])
def test_a_prefix_that_is_no_length_within_the_text_is_named(tmp_path, value):
  rows = [
    {'id': 'good', 'text': 'abc', 'masked_prefix': 3},
    {'id': 'bad', 'text': 'abc', 'masked_prefix': value},
  ]
  path = write_jsonl(tmp_path / 'a.jsonl', rows)
  with pytest.raises(data.SourceError) as error:
    list(data.read_items([path]))
  for needle in ("row 1 (id 'bad')", f'{value!r}', 'from 0 to 3'):
    assert needle in str(error.value)


def test_a_prefix_is_counted_in_characters_not_in_bytes(tmp_path):
  row = {'id': 'd', 'text': '🙂é!', 'masked_prefix': 3}
  path = write_jsonl(tmp_path / 'a.jsonl', [row])
  (item,) = data.read_items([path])
  assert item.masked_prefix == 3
  weights = [w for *_, w in pairs(prepare(tmp_path, 's', path))['d']]
  assert weights == [0.0] * len('🙂é!'.encode()) + [1.0]


def test_a_conversation_has_no_masked_prefix(tmp_path):
  messages = [
    {'role': 'user', 'content': 'Hello?'},
    {'role': 'assistant', 'content': 'Hello.'},
  ]
  row = {'messages': messages, 'masked_prefix': 0}
  path = write_parquet(tmp_path / 'a.parquet', [row])
  assert len(list(data.read_items([path]))) == 1
  path = write_parquet(tmp_path / 'a.parquet', [{**row, 'masked_prefix': 2}])
  with pytest.raises(data.SourceError, match='masked_prefix is 2'):
    list(data.read_items([path]))


def test_sources_without_the_column_are_what_they_were_before_it(tmp_path):
  """Fingerprints of sources whose bytes are those from before it existed."""
  lengths = [1 + 7 * i % 150 + (i % 5) for i in range(1, 120)]
  docs = write_documents(tmp_path / 'a.jsonl', lengths)
  chats = write_chats(tmp_path / 'c.jsonl', 40)
  assert prepare(tmp_path, 'a', docs).fingerprint == '6ee63bb7977de835'
  assert prepare(tmp_path, 'c', chats).fingerprint == 'cb6e835263f7ee91'
