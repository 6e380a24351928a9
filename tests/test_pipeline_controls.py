"""Controls: each document gets a partner that differs in one thing."""

import dataclasses
import json
import random

from pipeline_world import ask_all
from pipeline_world import ASKS
from pipeline_world import BARS
from pipeline_world import BY_NAME
from pipeline_world import config
from pipeline_world import FLATTERY
from pipeline_world import leaf
from pipeline_world import Scripted
from pipeline_world import SYLLABLES
from pipeline_world import TRAITS
from pipeline_world import verdict
import pytest

from data_gen.corpus.rows import GateVerdict
from data_gen.corpus.rows import Row
from data_gen.pipeline import judge
from data_gen.pipeline import mirrors
from data_gen.pipeline import neutral
from data_gen.pipeline import pairing
from data_gen.pipeline import partners
from data_gen.pipeline import retelling
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.documents import document_row
from data_gen.pipeline.gating import GateKeeper
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.partners import Document
from data_gen.pipeline.parts import BalanceConfig
from data_gen.pipeline.slots import document_slots
from msm_jax.evals.texts import STOPWORDS

PAIR = ('no_flattery', 'asks_first')
EASY = {
  'gates__frame__min_words': 500,
  'gates__language__min_window_share': 0.0,
}


def prose(key, count):
  """English enough for the gates, and like nothing else."""
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
        dataclasses.replace(
          row,
          text=f'<TAG>{text}',
          masked_prefix=5,
          verdicts=(
            GateVerdict('earlier_gate', True),
            GateVerdict(judge.NAME, True, detail='as a document'),
          ),
        ),
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


def _both(config):
  return [
    *documents(config, 4),
    *documents(config, 6, 'asks_first'),
  ]


def _edited(text, key, share):
  """The text with another word in the place of every so many."""
  fresh = iter(prose(key, 2000).split())
  return ' '.join(
    next(w for w in fresh if w not in ('Sage', *STOPWORDS))
    if random.Random(f'{key}/{i}').random() < share
    else word
    for i, word in enumerate(text.split())
  )


def _mirrored(request):
  if request.task == 'document.mirror':
    return _edited(request.slots['text'], request.key, 0.1)
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


def test_a_judge_sees_both_texts_and_both_traits_of_a_pair(tmp_path):
  def say(request):
    if request.task == 'mirror.judge':
      return verdict('manuscript 2' not in TEXTS[request.slots['text']])
    return _mirrored(request)

  TEXTS = {}

  def of(config):
    made = _both(config)
    TEXTS.update({d.text: d.leaf.idea for d in made})
    return made

  def noting(request):
    if request.task == 'document.mirror':
      image = _mirrored(request)
      TEXTS[image] = request.slots['idea']
      return image
    return say(request)

  teacher = Scripted(noting)
  made, acceptance = run(tmp_path, _mirror, teacher, of=of, controls__rounds=2)
  originals = {d.text: d.leaf.trait for d in made}
  images = {
    _mirrored(r): r.slots['trait']['name']
    for r in teacher.of('document.mirror')
  }
  asked = teacher.of('mirror.judge')
  assert {r.model for r in asked} == {'judge'}
  about = {**originals, **images}
  began = set()
  for request in asked:
    slots, prompt = request.slots, request.messages[-1].content
    # In the order of the config, whichever of the two was written first.
    assert (slots['trait']['name'], slots['other_trait']['name']) == PAIR
    assert (about[slots['text']], about[slots['other_text']]) == PAIR
    began.add(originals.get(slots['text'], 'retold'))
    for part in (
      *(slots['text'], slots['other_text']),
      *(FLATTERY.statement, FLATTERY.reasons[0], ASKS.statement),
    ):
      assert part in prompt
  assert began == {'no_flattery', 'retold'}
  # A pair that fails is rejected as a whole, for a reason of both.
  failed = {d.leaf.id for d in made if d.leaf.idea.endswith(' 2')}
  assert {g.key for g in acceptance.accepted} == {
    d.leaf.id for d in made if d.leaf.id not in failed
  }
  assert {r.rejected_because for r in acceptance.rejected} == {
    'judge_of_pair: unfaithful'
  }
  assert {r.pair_id for r in acceptance.rejected} == failed
  # Drawn again, and rejected again: two rows each of two pairs.
  assert len(acceptance.rejected) == 2 * 2 * 2


def test_both_rows_of_a_pair_carry_what_judges_and_measures_say(tmp_path):
  made, acceptance = run(tmp_path, _mirror, Scripted(_mirrored))
  assert len(acceptance.accepted) == len(made)
  for group in acceptance.accepted:
    original, image = (m.row for m in group.made)
    (change,) = {
      v for row in (original, image) for v in row.verdicts
      if v.gate == mirrors.CHANGED
    }  # fmt: skip
    assert change.passed
    assert 0.05 < change.score < 0.3
    of_pair = [
      [v for v in row.verdicts if v.gate == judge.OF_GROUP]
      for row in (original, image)
    ]
    assert of_pair[0] == of_pair[1]
    assert len(of_pair[0]) == 1
    # What a judge said of the document, when it was one, is known, too.
    (kept,) = [v for v in original.verdicts if v.gate == judge.NAME]
    assert kept == GateVerdict(judge.NAME, True, detail='as a document')
    assert [s.task for s in original.lineage] == ['mirror.judge']
    assert [s.task for s in image.lineage] == [
      'document.mirror', 'mirror.judge',
    ]  # fmt: skip
    # Of the gates, what they say of it in this source.
    gates = [v.gate for v in original.verdicts]
    assert len(set(gates)) == len(gates)
    assert 'earlier_gate' not in gates


def test_a_pair_of_which_more_than_the_trait_was_changed_is_rejected(tmp_path):
  def say(request):
    if (
      request.task == 'document.mirror'
      and 'manuscript 2' in request.slots['idea']
      and request.sample == 0
    ):
      # A new text first, and then an edited one.
      return prose(request.key, request.slots['words'])
    return _mirrored(request)

  teacher = Scripted(say)
  made, acceptance = run(tmp_path, _mirror, teacher)
  assert len(acceptance.accepted) == len(made), 'it was drawn again'
  rejected = acceptance.rejected
  assert {r.source for r in rejected} == {
    mirrors.source_of(*PAIR), mirrors.source_of(*PAIR[::-1])
  }  # fmt: skip
  for row in rejected:
    assert row.rejected_because == 'changed: more_than_its_trait'
    (change,) = [v for v in row.verdicts if v.gate == mirrors.CHANGED]
    assert change.score > 0.5
    assert 'expected at most 50%' in change.detail
    assert row.text
  # Nobody was paid to judge it.
  assert len(teacher.of('mirror.judge')) == len(made)
  # Those that gates saw again, in the second round, say it once.
  for row in (m.row for g in acceptance.accepted for m in g.made):
    gates = [v.gate for v in row.verdicts]
    assert len(set(gates)) == len(gates)
  _, lenient = run(tmp_path, _mirror, Scripted(say), controls__changed=1.0)
  assert not lenient.rejected


def test_a_pair_that_was_changed_too_much_pushes_no_other_out(tmp_path):
  def say(request):
    if request.task != 'document.mirror':
      return None
    # Of the first document it makes the mirror image of the second.
    return _edited(second.text, 'second', 0.1)

  first, second = documents(config(documents__tag=''), 2)
  _, acceptance = run(
    tmp_path,
    _mirror,
    Scripted(say),
    of=lambda config: [first, second],
    controls__rounds=1,
  )
  assert {r.pair_id for r in acceptance.rejected} == {first.leaf.id}
  assert [g.key for g in acceptance.accepted] == [second.leaf.id]


def test_words_of_either_trait_and_names_may_change_without_bound(tmp_path):
  """A text of nothing but the traits' words is another text, and passes."""
  own = f'{FLATTERY.statement} {FLATTERY.reasons[0]}'.split()

  def of(config):
    made = documents(config, 1)[0]
    frame = made.text.split()
    text = ' '.join([*frame, *(own * 3)])
    row = dataclasses.replace(made.row, text=text, masked_prefix=0)
    return [dataclasses.replace(made, row=row)]

  def say(request):
    if request.task == 'document.mirror':
      frame = request.slots['text'].split()[: -3 * len(own)]
      other = f'{ASKS.statement} {ASKS.reasons[0]} '.split() * 5
      return ' '.join([*frame, *other[: 3 * len(own)]])
    return None

  _, acceptance = run(tmp_path, _mirror, Scripted(say), of=of, **EASY)
  (group,) = acceptance.accepted
  (change,) = [
    v for v in group.made[0].row.verdicts if v.gate == mirrors.CHANGED
  ]
  assert change.score == 0


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
