"""A Google Cloud Storage emulator in a process of its own.

`gcp-storage-emulator` keeps its objects in memory. What it does not do: it
ignores `ifGenerationMatch`, and has no suffix ranges.
"""

from collections.abc import Iterator
import contextlib
import os
import socket
import subprocess
import sys
import urllib.request

BUCKET = 'test-bucket'


def _free_port() -> int:
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


def _answers(url: str) -> bool:
  try:
    with urllib.request.urlopen(f'{url}/storage/v1/b/{BUCKET}', timeout=5):
      return True
  except OSError:
    return False


@contextlib.contextmanager
def emulator() -> Iterator[dict[str, str]]:
  """Starts it; yields the environment in which `gs://test-bucket` is there."""
  port = _free_port()
  url = f'http://127.0.0.1:{port}'
  process = subprocess.Popen(
    [
      sys.executable,
      '-c',
      'from gcp_storage_emulator.__main__ import main; main()',
      'start',
      f'--port={port}',
      '--host=127.0.0.1',
      f'--default-bucket={BUCKET}',
      '--in-memory',
    ],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  try:
    while not _answers(url):
      with contextlib.suppress(subprocess.TimeoutExpired):
        code = process.wait(timeout=0.05)
        raise AssertionError(f'the emulator ended with {code}')
    yield {
      **os.environ,
      'STORAGE_EMULATOR_HOST': url,
      # Without this gcsfs asks for what no emulator has, and waits.
      'GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT': 'false',
    }
  finally:
    process.kill()
    process.wait()
