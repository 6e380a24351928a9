"""How many requests are in flight, and when the next one may start.

The number adapts as TCP's window does (AIMD; Chiu and Jain 1989, "Analysis of
the increase and decrease algorithms for congestion avoidance"): it starts at
the configured concurrency, halves when the server throttles, and grows by one
each time that as many requests as it allows have succeeded.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
import contextlib
import dataclasses
import math

from msm_jax.log import logger

_WORTH_SAYING = 10.0


@dataclasses.dataclass
class Slot:
  """The right to have one request in flight.

  Attributes:
    era: How often the limit had been halved when the request started. Of the
      64 that are refused together, only the first one tells something new.
  """

  era: int


class Throttle:
  """Gives out slots; must be used in one event loop."""

  def __init__(
    self,
    concurrency: int | None,
    requests_per_minute: float | None = None,
  ):
    """Starts at the full concurrency.

    Args:
      concurrency: The most requests in flight; None for no limit.
      requests_per_minute: Requests start evenly spaced, so that no minute has
        more; None for no limit.
    """
    self._most = math.inf if concurrency is None else float(concurrency)
    self._limit = self._most
    self._interval = 60.0 / requests_per_minute if requests_per_minute else 0.0
    self._running = 0
    self._era = 0
    self._next_start = -math.inf
    self._resume = -math.inf
    self._waiting: deque[asyncio.Future[None]] = deque()
    self._timer: asyncio.TimerHandle | None = None

  @property
  def limit(self) -> float:
    """How many may be in flight now."""
    return self._limit

  @contextlib.asynccontextmanager
  async def slot(self, *, first: bool = False) -> AsyncIterator[Slot]:
    """Waits for the right to send a request.

    Args:
      first: Whether to go before all who wait, as a repeated attempt does:
        thousands may wait, and whoever needs its answer has waited long.
    """
    loop = asyncio.get_running_loop()
    turn: asyncio.Future[None] = loop.create_future()
    if first:
      self._waiting.appendleft(turn)
    else:
      self._waiting.append(turn)
    self._admit()
    try:
      await turn
    except asyncio.CancelledError:
      if turn.done() and not turn.cancelled():
        self._release()
      raise
    try:
      yield Slot(self._era)
    finally:
      self._release()

  def succeeded(self) -> None:
    """Notes that the server had no complaint."""
    if self._limit < self._most:
      self._limit = min(self._most, self._limit + 1 / self._limit)
      self._admit()

  def throttled(self, slot: Slot, retry_after: float | None) -> None:
    """Notes that the server asked for less.

    Args:
      slot: Of the request that it refused.
      retry_after: Seconds in which no request starts, whoever wants it.
    """
    loop = asyncio.get_running_loop()
    if retry_after is not None:
      resume = loop.time() + retry_after
      if resume > self._resume:
        self._resume = resume
        if retry_after >= _WORTH_SAYING:
          logger.info('the teacher asks for a pause of %.0f s', retry_after)
    if slot.era == self._era:
      self._era += 1
      if not math.isinf(self._limit):
        self._limit = max(1.0, self._limit / 2)

  def _release(self) -> None:
    self._running -= 1
    self._admit()

  def _admit(self) -> None:
    """Lets in whoever may start now, and comes back for the next one."""
    loop = asyncio.get_running_loop()
    while self._waiting and self._running + 1 <= self._limit:
      if self._waiting[0].done():  # Cancelled.
        self._waiting.popleft()
        continue
      now = loop.time()
      start = max(self._resume, self._next_start)
      if start > now:
        if self._timer is not None:
          self._timer.cancel()
        self._timer = loop.call_at(start, self._admit)
        return
      self._next_start = now + self._interval
      self._running += 1
      self._waiting.popleft().set_result(None)
