"""Settings that every test runs under; set before anything imports JAX."""

import os
import pathlib
import time

import browser
import gcs
import hypothesis
import pytest
import tpu_compiler

_ROOT = pathlib.Path(__file__).resolve().parent.parent

# The defaults; a session that has an accelerator may choose it from outside.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('JAX_NUMPY_RANK_PROMOTION', 'raise')
# Subprocesses of tests inherit these, and share what was compiled.
os.environ.setdefault(
  'JAX_COMPILATION_CACHE_DIR', str(_ROOT / '.cache' / 'jax')
)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.5')

# The same examples on every machine, and no time limit: a busy machine is no
# failure.
hypothesis.settings.register_profile(
  'default', deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile('default')


@pytest.fixture
def cloud(monkeypatch):
  """A Cloud Storage; in this process too, `gs://` is there for the test."""
  with gcs.emulator() as server:
    for name, value in server.environment.items():
      monkeypatch.setenv(name, value)
    yield server


@pytest.fixture
def clock(monkeypatch):
  """Time that stands still until a test moves it: `clock(seconds)`."""
  now = [1000.0]
  monkeypatch.setattr(time, 'monotonic', lambda: now[0])

  def move(seconds):
    now[0] += seconds

  return move


@pytest.fixture(scope='module')
def driver(tmp_path_factory):
  """A browser; see `browser.started`."""
  with browser.started(tmp_path_factory.mktemp('profile')) as driver:
    yield driver


@pytest.fixture
def with_libtpu(monkeypatch):
  """The environment of processes that compile for TPUs; see `tpu_compiler`."""
  return tpu_compiler.environment(monkeypatch)
