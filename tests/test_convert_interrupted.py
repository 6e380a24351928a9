"""A conversion that was killed is no model to anybody; again, it is whole."""

import contextlib
import pathlib
import signal
import subprocess
import sys

import gcs
import published_models
from published_models import CONFIG
from published_models import run
import pytest

from msm_jax import storage
from msm_jax import training
from msm_jax.conversion import checkpoint

HERE = pathlib.Path(__file__).parent

_FROM_BUCKET = """
import json, sys
sys.path.insert(0, 'tests')
import jax
import numpy as np
import published_models
from published_models import run
from msm_jax import models, training
from msm_jax.conversion import checkpoint

bucket, back = sys.argv[1:]
found = checkpoint.find(bucket, 'converted')
reader = training.Checkpoints(f'{bucket}/checkpoints', read_only=True)
params = reader.params(
  0,
  models.Model(found.config),
  jax.sharding.SingleDeviceSharding(jax.devices()[0]),
)
run(bucket, f'hf:{back}', max_shard_size='20KB')
run(bucket, f'hf:{bucket}-exported', max_shard_size='20KB')
run(f'hf:{bucket}-exported', f'{bucket}-again')
embedding = np.asarray(params['embedding_VD'])
print(embedding.tobytes().hex()[:64])
"""


def killed(*arguments, env=None):
  """Converts until SIGKILL."""
  done = subprocess.run(
    [sys.executable, str(HERE / 'converting_process.py'), *arguments],
    env=env,
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def assert_same_tensors(folder, theirs):
  expected = published_models.tensors(theirs)
  found = published_models.tensors(folder)
  assert set(found) == set(expected)
  for name, value in expected.items():
    assert found[name].tobytes() == value.tobytes(), name


@pytest.fixture(scope='module')
def theirs(tmp_path_factory):
  return published_models.write(
    tmp_path_factory.mktemp('published') / 'theirs',
    CONFIG,
    max_file_bytes=30_000,
  )


def test_an_import_that_was_killed_leaves_no_model_and_is_done_again(
  theirs, tmp_path
):
  ours = tmp_path / 'ours'
  killed('--die=12', f'--from=hf:{theirs}', f'--to={ours}')
  left = [f.name for f in (ours / 'checkpoints').iterdir()]
  assert left, 'it was killed in the middle'
  with pytest.raises(training.CheckpointError, match='no phase has ended'):
    checkpoint.find(str(ours), None)
  run(f'hf:{theirs}', ours)
  assert [f.name for f in (ours / 'checkpoints').iterdir()] == ['0']
  run(ours, f'hf:{tmp_path / "back"}')
  assert_same_tensors(tmp_path / 'back', theirs)


@pytest.mark.slow
def test_an_export_that_was_killed_leaves_no_folder_and_is_done_again(
  theirs, tmp_path
):
  run(f'hf:{theirs}', tmp_path / 'ours')
  back = tmp_path / 'back'
  killed('--die=12', f'--from={tmp_path / "ours"}', f'--to=hf:{back}')
  assert not back.exists()
  run(tmp_path / 'ours', f'hf:{back}')
  assert_same_tensors(back, theirs)
  assert sorted(f.name for f in tmp_path.iterdir()) == ['back', 'ours']


@pytest.mark.slow
def test_an_export_that_was_killed_leaves_the_older_one(theirs, tmp_path):
  run(f'hf:{theirs}', tmp_path / 'ours')
  back = tmp_path / 'back'
  run(tmp_path / 'ours', f'hf:{back}')
  killed('--die=12', f'--from={tmp_path / "ours"}', f'--to=hf:{back}')
  storage.verify(back, kind='huggingface')
  assert_same_tensors(back, theirs)


@contextlib.contextmanager
def bucket_environment():
  """Environment of processes that use an emulated bucket."""
  with gcs.emulator() as server:
    yield {**server.environment, 'JAX_PLATFORMS': 'cpu'}


@pytest.mark.slow
def test_an_export_to_a_bucket_that_was_killed_is_no_model_of_two(
  theirs, tmp_path
):
  """Of the same shapes as the one before, whose place it takes."""
  other = published_models.write(tmp_path / 'other', CONFIG, seed=1)
  run(f'hf:{theirs}', tmp_path / 'ours')
  run(f'hf:{other}', tmp_path / 'our_other')
  with bucket_environment() as environment:
    bucket = f'hf:gs://{gcs.BUCKET}/exported'
    sizes = '--max_shard_size=20KB'

    def converted(source, target):
      return subprocess.run(
        [
          *(sys.executable, str(HERE / 'converting_process.py')),
          *(f'--from={source}', f'--to={target}', sizes),
        ],
        env=environment,
        capture_output=True,
        check=False,
        text=True,
      )

    assert converted(tmp_path / 'ours', bucket).returncode == 0
    killed(
      *('--die_uploading=5', sizes),
      *(f'--from={tmp_path / "our_other"}', f'--to={bucket}'),
      env=environment,
    )
    mixed = converted(bucket, tmp_path / 'mixed')
    assert mixed.returncode != 0
    assert 'has neither model.safetensors nor' in mixed.stderr
    assert 'model-00001-of-' in mixed.stderr
    assert not (tmp_path / 'mixed').exists()
    assert converted(tmp_path / 'our_other', bucket).returncode == 0
    assert converted(bucket, tmp_path / 'again').returncode == 0
  run(tmp_path / 'again', f'hf:{tmp_path / "back"}')
  assert_same_tensors(tmp_path / 'back', other)


@pytest.mark.slow
def test_a_bucket_holds_what_a_folder_does(theirs, tmp_path):
  with bucket_environment() as environment:
    bucket = f'gs://{gcs.BUCKET}/models/small'
    arguments = (f'--from=hf:{theirs}', f'--to={bucket}')
    killed('--die=12', *arguments, env=environment)
    for code in (
      [str(HERE / 'converting_process.py'), *arguments],
      ['-c', _FROM_BUCKET, bucket, str(tmp_path / 'back')],
    ):
      done = subprocess.run(
        [sys.executable, *code],
        cwd=HERE.parent,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
      )
      assert done.returncode == 0, done.stderr[-3000:]
  assert_same_tensors(tmp_path / 'back', theirs)
  embedding = published_models.tensors(theirs)['model.embed_tokens.weight']
  assert done.stdout.split()[-1] == embedding.tobytes().hex()[:64]
