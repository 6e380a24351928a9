"""Tasks in processes that die."""

import os
import pathlib
import select
import signal
import subprocess
import sys

import pool_tasks
import pytest

from msm_jax import workers as workers_lib


def run(function, folder: pathlib.Path, n: int = 6, workers: int = 2):
  with workers_lib.Pool(folder, workers) as pool:
    return list(pool.run(function, n, lambda i: f'the task called {i}'))


def test_every_task_is_run_once_by_processes_of_their_own(tmp_path):
  assert sorted(run(pool_tasks.write, tmp_path)) == list(range(6))
  ids = {int((tmp_path / str(i)).read_text()) for i in range(6)}
  assert len(ids) <= 2
  assert os.getpid() not in ids


def test_a_task_whose_process_is_killed_is_run_by_another(tmp_path):
  assert sorted(run(pool_tasks.write_but_die_once, tmp_path)) == list(range(6))
  assert (tmp_path / 'died').exists()
  assert (tmp_path / '3').exists()


def test_a_task_that_kills_its_processes_is_named_after_three_of_them(tmp_path):
  with pytest.raises(workers_lib.WorkerDiedError) as error:
    run(pool_tasks.die, tmp_path, n=1, workers=1)
  assert 'the task called 0: 3 processes died of it' in str(error.value)
  assert 'killed by SIGKILL' in str(error.value)
  assert (tmp_path / '0').read_text() == 3 * 'died\n'


def test_the_first_task_that_raises_is_what_is_raised(tmp_path):
  with pytest.raises(ValueError, match='task 2') as error:
    run(pool_tasks.raise_from_2, tmp_path, n=50)
  # Where it happened is not lost on the way.
  assert 'raise_from_2' in ''.join(error.value.__notes__)
  # What comes after it is not begun, except by who was faster.
  assert len(list(tmp_path.iterdir())) <= 4


def test_what_cannot_be_sent_is_told_in_words(tmp_path):
  with pytest.raises(RuntimeError, match='Unpicklable: with a lock'):
    run(pool_tasks.raise_unpicklable, tmp_path, n=1, workers=1)


def test_processes_end_with_the_one_that_started_them(tmp_path):
  os.mkfifo(tmp_path / 'fifo')
  parent = subprocess.Popen(
    [sys.executable, pool_tasks.__file__, str(tmp_path)],
    env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
  )
  # Opening blocks until somebody reads; nothing is ever written.
  with open(tmp_path / 'fifo', 'w'):
    ids = _ids(tmp_path, parent)
    waited = [os.pidfd_open(pid) for pid in ids]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    for descriptor in waited:
      # Readable once it has ended.
      assert select.select([descriptor], [], [], 60)[0]
      os.close(descriptor)


def _ids(folder: pathlib.Path, parent: subprocess.Popen) -> list[int]:
  """Waits for both processes to say who they are."""
  while True:
    texts = [
      (folder / name).read_text() if (folder / name).exists() else ''
      for name in ('0', '1')
    ]
    if all(texts):
      return [int(t) for t in texts]
    try:
      code = parent.wait(timeout=0.01)
    except subprocess.TimeoutExpired:
      continue
    raise AssertionError(f'ended with {code}')
