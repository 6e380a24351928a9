"""Conversions hold a tensor at a time, restoring little beside the model."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import published_models
import pytest

HERE = pathlib.Path(__file__).parent
# 24 layers of seven matrices of 2 MiB, and an embedding of 32 MiB.
LARGE = dataclasses.replace(
  published_models.CONFIG,
  vocab_size=16384,
  d_model=1024,
  n_layers=24,
  n_heads=16,
  n_kv_heads=16,
  head_dim=64,
  d_ff=1024,
  tied_embeddings=True,
)
LARGEST = 2 * 16384 * 1024
TOTAL = 24 * 7 * 2 * 1024**2 + LARGEST
SHARD = 64_000_000


def peak(source, target) -> int:
  """Converts in a process of its own; returns its peak memory, bytes."""
  done = subprocess.run(
    [
      *(sys.executable, str(HERE / 'converting_process.py')),
      *(f'--from={source}', f'--to={target}', f'--max_shard_size={SHARD}'),
    ],
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  return int(done.stdout.split()[-1])


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """A tiny and a large published model."""
  root = tmp_path_factory.mktemp('memory')
  published_models.write(root / 'tiny', published_models.CONFIG)
  published_models.write(root / 'large', LARGE, max_file_bytes=SHARD)
  return root


@pytest.fixture(scope='module')
def imported(root):
  """Bytes by which the peak of importing grows with the model."""
  tiny, large = (
    peak(f'hf:{root / name}', root / f'{name}-ours')
    for name in ('tiny', 'large')
  )
  return large - tiny


def test_an_import_holds_one_tensor_and_less_than_a_shard(imported):
  assert TOTAL > 3 * (1.3 * LARGEST + SHARD)
  assert imported < 1.3 * LARGEST + SHARD


@pytest.mark.slow
def test_an_export_holds_one_tensor_and_less_than_a_shard(root, imported):
  del imported  # Made what is exported here.
  tiny, large = (
    peak(root / f'{name}-ours', f'hf:{root / name}-back')
    for name in ('tiny', 'large')
  )
  assert large - tiny < 1.3 * LARGEST + SHARD


@pytest.mark.slow
def test_restoring_onto_eight_devices_never_holds_the_model_twice(
  root, imported
):
  del imported
  done = subprocess.run(
    [
      *(sys.executable, str(HERE / 'restoring_process.py')),
      str(root / 'large-ours'),
    ],
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  sizes = json.loads(done.stdout.splitlines()[-1])
  assert sizes['params'] > TOTAL
  # Each device's part is read into a buffer of its own before it is on the
  # device: all of them at once would be the model twice.
  assert sizes['grown'] < 1.5 * sizes['params']
