"""Stages small enough for tests: real processes that need no JAX.

As a script, `python tests/small_stages.py WORKDIR STAGES.json` runs a graph as
`launch.local` runs an experiment.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from launch import executor
from launch import graph
from launch.display import Display

# Seconds after which a test has failed that waits for something to happen.
DEADLINE = 120.0

# Concatenates what it reads, adds VALUE, and says in `ran` that it ran.
JOIN = """
import pathlib
import sys

VALUE = {value!r}
out, ran, *inputs = sys.argv[1:]
with open(ran, 'a') as f:
  f.write(VALUE)
text = ''.join(pathlib.Path(i).read_text() for i in inputs)
pathlib.Path(out).write_text(text + VALUE)
"""

# Counts to four, but stays at two while `hold` is there; continues from its
# folder; saves on SIGTERM unless it is called stubborn.
COUNT = """
import json
import os
import pathlib
import signal
import sys
import time

folder, hold, *stubborn = map(pathlib.Path, sys.argv[1:])
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
folder.mkdir(exist_ok=True)
state = folder / 'state'
done = int(state.read_text()) if state.exists() else 0
with open(folder / 'attempts', 'a') as f:
  f.write(f'from {done}\\n')
while done < 4:
  if done == 2:
    (folder / 'pid').write_text(str(os.getpid()))
    (folder / 'pid').rename(folder / 'waits')
    while hold.exists():
      if stopped and not stubborn:
        state.write_text(str(done))
        print('saved', done)
        sys.exit(75)
      time.sleep(0.005)
  done += 1
state.write_text('4')
(folder / 'result.json').write_text(json.dumps({'updates': 4, 'tokens': 4000}))
"""


class Small:
  """A workdir, a folder with modules, and what ran in which order."""

  def __init__(self, root: pathlib.Path):
    self.root = root
    self.workdir = root / 'work'
    self.workdir.mkdir()
    self.modules = root / 'modules'
    self.modules.mkdir()
    self.output = io.StringIO()
    # Two slots, even on a machine with one core.
    self.cores = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    self._launched: list[subprocess.Popen] = []

  def close(self) -> None:
    """Ends what a failed test has left running."""
    (self.root / 'hold').unlink(missing_ok=True)
    for process in self._launched:
      process.kill()
      process.wait()
    for command in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
      with contextlib.suppress(OSError):
        if f'{self.workdir}/'.encode() in command.read_bytes():
          os.kill(int(command.parent.name), signal.SIGKILL)

  def module(self, name: str, source: str) -> None:
    (self.modules / f'{name}.py').write_text(source)

  def stage(self, name: str, *arguments: str, **fields) -> graph.Stage:
    """A stage whose code is the module of its name."""
    fields.setdefault('sources', (str(self.modules / f'{name}.py'),))
    return graph.Stage(name, name, tuple(arguments), **fields)

  def join(self, name: str, needs: tuple[str, ...] = (), **fields):
    """Writes the module `name` if there is none, and returns its stage."""
    if not (self.modules / f'{name}.py').exists():
      self.module(name, JOIN.format(value=name))
    return self.stage(
      name,
      f'{graph.WORKDIR}/{name}.txt',
      str(self.root / 'ran'),
      *(f'{graph.WORKDIR}/{n}.txt' for n in needs),
      needs=needs,
      outputs=(f'{name}.txt',),
      **fields,
    )

  def count(self, *flags: str, **fields) -> graph.Stage:
    self.module('count', COUNT)
    return self.stage(
      'count',
      f'{graph.WORKDIR}/count',
      str(self.root / 'hold'),
      *flags,
      outputs=('count/state', 'count/result.json'),
      owns='count',
      **fields,
    )

  def hold(self) -> None:
    """Makes `count` wait at two."""
    (self.root / 'hold').touch()

  def let_go(self) -> None:
    (self.root / 'hold').unlink()

  def run(
    self,
    stages: list[graph.Stage],
    workdir: pathlib.Path | None = None,
    display: Display | None = None,
  ) -> dict[str, graph.Record]:
    """Runs a graph in this process; the display goes to `output`."""
    return executor.Executor(
      stages,
      workdir or self.workdir,
      cores=self.cores,
      environment={'PYTHONPATH': str(self.modules)},
      display=display or Display(len(stages), self.output),
    ).run()

  def ran(self) -> str:
    """The values of the `join` stages that ran since the last call."""
    path = self.root / 'ran'
    text = path.read_text() if path.exists() else ''
    path.unlink(missing_ok=True)
    return text

  def launch(
    self, stages: list[graph.Stage], hangup=signal.SIG_DFL
  ) -> subprocess.Popen:
    """Runs a graph in a process of its own; its output goes to `out.txt`."""

    def set_signals():
      # A test run in the background may ignore Ctrl-C.
      signal.signal(signal.SIGINT, signal.SIG_DFL)
      signal.signal(signal.SIGHUP, hangup)

    path = f'{self.modules}:{pathlib.Path(__file__).parent.parent}'
    file = self.root / 'stages.json'
    file.write_text(json.dumps([dataclasses.asdict(s) for s in stages]))
    with open(self.root / 'out.txt', 'ab') as out:
      process = subprocess.Popen(
        [sys.executable, __file__, str(self.workdir), str(file)],
        env={**os.environ, 'PYTHONPATH': path},
        stdout=out,
        stderr=out,
        preexec_fn=set_signals,  # noqa: PLW1509
      )
    self._launched.append(process)
    return process

  def said(self) -> str:
    return (self.root / 'out.txt').read_text()

  def attempts(self, folder: str = 'work/count') -> list[str]:
    path = self.root / folder / 'attempts'
    return path.read_text().splitlines() if path.exists() else []


def wait_until(
  process: subprocess.Popen, condition: Callable[[], bool]
) -> None:
  """Blocks until the condition holds; fails if the process ends first."""
  deadline = time.monotonic() + DEADLINE
  while not condition():
    try:
      code = process.wait(timeout=0.005)
    except subprocess.TimeoutExpired:
      assert time.monotonic() < deadline, 'it never came to that'
      continue
    raise AssertionError(f'ended with {code}')


def main(workdir: str, file: str) -> None:
  raw = json.loads(pathlib.Path(file).read_text())
  stages = [
    graph.Stage(
      **{k: tuple(v) if isinstance(v, list) else v for k, v in r.items()}
    )
    for r in raw
  ]
  # A test that waits for stages to be killed does not wait for this.
  executor._PATIENCE = 2 * DEADLINE
  try:
    executor.Executor(stages, pathlib.Path(workdir)).run()
  except executor.StageFailedError as e:
    sys.exit(str(e))


if __name__ == '__main__':
  main(*sys.argv[1:])
