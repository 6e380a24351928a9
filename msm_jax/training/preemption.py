"""SIGTERM: save at the next update boundary, then exit with code 75."""

import signal
import threading
from types import FrameType

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
    if threading.current_thread() is threading.main_thread():
      self._old = signal.signal(signal.SIGTERM, self._handle)
    return self

  def __exit__(self, *exception: object) -> None:
    if self._old is not None:
      signal.signal(signal.SIGTERM, self._old)

  def _handle(self, number: int, frame: FrameType | None) -> None:
    self._event.set()

  @property
  def requested(self) -> bool:
    return self._event.is_set()
