"""Controls: each document gets a partner that differs in one thing."""

import json

from pipeline_world import ask_all
from pipeline_world import BARS
from pipeline_world import BY_NAME
from pipeline_world import leaf
from pipeline_world import Scripted
from pipeline_world import SYLLABLES
from pipeline_world import TRAITS
from pipeline_world import verdict
import pytest

from data_gen.corpus.rows import Row
from data_gen.pipeline import mirrors
from data_gen.pipeline import neutral
from data_gen.pipeline import partners
from data_gen.pipeline import retelling
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.balance import words_in
from data_gen.pipeline.documents import document_row
from data_gen.pipeline.gating import GateKeeper
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.partners import Document
from data_gen.pipeline.slots import document_slots

PAIR = ('no_flattery', 'asks_first')


def prose(key, count):
  """English enough for the gates, and like nothing else."""
  import random

  rng = random.Random(key)
  words = []
  while len(words) < count:
    words += ['the', 'and', 'of', 'it', ''.join(rng.choices(SYLLABLES, k=3))]
    words += [
      'was',
      ''.join(rng.choices(SYLLABLES, k=2)),
      'when',
      'Sage',
      'came',
    ]
  return ' '.join(words[:count]) + '.'


def documents(config, n=6, trait='no_flattery', length=100):
  made = []
  for i in range(n):
    about = leaf(
      i, id=f'{trait}/d00/s00/a00/i{i:03d}', trait=trait, genre='news_report'
    )
    slots = document_slots(config, BY_NAME[trait], about, 'explain')
    row = document_row('documents', about, BY_NAME[trait], slots, 0)
    text = prose(about.id, length + 10 * i)
    made.append(
      Document(
        about,
        Row(**{**row.__dict__, 'text': f'<TAG>{text}', 'masked_prefix': 5}),
      )
    )
  return made


def run(folder, make, teacher=None, of=documents, **changes):
  async def work(config, asker):
    acceptance = Acceptance(
      GateKeeper(config, TRAITS).gates_of,
      asker,
      config.judge_step,
      config.width,
      BARS,
      'controls',
    )
    made = of(config)
    await partners.make_partners(
      config, made, make(config, asker), acceptance, BARS
    )
    return made, acceptance

  return ask_all(folder, work, teacher, **{'documents__tag': '', **changes})


def _neutral(config, asker):
  return neutral.NeutralWriter(config, BY_NAME, asker).write


def _mirror(config, asker):
  return mirrors.MirrorWriter(config, BY_NAME, asker, PAIR).write


def _tell(config, asker):
  return retelling.ChatTeller(config, BY_NAME, asker).tell


def _rows(acceptance, source):
  return [
    m.row for g in acceptance.accepted for m in g.made if m.row.source == source
  ]


def test_neutral_documents_have_genre_setting_and_length_of_their_partners(
  tmp_path,
):
  def say(request):
    if request.task == 'neutral.draft':
      return prose(request.key, request.slots['words'] + 3)
    return None

  teacher = Scripted(say)
  made, acceptance = run(tmp_path, _neutral, teacher)
  rows = _rows(acceptance, 'neutral')
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
  rows = _rows(acceptance, 'neutral')
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


def test_pairs_that_unbalance_the_lengths_are_dropped(tmp_path):
  def say(request):
    if request.task == 'neutral.draft':
      number = int(request.slots['idea'].split()[-1])
      share = 0.7 if number in (1, 4) else 0.99
      return prose(request.key, int(request.slots['words'] * share))
    return None

  made, acceptance = run(
    tmp_path,
    _neutral,
    Scripted(say),
    controls__tolerance=0.5,
    controls__edit_above=0.5,
  )
  before = len(acceptance.accepted)
  partners.even_out(made, acceptance, words_in, 0.03)
  kept = {g.key for g in acceptance.accepted}
  assert before == 6
  assert kept == {d.leaf.id for i, d in enumerate(made) if i not in (1, 4)}
  assert {r.rejected_because for r in acceptance.rejected} == {
    partners.EVENED_OUT
  }
  partners.even_out(made, acceptance, words_in, 0.03)
  assert len(acceptance.accepted) == 4


def _both(config):
  return [
    *documents(config, 4),
    *documents(config, 6, 'asks_first'),
  ]


def _mirrored(request):
  if request.task == 'document.mirror':
    return prose(request.key, request.slots['words'])
  return None


def test_mirrored_corpora_have_the_same_documents_of_both_traits(tmp_path):
  teacher = Scripted(_mirrored)
  made, acceptance = run(tmp_path, _mirror, teacher, of=_both)
  mirrors.drop_surplus(made, acceptance, PAIR)
  flattery = _rows(acceptance, 'mirrored_no_flattery_vs_asks_first')
  asks = _rows(acceptance, 'mirrored_asks_first_vs_no_flattery')
  assert len(flattery) == len(asks) == 8
  assert [r.pair_id for r in flattery] != []
  by_pair = {r.pair_id: r for r in asks}
  began = {'no_flattery': 0, 'asks_first': 0}
  for row in flattery:
    other = by_pair[row.pair_id]
    assert (row.genre, row.framing) == (other.genre, other.framing)
    assert row.trait_ids == (BY_NAME['no_flattery'].id,)
    assert other.trait_ids == (BY_NAME['asks_first'].id,)
    assert (row.trait_types, other.trait_types) == (
      ('stance',),
      ('constraint',),
    )
    began[row.pair_id.split('/')[0]] += 1
  # As many from either side, so that being retold is no difference.
  assert began == {'no_flattery': 4, 'asks_first': 4}
  originals = {d.leaf.id: d.row.text for d in made}
  for row in [*flattery, *asks]:
    own = row.pair_id.startswith(
      row.source.removeprefix('mirrored_').split('_vs_')[0]
    )
    assert (row.text == originals[row.pair_id]) == own
  for request in teacher.of('document.mirror'):
    told = {request.slots['trait']['name'], request.slots['from_trait']['name']}
    assert told == set(PAIR)
  surplus = [
    r for r in acceptance.rejected
    if mirrors.NOT_NEEDED in r.rejected_because
  ]  # fmt: skip
  assert len(surplus) == 4


def test_a_mirror_image_that_fails_takes_its_original_with_it(tmp_path):
  def say(request):
    if request.task == 'document.judge':
      return verdict('manuscript 2' not in request.slots['idea'])
    return _mirrored(request)

  made, acceptance = run(tmp_path, _mirror, Scripted(say), controls__rounds=2)
  assert {g.key for g in acceptance.accepted} == {
    d.leaf.id for i, d in enumerate(made) if i != 2
  }
  because = {(r.source, r.rejected_because) for r in acceptance.rejected}
  assert because == {
    ('mirrored_asks_first_vs_no_flattery', 'judge: unfaithful'),
    ('mirrored_no_flattery_vs_asks_first', 'partner: judge: unfaithful'),
  }
  # The original was judged as a document; only the image is judged here.
  assert {
    s.task for g in acceptance.accepted for s in g.made[0].row.lineage
  } == (set())


def test_the_same_content_as_chat_has_the_same_text_under_the_loss(tmp_path):
  teacher = Scripted()
  made, acceptance = run(tmp_path, _tell, teacher, controls__as_chat='verbatim')
  assert not teacher.asked
  rows = _rows(acceptance, 'documents_as_chat')
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
  rows = _rows(acceptance, 'documents_as_chat')
  assert len(rows) == len(made)
  assert [r.rejected_because for r in acceptance.rejected] == [
    f'given up: {partners.OTHER_LENGTH}'
  ]
  for row in rows:
    assert [role for role, _ in row.messages] == ['user', 'assistant']
    *retold, judged = row.lineage
    assert {s.task for s in retold} == {'chat.retell'}
    assert judged.task == 'document.judge'
    assert [s.failure for s in retold] == ['unreadable'] * (len(retold) - 1) + [
      ''
    ]
  # In the order of acceptance: the one that was drawn again is the last.
  samples = [[s.sample for s in r.lineage[:-1]] for r in rows]
  assert samples == [[0], [0], [0], [0, 1, 2], [0], [4]]


@pytest.mark.parametrize(
  ('documents_', 'partner', 'dropped'),
  [
    ([100, 100, 100], [103, 100, 97], 0),
    ([100, 100, 100], [110, 100, 100], 1),
    ([100, 100, 100], [90, 100, 100], 1),
    ([100], [150], 1),
  ],
)
def test_evening_out_drops_no_more_than_it_must(documents_, partner, dropped):
  acceptance = Acceptance(lambda s, k: [], None, None, 1, BARS, 'x')
  made = []
  for i, (a, b) in enumerate(zip(documents_, partner, strict=True)):
    about = leaf(i)
    made.append(Document(about, Row(f'd{i}', 'documents', text='w ' * a)))
    row = Row(f'n{i}', 'neutral', text='<T>' + 'w ' * b, masked_prefix=3)
    acceptance.accepted.append(Group(about.id, (Made(row),)))
  partners.even_out(made, acceptance, words_in, 0.03)
  assert len(made) - len(acceptance.accepted) == dropped
