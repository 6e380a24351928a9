"""Tasks for `msm_jax.workers`, importable by the processes that run them.

  python tests/pool_tasks.py FOLDER

starts two processes that wait for a fifo in FOLDER, and leaves their ids there.
"""

import os
import pathlib
import signal
import sys
import threading

from msm_jax import workers as workers_lib


def write(folder: pathlib.Path, task: int) -> None:
  (folder / f'{task}').write_text(str(os.getpid()))


def write_but_die_once(folder: pathlib.Path, task: int) -> None:
  if task == 3 and not (folder / 'died').exists():
    (folder / 'died').touch()
    os.kill(os.getpid(), signal.SIGKILL)
  write(folder, task)


def die(folder: pathlib.Path, task: int) -> None:
  with open(folder / f'{task}', 'a') as f:
    f.write('died\n')
  os.kill(os.getpid(), signal.SIGKILL)


class Unpicklable(Exception):
  def __init__(self, text: str):
    super().__init__(text)
    self.lock = threading.Lock()


def raise_from_2(folder: pathlib.Path, task: int) -> None:
  write(folder, task)
  if task >= 2:
    raise ValueError(f'task {task}')


def raise_unpicklable(folder: pathlib.Path, task: int) -> None:
  raise Unpicklable('with a lock')


def wait(folder: pathlib.Path, task: int) -> None:
  write(folder, task)
  with open(folder / 'fifo') as f:
    f.read()


if __name__ == '__main__':
  with workers_lib.Pool(pathlib.Path(sys.argv[1]), 2) as pool:
    for _ in pool.run(wait, 2, str):
      pass
