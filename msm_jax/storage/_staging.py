"""Names for what is being written, and the removal of what was abandoned.

Files and directories are written beside their target under a hidden name that
tells who writes them, and renamed when they are whole. A writer that was killed
leaves such a name behind; the next writer of the same target removes it.
"""

import os
import pathlib
import secrets
import shutil
import socket


def _prefix(target: pathlib.Path) -> str:
  return f'.{target.name}.staging-'


def staging_path(target: pathlib.Path) -> pathlib.Path:
  """Returns a name beside `target` that nobody else uses."""
  unique = f'{os.getpid()}-{secrets.token_hex(4)}-{socket.gethostname()}'
  return target.with_name(_prefix(target) + unique)


def _process_is_alive(pid: int) -> bool:
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except PermissionError:
    return True
  return True


def remove_abandoned(target: pathlib.Path) -> None:
  """Removes what killed writers of the same target left behind.

  Writers on other machines (the folder may be shared) are left alone: whether
  they live cannot be told from here.
  """
  for left in target.parent.glob(_prefix(target) + '*'):
    pid, _, rest = left.name.removeprefix(_prefix(target)).partition('-')
    host = rest.partition('-')[2]
    if host != socket.gethostname() or not pid.isdigit():
      continue
    if not _process_is_alive(int(pid)):
      if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
      else:
        left.unlink(missing_ok=True)
