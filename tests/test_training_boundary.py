"""What a run waits for between two phases."""

import threading

import jax
import pytest
import tiny_run

from msm_jax import training
from msm_jax.training import metrics
from msm_jax.training import programs

_COMPILED = '/jax/core/compile/backend_compile_duration'


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
  root = tmp_path_factory.mktemp('sources')
  tiny_run.make_sources(root)
  return root


@pytest.mark.parametrize('state', ['fresh', 'carry'])
def test_nothing_is_first_compiled_while_a_run_waits_at_the_boundary(
  sources, tmp_path, monkeypatch, state
):
  raw = tiny_run.get_config(str(sources))
  raw.phases[1].optimizer_state = state
  events = []
  real = metrics.MetricsWriter.write

  def write(writer, record):
    real(writer, record)
    events.append((record['phase'], record['update']))

  def compiled(name, seconds, **_):
    if name == _COMPILED and threading.current_thread().name == 'MainThread':
      events.append('compiled')

  real_request = programs.Programs.request

  def request(self, key):
    if key not in events:
      events.append(key)
    real_request(self, key)

  monkeypatch.setattr(metrics.MetricsWriter, 'write', write)
  monkeypatch.setattr(programs.Programs, 'request', request)
  jax.clear_caches()
  jax.monitoring.register_event_duration_secs_listener(compiled)
  try:
    training.train(training.load(raw), tmp_path)
  finally:
    jax.monitoring.unregister_event_duration_listener(compiled)
  assert 'compiled' in events, 'nothing was heard of any compilation'
  first, second = (phase.name for phase in raw.phases)
  boundary = events[
    events.index((first, raw.phases[0].updates)) : events.index((second, 1))
  ]
  assert boundary == [(first, raw.phases[0].updates)]
