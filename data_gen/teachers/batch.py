"""Batch interfaces behind `answer`: cheaper, slower, and safe to kill.

Requests are gathered until no further one comes for a while, and go out
together as one job. What the job is called is on disk before it is sent, its id
before it is polled, and its results before they are handed out:

  killed before the job exists   the server does not know its name: its requests
                                 are free again
  killed before its id is known  the server finds it by its name
  killed while it runs           it is polled again
  killed during the download     it is downloaded again

So no request is in two jobs, except those that a job left unanswered; these go
into another one, at most `max_submissions` times.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math
import pathlib
import time
from typing import TypeVar
import uuid

from data_gen.teachers.batch_jobs import BatchJobs
from data_gen.teachers.batch_jobs import Job
from data_gen.teachers.batch_jobs import Result
from data_gen.teachers.batch_protocol import BatchOptions
from data_gen.teachers.batch_protocol import BatchServer
from data_gen.teachers.batch_protocol import JobGoneError
from data_gen.teachers.batch_protocol import Progress
from data_gen.teachers.config import TeacherConfig
from data_gen.teachers.database import StoreError
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import Teacher
from data_gen.teachers.protocol import TeacherError
from msm_jax import log
from msm_jax import schema

T = TypeVar('T')

_GROWTH = 1.5


@dataclasses.dataclass(frozen=True)
class Clock:
  """Time, which tests replace.

  Attributes:
    now: Seconds since the epoch.
    sleep: Waits for seconds.
  """

  now: Callable[[], float] = time.time
  sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclasses.dataclass
class _Waiting:
  """A request that somebody waits for."""

  request: Request
  future: asyncio.Future[Answer]
  count: int = 0


class BatchTeacher:
  """Answers through batch jobs; see the top of this file.

  It belongs to one event loop.
  """

  def __init__(
    self,
    server: BatchServer,
    jobs: BatchJobs,
    options: BatchOptions,
    *,
    max_attempts: int = 8,
    max_pause: float = math.inf,
    clock: Clock | None = None,
  ):
    """Takes over server and jobs, and closes them.

    Args:
      server: That runs the jobs.
      jobs: Where they are written down.
      options: How they are gathered and followed.
      max_attempts: How often one call to the server is tried.
      max_pause: Seconds; if the server asks for a longer pause, those who wait
        are told. The job stays where it is, for the next run.
      clock: The real one if None.
    """
    self._server = server
    self._jobs = jobs
    self._options = options
    self._max_attempts = max_attempts
    self._max_pause = max_pause
    self._clock = clock or Clock()
    self._waiting: dict[str, _Waiting] = {}
    self._queue: dict[str, None] = {}  # In the order of arrival.
    self._in_job: dict[str, str] = {}
    self._stalled: set[str] = set()
    self._news = asyncio.Event()
    self._begun: asyncio.Task[None] | None = None
    self._tasks: set[asyncio.Task[None]] = set()

  async def close(self) -> None:
    """Stops following; jobs go on at the server, for the next run."""
    tasks = [*self._tasks, *([self._begun] if self._begun else [])]
    for task in tasks:
      task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    try:
      await self._server.close()
    finally:
      self._jobs.close()

  async def answer(self, request: Request) -> Answer:
    """Waits for the request's job.

    Raises:
      TeacherError: If the job has an error for it, or it could not be sent.
    """
    if self._begun is None:
      self._begun = asyncio.create_task(self._begin())
    await asyncio.shield(self._begun)
    waiting = self._waiting.get(request.key)
    if waiting is None:
      future = asyncio.get_running_loop().create_future()
      waiting = self._waiting[request.key] = _Waiting(request, future)
      self._spawn(self._enlist(waiting))
    waiting.count += 1
    try:
      return await asyncio.shield(waiting.future)
    finally:
      waiting.count -= 1
      if not waiting.count:
        self._leave(request.key, waiting)

  def check(self, request: Request) -> None:
    """Raises `TeacherError` for what cannot be a line of a job."""
    self._server.line(request)

  def _leave(self, key: str, waiting: _Waiting) -> None:
    if self._waiting.get(key) is waiting:
      del self._waiting[key]
      self._queue.pop(key, None)

  async def _enlist(self, waiting: _Waiting) -> None:
    """Puts a request into the queue, unless something came for it before."""
    key = waiting.request.key
    try:
      self._hand_out(key, await self._jobs.take(key))
      times = await self._jobs.submissions(key)
    except StoreError as e:
      self._hand_out(key, TeacherError(str(e), retryable=False))
      return
    if self._waiting.get(key) is not waiting or waiting.future.done():
      return
    if key in self._in_job:
      await self._take_up_again(self._in_job[key])
      return
    if times >= self._options.max_submissions:
      self._hand_out(key, self._exhausted(times))
      return
    self._queue[key] = None
    self._news.set()

  async def _take_up_again(self, name: str) -> None:
    """Follows a job again of which following had failed."""
    if name not in self._stalled:
      return
    self._stalled.discard(name)
    for job in await self._jobs.unfinished():
      if job.job == name:
        self._spawn(self._guarded(job, self._resume(job)))

  def _exhausted(self, times: int) -> TeacherError:
    return TeacherError(
      f'{times} batch jobs ended without an answer to this request; raise '
      'teacher.extra.max_submissions to go on, or ask without batches',
      retryable=False,
    )

  def _hand_out(self, key: str, result: Result | None) -> None:
    waiting = self._waiting.get(key)
    if result is None or waiting is None or waiting.future.done():
      return
    if isinstance(result, Answer):
      waiting.future.set_result(result)
    else:
      waiting.future.set_exception(result)
      waiting.future.exception()  # Asked for: all who waited may be gone.

  async def _begin(self) -> None:
    """Takes up the jobs of runs before this one, and begins to gather."""
    for job in await self._jobs.unfinished():
      self._in_job.update(dict.fromkeys(job.keys, job.job))
      self._spawn(self._guarded(job, self._resume(job)))
    self._spawn(self._gather())

  def _spawn(self, work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    self._tasks.add(task)
    task.add_done_callback(self._tasks.discard)

  async def _guarded(self, job: Job, work: Awaitable[None]) -> None:
    """Lets those who wait for a job know if following it fails.

    The job stays on disk, so that it is taken up when somebody asks again, in
    this run or the next.
    """
    try:
      await work
    except Exception as e:
      if self._in_job.get(job.keys[0]) == job.job:
        self._stalled.add(job.job)
      if not isinstance(e, TeacherError):
        log.logger.exception('batch job %s', job.job)
        e = TeacherError(f'batch job {job.job}: {e}', retryable=False)
      for key in job.keys:
        self._hand_out(key, e)

  async def _gather(self) -> None:
    """Sends a job whenever the requests cease to come for a while."""
    while True:
      await self._news.wait()
      while self._news.is_set() and len(self._queue) < self._full:
        self._news.clear()
        await self._first(self._clock.sleep(self._options.quiet))
      self._news.clear()
      try:
        for batch in self._batches():
          self._send(batch)
      except Exception as e:
        # Nobody else would tell those who wait.
        log.logger.exception('requests could not be put into batch jobs')
        error = TeacherError(f'no batch job was made: {e}', retryable=False)
        for key in list(self._waiting):
          if key not in self._in_job:
            self._hand_out(key, error)

  @property
  def _full(self) -> int:
    return self._options.max_requests

  async def _first(self, sleep: Awaitable[None]) -> None:
    """Waits until there is news, or the sleep is over."""
    tasks = {
      asyncio.ensure_future(sleep),
      asyncio.ensure_future(self._news.wait()),
    }
    try:
      await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
      for task in tasks:
        task.cancel()

  def _batches(self) -> list[list[tuple[Request, bytes]]]:
    """Empties the queue into lists that fit a job, each for one model."""
    lists: list[list[tuple[Request, bytes]]] = []
    last: dict[str, list[tuple[Request, bytes]]] = {}
    sizes: dict[str, int] = {}
    for key in list(self._queue):
      request = self._waiting[key].request
      del self._queue[key]
      try:
        line = self._server.line(request)
      except TeacherError as e:
        self._hand_out(key, e)
        continue
      model = request.model
      size = sizes.get(model, 0) + len(line) + 1
      if (
        model not in last
        or len(last[model]) >= self._options.max_requests
        or size > self._options.max_bytes
      ):
        last[model] = []
        lists.append(last[model])
        size = len(line) + 1
      last[model].append((request, line))
      sizes[model] = size
    return lists

  def _send(self, batch: list[tuple[Request, bytes]]) -> None:
    # By key, so that the number of a line can be told after a kill.
    batch = sorted(batch, key=lambda entry: entry[0].key)
    keys = tuple(request.key for request, _ in batch)
    now = self._clock.now()
    job = Job(uuid.uuid4().hex, keys, now, now)
    self._in_job.update(dict.fromkeys(keys, job.job))
    lines = [line for _, line in batch]
    work = self._new(job, lines, batch[0][0].model)
    self._spawn(self._guarded(job, work))

  async def _new(self, job: Job, lines: Sequence[bytes], model: str) -> None:
    """Starts a job and follows it."""
    await self._jobs.intend(job.job, job.keys, job.created)
    await self._follow(await self._started(job, lines, model))

  async def _started(self, job: Job, lines: Sequence[bytes], model: str) -> Job:
    """Uploads and starts a job.

    Raises:
      TeacherError: If the server has no such job; then it is forgotten.
    """
    attempt = 0
    while True:
      attempt += 1
      try:
        source = job.source or await self._server.upload(job.job, lines)
        job = dataclasses.replace(job, source=source, sent=self._clock.now())
        await self._jobs.starting(job.job, source, job.sent)
        id_ = await self._server.start(job.job, source, model)
        break
      except TeacherError as e:
        log.logger.warning('batch job %s: %s', job.job, e)
        # It may have been started although no id came.
        doubtful = e.maybe_charged and job.source is not None
        if doubtful and (found := await self._find(job)):
          id_ = found[0]
          break
        if not e.retryable or attempt >= self._max_attempts:
          # The server has said no, or nothing, and does not have it.
          await self._abandon(job)
          raise
        await self._pause(attempt, e)
    await self._jobs.started(job.job, id_)
    return dataclasses.replace(job, id=id_)

  async def _find(self, job: Job) -> list[str]:
    """Returns the server's ids for a job, once it would know them."""
    left = job.sent + self._options.grace - self._clock.now()
    if left > 0:
      await self._clock.sleep(left)
    found = await self._persist(lambda: self._server.find(job.job, job.created))
    if len(found) > 1:
      log.logger.warning(
        'the server has batch job %s more than once: %s; following the first',
        job.job,
        found,
      )
    return found

  async def _abandon(self, job: Job) -> None:
    """Forgets a job that the server does not have."""
    if job.source is not None:
      try:
        await self._server.discard(job.source)
      except TeacherError as e:
        log.logger.warning('%s was not deleted: %s', job.source, e)
    await self._jobs.forget(job.job)
    for key in job.keys:
      self._in_job.pop(key, None)

  async def _resume(self, job: Job) -> None:
    """Takes up a job of a run before this one."""
    if job.id is None:
      found = await self._find(job)
      if not found:
        await self._abandon(job)
        for key in job.keys:
          if key in self._waiting:
            self._queue[key] = None
            self._news.set()
        return
      await self._jobs.started(job.job, found[0])
      job = dataclasses.replace(job, id=found[0])
    log.logger.info('batch job %s (%s) is taken up', job.job, job.id)
    await self._follow(job)

  async def _follow(self, job: Job) -> None:
    """Polls a job until it ends, and hands out what came of it."""
    assert job.id is not None
    id_, delay = job.id, self._options.poll_first
    while True:
      await self._clock.sleep(delay)
      delay = min(_GROWTH * delay, self._options.poll_most)
      progress = await self._progress(id_)
      if progress.ended:
        break
    results = await self._results(job, progress)
    await self._jobs.ended(job.job, progress.state, results)
    await self._deliver(job, progress, results)

  async def _progress(self, id_: str) -> Progress:
    try:
      return await self._persist(lambda: self._server.poll(id_))
    except JobGoneError as e:
      return Progress('gone', ended=True, message=str(e))

  async def _results(self, job: Job, progress: Progress) -> dict[str, Result]:
    """Returns what the files of a job say, and errors where it failed."""
    results: dict[str, Result] = {}
    for file in progress.files:
      results.update(await self._downloaded(file))
    foreign = set(results) - set(job.keys)
    if foreign:
      log.logger.warning(
        'batch job %s: results for %d requests that are not in it, e.g. %s',
        job.job,
        len(foreign),
        min(foreign),
      )
    results = {k: r for k, r in results.items() if k not in foreign}
    for number, why in progress.bad_lines.items():
      if 1 <= number <= len(job.keys):
        results.setdefault(
          job.keys[number - 1],
          TeacherError(
            f'the server refuses this request: {why}', retryable=False
          ),
        )
    if not progress.resumable:
      for key in job.keys:
        results.setdefault(
          key,
          TeacherError(
            f'batch job {job.id} is {progress.state}: {progress.message}',
            retryable=False,
          ),
        )
    return results

  async def _downloaded(self, file: str) -> dict[str, Result]:
    return await self._persist(lambda: self._server.results(file))

  async def _deliver(
    self, job: Job, progress: Progress, results: Mapping[str, Result]
  ) -> None:
    """Hands out results; what has none goes into another job."""
    left = [key for key in job.keys if key not in results]
    if left:
      log.logger.warning(
        'batch job %s (%s) is %s, and leaves %d of %d requests unanswered%s',
        job.job,
        job.id,
        progress.state,
        len(left),
        len(job.keys),
        f': {progress.message}' if progress.message else '',
      )
    told = [
      key
      for key, result in results.items()
      if isinstance(result, TeacherError) and key in self._waiting
    ]
    await self._jobs.drop_errors(told)
    for key in job.keys:
      self._in_job.pop(key, None)
      self._hand_out(key, results.get(key))
    for key in left:
      waiting = self._waiting.get(key)
      if waiting is not None:
        await self._enlist(waiting)

  async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
    """Calls the server until it answers, however long it is away.

    A job that runs there is paid for; it is not given up.
    """
    attempt = 0
    while True:
      attempt += 1
      try:
        return await call()
      except TeacherError as e:
        if not e.retryable:
          raise
        log.logger.warning('%s', e)
        await self._pause(attempt, e)

  async def _pause(self, attempt: int, error: TeacherError) -> None:
    if (error.retry_after or 0.0) > self._max_pause:
      raise error
    grown = self._options.poll_first * _GROWTH ** min(attempt - 1, 30)
    delay = min(grown, self._options.poll_most)
    await self._clock.sleep(max(delay, error.retry_after or 0.0))


def open_batch_teacher(
  config: TeacherConfig,
  store_path: str | pathlib.Path,
  *,
  clock: Clock | None = None,
) -> Teacher:
  """Opens a teacher that asks through batch jobs.

  Args:
    config: Of kind `'openai_batch'` or `'gemini_batch'`.
    store_path: Of the store, which also has the jobs.
    clock: The real one if None.

  Raises:
    ConfigError: For a key that is missing, or an unknown `extra`.
    StoreError: See `BatchJobs`.
  """
  server: BatchServer
  options: BatchOptions
  if config.kind == 'openai_batch':
    from data_gen.teachers import openai_batch

    options = schema.structure(
      openai_batch.Options, config.extra, 'teacher.extra', quote=False
    )
    server = openai_batch.OpenAIBatches(config, options)
  elif config.kind == 'gemini_batch':
    from data_gen.teachers import gemini_batch

    options = schema.structure(
      BatchOptions, config.extra, 'teacher.extra', quote=False
    )
    server = gemini_batch.GeminiBatches(config)
  else:
    raise schema.ConfigError(
      f"teacher.kind: {config.kind!r}, expected 'openai_batch' or "
      "'gemini_batch'"
    )
  jobs = BatchJobs(store_path, server.name)
  return BatchTeacher(
    server,
    jobs,
    options,
    max_attempts=config.max_attempts,
    max_pause=config.max_pause,
    clock=clock,
  )
