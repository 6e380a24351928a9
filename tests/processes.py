"""Real training processes, for tests that interrupt them."""

from collections.abc import Callable
import json
import os
import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def environment() -> dict[str, str]:
  """The environment of a training process: one core's worth of threads."""
  return {
    **os.environ,
    'JAX_PLATFORMS': 'cpu',
    'JAX_COMPILATION_CACHE_DIR': str(ROOT / '.cache' / 'jax'),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    'XLA_FLAGS': '',
  }


def command(config: str, workdir: pathlib.Path) -> list[str]:
  return [
    sys.executable,
    '-m',
    'msm_jax.train',
    f'--config={config}',
    f'--workdir={workdir}',
  ]


def start(
  config: str, workdir: pathlib.Path, *flags: str, devices: int = 1
) -> subprocess.Popen:
  """Starts a run; its output goes to `<workdir>.log`."""
  several = f'--xla_force_host_platform_device_count={devices}'
  with open(f'{workdir}.log', 'ab') as log:
    return subprocess.Popen(
      [*command(config, workdir), *flags],
      cwd=ROOT,
      env=environment() | {'XLA_FLAGS': several if devices > 1 else ''},
      stdout=log,
      stderr=log,
    )


def run(
  config: str, workdir: pathlib.Path, *flags: str
) -> subprocess.CompletedProcess[str]:
  """Runs to the end, whatever it is, and returns what was said."""
  return subprocess.run(
    [*command(config, workdir), *flags],
    cwd=ROOT,
    env=environment(),
    capture_output=True,
    text=True,
    check=False,
  )


def finish(
  config: str, workdir: pathlib.Path, *flags: str, devices: int = 1
) -> dict:
  """Runs to the end and returns the run's `result.json`."""
  process = start(config, workdir, *flags, devices=devices)
  assert process.wait() == 0, read_log(workdir)
  return json.loads((workdir / 'result.json').read_text())


class Group:
  """The processes of one run, which have four devices together."""

  DEVICES = 4

  def __init__(
    self,
    config: str,
    workdir: pathlib.Path,
    n: int,
    *flags: str,
    own_flags: dict[int, list[str]] | None = None,
    variables: dict[str, str] | None = None,
    program: list[str] | None = None,
  ):
    """Starts them; the output of process `i` goes to `<workdir>.<i>.log`."""
    with socket.create_server(('localhost', 0)) as server:
      port = server.getsockname()[1]
    self.workdir, self.n = workdir, n
    several = f'--xla_force_host_platform_device_count={self.DEVICES // n}'
    self.members = []
    for i in range(n):
      mine = [
        *(program or command(config, workdir)),
        *flags,
        f'--coordinator=localhost:{port}',
        f'--num_processes={n}',
        f'--process_id={i}',
        *(own_flags or {}).get(i, []),
      ]
      with open(self._log(i), 'ab') as log:
        self.members.append(
          subprocess.Popen(
            mine,
            cwd=ROOT,
            env={**environment(), 'XLA_FLAGS': several, **(variables or {})},
            stdout=log,
            stderr=log,
          )
        )

  def _log(self, i: int) -> pathlib.Path:
    return pathlib.Path(f'{self.workdir}.{i}.log')

  def log(self, i: int) -> str:
    """What process `i` said, without JAX's own lines."""
    lines = self._log(i).read_text().splitlines()
    return '\n'.join(line for line in lines if not line.startswith('[Gloo]'))

  def wait_until(self, condition: Callable[[], bool]) -> None:
    """Blocks until the condition holds; fails if a process ends first."""
    wait_until(self.members[0], condition, f'{self.workdir}.0')

  def kill(self, *which: int) -> None:
    """SIGKILL to some; returns when all have ended, for want of these."""
    for i in which:
      self.members[i].kill()
    self.codes()

  def codes(self) -> list[int]:
    """Waits for all, and returns how they ended."""
    return [process.wait() for process in self.members]

  def finish(self) -> dict:
    """Waits for a good end, and returns the run's `result.json`."""
    codes = self.codes()
    assert codes == [0] * self.n, [self.log(i)[-3000:] for i in range(self.n)]
    return json.loads((self.workdir / 'result.json').read_text())


def read_log(workdir: pathlib.Path) -> str:
  return pathlib.Path(f'{workdir}.log').read_text()


def wait_until(
  process: subprocess.Popen, condition: Callable[[], bool], workdir
) -> None:
  """Blocks until the condition holds; fails if the process ends first."""
  while not condition():
    try:
      code = process.wait(timeout=0.001)
    except subprocess.TimeoutExpired:
      continue
    raise AssertionError(f'ended with {code}: {read_log(workdir)[-3000:]}')


def records(workdir: pathlib.Path) -> list[dict]:
  """The whole lines of the metrics log."""
  path = workdir / 'metrics.jsonl'
  if not path.exists():
    return []
  text = path.read_text()
  return [
    json.loads(line) for line in text[: text.rfind('\n') + 1].splitlines()
  ]


def last_step(workdir: pathlib.Path) -> int:
  """The step of the last whole record, or 0."""
  found = records(workdir)
  return found[-1]['step'] if found else 0


def unfinished_saves(workdir: pathlib.Path) -> list[str]:
  """Temporary directories of checkpoints that are being written."""
  folder = workdir / 'checkpoints'
  if not folder.exists():
    return []
  return [n for n in os.listdir(folder) if 'orbax-checkpoint-tmp' in n]
