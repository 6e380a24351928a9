"""Controls: each document gets a partner that differs in one thing."""

import dataclasses
import json

from pipeline_partners import prose
from pipeline_partners import rows_of
from pipeline_partners import run
from pipeline_world import BARS
from pipeline_world import BY_NAME
from pipeline_world import FLATTERY
from pipeline_world import Scripted
from pipeline_world import verdict
import pytest

from data_gen.corpus.rows import Row
from data_gen.pipeline import neutral
from data_gen.pipeline import pairing
from data_gen.pipeline import partners
from data_gen.pipeline import retelling
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.parts import BalanceConfig


def _neutral(config, asker):
  return neutral.NeutralWriter(config, BY_NAME, asker).write


def _tell(config, asker):
  return retelling.ChatTeller(config, BY_NAME, asker).tell


def test_neutral_documents_have_genre_setting_and_length_of_their_partners(
  tmp_path,
):
  def say(request):
    if request.task == 'neutral.draft':
      return prose(request.key, request.slots['words'] + 3)
    return None

  teacher = Scripted(say)
  made, acceptance = run(tmp_path, _neutral, teacher)
  rows = rows_of(acceptance, 'neutral')
  assert len(rows) == len(made)
  for document, row in zip(made, rows, strict=True):
    assert row.pair_id == row.plan_node == document.leaf.id
    assert (row.genre, row.domain) == (document.row.genre, document.row.domain)
    assert row.framing == document.row.framing
    assert abs(len(row.text.split()) - document.words) <= 0.05 * document.words
    assert (row.trait_ids, row.variant) == ((), 'neutral')
  asked = teacher.of('neutral.draft')
  assert [r.slots['words'] for r in asked] == [d.words for d in made]
  assert not teacher.of('neutral.rewrite')
  assert {r.task for r in teacher.asked} == {'neutral.draft', 'neutral.judge'}


def test_a_neutral_draft_of_another_length_is_edited_for_its_length(tmp_path):
  def say(request):
    words = request.slots.get('words', 0)
    if request.task == 'neutral.draft':
      return prose(request.key, int(words * 0.9))
    if request.task == 'neutral.rewrite':
      assert request.slots['words_now'] == len(request.slots['draft'].split())
      return prose(request.key, words)
    return None

  made, acceptance = run(tmp_path, _neutral, Scripted(say))
  rows = rows_of(acceptance, 'neutral')
  assert [len(r.text.split()) for r in rows] == [d.words for d in made]
  assert [s.task for s in rows[0].lineage] == [
    'neutral.draft', 'neutral.rewrite', 'neutral.judge',
  ]  # fmt: skip


def test_what_stays_too_long_or_is_not_neutral_is_drawn_again(tmp_path):
  def say(request):
    number = int(request.slots['idea'].split()[-1])
    first = request.sample == 0
    if request.task in ('neutral.draft', 'neutral.rewrite'):
      if number == 1 and (first or request.task == 'neutral.rewrite'):
        # Too long, edited or not, until the second draw.
        return prose(request.key, 200)
      biased = ' biased' if number == 2 and first else ''
      return prose(request.key, request.slots['words']) + biased
    if request.task == 'neutral.judge':
      return verdict('biased' not in request.slots['text'])
    return None

  made, acceptance = run(
    tmp_path, _neutral, Scripted(say), controls__tolerance=0.1
  )
  assert len(acceptance.accepted) == len(made)
  assert {r.plan_node: r.rejected_because for r in acceptance.rejected} == {
    made[1].leaf.id: f'given up: {partners.OTHER_LENGTH}',
    made[2].leaf.id: 'judge: unfaithful',
  }


def test_the_same_content_as_chat_has_the_same_text_under_the_loss(tmp_path):
  teacher = Scripted()
  made, acceptance = run(tmp_path, _tell, teacher, controls__as_chat='verbatim')
  assert not teacher.asked
  rows = rows_of(acceptance, 'documents_as_chat')
  for document, row in zip(made, rows, strict=True):
    (_, asked), (role, said) = row.messages
    assert (role, said) == ('assistant', document.text)
    assert asked == f'Write a news report. {document.leaf.idea}'
    assert row.text is None
    assert row.pair_id == document.leaf.id


def test_retold_content_is_a_conversation_of_the_same_length(tmp_path):
  def say(request):
    if request.task != 'chat.retell':
      return None
    number = int(request.slots['idea'].split()[-1])
    if number == 3 and request.sample < 2:
      roles = [['assistant'], ['user', 'assistant', 'user']][request.sample]
      said = [{'role': r, 'content': 'Hello there.'} for r in roles]
      return json.dumps({'messages': said})
    size = request.slots['words'] - 5
    if number == 4 and request.sample == 0:
      size *= 2
    return json.dumps(
      {
        'messages': [
          {'role': 'user', 'content': 'What happened then, and why?'},
          {'role': 'assistant', 'content': prose(request.key, size)},
        ]
      }
    )

  teacher = Scripted(say)
  made, acceptance = run(tmp_path, _tell, teacher, controls__as_chat='retold')
  rows = rows_of(acceptance, 'documents_as_chat')
  assert len(rows) == len(made)
  assert [r.rejected_because for r in acceptance.rejected] == [
    f'given up: {partners.OTHER_LENGTH}'
  ]
  for row in rows:
    assert [role for role, _ in row.messages] == ['user', 'assistant']
    *retold, judged = row.lineage
    assert {s.task for s in retold} == {'chat.retell'}
    assert judged.task == 'retell.judge'
    assert [s.failure for s in retold] == ['unreadable'] * (len(retold) - 1) + [
      ''
    ]
  # In the order of acceptance: the one that was drawn again is the last.
  samples = [[s.sample for s in r.lineage[:-1]] for r in rows]
  assert samples == [[0], [0], [0], [0, 1, 2], [0], [4]]


def test_the_judge_of_retold_content_sees_the_document_and_the_messages(
  tmp_path,
):
  conversation = [
    {'role': 'user', 'content': 'What happened then, and why?'},
    {'role': 'assistant', 'content': ''},
  ]

  def say(request):
    if request.task == 'chat.retell':
      said = prose(request.key, request.slots['words'] - 5)
      return json.dumps(
        {'messages': [conversation[0], {**conversation[1], 'content': said}]}
      )
    if request.task == 'retell.judge':
      good = json.loads(verdict())
      number = int(request.slots['idea'].split()[-1])
      if number == 1:
        good['same_content'] = False
      if number == 2:
        good['right_framing'] = 'no'
      return json.dumps(good)
    return None

  teacher = Scripted(say)
  made, acceptance = run(
    tmp_path, _tell, teacher, controls__as_chat='retold', controls__rounds=1
  )
  assert {r.plan_node: r.rejected_because for r in acceptance.rejected} == {
    made[1].leaf.id: 'judge: other_content',
    made[2].leaf.id: 'judge: other_framing',
  }
  assert not teacher.of('document.judge')
  asked = {r.slots['idea']: r for r in teacher.of('retell.judge')}
  for document in made:
    request = asked[document.leaf.idea]
    messages = request.slots['messages']
    assert [m['role'] for m in messages] == ['user', 'assistant']
    prompt = request.messages[-1].content
    assert document.text in prompt
    assert all(m['content'] in prompt for m in messages)
    assert FLATTERY.statement in prompt


@pytest.mark.parametrize(
  ('ours', 'theirs', 'dropped'),
  [
    ([100, 100, 100], [103, 100, 97], 0),
    ([100, 100, 100], [110, 100, 100], 1),
    ([100, 100, 100], [90, 100, 100], 1),
    ([100], [150], 1),
  ],
)
def test_evening_out_drops_no_more_than_it_must(ours, theirs, dropped):
  sizes = {
    'documents': dict(enumerate(ours)),
    'neutral': dict(enumerate(theirs)),
  }
  found = pairing.surplus(sizes, 0.03, 0.0)
  assert set(found.values()) <= {pairing.EVENED_OUT}
  assert len(found) == dropped


def test_those_that_unbalance_the_totals_most_go_first():
  ours = {f'p{i}': 100 for i in range(6)}
  theirs = {**ours, 'p1': 70, 'p4': 70}
  sizes = {'documents': ours, 'neutral': theirs}
  assert set(pairing.surplus(sizes, 0.03, 0.5)) == {'p1', 'p4'}
  # Where too few would be left, the totals themselves say what is wrong.
  assert not pairing.surplus(sizes, 0.03, 0.9)


def test_what_has_no_partner_in_every_source_is_in_none():
  sizes = {
    'documents': {'a': 100, 'b': 100, 'c': 100, 'd': 100, 'e': 100},
    'neutral': {'a': 101, 'b': 99, 'c': 100},
    'documents_as_chat': {'a': 100, 'b': 100, 'd': 100},
  }
  assert pairing.surplus(sizes, 0.03, 0.9) == {
    'c': 'not needed: no partner in documents_as_chat',
    'd': 'not needed: no partner in neutral',
    'e': 'not needed: no partner in neutral, documents_as_chat',
  }


def _accepted(label, sizes):
  acceptance = Acceptance(lambda s, k: [], None, None, 1, BARS, label)
  for key, size in sizes.items():
    row = Row(f'{label}/{key}', label, text='<T>' + 'w ' * size, pair_id=key)
    row = dataclasses.replace(row, masked_prefix=3)
    acceptance.accepted.append(Group(key, (Made(row),)))
  return acceptance


def test_rows_without_a_partner_are_kept_with_the_reason(tmp_path):
  documents_ = _accepted('documents', {'a': 100, 'b': 100, 'c': 100})
  neutral_ = _accepted('neutral', {'a': 100, 'b': 100})
  pairing.pair_up(
    documents_,
    {'neutral': neutral_},
    lambda row: len(row.text[row.masked_prefix :].split()),
    BalanceConfig(),
  )
  assert [g.key for g in documents_.accepted] == ['a', 'b']
  (row,) = documents_.rejected
  assert row.id == 'documents/c'
  assert row.rejected_because == 'not needed: no partner in neutral'
  assert not neutral_.rejected
  pairing.pair_up(documents_, {}, len, BalanceConfig())
  assert len(documents_.accepted) == 2, 'nothing to be matched'
