import threading

import pytest

from msm_jax import data


def test_results_come_in_order_of_the_steps():
  with data.prefetch(lambda step: step * step, 3, 50, depth=4) as results:
    assert list(results) == [step * step for step in range(3, 50)]


def test_at_most_depth_results_are_computed_ahead():
  started = threading.Semaphore(0)
  steps = []

  def batch(step):
    steps.append(step)
    started.release()
    return step

  with data.prefetch(batch, 0, 100, depth=3) as results:
    for _ in range(3):
      assert started.acquire(timeout=60)
    assert steps == [0, 1, 2]
    next(results)
    assert started.acquire(timeout=60)
    assert steps == [0, 1, 2, 3]


def test_results_are_computed_while_the_consumer_is_busy():
  ready = threading.Event()

  def batch(step):
    if step == 1:
      ready.set()
    return step

  with data.prefetch(batch, 0, 2, depth=2) as results:
    next(results)
    assert ready.wait(timeout=60)  # Nobody has asked for step 1.


def test_an_exception_is_raised_at_its_place_in_the_order():
  def batch(step):
    if step == 2:
      raise ValueError('shard 7 is damaged')
    return step

  results = data.prefetch(batch, 0, 10, depth=4)
  assert next(results) == 0
  assert next(results) == 1
  with pytest.raises(ValueError, match='shard 7 is damaged'):
    next(results)
  with pytest.raises(StopIteration):
    next(results)
  assert not results._thread.is_alive()


def test_closing_stops_the_thread_and_the_iteration():
  results = data.prefetch(lambda step: step, 0, 10**9, depth=2)
  assert next(results) == 0
  results.close()
  assert not results._thread.is_alive()
  results.close()
  with pytest.raises(StopIteration):
    next(results)


def test_an_error_in_the_consumer_stops_the_thread():
  with (
    pytest.raises(RuntimeError, match='consumer'),
    data.prefetch(lambda step: step, 0, 10**9, depth=2) as results,
  ):
    raise RuntimeError('consumer')
  assert not results._thread.is_alive()


def test_nothing_to_load_is_no_result():
  with data.prefetch(lambda step: step, 5, 5) as results:
    assert list(results) == []


def test_a_depth_that_is_not_positive_is_refused():
  with pytest.raises(ValueError, match='depth=0'):
    data.prefetch(lambda step: step, 0, 1, depth=0)
