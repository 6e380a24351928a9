"""How many requests are in flight, and when the next one may start.

The number adapts as TCP's window does, by additive increase and multiplicative
decrease. It starts at the configured concurrency and grows by one each time
that as many requests as it allows have succeeded. After each such round it
shrinks if the server throttled more than a tenth of it: by a quarter, or by
half of the share that was throttled if that is more (as in DCTCP, RFC 8257,
section 3.3). So a server that refuses everything halves it, and one that
refuses now and then whatever the load, as shared ones do, does not.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
import contextlib
import dataclasses
import math

from msm_jax.log import logger

_TOLERATED = 0.1
_LEAST_CUT = 0.25
_WORTH_SAYING = 10.0


class PauseTooLongError(RuntimeError):
  """The server asks for a longer pause than the config allows."""


@dataclasses.dataclass(frozen=True)
class Slot:
  """The right to have one request in flight.

  Attributes:
    round: In which it began. What began under another limit says nothing of
      this one.
  """

  round: int


class Throttle:
  """Gives out slots; must be used in one event loop."""

  def __init__(
    self,
    concurrency: int | None,
    requests_per_minute: float | None = None,
    max_pause: float = math.inf,
  ):
    """Starts at the full concurrency.

    Args:
      concurrency: The most requests in flight; None for no limit.
      requests_per_minute: Requests start evenly spaced, so that no minute has
        more; None for no limit.
      max_pause: Seconds; a server that asks for more is asked nothing else.
    """
    self._most = math.inf if concurrency is None else float(concurrency)
    self._limit = self._most
    self._interval = 60.0 / requests_per_minute if requests_per_minute else 0.0
    self._running = 0
    self._round = 0
    self._served = 0
    self._refused = 0
    self._next_start = -math.inf
    self._resume = -math.inf
    self._max_pause = max_pause
    self._stopped = ''
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

    Raises:
      PauseTooLongError: If the server asks for too long a pause, now or while
        this waits; see `check_pause`.
    """
    self.check_pause(None)
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
      yield Slot(self._round)
    finally:
      self._release()

  def succeeded(self, slot: Slot) -> None:
    """Notes that the server had no complaint."""
    self._limit = min(self._most, self._limit + 1 / self._limit)
    self._served += slot.round == self._round
    self._adapt()

  def throttled(self, slot: Slot, retry_after: float | None) -> None:
    """Notes that the server asked for less.

    Args:
      slot: Of the request that it refused.
      retry_after: Seconds in which no request starts, whoever wants it.
    """
    if retry_after is not None:
      self._pause(retry_after)
    self._refused += slot.round == self._round
    self._adapt()

  def check_pause(self, seconds: float | None) -> None:
    """Stops everything if the server asks for too long a pause, or has.

    Nobody waits for days in silence, and nobody who waits for a slot gets one
    any more: what is not asked now is asked when the run is repeated.

    Args:
      seconds: That a server asks for; None if it does not say.

    Raises:
      PauseTooLongError: Here, and for everybody who waits or comes later.
    """
    if seconds is not None and seconds > self._max_pause:
      self._stop(seconds)
    if self._stopped:
      raise PauseTooLongError(self._stopped)

  def _stop(self, seconds: float) -> None:
    self._stopped = (
      f'the teacher asks for a pause of {seconds:,.0f} s, more than '
      f'max_pause = {self._max_pause:,.0f} s. What was answered is stored: '
      'run the same command again when it serves again, or raise max_pause '
      'of the teacher in the config'
    )
    for turn in self._waiting:
      if not turn.done():
        turn.set_exception(PauseTooLongError(self._stopped))
    self._waiting.clear()

  def _pause(self, seconds: float) -> None:
    if seconds > self._max_pause:
      self._stop(seconds)
      return
    resume = asyncio.get_running_loop().time() + seconds
    if resume > self._resume:
      self._resume = resume
      if seconds >= _WORTH_SAYING:
        logger.info('the teacher asks for a pause of %.0f s', seconds)

  def _adapt(self) -> None:
    """Ends a round when as many requests as the limit have been heard of."""
    heard = self._served + self._refused
    if heard <= self._limit - 1:
      return
    share = self._refused / heard
    if share > _TOLERATED:
      self._limit = max(1.0, self._limit * (1 - max(_LEAST_CUT, share / 2)))
    self._round += 1
    self._served = self._refused = 0
    self._admit()

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
