"""Processes on this machine: started, watched, and stopped with care."""

from collections.abc import Callable
from collections.abc import Sequence
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time

from launch import graph
from msm_jax import progress

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL = 0.1


def _in_child(launcher: int, cores: Sequence[int]) -> Callable[[], None]:
  """What a new process does before it becomes the stage."""

  def prepare() -> None:
    os.sched_setaffinity(0, cores)
    # A stage whose launcher is killed saves and ends, as if that had asked.
    if hasattr(_LIBC, 'prctl'):
      _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != launcher:
      os._exit(1)

  return prepare


class Job:
  """A stage that is running in a process of its own."""

  def __init__(
    self,
    stage: graph.Stage,
    *,
    workdir: pathlib.Path,
    cores: Sequence[int],
    environment: dict[str, str],
    inherit: Sequence[int] = (),
  ):
    """Starts it.

    Args:
      stage: What to run.
      workdir: Of the experiment; the log goes to `logs/` in it.
      cores: The processor cores it may use.
      environment: Added to this process's.
      inherit: File descriptors that it keeps open.
    """
    self.stage = stage
    self.cores = tuple(cores)
    self.started = time.monotonic()
    self.log = workdir / 'logs' / f'{stage.file_name}.log'
    self.log.parent.mkdir(parents=True, exist_ok=True)
    self._progress_file = self.log.with_suffix('.progress')
    self._progress_file.unlink(missing_ok=True)
    with open(self.log, 'ab') as log:
      log.write(f'$ {stage.command(workdir)}\n'.encode())
      log.flush()
      self._log_start = log.tell()
      self._process = subprocess.Popen(
        [sys.executable, *stage.arguments(workdir)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={
          **os.environ,
          **environment,
          progress.ENVIRONMENT_KEY: str(self._progress_file),
        },
        pass_fds=inherit,
        # Its own group: Ctrl-C reaches the launcher, which then asks nicely.
        start_new_session=True,
        # The launcher has no threads, so this is safe.
        preexec_fn=_in_child(os.getpid(), cores),  # noqa: PLW1509
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

  def ask_to_stop(self) -> None:
    """Sends SIGTERM: save and exit."""
    if self.poll() is None:
      self._process.send_signal(signal.SIGTERM)

  def kill(self) -> None:
    """Ends it, and all that it started, now."""
    if self.poll() is None:
      os.killpg(self._process.pid, signal.SIGKILL)
      self._process.wait()

  def tail(self, lines: int = 20) -> str:
    """Returns the end of what it wrote to its log since it started."""
    with open(self.log, 'rb') as log:
      log.seek(self._log_start)
      text = log.read().decode('utf-8', errors='replace')
    return '\n'.join(text.splitlines()[-lines:])


def stop(
  running: Sequence[Job], *, patience: float, hurry: Callable[[], bool]
) -> None:
  """Asks jobs to save and exit, and kills those that do not.

  Args:
    running: The jobs.
    patience: Seconds to wait for all of them.
    hurry: Returns whether to wait no longer.
  """
  for job in running:
    job.ask_to_stop()
  deadline = time.monotonic() + patience
  while any(j.poll() is None for j in running):
    if hurry() or time.monotonic() > deadline:
      break
    time.sleep(_POLL)
  for job in running:
    job.kill()
