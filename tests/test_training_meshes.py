"""The step on eight devices, cut in every way, against that of one device."""

import dataclasses
import json
import subprocess
import sys

import jax
import meshes
import processes
import pytest

from msm_jax import models
from msm_jax.models import layout as layout_lib
from msm_jax.training import step as step_lib


def _on_eight(script, *arguments):
  done = subprocess.run(
    [sys.executable, f'tests/{script}', *arguments],
    cwd=processes.ROOT,
    env=processes.environment()
    | {
      'XLA_FLAGS': '--xla_force_host_platform_device_count=8',
      'JAX_NUMPY_RANK_PROMOTION': 'raise',
    },
    check=False,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return [json.loads(line) for line in done.stdout.splitlines()]


def _compared(*arguments):
  rows = _on_eight('meshes.py', *arguments)
  return {(row['mesh'], row['model']): row for row in rows}


@pytest.fixture(scope='module')
def some():
  return _compared()


@pytest.fixture(scope='module')
def rest():
  return _compared('--rest')


def _check(row):
  # Norm-wise, of each parameter and of each number that is reported.
  assert row['metrics'] < 1e-5
  assert row['gradients'] < 1e-5
  whole = row['mesh'] in ('data', 'context')
  # Norms and biases of the width are on every device.
  assert row['cut'] == 0 if whole else row['cut'] > 0.5


@pytest.mark.parametrize('mesh, model', meshes.SOME)
def test_a_step_on_a_mesh_is_that_of_one_device(some, mesh, model):
  _check(some[mesh, model])


def test_the_loss_without_gradients_is_that_of_one_device(some):
  assert some[meshes.SOME[0][0], 'loss']['loss'] < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize('mesh, model', meshes.REST)
def test_a_step_on_other_meshes_is_that_of_one_device(rest, mesh, model):
  _check(rest[mesh, model])


def test_copies_exchange_their_parts_of_the_gradient_once_an_update():
  (found,) = _on_eight('copies.py')
  assert set(found['exchanged']) == {'1', '2', '4'}
  for exchanged in found['exchanged'].values():
    # Besides gradients there are the sums of every row.
    assert found['part'] <= exchanged < found['part'] + 512


def _layout(**sizes):
  """A mesh without devices."""
  of_axes = [sizes.get(axis, 1) for axis in layout_lib.MESH_AXES]
  return models.Layout(
    jax.sharding.AbstractMesh(tuple(of_axes), layout_lib.MESH_AXES)
  )


def _key(**changes):
  key = meshes._key(meshes.MODELS['adapters'], 1)
  return dataclasses.replace(key, **changes)


@pytest.mark.parametrize(
  'sizes, changes, message',
  [
    (
      {'data': 2, 'fsdp': 3},
      {},
      r'batch_size: 16 is not a multiple of accumulation × mesh\.data × '
      r'mesh\.fsdp = 1 × 6',
    ),
    (
      {'context': 3},
      {'seq_len': 32},
      r'seq_len: 32 is not a multiple of 2 × mesh\.context = 2 × 3',
    ),
    (
      {'context': 4},
      {'loss_chunk': 2},
      r'loss_chunk: 2 is not a multiple of mesh\.context = 4',
    ),
    (
      {'fsdp': 4, 'fsdp_inner': 2},
      {'loss_group': 4},
      r'loss_group: 4 does not divide 2, the devices of the last axis of fsdp',
    ),
    (
      {'tensor': 8},
      {},
      r"model\.n_kv_heads: its axis 'kv_heads' of size 4 cannot be cut over "
      r'mesh\.tensor = 8',
    ),
  ],
)
def test_what_does_not_divide_is_refused_by_name(sizes, changes, message):
  model = meshes.MODELS['tied heads, grouped queries, windows']
  with pytest.raises(ValueError, match=message):
    step_lib.check_shapes(model, _key(**changes), _layout(**sizes))


def test_a_parameter_that_does_not_divide_is_refused_by_name():
  model = meshes.MODELS['tied heads, grouped queries, windows']
  message = (
    r"embedding_VD: its axis 'embed' of size 16 cannot be cut over "
    r'mesh\.fsdp = 32'
  )
  with pytest.raises(ValueError, match=message):
    step_lib.check_shapes(model, _key(batch_size=32), _layout(fsdp=32))


def test_a_kernel_of_whole_sequences_is_refused_where_they_are_cut():
  config = dataclasses.replace(
    meshes.MODELS['adapters'].config, attention='blocked'
  )
  layout = _layout(context=4)
  with pytest.raises(ValueError, match=r"'blocked' needs whole sequences, but"):
    step_lib.check_shapes(models.Model(config), _key(), layout)
