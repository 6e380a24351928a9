"""What a session promises, with a teacher in this process."""

import asyncio
import dataclasses
import itertools

import fake_teacher
from fake_teacher import answer
from fake_teacher import failure
from fake_teacher import FakeTeacher
from fake_teacher import request
import pytest
import virtual_time

from data_gen import teachers


class Quick:
  """A session that is made and closed in virtual time."""

  def __init__(self, folder, say=None, seconds=1.0, **limits):
    self.path = folder / 'store.db'
    self.teacher = FakeTeacher(say, seconds)
    self.limits = teachers.Limits(**limits)

  def run(self, use, **more):
    """Returns what `use(session)` returns, and the session's usage."""

    async def main():
      session = teachers.Session(
        self.teacher, teachers.Store(self.path), limits=self.limits, **more
      )
      async with session:
        return await use(session), session.usage

    return virtual_time.run(main())


async def all_of(session, requests):
  return await asyncio.gather(
    *map(session.ask, requests), return_exceptions=True
  )


def test_what_is_stored_is_not_asked_again(tmp_path):
  requests = [request(str(i)) for i in range(10)]
  first = Quick(tmp_path)
  told, usage = first.run(lambda s: all_of(s, requests))
  assert (usage.sent, usage.from_store) == (10, 0)
  second = Quick(tmp_path)
  again, usage = second.run(lambda s: all_of(s, requests))
  assert again == told
  assert second.teacher.asked == []
  assert (usage.sent, usage.from_store) == (0, 10)


def test_another_sample_is_another_question(tmp_path):
  quick = Quick(tmp_path, lambda r, _: answer(f'draw {r.sample}'))
  told, _ = quick.run(lambda s: all_of(s, [request('x', i) for i in range(3)]))
  assert [a.text for a in told] == ['draw 0', 'draw 1', 'draw 2']


def test_identical_requests_at_the_same_time_are_sent_once(tmp_path):
  quick = Quick(tmp_path)
  told, usage = quick.run(lambda s: all_of(s, [request('x')] * 50))
  assert len(quick.teacher.asked) == 1
  assert told == [answer('x')] * 50
  assert (usage.sent, usage.shared) == (1, 49)


def test_an_answer_is_on_the_disk_before_it_is_given(tmp_path):
  quick = Quick(tmp_path)

  async def use(session):
    told = await session.ask(request('x'))
    other = teachers.Store(quick.path)  # As another process would see it.
    assert other.get(request('x').key) == told
    other.close()

  quick.run(use)


def test_the_answer_of_a_process_that_was_faster_is_the_answer(tmp_path):
  """So that both processes go on with the same one."""
  faster = answer('of the other process')

  class Slow(FakeTeacher):
    async def answer(self, r):
      other = teachers.Store(quick.path)
      await other.commit(r, faster, cost_usd=None, seconds=0.0)
      other.close()
      return await super().answer(r)

  quick = Quick(tmp_path)
  quick.teacher = Slow()
  told, _ = quick.run(lambda s: s.ask(request('x')))
  assert told == faster


def test_an_answer_that_cannot_be_stored_is_not_given(tmp_path):
  quick = Quick(tmp_path)

  async def use(session):
    await session.ask(request('first'))
    other = teachers.store.database.connect(quick.path)
    other.execute('DROP TABLE answers')
    other.execute('CREATE TABLE answers (key, text)')
    other.close()
    with pytest.raises(teachers.StoreError, match=r'store\.db'):
      await session.ask(request('second'))

  quick.run(use)


@pytest.mark.parametrize(
  ('sent', 'told'),
  [
    ('half of \ud83d it', 'half of \ufffd it'),
    ('both \ud83d\ude00 halves', 'both 😀 halves'),
    ('none, naïve', 'none, naïve'),
  ],
)
def test_half_a_character_costs_itself_and_not_the_run(tmp_path, sent, told):
  thinking = dataclasses.replace(answer(sent), reasoning=sent)
  first = Quick(tmp_path, lambda r, nth: thinking)
  (bought, _), (again, usage) = (
    quick.run(lambda s: s.ask(request())) for quick in (first, Quick(tmp_path))
  )
  assert bought == again
  assert bought.text == bought.reasoning == told
  assert usage.from_store == 1


def test_attempts_are_repeated_until_one_succeeds(tmp_path):
  quick = Quick(
    tmp_path,
    lambda r, nth: failure() if nth < 3 else answer('at last'),
    max_attempts=4,
  )
  told, usage = quick.run(lambda s: s.ask(request()))
  assert told.text == 'at last'
  assert (usage.sent, usage.retried, usage.failed) == (4, 3, 0)


def test_after_the_last_attempt_the_error_says_how_many_and_why(tmp_path):
  quick = Quick(tmp_path, lambda r, nth: failure(f'500: {nth}'), max_attempts=4)
  (error,), usage = quick.run(lambda s: all_of(s, [request()]))
  assert isinstance(error, teachers.TeacherFailedError)
  assert error.attempts == 4
  assert error.error.args == ('500: 3',)
  for part in ('4 times', '500: 3', 'document.draft', request().key[:12]):
    assert part in str(error)
  assert usage.failed == 1


def test_what_cannot_succeed_is_asked_once(tmp_path):
  quick = Quick(tmp_path, lambda r, nth: failure('404', retryable=False))
  (error,), _ = quick.run(lambda s: all_of(s, [request()]))
  assert error.attempts == 1
  assert len(quick.teacher.asked) == 1


def test_a_failed_request_can_be_asked_again(tmp_path):
  quick = Quick(
    tmp_path,
    lambda r, nth: failure(retryable=False) if nth == 0 else answer('now'),
  )

  async def use(session):
    with pytest.raises(teachers.TeacherFailedError):
      await session.ask(request())
    return await session.ask(request())

  told, _ = quick.run(use)
  assert told.text == 'now'


def test_waits_grow_twofold_with_jitter_and_a_bound(tmp_path):
  quick = Quick(
    tmp_path,
    lambda r, nth: failure(),
    seconds=0,
    max_attempts=10,
    backoff=1.0,
    max_backoff=20.0,
  )
  requests = [request(str(i)) for i in range(20)]
  quick.run(lambda s: all_of(s, requests))
  waits = []
  for one in requests:
    times = [t for t, r in quick.teacher.asked if r == one]
    waits.append([b - a for a, b in itertools.pairwise(times)])
  for nth in range(9):
    grown = min(2.0**nth, 20.0)
    drawn = [w[nth] for w in waits]
    assert all(grown / 2 <= d <= grown + 1e-6 for d in drawn)
    assert len({round(d, 3) for d in drawn}) > 10


def test_refusals_to_serve_are_no_failures_and_bounded_too(tmp_path):
  def say(r, nth):
    return failure('429', throttled=True) if nth < 30 else answer('at last')

  quick = Quick(tmp_path, say, max_attempts=2, max_throttled=31)
  told, usage = quick.run(lambda s: s.ask(request()))
  assert told.text == 'at last'
  assert usage.throttled == 30
  quick = Quick(tmp_path, say, max_throttled=30)
  (error,), _ = quick.run(lambda s: all_of(s, [request('another')]))
  assert error.attempts == 30


def test_one_retry_after_holds_back_everybody(tmp_path):
  def say(r, nth):
    if r == request('0') and nth == 0:
      return failure('429', throttled=True, retry_after=100.0)
    return answer('yes')

  quick = Quick(tmp_path, say, concurrency=4)
  requests = [request(str(i)) for i in range(20)]
  quick.run(lambda s: all_of(s, requests))
  times = sorted(quick.teacher.times())
  assert times[3] == 0 and times[4] >= 101


def test_a_failure_with_retry_after_holds_back_only_itself(tmp_path):
  """E.g. status 500 with Retry-After: no sign of too many requests."""

  def say(r, nth):
    if r == request('0') and nth == 0:
      return failure('500', retry_after=100.0)
    return answer('yes')

  quick = Quick(tmp_path, say, concurrency=4)
  quick.run(lambda s: all_of(s, [request(str(i)) for i in range(20)]))
  first, second = (t for t, r in quick.teacher.asked if r == request('0'))
  assert second - first >= 101
  assert sum(t < 10 for t in quick.teacher.times()) == 20


@pytest.mark.parametrize('throttled', [True, False])
def test_a_pause_of_days_stops_the_session_and_loses_nothing(
  tmp_path, throttled
):
  def say(r, nth):
    if r == request('5') and nth == 0:
      return failure('away', throttled=throttled, retry_after=1e6)
    return answer(r.messages[0].content)

  requests = [request(str(i)) for i in range(40)]
  first = Quick(tmp_path, say, concurrency=4, max_pause=100.0, max_attempts=1)

  async def use(session):
    told = await all_of(session, requests)
    again = await all_of(session, requests)
    return told, again, session.store.in_flight(), session.store.spent().lost

  (told, again, in_flight, lost), _ = first.run(use)
  stopped = [e for e in told if isinstance(e, teachers.PauseTooLongError)]
  bought = [a for a in told if not isinstance(a, BaseException)]
  assert len(stopped) + len(bought) == 40
  assert 5 <= len(bought) <= 9, 'those in flight came to their end'
  assert 'a pause of 1,000,000 s' in str(stopped[0])
  assert max(first.teacher.times()) < 100
  # What is stored is still told, and nothing else is asked.
  assert [type(e) for e in again] == [type(e) for e in told]
  assert len(first.teacher.asked) == len(bought) + 1
  assert not in_flight
  assert not lost

  second = Quick(tmp_path, concurrency=4)
  told, usage = second.run(lambda s: all_of(s, requests))
  assert [a.text for a in told] == [str(i) for i in range(40)]
  assert usage.sent == len(stopped)
  assert usage.repeated == 0


def test_the_concurrency_falls_and_recovers_with_the_server(tmp_path):
  seen = []

  def say(r, nth):
    if 100 <= len(quick.teacher.asked) < 200:
      return failure('429', throttled=True)
    return answer('yes')

  quick = Quick(tmp_path, say, concurrency=16)

  async def use(session):
    async def one(i):
      await session.ask(request(str(i)))
      seen.append(session.concurrency)

    await asyncio.gather(*map(one, range(1500)))

  quick.run(use)
  assert min(seen) < 8
  assert seen[-1] == 16


def test_an_attempt_ends_at_the_timeout_and_is_repeated(tmp_path):
  class Stuck(FakeTeacher):
    async def answer(self, r):
      if not self.asked:
        self.asked.append((asyncio.get_running_loop().time(), r))
        await asyncio.sleep(1e9)
      return await super().answer(r)

  quick = Quick(tmp_path, timeout=30.0)
  quick.teacher = Stuck()
  told, usage = quick.run(lambda s: s.ask(request('x')))
  assert told.text == 'x'
  assert usage.lost == 1
  assert 30 < quick.teacher.times()[1] < 32


def test_a_teacher_that_does_not_let_go_cannot_hold_the_session(tmp_path):
  class Deaf(FakeTeacher):
    async def answer(self, r):
      for _ in range(5):
        try:
          await asyncio.sleep(3600)
        except asyncio.CancelledError:
          continue

  quick = Quick(tmp_path, timeout=1.0, max_attempts=2)
  quick.teacher = Deaf()
  (error,), _ = quick.run(lambda s: all_of(s, [request('x')]))
  assert 'timeout = 1.0 s' in str(error)
  assert quick.teacher.closed


def test_no_more_are_in_flight_than_the_concurrency(tmp_path):
  quick = Quick(tmp_path, concurrency=64)
  quick.run(lambda s: all_of(s, [request(str(i)) for i in range(300)]))
  assert quick.teacher.most == 64


def test_who_stops_waiting_does_not_stop_others(tmp_path):
  quick = Quick(tmp_path)

  async def use(session):
    one = asyncio.create_task(session.ask(request('x')))
    two = asyncio.create_task(session.ask(request('x')))
    await asyncio.sleep(0.5)
    one.cancel()
    return await two

  told, _ = quick.run(use)
  assert told.text == 'x'


def test_a_request_that_nobody_waits_for_is_given_up(tmp_path):
  quick = Quick(tmp_path)

  async def use(session):
    task = asyncio.create_task(session.ask(request('x')))
    await asyncio.sleep(0.5)
    assert quick.teacher.in_flight == 1
    task.cancel()
    await asyncio.sleep(0.1)
    assert quick.teacher.in_flight == 0
    return await session.ask(request('x'))

  told, usage = quick.run(use)
  assert told.text == 'x'
  # It was under way, so it may be charged.
  assert usage.lost == 1
  store = teachers.Store(quick.path)
  assert store.in_flight() == {}
  assert store.spent().lost == 1
  store.close()


def test_who_asks_just_after_another_gave_up_gets_an_answer(tmp_path):
  quick = Quick(tmp_path)

  async def use(session):
    task = asyncio.create_task(session.ask(request('x')))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.sleep(0)  # It has noticed; its attempt has not.
    return await session.ask(request('x'))

  told, _ = quick.run(use)
  assert told.text == 'x'


def test_requests_that_a_killed_run_had_in_flight_are_counted(tmp_path):
  """The run is not closed, as if it were killed."""
  requests = [request(str(i)) for i in range(10)]
  path = tmp_path / 'store.db'

  async def killed():
    store = teachers.Store(path)
    session = teachers.Session(
      FakeTeacher(seconds=1e6), store, limits=teachers.Limits(concurrency=4)
    )
    tasks = [asyncio.create_task(session.ask(r)) for r in requests]
    while len(session._teacher.asked) < 4:
      await asyncio.sleep(1)
    store._writer.close()  # From here on it leaves no trace.
    return tasks

  virtual_time.run(killed())
  quick = Quick(tmp_path)
  _, usage = quick.run(lambda s: all_of(s, requests))
  assert usage.repeated == 4
  assert usage.sent == 10
  _, usage = Quick(tmp_path).run(lambda s: all_of(s, requests))
  assert usage.repeated == 0


def test_a_teacher_that_resumes_by_itself_repeats_nothing(tmp_path):
  quick = Quick(tmp_path, concurrency=None, timeout=None, resumes=True)

  async def use(session):
    tasks = [
      asyncio.create_task(session.ask(request(str(i)))) for i in range(500)
    ]
    await asyncio.sleep(0.5)
    assert quick.teacher.most == 500
    assert session.store.in_flight() == {}
    return await asyncio.gather(*tasks)

  told, _ = quick.run(use)
  assert len(told) == 500


def test_usage_adds_up(tmp_path):
  prices = teachers.Prices(prompt=2.0, completion=10.0)
  quick = Quick(tmp_path, lambda r, _: answer('x', 100, 300))
  requests = [request(str(i)) for i in range(5)]
  told, usage = quick.run(lambda s: all_of(s, requests), prices=prices)
  assert len(told) == usage.answered == 5
  assert usage.prompt_tokens == 500
  assert usage.completion_tokens == 1500
  assert usage.reasoning_tokens == 25
  assert usage.cost_usd == pytest.approx((500 * 2 + 1500 * 10) / 1e6)
  _, usage = Quick(tmp_path).run(lambda s: all_of(s, requests))
  assert usage.cost_usd is None
  assert usage.completion_tokens == 0


def test_a_cost_is_unknown_without_prices(tmp_path):
  async def use(session):
    return session.cost(answer())

  assert Quick(tmp_path).run(use)[0] is None
  prices = teachers.Prices(1.0, 2.0)
  cost, _ = Quick(tmp_path).run(use, prices=prices)
  assert cost == pytest.approx(50e-6)


def test_a_closed_session_says_so(tmp_path):
  async def main():
    session = teachers.Session(
      fake_teacher.FakeTeacher(), teachers.Store(tmp_path / 'store.db')
    )
    waiting = asyncio.create_task(session.ask(request('x')))
    await asyncio.sleep(0.1)
    await session.close()
    await session.close()
    assert waiting.cancelled() or waiting.cancelling() or waiting.done()
    with pytest.raises(RuntimeError, match='closed'):
      await session.ask(request('y'))

  virtual_time.run(main())
