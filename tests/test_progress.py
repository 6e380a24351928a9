import io
import json
import os

import pytest
from terminals import Terminal

from msm_jax import progress


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
  monkeypatch.delenv(progress.ENVIRONMENT_KEY, raising=False)


def state(**changes):
  fields = {'label': 'pack', 'unit': 'tokens', 'done': 30, 'total': 120}
  return progress.State(**{**fields, 'rate': 1500.0, **changes})


@pytest.mark.parametrize(
  ('value', 'text'),
  [
    (0, '0'),
    (0.25, '0.25'),
    (12, '12'),
    (999.4, '999'),
    (999.6, '1k'),
    (12345, '12.3k'),
    (999_900, '1M'),
    (2.5e6, '2.5M'),
    (999.9e6, '1G'),
    (7e12, '7T'),
  ],
)
def test_large_numbers_are_short(value, text):
  assert progress.human(value) == text


@pytest.mark.parametrize(
  ('seconds', 'text'),
  [
    (None, '-:--'),
    (0, '0:00'),
    (59.6, '1:00'),
    (754, '12:34'),
    (3599.4, '59:59'),
    (3661, '1:01:01'),
  ],
)
def test_times_are_minutes_and_seconds(seconds, text):
  assert progress.clock(seconds) == text


def test_a_bar_shows_share_rate_and_time_left():
  line = progress.draw(state(done=90_000, total=360_000, note='loss 3.2'))
  assert line == (
    f'{"pack":<24} {"█" * 6}{"░" * 18}  25%   1.5k tokens/s ETA 3:00 loss 3.2'
  )


def test_a_bar_is_cut_to_the_width_of_the_terminal():
  assert len(progress.draw(state(note='x' * 100), 50)) == 50


def test_more_than_all_is_all_and_nothing_to_do_is_done():
  assert state(done=130).fraction == 1.0
  assert state(done=130).eta == 0.0
  assert state(done=0, total=0).fraction == 1.0
  assert state(rate=0.0).eta is None


def test_what_was_done_before_counts_for_the_bar_and_not_for_the_rate(clock):
  bar = progress.Progress('x', 100, 'rows', done=40, stream=io.StringIO())
  clock(2)
  bar.advance(20)
  assert (bar.state.fraction, bar.state.rate, bar.state.eta) == (0.6, 10.0, 4.0)


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(clock):
  log = io.StringIO()
  with progress.Progress('x', 100, 'rows', stream=log) as bar:
    for _ in range(25):
      clock(1)
      bar.advance(4)
  lines = log.getvalue().splitlines()
  assert [line.split('%')[0].split()[-1] for line in lines] == [
    '4',
    '44',
    '84',
    '100',
  ]
  assert '\r' not in log.getvalue()


def test_a_terminal_gets_one_line_that_is_redrawn(clock, monkeypatch):
  monkeypatch.setenv('COLUMNS', '60')
  terminal = Terminal()
  with progress.Progress('x', 100, 'rows', stream=terminal) as bar:
    for _ in range(10):
      clock(0.15)
      bar.advance(10, note='a note that would wrap on a narrow terminal')
  assert terminal.getvalue().count('\n') == 1
  assert terminal.getvalue().endswith('\n')
  drawn = terminal.getvalue().strip().split('\r')
  assert len(drawn) == 6  # Every other update, and the end.
  assert all(len(line.removesuffix('\x1b[K')) < 60 for line in drawn)


def test_a_job_that_fails_shows_how_far_it_came(clock):
  log = io.StringIO()
  with (
    pytest.raises(RuntimeError),
    progress.Progress('x', 100, 'rows', stream=log) as bar,
  ):
    bar.advance(10)
    clock(1)
    bar.advance(20)
    raise RuntimeError
  assert ' 30%' in log.getvalue().splitlines()[-1]


def test_under_a_launcher_the_state_is_in_a_file(tmp_path, monkeypatch, clock):
  file, terminal = str(tmp_path / 'job.progress'), Terminal()
  monkeypatch.setenv(progress.ENVIRONMENT_KEY, file)
  assert progress.read_state(file) is None
  with progress.Progress('x', 100, 'rows', done=10, stream=terminal) as bar:
    clock(4)
    bar.advance(20, 'half way')
    assert progress.read_state(file) == progress.State(
      'x', 'rows', 30, 100, 5.0, 'half way'
    )
    clock(1)
    bar.advance(70)
  assert progress.read_state(file) == progress.State(
    'x', 'rows', 100, 100, 18.0, ''
  )
  assert terminal.getvalue() == ''
  assert os.listdir(tmp_path) == ['job.progress']


def test_a_launcher_never_reads_half_a_state(tmp_path, monkeypatch, clock):
  file = tmp_path / 'job.progress'
  monkeypatch.setenv(progress.ENVIRONMENT_KEY, str(file))
  with progress.Progress('x', 100, 'rows') as bar:
    bar.advance(10)
    # Opened before it was replaced, the file is the one that it was.
    with open(file) as reader:
      clock(1)
      bar.advance(20)
      assert json.loads(reader.read())['done'] == 10
  assert progress.read_state(str(file)).done == 30


def test_a_state_that_cannot_be_written_stops_no_job(tmp_path, monkeypatch):
  monkeypatch.setenv(progress.ENVIRONMENT_KEY, str(tmp_path / 'gone' / 'x'))
  with progress.Progress('x', 100, 'rows') as bar:
    bar.advance(100)
  assert bar.state.fraction == 1.0
