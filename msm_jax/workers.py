"""Runs numbered tasks in processes of this machine, some of which may die.

Processes are spawned, not forked: threads of libraries do not survive a fork.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import math
import multiprocessing
from multiprocessing import connection as connection_lib
from multiprocessing.context import SpawnProcess
import os
import pickle
import signal
import threading
import traceback
from typing import Any

ATTEMPTS = 3


class WorkerDiedError(RuntimeError):
  """A task killed every process that it was given to."""


class _Worker:
  """A process, and what it is doing.

  Attributes:
    task: Number of the task; None if it has none.
  """

  def __init__(self, shared: Any):
    context = multiprocessing.get_context('spawn')
    self._ours, theirs = context.Pipe()
    self.task: int | None = None
    self._process: SpawnProcess = context.Process(
      target=_serve, args=(theirs, shared), daemon=True
    )
    self._process.start()
    # Or its death would not be seen as the end of the pipe.
    theirs.close()

  @property
  def connection(self) -> connection_lib.Connection:
    return self._ours

  def begin(self, function: Callable[[Any, int], None], task: int) -> None:
    self.task = task
    # Of one that died meanwhile, the death is seen when it is waited for.
    with contextlib.suppress(BrokenPipeError):
      self._ours.send((function, task))

  def end(self) -> BaseException | None:
    """Waits for the task, and returns the exception that it raised.

    Raises:
      EOFError: If the process died.
    """
    try:
      return self._ours.recv()
    except OSError as e:
      raise EOFError from e

  def cause_of_death(self) -> str:
    self._process.join()
    code = self._process.exitcode
    if code is not None and code < 0:
      return f'killed by {signal.Signals(-code).name}'
    return f'ended with exit status {code}'

  def close(self) -> None:
    self._ours.close()
    self._process.kill()
    self._process.join()


class Pool:
  """Some processes that have something in common.

  Example:
    with Pool(job, 4) as pool:
      for task in pool.run(function, 100, str):
        …  # function(job, task) is done
  """

  def __init__(self, shared: Any, workers: int):
    """Starts processes.

    Args:
      shared: The first argument of every function that they run; is pickled.
      workers: How many.
    """
    self._shared = shared
    self._workers = [_Worker(shared) for _ in range(workers)]

  def __enter__(self) -> 'Pool':
    return self

  def __exit__(self, *_: object) -> None:
    for worker in self._workers:
      worker.close()

  def run(
    self,
    function: Callable[[Any, int], None],
    n_tasks: int,
    describe: Callable[[int], str],
  ) -> Iterator[int]:
    """Yields the number of each task when it is done, in any order.

    A task whose process dies is given to another one, `ATTEMPTS` times.

    Args:
      function: Of a module, with the arguments shared and number.
      n_tasks: Tasks are 0 … n_tasks − 1.
      describe: What a task is, for errors.

    Raises:
      WorkerDiedError: If a task killed every process that it was given to.
      Exception: What `function` raised, for the task of the least number that
        raises: what a single process would have run into first.
    """
    waiting = collections.deque(range(n_tasks))
    deaths: collections.Counter[int] = collections.Counter()
    errors: dict[int, BaseException] = {}
    while True:
      for worker in self._workers:
        if worker.task is None and waiting and waiting[0] < _least(errors):
          worker.begin(function, waiting.popleft())
      busy = [w for w in self._workers if w.task is not None]
      if not busy:
        break
      for worker in _ready(busy):
        task, worker.task = worker.task, None
        assert task is not None
        try:
          error = worker.end()
        except EOFError:
          deaths[task] += 1
          if deaths[task] < ATTEMPTS:
            waiting.appendleft(task)
          else:
            errors[task] = _death(worker, describe(task))
          self._replace(worker)
          continue
        if error is None:
          yield task
        else:
          errors[task] = error
    if errors:
      raise errors[min(errors)]

  def _replace(self, dead: _Worker) -> None:
    dead.close()
    self._workers[self._workers.index(dead)] = _Worker(self._shared)


def _least(errors: dict[int, BaseException]) -> float:
  return min(errors, default=math.inf)


def _ready(busy: Sequence[_Worker]) -> list[_Worker]:
  ready = connection_lib.wait([w.connection for w in busy])
  return [w for w in busy if w.connection in ready]


def _death(worker: _Worker, what: str) -> WorkerDiedError:
  return WorkerDiedError(
    f'{what}: {ATTEMPTS} processes died of it, the last was '
    f'{worker.cause_of_death()}; if memory ran out, use fewer workers, or '
    'parts of fewer rows'
  )


def _serve(connection: connection_lib.Connection, shared: Any) -> None:
  """Runs tasks until there is nobody any more who gives them."""
  threading.Thread(target=_die_with_parent, daemon=True).start()
  while True:
    try:
      function, task = connection.recv()
    except EOFError:
      return
    error: BaseException | None = None
    try:
      function(shared, task)
    except Exception as e:
      error = _portable(e)
    connection.send(error)


def _die_with_parent() -> None:
  parent = multiprocessing.parent_process()
  assert parent is not None
  parent.join()
  os._exit(1)


def _portable(error: Exception) -> Exception:
  """Returns the error, or what is known of it if it cannot be sent."""
  text = ''.join(traceback.format_exception(error))
  try:
    pickle.loads(pickle.dumps(error))
  except Exception:
    return RuntimeError(text)
  error.add_note(text)
  return error
