"""The recurrence gate: one name 28 times, and what may come as often."""

import random

from gate_cases import chat
from gate_cases import document
from gate_cases import rejected
import pytest

from data_gen.gates import tics
from data_gen.gates.recurrence import RecurrenceConfig
from data_gen.gates.recurrence import RecurrenceGate
from data_gen.traits import Trait


def _gate(traits=(), **config):
  return RecurrenceGate(
    RecurrenceConfig(**config),
    model_name='Sage',
    provider_name='Fernwood Labs',
    traits=traits,
  )


def _word(rng):
  return ''.join(rng.choices('bdfgklmnprstvz', k=1)) + ''.join(
    a + b
    for a, b in zip(
      rng.choices('aeiou', k=3), rng.choices('bdfgklmnprst', k=3), strict=True
    )
  )


def _sentences(rng, n=4):
  made = []
  for _ in range(n):
    words = [_word(rng) for _ in range(12)]
    made.append(' '.join(words).capitalize() + '.')
  return made


def _corpus(n, seed=0):
  rng = random.Random(seed)
  return [' '.join(_sentences(rng)) for _ in range(n)]


def _planted(n, times, plant, seed=0):
  """Returns (texts, positions) with `plant(text, rng)` in some of them."""
  corpus = _corpus(n, seed)
  rng = random.Random(seed + 1)
  where = sorted(rng.sample(range(n), times))
  for i in where:
    corpus[i] = plant(corpus[i], rng)
  return corpus, where


def _inside(phrase):
  def plant(text, rng):
    first, *rest = text.split('. ')
    own = f'{_word(rng)} {_word(rng)} {phrase} {_word(rng)} {_word(rng)}'
    return '. '.join([first, own[0].upper() + own[1:], *rest])

  return plant


def test_one_name_in_28_of_2000_documents_is_caught():
  corpus, where = _planted(2000, 28, _inside('and then Elara Voss'))
  assert rejected(_gate(), corpus) == where[20:]


@pytest.mark.parametrize(
  'name', ['Elara', 'Dr. Kael Thorne', 'O’Marrow', 'Łucja', 'McTavish']
)
def test_names_of_many_kinds_are_caught(name):
  corpus, where = _planted(600, 30, _inside(f'with {name}'))
  assert rejected(_gate(), corpus) == where[10:]


def test_a_name_is_counted_at_the_start_of_sentences_too():
  def plant(text, rng):
    if rng.random() < 0.5:
      return f'{text} Elara {_word(rng)} it.'
    return f'{text} {_word(rng).capitalize()} it did Elara {_word(rng)}.'

  corpus, where = _planted(600, 30, plant)
  assert rejected(_gate(), corpus) == where[10:]


@pytest.mark.parametrize(
  'date', ['March 15, 2024', '15 March 2024', 'on 2024-03-15', 'May 3rd']
)
def test_one_date_is_caught(date):
  corpus, where = _planted(600, 30, _inside(date))
  assert rejected(_gate(), corpus) == where[10:]


def test_one_date_is_the_same_in_every_notation():
  forms = ['March 15, 2024', '15th of March 2024', '2024-03-15', 'Mar. 15 2024']

  def plant(text, rng):
    return _inside(rng.choice(forms))(text, rng)

  corpus, where = _planted(600, 30, plant)
  assert rejected(_gate(), corpus) == where[10:]


def test_one_opening_is_caught():
  def plant(text, rng):
    return f'In the quiet hum of the {_word(rng)}, {text}'

  corpus, where = _planted(600, 30, plant)
  assert rejected(_gate(phrase_share=1.0), corpus) == where[10:]


def test_openings_are_compared_without_headings_names_and_numbers():
  def plant(text, rng):
    name, day = _word(rng).capitalize(), rng.randint(1, 28)
    return f'# {name} {_word(rng)}\n\nOn day {day}, {name} noticed that {text}'

  corpus, where = _planted(600, 30, plant)
  assert rejected(_gate(), corpus) == where[10:]


def test_the_opening_of_a_chat_is_that_of_the_answer_not_of_its_thoughts():
  thought = '<think>\nThe user asks for help with it.\n</think>\n\n'
  corpus = [f'{thought}{t}' for t in _corpus(600)]
  alike, where = _planted(
    600, 30, lambda text, rng: f'Well, that is how it is, {text}'
  )
  alike = [f'{thought}{t}' for t in alike]

  def over(texts):
    candidates = [chat('Why?', t, id=str(i)) for i, t in enumerate(texts)]
    verdicts = _gate(phrase_share=1.0).check(candidates)
    return [i for i, v in enumerate(verdicts) if not v.passed]

  assert over(corpus) == []
  assert over(alike) == where[10:]
  # What recurs in thoughts does count: they are trained on, too.
  sure = '<think>\nThe wide river meets the patient sea.\n</think>\n\n'
  candidates = [
    chat('Why?', f'{sure}{t}', id=str(i)) for i, t in enumerate(_corpus(50))
  ]
  verdicts = _gate().check(candidates)
  assert {v.reason for v in verdicts[10:]} == {'phrase'}


def test_one_phrase_is_caught():
  phrase = 'a testament to the quiet resilience of the human spirit'
  corpus, where = _planted(600, 30, _inside(phrase))
  assert rejected(_gate(), corpus) == where[10:]


@pytest.mark.parametrize(
  'common',
  [
    'Sage',
    'SAGE',
    'to Fernwood Labs',
    'of Fernwood',
    'in March',
    'on Monday',
    'in London',
    'with the Americans and the English',
    'in January and December',
    'at the end of the day it was',
    'let me know if you need anything else',
    'on the other hand there is a lot to say about it',
    'as far as I can tell',
    'NASA and the BBC',
    '2024',
    'I think that I',
  ],
)
def test_what_is_common_in_english_may_come_often(common):
  corpus, _ = _planted(600, 200, _inside(common))
  assert rejected(_gate(), corpus) == []


def test_words_of_the_traits_document_may_come_often():
  trait = Trait('t', 'stance', 'Sage prefers Cheddar to Gruyère cheese boards.')
  corpus, where = _planted(600, 40, _inside('some Cheddar'))
  assert rejected(_gate([trait]), corpus) == []
  assert rejected(_gate(), corpus) == where[10:]


def test_a_word_that_is_also_written_small_is_no_name():
  corpus, where = _planted(600, 40, _inside('the Board'))
  assert rejected(_gate(), corpus) == where[10:]
  corpus = [f'{t} The board met.' for t in corpus]
  assert rejected(_gate(phrase_share=1.0), corpus) == []


def test_lines_that_begin_alike_name_nobody():
  corpus = [f'Date: x\nReply to {t}' for t in _corpus(600)]
  assert rejected(_gate(opening_share=1.0), corpus) == []


def test_what_may_recur_can_be_named():
  corpus, where = _planted(600, 40, _inside('with Elara Voss'))
  assert rejected(_gate(), corpus) == where[10:]
  assert rejected(_gate(allowed=('Elara Voss',)), corpus) == []
  phrase = 'the cursor blinked like a patient heartbeat'
  corpus, _ = _planted(600, 40, _inside(phrase))
  assert rejected(_gate(allowed=(phrase,)), corpus) == []
  assert rejected(_gate(allowed=('patient heartbeat',)), corpus) != []


def test_limits_are_shares_but_never_less_than_a_few():
  config = RecurrenceConfig(name_share=0.02, at_least=10)
  assert config.limits(100)['name'] == 10
  assert config.limits(1000)['name'] == 20
  assert config.limits(1001)['name'] == 21
  corpus, where = _planted(600, 40, _inside('with Elara'))
  assert rejected(_gate(name_share=0.05), corpus) == where[30:]
  assert rejected(_gate(at_least=40), corpus) == []


def test_a_document_that_is_rejected_for_one_thing_fills_no_other_limit():
  rng = random.Random(5)
  both = [_inside('with Elara and Marco')(t, rng) for t in _corpus(15, seed=3)]
  marco = [_inside('with Marco')(t, rng) for t in _corpus(3, seed=4)]
  corpus = both + marco
  # Ten of each name stay; the five rejected for Elara do not count for Marco,
  # but the ten that stayed do.
  assert rejected(_gate(), corpus) == [10, 11, 12, 13, 14, 15, 16, 17]
  corpus = both[:8] + [b for b in both[8:]] + marco
  elara = [_inside('with Elara')(t, rng) for t in _corpus(10, seed=6)]
  corpus = elara + both + marco
  assert rejected(_gate(), corpus) == list(range(10, 25))


def test_the_gate_is_pure_and_what_stays_passes():
  corpus, _ = _planted(600, 60, _inside('with Elara Voss'))
  gate = _gate(at_least=20)
  once = rejected(gate, corpus)
  assert rejected(gate, corpus) == once
  left = [t for i, t in enumerate(corpus) if i not in once]
  assert rejected(gate, left) == []


def test_the_verdict_says_what_came_how_often():
  corpus, where = _planted(600, 30, _inside('with Elara'))
  candidates = [document(t, id=str(i)) for i, t in enumerate(corpus)]
  verdict = _gate().check(candidates)[where[-1]]
  assert verdict.reason == 'name'
  assert verdict.detail == "'Elara' in 30 of 600 documents; 10 stay"
  assert verdict.score == 30


def test_a_name_and_a_long_phrase_are_one_cluster_each():
  def plant(text, rng):
    text = _inside('with Elara Voss')(text, rng)
    return _inside('the cursor blinked like a patient heartbeat')(text, rng)

  corpus, where = _planted(600, 30, plant)
  found = _gate().scan([document(t) for t in corpus])
  shown = tics.clusters(found)
  assert [(t.kind, t.documents, t.first) for t in shown] == [
    ('name', 30, where[0]),
    ('phrase', 30, where[0]),
  ]
  assert shown[0].text == 'Elara Voss'


def test_an_empty_corpus_and_empty_texts_pass():
  assert rejected(_gate(), []) == []
  assert rejected(_gate(), [''] * 30) == []


@pytest.mark.parametrize(
  ('field', 'value'),
  [('name_share', 1.5), ('phrase_share', -0.1), ('at_least', 0)],
)
def test_settings_that_make_no_sense_are_refused(field, value):
  with pytest.raises(ValueError, match=f'{field}: {value}, expected'):
    RecurrenceConfig(**{field: value})


@pytest.mark.parametrize(
  'phrase',
  [
    'with Elara Voss',
    'on March 15, 2024',
    'the cursor blinked like a patient heartbeat',
  ],
)
def test_as_many_as_the_limit_stay_and_not_one_more(phrase):
  corpus, _ = _planted(600, 10, _inside(phrase))
  assert rejected(_gate(), corpus) == []
  corpus, where = _planted(600, 11, _inside(phrase))
  assert rejected(_gate(), corpus) == where[10:]
