"""Who is late, and who has stopped, is said by number."""

import logging

import pytest

from msm_jax import distributed
from msm_jax import schema
from msm_jax.training import config as config_lib
from msm_jax.training import guard
from msm_jax.training import watch as watch_lib

HERE = 1
CONFIG = config_lib.WatchConfig(
  slow_factor=5.0, slow_seconds=10.0, lost_seconds=60.0
)


class _Board:
  """What three processes would write; this one is number 1."""

  def __init__(self):
    self.lines = {}
    self.is_there = True
    self._beats = {}

  def write(self, line):
    if not self.is_there:
      raise distributed.BoardError
    self.lines[HERE] = dict(line)

  def read(self):
    if not self.is_there:
      raise distributed.BoardError
    return dict(self.lines)

  def hear(self, index, doing, step):
    self._beats[index] = self._beats.get(index, 0) + 1
    self.lines[index] = {
      'beat': self._beats[index],
      'host': f'host{index}',
      'step': step,
      'doing': doing,
      'seconds': 0.0,
    }


@pytest.fixture
def board(monkeypatch):
  made = _Board()
  monkeypatch.setattr(distributed, 'open_board', lambda: made)
  monkeypatch.setattr(distributed, 'index', lambda: HERE)
  monkeypatch.setattr(distributed, 'count', lambda: 3)
  monkeypatch.setattr(distributed, 'is_first', lambda: True)
  return made


@pytest.fixture
def watch(board, clock):
  """In the middle of a run whose updates take two seconds."""
  watch = watch_lib.Watch(CONFIG)
  for _ in range(8):
    clock(2)
    watch.finished()
  _all(board, watch, 'computing', 8)
  assert watch.look() is None
  return watch


def _all(board, watch, doing, step):
  watch.doing(doing, step)
  for i in (0, 2):
    board.hear(i, doing, step)


def _look(watch, caplog):
  """What is said after a look."""
  caplog.clear()
  with caplog.at_level(logging.WARNING, 'msm_jax'):
    lost = watch.look()
  return lost, caplog.text


def test_usual_updates_are_not_spoken_of(watch, board, clock, caplog):
  clock(9.5)
  _all(board, watch, 'computing', 8)
  assert _look(watch, caplog) == (None, '')


def test_the_process_that_reads_is_the_one_waited_for(
  watch, board, clock, caplog
):
  watch.doing('computing', 8)
  for _ in range(3):
    clock(4)
    board.hear(0, 'computing', 8)
    board.hear(2, 'reading its batch', 8)
    lost, said = _look(watch, caplog)
  assert lost is None
  assert 'taken 12.0 seconds so far, the median is 2.00' in said
  assert 'process 2 (host2) has been reading its batch at step 8' in said
  assert 'process 0' not in said and 'process 1' not in said


def test_the_process_that_is_behind_is_the_one_waited_for(
  watch, board, clock, caplog
):
  clock(12)
  watch.doing('computing', 9)
  board.hear(0, 'computing', 8)
  board.hear(2, 'computing', 9)
  assert 'process 0 (host0) has been computing' in _look(watch, caplog)[1]


def test_where_all_compute_the_devices_are_waited_for(
  watch, board, clock, caplog
):
  clock(12)
  _all(board, watch, 'computing', 8)
  assert 'all processes are computing at step 8' in _look(watch, caplog)[1]


def test_it_is_said_again_only_when_it_has_become_twice_as_long(
  watch, board, clock, caplog
):
  said = []
  for _ in range(12):
    clock(4)
    _all(board, watch, 'computing', 8)
    said.append(bool(_look(watch, caplog)[1]))
  # After 12, 24 and 48 seconds.
  assert said == [i in (2, 5, 11) for i in range(12)]


def test_a_short_stutter_of_tiny_updates_is_no_straggler(board, clock, caplog):
  watch = watch_lib.Watch(CONFIG)
  for _ in range(8):
    clock(0.01)
    watch.finished()
  _all(board, watch, 'computing', 8)
  clock(9)
  assert _look(watch, caplog) == (None, '')


@pytest.mark.parametrize('doing', ['saving', 'compiling', 'crossing'])
def test_what_is_no_update_may_take_its_time(
  doing, watch, board, clock, caplog
):
  _all(board, watch, doing, 8)
  clock(50)
  _all(board, watch, doing, 8)
  assert _look(watch, caplog) == (None, '')
  watch.paused()
  _all(board, watch, 'computing', 9)
  assert _look(watch, caplog) == (None, '')


def test_a_new_phase_has_a_median_of_its_own(watch, board, clock, caplog):
  watch.new_phase()
  clock(30)
  _all(board, watch, 'computing', 8)
  assert _look(watch, caplog) == (None, '')


def test_a_process_that_is_silent_is_waited_for_and_then_lost(
  watch, board, clock, caplog
):
  for _ in range(5):
    clock(11)
    board.hear(0, 'computing', 8)
    with caplog.at_level(logging.WARNING, 'msm_jax'):
      assert watch.look() is None
  assert 'process 2 (host2) has been computing at step 8' in caplog.text
  assert 'silent since' in caplog.text
  clock(6)
  board.hear(0, 'computing', 8)
  lost, _ = _look(watch, caplog)
  assert lost == (
    'process 2 (host2) has stopped: it has not been heard of for 61 seconds, '
    'since computing at step 8'
  )


def test_a_process_that_has_ended_is_not_lost(watch, board, clock):
  board.hear(2, 'ended', 8)
  watch.look()
  clock(100)
  board.hear(0, 'computing', 8)
  assert watch.look() is None


def test_what_another_process_failed_of_is_passed_on(watch, board):
  board.hear(2, 'failed: shard 7 is damaged', 8)
  assert watch.look() == 'process 2 (host2) has failed: shard 7 is damaged'


def test_without_a_board_process_0_is_lost(watch, board):
  board.is_there = False
  assert watch.look() == 'process 0, the coordinator, cannot be reached'


def _fail(config, error):
  with watch_lib.Watch(config, period=0.01):
    raise error


def test_a_collective_that_fails_is_blamed_on_who_has_stopped(board):
  board.hear(0, 'computing', 8)
  board.hear(2, 'failed: shard 7 is damaged', 8)
  with pytest.raises(watch_lib.PeerLostError, match=r'process 2.*shard 7'):
    _fail(CONFIG, ValueError('Gloo AllReduce failed'))


def test_an_error_of_ones_own_stays_what_it_is(board):
  board.hear(0, 'ended', 8)
  board.hear(2, 'ended', 8)
  with pytest.raises(ZeroDivisionError):
    _fail(CONFIG, ZeroDivisionError())
  assert board.lines[HERE]['doing'].startswith('failed')


@pytest.mark.parametrize(
  'error',
  [schema.ConfigError('x'), guard.TrainingDivergedError('loss is nan')],
)
def test_what_all_processes_find_wrong_is_not_blamed_on_one(board, error):
  board.hear(2, 'failed: loss is nan', 8)
  with pytest.raises(type(error)):
    _fail(CONFIG, error)


@pytest.mark.parametrize('key', ['slow_factor', 'slow_seconds', 'lost_seconds'])
def test_limits_that_are_no_limits_are_refused(key):
  with pytest.raises(ValueError, match=f'{key}: 0'):
    config_lib.WatchConfig(**{key: 0})
