"""Loads batches ahead of the step, in a background thread."""

from collections.abc import Callable
from collections.abc import Iterator
import queue
import threading
from typing import Any
from typing import Generic
from typing import TypeVar

T = TypeVar('T')


class Prefetcher(Iterator[T], Generic[T]):
  """Iterates over results that a thread computes ahead; see `prefetch`."""

  def __init__(
    self, batch_fn: Callable[[int], T], start: int, stop: int, depth: int
  ):
    if depth < 1:
      raise ValueError(f'depth={depth}: expected a positive integer')
    self._batch_fn = batch_fn
    self._steps = range(start, stop)
    self._left = len(self._steps)
    self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
    self._free = threading.Semaphore(depth)
    self._closed = False
    self._thread = threading.Thread(
      target=self._load, name='prefetch', daemon=True
    )
    self._thread.start()

  def _load(self) -> None:
    for step in self._steps:
      self._free.acquire()
      if self._closed:
        return
      try:
        self._ready.put((self._batch_fn(step), None))
      except BaseException as e:
        self._ready.put((None, e))
        return

  def __next__(self) -> T:
    if self._closed or not self._left:
      raise StopIteration
    batch, error = self._ready.get()
    if error is not None:
      self.close()
      raise error
    self._left -= 1
    self._free.release()
    return batch

  def close(self) -> None:
    """Stops loading and waits for the thread; may be called twice."""
    self._closed = True
    self._free.release()
    self._thread.join()

  def __enter__(self) -> 'Prefetcher[T]':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()


def prefetch(
  batch_fn: Callable[[int], T], start: int, stop: int, depth: int = 2
) -> Prefetcher[T]:
  """Returns an iterator over `batch_fn(step)`, step = `start` … `stop` − 1.

  At most `depth` batches are computed ahead of the consumer. An exception in
  `batch_fn` is raised to the consumer at its place in the order.

  Example:
    with prefetch(mixture.batch, 0, 100) as batches:
      for step, batch in enumerate(batches):
        …
  """
  return Prefetcher(batch_fn, start, stop, depth)
