"""The same commands on `gs://`, against an emulator over real HTTP."""

import json
import pathlib
import subprocess
import sys

import gcs
import pytest

ROOT = pathlib.Path(__file__).parent.parent

_STORAGE = """
import json, pathlib, sys
from msm_jax import storage

root = sys.argv[1]
storage.write_atomic(f'{root}/a.txt', 'old')
storage.write_atomic(f'{root}/a.txt', 'new')
try:
  with storage.publish(f'{root}/broken', kind='test') as publication:
    (publication.dir / 'half').write_text('x')
    raise KeyboardInterrupt
except KeyboardInterrupt:
  pass
with storage.publish(f'{root}/whole', kind='test') as publication:
  (publication.dir / 'deep').mkdir()
  (publication.dir / 'deep' / 'file').write_text('content')
storage.verify(f'{root}/whole')
found = {
  'a': storage.read_text(f'{root}/a.txt'),
  'broken': storage.list_dir(f'{root}/broken'),
  'whole': storage.list_dir(f'{root}/whole'),
  'deep': storage.read_text(f'{root}/whole/deep/file'),
}
storage.write_atomic(f'{root}/whole/deep/file', 'contents')
try:
  storage.verify(f'{root}/whole')
except storage.CorruptError as e:
  found['error'] = str(e)
print(json.dumps(found))
"""


_OPEN = """
import sys
from msm_jax import data

source = data.PreparedSource.open(sys.argv[1])
print(sum(len(source.origins(i)) for i in range(len(source))))
"""


@pytest.fixture(scope='module')
def environment():
  with gcs.emulator() as server:
    yield server.environment


def run(environment, *arguments):
  done = subprocess.run(
    [sys.executable, *arguments],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  return done.stdout


def test_what_is_published_in_a_bucket_is_whole_or_not_there(environment):
  out = run(environment, '-c', _STORAGE, f'gs://{gcs.BUCKET}/storage')
  found = json.loads(out.splitlines()[-1])
  error = found.pop('error')
  assert found == {
    'a': 'new',
    'broken': [],
    'whole': ['deep', 'manifest.json'],
    'deep': 'content',
  }
  assert 'deep/file' in error


def test_a_corpus_goes_to_a_bucket_and_is_prepared_from_there_to_there(
  environment, tmp_path
):
  root = f'gs://{gcs.BUCKET}/corpora'
  corpus = f'{root}/offline'
  config = ROOT / 'configs/data/offline.py'
  arguments = ('-m', 'data_gen', f'--config={config}:documents=1')
  out = run(
    environment,
    *arguments,
    f'--traits={ROOT / "data_gen/traits/quickstart.md"}',
    f'--out={corpus}',
    f'--store={tmp_path / "answers.sqlite"}',
  )
  assert f'published {corpus}' in out
  run(
    environment,
    *('-m', 'msm_jax.train_tokenizer', f'--input={corpus}/documents'),
    *('--vocab_size=600', f'--out={root}/tokenizer'),
  )
  run(
    environment,
    *('-m', 'msm_jax.prepare', f'--input={corpus}/documents'),
    f'--tokenizer={root}/tokenizer',
    *('--seq_len=256', f'--out={root}/prepared'),
  )
  out = run(environment, '-c', _OPEN, f'{root}/prepared')
  assert int(out.splitlines()[-1]) >= 12
