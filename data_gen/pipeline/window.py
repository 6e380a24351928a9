"""Many coroutines, a few at a time."""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar('T')
R = TypeVar('R')


async def gather(
  items: Iterable[T],
  work: Callable[[T], Awaitable[R]],
  window: int,
  done: Callable[[R], None] = lambda result: None,
) -> list[R]:
  """Awaits `work(item)` for each item, `window` of them at a time.

  Tens of thousands of items cost no more memory than their results.

  Args:
    items: Taken one after the other, as places become free.
    work: Done for each.
    window: The most that are under way at once.
    done: Told each result as it comes, in any order.

  Returns:
    The results in the order of the items, whatever the order of arrival.

  Raises:
    Whatever the first `work` that fails raises. No item is begun after that;
    those under way come to their end, so that an answer which is being paid for
    is not thrown away.
  """
  results: dict[int, R] = {}
  left = enumerate(items)

  failed: list[Exception] = []

  async def worker() -> None:
    while not failed and (taken := next(left, None)) is not None:
      index, item = taken
      try:
        results[index] = await work(item)
      except Exception as e:
        failed.append(e)
        return
      done(results[index])
      # Answers from the store come without waiting; others have their turn.
      await asyncio.sleep(0)

  workers = [asyncio.ensure_future(worker()) for _ in range(max(1, window))]
  try:
    await asyncio.gather(*workers)
  finally:
    for w in workers:
      w.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
  if failed:
    raise failed[0]
  return [results[index] for index in sorted(results)]
