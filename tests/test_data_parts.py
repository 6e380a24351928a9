"""Sources that are prepared in several parts, in one process or in several."""

import collections
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys

from byte_tokenizer import ByteTokenizer
import gcs
from hypothesis import given
from hypothesis import strategies as st
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
from msm_jax import workers as workers_lib
from msm_jax.data import parts

LENGTHS = [1 + 7 * i % 150 + (i % 5) for i in range(1, 120)]
T = ByteTokenizer()


class DyingTokenizer(ByteTokenizer):
  """Kills the process that encodes a certain text, the first time or always."""

  def __init__(self, text: str, marker: pathlib.Path | None = None):
    super().__init__()
    self._text = text
    self._marker = marker

  def encode(self, text: str) -> list[int]:
    if self._text in text:
      if self._marker is None:
        os.kill(os.getpid(), signal.SIGKILL)
      elif not self._marker.exists():
        self._marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return super().encode(text)


def files_of(source: data.PreparedSource) -> dict[str, dict]:
  """Name to size and SHA-256."""
  return storage.read_manifest(source.path).files


def pairs_of(source: data.PreparedSource) -> dict[str, list[tuple[int, int]]]:
  """Document id to its (token, target) pairs, pieces in order."""
  pieces: dict[str, dict[int, list]] = collections.defaultdict(dict)
  for index in range(len(source)):
    sequence = source[index]
    for segment, document, piece in source.origins(index):
      at = sequence['segment_ids'] == segment
      found = zip(sequence['tokens'][at], sequence['targets'][at], strict=True)
      assert piece not in pieces[document]
      pieces[document][piece] = [(int(a), int(b)) for a, b in found]
  return {
    document: [p for _, some in sorted(by_piece.items()) for p in some]
    for document, by_piece in pieces.items()
  }


@pytest.fixture(scope='module')
def corpus(tmp_path_factory) -> str:
  directory = tmp_path_factory.mktemp('corpus')
  return write_documents(directory / 'a.jsonl', LENGTHS)


@pytest.fixture(scope='module')
def in_parts(corpus, tmp_path_factory) -> data.PreparedSource:
  """12 parts, prepared by this process."""
  directory = tmp_path_factory.mktemp('in_parts')
  return prepare(directory, 's', corpus, rows_per_part=10, shards=3)


def test_no_token_of_any_part_is_lost_or_trained_twice(corpus, in_parts):
  found = pairs_of(in_parts)
  texts = {d.id: d.text for d in data.read_items([corpus])}
  assert set(found) == set(texts)
  for document, text in texts.items():
    whole = [T.bos_id, *T.encode(text), T.eos_id]
    assert found[document] == list(itertools.pairwise(whole))
  assert in_parts.counts[:, 0].sum() == in_parts.info['tokens'] == sum(LENGTHS)


def test_documents_of_parts_are_found_as_those_of_a_whole(
  corpus, in_parts, tmp_path
):
  whole = prepare(tmp_path, 'whole', corpus)
  assert whole.documents.equals(in_parts.documents)
  assert whole.info['splits'] == in_parts.info['splits']
  for key in ('data', 'tokenizer', 'packer'):
    assert whole.info['fingerprints'][key] == in_parts.info['fingerprints'][key]
  assert in_parts.info['parts'] == 12
  assert 'parts' not in whole.info


def test_left_overs_of_parts_share_sequences(tmp_path):
  """Alone, rows of 0.6 of a sequence fill 60 % of it, and others 80 %."""
  path = write_documents(tmp_path / 'a.jsonl', [60] * 20 + [40] * 20)
  source = prepare(tmp_path, 's', path, seq_len=100, rows_per_part=10)
  assert source.info['fill'] == 1.0
  assert source.info['left_over_sequences'] == len(source) == 20


def test_what_fills_a_sequence_within_its_part_stays_there(tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', [60, 39, 40, 60, 50, 49])
  source = prepare(tmp_path, 's', path, seq_len=100, rows_per_part=2)
  together = {
    frozenset(document for _, document, _ in source.origins(i))
    for i in range(len(source))
  }
  assert together == {
    frozenset(p) for p in (('d0', 'd1'), ('d2', 'd3'), ('d4', 'd5'))
  }
  assert 'left_over_sequences' not in source.info


def test_parts_fill_sequences_to_98_percent(tmp_path):
  rng = np.random.default_rng(0)
  lengths = np.minimum(rng.lognormal(4, 0.8, 1500).astype(int) + 2, 2000)
  path = write_documents(tmp_path / 'a.jsonl', lengths.tolist())
  source = prepare(tmp_path, 's', path, seq_len=256, rows_per_part=300)
  assert source.info['parts'] == 5
  assert source.info['fill'] >= 0.98
  assert source.info['left_over_sequences'] < 0.1 * len(source)


def test_parts_are_of_rows_whatever_the_files_and_their_format(
  corpus, in_parts, tmp_path
):
  lines = pathlib.Path(corpus).read_text(encoding='utf-8').splitlines()
  rows = [json.loads(line) for line in lines]
  table = pa.Table.from_pylist(rows)
  pq.write_table(table.slice(0, 37), tmp_path / 'a.parquet', row_group_size=7)
  write_jsonl(tmp_path / 'b.jsonl', rows[37:50])
  pq.write_table(table.slice(50), tmp_path / 'c.parquet')
  source = data.prepare_source(
    [tmp_path / name for name in ('a.parquet', 'b.jsonl', 'c.parquet')],
    T,
    tmp_path / 's',
    seq_len=64,
    rows_per_part=10,
  )
  assert source.fingerprint == in_parts.fingerprint


def test_blank_lines_are_rows_of_parts_but_no_documents(tmp_path):
  rows = [json.dumps({'text': f'Text {i}.'}) for i in range(9)]
  path = tmp_path / 'a.jsonl'
  path.write_text('\n'.join([*rows[:4], '', '   ', *rows[4:], '']))
  source = prepare(tmp_path, 's', str(path), rows_per_part=3)
  assert source.info['parts'] == 4
  assert source.documents['id'].to_pylist() == [
    f'a.jsonl:{i}' for i in (0, 1, 2, 3, 6, 7, 8, 9, 10)
  ]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 40))
def test_every_row_is_in_one_part(tmp_path_factory, sizes, rows_per_part):
  directory = tmp_path_factory.mktemp('files')
  files = []
  for i, size in enumerate(sizes):
    rows = [{'text': 'é' * (1 + (i + j) % 7)} for j in range(size)]
    if i % 2:
      files.append(write_jsonl(directory / f'{i}.jsonl', rows))
    else:
      files.append(str(directory / f'{i}.parquet'))
      pq.write_table(pa.Table.from_pylist(rows), files[-1], row_group_size=4)
  planned = parts.plan(files, rows_per_part)
  assert all(part.rows == rows_per_part for part in planned[:-1])
  assert 0 < planned[-1].rows <= rows_per_part
  found = [item for part in planned for item in part.items('documents')]
  assert found == list(data.read_items(files))


def test_columns_of_some_parts_are_columns_of_all(tmp_path):
  rows = [{'text': 'a', 'genre': 'email'}] * 3 + [{'text': 'b'}] * 3
  rows += [{'text': 'c', 'trait_ids': ['t']}] * 3
  path = write_jsonl(tmp_path / 'a.jsonl', rows)
  source = prepare(tmp_path, 's', path, rows_per_part=3)
  assert source.provenance == ('trait_ids', 'genre')
  assert source.documents['genre'].to_pylist() == ['email'] * 3 + [None] * 6
  assert source.documents['trait_ids'].to_pylist() == [None] * 6 + [['t']] * 3


def test_a_part_of_which_all_is_dropped_is_no_loss_to_others(tmp_path):
  long = write_chats(tmp_path / 'a.jsonl', 30, answer=100)
  kept = write_chats(tmp_path / 'b.jsonl', 6)
  source = data.prepare_source(
    *([long, kept], T, tmp_path / 's'),
    seq_len=64,
    on_long_conversation='drop',
    rows_per_part=4,
  )
  assert source.info['documents'] == 6
  assert source.info['dropped'] == 30
  assert source.info['dropped_ids'] == [f'c{i}' for i in range(20)]


@pytest.mark.parametrize('option', ['rows_per_part', 'workers'])
def test_a_number_that_makes_no_sense_is_refused(corpus, tmp_path, option):
  with pytest.raises(ValueError, match=f'{option}: 0'):
    prepare(tmp_path, 's', corpus, **{option: 0})


def test_processes_prepare_the_same_bytes_though_one_is_killed(
  corpus, in_parts, tmp_path
):
  text = [d.text for d in data.read_items([corpus])][55]
  source = prepare(
    tmp_path,
    's',
    corpus,
    tokenizer=DyingTokenizer(text, tmp_path / 'killed'),
    rows_per_part=10,
    shards=3,
    workers=2,
  )
  assert (tmp_path / 'killed').exists()
  assert files_of(source) == files_of(in_parts)
  assert source.info == in_parts.info
  assert sorted(os.listdir(tmp_path)) == ['killed', 's']


@pytest.mark.slow
def test_a_row_that_kills_every_process_is_an_error_that_names_its_part(
  corpus, tmp_path
):
  text = [d.text for d in data.read_items([corpus])][55]
  with pytest.raises(workers_lib.WorkerDiedError) as error:
    prepare(
      *(tmp_path, 's', corpus),
      tokenizer=DyingTokenizer(text),
      rows_per_part=50,
      workers=2,
    )
  assert 'a.jsonl, rows 50–99' in str(error.value)
  assert 'killed by SIGKILL' in str(error.value)
  assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_the_first_bad_row_is_named_by_processes_too(tmp_path):
  rows = [{'id': f'd{i}', 'text': 'a' * (i % 40)} for i in range(1, 120)]
  path = write_jsonl(tmp_path / 'a.jsonl', rows)
  with pytest.raises(data.SourceError, match=r"row 39 \(id 'd40'\): text is"):
    prepare(tmp_path, 's', path, rows_per_part=10, workers=2)
  assert os.listdir(tmp_path) == ['a.jsonl']


_PREPARE_IN_A_BUCKET = """
import json, sys
from byte_tokenizer import ByteTokenizer
from msm_jax import data
from msm_jax import storage
from msm_jax.data import preparing

corpus, out = sys.argv[1:]
with open(corpus, 'rb') as f:
  storage.write_atomic('gs://test-bucket/a.jsonl', f.read())

def run_twice(job):
  preparing.run_here(job)
  preparing.run_here(job)

data.prepare_source(
  ['gs://test-bucket/a.jsonl'], ByteTokenizer(), out, seq_len=64,
  rows_per_part=30, shards=3, run=run_twice, scratch='gs://test-bucket/tmp',
)
print(json.dumps(storage.list_dir('gs://test-bucket')))
"""


def test_what_stages_leave_may_lie_in_a_bucket(corpus, tmp_path):
  here = prepare(tmp_path, 'here', corpus, rows_per_part=30, shards=3)
  tests = str(pathlib.Path(__file__).parent)
  with gcs.emulator() as server:
    done = subprocess.run(
      [
        *(sys.executable, '-c', _PREPARE_IN_A_BUCKET),
        *(corpus, str(tmp_path / 'there')),
      ],
      env={**server.environment, 'PYTHONPATH': tests},
      capture_output=True,
      check=False,
      text=True,
    )
  assert done.returncode == 0, done.stderr
  there = data.PreparedSource.open(tmp_path / 'there')
  assert files_of(there) == files_of(here)
  assert there.info == here.info
  # Nothing is left of the scratch directory.
  assert json.loads(done.stdout.splitlines()[-1]) == ['a.jsonl']
