"""`python -m msm_jax.train_tokenizer` and `python -m msm_jax.prepare`."""

import os
import pathlib
import signal
import subprocess
import sys

from prepared_sources import write_chats
from prepared_sources import write_documents
from prepared_sources import write_jsonl
import pytest

from msm_jax import data
from msm_jax import storage
from msm_jax import tokenizers


def run(module, *flags):
  return subprocess.run(
    [sys.executable, '-m', module, *flags],
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.fixture(scope='module')
def corpus(tmp_path_factory) -> pathlib.Path:
  """A directory with documents, chats, and a tokenizer trained by command."""
  directory = tmp_path_factory.mktemp('corpus')
  docs = write_documents(directory / 'docs.jsonl', list(range(10, 400, 3)))
  chats = write_chats(directory / 'chats.jsonl', 50)
  done = run(
    'msm_jax.train_tokenizer',
    f'--input={docs},{chats}',
    '--vocab_size=400',
    f'--out={directory / "tokenizer"}',
  )
  assert done.returncode == 0, done.stderr
  assert '400 bpe pieces' in done.stdout
  return directory


def prepare(corpus, name, out, *flags):
  return run(
    'msm_jax.prepare',
    f'--input={corpus / name}',
    f'--tokenizer={corpus / "tokenizer"}',
    f'--out={out}',
    *flags,
  )


def test_a_tokenizer_is_trained_on_documents_and_on_messages(corpus):
  t = tokenizers.load_tokenizer(corpus / 'tokenizer')
  # 'Question' occurs in the chats only.
  assert len(t.encode('Question')) < len('Question')
  info = storage.read_manifest(corpus / 'tokenizer', kind='tokenizer').info
  assert info['model_type'] == 'bpe'
  assert info['vocab_size'] == t.vocab_size == 400
  assert info['fingerprint'] == t.fingerprint


def test_prepare_prints_what_it_published(corpus, tmp_path):
  out = tmp_path / 'docs'
  done = prepare(corpus, 'docs.jsonl', out, '--seq_len=128', '--shards=2')
  assert done.returncode == 0, done.stderr
  source = data.PreparedSource.open(out)
  printed = dict(
    line.split(maxsplit=1) for line in done.stdout.splitlines() if line.strip()
  )
  assert printed['documents'] == str(source.info['documents']) == '130'
  assert printed['tokens'] == f'{source.info["tokens"]:,}'
  assert printed['fill'] == f'{source.info["fill"]:.2%}'
  assert printed['fingerprint'] == source.fingerprint
  assert printed['shards'] == '2'
  assert 'tokens/s' in done.stderr
  assert 'ETA' in done.stderr


def test_prepare_tells_the_kind_by_the_columns(corpus, tmp_path):
  done = prepare(corpus, 'chats.jsonl', tmp_path / 'chats', '--seq_len=128')
  assert done.returncode == 0, done.stderr
  source = data.PreparedSource.open(tmp_path / 'chats')
  assert source.info['source_kind'] == 'conversations'
  assert 0 < source.info['loss_tokens'] < source.info['tokens']


def test_prepare_says_what_is_wrong_in_one_line(corpus, tmp_path):
  done = prepare(corpus, 'chats.jsonl', tmp_path / 'chats', '--seq_len=16')
  assert done.returncode == 1
  last = done.stderr.splitlines()[-1]
  assert last.startswith('prepare: ')
  assert "row 0 (id 'c0')" in last
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'chats').exists()


def test_train_tokenizer_says_what_is_wrong_in_one_line(corpus, tmp_path):
  write_jsonl(tmp_path / 'empty.jsonl', [])
  done = run(
    'msm_jax.train_tokenizer',
    f'--input={tmp_path / "empty.jsonl"}',
    '--vocab_size=400',
    f'--out={tmp_path / "tokenizer"}',
  )
  assert done.returncode == 1
  (line,) = done.stderr.splitlines()
  assert line.startswith('train_tokenizer: ')
  assert 'empty.jsonl: is empty' in line
  assert not (tmp_path / 'tokenizer').exists()


# Runs `prepare_source`, and is killed when it calls a function the n-th time.
_PREPARE_AND_DIE = """
import importlib, os, signal, sys

from msm_jax import data, tokenizers

inputs, tokenizer, out, module, name, calls = sys.argv[1:]
module = importlib.import_module(module)
real, left = getattr(module, name), int(calls)

def dying(*args, **kwargs):
  global left
  left -= 1
  if left == 0:
    os.kill(os.getpid(), signal.SIGKILL)
  return real(*args, **kwargs)

setattr(module, name, dying)
data.prepare_source(
  [inputs], tokenizers.load_tokenizer(tokenizer), out, seq_len=64, shards=3
)
"""

KILL_POINTS = {
  'before the first token': ('msm_jax.data.encoding', '_encode_chunk', 1),
  'while tokenising': ('msm_jax.data.encoding', '_is_too_long', 100),
  'before packing': ('msm_jax.data.packing', 'pack', 1),
  'before left-overs are packed': ('msm_jax.data.packing', 'pack', 2),
  'in the second shard': ('msm_jax.data.writing', 'gather_records', 2),
  'with all shards written': ('msm_jax.data.preparing', '_collect_files', 1),
  'with all files written': ('msm_jax.data.preparing', '_describe', 1),
  # Of one part, the left-overs, three shards, and of the whole.
  'before the manifest': ('msm_jax.storage._publish', '_describe_files', 6),
  'before the rename': ('msm_jax.storage._publish', '_replace_directory', 6),
}


def kill_prepare(corpus, name, out, point):
  done = subprocess.run(
    [
      sys.executable,
      '-c',
      _PREPARE_AND_DIE,
      str(corpus / name),
      str(corpus / 'tokenizer'),
      str(out),
      *map(str, KILL_POINTS[point]),
    ],
    capture_output=True,
    check=False,
  )
  assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize('point', KILL_POINTS)
def test_a_killed_prepare_leaves_nothing_a_reader_accepts(
  corpus, tmp_path, point
):
  out = tmp_path / 'docs'
  kill_prepare(corpus, 'docs.jsonl', out, point)
  left = list(tmp_path.iterdir())
  assert left, 'killed before it began to write'
  # Before the rename, what is staged is whole, but not in its place.
  whole = left if point == 'before the rename' else []
  for directory in [out, *(d for d in left if d not in whole)]:
    with pytest.raises((storage.NotPublishedError, storage.CorruptError)):
      data.PreparedSource.open(directory)

  # Running it again cleans up, and gives what it always gives.
  t = tokenizers.load_tokenizer(corpus / 'tokenizer')
  docs = [corpus / 'docs.jsonl']
  again = data.prepare_source(docs, t, out, seq_len=64, shards=3)
  calm = data.prepare_source(docs, t, tmp_path / 'x', seq_len=64, shards=3)
  assert again.fingerprint == calm.fingerprint
  assert sorted(os.listdir(tmp_path)) == ['docs', 'x']


def test_a_killed_prepare_keeps_what_was_published_before(corpus, tmp_path):
  out = tmp_path / 'docs'
  t = tokenizers.load_tokenizer(corpus / 'tokenizer')
  before = data.prepare_source([corpus / 'chats.jsonl'], t, out, seq_len=64)
  kill_prepare(corpus, 'docs.jsonl', out, 'before the manifest')
  after = data.PreparedSource.open(out)
  assert after.fingerprint == before.fingerprint
  assert len(after) == len(before)
