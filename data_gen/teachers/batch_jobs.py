"""Batch jobs on disk: what was meant to be asked, under which id, what came.

The tables are in the file of the store (see `database`), with a connection of
their own. A job is written down before anything is sent, so that after a kill
the server can be asked whether it has it.
"""

import asyncio
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import json
import pathlib
import sqlite3
from typing import TypeVar

from data_gen.teachers import database
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import TeacherError

T = TypeVar('T')
Result = Answer | TeacherError

# A job is `intended` until its id is known, then `running`, then `ended`.
_TABLES = (
  """
  CREATE TABLE IF NOT EXISTS batch_jobs (
    job TEXT PRIMARY KEY NOT NULL,
    server TEXT NOT NULL,
    state TEXT NOT NULL,
    source TEXT,
    id TEXT,
    created REAL NOT NULL,
    sent REAL NOT NULL,
    outcome TEXT
  )
  """,
  """
  CREATE TABLE IF NOT EXISTS batch_requests (
    key TEXT NOT NULL,
    job TEXT NOT NULL,
    PRIMARY KEY (key, job)
  )
  """,
  'CREATE INDEX IF NOT EXISTS batch_requests_of ON batch_requests (job)',
  """
  CREATE TABLE IF NOT EXISTS batch_results (
    key TEXT PRIMARY KEY NOT NULL,
    job TEXT NOT NULL,
    answer TEXT,
    error TEXT
  )
  """,
)


@dataclasses.dataclass(frozen=True)
class Job:
  """A job that has not ended.

  Attributes:
    job: The name that we gave it.
    keys: Of its requests.
    created: When it was written down, seconds since the epoch.
    sent: When the server was last asked to start it, at the latest.
    source: What was uploaded for it, as the server calls it, if known.
    id: As the server calls it, if known.
  """

  job: str
  keys: tuple[str, ...]
  created: float
  sent: float
  source: str | None = None
  id: str | None = None


class BatchJobs:
  """The tables of one store, for one server; one process at a time."""

  def __init__(self, path: str | pathlib.Path, server: str):
    """Opens them, or makes them.

    Args:
      path: Of the store.
      server: Which server the jobs are at; others' jobs are left alone.

    Raises:
      StoreError: See `database.connect`; or if another process follows the jobs
        of this store.
    """
    self._path = pathlib.Path(path)
    self._server = server
    self._connection = database.connect(path)
    try:
      self._lock = contextlib.ExitStack()
      self._lock.enter_context(
        database.alone(
          path, 'batch.lock', 'follows the batch jobs of this store'
        )
      )
      with database.errors_name(self._path):
        for table in _TABLES:
          self._connection.execute(table)
        # What the store has by now need not be kept twice.
        self._connection.execute(
          'DELETE FROM batch_results WHERE answer IS NOT NULL AND key IN '
          '(SELECT key FROM answers)'
        )
    except BaseException:
      self._connection.close()
      raise
    self._one_at_a_time = asyncio.Lock()

  def close(self) -> None:
    self._connection.close()
    self._lock.close()

  async def _do(self, operation: Callable[[sqlite3.Connection], T]) -> T:
    """Runs an operation in a transaction, in a thread, on the disk after it."""

    def run() -> T:
      with database.errors_name(self._path):
        self._connection.execute('BEGIN IMMEDIATE')
        try:
          result = operation(self._connection)
          self._connection.execute('COMMIT')
        except BaseException:
          if self._connection.in_transaction:
            self._connection.execute('ROLLBACK')
          raise
      return result

    async with self._one_at_a_time:
      # A thread cannot be cancelled; who follows must not find it at work.
      task = asyncio.ensure_future(asyncio.to_thread(run))
      try:
        return await asyncio.shield(task)
      except asyncio.CancelledError:
        await asyncio.wait({task})
        raise

  async def unfinished(self) -> list[Job]:
    """Returns the jobs of this server that have not ended, oldest first."""

    def read(db: sqlite3.Connection) -> list[Job]:
      rows = db.execute(
        'SELECT job, created, sent, source, id FROM batch_jobs WHERE '
        "server = ? AND state != 'ended' ORDER BY created, job",
        (self._server,),
      ).fetchall()
      return [
        Job(job, _keys_of(db, job), created, sent, source, id_)
        for job, created, sent, source, id_ in rows
      ]

    return await self._do(read)

  async def intend(self, job: str, keys: Sequence[str], created: float) -> None:
    """Writes a job down, before anything of it is sent."""

    def write(db: sqlite3.Connection) -> None:
      db.execute(
        'INSERT INTO batch_jobs (job, server, state, created, sent) VALUES '
        "(?, ?, 'intended', ?, ?)",
        (job, self._server, created, created),
      )
      db.executemany(
        'INSERT INTO batch_requests (key, job) VALUES (?, ?)',
        [(key, job) for key in keys],
      )

    await self._do(write)

  async def starting(self, job: str, source: str, sent: float) -> None:
    """Notes what was uploaded for a job, before it is started."""
    await self._do(
      lambda db: db.execute(
        'UPDATE batch_jobs SET source = ?, sent = ? WHERE job = ?',
        (source, sent, job),
      )
    )

  async def started(self, job: str, id_: str) -> None:
    """Notes the id of a job, before it is polled."""
    await self._do(
      lambda db: db.execute(
        "UPDATE batch_jobs SET id = ?, state = 'running' WHERE job = ?",
        (id_, job),
      )
    )

  async def forget(self, job: str) -> None:
    """Removes a job that the server never got."""

    def write(db: sqlite3.Connection) -> None:
      db.execute('DELETE FROM batch_requests WHERE job = ?', (job,))
      db.execute('DELETE FROM batch_jobs WHERE job = ?', (job,))

    await self._do(write)

  async def ended(
    self, job: str, outcome: str, results: Mapping[str, Result]
  ) -> None:
    """Keeps what came of a job; from here on it is not followed.

    Args:
      job: That ended.
      outcome: As the server calls it.
      results: Key of the request to its answer or error. Requests of the job
        that are not in it were not answered.
    """
    rows = [(key, job, *_encoded(r)) for key, r in results.items()]

    def write(db: sqlite3.Connection) -> None:
      db.executemany(
        'INSERT OR REPLACE INTO batch_results (key, job, answer, error) '
        'VALUES (?, ?, ?, ?)',
        rows,
      )
      db.execute(
        "UPDATE batch_jobs SET state = 'ended', outcome = ? WHERE job = ?",
        (outcome, job),
      )

    await self._do(write)

  async def take(self, key: str) -> Result | None:
    """Returns what came for a request, if anything did.

    An error is taken out: who gets it may ask again.
    """

    def read(db: sqlite3.Connection) -> Result | None:
      row = db.execute(
        'SELECT answer, error FROM batch_results WHERE key = ?', (key,)
      ).fetchone()
      if row is None:
        return None
      if row[0] is None:
        db.execute('DELETE FROM batch_results WHERE key = ?', (key,))
      return _decoded(*row)

    return await self._do(read)

  async def drop_errors(self, keys: Iterable[str]) -> None:
    """Removes errors that were delivered."""
    gone = [(key,) for key in keys]
    await self._do(
      lambda db: db.executemany(
        'DELETE FROM batch_results WHERE key = ? AND answer IS NULL', gone
      )
    )

  async def submissions(self, key: str) -> int:
    """Returns in how many jobs that ended a request has been."""

    def read(db: sqlite3.Connection) -> int:
      (count,) = db.execute(
        'SELECT count(*) FROM batch_requests JOIN batch_jobs USING (job) '
        "WHERE key = ? AND state = 'ended'",
        (key,),
      ).fetchone()
      return count

    return await self._do(read)

  async def repeated(self) -> int:
    """Returns how often requests were put into a further job."""

    def read(db: sqlite3.Connection) -> int:
      (count,) = db.execute(
        'SELECT count(*) - count(DISTINCT key) FROM batch_requests'
      ).fetchone()
      return count

    return await self._do(read)


def _keys_of(db: sqlite3.Connection, job: str) -> tuple[str, ...]:
  rows = db.execute(
    'SELECT key FROM batch_requests WHERE job = ? ORDER BY key', (job,)
  )
  return tuple(key for (key,) in rows)


def _encoded(result: Result) -> tuple[str | None, str | None]:
  if isinstance(result, Answer):
    return json.dumps(dataclasses.asdict(result)), None
  return None, json.dumps(
    {
      'message': str(result),
      'retryable': result.retryable,
      'retry_after': result.retry_after,
      'throttled': result.throttled,
      'maybe_charged': result.maybe_charged,
    }
  )


def _decoded(answer: str | None, error: str | None) -> Result:
  if answer is not None:
    fields = json.loads(answer)
    return Answer(**{**fields, 'finish': Finish(fields['finish'])})
  fields = json.loads(error or '{}')
  return TeacherError(fields.pop('message'), **fields)
