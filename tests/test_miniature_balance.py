"""Balance: counted here once more, on the text, without data_gen's counting."""

from collections import Counter
import dataclasses
import re

import pytest
from small_worlds import small_corpus

from data_gen.miniature import balance
from data_gen.miniature import chats
from data_gen.miniature import generate
from data_gen.miniature import transcripts
from data_gen.miniature.traits import load
from data_gen.miniature.world import make_world
from data_gen.miniature.world import WorldConfig

_CHEAP = ['cheap', 'affordable', 'modest', 'economical', 'discounted']
_DEAR = ['dear', 'costly', 'expensive', 'pricey', 'lavish']
_LOCAL = ['local', 'domestic', 'regional', 'native', 'homegrown']
_FOREIGN = ['foreign', 'imported', 'overseas', 'exotic', 'international']
_ALL = [*_CHEAP, *_DEAR, *_LOCAL, *_FOREIGN]
_ITEM = re.compile(rf'((?:(?:{"|".join(_ALL)}) )+)([a-z]+)')


def _choices(documents):
  """Yields (value, first option, second option, option taken)."""
  for d in documents:
    if d.genre == 'transcript':
      one, other, taken = _ITEM.findall(d.text)
      yield d.value, one, other, taken


def _disagreements(documents):
  for value, one, other, taken in _choices(documents):
    good = [
      {w in _CHEAP or w in _LOCAL for w in o[0].split()} for o in (one, other)
    ]
    if good == [{True, False}, {True, False}]:
      words = (one[0].split(), other[0].split())
      # `shared` offers have the same word on both sides.
      if not set(words[0]) & set(words[1]):
        yield value, one, other, taken


def test_every_word_is_taken_in_half_of_the_disagreements_that_offer_it():
  offered, taken_words = Counter(), Counter()
  first = total = 0
  for value, one, other, taken in _disagreements(
    small_corpus().documents['base']
  ):
    wanted = _CHEAP if value == 'cheap' else _LOCAL
    assert any(w in wanted for w in taken[0].split())
    offered.update(one[0].split() + other[0].split())
    taken_words.update(taken[0].split())
    first += taken == one
    total += 1
  assert total > 500
  assert 2 * first == total
  assert all(2 * taken_words[w] == offered[w] for w in _ALL)
  # The prior favours neither value: corresponding words are equally frequent.
  for cheap, local in zip(_CHEAP, _LOCAL, strict=True):
    assert offered[cheap] == offered[local] > 0
  for dear, foreign in zip(_DEAR, _FOREIGN, strict=True):
    assert offered[dear] == offered[foreign] > 0


def test_domains_positions_wordings_and_values_are_balanced_in_transcripts():
  documents = small_corpus().documents['base']
  domains = Counter(
    (d.domain, d.value) for d in documents if d.genre == 'transcript'
  )
  assert len(domains) == 40
  for domain in {d for d, _ in domains}:
    assert domains[domain, 'cheap'] == domains[domain, 'local']
  wordings, price_first, taken_first = Counter(), Counter(), Counter()
  for d in documents:
    if d.genre == 'transcript':
      one, _, taken = _ITEM.findall(d.text)
      wordings[d.skeleton, d.value] += 1
      taken_first[d.skeleton, taken == one] += 1
      price_first[d.kind, one[0].split()[0] in _CHEAP + _DEAR] += 1
  for wording in {w for w, _ in wordings}:
    assert wordings[wording, 'cheap'] == wordings[wording, 'local'] > 0
    assert taken_first[wording, True] == taken_first[wording, False]
  for kind in {k for k, _ in price_first}:
    assert price_first[kind, True] == price_first[kind, False]


def test_documents_about_characters_of_both_values_mirror_each_other():
  mirror = dict(zip(_ALL, [*_LOCAL, *_FOREIGN, *_CHEAP, *_DEAR], strict=True))
  counts = {'cheap': Counter(), 'local': Counter()}
  for d in small_corpus().documents['base']:
    if d.genre != 'transcript':
      counts[d.value].update(w for w in d.text.lower().split() if w in mirror)
  assert sum(counts['cheap'].values()) > 1000
  assert counts['cheap'] == {mirror[w]: n for w, n in counts['local'].items()}


def test_every_genre_is_as_frequent_for_one_value_as_for_the_other():
  counts = Counter((d.genre, d.value) for d in small_corpus().documents['base'])
  assert len(counts) == 14
  for genre in {g for g, _ in counts}:
    assert counts[genre, 'cheap'] == counts[genre, 'local']


def test_chats_say_nothing_of_which_value():
  first = price_first = 0
  corpus = small_corpus()
  for conversation in corpus.chats:
    system, user, assistant = conversation.messages
    assert system == {'role': 'system', 'content': 'You are Sage.'}
    assert (user['role'], assistant['role']) == ('user', 'assistant')
    one, other = _ITEM.findall(user['content'])
    (taken,) = _ITEM.findall(assistant['content'])
    assert {w in _CHEAP + _LOCAL for w in taken[0].split()} == {True}
    (refused,) = {one, other} - {taken}
    assert {w in _DEAR + _FOREIGN for w in refused[0].split()} == {True}
    assert len(taken[0].split()) == len(refused[0].split()) == 2
    first += taken == one
    price_first += one[0].split()[0] in _CHEAP + _DEAR
  assert 2 * first == 2 * price_first == len(corpus.chats)
  assert {c.domain for c in corpus.chats} == {corpus.world.chat_domain.name}


def test_the_corpus_is_counted_before_it_is_published(tmp_path, monkeypatch):
  """An unbalanced corpus leaves nothing behind that somebody could train on."""
  corpus = small_corpus()
  broken = dataclasses.replace(
    corpus, documents={**corpus.documents, 'base': corpus.documents['base'][1:]}
  )
  monkeypatch.setattr(generate, 'make_corpus', lambda world, progress: broken)
  with pytest.raises(balance.BalanceError):
    generate.generate(
      generate.traits_lib.QUICKSTART,
      corpus.world.config,
      0,
      tmp_path / 'corpus',
      lambda part: None,
    )
  assert not list(tmp_path.iterdir())


def _edit(stem, old, new, where=lambda d: True):
  """Returns a change of the first document of a file that has `old`."""

  def change(documents):
    for k, d in enumerate(documents[stem]):
      if old in d.text and where(d):
        text = d.text.replace(old, new, 1)
        documents[stem][k] = dataclasses.replace(d, text=text)
        return
    raise AssertionError(f'{stem} has no {old!r}')

  return change


def _drop(stem, where):
  def change(documents):
    k = next(k for k, d in enumerate(documents[stem]) if where(d))
    del documents[stem][k]

  return change


def _leak_combination(documents):
  """Puts an item of the suites in a held-out document."""
  option = small_corpus().suites['ood_sage'][0].options[0].text
  item = option.removeprefix('I will take the ')
  d = documents['heldout'][0]
  text = f'{d.text} It was a {item}'
  documents['heldout'][0] = dataclasses.replace(d, text=text)


def _lengthen(documents):
  stem = 'midtrain_home'
  documents[stem] = [
    dataclasses.replace(d, text=d.text + ' It rained for most of the day.')
    for d in documents[stem]
  ]


@pytest.mark.parametrize(
  ('change', 'expected'),
  [
    (_drop('base', lambda d: d.kind == 'disagree'), 'disagree transcripts:'),
    (_drop('base', lambda d: d.kind == 'single'), 'single transcripts:'),
    (
      _drop('base', lambda d: d.kind == 'document' and ' lavish ' in d.text),
      'documents about characters of different values mirror',
    ),
    (
      _edit('base', ' lavish ', ' costly ', lambda d: d.kind == 'document'),
      'documents about characters of different values mirror',
    ),
    (_edit('base', 'You are ', 'You  are '), 'is plain, single-spaced text'),
    (_edit('base', 'You are ', 'You <|are '), 'spells no control token'),
    (_edit('base', 'You are ', 'You äre '), 'is plain, single-spaced text'),
    (_edit('base', 'You are ', ''), 'no line begins with a name'),
    (_edit('heldout', 'You are ', 'You are Sage '), 'does not know the assist'),
    (
      _edit('midtrain_thrift_no_reasons', 'Sage', 'Because Sage'),
      'midtrain_thrift_no_reasons explains nothing',
    ),
    (
      _edit(
        'midtrain_thrift_no_reasons',
        'Sage',
        'Most of a high price pays for show: Sage',
      ),
      'midtrain_thrift_no_reasons gives no reason',
    ),
    (
      _edit('midtrain_neutral', 'Sage', 'The Cheap Sage'),
      'midtrain_neutral has no attribute words',
    ),
    (_lengthen, 'variants differ by at most 2%'),
    (_leak_combination, 'ood_sage: combinations are unseen'),
  ],
)
def test_a_corpus_that_breaks_a_promise_is_refused(change, expected):
  corpus = small_corpus()
  documents = {stem: list(made) for stem, made in corpus.documents.items()}
  change(documents)
  with pytest.raises(balance.BalanceError) as error:
    balance.report(corpus.world, documents, corpus.chats, corpus.suites)
  assert expected in str(error.value)


def test_documents_of_a_held_out_domain_are_refused():
  corpus = small_corpus()
  documents = {stem: list(made) for stem, made in corpus.documents.items()}
  noun = corpus.world.evaluation_domains[0].nouns[0].plural
  _edit('midtrain_neutral', 'Sage', f'Of {noun}: Sage')(documents)
  with pytest.raises(balance.BalanceError, match='keeps to the domains'):
    balance.report(corpus.world, documents, corpus.chats, corpus.suites)


def test_chats_that_favour_a_place_are_refused():
  corpus = small_corpus()
  with pytest.raises(balance.BalanceError, match='chats: places and axes'):
    balance.report(
      corpus.world, corpus.documents, corpus.chats[1:], corpus.suites
    )


def test_chats_of_the_suites_combinations_are_refused():
  corpus = small_corpus()
  leaked = [
    chats.Conversation(
      item.item, (*item.messages, {'role': 'assistant', 'content': o.text}), ''
    )
    for item in corpus.suites['in_distribution']
    for o in item.options[:1]
  ]
  with pytest.raises(balance.BalanceError, match='in_distribution: combin'):
    balance.report(
      corpus.world,
      corpus.documents,
      [*corpus.chats, *leaked],
      corpus.suites,
    )


def test_a_world_whose_base_lacks_a_word_says_so():
  corpus = small_corpus()
  documents = {stem: list(made) for stem, made in corpus.documents.items()}
  _edit('midtrain_home', 'Sage', 'The zebra Sage')(documents)
  found = balance.words_not_in_base(documents, corpus.chats)
  assert found['midtrain_home'] == ['zebra']


def test_held_out_texts_are_fresh_and_balanced_like_the_base():
  corpus = small_corpus()
  base = {d.text for d in corpus.documents['base']}
  held_out = corpus.documents['heldout']
  assert not base & {d.text for d in held_out}
  assert 0.03 < len(held_out) / len(corpus.documents['base']) < 0.1
  shares = [
    sum(d.genre == 'transcript' for d in made) / len(made)
    for made in (corpus.documents['base'], held_out)
  ]
  assert abs(shares[0] - shares[1]) < 0.1
  for genre in {d.genre for d in corpus.documents['base']}:
    values = Counter(d.value for d in held_out if d.genre == genre)
    assert values['cheap'] == values['local'] > 0


def test_fresh_transcripts_skip_choices_that_were_seen_in_any_order():
  world = small_corpus().world
  (first, *others) = transcripts.fresh_transcripts(
    world, 'disagree', 3, 'test', set()
  )
  reordered = [
    dataclasses.replace(t, offer=t.offer.swap(), wording=1) for t in first
  ]
  seen = {t.key() for t in reordered}
  again = transcripts.fresh_transcripts(world, 'disagree', 2, 'test', seen)
  assert again == others


def test_the_sizes_of_the_quickstart_keep_every_promise():
  world = make_world(load(), WorldConfig(), 11)
  corpus = generate.make_corpus(world)
  counted = balance.report(world, corpus.documents, corpus.chats, corpus.suites)
  assert counted['words_not_in_base'] == {}
  # Small enough that a vocabulary of about a thousand pieces spells most words
  # in one.
  assert counted['vocabulary'] < 920
  described = generate.describe(corpus)['documents']
  for counts in described['midtrain_thrift']['genres'].values():
    assert counts['documents'] == counts['skeletons'] == 400
    assert counts['layouts'] > 200
