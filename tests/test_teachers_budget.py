"""No request is started that could exceed the budget."""

import asyncio

import fake_teacher
import pytest
import virtual_time

from data_gen import teachers
from data_gen.teachers.budget import Ledger

PRICES = teachers.Prices(prompt=1.0, completion=4.0)


def ledger(tokens=None, usd=None, spent=0):
  return Ledger(
    teachers.Budget(usd=usd, tokens=tokens),
    PRICES,
    teachers.Tokens(spent, 0),
    spent * 1e-6,
  )


def test_a_cost_is_tokens_times_prices():
  million = teachers.Tokens(1_000_000, 2_000_000)
  assert PRICES.cost(million) == 1.0 + 8.0


def test_what_is_in_flight_counts_at_its_maximum():
  async def main():
    book = ledger(tokens=1000)
    most = teachers.Tokens(100, 400)
    await book.reserve(most)
    await book.reserve(most)
    third = asyncio.create_task(book.reserve(most))
    await asyncio.sleep(1)
    assert not third.done()
    book.settle(most, teachers.Tokens(100, 100))
    await asyncio.sleep(1)
    assert not third.done()  # 200 spent, 500 in flight, 500 more.
    book.settle(most, teachers.Tokens(100, 200))
    await third

  virtual_time.run(main())


def test_what_waits_is_refused_when_nothing_in_flight_can_help():
  async def main():
    book = ledger(tokens=1000)
    most = teachers.Tokens(100, 400)
    await book.reserve(most)
    await book.reserve(most)
    others = [asyncio.create_task(book.reserve(most)) for _ in range(3)]
    await asyncio.sleep(1)
    book.settle(most, most)
    book.settle(most, most)
    return await asyncio.gather(*others, return_exceptions=True)

  refused = virtual_time.run(main())
  assert [type(e) for e in refused] == [teachers.BudgetExceededError] * 3


def test_small_requests_do_not_overtake_a_large_one_for_ever():
  async def main():
    book = ledger(tokens=1000)
    first = teachers.Tokens(0, 600)
    await book.reserve(first)
    large = asyncio.create_task(book.reserve(teachers.Tokens(0, 900)))
    await asyncio.sleep(1)
    small = asyncio.create_task(book.reserve(teachers.Tokens(0, 100)))
    await asyncio.sleep(1)
    assert not large.done() and not small.done()
    book.settle(first, teachers.Tokens())
    await asyncio.gather(large, small)

  virtual_time.run(main())


def test_who_stops_waiting_leaves_the_budget_to_others():
  async def main():
    book = ledger(tokens=1000)
    most = teachers.Tokens(0, 1000)
    await book.reserve(most)
    second, third, fourth = (
      asyncio.create_task(book.reserve(most)) for _ in range(3)
    )
    await asyncio.sleep(1)
    second.cancel()  # Waits.
    book.settle(most, teachers.Tokens())
    third.cancel()  # Was let in just now.
    await asyncio.wait({second, third, fourth})
    assert fourth.exception() is None

  virtual_time.run(main())


def test_the_error_names_the_key_and_the_figures():
  async def main(book):
    await book.reserve(teachers.Tokens(1000, 2000))

  with pytest.raises(teachers.BudgetExceededError) as e:
    virtual_time.run(main(ledger(tokens=2500, spent=123)))
  for figure in ('budget_tokens', '2,500', '123', '1,000', '2,000'):
    assert figure in str(e.value)
  with pytest.raises(teachers.BudgetExceededError) as e:
    virtual_time.run(main(ledger(usd=0.0089, spent=123)))
  for figure in ('budget_usd', '$0.0089', '$0.0001', '$0.0090'):
    assert figure in str(e.value)


def test_money_without_prices_is_an_error_at_the_start():
  with pytest.raises(ValueError, match=r'budget_usd.*price_per_million'):
    Ledger(teachers.Budget(usd=1.0), None, teachers.Tokens(), None)


def test_the_most_that_a_request_takes_is_no_less_than_its_tokens():
  # Three bytes a character: no tokenizer makes more tokens than bytes.
  asked = fake_teacher.request('愛' * 1000, max_tokens=77)
  most = teachers.most_tokens(asked)
  assert most.prompt >= 3000
  assert most.completion == 77


@pytest.mark.parametrize(
  'budget', [{'tokens': 20_000}, {'usd': 0.04}], ids=['tokens', 'usd']
)
def test_a_session_never_spends_more_over_all_of_its_runs(tmp_path, budget):
  """The teacher counts by itself, also what is lost in timeouts."""
  taken = teachers.Tokens()

  def say(request, nth):
    nonlocal taken
    number = int(request.messages[0].content)
    if number % 7 == 0 and nth == 0:
      # Charged in full, although no answer came.
      taken += teachers.most_tokens(request)
      return fake_teacher.failure('cut off', maybe_charged=True)
    completion = 100 + 37 * number % 400
    taken += teachers.Tokens(10, completion)
    return fake_teacher.answer('x', 10, completion)

  async def run():
    session = teachers.Session(
      fake_teacher.FakeTeacher(say),
      teachers.Store(tmp_path / 'store.db'),
      limits=teachers.Limits(concurrency=8),
      prices=PRICES,
      budget=teachers.Budget(**budget),
    )
    async with session:
      requests = [fake_teacher.request(str(i), 0, 500) for i in range(200)]
      done = await asyncio.gather(
        *map(session.ask, requests), return_exceptions=True
      )
      return session.usage, sum(isinstance(d, teachers.Answer) for d in done)

  usage, done = virtual_time.run(run())
  assert 10 < done < 200
  again, done_again = virtual_time.run(run())
  # The budget is one for both runs.
  assert done_again - done <= 1
  assert again.from_store == done
  if 'tokens' in budget:
    assert budget['tokens'] - 1000 < taken.total <= budget['tokens']
  else:
    assert budget['usd'] - 0.004 < PRICES.cost(taken) <= budget['usd']
    assert usage.cost_usd <= PRICES.cost(taken)


@pytest.mark.parametrize('charged', [False, True])
def test_only_attempts_that_may_be_charged_use_up_the_budget(tmp_path, charged):
  """There is just enough for one attempt."""
  request = fake_teacher.request()
  most = teachers.most_tokens(request)

  def say(_, nth):
    if nth < 5:
      return fake_teacher.failure(maybe_charged=charged)
    return fake_teacher.answer()

  async def main():
    session = teachers.Session(
      fake_teacher.FakeTeacher(say),
      teachers.Store(tmp_path / 'store.db'),
      budget=teachers.Budget(tokens=most.total),
    )
    async with session:
      (told,) = await asyncio.gather(
        session.ask(request), return_exceptions=True
      )
      return told

  told = virtual_time.run(main())
  if charged:
    assert isinstance(told, teachers.BudgetExceededError)
  else:
    assert told == fake_teacher.answer()
