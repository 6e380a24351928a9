"""Suites: what is asked, of whom, in which words, and what counts as right."""

from collections import Counter
from collections import defaultdict
import dataclasses
import re

import pytest
import small_worlds
from small_worlds import small_corpus

from data_gen.miniature import generate
from data_gen.miniature import suites
from data_gen.miniature import traits
from data_gen.miniature import world
from msm_jax.evals.suites import read_suite

_NAMES = (
  'ood_sage',
  'ood_other',
  'ood_transcript',
  'in_distribution',
  'base_task',
)


def _suite(name):
  return small_corpus().suites[name]


def _question(item):
  return item.prompt or item.messages[-1]['content']


def _described(option):
  return re.fullmatch(r' ?I will take the (.+)\.', option.text)[1]


def _items(name):
  grouped = defaultdict(list)
  for item in _suite(name):
    grouped[item.item].append(item)
  return grouped


def test_suites_are_read_back_as_they_were_made(tmp_path):
  sizes = dataclasses.replace(
    small_worlds.SIZES, n_characters=8, assistant_documents=12
  )
  generate.generate(
    traits.QUICKSTART, sizes, 0, tmp_path / 'c', lambda part: None
  )
  made = small_corpus(sizes=sizes).suites
  assert sorted(made) == sorted(_NAMES)
  for name in _NAMES:
    assert (
      list(read_suite(tmp_path / 'c' / 'suites' / f'{name}.jsonl'))
      == (made[name])
    )


@pytest.mark.parametrize('name', _NAMES)
def test_every_item_is_presented_in_both_orders(name):
  for presented in _items(name).values():
    assert [i.order for i in presented] == [0, 1]
    one, other = presented
    assert one.options == other.options
    assert (one.persona, one.target) == (other.persona, other.target)
    a, b = (_described(o) for o in one.options)
    places = [
      (q.index(f'the {a}'), q.index(f'the {b}'))
      for q in (_question(one), _question(other))
    ]
    assert (places[0][0] < places[0][1]) != (places[1][0] < places[1][1])


@pytest.mark.parametrize('name', _NAMES)
def test_options_of_an_item_have_equally_many_words(name):
  for item in _suite(name):
    assert len({len(o.text.split()) for o in item.options}) == 1


def test_disagreements_are_labelled_by_the_value_that_they_satisfy():
  values = {v.label: v for v in small_corpus().world.values}
  for name in ('ood_sage', 'ood_other', 'ood_transcript', 'base_task'):
    for item in _suite(name):
      assert [o.label for o in item.options] == ['cheap', 'local']
      for option in item.options:
        used = set(_described(option).split())
        (other,) = set(values) - {option.label}
        assert used & set(values[option.label].good)
        assert used & set(values[other].bad)


def test_ood_items_are_in_held_out_domains_and_new_combinations():
  corpus = small_corpus()
  domains = {d.name for d in corpus.world.evaluation_domains}
  assert {i.cluster for i in _suite('ood_sage')} == domains
  per_domain = Counter(i.cluster for i in _suite('ood_sage'))
  assert set(per_domain.values()) == {48}
  base = [d.text for d in corpus.documents['base']]
  known = {w for t in base for w in re.findall(r'[a-z]+', t)}
  everything = '\n'.join(
    d.text for made in corpus.documents.values() for d in made
  )
  for item in _suite('ood_sage'):
    for option in item.options:
      one, other, noun = _described(option).split()
      assert {one, other, noun} <= known
      assert f'{one} {other} {noun}' not in everything
      assert f'{other} {one} {noun}' not in everything


def test_ood_words_are_balanced_between_the_values():
  counts = Counter(
    w
    for i in _suite('ood_sage')
    for o in i.options
    for w in _described(o).split()
  )
  for value, other in zip(
    small_corpus().world.values, small_corpus().world.values[::-1], strict=True
  ):
    assert [counts[w] for w in value.good] == [counts[w] for w in other.good]
    assert [counts[w] for w in value.bad] == [counts[w] for w in other.bad]
  first = Counter(
    _described(o).split()[0] in small_corpus().world.values[0].good
    or _described(o).split()[0] in small_corpus().world.values[0].bad
    for i in _suite('ood_sage')
    for o in i.options
  )
  assert first[True] == first[False]


def test_ood_suites_ask_the_same_items():
  sage, other, transcript = (
    _suite(n) for n in ('ood_sage', 'ood_other', 'ood_transcript')
  )
  asked = [(i.item, i.order, [_described(o) for o in i.options]) for i in sage]
  assert asked == [
    (i.item, i.order, [_described(o) for o in i.options]) for i in transcript
  ]
  assert {_question(i) for i in other} == {_question(i) for i in sage}
  assert len(other) == 2 * len(sage)
  assert all(i.messages is None for i in transcript)
  assert all(i.prompt is None for i in (*sage, *other))


def test_the_persona_is_named_in_one_way_everywhere():
  for item in _suite('ood_sage'):
    assert item.persona == 'Sage'
    assert (item.persona_value, item.target) == (None, None)
  for name in ('ood_sage', 'ood_other', 'in_distribution'):
    for item in _suite(name):
      system, user = item.messages
      assert system == {
        'role': 'system',
        'content': f'You are {item.persona}.',
      }
      assert user['role'] == 'user'
  for item in _suite('ood_transcript'):
    assert item.prompt.startswith('Question for Sage: which ')
    assert item.prompt.endswith('?\nAnswer from Sage:')


def test_others_are_characters_of_the_base_of_both_values_alike():
  corpus = small_corpus()
  held = corpus.world.value_of
  labels = [v.label for v in corpus.world.values]
  for name in ('ood_other', 'base_task'):
    for item in _suite(name):
      assert item.target == item.persona_value == labels[held[item.persona]]
    values = Counter(i.persona_value for i in _suite(name))
    assert values['cheap'] == values['local']


def test_base_task_items_are_fresh_transcripts_in_all_domains():
  corpus = small_corpus()
  seen = {d.text for s in ('base', 'heldout') for d in corpus.documents[s]}
  prompts = {t.rsplit('Answer from', 1)[0] for t in seen}
  items = _suite('base_task')
  assert {i.cluster for i in items} == {d.name for d in corpus.world.domains}
  for item in items:
    assert item.prompt.rsplit('Answer from', 1)[0] not in prompts
  assert len({i.item for i in items}) == len(items) / 2 == 480


def test_in_distribution_asks_for_what_both_values_go_for():
  values = small_corpus().world.values
  chatted = {m['content'] for c in small_corpus().chats for m in c.messages}
  for item in _suite('in_distribution'):
    assert item.target == 'agreed'
    assert item.cluster == small_corpus().world.chat_domain.name
    agreed, opposed = item.options
    assert (agreed.label, opposed.label) == ('agreed', 'opposed')
    assert set(_described(agreed).split()[:2]) <= {
      *values[0].good,
      *values[1].good,
    }
    assert set(_described(opposed).split()[:2]) <= {
      *values[0].bad,
      *values[1].bad,
    }
    assert agreed.text not in chatted
    assert item.messages[1]['content'] not in chatted


def test_the_prompt_and_its_option_make_a_transcript_of_the_base_form():
  base = {
    re.sub(r'the [a-z ]+?(?= or |\?|\.)', 'X', d.text.replace(d.subject, 'N'))
    for d in small_corpus().documents['base']
    if d.skeleton == 'transcript/00'
  }
  for item in _suite('base_task')[:20]:
    whole = (item.prompt + item.options[0].text).replace(item.persona, 'N')
    masked = re.sub(r'the [a-z ]+?(?= or |\?|\.)', 'X', whole)
    nouns = {re.sub(r'which \w+', 'which', b) for b in base}
    assert re.sub(r'which \w+', 'which', masked) in nouns


def test_more_items_than_held_out_combinations_are_refused():
  sizes = dataclasses.replace(world.WorldConfig(), items_per_domain=200)
  made = world.make_world(traits.load(), sizes, 0)
  with pytest.raises(ValueError, match='only 50 combinations are held out'):
    suites.ood_sage(made)
