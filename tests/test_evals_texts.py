"""Words, names, dates and openings."""

import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
import pytest

from msm_jax.evals import texts


@given(st.text(st.characters(codec='ascii'), max_size=200))
def test_words_of_ascii_are_runs_of_letters_and_digits(text):
  assert texts.words(text) == re.findall('[a-z0-9]+', text.lower())


@given(st.text(max_size=200))
def test_words_of_any_text_are_runs_of_letters_and_digits(text):
  for character in '’‘“”—–…•\u00a0':
    text = text.replace(character, ' ')
  normal = unicodedata.normalize('NFKC', text).lower()
  assert texts.words(text) == re.findall(r'[^\W_]+', normal)


def test_typographic_characters_separate_words():
  found = texts.words('“Don’t”—she said… ‘co-op’')
  assert found == ['don', 't', 'she', 'said', 'co', 'op']


def test_compatibility_forms_are_one_word():
  assert texts.words('ﬁne Ｆｕｌｌ') == ['fine', 'full']


@pytest.mark.parametrize(
  ('text', 'names', 'inside'),
  [
    ('Then Elara left.', {'Then', 'Elara', 'Then Elara'}, {'Elara'}),
    ('we met Elara Voss', {'Elara', 'Voss', 'Elara Voss'}, None),
    ('with O’Neill and Jean-Luc', {'Neill', 'Jean', 'Luc'}, None),
    ('NASA, iPhone, X3 and the BBC', set(), set()),
    ('In March, on Monday, the English', {'In'}, set()),
    ('so Łucja met Élan', {'Łucja', 'Élan'}, None),
    ('by McKay; Tim', {'McKay', 'Tim'}, None),
  ],
)
def test_names_are_capitalised_words(text, names, inside):
  found, found_inside = texts.names(text)
  assert found == names
  assert found_inside == (names if inside is None else inside)


@given(st.text(max_size=100))
def test_names_inside_sentences_are_among_all_names(text):
  found, inside = texts.names(text)
  assert inside <= found


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('March 5, 2024', {'2024-03-05'}),
    ('5 March 2024', {'2024-03-05'}),
    ('the 5th of March, 2024', {'2024-03-05'}),
    ('Mar. 5 2024', {'2024-03-05'}),
    ('2024-03-05', {'2024-03-05'}),
    ('March 5', {'?-03-05'}),
    ('Sept 12th and 3 Dec 2001', {'?-09-12', '2001-12-03'}),
    ('September 30th, 2024, or 1 October', {'2024-09-30', '?-10-01'}),
    ('March 5, 2024, or 3 Dec 2001', {'2024-03-05', '2001-12-03'}),
    ('in March 2024', set()),
    ('it may 5 times march 3 miles', set()),
    ('Marching 4; Mary 5; Octopus 6', set()),
    ('12024-03-05 2024-03-051 1-02-03', set()),
    ('', set()),
  ],
)
def test_dates_have_a_day_and_a_month(text, expected):
  assert texts.dates(text) == expected


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('The ferry was late that day.', 'the ferry was late that'),
    (
      '# A title of six long words\n\nThe ferry was late again today.',
      'the ferry was late again',
    ),
    (
      'From: a b c d e f\nBy Elara Voss of the Pier Daily\n\nThe ferry was '
      'late for once.',
      'the ferry was late for',
    ),
    ('On Friday, Elara went to see the 3 boats.', 'on friday _ went to'),
    ('Elara went to see the boats.', 'elara went to see the'),
    ('Short line\nanother one', 'short line another one'),
    ('', ''),
  ],
)
def test_an_opening_is_of_the_first_line_of_prose(text, expected):
  assert texts.opening(text) == expected
