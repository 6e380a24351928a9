"""Many small writes, one fsync.

Writes that wait while the disk is busy go into the next transaction together,
so 64 requests at a time cost a few fsyncs, and the event loop waits for none.
"""

from collections.abc import Callable
from concurrent.futures import Future
import queue
import sqlite3
import threading
from typing import Any
from typing import TypeVar

T = TypeVar('T')
Operation = Callable[[sqlite3.Connection], T]
_MAX_BATCH = 1000


class GroupCommit:
  """A thread that owns a connection and writes what is submitted, in order."""

  def __init__(self, connection: sqlite3.Connection):
    self._connection = connection
    self._queue: queue.SimpleQueue[tuple[Operation, Future] | None] = (
      queue.SimpleQueue()
    )
    self._closed = False
    self._lock = threading.Lock()
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def submit(self, operation: Operation[T]) -> 'Future[T]':
    """Runs `operation(connection)` in a transaction, in the thread.

    Returns:
      A future that has the result once the transaction is on the disk, or the
      SQLite error.

    Raises:
      RuntimeError: After `close`.
    """
    future: Future[T] = Future()
    with self._lock:
      if self._closed:
        raise RuntimeError('the store is closed')
      self._queue.put((operation, future))
    return future

  def close(self) -> None:
    """Waits for what was submitted, and closes the connection."""
    with self._lock:
      if self._closed:
        return
      self._closed = True
      self._queue.put(None)
    self._thread.join()

  def _run(self) -> None:
    open_ = True
    while open_:
      entries = [self._queue.get()]
      while not self._queue.empty() and len(entries) < _MAX_BATCH:
        entries.append(self._queue.get())
      open_ = None not in entries
      batch = [e for e in entries if e is not None]
      # From here on nobody can cancel them.
      self._write([e for e in batch if e[1].set_running_or_notify_cancel()])
    self._connection.close()

  def _write(self, batch: list[tuple[Operation, Future]]) -> None:
    """Writes all together, or, if one of them fails, each by itself."""
    if not batch:
      return
    try:
      results = self._transaction([operation for operation, _ in batch])
    except Exception as e:
      if len(batch) == 1:
        batch[0][1].set_exception(e)
      else:
        for entry in batch:
          self._write([entry])
      return
    for (_, future), result in zip(batch, results, strict=True):
      future.set_result(result)

  def _transaction(self, operations: list[Operation]) -> list[Any]:
    self._connection.execute('BEGIN IMMEDIATE')
    try:
      results = [operation(self._connection) for operation in operations]
      self._connection.execute('COMMIT')
    except BaseException:
      if self._connection.in_transaction:  # A full disk has rolled back itself.
        self._connection.execute('ROLLBACK')
      raise
    return results
