"""How many requests are in flight, and when they start; in virtual time."""

import asyncio
import contextlib
import math

import pytest
import virtual_time

from data_gen.teachers.throttle import PauseTooLongError
from data_gen.teachers.throttle import Throttle


class Server:
  """Serves some requests at a time, each for a second; refuses the others."""

  def __init__(self, capacity, retry_after=None):
    self.capacity = capacity
    self.retry_after = retry_after
    self.now = self.most = self.refused = self.served = 0
    self.starts = []

  def refuses(self):
    return self.now >= self.capacity

  async def ask(self, throttle):
    """Asks until it is served."""
    again = False
    while True:
      async with throttle.slot(first=again) as slot:
        self.starts.append(asyncio.get_running_loop().time())
        if self.refuses():
          self.refused += 1
          throttle.throttled(slot, self.retry_after)
          await asyncio.sleep(1)
        else:
          self.now += 1
          self.most = max(self.most, self.now)
          await asyncio.sleep(1)
          self.now -= 1
          self.served += 1
          throttle.succeeded(slot)
          return
      again = True


async def load(server, throttle, count):
  await asyncio.gather(*(server.ask(throttle) for _ in range(count)))


def test_no_more_than_the_concurrency_are_in_flight_and_never_fewer():
  server = Server(math.inf)

  async def main():
    await load(server, Throttle(64), 640)
    return asyncio.get_running_loop().time()

  seconds = virtual_time.run(main())
  assert server.most == 64
  assert seconds == pytest.approx(10)


def test_the_limit_finds_the_capacity_of_the_server():
  server = Server(capacity=8)
  throttle = Throttle(64)
  virtual_time.run(load(server, throttle, 2000))
  assert server.served == 2000
  assert 4 <= throttle.limit <= 12
  # Without a limit that adapts, each wave of 64 has 56 refused.
  assert server.refused < 0.2 * server.served


def test_the_limit_grows_again_when_the_server_does():
  server = Server(capacity=4)
  throttle = Throttle(32)

  async def main():
    await load(server, throttle, 300)
    small = throttle.limit
    server.capacity = math.inf
    await load(server, throttle, 3000)
    return small

  assert virtual_time.run(main()) < 10
  assert throttle.limit == 32


def test_a_server_that_refuses_at_random_is_not_slowed_to_a_crawl():
  class Moody(Server):
    def refuses(self):
      return len(self.starts) % 20 == 7

  throttle = Throttle(64)
  server = Moody(math.inf)
  virtual_time.run(load(server, throttle, 2000))
  assert throttle.limit > 20


def test_what_began_under_another_limit_says_nothing_of_this_one():
  throttle = Throttle(4)

  async def main():
    async with contextlib.AsyncExitStack() as stack:
      slow = [
        await stack.enter_async_context(throttle.slot()) for _ in range(3)
      ]
      for _ in range(4):
        async with throttle.slot() as slot:
          throttle.throttled(slot, None)
      assert throttle.limit == 2
      for slot in slow:
        throttle.throttled(slot, None)
      assert throttle.limit == 2

  virtual_time.run(main())


def test_nobody_starts_before_the_pause_that_one_request_was_told_is_over():
  server = Server(capacity=math.inf)
  throttle = Throttle(4)

  async def main():
    async with throttle.slot() as slot:
      throttle.throttled(slot, 30.0)
    await load(server, throttle, 20)

  virtual_time.run(main())
  assert min(server.starts) >= 30.0


def test_a_shorter_pause_does_not_end_a_longer_one():
  throttle = Throttle(4)

  async def main():
    async with throttle.slot() as a, throttle.slot() as b:
      throttle.throttled(a, 30.0)
      throttle.throttled(b, 1.0)
    async with throttle.slot():
      return asyncio.get_running_loop().time()

  assert virtual_time.run(main()) >= 30.0


def test_a_pause_of_days_ends_the_waiting_instead():
  throttle = Throttle(2, max_pause=60.0)

  async def wait():
    async with throttle.slot():
      raise AssertionError('started')

  async def main():
    async with throttle.slot() as slot, throttle.slot():
      waiting = [asyncio.create_task(wait()) for _ in range(3)]
      await asyncio.sleep(0)
      waiting[1].cancel()
      await asyncio.sleep(0)
      throttle.throttled(slot, 1e6)
      with pytest.raises(PauseTooLongError, match='1,000,000 s'):
        throttle.check_pause(None)
      ended = await asyncio.gather(*waiting, return_exceptions=True)
    # Also for who comes later, and what is asked of it does not change.
    with pytest.raises(PauseTooLongError) as e:
      await wait()
    assert '1,000,000 s' in str(e.value)
    assert 'max_pause = 60 s' in str(e.value)
    return ended, asyncio.get_running_loop().time()

  ended, seconds = virtual_time.run(main())
  assert [type(e) for e in ended] == [
    *(PauseTooLongError, asyncio.CancelledError, PauseTooLongError),
  ]
  assert seconds == 0


def test_a_pause_of_just_the_bound_is_kept():
  throttle = Throttle(2, max_pause=60.0)

  async def main():
    async with throttle.slot() as slot:
      throttle.throttled(slot, 60.0)
      throttle.check_pause(60.0)
    async with throttle.slot():
      return asyncio.get_running_loop().time()

  assert virtual_time.run(main()) == 60.0


def test_no_minute_has_more_requests_than_the_rate():
  server = Server(math.inf)
  throttle = Throttle(64, requests_per_minute=120)
  virtual_time.run(load(server, throttle, 500))
  starts = server.starts
  for i, start in enumerate(starts):
    within = [s for s in starts[i:] if s < start + 60 - 1e-6]
    assert len(within) <= 120
  assert starts[-1] == pytest.approx(499 / 2)


def test_repeated_attempts_go_before_those_that_wait():
  order = []
  throttle = Throttle(1)

  async def one(name, first):
    async with throttle.slot(first=first):
      order.append(name)
      await asyncio.sleep(1)

  async def main():
    async with asyncio.TaskGroup() as group:
      for name in ('a', 'b', 'c'):
        group.create_task(one(name, first=False))
      await asyncio.sleep(0.5)
      group.create_task(one('again', first=True))

  virtual_time.run(main())
  assert order == ['a', 'again', 'b', 'c']


def test_who_stops_waiting_takes_no_slot_away():
  throttle = Throttle(1)

  async def hold():
    async with throttle.slot():
      await asyncio.sleep(1)

  async def main():
    tasks = [asyncio.create_task(hold()) for _ in range(5)]
    await asyncio.sleep(0)
    tasks[1].cancel()  # Waits.
    await asyncio.sleep(0.5)
    tasks[0].cancel()  # Holds it, so that the next one is let in just now,
    await asyncio.sleep(0)
    tasks[2].cancel()  # and gives up in the same moment.
    await asyncio.gather(*tasks, return_exceptions=True)
    return asyncio.get_running_loop().time()

  assert virtual_time.run(main()) == pytest.approx(2.5)


def test_without_a_limit_all_are_in_flight():
  server = Server(math.inf)
  virtual_time.run(load(server, Throttle(None), 5000))
  assert server.most == 5000
