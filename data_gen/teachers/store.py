"""Answers that were paid for, on disk, under the key of their request."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
import dataclasses
import json
import pathlib
import sqlite3
import time
import uuid

from data_gen.teachers import database
from data_gen.teachers.database import StoreError
from data_gen.teachers.group_commit import GroupCommit
from data_gen.teachers.group_commit import Operation
from data_gen.teachers.prices import Prices
from data_gen.teachers.prices import Tokens
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import Message
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import Sampling
from msm_jax import storage

_ANSWER = (
  'text, finish, prompt_tokens, completion_tokens, reasoning_tokens, reasoning'
)
_REQUEST = 'key, model, messages, sampling, sample, task'


@dataclasses.dataclass(frozen=True)
class Stored:
  """A row of the store.

  Attributes:
    request: Without its slots, which are not stored.
    answer: To it.
    cost_usd: At the prices of the run that asked; None if it had none.
    seconds: From the start of the attempt that was answered.
    created: Seconds since the epoch, UTC.
  """

  request: Request
  answer: Answer
  cost_usd: float | None
  seconds: float
  created: float


@dataclasses.dataclass(frozen=True)
class Spent:
  """What a store has cost so far.

  Attributes:
    tokens: Of answers, and the most that lost requests can have taken.
    usd: The same in US dollars; None without prices.
    lost: How many requests those were: killed, timed out or cut off.
  """

  tokens: Tokens
  usd: float | None
  lost: int


class Store:
  """Answers by the key of their request; safe for several processes.

  Reading is done where it is asked for: a row is found by its primary key in
  tens of microseconds, and readers of a WAL wait for nobody. Writing is done by
  a thread, which commits together what comes together.
  """

  def __init__(self, path: str | pathlib.Path):
    """Opens a store, or makes one.

    Raises:
      StoreError: See `database.connect`.
    """
    self.path = pathlib.Path(path)
    self._reader = database.connect(path)
    self._writer = GroupCommit(database.connect(path))
    self._run = uuid.uuid4().hex

  def close(self) -> None:
    """Waits for writes that were begun, and closes the file."""
    self._writer.close()
    self._reader.close()

  def get(self, key: str) -> Answer | None:
    """Returns the answer to the request of this key, if there is one."""
    with database.errors_name(self.path):
      row = self._reader.execute(
        f'SELECT {_ANSWER} FROM answers WHERE key = ?', (key,)
      ).fetchone()
    return None if row is None else self._answer(key, row)

  def _answer(self, key: str, row: tuple) -> Answer:
    text, finish, *rest = row
    try:
      return Answer(text, Finish(finish), *rest)
    except ValueError as e:
      raise StoreError(f'{self.path}: the answer of {key}: {e}') from e

  async def _write(self, operation: Operation) -> object:
    """Waits until it is on the disk, and lets nobody cancel it halfway."""
    with database.errors_name(self.path):
      future = self._writer.submit(operation)
      return await asyncio.shield(asyncio.wrap_future(future))

  async def mark(self, key: str, most: Tokens) -> bool:
    """Notes that a request is about to be sent.

    Args:
      key: Of the request.
      most: That it can take.

    Returns:
      Whether another run has sent it and had no answer when it was killed (or
      has none yet, if it still runs): then this one repeats it.
    """

    def operation(connection: sqlite3.Connection) -> bool:
      repeated = connection.execute(
        'INSERT INTO lost SELECT key, run, ?, prompt_tokens, '
        'completion_tokens, ? FROM in_flight WHERE key = ? AND run != ?',
        ('killed', time.time(), key, self._run),
      ).rowcount
      connection.execute(
        'DELETE FROM in_flight WHERE key = ? AND run != ?', (key, self._run)
      )
      connection.execute(
        'INSERT OR REPLACE INTO in_flight VALUES (?, ?, ?, ?, ?)',
        (key, self._run, most.prompt, most.completion, time.time()),
      )
      return repeated > 0

    return bool(await self._write(operation))

  def unmark(self, key: str, *, lost: str = '') -> 'Future[None]':
    """Notes that a request that was sent has failed.

    Args:
      key: Of the request.
      lost: Why no answer came although it may be charged for; empty if it is
        not.

    Returns:
      A future that is done when this is on the disk.
    """

    def operation(connection: sqlite3.Connection) -> None:
      if lost:
        connection.execute(
          'INSERT INTO lost SELECT key, run, ?, prompt_tokens, '
          'completion_tokens, ? FROM in_flight WHERE key = ? AND run = ?',
          (lost, time.time(), key, self._run),
        )
      connection.execute(
        'DELETE FROM in_flight WHERE key = ? AND run = ?', (key, self._run)
      )

    return self._writer.submit(operation)

  async def commit(
    self,
    request: Request,
    answer: Answer,
    *,
    cost_usd: float | None,
    seconds: float,
  ) -> Answer:
    """Stores an answer; returns when it is on the disk.

    Args:
      request: The question.
      answer: To it.
      cost_usd: None if the prices are unknown.
      seconds: That it took.

    Returns:
      The answer that the store has, which is the first one if another process
      has asked the same in the meantime.
    """
    sampling = dataclasses.asdict(request.sampling)
    messages = [[m.role, m.content] for m in request.messages]
    row = (
      *(request.key, request.model, json.dumps(messages, ensure_ascii=False)),
      *(storage.canonical_json(sampling), request.sample, request.task),
      *(answer.text, answer.finish.value, answer.prompt_tokens),
      *(answer.completion_tokens, answer.reasoning_tokens, answer.reasoning),
      *(cost_usd, seconds, time.time()),
    )

    def operation(connection: sqlite3.Connection) -> tuple:
      connection.execute(
        f'INSERT OR IGNORE INTO answers VALUES ({", ".join("?" * len(row))})',
        row,
      )
      connection.execute(
        'DELETE FROM in_flight WHERE key = ? AND run = ?',
        (request.key, self._run),
      )
      return connection.execute(
        f'SELECT {_ANSWER} FROM answers WHERE key = ?', (request.key,)
      ).fetchone()

    stored = await self._write(operation)
    assert isinstance(stored, tuple)
    return self._answer(request.key, stored)

  def __len__(self) -> int:
    """The number of answers."""
    with database.errors_name(self.path):
      return self._reader.execute('SELECT count(*) FROM answers').fetchone()[0]

  def rows(self, *, task: str = '', limit: int = -1) -> Iterator[Stored]:
    """Yields what is stored, the oldest first.

    Args:
      task: Only this one, e.g. `'document.draft'`; all if empty.
      limit: At most so many; all if negative.
    """
    with database.errors_name(self.path):
      found = self._reader.execute(
        f'SELECT {_REQUEST}, cost_usd, seconds, created, {_ANSWER} '
        "FROM answers WHERE ? IN ('', task) ORDER BY rowid LIMIT ?",
        (task, limit),
      )
      for key, model, messages, sampling, sample, task_, *rest in found:
        yield Stored(
          Request(
            model,
            tuple(Message(*m) for m in json.loads(messages)),
            Sampling(**json.loads(sampling)),
            sample,
            task_,
          ),
          self._answer(key, tuple(rest[3:])),
          *rest[:3],
        )

  def in_flight(self) -> dict[str, int]:
    """Returns how many requests each run has in flight, or had when it died."""
    with database.errors_name(self.path):
      return dict(
        self._reader.execute('SELECT run, count(*) FROM in_flight GROUP BY run')
      )

  def spent(self, prices: Prices | None = None) -> Spent:
    """Returns what everything in this store has cost, over all runs.

    Args:
      prices: For what was asked when they were unknown, and for what was lost.
    """
    with database.errors_name(self.path):
      *answered, usd, unpriced_prompt, unpriced_completion = (
        self._reader.execute(
          'SELECT total(prompt_tokens), total(completion_tokens), '
          'total(cost_usd), total(iif(cost_usd IS NULL, prompt_tokens, 0)), '
          'total(iif(cost_usd IS NULL, completion_tokens, 0)) FROM answers'
        ).fetchone()
      )
      lost, *missed = self._reader.execute(
        'SELECT count(*), total(prompt_tokens), total(completion_tokens) FROM ('
        'SELECT prompt_tokens, completion_tokens FROM lost UNION ALL '
        'SELECT prompt_tokens, completion_tokens FROM in_flight)'
      ).fetchone()
    missing = Tokens(*map(int, missed))
    unpriced = Tokens(int(unpriced_prompt), int(unpriced_completion)) + missing
    return Spent(
      Tokens(*map(int, answered)) + missing,
      None if prices is None else usd + prices.cost(unpriced),
      lost,
    )

  def check(self) -> None:
    """Reads the whole file.

    Raises:
      StoreError: If it is damaged.
    """
    with database.errors_name(self.path):
      problems = self._reader.execute('PRAGMA integrity_check').fetchall()
    if problems != [('ok',)]:
      said = '; '.join(p for (p,) in problems[:3])
      raise StoreError(
        f'{self.path}: the file is damaged: {said}; move it away with its -wal '
        'and -shm, and rescue its answers with `sqlite3 FILE .recover`'
      )
