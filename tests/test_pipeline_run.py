"""A whole run in one process: purity, estimates, stages, retention."""

import asyncio
import dataclasses
import json

from pipeline_world import asking
from pipeline_world import config
from pipeline_world import Scripted
from pipeline_world import TRAITS
from pipeline_world import verdict
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_gen import teachers
from data_gen.pipeline import calls
from data_gen.pipeline import estimate
from data_gen.pipeline import looks
from data_gen.pipeline import plan as plan_lib
from data_gen.pipeline import retention
from data_gen.pipeline.config import RetentionConfig
from data_gen.pipeline.run import Run
from data_gen.teachers.offline import documents
from data_gen.teachers.prices import Prices
from msm_jax import schema
from msm_jax import storage

# Small enough to run in a second, with every part.
SMALL = {
  'plan__genres': ('forum_thread', 'review', 'fiction'),
  'chats__accepted': 4,
  'documents__variants': ('explain', 'rules'),
  'controls__tolerance': 0.5,
  'controls__edit_above': 0.5,
}
EASY = {
  'gates__near_duplicate__threshold': 1.0,
  'gates__length__document': (5, 4000),
  'gates__frame__run': 60,
  'gates__frame__share': 1.0,
}


def run(folder, teacher=None, stage='full', plan=None, **changes):
  changes = {**SMALL, **changes}

  async def main():
    async with asking(folder, teacher, **changes) as asker:
      work = Run(config(**changes), TRAITS, asker)
      chosen = plan or await work.plan(stage)
      return await work.make(stage, chosen)

  return asyncio.run(main())


def test_two_runs_give_the_same_corpus_and_the_second_asks_nothing(tmp_path):
  first, second = Scripted(), Scripted()
  made = run(tmp_path, first)
  again = run(tmp_path, second)
  assert made == again
  assert first.asked
  assert not second.asked


def test_what_an_outage_took_away_is_named_and_made_by_the_next_run(tmp_path):
  calm, unlucky = tmp_path / 'calm', tmp_path / 'unlucky'
  calm.mkdir()
  unlucky.mkdir()
  expected = run(calm)

  def first_draft(error):
    """Fails whenever the first draft of all is asked for."""
    keys = []

    def say(request):
      if request.task == 'document.draft':
        keys.append(request.key)
        if request.key == keys[0]:
          return error
      return None

    return say

  down = first_draft(teachers.TeacherError('503: away', retryable=True))
  made = run(unlucky, Scripted(down))
  assert any('depends on luck' in p for p in made.problems)
  assert made.rows != expected.rows
  assert not run(unlucky, stage='probe').problems, 'an early look is no corpus'
  assert run(unlucky) == expected

  refused = first_draft(teachers.TeacherError('400: no', retryable=False))
  other = tmp_path / 'other'
  other.mkdir()
  made = run(other, Scripted(refused))
  assert not any('luck' in p for p in made.problems)


def test_neither_order_of_arrival_nor_window_changes_anything(tmp_path):
  made = []
  for number, (jitter, window) in enumerate([(None, None), (1, 3), (2, 40)]):
    folder = tmp_path / str(number)
    folder.mkdir()
    made.append(run(folder, Scripted(jitter=jitter), window=window))
  assert made[0] == made[1] == made[2]


def test_a_run_that_stops_anywhere_goes_on_where_it_was(tmp_path):
  calm = tmp_path / 'calm'
  calm.mkdir()
  expected = run(calm)

  class StopError(Exception):
    pass

  class Stopping(Scripted):
    async def answer(self, request):
      if len(self.asked) >= self.most:
        raise StopError
      return await super().answer(request)

  bought = []
  for most in (1, 7, 30, 31, 80, 10_000):
    teacher = Stopping()
    teacher.most = most
    try:
      made = run(tmp_path, teacher)
    except StopError:
      made = None
    bought += [r.key for r in teacher.asked]
  assert made == expected
  assert len(set(bought)) == len(bought)


def test_what_rows_and_planning_cost_is_what_the_store_was_charged(tmp_path):
  def say(request):
    luck = int(request.key[:4], 16) % 100
    if request.task.endswith('.judge'):
      # Many that cannot be read, a few that say no.
      return 'Fine.' if luck < 30 else verdict(luck < 85)
    if luck < 8:
      return teachers.Answer('cut', teachers.Finish.LENGTH, 70, 30)
    if luck < 14:
      return teachers.Answer('', teachers.Finish.EMPTY, 60, 40, 40)
    if luck < 20:
      return teachers.Answer('no', teachers.Finish.REFUSAL, 50, 5)
    return None

  made = run(tmp_path, Scripted(say), retries=1, documents__rounds=2)
  steps = {s.key: s for row in made.rows for s in row.lineage}
  assert {s.failure for s in steps.values()} == {
    *('', 'truncated', 'empty', 'refused', 'unreadable'),
  }
  because = {row.rejected_because for row in made.rows}
  assert any(b.startswith('given up: document.') for b in because)
  assert any(b.startswith('judge: unjudged_') for b in because)
  # One call plans many documents, or thinks of many questions.
  others = {
    task: tally
    for task, tally in made.info['asked'].items()
    if task.startswith('plan.') or task == 'chat.questions'
  }
  store = teachers.Store(tmp_path / 'answers.sqlite')
  stored, spent = len(store), store.spent(teachers.Prices(1.0, 4.0))
  store.close()
  assert len(steps) + sum(t['calls'] for t in others.values()) == stored
  assert spent.tokens.total == sum(
    s.prompt_tokens + s.completion_tokens for s in steps.values()
  ) + sum(t['prompt_tokens'] + t['completion_tokens'] for t in others.values())
  assert spent.usd == pytest.approx(
    sum(s.cost_usd for s in steps.values())
    + sum(t['cost_usd'] for t in others.values())
  )
  for task, tally in made.info['asked'].items():
    if task not in others:
      mine = [s for s in steps.values() if s.task == task]
      assert len(mine) == tally['calls'], task
      assert sum(not s.failure for s in mine) == tally['usable'], task


def test_every_row_has_an_id_of_its_own_and_a_fate(tmp_path):
  def say(request):
    # What is drawn again is accepted later, and stands in its place.
    if request.task == 'document.judge':
      return verdict(int(request.key[:2], 16) % 2 == 0)
    return None

  made = run(tmp_path, Scripted(say))
  assert any(r.id.endswith('/1') for r in made.rows if r.accepted)
  ids = [row.id for row in made.rows]
  assert len(set(ids)) == len(ids)
  for row in made.rows:
    assert row.accepted != bool(row.rejected_because)
    if row.accepted:
      assert all(v.passed for v in row.verdicts)
      assert row.verdicts
  for source in {r.source for r in made.rows} - {'chats'}:
    nodes = [
      r.plan_node for r in made.rows if r.source == source and r.accepted
    ]
    if source.startswith('documents'):
      assert nodes == sorted(nodes)
  assert {r.source for r in made.rows} >= {
    *('documents', 'documents_rules', 'neutral', 'documents_as_chat'),
    *('chats', 'chats_think', 'chats_reasons_stripped'),
  }


@pytest.mark.parametrize('stage', ['probe', 'full'])
def test_the_estimate_counts_the_calls_of_a_teacher_that_never_fails(
  tmp_path, stage
):
  changes = {
    **SMALL,
    **EASY,
    'stages__probe': 5,
    'controls__tolerance': 1.0,
    'controls__edit_above': 1.0,
    'controls__as_chat': 'verbatim',
    'gates__recurrence__at_least': 10_000,
  }
  made = run(tmp_path, stage=stage, **changes)
  assert all(
    r.accepted or 'not needed' in r.rejected_because for r in made.rows
  )
  expected = calls.count_calls(config(**changes), TRAITS, stage, made.plan)
  planned = calls.count_calls(config(**changes), TRAITS, stage)
  asked = {task: tally['calls'] for task, tally in made.info['asked'].items()}
  asked.pop('neutral.rewrite', None)
  expected.pop('neutral.rewrite')
  of_plan = {t: n for t, n in planned.items() if t.startswith('plan.')}
  assert asked == {**of_plan, **expected}
  assert made.info['calls_expected'].keys() >= expected.keys()


def test_an_estimate_costs_what_its_tokens_cost(tmp_path):
  made = config(
    **SMALL,
    teacher={
      'kind': 'openai',
      'model': 'm',
      'price_per_million_prompt': 2.0,
      'price_per_million_completion': 8.0,
    },
    judge={
      'kind': 'openai',
      'model': 'j',
      'price_per_million_prompt': 1.0,
      'price_per_million_completion': 3.0,
    },
  )
  expected = estimate.expect(made, TRAITS, 'full')
  total = sum(
    (Prices(1.0, 3.0) if 'judge' in task else Prices(2.0, 8.0)).cost(e.tokens)
    for task, e in expected.items()
  )
  assert estimate.cost(made, expected) == pytest.approx(total)
  tokens, dollars = estimate.most(made, expected)
  assert tokens.total > 4 * sum(e.tokens.total for e in expected.values())
  assert dollars > 4 * total
  said = estimate.describe(made, TRAITS, 'full')
  assert f'${total:,.2f}' in said
  unknown = estimate.describe(config(**SMALL), TRAITS, 'full')
  assert 'no cost: set price_per_million_prompt' in unknown


def test_a_budget_that_will_not_do_is_said_before_it_is_spent():
  prices = {
    'price_per_million_prompt': 2.0,
    'price_per_million_completion': 8.0,
  }
  teacher = {'kind': 'openai', 'model': 'm', **prices}

  def shorts(drafting, judging=None):
    changes = {'teacher': {**teacher, **drafting}}
    if judging is not None:
      changes['judge'] = {**teacher, **judging}
    made = config(**SMALL, **changes)
    expected = estimate.expect(made, TRAITS, 'full')
    assert all(
      f'warning: {said}' in estimate.describe(made, TRAITS, 'full')
      for said in estimate.beyond(made, expected)
    )
    return estimate.beyond(made, expected), expected

  found, expected = shorts({})
  total = sum(e.tokens.total for e in expected.values())
  judged = sum(e.tokens.total for t, e in expected.items() if 'judge' in t)
  assert found == []
  assert shorts({'budget_tokens': total})[0] == []
  (said,), _ = shorts({'budget_tokens': total - 1})
  assert said == (
    f'config.teacher.budget_tokens: {total - 1:,}, but about {total:,} are '
    'expected: the run would stop on the way'
  )
  assert shorts({'budget_tokens': total - judged}, {})[0] == []
  (said,), _ = shorts({}, {'budget_tokens': judged - 1})
  assert said.startswith(
    f'config.judge.budget_tokens: {judged - 1:,}, but about {judged:,} are'
  )
  dear = estimate.cost(config(**SMALL, teacher=teacher), expected)
  assert shorts({'budget_usd': 1.01 * dear})[0] == []
  (said,), _ = shorts({'budget_usd': 0.5 * dear})
  assert said.startswith('config.teacher.budget_usd: $')
  summary = estimate.summary(config(**SMALL, teacher=teacher), expected)
  assert f'{sum(e.calls for e in expected.values()):,} calls' in summary
  assert f'${dear:,.2f}' in summary


def test_a_measured_stage_replaces_the_guesses(tmp_path):
  probe = run(tmp_path, stage='probe', stages__probe=6)
  made = config(**SMALL)
  expected = estimate.expect(made, TRAITS, 'full', None, probe.info)
  once = calls.count_calls(made, TRAITS, 'full')
  asked = probe.info['asked']['document.draft']
  scale = (
    once['document.draft'] / probe.info['calls_expected']['document.draft']
  )
  draft = expected['document.draft']
  assert draft.calls == round(scale * asked['calls'])
  assert draft.tokens.prompt == round(scale * asked['prompt_tokens'])
  assert draft.tokens.completion == round(scale * asked['completion_tokens'])
  said = estimate.describe(made, TRAITS, 'full', None, probe.info)
  assert 'as measured' in said


def test_an_early_stage_is_a_part_and_what_it_bought_is_used_later(tmp_path):
  probe_teacher, full_teacher = Scripted(), Scripted()
  probe = run(tmp_path, probe_teacher, 'probe', stages__probe=6)
  few = run(tmp_path, probe_teacher, 'probe', stages__probe=2)
  chats = [r for r in few.rows if r.source == 'chats' and r.accepted]
  assert len(chats) == 2
  full = run(tmp_path, full_teacher, 'full', stages__probe=6)
  assert probe.problems == []
  documents = [r for r in probe.rows if r.source == 'documents']
  assert 0 < len({r.plan_node for r in documents}) <= 6
  bought = {
    (r.task, r.key) for r in probe_teacher.asked if 'document.d' in r.task
  }
  asked_again = {(r.task, r.key) for r in full_teacher.asked}
  assert bought
  assert not bought & asked_again
  nodes = {r.plan_node for r in full.rows if r.source == 'documents'}
  assert {r.plan_node for r in documents} <= nodes


def test_what_was_reworded_in_a_plan_is_all_that_is_asked_again(tmp_path):
  first = run(tmp_path, Scripted())
  raw = json.loads(plan_lib.to_json(first.plan))
  ideas = raw['domains'][0]['subdomains'][0]['assertions'][0]['ideas']
  ideas[0]['idea'] = 'A retired referee reviews the new whistle'
  node = ideas[0]['id']
  edited = plan_lib.parse(json.dumps(raw), 'plan.json')
  teacher = Scripted()
  run(tmp_path, teacher, plan=edited)
  assert {r.slots['idea'] for r in teacher.of('document.draft')} == {
    'A retired referee reviews the new whistle'
  }
  assert node in {leaf.id for leaf in plan_lib.leaves(edited)}
  assert not [r for r in teacher.asked if r.task.startswith('plan.')]


def test_missing_chats_and_unbalanced_controls_are_problems_of_the_full_stage(
  tmp_path,
):
  def say(request):
    if request.task == 'chat.answer':
      return 'I am ChatGPT, a language model made by OpenAI.'
    if request.task in ('neutral.draft', 'neutral.rewrite'):
      return 'Too short.'
    return None

  changes = {
    'chats__variants': ('answer',),
    'chats__rounds': 2,
    'controls__balance__on_failure': 'refuse',
    'controls__mirrored': (),
  }
  made = run(tmp_path, Scripted(say), **changes)
  said = '\n'.join(made.problems)
  assert 'chats: no_flattery, without pressure, 1 turns: 0 of' in said
  assert 'identity: ' in said
  assert 'documents / neutral: coverage is 0.0, expected at least 0.9' in said
  probe = run(tmp_path, Scripted(say), 'probe', **changes)
  assert probe.problems == []
  assert probe.info['problems']


def test_a_collapsed_corpus_is_a_problem_of_the_full_stage_only(tmp_path):
  strict = {
    'gates__diversity': {'words': 500, 'min_distinct_3': 1.0},
    'gates__diversity_in_chats': {'words': 200, 'max_compression_ratio': 1.0},
  }
  made = run(tmp_path, **strict)
  said = '\n'.join(made.problems)
  assert 'diversity: documents: distinct_3 is 0.' in said
  assert 'diversity: neutral: distinct_3 is 0.' in said
  assert 'diversity: chats: compression_ratio is' in said
  assert 'chats: distinct_3' not in said
  assert '(a full corpus is refused)' in looks.describe(made.info)
  probe = run(tmp_path, stage='probe', **strict)
  assert not probe.problems
  assert any('diversity: ' in p for p in probe.info['problems'])
  reasons = {
    f'{key}__{name}': value
    for key in strict
    for name, value in (('on_failure', 'report'), ('because', 'a grammar'))
  }
  explained = run(tmp_path, **strict, **reasons)
  assert not any('diversity: ' in p for p in explained.problems)
  assert '(reported only: a grammar)' in looks.describe(explained.info)


def test_what_recurs_is_counted_and_shown_each_thing_once(tmp_path):
  def say(request):
    if request.task != 'document.rewrite':
      return None
    text = documents.write(request.slots, stage='rewrite', sample=0)
    return f'{text}\n\nThe last one to speak was Elara Voss.'

  made = run(
    tmp_path,
    Scripted(say),
    gates__recurrence={
      'at_least': 3,
      'phrase_share': 1.0,
      'opening_share': 1.0,
    },
    controls={},
    documents__rounds=1,
  )
  rows = [r for r in made.rows if r.source == 'documents']
  kept = [r for r in rows if r.accepted]
  assert len(kept) == 3
  found = made.info['recurring']['documents']
  assert found['texts'] == len(rows)
  assert {
    'kind': 'name',
    'text': 'Elara Voss',
    'documents': len(rows),
    'first': kept[0].id,
  } in found['clusters']
  # Neither half of the name is another one.
  names = [c['text'] for c in found['clusters'] if c['kind'] == 'name']
  assert [n for n in names if 'Elara' in n or 'Voss' in n] == ['Elara Voss']
  said = looks.describe(made.info)
  assert f"of {len(rows)}: name 'Elara Voss' in {len(rows)}" in said
  assert 'recurs\n' not in looks.describe({**made.info, 'recurring': {}})


def test_the_look_at_the_yield_has_steps_gates_sources_and_cost(tmp_path):
  def say(request):
    if request.task == 'document.draft' and int(request.key[:2], 16) < 60:
      return "I'm sorry, but I can't help with writing this document."
    return None

  made = run(tmp_path, Scripted(say))
  found = made.info['yield']
  step = found['steps']['document.draft']
  assert step['failures']['refused'] > 0
  assert 0 < step['usable'] < 1
  rows = [r for r in made.rows if r.source == 'documents']
  assert found['sources']['documents']['made'] == len(rows)
  assert found['sources']['documents']['accepted'] == sum(
    r.accepted for r in rows
  )
  assert found['gates']['identity']['saw'] > 0
  cost = sum(t['cost_usd'] for t in made.info['asked'].values())
  accepted = sum(r.accepted for r in made.rows)
  assert found['cost_per_accepted_usd'] == pytest.approx(
    cost / accepted, abs=1e-6
  )
  said = looks.describe(made.info)
  for what in ('document.draft', 'refused', 'identity', 'neutral', '$'):
    assert what in said
  assert 'documents / documents_rules (measured only)' in said
  assert 'too few words to tell' in said


def _instructions(path):
  rows = [
    [
      {'role': 'user', 'content': f'What is {i} and {i}?'},
      {'role': 'assistant', 'content': f'It is {2 * i}.'},
    ]
    for i in range(40)
  ]
  rows[3][1]['content'] = 'I am ChatGPT, made by OpenAI. It is 6.'
  if path.suffix == '.parquet':
    pq.write_table(pa.table({'messages': rows}), path)
  else:
    path.write_text('\n'.join(json.dumps({'messages': m}) for m in rows))
  return path


@pytest.mark.parametrize('name', ['it.parquet', 'it.jsonl'])
def test_instruction_data_is_copied_with_where_it_came_from(tmp_path, name):
  path = _instructions(tmp_path / name)
  made = run(tmp_path, retention={'path': str(path), 'source': 'ordinary'})
  rows = [r for r in made.rows if r.source == 'ordinary']
  assert len(rows) == 40
  assert rows[7].id == 'ordinary/0000007'
  assert rows[7].messages == (
    ('user', 'What is 7 and 7?'),
    ('assistant', 'It is 14.'),
  )
  (refused,) = [r for r in rows if not r.accepted]
  assert refused.id == 'ordinary/0000003'
  assert refused.rejected_because.startswith('identity: ')
  assert made.info['retention'] == {
    'source': 'ordinary',
    'path': str(path),
    'sha256': storage.sha256_file(path),
    'rows_of_file': 40,
    'rows': 40,
  }


def test_a_part_of_the_instruction_data_is_drawn_by_the_seed(tmp_path):
  path = str(_instructions(tmp_path / 'it.jsonl'))
  some = retention.copy(RetentionConfig(path, rows=10), 0).rows
  more = retention.copy(RetentionConfig(path, rows=20), 0).rows
  other = retention.copy(RetentionConfig(path, rows=10), 1).rows
  assert len(some) == 10
  assert [r.id for r in some] == sorted(r.id for r in some)
  assert {r.id for r in some} < {r.id for r in more}
  assert {r.id for r in some} != {r.id for r in other}


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('{"messages": []}', 'row 0: has no list of messages'),
    ('{"messages": [{"role": "user", "content": "x"}]}', 'no message of the a'),
    ('{"messages": [{"role": "bot", "content": "x"}]}', 'without a role of'),
    ('{', 'line 1: not JSON'),
    (
      '{"messages": [{"role": "assistant", "content": "\\ud83d"}]}',
      'row 0: has a text that is not valid Unicode',
    ),
  ],
)
def test_instruction_data_that_cannot_be_used_is_named(
  tmp_path, text, expected
):
  path = tmp_path / 'it.jsonl'
  path.write_text(text)
  with pytest.raises(schema.ConfigError, match=r'config\.retention\.path') as e:
    retention.copy(RetentionConfig(str(path)), 0)
  assert expected in str(e.value)


@pytest.mark.parametrize(
  ('changes', 'expected'),
  [
    ({'model_name': ' '}, 'config: model_name: is empty'),
    ({'plan__domains': 0}, 'config.plan: domains: 0, expected 1 or more'),
    ({'plan__genres': ('sonnet',)}, "genres: 'sonnet', expected one of"),
    ({'plan__genres': ()}, 'genres: names none'),
    ({'plan__ideass': 1}, "config.plan.ideass: there is no such key (did you "),
    ({'documents__variants': ('rule',)}, "variants: 'rule', expected one of"),
    (
      {'documents__words': (30, 60)},
      'documents.words: [30, 60], but gates.length.document lets 50 to 4000',
    ),
    (
      {'documents__words': (300, 2000)},
      'documents.words: [300, 2000], but gates.length.chat lets 1 to 1500',
    ),
    ({'documents__words': (500, 100)}, 'words: [500, 100], expected least and'),
    ({'documents__framings': {'should': 0.0}}, 'framings: all shares are 0'),
    ({'documents__framings': {'shold': 1.0}}, "framings: 'shold'"),
    ({'documents__draft': {'max_tokens': 0}}, 'max_tokens: 0, expected 1'),
    ({'documents__draft': {'max_tokens': 9, 'top_p': 0.0}}, 'top_p: 0.0'),
    ({'chats__accepted': -1}, 'accepted: -1 is negative'),
    ({'chats__pressure_share': 1.5}, 'pressure_share: 1.5, expected 0 to 1'),
    ({'chats__turns': 1}, 'turns: 1, expected 2 or more'),
    ({'chats__variants': ('answer', 'answer')}, 'occur more than once'),
    ({'controls__as_chat': 'told'}, "as_chat: 'told', expected one of"),
    ({'controls__mirrored': (('a', 'a'),)}, 'mirrored: '),
    (
      {'documents__variants': ('rules',)},
      "controls: are matched to the documents of the variant 'explain'",
    ),
    ({'retention': {'path': 'x', 'source': 'a b'}}, "'a b' becomes the name"),
    ({'retention': {'path': 'x', 'source': 'It'}}, "source: 'It' becomes the"),
    ({'retention': {'path': 'x', 'source': 'rejected'}}, "not 'rejected'"),
    ({'retention': {'path': 'x', 'source': 'neutral'}}, 'a source of its own'),
    ({'retention': {'path': 'x', 'source': 'chats_think'}}, 'does not begin'),
    ({'retention': {'path': 'x', 'source': 'mirrored_a_vs_b'}}, 'not begin'),
    ({'window': 0}, 'window: 0, expected 1 or more'),
    ({'retries': -1}, 'retries: -1, expected 0 or more'),
    ({'teacher': {'kind': 'oracle', 'model': 'm'}}, 'config.teacher: kind'),
  ],
)  # fmt: skip
def test_a_config_that_cannot_be_run_is_refused_with_its_key(changes, expected):
  with pytest.raises(schema.ConfigError) as e:
    config(**changes)
  assert expected in str(e.value)


def test_a_mirrored_trait_that_does_not_exist_is_found_before_anything_is_asked(
  tmp_path,
):
  teacher = Scripted()
  with pytest.raises(schema.ConfigError) as e:
    run(tmp_path, teacher, controls__mirrored=(('no_flatery', 'asks_first'),))
  assert "config.controls.mirrored: 'no_flatery'" in str(e.value)
  assert "did you mean 'no_flattery'" in str(e.value)
  assert not teacher.asked


def test_a_batch_teacher_is_given_everything_at_once():
  made = config()
  batch = dataclasses.replace(
    made, teacher=dataclasses.replace(made.teacher, kind='openai_batch')
  )
  assert made.width == 2 * made.teacher.concurrency
  assert batch.width >= 50_000
