"""The SQLite file behind a store: opened, checked and created.

Other modules may keep tables of their own in the same file: they call `connect`
and `CREATE TABLE IF NOT EXISTS`.
"""

from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib
import sqlite3
import time

from msm_jax import storage

APPLICATION_ID = 0x4D534D54
"""Of the header of our files (`MSMT`), so that we never write into others'."""
VERSION = 1
BUSY_SECONDS = 60.0
"""How long a writer waits for the writer of another process."""

# `in_flight` has what was sent and neither answered nor given up; a row of a
# run that was killed says that its request may have been answered in vain.
# `lost` has attempts that may have been charged for although no answer came.
# Tokens and costs in these two are the most that the request could take.
_TABLES = """
CREATE TABLE answers (
  key TEXT PRIMARY KEY NOT NULL,
  model TEXT NOT NULL,
  messages TEXT NOT NULL,
  sampling TEXT NOT NULL,
  sample INTEGER NOT NULL,
  task TEXT NOT NULL,
  text TEXT NOT NULL,
  finish TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  reasoning TEXT NOT NULL,
  cost_usd REAL,
  seconds REAL NOT NULL,
  created REAL NOT NULL
);
CREATE TABLE in_flight (
  key TEXT NOT NULL,
  run TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  started REAL NOT NULL,
  PRIMARY KEY (key, run)
);
CREATE TABLE lost (
  key TEXT NOT NULL,
  run TEXT NOT NULL,
  reason TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  ended REAL NOT NULL
);
"""


class StoreError(RuntimeError):
  """A store cannot be read or written; the message names the file."""


@contextlib.contextmanager
def errors_name(path: pathlib.Path) -> Iterator[None]:
  """Turns SQLite's errors into ones that name the file and what to do."""
  try:
    yield
  except sqlite3.Error as e:
    raise StoreError(f'{path}: {e}; {_advice(e)}') from e


def _advice(error: sqlite3.Error) -> str:
  code = getattr(error, 'sqlite_errorcode', sqlite3.SQLITE_ERROR) & 0xFF
  if code == sqlite3.SQLITE_NOTADB:
    return "expected a store of teachers' answers; give another path"
  if code == sqlite3.SQLITE_CORRUPT:
    return (
      'the file is damaged; move it away with its -wal and -shm, and rescue '
      'its answers with `sqlite3 FILE .recover`'
    )
  if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
    return f'another process has been writing for {BUSY_SECONDS:.0f} s'
  if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
    return 'is the disk full? Nothing that was committed is lost'
  if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
    return 'expected a path on a local disk that can be written'
  return 'nothing that was committed is lost'


def connect(path: str | pathlib.Path) -> sqlite3.Connection:
  """Opens the database of a store; makes it if there is none.

  The connection is in autocommit mode; a transaction begins with
  `BEGIN IMMEDIATE`. Any thread may use it, one at a time. Commits are fsynced
  (`synchronous=FULL`), since an answer that was paid for must survive a power
  failure, too; `data_gen.teachers.group_commit` shares one fsync among many.

  Args:
    path: On a local disk; WAL needs shared memory.

  Raises:
    StoreError: For a remote path, a file that is no database, a database of
      something else, or one of another version.
  """
  if storage.is_remote(path):
    raise StoreError(
      f'{path}: a store of answers is an SQLite file and must be on a local '
      'disk; copy it to the bucket when the run is over'
    )
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  with errors_name(path):
    connection = sqlite3.connect(
      path,
      timeout=BUSY_SECONDS,
      isolation_level=None,
      check_same_thread=False,
    )
  try:
    with errors_name(path):
      _check_or_create(connection, path)
      _use_wal(connection)
      connection.execute('PRAGMA synchronous=FULL')
  except BaseException:
    connection.close()
    raise
  return connection


def _pragma(connection: sqlite3.Connection, name: str) -> int:
  return connection.execute(f'PRAGMA {name}').fetchone()[0]


def _check_or_create(
  connection: sqlite3.Connection, path: pathlib.Path
) -> None:
  if _pragma(connection, 'application_id') != APPLICATION_ID:
    connection.execute('BEGIN IMMEDIATE')
    try:
      # Another process may have created it while this one waited.
      if _pragma(connection, 'application_id') != APPLICATION_ID:
        _create(connection, path)
    except BaseException:
      connection.execute('ROLLBACK')
      raise
    connection.execute('COMMIT')
  version = _pragma(connection, 'user_version')
  if version != VERSION:
    raise StoreError(
      f'{path}: is a store of version {version}, expected {VERSION}; use the '
      'version of msm_jax that wrote it, or give another path'
    )


def _create(connection: sqlite3.Connection, path: pathlib.Path) -> None:
  (tables,) = connection.execute(
    'SELECT count(*) FROM sqlite_master'
  ).fetchone()
  if tables or _pragma(connection, 'application_id'):
    raise StoreError(
      f"{path}: is a database, but not a store of teachers' answers; give "
      'another path'
    )
  for statement in _TABLES.split(';')[:-1]:
    connection.execute(statement)
  connection.execute(f'PRAGMA user_version={VERSION}')
  connection.execute(f'PRAGMA application_id={APPLICATION_ID}')


def _use_wal(connection: sqlite3.Connection) -> None:
  """Switches to WAL; SQLite does not wait by itself for others who do."""
  deadline = time.monotonic() + BUSY_SECONDS
  while True:
    try:
      connection.execute('PRAGMA journal_mode=WAL')
      return
    except sqlite3.OperationalError as e:
      code = e.sqlite_errorcode & 0xFF
      if code != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
        raise
    time.sleep(0.01)


@contextlib.contextmanager
def alone(path: str | pathlib.Path, suffix: str, what: str) -> Iterator[None]:
  """Holds the lock `<path>.<suffix>`; the kernel gives it back after a kill.

  Args:
    path: Of the store.
    suffix: What the lock is for.
    what: What another process that holds it does, for the error.

  Raises:
    StoreError: If another process holds it.
  """
  file = os.open(f'{path}.{suffix}', os.O_RDWR | os.O_CREAT, 0o644)
  try:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise StoreError(
        f'{path}: another process {what}; wait for it, or give this run a '
        'store of its own'
      ) from None
    yield
  finally:
    os.close(file)
