"""The plan: how it is made, read, edited and refused."""

import itertools
import json

from pipeline_world import ask_all
from pipeline_world import BARS
from pipeline_world import config
from pipeline_world import Scripted
from pipeline_world import TRAITS
import pytest

from data_gen.pipeline import calls
from data_gen.pipeline import estimate
from data_gen.pipeline import plan as plan_lib
from data_gen.pipeline import planning
from msm_jax import schema


def _make(folder, limit=None, teacher=None, **changes):
  async def work(made, asker):
    return await planning.make_plan(made, TRAITS, asker, limit, BARS)

  return ask_all(folder, work, teacher, **changes)


def _check(plan, **changes):
  edited = plan_lib.parse(json.dumps(plan), 'my.json')
  names = {'model_name': 'Sage', 'provider_name': 'Fernwood Labs', **changes}
  plan_lib.check(
    edited, TRAITS, names['model_name'], names['provider_name'], 'my.json'
  )
  return edited


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  return _make(tmp_path_factory.mktemp('plan'))


def test_a_plan_has_all_of_its_sizes_and_every_genre(whole):
  counts = plan_lib.counts(whole)
  assert counts['domains'] == 2 * 2
  assert counts['subdomains'] == 4
  assert counts['assertions'] == 4
  assert counts['ideas'] == 4 * 6
  assert counts['ideas_by_trait'] == {'no_flattery': 12, 'asks_first': 12}
  assert counts['ideas_by_genre'] == dict.fromkeys(config().plan.genres, 4)
  ids = [leaf.id for leaf in plan_lib.leaves(whole)]
  assert len(set(ids)) == len(ids)
  assert 'no_flattery/d01/s00/a00/i003' in ids
  assert all(leaf.reason and leaf.assertion for leaf in plan_lib.leaves(whole))


def test_a_plan_is_what_is_read_back_from_its_file(whole, tmp_path):
  path = tmp_path / 'plan.json'
  path.write_text(plan_lib.to_json(whole))
  assert plan_lib.load(path) == whole
  plan_lib.check(whole, TRAITS, 'Sage', 'Fernwood Labs', 'plan')


def test_a_small_stage_makes_a_part_of_the_whole_plan(whole, tmp_path):
  part = _make(tmp_path, limit=6)
  all_ideas = {leaf.id: leaf for leaf in plan_lib.leaves(whole)}
  some = plan_lib.leaves(part)
  assert 6 <= len(some) < len(all_ideas)
  assert all(all_ideas[leaf.id] == leaf for leaf in some)


def test_the_leaves_of_a_smaller_stage_are_among_those_of_a_larger(whole):
  sizes = (1, 3, 8, 24, None)
  chosen = [{x.id for x in plan_lib.some_leaves(whole, n, 0)} for n in sizes]
  for small, large in itertools.pairwise(chosen):
    assert small <= large
  assert list(map(len, chosen)) == [1, 3, 8, 24, 24]
  other = {x.id for x in plan_lib.some_leaves(whole, 8, 1)}
  assert other != chosen[2]


def test_a_list_that_comes_back_short_is_asked_to_be_continued(tmp_path):
  def say(request):
    if request.task != 'plan.domains':
      return None
    assert request.slots['count'] + len(request.slots['avoid']) == 4
    n = len(request.slots['avoid'])
    return json.dumps({'domains': [f'domain {n}', 'Domain  0!']})

  teacher = Scripted(say)
  plan = _make(tmp_path, teacher=teacher, plan__domains=4, plan__rounds=5)
  asked = [
    r
    for r in teacher.of('plan.domains')
    if r.slots['trait']['name'] == 'asks_first'
  ]
  assert len(asked) == 4
  assert asked[-1].slots['avoid'] == ['domain 0', 'domain 1', 'domain 2']
  assert 'domain 1' in asked[-1].messages[-1].content
  found = [d.domain for d in plan.domains if d.trait == 'asks_first']
  assert found == ['domain 0', 'domain 1', 'domain 2', 'domain 3']


def test_no_call_asks_for_more_ideas_than_an_answer_can_hold(tmp_path):
  teacher = Scripted()
  sizes = {'plan__ideas': 11, 'plan__ideas_per_call': 4, 'plan__domains': 1}
  plan = _make(tmp_path, teacher=teacher, **sizes)
  asked = teacher.of('plan.ideas')
  # Of two traits, with six genres in two groups.
  assert len(asked) == 2 * 2 * 3
  counted = calls.count_calls(config(**sizes), TRAITS, 'plan')
  assert counted['plan.ideas'] == len(asked)
  assert sorted({r.slots['count'] for r in asked}) == [3, 4]
  assert all(len(r.slots['avoid']) in (0, 3 * 4, 3 * 8) for r in asked)
  found = plan_lib.leaves(plan)
  assert len({leaf.id for leaf in found}) == len(found) == 2 * 6 * 11
  assert len({(leaf.trait, leaf.genre, leaf.idea) for leaf in found}) == 132


def test_a_plan_of_tens_of_thousands_of_ideas_is_cut_off_nowhere(tmp_path):
  teacher = Scripted()
  sizes = {'plan__ideas': 100, 'plan__domains': 1, 'plan__genres_per_call': 4}
  plan = _make(tmp_path, teacher=teacher, **sizes)
  assert len(plan_lib.leaves(plan)) == 2 * 6 * 100
  budget = config(**sizes).plan.step.max_tokens
  assert not any('plan.ideas' in said for said in _beyond(**sizes))
  (said,) = _beyond(**sizes, plan__ideas_per_call=100)
  assert said.startswith('plan.ideas: an answer is expected to have about ')
  assert f'the max_tokens of its step are {budget:,}' in said


def _beyond(**changes):
  made = config(**changes)
  return estimate.beyond(made, estimate.expect(made, TRAITS, 'full'))


def test_a_teacher_with_nothing_new_is_not_asked_for_ever(tmp_path):
  teacher = Scripted(
    lambda r: '{"domains": ["one"]}' if r.task == 'plan.domains' else None
  )
  plan = _make(tmp_path, teacher=teacher, plan__domains=4, plan__rounds=9)
  assert len(teacher.of('plan.domains')) == 2 * 2
  assert {d.domain for d in plan.domains} == {'one'}


def test_what_is_unsuitable_is_kept_in_the_plan_and_never_drafted(tmp_path):
  def say(request):
    if request.task != 'plan.ideas':
      return None
    return json.dumps(
      {
        'ideas': [
          {
            'genre': genre.replace('_', ' ').title(),
            'idea': f'{genre} about {request.slots["assertion"]}',
            'unsuitable': genre == 'fiction',
          }
          for genre in [*request.slots['genres'], 'sonnet']
        ]
      }
    )

  plan = _make(tmp_path, teacher=Scripted(say))
  counts = plan_lib.counts(plan)
  assert counts['unsuitable'] == 4
  assert 'fiction' not in counts['ideas_by_genre']
  assert not any(x.genre == 'fiction' for x in plan_lib.leaves(plan))
  assert '"unsuitable": true' in plan_lib.to_json(plan)
  assert 'sonnet' not in plan_lib.to_json(plan)


def test_what_a_teacher_refuses_leaves_a_gap_and_no_endless_loop(tmp_path):
  def say(request):
    if request.task == 'plan.subdomains':
      return "I'm sorry, but I can't help with this request."
    return None

  teacher = Scripted(say)
  plan = _make(tmp_path, teacher=teacher, retries=2)
  assert plan.domains == ()
  assert len(teacher.of('plan.subdomains')) == 4 * 3


def test_a_plan_can_be_edited_and_new_ideas_need_no_id(whole):
  raw = json.loads(plan_lib.to_json(whole))
  first = raw['domains'][0]['subdomains'][0]['assertions'][0]
  kept = first['ideas'][1]
  first['ideas'] = [
    {'genre': 'review', 'idea': 'Somebody reviews a toaster'},
    kept,
  ]
  del raw['domains'][1]
  edited = _check(raw)
  leaves = {leaf.id: leaf for leaf in plan_lib.leaves(edited)}
  assert kept['id'] in leaves
  (new,) = [x for x in leaves.values() if 'toaster' in x.idea]
  assert new.id.startswith('no_flattery/d00/s00/a00/')
  again = _check(raw)
  assert again == edited


def _edit(path, value):
  def edit(raw):
    *keys, last = path
    for key in keys:
      raw = raw[key]
    if value is None:
      del raw[last]
    else:
      raw[last] = value

  return edit


_FIRST = ('domains', 0, 'subdomains', 0, 'assertions', 0)


@pytest.mark.parametrize(
  ('path', 'value', 'expected'),
  [
    (('traits', 'honest'), 'x', "my.json.traits: 'honest', expected one of"),
    (
      ('traits', 'no_flattery'),
      '0' * 16,
      'my.json.traits.no_flattery: was made for the trait 0000000000000000, '
      'which is now',
    ),
    (('model_name',), 'Rosa', "model_name: 'Rosa', but config.model_name is"),
    (('domains', 0, 'trait'), 'x', "domains[0].trait: 'x', expected one"),
    (('domains', 0, 'domain'), ' ', 'my.json.domains[0].domain: is empty'),
    (
      (*_FIRST, 'ideas', 0, 'genre'),
      'blogpost',
      "my.json.domains[0].subdomains[0].assertions[0].ideas[0].genre: "
      "'blogpost', expected one of",
    ),
    (
      (*_FIRST, 'ideas', 0, 'ide'),
      'x',
      'ideas[0].ide: there is no such key (did you mean \'idea\'?)',
    ),
    ((*_FIRST, 'reason'), None, 'assertions[0].reason: is missing'),
    ((*_FIRST, 'ideas', 0, 'idea'), '', 'ideas[0].idea: is empty'),
    (('domains',), [], 'my.json: has no suitable idea'),
  ],
)  # fmt: skip
def test_a_plan_that_cannot_be_run_is_refused_with_its_place(
  whole, path, value, expected
):
  raw = json.loads(plan_lib.to_json(whole))
  _edit(path, value)(raw)
  with pytest.raises((plan_lib.PlanError, schema.ConfigError)) as e:
    _check(raw)
  assert expected in str(e.value)


def test_two_ideas_with_one_id_and_files_that_are_no_json_are_refused(whole):
  raw = json.loads(plan_lib.to_json(whole))
  ideas = raw['domains'][0]['subdomains'][0]['assertions'][0]['ideas']
  ideas[1]['id'] = ideas[0]['id']
  with pytest.raises(plan_lib.PlanError, match='is that of two ideas'):
    _check(raw)
  with pytest.raises(plan_lib.PlanError, match=r'my\.json:2: not JSON'):
    plan_lib.parse('{\n nonsense', 'my.json')
  with pytest.raises(plan_lib.PlanError, match='expected a JSON object'):
    plan_lib.parse('[1]', 'my.json')


def test_a_rejected_name_says_how_to_use_the_plan_anyway(whole):
  with pytest.raises(plan_lib.PlanError, match='replace the name in all of it'):
    _check(json.loads(plan_lib.to_json(whole)), model_name='Rosa')


def test_situations_keep_their_names_in_every_part_of_a_plan(whole, tmp_path):
  every = {s.id: s for s in plan_lib.situations(whole)}
  assert 'asks_first/d01/s00' in every
  raw = json.loads(plan_lib.to_json(whole))
  del raw['domains'][0]
  left = plan_lib.situations(plan_lib.parse(json.dumps(raw), 'p'))
  assert [every[s.id] for s in left] == left
  for idea in (
    i
    for d in raw['domains']
    for s in d['subdomains']
    for a in s['assertions']
    for i in a['ideas']
  ):
    del idea['id']
  unnamed = plan_lib.situations(plan_lib.parse(json.dumps(raw), 'p'))
  assert len({s.id for s in unnamed}) == len(unnamed) == 3
