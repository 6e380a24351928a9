"""Processes that SIGKILL themselves at the n-th file operation, for every n."""

import pathlib
import subprocess
import sys

# Audit events come before the operation. `ctypes.dlsym` is the look-up of
# renameat2.
_DRIVER = """
import os, pathlib, signal, sys, traceback

EVENTS = {
  'open', 'os.rename', 'os.mkdir', 'os.remove', 'os.rmdir', 'shutil.rmtree',
  'ctypes.dlsym',
}

def die_at(n):
  count = 0
  def hook(event, args):
    nonlocal count
    if event in EVENTS:
      count += 1
      if count == n:
        os.kill(os.getpid(), signal.SIGKILL)
  sys.addaudithook(hook)

CODE

for n in range(1, 1000):
  folder = pathlib.Path(sys.argv[1]) / f'{n:03d}'
  folder.mkdir()
  before(folder)
  pid = os.fork()
  if pid == 0:
    try:
      die_at(n)
      act(folder)
      os._exit(0)
    except BaseException:
      traceback.print_exc()
      os._exit(1)
  _, status = os.waitpid(pid, 0)
  if os.WIFEXITED(status):
    sys.exit(os.WEXITSTATUS(status))
"""


def at_every_file_operation(
  code: str, root: pathlib.Path
) -> list[pathlib.Path]:
  """Kills `act(folder)` at its first file operation, its second, and so on.

  Args:
    code: Python that defines `before(folder)`, which nobody disturbs, and
      `act(folder)`.
    root: Gets one folder for each kill, and a last one in which `act` came to
      its end.

  Returns:
    Those folders, in order.
  """
  done = subprocess.run(
    [sys.executable, '-c', _DRIVER.replace('CODE', code), str(root)],
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return sorted(root.iterdir())
