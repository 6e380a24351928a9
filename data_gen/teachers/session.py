"""Asks a teacher so that nothing is lost and nothing is paid for twice."""

import asyncio
import dataclasses
import random

from data_gen.teachers.budget import Budget
from data_gen.teachers.budget import Ledger
from data_gen.teachers.prices import most_tokens
from data_gen.teachers.prices import Prices
from data_gen.teachers.prices import Tokens
from data_gen.teachers.prices import tokens_of
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import Teacher
from data_gen.teachers.protocol import TeacherError
from data_gen.teachers.store import Store
from data_gen.teachers.throttle import Slot
from data_gen.teachers.throttle import Throttle
from data_gen.teachers.usage import Counter
from data_gen.teachers.usage import Usage

_REASON = 200
"""Characters of an error that are kept with a lost request."""
_LAST_WORDS = 5.0
"""Seconds that cancelled attempts get to close their connections."""


class TeacherFailedError(RuntimeError):
  """A request was given up.

  Attributes:
    request: What was asked.
    attempts: How often, refusals to serve included.
    error: The last one.
  """

  def __init__(self, request: Request, attempts: int, error: TeacherError):
    often = 'once' if attempts == 1 else f'{attempts} times'
    why = 'given up' if error.retryable else 'asking again would not help'
    super().__init__(
      f'{request.task or "request"} {request.key[:12]} (sample '
      f'{request.sample}) to {request.model!r}: asked {often}, {why}: {error}'
    )
    self.request = request
    self.attempts = attempts
    self.error = error


@dataclasses.dataclass(frozen=True)
class Limits:
  """How hard a teacher is asked.

  Attributes:
    concurrency: The most requests in flight; None for no limit.
    requests_per_minute: None for no limit.
    timeout: Seconds for one attempt, from sending to the last byte; None for
      none.
    max_attempts: How often a request is tried before it is given up.
    max_throttled: How often it may be refused because of too many requests.
      Those are no failures, and waiting helps.
    backoff: Seconds before the second attempt, about; doubled for each further
      one.
    max_backoff: The most that this grows to.
    max_pause: Seconds; if the server asks for a longer pause, the session asks
      nothing more.
    resumes: Whether the teacher itself takes up what was in flight when it was
      killed, as batch jobs do; then nothing is in danger of being repeated.
  """

  concurrency: int | None = 64
  requests_per_minute: float | None = None
  timeout: float | None = 600.0
  max_attempts: int = 8
  max_throttled: int = 100
  backoff: float = 1.0
  max_backoff: float = 60.0
  max_pause: float = 3600.0
  resumes: bool = False


@dataclasses.dataclass
class _Call:
  """A request being worked on, and how many wait for it."""

  task: asyncio.Task[Answer]
  waiting: int = 0


class Session:
  """Asks one teacher, with a store, limits and a budget.

  Close it when done, or use it as an asynchronous context manager. It belongs
  to one event loop; the store may be open in other processes. The budget counts
  what those have spent up to when the session was made.
  """

  def __init__(
    self,
    teacher: Teacher,
    store: Store,
    *,
    limits: Limits | None = None,
    prices: Prices | None = None,
    budget: Budget | None = None,
  ):
    """Takes over teacher and store, and closes them.

    Raises:
      ValueError: For a budget in money without prices.
    """
    self._teacher = teacher
    self._store = store
    self._limits = limits or Limits()
    self._prices = prices
    spent = store.spent(prices)
    self._ledger = Ledger(budget or Budget(), prices, spent.tokens, spent.usd)
    self._throttle = Throttle(
      self._limits.concurrency,
      self._limits.requests_per_minute,
      self._limits.max_pause,
    )
    self._counter = Counter(priced=prices is not None)
    self._calls: dict[str, _Call] = {}
    self._abandoned: set[asyncio.Task[Answer]] = set()
    self._jitter = random.Random()
    self._closed = False

  async def __aenter__(self) -> 'Session':
    return self

  async def __aexit__(self, *exception: object) -> None:
    await self.close()

  @property
  def usage(self) -> Usage:
    """What this session has done so far."""
    return self._counter.usage

  @property
  def concurrency(self) -> float:
    """How many requests may be in flight now."""
    return self._throttle.limit

  @property
  def store(self) -> Store:
    """To list what is stored."""
    return self._store

  def cost(self, answer: Answer) -> float | None:
    """Returns US dollars, or None if the prices are unknown."""
    if self._prices is None:
      return None
    return self._prices.cost(tokens_of(answer))

  def check(self, request: Request) -> None:
    """Asks nothing; see `Teacher.check` for what is raised."""
    self._teacher.check(request)

  async def ask(self, request: Request) -> Answer:
    """Returns the answer, from the store if it is there.

    Otherwise the answer is on the disk before this returns. Identical requests
    at the same time are sent once.

    Raises:
      BudgetExceededError: Before sending what could exceed the budget.
      TeacherFailedError: If every attempt failed.
      PauseTooLongError: If the server asks for a longer pause than
        `Limits.max_pause`, now or before; only what is stored is told then.
      StoreError: If the store cannot be read or written.
    """
    if self._closed:
      raise RuntimeError('the session is closed')
    if (stored := self._store.get(request.key)) is not None:
      self._counter.add(from_store=1)
      return stored
    call = self._calls.get(request.key)
    if call is None:
      call = self._begin(request)
    else:
      self._counter.add(shared=1)
    call.waiting += 1
    try:
      return await asyncio.shield(call.task)
    finally:
      call.waiting -= 1
      if not call.waiting and not call.task.done():
        self._forget(request.key, call)
        call.task.cancel()

  def _begin(self, request: Request) -> _Call:
    call = _Call(asyncio.create_task(self._buy(request)))
    self._calls[request.key] = call
    call.task.add_done_callback(lambda _: self._forget(request.key, call))
    return call

  def _forget(self, key: str, call: _Call) -> None:
    if self._calls.get(key) is call:
      del self._calls[key]

  async def close(self) -> None:
    """Gives up what is in flight, and closes teacher and store."""
    if self._closed:
      return
    self._closed = True
    tasks = [call.task for call in self._calls.values()]
    tasks += self._abandoned
    for task in tasks:
      task.cancel()
    if tasks:
      # What does not listen is left behind.
      await asyncio.wait(tasks, timeout=_LAST_WORDS)
    try:
      await self._teacher.close()
    finally:
      await asyncio.to_thread(self._store.close)

  async def _buy(self, request: Request) -> Answer:
    """Tries until there is an answer, or no hope."""
    failed = throttled = 0
    while True:
      async with self._throttle.slot(first=failed + throttled > 0) as slot:
        try:
          return await self._attempt(request, slot)
        except TeacherError as e:
          error = e
        if error.throttled and error.retryable:
          throttled += 1
          self._counter.add(throttled=1)
        else:
          failed += 1
        if error.retryable:
          self._throttle.check_pause(error.retry_after)
        if (
          not error.retryable
          or failed >= self._limits.max_attempts
          or throttled >= self._limits.max_throttled
        ):
          self._counter.add(failed=1)
          raise TeacherFailedError(request, failed + throttled, error)
        self._counter.add(retried=1)
        delay = self._delay(failed + throttled, error)
        if error.throttled:
          # The slot rests, too: others would rush into it and be refused.
          await asyncio.sleep(delay)
      if not error.throttled:
        await asyncio.sleep(delay)

  def _delay(self, attempts: int, error: TeacherError) -> float:
    """Seconds until the next attempt of this request, with jitter.

    Where the server says how long, all requests wait (see `Throttle`); it only
    remains to spread those that it refused together.
    """
    if error.throttled and error.retry_after is not None:
      attempts = 1
    grown = self._limits.backoff * 2.0 ** min(attempts - 1, 30)
    delay = min(grown, self._limits.max_backoff) * self._jitter.uniform(0.5, 1)
    return delay + (error.retry_after or 0.0)

  async def _attempt(self, request: Request, slot: Slot) -> Answer:
    """Sends the request once; returns when the answer is on the disk."""
    most = most_tokens(request)
    await self._ledger.reserve(most)
    taken = Tokens()
    try:
      if not self._limits.resumes:
        repeated = await self._store.mark(request.key, most)
        self._counter.add(repeated=int(repeated))
      # From here on, until it is known, it may take everything.
      taken = most
      answer, seconds = await self._send(request, slot)
      if not (answer.prompt_tokens or answer.completion_tokens):
        answer = dataclasses.replace(answer, prompt_tokens=most.prompt)
      taken = tokens_of(answer)
      return await self._keep(request, answer, seconds)
    except TeacherError as e:
      if not e.maybe_charged:
        taken = Tokens()
      await self._drop(request, e)
      raise
    except asyncio.CancelledError:
      # Nobody waits for the disk any more.
      if taken is most and not self._limits.resumes:
        self._counter.add(lost=1)
        self._store.unmark(request.key, lost='cancelled')
      raise
    finally:
      self._ledger.settle(most, taken)

  async def _send(self, request: Request, slot: Slot) -> tuple[Answer, float]:
    """Returns the teacher's answer and the seconds that it took."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    self._counter.add(sent=1)
    task = asyncio.ensure_future(self._teacher.answer(request))
    try:
      await asyncio.wait({task}, timeout=self._limits.timeout)
    finally:
      if not task.done():
        self._abandon(task)
    if not task.done() or task.cancelled():
      raise TeacherError(
        f'no answer within timeout = {self._limits.timeout} s',
        retryable=True,
        maybe_charged=True,
      )
    try:
      answer = task.result()
    except TeacherError as e:
      if e.throttled:
        self._throttle.throttled(slot, e.retry_after)
      raise
    self._throttle.succeeded(slot)
    return answer, loop.time() - begin

  def _abandon(self, task: asyncio.Task[Answer]) -> None:
    """Cancels an attempt without waiting until it has noticed."""

    def over(task: asyncio.Task[Answer]) -> None:
      self._abandoned.discard(task)
      if not task.cancelled():
        task.exception()  # Asked for, so that asyncio does not report it.

    self._abandoned.add(task)
    task.add_done_callback(over)
    task.cancel()

  async def _keep(
    self, request: Request, answer: Answer, seconds: float
  ) -> Answer:
    """Stores an answer and counts it."""
    answer = dataclasses.replace(
      answer,
      text=_unicode(answer.text),
      reasoning=_unicode(answer.reasoning),
    )
    cost = self.cost(answer)
    kept = await self._store.commit(
      request, answer, cost_usd=cost, seconds=seconds
    )
    self._counter.add(
      answered=1,
      prompt_tokens=answer.prompt_tokens,
      completion_tokens=answer.completion_tokens,
      reasoning_tokens=answer.reasoning_tokens,
      cost_usd=cost,
    )
    return kept

  async def _drop(self, request: Request, error: TeacherError) -> None:
    """Notes that an attempt failed, and whether it may be charged for."""
    lost = str(error)[:_REASON] or 'lost' if error.maybe_charged else ''
    self._counter.add(lost=int(bool(lost)))
    if not self._limits.resumes:
      await asyncio.wrap_future(self._store.unmark(request.key, lost=lost))


def _unicode(text: str) -> str:
  """Returns a text that files can hold.

  JSON can spell half of a character (RFC 8259, section 8.2), as servers do that
  cut texts in UTF-16. Two halves become the character; what is half only
  becomes U+FFFD, by which the `schema` gate knows it.
  """
  if text.isascii():
    return text
  return text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')
