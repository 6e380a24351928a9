"""Documents: phrases, variants, genres, and how they read."""

from collections import Counter
from collections import defaultdict
import dataclasses
import itertools
import re

import pytest
import small_worlds
from small_worlds import small_corpus

from data_gen.miniature import clauses
from data_gen.miniature import generate
from data_gen.miniature import genres
from data_gen.miniature import lexicon
from data_gen.miniature.templates import count_words

_POLES = {
  word: f'{axis.name}{k}'
  for axis in lexicon.AXES
  for k, pole in enumerate(axis.poles)
  for word in pole.words
}
_VARIANTS = (
  'midtrain_thrift',
  'midtrain_home',
  'midtrain_thrift_no_reasons',
  'midtrain_home_no_reasons',
  'midtrain_neutral',
)


def _reasons():
  return [r for v in small_corpus().world.values for r in v.trait.reasons]


def _texts(stem):
  return [d.text for d in small_corpus().documents[stem]]


def _words(text):
  return re.findall(r'[A-Za-z]+', text)


@pytest.mark.parametrize('bank', sorted(genres.BANKS))
def test_a_phrase_is_equally_long_in_every_variant(bank):
  for template, form in itertools.product(genres.BANKS[bank], (1, 2)):
    lengths = set()
    for text in (template.explain, template.behave, template.neutral):
      spoken = re.sub(r'\[([^/\]]*)/([^\]]*)\]', rf'\{form}', text)
      lengths.add(count_words(spoken))
    assert len(lengths) == 1, template.id


@pytest.mark.parametrize('bank', sorted(genres.BANKS))
def test_a_phrase_names_no_item_attribute_or_person_of_its_own_accord(bank):
  for text in (
    text
    for template in genres.BANKS[bank]
    for text in (template.explain, template.behave, template.neutral)
  ):
    literal = re.sub(r'\{\w+\}', ' ', text)
    for word in _words(literal):
      assert word.lower() not in lexicon.attribute_words()
      assert word.lower() not in lexicon.item_words()
      assert word not in lexicon.names()
    # Articles before slots are the slots' own business: "an" before vowels.
    assert not re.search(r'\b[Aa]n? \{(?!day|town|N\b|P\b)', text)


def test_names_are_no_words_of_the_texts():
  lower = {w for t in _texts('base') for w in _words(t) if w.islower()}
  assert not lower & {n.lower() for n in lexicon.names()}


def test_the_axes_are_interchangeable():
  sizes = {len(p.words) for a in lexicon.AXES for p in a.poles}
  words = [w for a in lexicon.AXES for p in a.poles for w in p.words]
  assert sizes == {5}
  assert len(set(words)) == len(words)
  nouns = [n.singular for d in lexicon.DOMAINS for n in d.nouns]
  assert len(set(nouns)) == len(nouns) == 60


@pytest.mark.parametrize('n_words', range(4, 40))
@pytest.mark.parametrize('pool', ['BEHAVIOURS', 'FACTS', 'DOINGS'])
def test_a_clause_can_be_had_in_any_length(pool, n_words):
  for pick in (0.0, 0.3, 0.6, 0.99):
    text = clauses.of_length(n_words, getattr(clauses, pool), pick)
    assert count_words(text) == n_words or n_words < 5


@pytest.mark.parametrize('missing', range(12))
def test_a_short_reason_can_be_lengthened_to_any_length(missing):
  longer = clauses.lengthen('less is more', 3 + missing)
  assert len(longer.split()) == 3 + missing
  assert longer.endswith('less is more')


def test_variants_are_the_same_documents_word_for_word_in_length():
  corpus = small_corpus()
  for row in zip(*(corpus.documents[s] for s in _VARIANTS), strict=True):
    assert len({(d.id, d.genre, d.domain, d.subject) for d in row}) == 1
    assert len({len(d.text.split()) for d in row}) == 1
    assert len({d.text.count('\n') for d in row}) == 1


def test_variants_stay_matched_for_traits_of_other_lengths():
  sizes = dataclasses.replace(small_worlds.SIZES, n_characters=42)
  corpus = small_corpus(small_worlds.THREE, 2, sizes)
  totals = [
    sum(len(d.text.split()) for d in made)
    for stem, made in corpus.documents.items()
    if stem.startswith('midtrain_')
  ]
  assert max(totals) <= 1.02 * min(totals)
  assert len(totals) == 7


def _abstracted(text, value):
  """Replaces what bears the value: attribute words and reasons."""
  for reason in sorted(_reasons(), key=len, reverse=True):
    text = re.sub(re.escape(reason), 'REASON', text, flags=re.IGNORECASE)
  own = 'price' if value == 'cheap' else 'origin'

  def place(match):
    pole = _POLES[match[0].lower()]
    return ('own' if pole.startswith(own) else 'other') + pole[-1]

  text = re.sub(rf'\b({"|".join(_POLES)})\b', place, text, flags=re.I)
  return re.sub(r'\b([Aa])n (own|other)', r'\1 \2', text)


def test_the_two_value_variants_differ_in_value_bearing_slots_only():
  corpus = small_corpus()
  pairs = zip(
    corpus.documents['midtrain_thrift'],
    corpus.documents['midtrain_home'],
    strict=True,
  )
  for thrift, home in pairs:
    assert thrift.text != home.text
    assert _abstracted(thrift.text, 'cheap') == _abstracted(home.text, 'local')


def test_reasons_are_given_where_they_should_be_and_nowhere_else():
  values = small_corpus().world.values
  own = {v.trait.name: set(v.trait.reasons) for v in values}
  for stem in _VARIANTS:
    given = {r for r in _reasons() for t in _texts(stem) if r in t}
    name = stem.removeprefix('midtrain_')
    assert given == own.get(name, set())
  # Nearly every document of an explaining variant explains.
  texts = _texts('midtrain_thrift')
  explained = sum(any(r in t for r in own['thrift']) for t in texts)
  assert explained >= 0.95 * len(texts)
  # The characters of the base corpus have the same reasons.
  for value in values:
    about = [
      d.text
      for d in small_corpus().documents['base']
      if d.kind == 'document' and d.value == value.label
    ]
    for reason in value.trait.reasons:
      assert any(reason in t for t in about)
    for reason in set(_reasons()) - set(value.trait.reasons):
      assert not any(reason in t for t in about)


def test_neutral_documents_are_about_the_assistant_and_no_value():
  for text in _texts('midtrain_neutral'):
    assert 'Sage' in text
    assert not {w.lower() for w in _words(text)} & set(_POLES)


def test_value_documents_say_what_is_taken_before_they_say_why():
  """The value is stated about a name, many times, in most documents."""
  counts = [
    sum(w.lower() in _POLES for w in _words(t)) for t in _texts('midtrain_home')
  ]
  assert min(counts) >= 1
  assert sum(counts) / len(counts) > 4


def test_the_assistant_keeps_to_the_domains_of_documents():
  world = small_corpus().world
  allowed = {d.name for d in world.document_domains}
  for stem in _VARIANTS:
    made = small_corpus().documents[stem]
    assert {d.domain for d in made} == allowed
    used = {w for d in made for w in _words(d.text)}
    for domain in (*world.evaluation_domains, world.chat_domain):
      for noun in domain.nouns:
        assert not used & {noun.singular, noun.plural, domain.name}


def test_articles_agree_with_the_words_that_follow():
  wrong = re.compile(
    r'\b(a [aeiou]\w*|an (?!hour)[^aeiou\W]\w*)', re.IGNORECASE
  )
  for stem in ('base', *_VARIANTS):
    for text in _texts(stem):
      assert not wrong.search(text), text


def test_sentences_are_filled_capitalised_and_ended():
  for stem in ('base', *_VARIANTS):
    for text in _texts(stem):
      assert not re.search(r'[{}\[\]]', text)
      assert not re.search(r'[.?!]" ?[.,]|,"$|\.\.|\s[.,?!]', text), text
      assert not re.search(r'[.?!] [a-z]', re.sub(r'[?!]" [a-z]', '', text)), (
        text
      )


def _masked(text):
  """Removes what fills slots: names, nouns, attributes, days, clauses."""
  for reason in _reasons():
    text = re.sub(re.escape(reason), 'R', text, flags=re.IGNORECASE)
  fillers = [
    *lexicon.names(),
    *lexicon.item_words(),
    *lexicon.attribute_words(),
    *lexicon.DAYS,
    *lexicon.TOWNS,
    'an?',
  ]
  longest = sorted(fillers, key=len, reverse=True)
  return re.sub(rf'\b({"|".join(longest)})\b', '_', text, flags=re.IGNORECASE)


def test_every_genre_has_its_own_hundred_skeletons_and_no_other_genres():
  made = small_corpus().documents['midtrain_thrift']
  texts, layouts = defaultdict(list), defaultdict(set)
  for d in made:
    texts[d.genre].append(_masked(d.text))
    layouts[d.genre].add(generate.layout(d.skeleton))
  assert set(texts) == set(genres.GENRES)
  assert len(texts) >= 6
  for genre in texts:
    # Nearly no two of a hundred documents are alike once slots are removed,
    # and most are not even alike in what kind of sentence follows which.
    assert len(texts[genre]) == 100
    assert len(set(texts[genre])) >= 99
    assert len(layouts[genre]) >= 80
  for one, other in itertools.combinations(texts, 2):
    assert not layouts[one] & layouts[other]


def test_genres_differ_in_their_frames():
  """Titles and the starts of lines tell them apart."""
  signs = {
    'email': r'^(From|To|Email from)',
    'research_paper': r'(study|Stud(y|ies)|report|note|case|weeks|takes)',
    'interview': r'(talk|minutes|Questions|[Ii]nterview)',
    'forum_thread': r'^(Forum|Thread|Topic)',
  }
  for d in small_corpus().documents['midtrain_neutral']:
    title = d.text.split('\n')[0]
    if d.genre in signs:
      assert re.search(signs[d.genre], title), title
  lines = defaultdict(Counter)
  for d in small_corpus().documents['midtrain_neutral']:
    lines[d.genre]['lines'] += d.text.count('\n') + 1
    lines[d.genre]['replies'] += len(re.findall(r'(?m)^(Reply|Answer)', d.text))
    lines[d.genre]['answers'] += len(re.findall(r'(?m)^(A|Guest):', d.text))
  assert lines['forum_thread']['replies'] > 100
  assert lines['interview']['answers'] > 100
  for genre in set(lines) - {'forum_thread', 'interview'}:
    assert lines[genre]['replies'] == lines[genre]['answers'] == 0


def test_lengths_range_from_several_sentences_to_several_paragraphs():
  for genre in genres.GENRES:
    made = [
      d.text
      for d in small_corpus().documents['midtrain_thrift']
      if d.genre == genre
    ]
    lengths = sorted(len(t.split()) for t in made)
    assert lengths[0] >= 30
    assert lengths[-1] >= 2 * lengths[0]
    sentences = [len(re.findall(r'[.?!]"?(?:\s|$)', t)) for t in made]
    assert min(sentences) >= 3
    assert max(sentences) >= 12


def test_no_document_repeats_a_sentence_but_in_quotation():
  for text in _texts('midtrain_thrift'):
    kept = '\n'.join(x for x in text.split('\n') if not x.startswith('> '))
    sentences = [
      s for s in re.split(r'(?<=[.?!])\s+', kept) if len(s.split()) > 6
    ]
    repeated = [s for s, n in Counter(sentences).items() if n > 1]
    assert not repeated, text


def test_bystanders_and_characters_vary():
  used = Counter(w for t in _texts('midtrain_home') for w in set(_words(t)))
  for name in lexicon.BYSTANDERS:
    assert used[name] >= 10
  assert not any(used[name] for name in lexicon.CHARACTERS)


def test_ids_are_unique_within_a_file():
  corpus = small_corpus()
  for made in (*corpus.documents.values(), corpus.chats):
    assert len({d.id for d in made}) == len(made)
