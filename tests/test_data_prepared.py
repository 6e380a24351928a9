import collections
import json
import os
import pathlib
import subprocess
import sys

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
from msm_jax import storage
from msm_jax.data import records

LENGTHS = [1 + 7 * i % 150 + (i % 5) for i in range(1, 120)]
T = ByteTokenizer()


@pytest.fixture(scope='module')
def documents(tmp_path_factory) -> tuple[data.PreparedSource, dict[str, str]]:
  """A source of documents, and the texts by id."""
  directory = tmp_path_factory.mktemp('documents')
  path = write_documents(directory / 'a.jsonl', LENGTHS)
  texts = {d.id: d.text for d in data.read_items([path])}
  return prepare(directory, 'source', path), texts


@pytest.fixture(scope='module')
def chats(tmp_path_factory) -> data.PreparedSource:
  directory = tmp_path_factory.mktemp('chats')
  path = write_chats(directory / 'a.jsonl', 40)
  return prepare(directory, 'source', path)


def read_jsonl(path: str) -> list[dict]:
  lines = pathlib.Path(path).read_text(encoding='utf-8').splitlines()
  return [json.loads(line) for line in lines]


def segments(source: data.PreparedSource):
  """Yields (document id, piece, the segment's fields)."""
  for index in range(len(source)):
    sequence = source[index]
    for segment, document, piece in source.origins(index):
      at = sequence['segment_ids'] == segment
      yield document, piece, {k: v[at] for k, v in sequence.items()}


def test_no_token_and_no_target_is_lost_or_trained_twice(documents):
  source, texts = documents
  pieces = collections.defaultdict(dict)
  for document, piece, fields in segments(source):
    assert piece not in pieces[document]
    pieces[document][piece] = fields
  assert set(pieces) == set(texts)
  for document, by_piece in pieces.items():
    whole = [T.bos_id, *T.encode(texts[document]), T.eos_id]
    ordered = [by_piece[i] for i in range(len(by_piece))]
    assert np.concatenate([p['tokens'] for p in ordered]).tolist() == whole[:-1]
    assert np.concatenate([p['targets'] for p in ordered]).tolist() == whole[1:]


def test_only_what_is_longer_than_a_sequence_is_split(documents):
  source, texts = documents
  expected = sum(-(-(len(t) + 1) // 64) - 1 for t in texts.values())
  assert source.info['splits'] == expected > 0
  pieces = collections.Counter(document for document, _, _ in segments(source))
  for document, text in texts.items():
    assert pieces[document] == -(-(len(text) + 1) // 64)


def test_each_document_has_one_bos_and_continuations_have_none(documents):
  source, _ = documents
  seen_continuation = False
  for _, piece, fields in segments(source):
    assert (fields['tokens'] == T.bos_id).sum() == (piece == 0)
    assert (fields['tokens'][0] == T.bos_id) == (piece == 0)
    seen_continuation |= piece > 0
  assert seen_continuation


def test_positions_restart_with_every_segment(documents):
  source, _ = documents
  for _, _, fields in segments(source):
    n = len(fields['positions'])
    np.testing.assert_array_equal(fields['positions'], np.arange(n))


def test_segments_are_contiguous_and_counted_from_one(documents):
  source, _ = documents
  for index in range(len(source)):
    ids = source[index]['segment_ids']
    used = ids[ids > 0]
    assert (ids[len(used) :] == 0).all()
    assert used[0] == 1
    assert set(np.diff(used).tolist()) <= {0, 1}
    assert used[-1] == len(source.origins(index))


def test_padding_is_pad_everywhere_and_trains_nothing(documents, chats):
  found = 0
  for source in (documents[0], chats):
    for index in range(len(source)):
      sequence = source[index]
      padding = sequence['segment_ids'] == 0
      found += padding.sum()
      assert (sequence['tokens'][padding] == T.pad_id).all()
      assert (sequence['targets'][padding] == T.pad_id).all()
      assert (sequence['positions'][padding] == 0).all()
      assert (sequence['loss_weights'][padding] == 0).all()
  assert found


def test_every_predicted_token_of_a_document_is_trained(documents):
  for _, _, fields in segments(documents[0]):
    assert (fields['loss_weights'] == 1).all()


def test_of_a_conversation_only_answers_and_their_end_are_trained(chats):
  seen = 0
  for document, _, fields in segments(chats):
    i = int(document[1:])
    trained = fields['targets'][fields['loss_weights'] > 0]
    assert T.decode(trained.tolist()) == str(i % 10) * 10 + '<|end|>'
    whole = [*fields['tokens'][:1], *fields['targets']]
    assert T.decode(whole) == (
      f'<bos><|user|>Question {i}?<|end|><|assistant|>{str(i % 10) * 10}<|end|>'
    )
    seen += 1
  assert seen == 40


def test_several_conversations_share_a_sequence_but_none_is_split(chats):
  assert len(chats) < 40
  assert all(piece == 0 for _, piece, _ in segments(chats))
  assert chats.info['splits'] == 0


def test_fields_have_the_documented_types_and_shapes(documents):
  sequence = documents[0][0]
  assert list(sequence) == list(records.FIELDS)
  for name, field in sequence.items():
    assert field.shape == (64,)
    assert field.dtype == (np.float32 if name == 'loss_weights' else np.int32)


def test_counts_are_those_of_the_sequences(documents, chats):
  for source in (documents[0], chats):
    counted = [
      ((s['segment_ids'] > 0).sum(), s['loss_weights'].sum())
      for s in (source[i] for i in range(len(source)))
    ]
    np.testing.assert_array_equal(source.counts, counted)
    tokens, loss_tokens = np.sum(counted, axis=0)
    assert source.info['tokens'] == tokens
    assert source.info['loss_tokens'] == loss_tokens
    assert source.info['sequences'] == len(source)
    assert source.info['fill'] == tokens / (64 * len(source))
  assert documents[0].info['tokens'] == sum(LENGTHS)
  assert documents[0].info['documents'] == len(LENGTHS)


def test_documents_can_be_found_in_their_file(documents):
  source, texts = documents
  for index, (document, text) in enumerate(texts.items()):
    assert source.document(index) == {
      'id': document,
      'file': 'a.jsonl',
      'row': index,
      'tokens': len(text) + 2,
      'pieces': -(-(len(text) + 1) // 64),
    }
  with pytest.raises(IndexError):
    source.document(len(texts))


def test_manifest_lists_the_sha256_of_every_shard(tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', LENGTHS)
  source = prepare(tmp_path, 'source', path, shards=3)
  files = storage.read_manifest(source.path, kind='prepared').files
  shards = [s['name'] for s in source.info['shards']]
  assert len(shards) == 3
  for name in shards:
    file = tmp_path / 'source' / name
    assert files[name]['sha256'] == storage.sha256_file(file)
  assert sorted(os.listdir(source.path)) == sorted([*files, 'manifest.json'])


def test_the_number_of_shards_does_not_change_the_content(tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', LENGTHS)
  one = prepare(tmp_path, 'one', path, shards=1)
  many = prepare(tmp_path, 'many', path, shards=7)
  most = prepare(tmp_path, 'most', path, shards=10_000)
  assert len(most.info['shards']) == len(one)
  assert one.fingerprint == many.fingerprint == most.fingerprint
  for index in range(len(one)):
    for name, field in one[index].items():
      np.testing.assert_array_equal(many[index][name], field)
      np.testing.assert_array_equal(most[index][name], field)


def test_preparing_again_gives_the_same_bytes(tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', LENGTHS)
  prepare(tmp_path, 'a', path)
  prepare(tmp_path, 'b', path)
  a = storage.read_manifest(tmp_path / 'a')
  assert storage.read_manifest(tmp_path / 'b').fingerprint == a.fingerprint


def test_data_fingerprint_is_of_content_not_of_format(tmp_path):
  jsonl = write_documents(tmp_path / 'a.jsonl', LENGTHS)
  rows = read_jsonl(jsonl)
  table = pa.Table.from_pylist([{**r, 'genre': 'email'} for r in rows])
  pq.write_table(table, tmp_path / 'b.parquet')
  a = prepare(tmp_path, 'a', jsonl)
  b = prepare(tmp_path, 'b', str(tmp_path / 'b.parquet'))
  assert a.fingerprint == b.fingerprint


def test_fingerprint_changes_with_all_that_changes_the_result(tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', LENGTHS)
  other = write_documents(tmp_path / 'b.jsonl', LENGTHS, prefix='e')
  rows = read_jsonl(path)
  turned = write_jsonl(tmp_path / 'c.jsonl', rows[::-1])
  variants = [
    prepare(tmp_path, '0', path),
    prepare(tmp_path, '1', other),
    prepare(tmp_path, '2', turned),
    prepare(tmp_path, '3', path, seq_len=65),
    prepare(tmp_path, '4', path, seed=1),
    prepare(tmp_path, '5', path, tokenizer=ByteTokenizer('other')),
    prepare(tmp_path, '6', path, tokenizer=ByteTokenizer(template='other')),
    prepare(tmp_path, '7', path, on_long_conversation='drop'),
  ]
  assert len({v.fingerprint for v in variants}) == len(variants)
  again = prepare(tmp_path, '8', path)
  assert again.fingerprint == variants[0].fingerprint


def test_fingerprint_is_of_all_data_also_of_what_was_dropped(tmp_path):
  kept = write_chats(tmp_path / 'a.jsonl', 4)
  sources = []
  for name, answer in (('x', 100), ('y', 101)):
    long = write_chats(tmp_path / f'{name}.jsonl', 3, answer=answer)
    sources.append(
      data.prepare_source(
        [kept, long],
        T,
        tmp_path / name,
        seq_len=64,
        on_long_conversation='drop',
      )
    )
  x, y = (s.info['fingerprints'] for s in sources)
  assert x['sequences'] == y['sequences']
  assert x['data'] != y['data']
  assert sources[0].fingerprint != sources[1].fingerprint


def test_fingerprint_changes_with_the_packer(tmp_path, monkeypatch):
  path = write_documents(tmp_path / 'a.jsonl', LENGTHS)
  first = prepare(tmp_path, 'a', path)
  monkeypatch.setattr('msm_jax.data.packing.VERSION', 999)
  assert prepare(tmp_path, 'b', path).fingerprint != first.fingerprint


def test_a_conversation_longer_than_a_sequence_is_named(tmp_path):
  path = write_chats(tmp_path / 'a.jsonl', 3, answer=60)
  with pytest.raises(data.SourceError) as error:
    prepare(tmp_path, 'source', path)
  message = str(error.value)
  assert "row 0 (id 'c0')" in message
  assert '75 tokens, a sequence 64' in message
  assert 'on_long_conversation=drop' in message
  assert not (tmp_path / 'source').exists()


def test_a_conversation_that_just_fits_is_kept(tmp_path):
  path = write_chats(tmp_path / 'a.jsonl', 3, answer=49)
  assert prepare(tmp_path, 'source', path).info['tokens'] == 3 * 64


def test_long_conversations_are_dropped_and_counted_by_choice(tmp_path):
  path = write_chats(tmp_path / 'a.jsonl', 4)
  long = write_chats(tmp_path / 'b.jsonl', 30, answer=100)
  source = data.prepare_source(
    [path, long],
    T,
    tmp_path / 'source',
    seq_len=64,
    on_long_conversation='drop',
  )
  assert source.info['documents'] == 4
  assert source.info['dropped'] == 30
  assert source.info['dropped_ids'] == [f'c{i}' for i in range(20)]
  assert 'dropped' in data.describe_source(source)
  assert '30 longer than a sequence' in data.describe_source(source)


def test_a_source_of_which_all_is_dropped_is_empty(tmp_path):
  long = write_chats(tmp_path / 'b.jsonl', 5, answer=100)
  with pytest.raises(data.SourceError, match='all 5 conversations'):
    prepare(tmp_path, 'source', long, on_long_conversation='drop')


@pytest.mark.parametrize(
  'options', [{'seq_len': 0}, {'shards': -1}, {'on_long_conversation': 'cut'}]
)
def test_an_argument_that_makes_no_sense_is_refused(tmp_path, options):
  path = write_chats(tmp_path / 'a.jsonl', 4)
  with pytest.raises(ValueError, match=next(iter(options))):
    prepare(tmp_path, 'source', path, **options)


def test_a_poor_fill_is_told_with_the_length_that_would_do(tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', [40] * 600)
  poor = prepare(tmp_path, 'poor', path)
  assert poor.info['fill'] == 40 / 64
  # 128 holds 3 × 40 = 120 (94 %), 192 holds 160, 256 240, 320 all of 8 × 40.
  assert '--seq_len=320 would fill 98%' in data.describe_source(poor)
  good = prepare(tmp_path, 'good', path, seq_len=320)
  assert good.info['fill'] >= 0.98
  assert '--seq_len' not in data.describe_source(good)


def test_no_length_is_proposed_where_none_would_do(tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', [40])
  assert '--seq_len' not in data.describe_source(prepare(tmp_path, 's', path))


def first_shard(source: data.PreparedSource) -> pathlib.Path:
  return pathlib.Path(source.path) / source.info['shards'][0]['name']


def test_a_shard_that_was_cut_short_is_refused(tmp_path):
  source = prepare(tmp_path, 's', write_chats(tmp_path / 'a.jsonl', 50))
  shard = first_shard(source)
  content = shard.read_bytes()
  shard.write_bytes(content[: len(content) // 2])
  with pytest.raises(storage.CorruptError, match=f'{shard.name}.*cut short'):
    data.PreparedSource.open(source.path)


def test_a_shard_with_one_changed_byte_is_refused(tmp_path):
  source = prepare(tmp_path, 's', write_chats(tmp_path / 'a.jsonl', 50))
  shard = first_shard(source)
  content = bytearray(shard.read_bytes())
  content[len(content) // 2] ^= 1
  shard.write_bytes(content)
  with pytest.raises(storage.CorruptError, match=f'{shard.name}.*SHA-256'):
    data.PreparedSource.open(source.path)


def test_a_shard_that_is_missing_is_refused(tmp_path):
  source = prepare(tmp_path, 's', write_chats(tmp_path / 'a.jsonl', 50))
  first_shard(source).unlink()
  with pytest.raises(storage.CorruptError, match='missing'):
    data.PreparedSource.open(source.path)


def test_a_half_written_array_record_is_no_source(tmp_path):
  """As a killed writer leaves it: ArrayRecord may open it, with no records."""
  source = prepare(tmp_path, 's', write_chats(tmp_path / 'a.jsonl', 50))
  (tmp_path / 'half').mkdir()
  shard = first_shard(source)
  content = shard.read_bytes()
  (tmp_path / 'half' / shard.name).write_bytes(content[: len(content) // 2])
  with pytest.raises(storage.NotPublishedError, match='half'):
    data.PreparedSource.open(tmp_path / 'half')


def test_record_counts_must_be_those_of_the_manifest(tmp_path):
  """Even where every checksum holds."""
  source = prepare(tmp_path, 's', write_chats(tmp_path / 'a.jsonl', 50))
  with storage.publish(tmp_path / 'wrong', kind='prepared') as publication:
    for file in pathlib.Path(source.path).iterdir():
      if file.name != 'manifest.json':
        (publication.dir / file.name).write_bytes(file.read_bytes())
    publication.info.update(source.info, sequences=len(source) + 1)
  with pytest.raises(storage.CorruptError, match='manifest says'):
    data.PreparedSource.open(tmp_path / 'wrong')


def test_a_directory_of_another_kind_is_refused(tmp_path):
  with storage.publish(tmp_path / 'a', kind='corpus'):
    pass
  with pytest.raises(storage.CorruptError, match='corpus'):
    data.PreparedSource.open(tmp_path / 'a')


def test_checksums_are_verified_once_until_a_file_changes(
  tmp_path, monkeypatch
):
  source = prepare(tmp_path, 's', write_chats(tmp_path / 'a.jsonl', 50))
  verified = []
  real = storage.verify
  monkeypatch.setattr(
    storage, 'verify', lambda *a, **k: verified.append(a) or real(*a, **k)
  )
  for _ in range(3):
    data.PreparedSource.open(source.path)
  assert len(verified) == 0  # `prepare_source` itself opened it already.
  shard = first_shard(source)
  os.utime(shard, ns=(1, 1))
  data.PreparedSource.open(source.path)
  data.PreparedSource.open(source.path)
  assert len(verified) == 1


def test_bytes_that_are_no_record_are_refused():
  good = records.Record(
    np.zeros((5, 4), np.int32), np.zeros((1, 2), np.int32)
  ).to_bytes()
  assert records.Record.from_bytes(good).fields.shape == (5, 4)
  for bad in (good[:-4], good + b'1234', b'', b'123', b'\0' * len(good)):
    with pytest.raises(records.RecordError):
      records.Record.from_bytes(bad)


_PREPARE_ON_A_SMALL_DISK = """
import resource, signal, sys
from byte_tokenizer import ByteTokenizer
from msm_jax import data
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
data.prepare_source([sys.argv[1]], ByteTokenizer(), sys.argv[2], seq_len=64)
"""


def test_a_full_disk_is_an_error_and_publishes_nothing(tmp_path):
  rng = np.random.default_rng(0)
  rows = [
    {'text': ''.join(map(chr, rng.integers(32, 127, 60)))} for _ in range(400)
  ]
  path = write_jsonl(tmp_path / 'a.jsonl', rows)
  sizes = [
    f['bytes']
    for f in storage.read_manifest(
      prepare(tmp_path, 'enough', path).path
    ).files.values()
  ]
  scratch = 4 * 400 * 62  # the flat file of tokens
  assert max(sizes) > scratch, 'the limit must be hit by a shard'
  tests = str(pathlib.Path(__file__).parent)
  for limit in (scratch // 2, (scratch + max(sizes)) // 2):
    done = subprocess.run(
      [
        sys.executable,
        '-c',
        _PREPARE_ON_A_SMALL_DISK,
        path,
        str(tmp_path / 'out'),
        str(limit),
      ],
      env={**os.environ, 'PYTHONPATH': tests},
      capture_output=True,
      text=True,
      check=False,
    )
    assert done.returncode == 1
    assert 'OSError' in done.stderr.splitlines()[-1]
    assert 'File too large' in done.stderr.splitlines()[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.jsonl', 'enough']
