"""The stand-in teacher in a process of its own, for tests."""

from collections.abc import Iterator
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

HERE = pathlib.Path(__file__).parent


def environment() -> dict[str, str]:
  """Of a process that imports the project from this checkout."""
  return {**os.environ, 'PYTHONPATH': str(HERE.parent)}


@dataclasses.dataclass(frozen=True)
class TeacherServer:
  """A server that runs.

  Attributes:
    url: For `TeacherConfig.base_url`.
    log_path: Where it notes what it was asked.
  """

  url: str
  log_path: pathlib.Path

  def log(self, event: str) -> list[dict[str, Any]]:
    """Returns the lines of one kind: `asked`, `answered` or `gone`."""
    text = self.log_path.read_text(encoding='utf-8')
    whole = text[: text.rfind('\n') + 1]  # It may be writing a line.
    lines = [json.loads(line) for line in whole.splitlines()]
    return [line for line in lines if line['event'] == event]

  def arrivals(self) -> int:
    """Returns how many requests have arrived; cheap enough to wait with."""
    return self.log_path.read_bytes().count(b'"event": "asked"')

  def asked(self) -> list[tuple[str, int]]:
    """Returns (payload, sample) of each request, in order of arrival."""
    return [(a['payload'], a['sample']) for a in self.log('asked')]

  def answered(self) -> list[tuple[str, int]]:
    """Returns (payload, sample) of each answer that went out whole."""
    what = {a['id']: (a['payload'], a['sample']) for a in self.log('asked')}
    return [what[a['id']] for a in self.log('answered')]


def command(**flags: Any) -> list[str]:
  """Returns the command line; mappings and lists become JSON."""
  words = [sys.executable, str(HERE / 'teacher_server.py')]
  for name, value in flags.items():
    if value is True:
      words.append(f'--{name}')
    elif isinstance(value, dict | list):
      words.append(f'--{name}={json.dumps(value)}')
    else:
      words.append(f'--{name}={value}')
  return words


@contextlib.contextmanager
def serving(folder: pathlib.Path, **flags: Any) -> Iterator[TeacherServer]:
  """Runs a server while the context lasts; see `teacher_server.parse`."""
  log = folder / 'server.jsonl'
  log.touch()
  with subprocess.Popen(
    command(log=log, **flags), stdout=subprocess.PIPE, text=True
  ) as process:
    try:
      assert process.stdout is not None
      word, port = process.stdout.readline().split()
      assert word == 'port'
      yield TeacherServer(f'http://127.0.0.1:{port}/v1', log)
    finally:
      process.kill()
