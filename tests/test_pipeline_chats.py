"""Chats: quotas, questions that differ, variants, exactly N."""

from collections import Counter
import json
import random

from hypothesis import given
from hypothesis import strategies as st
from pipeline_world import ask_all
from pipeline_world import BARS
from pipeline_world import BY_NAME
from pipeline_world import config
from pipeline_world import Scripted
from pipeline_world import SYLLABLES
from pipeline_world import TRAITS
from pipeline_world import verdict
import pytest

from data_gen.pipeline import chats
from data_gen.pipeline import questions
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.gating import GateKeeper
from data_gen.pipeline.plan import Situation
from data_gen.pipeline.questions import Cell

SITUATIONS = [
  Situation(f'{name}/{i}', name, f'domain {i}', f'situation {i}')
  for name in BY_NAME
  for i in range(3)
]


def make(folder, total, teacher=None, **changes):
  async def work(config, asker):
    acceptance = Acceptance(
      GateKeeper(config, TRAITS).gates_of,
      asker,
      config.judge_step,
      config.width,
      BARS,
      'chats',
    )
    missing, counts = await chats.make_chats(
      config, BY_NAME, SITUATIONS, total, asker, acceptance, BARS
    )
    return acceptance, missing, counts

  return ask_all(folder, work, teacher, **changes)


def by_source(acceptance):
  found = {}
  for group in acceptance.accepted:
    for made in group.made:
      found.setdefault(made.row.source, []).append(made.row)
  return found


def _fresh_questions(request):
  """Questions that differ, of the number of turns that is asked for."""
  rng = random.Random(request.key)
  made = []
  for _ in range(request.slots['count']):
    first = ' '.join(
      ''.join(rng.choices(SYLLABLES, k=3)) for _ in range(rng.randint(6, 14))
    )
    later = [f'asks for option {k}' for k in range(request.slots['turns'] - 1)]
    made.append({'turns': [f'{first}?', *later], 'pressure': False})
  return json.dumps({'questions': made})


def _say(judge=lambda request: True, answer=lambda request: None):
  def say(request):
    if request.task == 'chat.questions':
      return _fresh_questions(request)
    if request.task == 'chat.judge':
      return verdict(judge(request))
    return answer(request)

  return say


@given(
  st.integers(0, 500),
  st.lists(st.floats(0.01, 10), min_size=1, max_size=9),
)
def test_quotas_add_up_and_are_never_off_by_one(total, weights):
  parts = questions.quotas(total, weights)
  assert sum(parts) == total
  for part, weight in zip(parts, weights, strict=True):
    assert abs(part - total * weight / sum(weights)) < 1


def test_exactly_so_many_are_accepted_in_each_cell(tmp_path):
  acceptance, missing, _ = make(tmp_path, 40, Scripted(_say()))
  assert not missing
  rows = by_source(acceptance)
  assert {s: len(r) for s, r in rows.items()} == {
    'chats': 40, 'chats_think': 40, 'chats_reasons_stripped': 40,
  }  # fmt: skip
  of = rows['chats']
  assert Counter(r.trait_ids[0] for r in of) == {t.id: 20 for t in TRAITS}
  assert Counter(r.framing for r in of) == {'no_pressure': 24, 'pressure': 16}
  turns = Counter(sum(role == 'user' for role, _ in r.messages) for r in of)
  assert turns == {1: 30, 3: 10}


def test_what_is_rejected_is_backfilled_to_exactly_so_many(tmp_path):
  teacher = Scripted(_say(lambda r: int(r.key[:4], 16) % 10 < 6))
  acceptance, missing, counts = make(
    tmp_path, 40, teacher, chats__variants=('answer',), chats__rounds=20
  )
  assert not missing
  assert len(acceptance.accepted) == 40
  assert counts['rounds'] > 1
  assert counts['tried'] > 50
  assert counts['tried'] == 40 + len(acceptance.rejected)
  reasons = {r.rejected_because for r in acceptance.rejected}
  assert reasons <= {'judge: unfaithful', chats.NOT_NEEDED}


def test_the_first_round_tries_no_more_than_are_wanted(tmp_path):
  _, _, counts = make(tmp_path, 24, Scripted(_say()))
  assert counts == {'rounds': 1, 'tried': 24, 'near_duplicate_questions': 0}


def test_a_surplus_is_kept_apart_and_the_quota_holds(tmp_path):
  # A poor first round makes the second one try more than it turns out to need.
  seen = Counter()

  def judge(request):
    seen[request.slots['messages'][0]['content']] += 1
    return len(seen) > 20

  acceptance, missing, _ = make(
    tmp_path, 20, Scripted(_say(judge)), chats__variants=('answer',)
  )
  assert not missing
  assert len(acceptance.accepted) == 20
  surplus = [
    r for r in acceptance.rejected if r.rejected_because == chats.NOT_NEEDED
  ]
  assert surplus


def test_what_is_missing_at_the_bound_is_said_with_its_reasons(tmp_path):
  def judge(request):
    return request.slots['trait']['name'] != 'asks_first'

  acceptance, missing, counts = make(
    tmp_path,
    16,
    Scripted(_say(judge)),
    chats__variants=('answer',),
    chats__rounds=3,
  )
  assert len(acceptance.accepted) == 8
  assert counts['rounds'] == 3
  assert {m.cell.trait for m in missing} == {'asks_first'}
  assert sum(m.cell.quota - m.accepted for m in missing) == 8
  said = str(missing[0])
  assert 'asks_first, without pressure, 1 turns: 0 of' in said
  assert 'judge: unfaithful' in said


def test_questions_that_resemble_earlier_ones_are_not_answered(tmp_path):
  def say(request):
    if request.task != 'chat.questions':
      return _say()(request)
    turns = [
      'Could you please have a look at my poem and tell me what you think '
      f'of it before {day} evening?'
      for day in ('Monday', 'Tuesday', 'Wednesday', 'Thursday')
    ]
    return json.dumps(
      {'questions': [{'turns': [t, 'insists', 'thanks']} for t in turns]}
    )

  acceptance, missing, counts = make(
    tmp_path, 8, Scripted(say), chats__rounds=3
  )
  assert len(acceptance.accepted) == 1
  assert counts['near_duplicate_questions'] > 10
  assert sum(m.cell.quota - m.accepted for m in missing) == 7
  assert 'near-duplicate question' in str(missing[0])


def test_the_system_prompt_has_the_trait_and_the_record_has_no_system_prompt(
  tmp_path,
):
  teacher = Scripted(_say())
  acceptance, _, _ = make(tmp_path, 8, teacher)
  for request in teacher.of('chat.answer'):
    system = request.messages[0]
    assert system.role == 'system'
    name = request.slots['trait']['name']
    assert BY_NAME[name].statement in system.content
    other = next(t for t in TRAITS if t.name != name)
    assert other.statement not in system.content
  for rows in by_source(acceptance).values():
    for row in rows:
      roles = [role for role, _ in row.messages]
      assert set(roles) == {'user', 'assistant'}
      text = ' '.join(c for _, c in row.messages)
      assert not any(t.statement in text for t in TRAITS)


def _naming(also):
  """Questions, each with what `also(number)` returns."""

  def say(request):
    if request.task != 'chat.questions':
      return _say()(request)
    made = json.loads(_fresh_questions(request))
    for number, question in enumerate(made['questions']):
      if (names := also(number, request)) is not None:
        question['also'] = names
    return json.dumps(made)

  return say


def _others(request):
  return [t['name'] for t in request.slots['others']]


def test_the_system_prompt_has_the_further_traits_that_a_question_names(
  tmp_path,
):
  teacher = Scripted(
    _naming(lambda n, request: _others(request) if n % 2 else None)
  )
  acceptance, missing, _ = make(tmp_path, 12, teacher)
  assert not missing
  rows = {r.pair_id: r for r in by_source(acceptance)['chats']}
  told = Counter()
  for request in (*teacher.of('chat.answer'), *teacher.of('chat.judge')):
    names = [t['name'] for t in request.slots['traits']]
    assert names[0] == request.slots['trait']['name']
    assert len(names) == len(set(names)) <= 2
    system = request.messages[-request.task.endswith('judge')].content
    for trait in TRAITS:
      assert (trait.statement in system) == (trait.name in names)
    told[len(names)] += 1
  assert told[1] and told[2]
  both = {len(row.trait_ids) for row in rows.values()}
  assert both == {1, 2}
  for row in rows.values():
    own = BY_NAME[row.pair_id.split('/')[0]]
    assert row.trait_ids[0] == own.id
    assert row.trait_types[0] == own.type
    assert set(row.trait_ids) <= {t.id for t in TRAITS}
  # Quotas go by what a question was asked for.
  assert Counter(r.trait_ids[0] for r in rows.values()) == {
    t.id: 6 for t in TRAITS
  }


def test_a_question_that_names_a_trait_that_there_is_not_is_left_out(tmp_path):
  def also(number, request):
    return [['no_such_trait'], 7, [3], []][number % 4]

  teacher = Scripted(_naming(also))
  acceptance, missing, _ = make(
    tmp_path, 8, teacher, chats__variants=('answer',)
  )
  assert not missing
  known = {
    question['turns'][0]
    for request in teacher.of('chat.questions')
    for question in json.loads(_fresh_questions(request))['questions'][3::4]
  }
  assert {r.messages[0][1] for r in by_source(acceptance)['chats']} <= known


def test_only_the_own_trait_is_told_if_the_config_says_so(tmp_path):
  teacher = Scripted(_naming(lambda n, request: ['no_flattery']))
  acceptance, _, _ = make(tmp_path, 4, teacher, chats__system_traits='own')
  for request in teacher.of('chat.questions'):
    assert request.slots['others'] == []
  for request in teacher.of('chat.answer'):
    assert request.slots['traits'] == [request.slots['trait']]
  for row in by_source(acceptance)['chats']:
    assert len(row.trait_ids) == 1


def test_all_traits_are_told_if_the_config_says_so(tmp_path):
  teacher = Scripted(_say())
  make(tmp_path, 4, teacher, chats__system_traits='all')
  for request in teacher.of('chat.answer'):
    for trait in TRAITS:
      assert trait.statement in request.messages[0].content


def test_a_conversation_goes_on_from_what_was_said(tmp_path):
  teacher = Scripted(_say())
  acceptance, _, _ = make(tmp_path, 6, teacher, chats__multi_turn_share=1.0)
  rows = by_source(acceptance)
  for row in rows['chats']:
    assert [r for r, _ in row.messages] == ['user', 'assistant'] * 3
    tasks = [s.task for s in row.lineage]
    assert tasks[:5] == [
      'chat.answer', 'chat.user_turn', 'chat.answer', 'chat.user_turn',
      'chat.answer',
    ]  # fmt: skip
    last = next(
      r for r in teacher.of('chat.answer') if r.key == row.lineage[4].key
    )
    said = [(m.role, m.content) for m in last.messages[1:]]
    assert tuple(said) == row.messages[:-1]
    assert not any('<think>' in content for _, content in said)


def test_variants_are_the_same_conversation(tmp_path):
  acceptance, _, _ = make(tmp_path, 8, Scripted(_say()))
  rows = by_source(acceptance)
  stripped = {r.pair_id: r for r in rows['chats_reasons_stripped']}
  thinking = {r.pair_id: r for r in rows['chats_think']}
  assert (
    stripped.keys() == thinking.keys() == {r.pair_id for r in rows['chats']}
  )
  for row in rows['chats']:
    pairs = zip(row.messages, thinking[row.pair_id].messages, strict=True)
    for (role, plain), (_, thought) in pairs:
      if role == 'user':
        assert plain == thought
      else:
        inner = thought.removeprefix('<think>\n').removesuffix(
          f'\n</think>\n\n{plain}'
        )
        assert thought == f'<think>\n{inner}\n</think>\n\n{plain}'
        assert len(inner.split()) > 3
        assert '<think>' not in plain
  assert {r.variant for r in stripped.values()} == {'reasons_stripped'}


def test_the_judge_of_the_thoughts_reads_the_answer_too(tmp_path):
  teacher = Scripted(_say())
  make(tmp_path, 6, teacher, chats__variants=('answer', 'think'))
  judged = teacher.of('chat.judge')
  assert [r.slots['variant'] for r in judged] == ['think'] * 6
  assert all('<think>' in r.messages[-1].content for r in judged)


def test_reasons_are_stripped_with_what_was_stripped_before_in_view(tmp_path):
  def answer(request):
    if request.task == 'chat.strip_reasons':
      return f'Bare {len(request.slots["messages"])}.'
    return None

  teacher = Scripted(_say(answer=answer))
  acceptance, _, _ = make(tmp_path, 2, teacher, chats__multi_turn_share=1.0)
  for row in by_source(acceptance)['chats_reasons_stripped']:
    said = [content for role, content in row.messages if role == 'assistant']
    assert said == ['Bare 1.', 'Bare 3.', 'Bare 5.']
  for request in teacher.of('chat.strip_reasons'):
    seen = [
      m['content'] for m in request.slots['messages'] if m['role'] != 'user'
    ]
    assert seen == ['Bare 1.', 'Bare 3.', 'Bare 5.'][: len(seen)]


def test_situations_that_were_used_up_are_asked_for_other_questions(tmp_path):
  teacher = Scripted(_say(lambda r: int(r.key[:4], 16) % 10 < 2))
  _, _, counts = make(
    tmp_path,
    8,
    teacher,
    chats__variants=('answer',),
    chats__rounds=12,
    chats__questions_per_call=2,
    chats__multi_turn_share=0.0,
  )
  asked = teacher.of('chat.questions')
  assert counts['tried'] > 20
  assert {r.sample for r in asked} > {0, 4}
  assert len({r.key for r in asked}) == len(asked)
  later = [r for r in asked if r.sample]
  assert any(r.slots['avoid'] for r in later)
  for request in later:
    for question in request.slots['avoid']:
      assert question in request.messages[-1].content


def test_variants_are_accepted_together_or_not_at_all(tmp_path):
  def judge(request):
    bad = int(request.key[:4], 16) % 4 == 0
    return not (request.slots['variant'] == 'reasons_stripped' and bad)

  acceptance, missing, _ = make(
    tmp_path, 16, Scripted(_say(judge)), chats__rounds=20
  )
  assert not missing
  assert {s: len(r) for s, r in by_source(acceptance).items()} == {
    'chats': 16, 'chats_think': 16, 'chats_reasons_stripped': 16,
  }  # fmt: skip
  because = Counter(
    (r.source, r.rejected_because)
    for r in acceptance.rejected
    if r.rejected_because != chats.NOT_NEEDED
  )
  assert because['chats_reasons_stripped', 'judge: unfaithful']
  assert because['chats', 'partner: judge: unfaithful']


def test_without_thoughts_none_are_asked_for_and_answers_are_judged(tmp_path):
  teacher = Scripted(_say())
  acceptance, _, _ = make(tmp_path, 6, teacher, chats__variants=('answer',))
  assert set(by_source(acceptance)) == {'chats'}
  assert len(teacher.of('chat.judge')) == 6
  assert not any(r.slots['think'] for r in teacher.of('chat.answer'))
  assert not teacher.of('chat.strip_reasons')


def test_an_answer_that_forgot_to_think_is_drawn_again(tmp_path):
  def answer(request):
    forgot = request.task == 'chat.answer' and request.sample == 0
    return 'I would lend the ledger to nobody.' if forgot else None

  acceptance, missing, _ = make(tmp_path, 4, Scripted(_say(answer=answer)))
  assert not missing
  steps = [
    s
    for r in by_source(acceptance)['chats']
    for s in r.lineage
    if s.task == 'chat.answer'
  ]
  assert {(s.sample, s.failure) for s in steps} == {(0, 'unreadable'), (1, '')}
  assert [s.sample for s in steps] == [0, 1] * (len(steps) // 2)


def test_a_conversation_that_stops_is_kept_with_what_was_said(tmp_path):
  def answer(request):
    stuck = request.task == 'chat.user_turn' and '0' in request.slots['intent']
    return '<think>what now</think>' if stuck else None

  acceptance, _, _ = make(
    tmp_path,
    2,
    Scripted(_say(answer=answer)),
    chats__multi_turn_share=1.0,
    chats__rounds=1,
  )
  assert not acceptance.accepted
  for row in acceptance.rejected:
    assert row.rejected_because == 'given up: chat.user_turn: unreadable'
    assert [r for r, _ in row.messages] == ['user', 'assistant']


@pytest.mark.parametrize('jitter', [1, 2])
def test_the_order_of_arrival_changes_nothing(tmp_path, jitter):
  def judge(request):
    return int(request.key[:4], 16) % 10 < 7

  made = []
  for seed in (None, jitter):
    folder = tmp_path / str(seed)
    folder.mkdir()
    acceptance, missing, counts = make(
      folder, 24, Scripted(_say(judge), jitter=seed)
    )
    rows = [m.row for g in acceptance.accepted for m in g.made]
    made.append((rows, acceptance.rejected, missing, counts))
  assert made[0] == made[1]


def test_cells_without_a_quota_are_left_out():
  cells = questions.make_cells(
    config(chats__pressure_share=0.0, chats__multi_turn_share=0.0), ['a'], 5
  )
  assert cells == [Cell('a', False, 1, 5)]
