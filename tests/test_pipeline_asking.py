"""Asking until an answer can be used: classes of failure, bounds, counts."""

import asyncio

from pipeline_world import answer
from pipeline_world import ask_all
from pipeline_world import BY_NAME
from pipeline_world import leaf
from pipeline_world import Scripted
import pytest

from data_gen import teachers
from data_gen.pipeline import parsing
from data_gen.pipeline.asking import Failure
from data_gen.pipeline.asking import TeacherGaveUpError
from data_gen.pipeline.parts import StepConfig
from data_gen.pipeline.slots import document_slots
from data_gen.pipeline.window import gather

GOOD = 'A long walk by the sea, and what Sage made of it.'
STEP = StepConfig(max_tokens=50, temperature=0.7)
CASES = {
  Failure.TRUNCATED: answer(GOOD, teachers.Finish.LENGTH),
  Failure.REFUSED: answer('No.', teachers.Finish.REFUSAL),
  Failure.EMPTY: answer('', teachers.Finish.EMPTY),
  Failure.UNREADABLE: answer('<think>hm</think>'),
}


def _ask(folder, teacher, parse=parsing.document, draw=0, **changes):
  async def work(config, asker):
    slots = document_slots(config, BY_NAME['no_flattery'], leaf(), 'explain')
    outcome = await asker.ask('document.draft', slots, STEP, parse, draw=draw)
    return outcome, asker

  return ask_all(folder, work, teacher, **changes)


@pytest.mark.parametrize('failure', CASES)
def test_each_useless_answer_has_its_class_and_is_drawn_again(
  tmp_path, failure
):
  teacher = Scripted(lambda r: GOOD if r.sample == 2 else CASES[failure])
  outcome, asker = _ask(tmp_path, teacher)
  assert outcome.value == GOOD
  assert outcome.failures == (failure, failure)
  assert [r.sample for r in teacher.asked] == [0, 1, 2]
  assert [(s.sample, s.failure) for s in outcome.steps] == [
    (0, failure), (1, failure), (2, ''),
  ]  # fmt: skip
  tally = asker.tallies['document.draft']
  assert (tally.calls, tally.usable, tally.given_up) == (3, 1, 0)
  assert tally.failures == {failure: 2}


def test_a_refusal_in_the_text_is_a_refusal(tmp_path):
  refusal = "I'm sorry, but I can't help with writing this document."
  teacher = Scripted(lambda r: GOOD if r.sample else refusal)
  outcome, _ = _ask(tmp_path, teacher)
  assert outcome.failures == (Failure.REFUSED,)


def test_what_is_useless_every_time_is_given_up_within_the_bound(tmp_path):
  teacher = Scripted(lambda r: CASES[Failure.EMPTY])
  outcome, asker = _ask(tmp_path, teacher, retries=3)
  assert outcome.value is None
  assert outcome.failures == (Failure.EMPTY,) * 4
  assert [s.failure for s in outcome.steps] == [Failure.EMPTY] * 4
  assert len(teacher.asked) == 4
  assert asker.tallies['document.draft'].given_up == 1


def test_draws_of_the_same_question_never_share_a_sample(tmp_path):
  teacher = Scripted(lambda r: CASES[Failure.EMPTY])
  for draw in range(3):
    _ask(tmp_path, teacher, draw=draw, retries=2)
  samples = [r.sample for r in teacher.asked]
  assert samples == list(range(9))
  assert len({r.key for r in teacher.asked}) == 9


def test_the_step_says_what_was_asked_and_what_it_cost(tmp_path):
  outcome, asker = _ask(tmp_path, Scripted(lambda r: GOOD))
  (step,) = outcome.steps
  assert (step.task, step.model) == ('document.draft', 'drafter')
  assert '"max_tokens":50' in step.sampling.replace(' ', '')
  assert step.prompt_tokens == 100
  words = len(GOOD.split())
  assert step.cost_usd == pytest.approx((100 + 4 * words) / 1e6)
  assert asker.cost('document.draft') == pytest.approx(step.cost_usd)


def test_a_request_that_fails_for_good_is_given_up_and_bounded(tmp_path):
  def fails(request):
    return teachers.TeacherError('400: no', retryable=False)

  outcome, asker = _ask(tmp_path, Scripted(fails), max_failed=1)
  assert outcome.failures == (Failure.FAILED,)
  assert asker.tallies['document.draft'].failures == {Failure.FAILED: 1}
  with pytest.raises(TeacherGaveUpError, match=r'config\.max_failed = 0'):
    _ask(tmp_path, Scripted(fails), max_failed=0)


def test_a_teacher_that_is_down_for_a_while_is_asked_again(tmp_path):
  seen = []

  def late(request):
    seen.append(request)
    if len(seen) <= 2:  # All attempts of the session's first series.
      return teachers.TeacherError('500: down', retryable=True)
    return GOOD

  outcome, _ = _ask(tmp_path, Scripted(late))
  assert outcome.value == GOOD
  assert outcome.failures == ()


def test_gather_keeps_the_order_and_never_exceeds_its_window():
  under_way, most = set(), []

  async def work(item):
    under_way.add(item)
    most.append(len(under_way))
    for _ in range(7 * (item % 5)):
      await asyncio.sleep(0)
    under_way.remove(item)
    return item * item

  done = []
  results = asyncio.run(gather(range(50), work, 8, done.append))
  assert results == [i * i for i in range(50)]
  assert sorted(done) == results
  assert done != results
  assert max(most) == 8


def test_gather_takes_items_as_it_goes_and_stops_at_the_first_error():
  taken = []

  def items():
    for i in range(1000):
      taken.append(i)
      yield i

  async def work(item):
    await asyncio.sleep(0)
    if item == 20:
      raise ValueError('twenty')

  with pytest.raises(ValueError, match='twenty'):
    asyncio.run(gather(items(), work, 4))
  assert len(taken) < 40


def test_what_is_under_way_at_an_error_comes_to_its_end():
  finished = []

  async def work(item):
    await asyncio.sleep(0)
    if item == 1:
      raise ValueError('one')
    for _ in range(10):
      await asyncio.sleep(0)
    finished.append(item)

  with pytest.raises(ValueError, match='one'):
    asyncio.run(gather(range(100), work, 4))
  # An answer that is being paid for is not thrown away.
  assert finished == [0, 2, 3]


def test_a_cancelled_gather_leaves_nothing_running():
  ended = []

  async def work(item):
    try:
      await asyncio.Event().wait()
    finally:
      ended.append(item)

  async def main():
    task = asyncio.ensure_future(gather(range(9), work, 3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
      await task
    return len(asyncio.all_tasks())

  assert asyncio.run(main()) == 1
  assert sorted(ended) == [0, 1, 2]
