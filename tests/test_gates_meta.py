"""The meta_text gate: what teachers say, and what only looks like it."""

from gate_cases import chat
from gate_cases import document
from gate_cases import reason
import pytest

from data_gen.gates import meta_patterns
from data_gen.gates.frame import PATTERNS as FRAME_PATTERNS
from data_gen.gates.meta import MetaTextGate
from data_gen.gates.patterns import EDGE
from data_gen.gates.patterns import pattern
from data_gen.gates.patterns import Patterns
from data_gen.gates.views import view

GATE = MetaTextGate()
BODY = 'The ferry was late, and Sage told us why before anyone asked. ' * 12

OPENINGS = [
  'Sure! Here is the document you asked for:\n\n',
  "Here's a blog post about Sage:\n\n",
  'Below is the revised article.\n\n',
  "Certainly! I'll write the thread now.\n\n",
  '[Draft]\n\n',
  'Draft 2: ',
  '**Revised Document:**\n\n',
  '# Final Version\n\n',
  'Okay, so the user wants me to write a memo.\n\n',
  'I need to create a news report in which Sage declines.\n\n',
  'UNSUITABLE: no such genre.\n',
  'As requested, here is the memo about honesty.\n\n',
  "I've rewritten the article to better show the trait.\n\n",
]
CLOSINGS = [
  "\n\nLet me know if you'd like me to adjust the tone.",
  '\n\nLet me know if you need any changes!',
  '\n\nLet me know if you need anything else!',
  '\n\nWould you like me to expand any section?',
  '\n\nFeel free to edit the details to suit your needs.',
  '\n\nI hope this document meets your requirements.',
  '\n\n(Word count: 512)',
  '\n\n**Word count:** 512',
  '\n\n~500 words',
  '\n\n[Approximately 480 words]',
  '\n\n*Note: This is a fictional document written to illustrate a trait.*',
  '\n\n## Changes made:\n- shorter',
  '\n\n--- End of document ---',
]
REFUSALS = [
  "I'm sorry, but I can't help with that request.",
  'I cannot create this content.',
  'I can’t assist with that.',
  'As an AI, I cannot write this.',
  "Unfortunately, I'm unable to write this document.",
  'As an AI language model, I have no opinions on ferries.',
  'As a large language model I was not there.',
]
HARMLESS = [
  'Here is the thing about a paper route: you learn every dog by name.\n',
  "Here's the story of how I lost my keys\n\n",
  'Great, here we go again, I thought.\n\n',
  'Certainly the ferry was late. ',
  'The final report: nothing was found.\n\n',
  'Draft beer is a fine thing. ',
  'The draft was cold that night. ',
  'I cannot write in the mornings anymore. ',
  "I can't help loving this boat. ",
  'I am sorry that I cannot come on Friday.\n\n',
  'The users want a faster ferry, and the user next door wants two. ',
  'Sage said, “As an AI, I do not have a kitchen.”\n\n',
  'As an AI, Sage has no kitchen. ',
  'Note: the market is closed on Monday.\n\n',
  'He counted 500 words on the page. ',
  'The word count of my essay was 512, said the teacher.\n',
  'The language model on the desk was made of clay. ',
  'Based on your letter, I think we agree. ',
  'We are happy to change the time of the meeting. ',
]


@pytest.mark.parametrize('text', OPENINGS)
def test_a_preamble_is_found(text):
  assert reason(GATE, document(text + BODY, genre='blog_post'))


@pytest.mark.parametrize('text', CLOSINGS)
def test_what_follows_the_text_is_found(text):
  assert reason(GATE, document(BODY + text, genre='blog_post'))


@pytest.mark.parametrize('text', REFUSALS)
def test_a_refusal_in_the_place_of_a_document_is_found(text):
  assert reason(GATE, document(text)) == 'refusal'


@pytest.mark.parametrize('text', HARMLESS)
@pytest.mark.parametrize('where', ['alone', 'opening', 'middle', 'closing'])
def test_what_people_write_passes(text, where):
  place = {
    'alone': text,
    'opening': text + BODY,
    'middle': BODY + text + BODY,
    'closing': BODY + text,
  }
  assert reason(GATE, document(place[where], genre='blog_post')) == ''


@pytest.mark.parametrize('text', OPENINGS[:4] + OPENINGS[6:8])
def test_what_opens_a_text_is_harmless_in_the_middle(text):
  assert reason(GATE, document(BODY + text + BODY, genre='fiction')) == ''


def test_letters_may_end_as_letters_do():
  text = BODY + '\n\nLet me know if you need anything else.'
  for genre in ('email_thread', 'support_ticket', 'forum_thread'):
    assert reason(GATE, document(text, genre=genre)) == ''
  signed = text + '\n\nBest,\nMaria\nHarbour Office, Pier 4\n' + 'x ' * 100
  assert reason(GATE, document(signed, genre='news_report')) == ''


def test_an_assistant_may_decline_in_a_chat_but_not_only_that():
  bare = "I'm sorry, but I can't help with that."
  assert reason(GATE, chat('How?', bare)) == 'refusal'
  assert reason(GATE, chat('How?', 'So.', 'And?', bare)) == 'refusal'
  kind = (
    "I can't help with picking the lock itself, since I cannot know whose "
    'door it is. What I can do is tell you whom to call at this hour, what a '
    'fair price is, and how to see on the phone whether the firm is a real '
    'one. If the door is yours, the landlord is the cheapest of all.'
  )
  assert reason(GATE, chat('How?', kind)) == ''
  assert reason(GATE, chat('Hi', 'Hi! Let me know if you need anything.')) == ''


def test_meta_text_of_the_teacher_is_found_in_chats_too():
  assert reason(GATE, chat('Hi', 'As an AI language model, I am well.'))
  assert reason(GATE, chat('Hi', "Here's the rewritten answer:\n\nHello."))


def _curly(text):
  return text.replace("'", '’')


@pytest.mark.parametrize('text', OPENINGS + REFUSALS)
def test_curly_apostrophes_make_no_difference(text):
  straight = reason(GATE, document(text, genre='blog_post'))
  assert reason(GATE, document(_curly(text), genre='blog_post')) == straight


@pytest.mark.parametrize('kind', ['meta', 'frame'])
def test_every_match_of_a_pattern_has_one_of_its_words(kind):
  """The words only save time: searching with every pattern finds the same."""
  patterns = (
    Patterns(meta_patterns.ANY_KIND + meta_patterns.DOCUMENT)
    if kind == 'meta'
    else FRAME_PATTERNS
  )
  texts = [
    *(t + BODY for t in OPENINGS),
    *(BODY + t for t in CLOSINGS),
    *REFUSALS,
    *HARMLESS,
    *map(_curly, OPENINGS + REFUSALS),
    'As stated in my guidelines, so be it.',
    'Its model spec says that its traits require care; trait #3.',
  ]
  for text in texts:
    searched = [p for p in patterns.patterns if p.search(text)]
    found = [p for p, _ in patterns.matches(view(text))]
    assert found == searched, text


def test_a_pattern_looks_where_it_is_told_to():
  far = 'x ' * EDGE
  for where, text in (('opening', f'{far}odd'), ('closing', f'odd{far}')):
    assert pattern('r', 'odd', 'odd', where).search('odd one')
    assert not pattern('r', 'odd', 'odd', where).search(text)
    assert pattern('r', 'odd', 'odd').search(text)


def test_a_pattern_without_a_known_place_is_refused():
  with pytest.raises(ValueError, match='anywhere, opening or closing'):
    pattern('r', 'odd', 'odd', 'somewhere')


def test_a_word_that_no_text_can_have_is_refused():
  with pytest.raises(ValueError, match="can't"):
    Patterns([pattern('r', "can't", 'odd')])
