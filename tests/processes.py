"""Real training processes, for tests that interrupt them."""

from collections.abc import Callable
import json
import os
import pathlib
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
