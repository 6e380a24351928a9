"""Processes on this machine: started, watched, and stopped with care."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from launch import graph
from msm_jax import progress


@contextlib.contextmanager
def _on_cores(cores: Sequence[int]) -> Iterator[None]:
  """Moves this thread to some cores; a child started there stays there."""
  before = os.sched_getaffinity(0)
  os.sched_setaffinity(0, cores)
  try:
    yield
  finally:
    os.sched_setaffinity(0, before)


class Job:
  """A stage that is running in a process of its own."""

  def __init__(
    self,
    stage: graph.Stage,
    *,
    workdir: pathlib.Path,
    cores: Sequence[int],
    environment: dict[str, str],
  ):
    """Starts it.

    Args:
      stage: What to run.
      workdir: Of the experiment; the log goes to `logs/` in it.
      cores: The processor cores it may use.
      environment: Added to this process's.
    """
    self.stage = stage
    self.cores = tuple(cores)
    self.started = time.monotonic()
    name = stage.name.replace('/', '-')
    self.log = workdir / 'logs' / f'{name}.log'
    self.log.parent.mkdir(parents=True, exist_ok=True)
    self._progress_file = self.log.with_suffix('.progress')
    self._progress_file.unlink(missing_ok=True)
    with open(self.log, 'ab') as log, _on_cores(self.cores):
      self._process = subprocess.Popen(
        [sys.executable, '-m', stage.module, *stage.flags],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={
          **os.environ,
          **environment,
          progress.ENVIRONMENT_KEY: str(self._progress_file),
        },
        # Its own group: Ctrl-C reaches the launcher, which then asks nicely.
        start_new_session=True,
      )

  @property
  def seconds(self) -> float:
    return time.monotonic() - self.started

  def poll(self) -> int | None:
    """Returns the exit code, or None while it runs."""
    return self._process.poll()

  def state(self) -> progress.State | None:
    """Returns how far it says it is."""
    return progress.read_state(str(self._progress_file))

  def stop(self, patience: float = 20.0) -> None:
    """Sends SIGTERM, and SIGKILL if it is still there after `patience` s."""
    if self.poll() is None:
      self._process.send_signal(signal.SIGTERM)
      try:
        self._process.wait(patience)
      except subprocess.TimeoutExpired:
        self._process.kill()
        self._process.wait()

  def tail(self, lines: int = 20) -> str:
    """Returns the end of its log."""
    text = self.log.read_text(encoding='utf-8', errors='replace')
    return '\n'.join(text.splitlines()[-lines:])
