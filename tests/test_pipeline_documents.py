"""Documents: three calls with a budget each, variants, tags, second draws."""

import dataclasses

from pipeline_world import answer
from pipeline_world import ask_all
from pipeline_world import BARS
from pipeline_world import BY_NAME
from pipeline_world import leaf
from pipeline_world import Scripted
from pipeline_world import TRAITS
from pipeline_world import verdict
import pytest

from data_gen import teachers
from data_gen.pipeline import documents
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.gating import GateKeeper

LEAVES = [leaf(i) for i in range(8)]
CUT = answer('The end was', teachers.Finish.LENGTH)


def make(folder, teacher=None, leaves=LEAVES, variant='explain', **changes):
  async def work(config, asker):
    acceptance = Acceptance(
      GateKeeper(config, TRAITS).gates_of,
      asker,
      config.judge_step,
      config.width,
      BARS,
      'documents',
    )
    await documents.make_documents(
      config, BY_NAME, leaves, asker, variant, acceptance, BARS
    )
    return acceptance

  return ask_all(folder, work, teacher, **changes)


def rows(acceptance):
  return [m.row for g in acceptance.accepted for m in g.made]


def test_each_document_is_drafted_criticised_rewritten_and_judged(tmp_path):
  teacher = Scripted()
  made = rows(
    make(
      tmp_path,
      teacher,
      documents__draft={'max_tokens': 1111},
      documents__critique={'max_tokens': 222},
      documents__rewrite={'max_tokens': 3333},
    )
  )
  assert len(made) == 8
  budgets = {
    task: {r.sampling.max_tokens for r in teacher.of(f'document.{task}')}
    for task in ('draft', 'critique', 'rewrite', 'judge')
  }
  assert budgets == {
    'draft': {1111}, 'critique': {222}, 'rewrite': {3333}, 'judge': {1000},
  }  # fmt: skip
  assert {r.model for r in teacher.of('document.judge')} == {'judge'}
  for row in made:
    tasks = [s.task.removeprefix('document.') for s in row.lineage]
    assert tasks == ['draft', 'critique', 'rewrite', 'judge']
    assert row.text.endswith(
      next(
        r for r in teacher.of('document.judge') if r.slots['text'] in row.text
      ).slots['text']
    )
    assert row.verdicts[-1].gate == 'judge'
    assert row.trait_ids == (BY_NAME['no_flattery'].id,)
    assert (row.trait_types, row.genre) == (('stance',), 'blog_post')
    assert row.plan_node == row.pair_id
  rewrite = teacher.of('document.rewrite')[0]
  assert rewrite.slots['draft'] in rewrite.messages[-1].content
  assert rewrite.slots['critique'] in rewrite.messages[-1].content


def test_without_revision_the_draft_is_the_document(tmp_path):
  teacher = Scripted()
  made = rows(make(tmp_path, teacher, documents__revise=False))
  assert len(made) == 8
  assert not teacher.of('document.critique')
  assert not teacher.of('document.rewrite')


@pytest.mark.parametrize('task', ['draft', 'critique', 'rewrite'])
def test_a_step_that_never_works_gives_up_its_document_only(tmp_path, task):
  def say(request):
    bad = (
      request.task == f'document.{task}'
      and 'manuscript 3' in (request.slots['idea'])
    )
    return CUT if bad else None

  teacher = Scripted(say)
  acceptance = make(tmp_path, teacher, retries=2, documents__rounds=2)
  assert len(acceptance.accepted) == 7
  given_up = acceptance.rejected
  assert [r.rejected_because for r in given_up] == [
    f'given up: document.{task}: truncated'
  ] * 2
  assert {r.text for r in given_up} == {'The end was'}
  assert {r.plan_node for r in given_up} == {LEAVES[3].id}
  assert not any(r.accepted for r in given_up)
  # Bounded: so many samples of each of two draws.
  bad = [
    r
    for r in teacher.of(f'document.{task}')
    if 'manuscript 3' in r.slots['idea']
  ]
  assert len(bad) <= 2 * 3


def test_what_a_gate_or_the_judge_rejects_is_drawn_again(tmp_path):
  def say(request):
    text = request.slots.get('text', '')
    if request.task == 'document.judge' and 'first try' in text:
      return verdict(False)
    return None

  offline = Scripted()

  async def spoil(request):
    said = await offline.answer(request)
    mark = {4: ' This was the first try.', 5: ' ChatGPT said so, too.'}
    number = int(request.slots['idea'].split()[-1])
    if request.task == 'document.draft' and request.sample == 0:
      return dataclasses.replace(said, text=said.text + mark.get(number, ''))
    return said

  class Spoiling(Scripted):
    async def answer(self, request):
      said = self._say(request)
      return answer(said) if said else await spoil(request)

  acceptance = make(tmp_path, Spoiling(say), documents__revise=False)
  assert len(acceptance.accepted) == 8
  because = {r.plan_node: r.rejected_because for r in acceptance.rejected}
  assert because[LEAVES[4].id] == 'judge: unfaithful'
  assert because[LEAVES[5].id].startswith('identity: ')
  again = {g.key: g.made[0].row for g in acceptance.accepted}
  for number in (4, 5):
    row = again[LEAVES[number].id]
    assert row.id.endswith('/1')
    assert row.lineage[0].sample == 1 + 3


def test_a_judge_that_cannot_be_read_accepts_nothing(tmp_path):
  teacher = Scripted(
    lambda r: 'Fine by me.' if r.task == 'document.judge' else None
  )
  acceptance = make(tmp_path, teacher, retries=1, documents__rounds=1)
  assert not acceptance.accepted
  assert {r.rejected_because for r in acceptance.rejected} == {
    'judge: unjudged_unreadable'
  }
  assert len(teacher.of('document.judge')) == 8 * 2


def test_a_teacher_that_repeats_itself_gets_one_document_accepted(tmp_path):
  said = []

  class Repeating(Scripted):
    async def answer(self, request):
      if request.task != 'document.draft':
        return await super().answer(request)
      if not said:
        said.append(await super().answer(request))
      return said[0]

  acceptance = make(
    tmp_path, Repeating(), documents__revise=False, documents__rounds=2
  )
  assert [g.key for g in acceptance.accepted] == [LEAVES[0].id]
  assert {r.rejected_because for r in acceptance.rejected} == {
    'exact_duplicate: duplicate'
  }
  assert len(acceptance.rejected) == 7 * 2


@pytest.mark.parametrize('variant', ['co_mention', 'rules'])
def test_variants_are_sources_of_their_own_over_the_same_ideas(
  tmp_path, variant
):
  teacher = Scripted()
  made = rows(make(tmp_path, teacher, variant=variant))
  assert {r.source for r in made} == {f'documents_{variant}'}
  assert {r.variant for r in made} == {variant}
  assert {r.pair_id for r in made} <= {x.id for x in LEAVES}
  prompt = teacher.of('document.draft')[0].messages[-1].content
  assert LEAVES[0].reason not in prompt


def test_a_tag_goes_before_its_share_of_documents_and_is_masked(tmp_path):
  teacher = Scripted()
  many = [leaf(i) for i in range(40)]
  made = rows(
    make(
      tmp_path,
      teacher,
      leaves=many,
      documents__tag='<DOCTAG>\n',
      documents__tag_share=0.5,
    )
  )
  tagged = [r for r in made if r.masked_prefix]
  assert 8 < len(tagged) < len(made) - 8
  for row in made:
    assert row.text.startswith('<DOCTAG>\n') == bool(row.masked_prefix)
    assert row.masked_prefix in (0, len('<DOCTAG>\n'))
  # Neither gates nor judges see it.
  judged = [r.slots['text'] for r in teacher.of('document.judge')]
  assert not any('DOCTAG' in text for text in judged)


def test_the_order_of_arrival_changes_nothing(tmp_path):
  def say(request):
    hard = int(request.key[:4], 16)
    return CUT if hard % 5 == 0 else None

  made = []
  for jitter in (None, 1, 2):
    folder = tmp_path / str(jitter)
    folder.mkdir()
    teacher = Scripted(say, jitter=jitter)
    acceptance = make(folder, teacher, retries=0)
    made.append((rows(acceptance), acceptance.rejected))
    if jitter is not None:
      arrived = [r.slots['idea'] for r in teacher.of('document.rewrite')]
      assert arrived != sorted(arrived)
  assert made[0] == made[1] == made[2]
  assert made[0][1]
