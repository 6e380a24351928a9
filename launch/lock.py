"""One launcher at a time in a workdir."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib


@contextlib.contextmanager
def hold(workdir: pathlib.Path, say: Callable[[str], None]) -> Iterator[int]:
  """Holds a workdir; waits while another launcher does.

  Stages inherit the descriptor. If the launcher is killed, the workdir stays
  held until they have ended too, so that no stage ever runs twice at once.

  Args:
    workdir: Must exist.
    say: Told why it waits, if it has to.

  Yields:
    The file descriptor, for processes to inherit.
  """
  descriptor = os.open(workdir / '.lock', os.O_RDWR | os.O_CREAT, 0o666)
  try:
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      say(
        f'waiting: another launcher runs in {workdir}, or stages of one that '
        'was killed are still ending'
      )
      fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
  finally:
    os.close(descriptor)
