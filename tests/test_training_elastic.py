"""A run that is killed goes on, on other devices than it began on."""

import numpy as np
import processes
import pytest
import tiny_run

TOTAL, BOUNDARY = 70, 40
KILLED_AT = 15
FIRST = 4, {'fsdp': 4}
THEN = 4, {'data': 1, 'fsdp': 2, 'context': 2}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  path = tmp_path_factory.mktemp('elastic')
  tiny_run.make_sources(path)
  return path


def _config(root):
  return f'{processes.ROOT}/tests/tiny_run.py:{root},mesh'


def _flags(mesh):
  return [f'--config.mesh.{axis}={size}' for axis, size in mesh.items()]


@pytest.fixture(scope='module')
def undisturbed(root):
  """Of one device."""
  workdir = root / 'undisturbed'
  processes.finish(_config(root), workdir)
  return processes.records(workdir)


@pytest.fixture(scope='module')
def moved(root):
  """Killed on one mesh, and ended on another."""
  workdir = root / 'moved'
  devices, mesh = FIRST
  process = processes.start(
    _config(root), workdir, *_flags(mesh), devices=devices
  )
  processes.wait_until(
    process, lambda: processes.last_step(workdir) >= KILLED_AT, workdir
  )
  process.kill()
  process.wait()
  devices, mesh = THEN
  processes.finish(_config(root), workdir, *_flags(mesh), devices=devices)
  return workdir


def test_a_run_that_moves_to_another_mesh_sees_the_same_data(
  moved, undisturbed
):
  records = processes.records(moved)
  assert [r['step'] for r in records] == list(range(1, TOTAL + 1))
  for key in ('phase', 'update', 'tokens', 'loss_tokens', 'learning_rate'):
    assert [r[key] for r in records] == [r[key] for r in undisturbed]


def test_a_run_that_moves_to_another_mesh_learns_the_same(moved, undisturbed):
  # The first update of the second phase included. From there on the loss rises
  # before it falls, and what two runs differ by grows fiftyfold an update.
  pairs = zip(processes.records(moved), undisturbed, strict=True)
  for ours, theirs in list(pairs)[: BOUNDARY + 1]:
    for key in ('loss', 'grad_norm', 'log_z_squared'):
      np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5)


def test_it_went_on_from_a_checkpoint_on_the_other_mesh(moved):
  said = processes.read_log(moved)
  assert 'continuing from the checkpoint of step 12' in said
  assert 'mesh: fsdp 4' in said
  assert 'mesh: fsdp 2, context 2' in said
