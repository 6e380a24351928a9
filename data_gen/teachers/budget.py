"""A cap on money and tokens that no request is started beyond."""

import asyncio
from collections import deque
import dataclasses

from data_gen.teachers.prices import Prices
from data_gen.teachers.prices import Tokens


class BudgetExceededError(RuntimeError):
  """The next request could exceed the budget; says which and by how much."""


@dataclasses.dataclass(frozen=True)
class Budget:
  """Caps over everything that a store has bought, in all of its runs.

  Attributes:
    usd: US dollars; None for no cap.
    tokens: Prompt and completion together; None for no cap.
  """

  usd: float | None = None
  tokens: int | None = None


@dataclasses.dataclass
class _Waiting:
  most: Tokens
  granted: asyncio.Future


class Ledger:
  """Counts what is spent, and what is in flight at the most it can take.

  A request that does not fit now, but may fit when those in flight turn out to
  be shorter than they could be, waits for them, in order of arrival.
  """

  def __init__(
    self,
    budget: Budget,
    prices: Prices | None,
    spent: Tokens,
    spent_usd: float | None,
  ):
    """Starts with what the store has spent before.

    Raises:
      ValueError: For a budget in money without prices.
    """
    if budget.usd is not None and prices is None:
      raise ValueError(
        f'budget_usd: {budget.usd} cannot be held without prices; set '
        'price_per_million_prompt and price_per_million_completion'
      )
    self._budget = budget
    self._prices = prices
    self._spent = spent
    self._spent_usd = spent_usd or 0.0
    self._reserved = Tokens()
    self._in_flight = 0
    self._waiting: deque[_Waiting] = deque()

  async def reserve(self, most: Tokens) -> None:
    """Waits until a request that takes `most` cannot exceed the budget.

    Raises:
      BudgetExceededError: If it could although nothing else is in flight.
    """
    if not self._waiting and self._fits(most):
      self._take(most)
      return
    if not self._in_flight:
      raise self._exceeded(most)
    waiting = _Waiting(most, asyncio.get_running_loop().create_future())
    self._waiting.append(waiting)
    try:
      await waiting.granted
    except asyncio.CancelledError:
      if waiting in self._waiting:
        self._waiting.remove(waiting)
      elif not waiting.granted.cancelled() and not waiting.granted.exception():
        self.settle(most, Tokens())
      raise

  def settle(self, most: Tokens, taken: Tokens) -> None:
    """Replaces what was reserved for a request by what it took."""
    self._reserved -= most
    self._in_flight -= 1
    self._spent += taken
    if self._prices is not None:
      self._spent_usd += self._prices.cost(taken)
    self._admit()

  def _admit(self) -> None:
    while self._waiting:
      first = self._waiting[0]
      fits = self._fits(first.most)
      if not fits and self._in_flight:
        return
      self._waiting.popleft()
      if first.granted.done():  # Cancelled.
        continue
      if fits:
        self._take(first.most)
        first.granted.set_result(None)
      else:
        first.granted.set_exception(self._exceeded(first.most))

  def _take(self, most: Tokens) -> None:
    self._reserved += most
    self._in_flight += 1

  def _fits(self, most: Tokens) -> bool:
    after = self._spent + self._reserved + most
    if self._budget.tokens is not None and after.total > self._budget.tokens:
      return False
    if self._budget.usd is None or self._prices is None:
      return True
    ahead = self._prices.cost(self._reserved + most)
    return self._spent_usd + ahead <= self._budget.usd

  def _exceeded(self, most: Tokens) -> BudgetExceededError:
    needs = f'at most {most.prompt:,} + {most.completion:,} tokens'
    tokens = self._budget.tokens
    if tokens is not None and self._spent.total + most.total > tokens:
      return BudgetExceededError(
        f'budget_tokens: {tokens:,}, of which {self._spent.total:,} are spent; '
        f'the next request can take {needs}. Raise budget_tokens and run '
        'again: what is stored is not asked again'
      )
    assert self._prices is not None
    return BudgetExceededError(
      f'budget_usd: ${self._budget.usd:,.4f}, of which '
      f'${self._spent_usd:,.4f} are spent; the next request can cost '
      f'${self._prices.cost(most):,.4f} ({needs}). Raise budget_usd and run '
      'again: what is stored is not asked again'
    )
