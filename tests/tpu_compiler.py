"""Google's compiler for TPUs in tests, where `make test-all` has put it."""

import os
import pathlib
import subprocess
import sys

import processes
import pytest

from msm_jax import schema
from msm_jax.compilation import libtpu

# Where the Makefile puts libtpu.
APART = pathlib.Path(sys.prefix) / (
  f'libtpu-{sys.version_info.major}.{sys.version_info.minor}'
)


def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
  """Returns that of processes that can compile for TPUs; or skips a test."""
  monkeypatch.syspath_prepend(str(APART))
  try:
    libtpu.check()
  except schema.ConfigError as e:
    pytest.skip(str(e))
  paths = (APART, processes.ROOT, processes.ROOT / 'tests')
  return {
    **processes.environment(),
    'PYTHONPATH': os.pathsep.join(map(str, paths)),
  }


def compiled(environment, *arguments):
  """Runs `python -m msm_jax.compile`; returns the process."""
  return subprocess.run(
    [sys.executable, '-m', 'msm_jax.compile', *arguments],
    cwd=processes.ROOT,
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )
