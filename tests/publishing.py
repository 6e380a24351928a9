"""Runs of the pipeline that SIGKILL themselves while they publish.

  python tests/publishing.py FOLDER

Makes a corpus in FOLDER/calm, undisturbed, and in FOLDER/killed one run after
the other, each of which dies at another moment of publishing: with no corpus
there yet, or with one there that it would replace. Prints what became of each
as JSON. Children are forked, since what they import takes longer than what
they do.
"""

import asyncio
from collections.abc import Callable
import itertools
import json
import os
import pathlib
import signal
import sys
import traceback
from typing import Any

import pipeline_process

from data_gen import traits
from data_gen.corpus import blocks
from data_gen.corpus import columns
from data_gen.pipeline import command
from data_gen.pipeline import config
from msm_jax import storage

CONFIG = {
  **pipeline_process.CONFIG,
  'teacher': {'kind': 'offline', 'model': 'grammar'},
  'plan': {
    **pipeline_process.CONFIG['plan'],
    'domains': 1,
    'genres': ('review', 'fiction'),
  },
  'controls': {},
  'chats': {'accepted': 2},
}


def _die() -> None:
  os.kill(os.getpid(), signal.SIGKILL)


def _in_batch(number: int) -> None:
  """Dies with a Parquet file open, rows of earlier files written."""
  write, calls = columns.to_batch, itertools.count(1)

  def to_batch(*args: Any) -> Any:
    if next(calls) == number:
      _die()
    return write(*args)

  columns.to_batch = to_batch


def _in_viewer() -> None:
  """Dies with half of the page written."""
  texts = blocks.texts

  def then_die(rows: Any) -> Any:
    yield from texts(rows)
    _die()

  blocks.texts = then_die


def _at(event: str, of: Callable[[str], bool]) -> Callable[[], None]:
  """Dies before an operation on a path; audit events come before it."""

  def hook(name: str, args: Any) -> None:
    if name == event and any(of(str(a)) for a in args[:2]):
      _die()

  return lambda: sys.addaudithook(hook)


def _staged(name: str) -> Callable[[str], bool]:
  return lambda path: '.corpus.staging-' in path and path.endswith(name)


MOMENTS: dict[str, Callable[[], None]] = {
  'in the first shard': lambda: _in_batch(1),
  'in a later shard': lambda: _in_batch(2),
  'before the card': _at('open', _staged('/card.md')),
  'in the viewer': _in_viewer,
  'before the plan': _at('open', _staged('/plan.json')),
  'before the manifest': _at('open', lambda path: '/.manifest.json.' in path),
  'in the manifest': _at('os.rename', _staged('/manifest.json')),
  'before it is published': _at('os.rename', lambda p: p.endswith('/corpus')),
}
REPLACING: dict[str, Callable[[], None]] = {
  'before it takes the place of another': _at(
    'ctypes.dlsym', lambda name: name == 'renameat2'
  ),
  'before the other is removed': _at('shutil.rmtree', _staged('')),
}


def _forked(act: Callable[[], None]) -> bool:
  """Returns whether a child that does this was killed."""
  pid = os.fork()
  if pid == 0:
    try:
      act()
      os._exit(0)
    except BaseException:
      traceback.print_exc()
      os._exit(1)
  _, status = os.waitpid(pid, 0)
  if os.WIFSIGNALED(status):
    return True
  if os.WEXITSTATUS(status):
    sys.exit('a run failed')
  return False


def run(folder: pathlib.Path, arm: Callable[[], None]) -> dict[str, Any]:
  """Runs the pipeline in a child; returns what there is afterwards."""

  def act() -> None:
    arm()
    job = command.Job(
      config.load(CONFIG),
      traits.parse(pipeline_process.TRAITS, 'traits.md'),
      str(folder / 'corpus'),
      'full',
    )
    _, problems = asyncio.run(command.run(job))
    assert not problems, problems

  killed = _forked(act)
  try:
    found = storage.verify(folder / 'corpus', kind='corpus').fingerprint
  except storage.NotPublishedError:
    found = None
  left = [p.name for p in folder.iterdir() if '.staging-' in p.name]
  return {'killed': killed, 'found': found, 'left': left}


def nothing() -> None:
  """Disturbs nobody."""


def main(root: pathlib.Path) -> None:
  calm, killed = root / 'calm', root / 'killed'
  calm.mkdir()
  killed.mkdir()
  seen = {'calm': [run(calm, nothing)]}
  for name, arm in {**MOMENTS, **REPLACING}.items():
    seen[name] = []
    if name in MOMENTS:
      storage.remove_tree(killed / 'corpus')
      seen[name].append(run(killed, arm))
    seen[name].append(run(killed, nothing))
    if name in REPLACING or arm is _in_viewer:
      seen[name].append(run(killed, arm))
  seen['at last'] = [run(killed, nothing)]
  print(json.dumps(seen))


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]))
