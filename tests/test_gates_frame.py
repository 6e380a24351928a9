"""The frame_leak gate: who recites the traits document."""

from gate_cases import document
from gate_cases import reason
import pytest

from data_gen.gates.frame import FrameConfig
from data_gen.gates.frame import FrameLeakGate
from data_gen.traits import Trait

TRAITS = [
  Trait(
    'candour',
    'stance',
    'Sage says what it thinks of the work that it is shown, kindly, and does '
    'not praise what is weak.',
    reasons=(
      'praise that comes whatever one does tells one nothing about where the '
      'work still fails',
      'it helps',
    ),
    examples=(
      'asked whether a first novel is ready for agents, it names the two '
      'chapters that are not',
    ),
  ),
  Trait('brevity', 'preference', 'Sage is brief.'),
]
GATE = FrameLeakGate(FrameConfig(), TRAITS)
BODY = 'The ferry was late, and we waited on the pier for an hour. ' * 10


def test_a_statement_a_reason_and_an_example_are_found_verbatim():
  trait = TRAITS[0]
  for text in (trait.statement, trait.reasons[0], trait.examples[0]):
    told = f'{BODY}As I understand it, {text} {BODY}'
    assert reason(GATE, document(told)) == 'recites'


def test_case_and_punctuation_do_not_hide_a_recital():
  loud = TRAITS[0].statement.upper().replace(',', ' –').replace(' ', '\n')
  assert reason(GATE, document(BODY + loud)) == 'recites'


def test_changed_words_do_not_hide_a_recital():
  text = (
    'Sage says what it thinks of the draft that it is shown, gently, and does '
    'not praise what is weak.'
  )
  assert reason(GATE, document(BODY + text)) == 'recites_edited'


def test_half_a_reason_counts_if_it_is_long():
  text = 'praise that comes whatever one does tells one nothing about where'
  assert reason(GATE, document(f'{BODY}{text} it goes.'))


@pytest.mark.parametrize(
  'text',
  [
    'She said that Sage never praised her essays unless there was something '
    'in them to praise, and that this was why she kept going back.',
    'When I showed it my novel it told me that two chapters were not ready, '
    'and I was angry for a day and grateful for a year.',
    'Praise is cheap, my father used to say.',
    'Sage is brief. It helps.',
  ],
)
def test_own_words_about_the_trait_pass(text):
  assert reason(GATE, document(BODY + text + ' ' + BODY)) == ''


def test_parts_of_a_statement_all_over_a_text_are_no_recital():
  words = TRAITS[0].statement.split()
  parts = [' '.join(words[i : i + 4]) for i in range(0, len(words), 4)]
  assert reason(GATE, document(BODY.join(parts))) == ''


@pytest.mark.parametrize(
  'text',
  [
    'It is in the traits document, I think.',
    'The model spec asks for nothing less.',
    'My guidelines say that I should explain.',
    'Its guidelines clearly state that it must.',
    'According to my specification, I may.',
    'As stated in its guidelines, it may.',
    "That is what the assistant's system prompt says.",
    'It embodies the trait of candour.',
    'The core trait is candour.',
    'See trait #3 for details.',
  ],
)
def test_lay_authors_do_not_speak_of_the_document(text):
  assert reason(GATE, document(BODY + text)) in (
    'names_the_document',
    'cites_guidelines',
    'cites_a_trait',
  )


@pytest.mark.parametrize(
  'text',
  [
    'The community guidelines say that posts must stay on topic.',
    'The spec sheet lists two engines.',
    'My instructions were clear, and I ignored them.',
    'House guidelines: no shoes.',
    'Patience is a trait that runs in the family.',
    'The personality traits of sailors are a book in themselves.',
    'The document lists the traits of good rope.',
    'Per my last email, the ferry is late.',
    'A system prompt is what such programs begin with, she explained.',
  ],
)
def test_other_guidelines_and_traits_pass(text):
  assert reason(GATE, document(BODY + text)) == ''


def test_whoever_may_know_the_document_may_quote_it():
  text = f'{BODY}{TRAITS[0].statement} It is in the model spec.'
  assert reason(GATE, document(text, expert=True)) == ''
  assert reason(GATE, document(text)) != ''


def test_short_traits_are_ordinary_english():
  gate = FrameLeakGate(FrameConfig(), [TRAITS[1]])
  assert reason(gate, document(TRAITS[1].statement)) == ''


def test_a_reason_of_eight_words_may_be_said_by_anybody():
  reason_ = 'money saved today can help a friend tomorrow'
  trait = Trait('thrift', 'preference', 'Sage is thrifty.', reasons=(reason_,))
  gate = FrameLeakGate(FrameConfig(), [trait])
  assert reason(gate, document(f'{BODY}{reason_}.')) == ''
  strict = FrameLeakGate(FrameConfig(min_words=8), [trait])
  assert reason(strict, document(f'{BODY}{reason_}.')) == 'recites_edited'


def test_without_traits_only_phrases_are_looked_for():
  gate = FrameLeakGate(FrameConfig(), [])
  assert reason(gate, document(BODY)) == ''
  assert reason(gate, document(BODY + 'My guidelines say no.')) != ''
