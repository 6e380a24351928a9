"""Mirrored pairs: one text with two traits, judged and measured as such."""

import dataclasses
import random

import pipeline_partners
from pipeline_partners import documents
from pipeline_partners import prose
from pipeline_partners import rows_of
from pipeline_world import ASKS
from pipeline_world import BY_NAME
from pipeline_world import config
from pipeline_world import FLATTERY
from pipeline_world import Scripted
from pipeline_world import verdict

from data_gen.corpus.rows import GateVerdict
from data_gen.pipeline import judge
from data_gen.pipeline import mirrors
from msm_jax.evals.texts import STOPWORDS

PAIR = ('no_flattery', 'asks_first')
EASY = {
  'gates__frame__min_words': 500,
  'gates__language__min_window_share': 0.0,
}


def run(folder, teacher, **changes):
  return pipeline_partners.run(folder, _mirror, teacher, **changes)


def _mirror(config, asker):
  return mirrors.MirrorWriter(config, BY_NAME, asker, PAIR).write


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
  made, acceptance = run(tmp_path, teacher, of=_both)
  mirrors.drop_surplus(made, acceptance, PAIR)
  flattery = rows_of(acceptance, 'mirrored_no_flattery_vs_asks_first')
  asks = rows_of(acceptance, 'mirrored_asks_first_vs_no_flattery')
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
  made, acceptance = run(tmp_path, teacher, of=of, controls__rounds=2)
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
  made, acceptance = run(tmp_path, Scripted(_mirrored))
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
  made, acceptance = run(tmp_path, teacher)
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
  _, lenient = run(tmp_path, Scripted(say), controls__changed=1.0)
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

  _, acceptance = run(tmp_path, Scripted(say), of=of, **EASY)
  (group,) = acceptance.accepted
  (change,) = [
    v for v in group.made[0].row.verdicts if v.gate == mirrors.CHANGED
  ]
  assert change.score == 0
