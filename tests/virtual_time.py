"""An event loop whose clock jumps to the next thing that is due.

Hours of waiting pass at once, in the right order, and nothing depends on how
fast the machine is: while a thread works, the clock stands still.
"""

import asyncio
from collections.abc import Coroutine
import selectors
from typing import Any
from typing import TypeVar
from unittest import mock

T = TypeVar('T')


class _Selector(selectors.DefaultSelector):
  """Returns at once, and tells the loop how long it would have waited."""

  loop: 'Loop'

  def select(self, timeout=None):
    if self.loop.threads and timeout != 0:
      return super().select(None)  # A thread wakes it up.
    ready = super().select(0)
    if not ready and timeout is None:
      raise RuntimeError('everybody waits, and nothing is due')
    if not ready:
      self.loop.now += max(timeout, 0.0)
    return ready


class Loop(asyncio.SelectorEventLoop):
  """Time begins at 0 s."""

  def __init__(self):
    self.now = 0.0
    self.threads = 0
    selector = _Selector()
    selector.loop = self
    super().__init__(selector)

  def time(self) -> float:
    return self.now

  def wait_for_thread(self, future: asyncio.Future) -> asyncio.Future:
    def done(_):
      self.threads -= 1

    self.threads += 1
    future.add_done_callback(done)
    return future

  def run_in_executor(self, executor, func, *args):
    return self.wait_for_thread(super().run_in_executor(executor, func, *args))

  async def shutdown_default_executor(self, timeout=None):
    self.threads += 1
    await super().shutdown_default_executor()


def run(main: Coroutine[Any, Any, T]) -> T:
  """Runs a coroutine to its end, as `asyncio.run` does."""
  wrap = asyncio.wrap_future

  def wrap_future(future, *, loop=None):
    loop = loop or asyncio.get_running_loop()
    return loop.wait_for_thread(wrap(future, loop=loop))

  with (
    mock.patch.object(asyncio, 'wrap_future', wrap_future),
    asyncio.Runner(loop_factory=Loop) as runner,
  ):
    return runner.run(main)
