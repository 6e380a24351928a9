"""SIGTERM: save at the next update boundary, then exit with code 75.

Where a run has several processes, one of them being told is enough: JAX makes
them agree on an update at which all save.
"""

import signal
import threading
from types import FrameType

from jax.experimental import multihost_utils

from msm_jax import distributed

# EX_TEMPFAIL of sysexits.h: "the user is invited to retry".
EXIT_CODE = 75


class Preempted(SystemExit):
  """The run was asked to stop, has saved, and can be continued."""

  def __init__(self, step: int):
    super().__init__(EXIT_CODE)
    self.step = step


class Listener:
  """Remembers that SIGTERM arrived; restores the old handler on exit."""

  def __init__(self):
    self._event = threading.Event()
    self._old = None

  def __enter__(self) -> 'Listener':
    # JAX has its own handler where there are several processes.
    alone = distributed.count() == 1
    if alone and threading.current_thread() is threading.main_thread():
      self._old = signal.signal(signal.SIGTERM, self._handle)
    return self

  def __exit__(self, *exception: object) -> None:
    if self._old is not None:
      signal.signal(signal.SIGTERM, self._old)

  def _handle(self, number: int, frame: FrameType | None) -> None:
    self._event.set()

  def requested(self, step: int) -> bool:
    """Whether to save and stop after this update; every process asks."""
    if distributed.count() > 1:
      return multihost_utils.reached_preemption_sync_point(step)
    return self._event.is_set()
