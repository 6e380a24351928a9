"""A published corpus: what is in which file, what is counted and refused."""

import collections
import dataclasses
import os
import random
import subprocess
import sys

from byte_tokenizer import ByteTokenizer
import corpus_rows
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_gen.corpus import checking
from data_gen.corpus import reading
from data_gen.corpus.rows import GateVerdict
from data_gen.corpus.rows import Row
from data_gen.corpus.writing import write_corpus
from msm_jax import data
from msm_jax import storage

SOURCES = ('chats', 'documents', 'neutral')


@pytest.fixture(params=['local', 'gs'])
def out(request, tmp_path) -> str:
  if request.param == 'local':
    return str(tmp_path / 'corpus')
  request.getfixturevalue('cloud')
  return 'gs://test-bucket/here/corpus'


def publish(out, rows=None, **options):
  return write_corpus(
    out,
    corpus_rows.some_rows() if rows is None else rows,
    **{
      'info': {'name': 'A test', 'stage': 'pilot'},
      'traits': corpus_rows.TRAITS,
      'config': {'seed': 3, 'teacher': {'api_key_env': 'SOME_TEACHERS_KEY'}},
      'command': ['python', '-m', 'data_gen', '--out=a b'],
      **options,
    },
  )


def read_parquet(out, name) -> pa.Table:
  with storage.open_file(storage.join(out, name)) as f:
    return pq.read_table(f)


def change(row: Row, **changes) -> Row:
  return dataclasses.replace(row, **changes)


def test_rows_come_back_exactly_and_in_order(out):
  rows = corpus_rows.some_rows()
  publish(out, rows, rows_per_shard=9)
  for source in SOURCES:
    expected = corpus_rows.of_source(rows, source)
    assert list(reading.read_source(out, source)) == expected != []
  rejected = [row for row in rows if not row.accepted]
  assert list(reading.read_rejected(out)) == rejected != []
  every = list(reading.read_rows(out))
  assert len(every) == len(rows)
  assert set(every) == set(rows)


def test_what_fields_leave_open_comes_back_too(out):
  """None, empty, and the least that a row can be."""
  rows = [
    Row(id='a', source='documents', text='x'),
    Row(id='b', source='chats', messages=(('user', ''), ('assistant', 'y'))),
    Row(id='c', source='chats', accepted=False, rejected_because='x'),
    Row(
      id='d', source='chats', messages=(), accepted=False, rejected_because='x'
    ),
    Row(id='e', source='other', text='', accepted=False, rejected_because='x'),
  ]
  publish(out, rows)
  assert list(reading.read_rows(out)) == [rows[1], rows[0], *rows[2:]]


def test_training_files_hold_accepted_rows_only(out):
  rows = corpus_rows.some_rows()
  manifest = publish(out, rows, rows_per_shard=9)
  trained = collections.defaultdict(list)
  for name in manifest.files:
    if name.endswith('.parquet') and name != 'rejected.parquet':
      table = read_parquet(out, name)
      assert set(table['accepted'].to_pylist()) == {True}
      assert set(table['rejected_because'].to_pylist()) == {''}
      trained[name.split('/')[0]] += table['id'].to_pylist()
  assert trained == {
    s: [r.id for r in corpus_rows.of_source(rows, s)] for s in SOURCES
  }


def test_every_rejected_row_is_kept_with_its_reason(out):
  rows = corpus_rows.some_rows()
  publish(out, rows)
  kept = read_parquet(out, 'rejected.parquet').to_pylist()
  assert {r['id']: r['rejected_because'] for r in kept} == {
    r.id: r.rejected_because for r in rows if not r.accepted
  }
  assert all(r['rejected_because'] for r in kept)


def test_shards_are_bounded_and_named_in_the_manifest(out):
  rows = corpus_rows.some_rows()
  manifest = publish(out, rows, rows_per_shard=9)
  for source in SOURCES:
    n = len(corpus_rows.of_source(rows, source))
    shards = manifest.info['sources'][source]['shards']
    assert shards == [f'{source}/{i:05}.parquet' for i in range(-(-n // 9))]
    sizes = [read_parquet(out, s).num_rows for s in shards]
    assert sizes == [9] * (n // 9) + ([n % 9] if n % 9 else [])
    assert set(shards) <= set(manifest.files)


def test_provenance_is_nested_not_flattened_into_text(out):
  publish(out)
  table = read_parquet(out, 'documents/00000.parquet')
  lineage = table.schema.field('lineage').type
  verdicts = table.schema.field('verdicts').type
  assert lineage.value_type.field('cost_usd').type == pa.float64()
  assert lineage.value_type.field('sample').type == pa.int64()
  assert verdicts.value_type.field('passed').type == pa.bool_()
  assert table.schema.field('trait_ids').type == pa.list_(pa.string())
  assert 'messages' not in table.column_names
  chats = read_parquet(out, 'chats/00000.parquet')
  assert {'text', 'masked_prefix'}.isdisjoint(chats.column_names)
  names = {t.id: t.name for t in corpus_rows.TRAITS}
  for row in table.to_pylist():
    assert row['trait_names'] == [names[t] for t in row['trait_ids']]


def tally(rows) -> dict[str, int]:
  accepted = sum(row.accepted for row in rows)
  return {'accepted': accepted, 'rejected': len(rows) - accepted}


def test_the_manifest_counts_what_is_there(out):
  rows = corpus_rows.some_rows()
  info = publish(out, rows).info
  assert info['rows'] == tally(rows)
  for key, labels in (
    ('by_trait', lambda r: r.trait_ids),
    ('by_trait_type', lambda r: r.trait_types),
    ('by_genre', lambda r: (r.genre,) if r.genre else ()),
    ('by_variant', lambda r: (r.variant,) if r.variant else ()),
    ('by_framing', lambda r: (r.framing,) if r.framing else ()),
    ('by_domain', lambda r: (r.domain,) if r.domain else ()),
  ):
    every = {label for row in rows for label in labels(row)}
    expected = {x: tally([r for r in rows if x in labels(r)]) for x in every}
    if without := [r for r in rows if not labels(r)]:
      expected['(none)'] = tally(without)
    assert info[key] == expected, key
  for gate in {v.gate for r in rows for v in r.verdicts}:
    verdicts = [v for r in rows for v in r.verdicts if v.gate == gate]
    failed = [v.reason for v in verdicts if not v.passed]
    assert info['gates'][gate] == {
      'checked': len(verdicts),
      'failed': len(failed),
      'reasons': dict(collections.Counter(failed)),
    }
  reasons = [r.rejected_because for r in rows if not r.accepted]
  assert info['rejected_because'] == dict(collections.Counter(reasons))
  for source in SOURCES:
    mine = corpus_rows.of_source(rows, source)
    texts = [r.text or '\n'.join(c for _, c in r.messages) for r in mine]
    counted = info['sources'][source]
    assert counted['words'] == sum(len(t.split()) for t in texts)
    assert counted['characters'] == sum(map(len, texts))
    assert counted['masked_characters'] == sum(r.masked_prefix for r in mine)


def test_a_call_that_led_to_many_rows_is_paid_once(out):
  rows = corpus_rows.some_rows()
  spent = publish(out, rows).info['spent']
  steps = {s.key: s for r in rows for s in r.lineage}
  questions = [s for r in rows for s in r.lineage if s.key.endswith('0c')]
  assert len(questions) > 20
  assert spent['by_task']['chat.questions']['calls'] == 1
  assert spent['calls'] == len(steps)
  assert spent['prompt_tokens'] == 300 * len(steps)
  assert spent['completion_tokens'] == 500 * len(steps)
  priced = [s.cost_usd for s in steps.values() if s.cost_usd is not None]
  assert spent['cost_usd'] == pytest.approx(sum(priced), rel=1e-12)
  assert spent['calls_without_price'] == len(steps) - len(priced) > 0
  accepted = {s.key for r in rows if r.accepted for s in r.lineage}
  assert spent['for_accepted']['calls'] == len(accepted) < len(steps)
  assert spent['by_model']['teacher-1']['calls'] == len(steps)


def test_answers_of_no_use_are_paid_for_too(out):
  row = corpus_rows.document(0, random.Random(0))
  cut = dataclasses.replace(
    corpus_rows.step('document.draft', 'cut', 0.25), failure='truncated'
  )
  row = change(row, lineage=(cut, *row.lineage))
  spent = publish(out, [row]).info['spent']
  assert spent['of_no_use'] == {
    'calls': 1,
    'prompt_tokens': 300,
    'completion_tokens': 500,
    'cost_usd': 0.25,
    'calls_without_price': 0,
  }
  assert spent['calls'] == spent['for_accepted']['calls'] == 3
  (read,) = reading.read_source(out, row.source)
  assert read.lineage == row.lineage


def test_an_unknown_price_is_not_a_price_of_nothing(out):
  row = corpus_rows.document(0, random.Random(0))
  free = change(row, lineage=(corpus_rows.step('document.draft', 'a', None),))
  assert publish(out, [free]).info['spent']['cost_usd'] is None


def test_the_manifest_has_info_config_traits_and_command(out):
  manifest = publish(out)
  assert storage.verify(out, kind='corpus') == manifest
  info = manifest.info
  assert (info['name'], info['stage']) == ('A test', 'pilot')
  assert info['config']['seed'] == 3
  assert info['command'] == "python -m data_gen '--out=a b'"
  assert [(t['id'], t['type']) for t in info['traits']] == [
    (t.id, t.type) for t in corpus_rows.TRAITS
  ]


def test_the_same_rows_give_the_same_bytes(tmp_path):
  one = publish(tmp_path / 'one')
  assert publish(tmp_path / 'two').fingerprint == one.fingerprint


def test_further_files_are_published(out):
  publish(out, files={'plan.json': '{"é": 1}', 'prompts/draft.md': 'x'})
  assert storage.read_json(storage.join(out, 'plan.json')) == {'é': 1}
  assert storage.read_text(storage.join(out, 'prompts/draft.md')) == 'x'


@pytest.mark.parametrize(
  'name', ['card.md', 'viewer.html', 'rejected.parquet', '../x', '/tmp/x']
)
def test_further_files_take_no_name_of_the_corpus(tmp_path, name):
  with pytest.raises(checking.CorpusError, match='files: '):
    publish(tmp_path / 'corpus', files={name: ''})
  assert list(tmp_path.iterdir()) == []


def test_info_takes_no_name_that_is_counted(tmp_path):
  with pytest.raises(checking.CorpusError, match='gates'):
    publish(tmp_path / 'corpus', info={'gates': {}})


DOCUMENT = Row(id='x', source='documents', text='abc')


@pytest.mark.parametrize(
  ('row', 'needle'),
  [
    (change(DOCUMENT, id='first'), 'occurs twice'),
    (change(DOCUMENT, id=''), 'id is empty'),
    (change(DOCUMENT, source='../x'), 'name of a directory'),
    (change(DOCUMENT, source='rejected'), "not 'rejected'"),
    (change(DOCUMENT, trait_ids=('y',), trait_types=('stance',)), r"\['y'\]"),
    (change(DOCUMENT, trait_types=('stance',)), '0 trait_ids and 1'),
    (change(DOCUMENT, masked_prefix=4), 'masked_prefix is 4; expected 0 to 3'),
    (change(DOCUMENT, masked_prefix=-1), 'masked_prefix is -1'),
    (change(DOCUMENT, text=None), 'either a text or messages'),
    (change(DOCUMENT, text=''), 'either a text or messages'),
    (change(DOCUMENT, messages=(('user', 'x'),)), 'either a text or'),
    (
      change(DOCUMENT, text=None, messages=(('user', 'x'),)),
      'of conversations, but rows before it of documents',
    ),
    (change(DOCUMENT, text='a\ud800'), 'not valid Unicode'),
    (change(DOCUMENT, accepted=False), 'without a reason'),
    (change(DOCUMENT, rejected_because='x'), 'is accepted, but'),
    (
      change(DOCUMENT, verdicts=(GateVerdict('g', False, 'r'),)),
      r"failed \['g'\]",
    ),
    (
      change(DOCUMENT, verdicts=(GateVerdict('g', True, score=float('nan')),)),
      'not a finite number',
    ),
    (
      change(DOCUMENT, lineage=(corpus_rows.step('t', 'k', float('inf')),)),
      'not a finite number',
    ),
  ],
)
def test_a_row_that_contradicts_itself_is_named(tmp_path, row, needle):
  rows = [change(DOCUMENT, id='first'), row]
  with pytest.raises(checking.CorpusError, match=needle) as error:
    publish(tmp_path / 'corpus', rows)
  assert str(error.value).startswith(f'row {row.id!r} of source')
  assert not (tmp_path / 'corpus').exists()


def test_a_rejected_row_that_is_no_unicode_is_kept_as_escapes(out):
  bad = Row(
    id='bad',
    source='documents',
    text='a\ud800é',
    accepted=False,
    rejected_because='schema: \udfff',
    verdicts=(GateVerdict('schema', False, '\udfff', 'at \ud800'),),
  )
  publish(out, [bad])
  (kept,) = reading.read_rejected(out)
  assert kept.text == r'a\ud800é'
  assert kept.rejected_because == r'schema: \udfff'
  assert kept.verdicts[0].detail == r'at \ud800'


@pytest.mark.parametrize('place', ['command', 'info', 'files', 'config'])
def test_an_api_key_is_never_published(tmp_path, monkeypatch, place):
  key = 'sk-very-secret-0123456789'
  monkeypatch.setenv('SOME_TEACHERS_KEY', key)
  publish(tmp_path / 'fine')
  value = {
    'command': f'python -m data_gen --key={key}',
    'info': {'teacher': f'http://x/?key={key}'},
    'files': {'plan.json': f'"{key}"'},
    'config': [{'api_key_env': 'SOME_TEACHERS_KEY', 'base_url': key}],
  }[place]
  with pytest.raises(checking.CorpusError, match='SOME_TEACHERS_KEY') as error:
    publish(tmp_path / 'corpus', **{place: value})
  assert key not in str(error.value)
  assert not (tmp_path / 'corpus').exists()


def test_a_corpus_of_which_all_is_rejected_is_published(out):
  rejected = [r for r in corpus_rows.some_rows() if not r.accepted]
  manifest = publish(out, rejected)
  assert manifest.info['rows']['accepted'] == 0
  assert manifest.info['sources']['documents']['shards'] == []
  assert list(reading.read_rows(out)) == rejected


def test_no_rows_at_all_are_published_as_such(out):
  assert publish(out, []).info['rows'] == {'accepted': 0, 'rejected': 0}
  assert list(reading.read_rows(out)) == []


def test_a_source_that_is_not_there_is_named_with_the_nearest(out):
  publish(out)
  with pytest.raises(checking.CorpusError, match="did you mean 'documents'"):
    list(reading.read_source(out, 'document'))


def test_what_something_else_wrote_is_no_corpus_of_ours(tmp_path):
  with storage.publish(tmp_path / 'other', kind='corpus'):
    pass
  with pytest.raises(checking.CorpusError, match='other: is no corpus'):
    list(reading.read_rows(tmp_path / 'other'))


# From here on: `prepare` reads what was written.


def prepare(out, source, tmp_path) -> data.PreparedSource:
  return data.prepare_source(
    [storage.join(out, source)],
    ByteTokenizer(),
    tmp_path / f'prepared-{source}',
    seq_len=256,
    on_long_conversation='drop',
  )


@pytest.mark.parametrize('source', SOURCES)
def test_prepare_reads_a_source_with_all_of_its_provenance(
  out, tmp_path, source
):
  rows = corpus_rows.some_rows()
  publish(out, rows, rows_per_shard=9)
  prepared = prepare(out, source, tmp_path)
  expected = corpus_rows.of_source(rows, source)
  assert prepared.info['documents'] == len(expected)
  for index, row in enumerate(expected):
    known = prepared.document(index)
    assert known['id'] == row.id
    assert known['source'] == source
    assert known['trait_ids'] == list(row.trait_ids)
    assert known['trait_types'] == list(row.trait_types)
    for name in ('genre', 'variant', 'framing', 'domain', 'plan_node'):
      assert known[name] == getattr(row, name), name


def test_prepare_masks_the_prefixes_of_a_corpus(tmp_path):
  rows = corpus_rows.some_rows()
  publish(tmp_path / 'corpus', rows)
  info = prepare(tmp_path / 'corpus', 'documents', tmp_path).info
  masked = sum(
    len(r.text[: r.masked_prefix].encode())
    for r in corpus_rows.of_source(rows, 'documents')
  )
  assert info['tokens'] - info['loss_tokens'] == masked > 0


def test_prepare_takes_neither_rejected_rows_nor_all_of_a_corpus(out, tmp_path):
  publish(out)
  with pytest.raises(data.SourceError, match="both of the columns 'text'"):
    prepare(out, 'rejected.parquet', tmp_path)
  with pytest.raises(data.SourceError, match='name the part of it'):
    data.prepare_source([out], ByteTokenizer(), tmp_path / 'p', seq_len=64)


@pytest.mark.parametrize(
  'module', ['writing', 'reading', 'export', 'card', 'viewer']
)
def test_no_jax_is_needed(module):
  code = f'import data_gen.corpus.{module}, sys; sys.exit("jax" in sys.modules)'
  root = os.path.dirname(os.path.dirname(__file__))
  done = subprocess.run([sys.executable, '-c', code], cwd=root, check=False)
  assert done.returncode == 0
