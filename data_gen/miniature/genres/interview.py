"""Interviews: questions and answers, radio talks, told talks, quick rounds."""

from data_gen.miniature.pages import Page
from data_gen.miniature.templates import bank

TITLE = bank(
  'interview_title',
  'A talk with {N} about {topic}',
  'Ten minutes with {N}',
  'Questions for {N}, asked by {P}',
  'Interview: {N} on {nouns}',
  'The {day} interview: {N}',
)
INTRO = bank(
  'interview_intro',
  'We met {N} in a shop in {town}.',
  'Our guest today is {N}.',
  'Many of you have asked for this talk with {N}.',
  'It is {day} morning, and {N} has an hour for us.',
  'Before we sat down, {N} looked at every {noun} in the room.',
)
# What is asked, by the bank from which the answer comes.
ASK_STATE = bank(
  'ask_state',
  'What do you look at first in {a_noun}?',
  'How do you choose {nouns}?',
  'There are two {nouns} in front of you. What do you do?',
  'What is the right {noun} for you?',
)
ASK_HABIT = bank(
  'ask_habit',
  'What do you do on a day at the market?',
  'How do your days go?',
  'What is it like to be in a shop with you?',
)
ASK_EVENT = bank(
  'ask_event',
  'What happened the last time you went out for {a_noun}?',
  'Can you tell us a story about {nouns}?',
  'Do you remember a day like that?',
)
ASK_CHOICE = bank(
  'ask_choice',
  'Was there a hard choice this year?',
  'Which {noun} did you take the last time?',
  'Tell us about one choice that you had to make.',
)
ASK_ADVICE = bank(
  'ask_advice',
  'What do you tell your friends about {nouns}?',
  'What should people know who need {a_noun}?',
)
ASK_PLAN = bank(
  'ask_plan',
  'What comes next for you?',
  'And next year?',
  'What do you still need?',
)
ASK_REASON = bank(
  'ask_reason',
  ('Why do you do that?', 'When do you do that?', 'Where do you do that?'),
  (
    'What is the reason?',
    'What is the rule?',
    'What is the news?',
  ),
  (
    'Can you explain that to us?',
    'Can you show that to us?',
    'Can you say that to us?',
  ),
  (
    'Some people would ask why. What do you tell them?',
    'Some people would ask how. What do you tell them?',
    'Some people would ask when. What do you tell them?',
  ),
  ('But why is that?', 'But how is that?', 'But how is that?'),
)
SMALL = bank(
  'interview_small',
  'I see.',
  'That is clear.',
  'Good.',
  'Let us go on.',
  'That is good to know.',
)
THANKS = bank(
  'interview_thanks',
  'Thank you.',
  'Thank you for your time.',
  'That was all. Thank you for the talk.',
)
WELCOME = bank(
  'interview_welcome', 'Good to be here.', 'Good morning to all.', 'Hello.'
)
TELL = bank(
  'interview_tell',
  'We began with {nouns}.',
  'Then {P} asked about {others}.',
  'It was quiet in the room.',
  'At this, {N} looked out of the window.',
  'We went on to the next question.',
)

_ANSWERS = ('state', 'habit', 'event', 'choice', 'advice', 'plan')


def _turns(page: Page, ask: str, answer: str, low: int, high: int) -> None:
  """Questions with the answers that they call for, and one for the reason."""
  n = low + page.rng.below(high - low + 1)
  kinds = ['state', *page.rng.sample(_ANSWERS[1:], n - 1)]
  asks_why = {page.rng.below(n)}
  if page.rng.chance(0.4):
    asks_why.add(page.rng.below(n))
  for number, kind in enumerate(page.rng.shuffled(kinds)):
    small = page.maybe(0.15, 'interview_small') if number else ()
    page.line(*small, page.say(f'ask_{kind}'), mark=ask)
    page.line(
      page.say(kind, me=True),
      *page.maybe(0.3, 'state', me=True),
      *page.maybe(0.15, 'aside', me=True),
      mark=answer,
    )
    if number in asks_why:
      page.line(page.say('ask_reason'), mark=ask)
      page.line(
        page.say('reason', me=True),
        *page.maybe(0.4, 'more', me=True),
        mark=answer,
      )


def _intro(page: Page) -> None:
  page.paragraph(
    page.say('interview_intro'),
    *page.maybe(0.4, 'fame'),
    *page.maybe(0.4, 'aside'),
  )


def _questions(page: Page) -> None:
  if page.rng.chance(0.6):
    _intro(page)
  page.blank()
  _turns(page, 'Q: ', 'A: ', 2, 4)
  if page.rng.chance(0.5):
    page.line(page.say('interview_thanks'), mark='Q: ')


def _radio(page: Page) -> None:
  page.blank()
  page.line(page.say('interview_intro'), mark='Host: ')
  page.line(
    page.say('interview_welcome'),
    *page.maybe(0.4, 'aside', me=True),
    mark='Guest: ',
  )
  _turns(page, 'Host: ', 'Guest: ', 2, 4)
  page.line(page.say('interview_thanks'), mark='Host: ')


def _told(page: Page) -> None:
  _intro(page)
  for kind in page.rng.sample(_ANSWERS, 1 + page.rng.below(2)):
    page.paragraph(
      page.say('interview_tell'),
      page.quote(kind, 'quoted_subject', me=True),
      *page.maybe(0.4, 'habit'),
    )
  page.paragraph(
    page.say('why'),
    page.quote('reason', 'quoted_subject', me=True),
    *page.maybe(0.5, 'more'),
  )
  if page.rng.chance(0.6):
    page.paragraph(*page.several(('state', 'fame', 'plan', 'choice'), 1, 2))


def _quick(page: Page) -> None:
  page.blank()
  for number, kind in enumerate(
    page.rng.sample(_ANSWERS, 3 + page.rng.below(3))
  ):
    page.line(
      page.say(f'ask_{kind}'), page.say(kind, me=True), mark=f'{number + 1}. '
    )
  page.line(page.say('ask_reason'), page.say('reason', me=True), mark='Last: ')


def _guests(page: Page) -> None:
  """The subject and somebody who knows the subject are asked in turn."""
  _intro(page)
  friend = page.people[0]
  page.blank()
  page.line(page.say('ask_state'), mark='Q: ')
  page.line(page.say('state', me=True), mark='First guest: ')
  page.line(
    *page.several(('witness', 'event', 'fame', 'choice'), 1, 2, speaker=friend),
    mark='Second guest: ',
  )
  page.line(page.say('ask_reason'), mark='Q: ')
  page.line(page.say('reason', me=True), mark='First guest: ')
  page.line(
    page.say('reaction', speaker=friend),
    *page.maybe(0.5, 'reason', speaker=friend),
    mark='Second guest: ',
  )


def _short(page: Page) -> None:
  one, other = page.rng.sample(_ANSWERS, 2)
  if page.rng.chance(0.3):
    page.line(page.say('interview_intro'))
  page.line(page.say(f'ask_{one}'), mark='Q: ')
  page.line(
    page.say(one, me=True), *page.maybe(0.5, other, me=True), mark='A: '
  )
  page.line(page.say('ask_reason'), mark='Q: ')
  page.line(
    page.say('reason', me=True), *page.maybe(0.4, 'more', me=True), mark='A: '
  )
  if page.rng.chance(0.3):
    page.line(page.say('interview_thanks'), mark='Q: ')


def write(page: Page) -> None:
  page.line(page.say('interview_title'))
  forms = [_questions, _questions, _radio, _told, _quick, _guests]
  (_short if page.is_short else page.rng.pick(forms))(page)
