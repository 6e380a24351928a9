"""A run of `lora_run` that is killed where phases meet, again and again.

    python tests/lora_process.py ROOT WORKDIR POINT:PHASE …

where `tiny_run.make_sources(ROOT)` was called before. Each attempt goes on in
the same workdir and is killed by SIGKILL at its point of that phase:

`entering`: The phase before has ended; its last checkpoint is being written.
`entered`: Parameters are over the boundary; there was no update.
`saving`: The phase's first checkpoint, which holds its base if it has one, is
  written, but for its name.

A last attempt runs to the end and leaves `result.json`. Prints JSON: for every
kill the steps that could be restored when it had happened.
"""

import json
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import dataclasses

import jax
import lora_run

from msm_jax import training
from msm_jax.training import loop

POINTS = ('entering', 'entered', 'saving')


def _die() -> None:
  os.kill(os.getpid(), signal.SIGKILL)


def _die_at(point: str, phase: str) -> None:
  """Arms this process; it dies when it comes to the point."""
  enter, save = loop.Trainer._enter, loop.Trainer._save

  def entering(self, plan):
    here = plan.phase.name == phase
    if here and point == 'entering':
      _die()
    state = enter(self, plan)
    if here and point == 'entered':
      jax.block_until_ready(state)
      _die()
    return state

  def saving(self, plan, step, state):
    if point == 'saving' and plan.phase.name == phase:
      name = str(step)

      def hook(event, args):
        if event == 'os.rename' and os.path.basename(str(args[1])) == name:
          _die()

      sys.addaudithook(hook)
    save(self, plan, step, state)

  loop.Trainer._enter, loop.Trainer._save = entering, saving


def _attempt(root: str, workdir: pathlib.Path, *kill: str) -> int:
  """Runs in a child, which JAX has not touched yet; returns its status."""
  pid = os.fork()
  if pid == 0:
    try:
      if kill:
        _die_at(*kill)
      config = training.load(lora_run.get_config(root))
      result = training.train(config, workdir)
      text = json.dumps(dataclasses.asdict(result))
      (workdir / 'result.json').write_text(text)
    except BaseException:
      sys.excepthook(*sys.exc_info())
      os._exit(1)
    os._exit(0)
  return os.waitpid(pid, 0)[1]


def main(root: str, workdir: str, *kills: str) -> None:
  folder, there = pathlib.Path(workdir), []
  for kill in kills:
    status = _attempt(root, folder, *kill.split(':'))
    if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
      sys.exit(f'{kill}: ended with status {status}, not by its kill')
    names = os.listdir(folder / 'checkpoints')
    there.append(sorted(int(name) for name in names if name.isdigit()))
  if status := _attempt(root, folder):
    sys.exit(f'the last attempt ended with status {status}')
  print(json.dumps(there))


if __name__ == '__main__':
  main(*sys.argv[1:])
