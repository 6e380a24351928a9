"""JSONL: the same rows, and `prepare` makes the same of them."""

import json
import os
import pathlib
import subprocess
import sys

from byte_tokenizer import ByteTokenizer
import corpus_rows
import pyarrow.parquet as pq
import pytest

from data_gen.corpus import checking
from data_gen.corpus import columns
from data_gen.corpus import export
from data_gen.corpus.writing import write_corpus
from msm_jax import data
from msm_jax import storage

SOURCES = ('chats', 'documents', 'neutral')
ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope='module')
def corpus(tmp_path_factory) -> pathlib.Path:
  out = tmp_path_factory.mktemp('export') / 'corpus'
  write_corpus(
    out,
    corpus_rows.some_rows(),
    info={},
    traits=corpus_rows.TRAITS,
    config={},
    command='x',
    rows_per_shard=9,
  )
  return out


def read_jsonl(path) -> list[dict]:
  text = storage.read_text(path)
  # Not `splitlines`, which also splits at U+2028.
  return [json.loads(line) for line in text.split('\n') if line]


def test_every_row_is_exported_with_all_of_its_columns(corpus, tmp_path):
  rows = corpus_rows.some_rows()
  export.export_jsonl(corpus, tmp_path / 'jsonl', rejected=True)
  for source in SOURCES:
    raw = read_jsonl(tmp_path / 'jsonl' / f'{source}.jsonl')
    expected = corpus_rows.of_source(rows, source)
    assert [columns.from_dict(r) for r in raw] == expected
    table = pq.read_table(corpus / source)
    assert raw == table.to_pylist()
  raw = read_jsonl(tmp_path / 'jsonl' / 'rejected.jsonl')
  assert [r['id'] for r in raw] == [r.id for r in rows if not r.accepted]


def test_rejected_rows_are_exported_only_when_asked_for(corpus, tmp_path):
  manifest = export.export_jsonl(corpus, tmp_path / 'jsonl')
  assert list(manifest.files) == [f'{s}.jsonl' for s in SOURCES]


@pytest.mark.parametrize('source', SOURCES)
def test_prepare_makes_the_same_of_it(corpus, tmp_path, source):
  export.export_jsonl(corpus, tmp_path / 'jsonl')
  made = [
    data.prepare_source(
      [path],
      ByteTokenizer(),
      tmp_path / name,
      seq_len=256,
      on_long_conversation='drop',
    )
    for name, path in (
      ('a', corpus / source),
      ('b', tmp_path / 'jsonl' / f'{source}.jsonl'),
    )
  ]
  assert made[0].fingerprint == made[1].fingerprint
  assert made[0].provenance == made[1].provenance
  for i in range(made[0].info['documents']):
    a, b = made[0].document(i), made[1].document(i)
    assert {k: v for k, v in a.items() if k not in ('file', 'row')} == {
      k: v for k, v in b.items() if k not in ('file', 'row')
    }


def test_buckets_are_read_and_written(corpus, tmp_path, cloud):
  remote = 'gs://test-bucket/corpora'
  write_corpus(
    f'{remote}/corpus',
    corpus_rows.some_rows(),
    info={},
    traits=corpus_rows.TRAITS,
    config={},
    command='x',
    rows_per_shard=9,
  )
  export.export_jsonl(f'{remote}/corpus', f'{remote}/jsonl')
  local = export.export_jsonl(corpus, tmp_path / 'jsonl')
  assert storage.verify(f'{remote}/jsonl', kind=export.KIND) == local


def run(*flags):
  return subprocess.run(
    [sys.executable, '-m', 'data_gen.corpus.export', *flags],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )


def test_the_command_publishes_and_names_the_files(corpus, tmp_path):
  out = tmp_path / 'jsonl'
  done = run(f'--corpus={corpus}', f'--out={out}', '--rejected')
  assert done.returncode == 0, done.stderr
  assert sorted(os.listdir(out)) == sorted(
    [*(f'{s}.jsonl' for s in (*SOURCES, 'rejected')), 'manifest.json']
  )
  assert 'documents.jsonl' in done.stdout


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
  done = run(f'--corpus={tmp_path / "none"}', f'--out={tmp_path / "out"}')
  assert done.returncode == 1
  (line,) = done.stderr.splitlines()
  assert line.startswith('export: ')
  assert 'no manifest.json' in line
  assert not (tmp_path / 'out').exists()


def test_a_damaged_corpus_is_not_exported(corpus, tmp_path):
  out = tmp_path / 'corpus'
  write_corpus(
    out,
    corpus_rows.some_rows(),
    info={},
    traits=corpus_rows.TRAITS,
    config={},
    command='x',
  )
  shard = out / 'chats' / '00000.parquet'
  shard.write_bytes(shard.read_bytes()[:-1])
  with pytest.raises(storage.CorruptError, match='chats/00000'):
    export.export_jsonl(out, tmp_path / 'jsonl')
  assert not (tmp_path / 'jsonl').exists()


def test_another_directory_is_no_corpus(tmp_path):
  with storage.publish(tmp_path / 'x', kind='corpus'):
    pass
  with pytest.raises(checking.CorpusError):
    export.export_jsonl(tmp_path / 'x', tmp_path / 'jsonl')
