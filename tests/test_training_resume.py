"""Interrupted runs end as if they had never been interrupted."""

import json
import os
import random
import signal
import subprocess
import sys

import processes
import pytest
import tiny_run

BOUNDARY = 40
TOTAL = 70
_TIMING = {'tokens_per_second', 'mfu'}


def _config(root) -> str:
  return f'{processes.ROOT}/tests/tiny_run.py:{root},slow'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  path = tmp_path_factory.mktemp('resume')
  tiny_run.make_sources(path)
  return path


@pytest.fixture(scope='module')
def uninterrupted(root):
  """Result and metrics of a run that nothing disturbed."""
  workdir = root / 'uninterrupted'
  result = processes.finish(_config(root), workdir)
  return result, _without_timing(processes.records(workdir))


def _without_timing(records):
  return [
    {k: v for k, v in record.items() if k not in _TIMING} for record in records
  ]


def _assert_same(result, workdir, uninterrupted):
  expected_result, expected_records = uninterrupted
  assert result['params_sha256'] == expected_result['params_sha256']
  assert result['tokens'] == expected_result['tokens']
  records = _without_timing(processes.records(workdir))
  assert [r['step'] for r in records] == list(range(1, TOTAL + 1))
  assert records == expected_records


def _kill_in_step(root, workdir, at):
  """SIGKILL after record `at`, while no checkpoint is being written."""
  process = processes.start(_config(root), workdir)
  processes.wait_until(
    process, lambda: processes.last_step(workdir) >= at, workdir
  )
  processes.wait_until(
    process, lambda: not processes.unfinished_saves(workdir), workdir
  )
  process.kill()
  process.wait()
  inside = not processes.unfinished_saves(workdir)
  return 'step' if inside else 'save'


def _kill_in_save(root, workdir, at):
  """SIGKILL as soon as a checkpoint after record `at` is being written."""
  process = processes.start(_config(root), workdir)
  processes.wait_until(
    process,
    lambda: (
      processes.last_step(workdir) >= at
      and bool(processes.unfinished_saves(workdir))
    ),
    workdir,
  )
  process.kill()
  process.wait()
  return 'save' if processes.unfinished_saves(workdir) else 'step'


def _kill_at_boundary(root, workdir, at):
  """SIGKILL with the first phase's last update done and few after it."""
  del at
  process = processes.start(_config(root), workdir)
  processes.wait_until(
    process, lambda: processes.last_step(workdir) >= BOUNDARY, workdir
  )
  process.kill()
  process.wait()
  near = processes.last_step(workdir) <= BOUNDARY + 2
  return 'boundary' if near else 'step'


def test_resume_after_sigkill_is_bitwise_identical(root, uninterrupted):
  rng = random.Random(20261122)
  workdir = root / 'killed'
  positions = sorted(rng.sample(range(2, BOUNDARY - 3), 4))
  plan = [
    (_kill_in_step, positions[0]),
    (_kill_in_save, positions[0]),
    (_kill_in_step, positions[1]),
    (_kill_in_save, positions[1]),
    (_kill_in_step, positions[2]),
    (_kill_in_step, positions[3]),
    (_kill_at_boundary, BOUNDARY),
    (_kill_at_boundary, BOUNDARY),
    (_kill_in_step, BOUNDARY + rng.randint(4, 10)),
    (_kill_in_save, BOUNDARY + 10),
    (_kill_in_step, BOUNDARY + rng.randint(16, 24)),
  ]
  landed = [kill(root, workdir, at) for kill, at in plan]
  assert len(landed) >= 10
  for where in ('step', 'save', 'boundary'):
    assert landed.count(where) >= 1, landed
  result = processes.finish(_config(root), workdir)
  _assert_same(result, workdir, uninterrupted)


def test_sigterm_saves_exits_with_75_and_resumes_exactly(root, uninterrupted):
  workdir = root / 'terminated'
  process = processes.start(
    _config(root), workdir, '--config.checkpoint.every=1000'
  )
  processes.wait_until(
    process, lambda: processes.last_step(workdir) >= 10, workdir
  )
  process.send_signal(signal.SIGTERM)
  assert process.wait() == 75
  saved = [int(n) for n in os.listdir(workdir / 'checkpoints') if n.isdigit()]
  # At the signal, since no interval has passed; and at the phase's end, should
  # the machine have been that slow to send it.
  assert max(saved) == processes.last_step(workdir)
  assert set(saved) <= {BOUNDARY, processes.last_step(workdir)}
  result = processes.finish(_config(root), workdir)
  _assert_same(result, workdir, uninterrupted)


_WITH_LIMIT = """
import resource, runpy, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.argv[0] = 'train'
runpy.run_module('msm_jax.train', run_name='__main__')
"""


def test_full_disk_during_a_save_keeps_the_previous_checkpoint(
  root, uninterrupted
):
  workdir = root / 'full'
  process = processes.start(_config(root), workdir)
  processes.wait_until(
    process, lambda: processes.last_step(workdir) >= 13, workdir
  )
  process.send_signal(signal.SIGTERM)
  assert process.wait() == 75
  before = max(
    int(n) for n in os.listdir(workdir / 'checkpoints') if n.isdigit()
  )
  limited = subprocess.run(
    [
      sys.executable,
      '-c',
      _WITH_LIMIT,
      '60000',  # Bytes: the metrics fit, the moments do not.
      *processes.command(_config(root), workdir)[3:],
    ],
    cwd=processes.ROOT,
    env={**processes.environment(), 'JAX_ENABLE_COMPILATION_CACHE': 'false'},
    capture_output=True,
    text=True,
    check=False,
  )
  assert limited.returncode == 1, limited.stderr[-3000:]
  assert 'could not be written' in limited.stderr
  assert f'last good one is step {before}' in limited.stderr
  result = processes.finish(_config(root), workdir)
  _assert_same(result, workdir, uninterrupted)


def test_a_workdir_of_another_config_is_refused_and_left_alone(
  root, uninterrupted
):
  del uninterrupted
  workdir = root / 'uninterrupted'
  before = (workdir / 'metrics.jsonl').read_bytes()
  process = processes.run(
    _config(root), workdir, '--config.phases[0].schedule.peak=0.5'
  )
  assert process.returncode == 1
  assert 'phases[0].schedule.peak: there 0.01, here 0.5' in process.stderr
  assert (workdir / 'metrics.jsonl').read_bytes() == before


def test_what_does_not_change_the_result_may_change_on_resume(
  root, uninterrupted
):
  workdir = root / 'uninterrupted'
  process = processes.run(
    _config(root), workdir, '--config.checkpoint.every=11'
  )
  assert process.returncode == 0, process.stderr[-2000:]
  result = json.loads((workdir / 'result.json').read_text())
  assert result['params_sha256'] == uninterrupted[0]['params_sha256']
