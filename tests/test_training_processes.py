"""Runs of several processes, killed and continued with others."""

import json
import os
import random
import signal

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import processes
import pytest
import tiny_run

from msm_jax import training
from msm_jax.conversion import checkpoint
from msm_jax.training import result as training_result

TOTAL, BOUNDARY = 70, 40
FSDP = ['--config.mesh.fsdp=4', '--config.mesh.data=1']
TWO_BY_TWO = ['--config.mesh.fsdp=2', '--config.mesh.data=2']
_FLOAT64 = [
  '--config.model.dtype=float64',
  '--config.model.param_dtype=float64',
]
_WIDE = {'JAX_ENABLE_X64': 'true'}
_TIMING = {'tokens_per_second', 'mfu'}
_DATA = ('step', 'phase', 'update', 'tokens', 'loss_tokens', 'learning_rate')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  path = tmp_path_factory.mktemp('processes')
  tiny_run.make_sources(path)
  return path


def _start(root, name, n, *flags, variant='mesh', **options):
  config = f'{processes.ROOT}/tests/tiny_run.py:{root},{variant}'
  return processes.Group(config, root / name, n, *flags, **options)


def _start_wide(root, name, n, *flags):
  """A run in float64, which rounding hardly disturbs."""
  return _start(root, name, n, *_FLOAT64, *flags, variables=_WIDE)


def _records(workdir):
  return [
    {k: v for k, v in record.items() if k not in _TIMING}
    for record in processes.records(workdir)
  ]


def _assert_same_data(workdir, undisturbed):
  records = processes.records(workdir)
  assert [r['step'] for r in records] == list(range(1, TOTAL + 1))
  for ours, theirs in zip(records, undisturbed, strict=True):
    assert {k: ours[k] for k in _DATA} == {k: theirs[k] for k in _DATA}


def _saved(workdir, step, item):
  """The arrays of a part of a checkpoint as NumPy has them, by path."""
  folder = workdir / 'checkpoints' / str(step) / item
  handler = ocp.PyTreeCheckpointHandler()
  wanted = jax.tree.map(
    lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
    handler.metadata(folder).tree,
  )
  with ocp.Checkpointer(handler) as reader:
    tree = reader.restore(
      folder, args=ocp.args.PyTreeRestore(restore_args=wanted)
    )
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _reached(group, step):
  group.wait_until(lambda: processes.last_step(group.workdir) >= step)


def _kill_at(group, step, *which):
  """SIGKILL to these after that update; the others have to notice."""
  _reached(group, step)
  group.kill(*which)
  assert processes.last_step(group.workdir) < TOTAL


@pytest.fixture(scope='module')
def undisturbed(root):
  """Two processes that nobody disturbs: result and records."""
  group = _start(root, 'undisturbed', 2, *FSDP)
  return group.finish(), _records(group.workdir)


@pytest.fixture(scope='module')
def terminated(root):
  """SIGTERM to the second process, after a kill: what was there then."""
  rng, name = random.Random(1), 'disturbed'
  _kill_at(_start(root, name, 2, *FSDP), rng.randint(8, 16), 1)
  group = _start(root, name, 2, *FSDP)
  _reached(group, rng.randint(20, 30))
  group.members[1].send_signal(signal.SIGTERM)
  codes = group.codes()
  saved = processes.last_step(group.workdir)
  return group.workdir, codes, saved, os.listdir(group.workdir / 'checkpoints')


def test_sigterm_to_one_process_saves_on_all(terminated, root):
  _, codes, saved, steps = terminated
  assert codes == [training.EXIT_CODE] * 2
  assert saved < TOTAL and str(saved) in steps
  log = (root / 'disturbed.0.log').read_text()
  assert f'SIGTERM: saved at step {saved}' in log


def test_killed_processes_go_on_bitwise(terminated, root, undisturbed):
  workdir, _, _, _ = terminated
  rng, name = random.Random(2), workdir.name
  _kill_at(_start(root, name, 2, *FSDP), BOUNDARY, 0)
  _kill_at(_start(root, name, 2, *FSDP), rng.randint(46, 60), 0, 1)
  result = _start(root, name, 2, *FSDP).finish()
  expected, records = undisturbed
  assert _records(workdir) == records
  assert result['params_sha256'] == expected['params_sha256']
  said = (root / f'{name}.0.log').read_text()
  assert 'process 1 (' in said and 'has stopped' in said


def test_only_the_first_process_speaks(root, undisturbed):
  del undisturbed
  log = (root / 'undisturbed.1.log').read_text()
  ours = [line for line in log.splitlines() if not line.startswith('[Gloo]')]
  assert ours == []
  assert 'finished: 70 updates' in (root / 'undisturbed.0.log').read_text()


@pytest.fixture(scope='module')
def undisturbed_wide(root):
  """Four devices of one process, in float64."""
  group = _start_wide(root, 'wide', 1, *FSDP)
  group.finish()
  return group.workdir


def _assert_close(workdir, undisturbed_wide):
  """Same data, and the same parameters but for rounding."""
  _assert_same_data(workdir, processes.records(undisturbed_wide))
  ours = _saved(workdir, TOTAL, 'params')
  theirs = _saved(undisturbed_wide, TOTAL, 'params')
  assert set(ours) == set(theirs)
  for key, expected in theirs.items():
    assert ours[key].dtype == np.float64
    error = np.linalg.norm(ours[key] - expected)
    assert error <= 1e-6 * np.linalg.norm(expected), key


def test_a_run_goes_on_with_another_count_and_mesh(root, undisturbed_wide):
  _kill_at(_start_wide(root, 'moved', 1, *FSDP), 14, 0)
  group = _start_wide(root, 'moved', 2, *TWO_BY_TWO)
  group.finish()
  _assert_close(group.workdir, undisturbed_wide)
  assert 'continuing from the checkpoint of step' in group.log(0)
  assert 'mesh: data 2, fsdp 2' in group.log(0)


def _once(root, n, *mesh):
  """The workdir of a run of one update."""
  group = _start(root, f'once{n}', n, *mesh, variant='once')
  group.finish()
  return group.workdir


@pytest.fixture(scope='module')
def once(root):
  return _once(root, 1, *FSDP)


@pytest.fixture(scope='module')
def once_of_two(root):
  """Of two processes that have copies of the same parameters."""
  return _once(root, 2, *TWO_BY_TWO)


def _assert_same_update(ours, theirs):
  """Compares losses, and gradients by the first update's first moment."""
  (a,), (b,) = processes.records(ours), processes.records(theirs)
  assert a['loss'] == pytest.approx(b['loss'], rel=1e-5)
  saved, expected = (_saved(w, 1, 'optimizer') for w in (ours, theirs))
  gradients = [k for k in expected if k.startswith("['mu']")]
  assert gradients and set(saved) == set(expected)
  for key in gradients:
    error = np.linalg.norm(saved[key] - expected[key])
    assert error <= 1e-5 * np.linalg.norm(expected[key]), key


def test_an_update_of_two_processes_is_that_of_one(once_of_two, once):
  _assert_same_update(once_of_two, once)


@pytest.mark.slow
def test_an_update_of_four_processes_is_that_of_one(root, once):
  _assert_same_update(_once(root, 4, *FSDP), once)


def test_what_both_processes_have_is_written_half_by_each(once_of_two):
  folder = once_of_two / 'checkpoints' / '1' / 'params'
  written = [
    sum(f.stat().st_size for f in part.rglob('*') if f.is_file())
    for part in sorted(folder.glob('ocdbt.process_*'))
  ]
  assert len(written) == 2
  assert max(written) < 2 * min(written)


def test_what_two_processes_have_saved_is_exported_by_one(once_of_two):
  result = json.loads((once_of_two / 'result.json').read_text())
  reader = checkpoint.find(str(once_of_two), None).reader
  tree = {}
  for *folders, name in reader.paths:
    node = tree
    for folder in folders:
      node = node.setdefault(folder, {})
    node[name] = jnp.asarray(reader.read((*folders, name), None))
  assert training_result.params_sha256(tree) == result['params_sha256']


def test_a_process_that_hangs_is_named_and_the_others_end(root):
  """One stops, as one does whose machine has gone."""
  limits = [
    '--config.checkpoint.every=1000',
    '--config.watch.slow_seconds=1.0',
    '--config.watch.lost_seconds=8.0',
  ]
  group = _start(root, 'hangs', 2, *FSDP, *limits)
  _reached(group, 12)
  group.members[1].send_signal(signal.SIGSTOP)
  try:
    assert group.members[0].wait() == training.EXIT_CODE
  finally:
    group.members[1].kill()
  said = group.log(0)
  assert 'an update has taken' in said
  assert 'process 1 (' in said.split('an update has taken')[1]
  assert 'has stopped: it has not been heard of for' in said


def test_processes_that_do_other_things_are_told_so(root):
  group = _start(
    root, 'other', 2, *FSDP, own_flags={1: ['--config.phases[0].updates=41']}
  )
  assert group.codes() == [1, 1]
  for i in (0, 1):
    said = group.log(i)
    assert 'process 1 does not do the same as process 0' in said
    assert 'run.config.phases[0].updates: there 41, here 40' in said
  assert not (group.workdir / 'run.json').exists()


@pytest.mark.slow
@pytest.mark.parametrize('n', [1, 2, 4])
def test_ten_kills_between_counts_and_meshes(root, undisturbed_wide, n):
  """Any of 1, 2 or 4 processes, any subset of them, on both meshes."""
  rng, name = random.Random(n), f'ten{n}'
  steps = sorted([*rng.sample(range(3, TOTAL - 3), 9), BOUNDARY])
  for i, step in enumerate(steps):
    count = n if i % 3 else rng.choice([1, 2, 4])
    group = _start_wide(root, name, count, *(FSDP if i % 2 else TWO_BY_TWO))
    _kill_at(group, step, *rng.sample(range(count), rng.randint(1, count)))
  group = _start_wide(root, name, n, *FSDP)
  group.finish()
  _assert_close(group.workdir, undisturbed_wide)


@pytest.mark.slow
@pytest.mark.parametrize('n', [1, 2, 4])
def test_ten_kills_on_an_unchanged_count_are_bitwise(root, n):
  whole = _start(root, f'whole{n}', n, *FSDP)
  digest = whole.finish()['params_sha256']
  expected = digest, _records(whole.workdir)
  rng = random.Random(10 + n)
  for step in sorted(rng.sample(range(3, TOTAL - 3), 9) + [BOUNDARY]):
    group = _start(root, f'same{n}', n, *FSDP)
    _kill_at(group, step, *rng.sample(range(n), rng.randint(1, n)))
  group = _start(root, f'same{n}', n, *FSDP)
  result = group.finish()
  assert (result['params_sha256'], _records(group.workdir)) == expected
