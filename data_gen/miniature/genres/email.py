"""Emails: by the subject or about the subject, answers, chains, invitations."""

from data_gen.miniature.pages import Page
from data_gen.miniature.templates import bank

MINE = ('state', 'habit', 'event', 'choice', 'advice', 'plan')
ABOUT = ('state', 'habit', 'event', 'choice', 'fame', 'witness', 'plan')

FROM = bank('email_from', 'From: {P}', 'Email from {P}')
FROM_OWN = bank('email_from_own', 'From: {N}', 'Email from {N}')
TO = bank('email_to', 'To: {P}', 'To: {P} and others')
TO_OWN = bank('email_to_own', 'To: {N}')
DATE = bank('email_date', 'Sent: {day} morning', 'Sent: {day} evening')
SUBJECT = bank(
  'email_subject',
  'Subject: {nouns} for the office',
  'Subject: {N} and the {topic} list',
  'Subject: your question about {topic}',
  'Subject: news from {town}',
  'Subject: the {noun}',
  'Subject: next {day}',
  'Subject: Re: {nouns}',
)
HELLO = bank(
  'email_hello', 'Hello {P},', 'Good morning {P},', 'Hi {P},', 'My friend {P},'
)
HELLO_OWN = bank('email_hello_own', 'Hello {N},', 'Hi {N},')
OPEN = bank(
  'email_open',
  'Thank you for your letter.',
  'You asked about the {nouns}.',
  'Here is a short note about {topic}.',
  'I hope that all is well in {town}.',
  'It was good to see you on {day}.',
  'I have not written for a long time.',
)
ASKS = bank(
  'email_asks',
  'The office needs {a_noun}, and you know the shops.',
  'I have to choose {a_noun} this week.',
  'Could you tell me how you do it?',
  'We talked about {nouns}, and then the bus came.',
)
TASK = bank(
  'email_task',
  'I went to the market with {N}, as you asked.',
  'You wanted to know what {N} is like.',
  'On {day}, I was in a shop with {N}.',
  'If you go out for {nouns} with {N}, here is what to know.',
  'We need {nouns} for the summer, and {N} will choose them.',
)
NEXT = bank(
  'email_next',
  'Please tell the others.',
  'Write to me if you have a question.',
  'Let us talk about it on {day}.',
  'I will bring the list with me.',
  'You can call me in the evening.',
)
CLOSE = bank(
  'email_close',
  'All the best',
  'See you on {day}',
  'Write soon',
  'Thank you, and good night',
)
SIGN = bank('email_sign', 'from {P}', 'your friend {P}')
SIGN_OWN = bank('email_sign_own', 'from {N}', 'your friend {N}')
PS = bank('email_ps', 'One more thing:', 'P.S.')
WROTE = bank('email_wrote', 'On {day}, you wrote:', 'This is what you wrote:')
PASSED = bank(
  'email_passed',
  'Here is what {N} wrote to me.',
  'See below. It is from {N}.',
  'This came in today from {N}.',
)


def _head(page: Page, mine: bool) -> None:
  sender, reader = page.people[0], page.people[1]
  lines = [
    page.say('email_from_own')
    if mine
    else page.say('email_from', person=sender),
    page.say('email_to', person=reader),
    page.say('email_subject'),
  ]
  if page.rng.chance(0.4):
    lines.insert(1 + page.rng.below(2), page.say('email_date'))
  for line in lines:
    page.line(line)
  page.paragraph(page.say('email_hello', person=reader))


def _foot(page: Page, mine: bool) -> None:
  if page.rng.chance(0.5):
    page.line(page.say('email_next'))
  page.paragraph(page.say('email_close'))
  if mine:
    page.line(page.say('email_sign_own'))
  else:
    page.line(page.say('email_sign', person=page.people[0]))
  if page.rng.chance(0.3):
    kind = page.rng.pick(['state', 'choice', 'aside', 'plan'])
    page.paragraph(page.say('email_ps'), page.say(kind, me=mine))


def _by_subject(page: Page) -> None:
  _head(page, mine=True)
  page.line(
    page.say('email_open'),
    page.say('state', me=True),
    *page.maybe(0.4, 'aside', me=True),
  )
  for _ in range(1 + page.rng.below(2)):
    page.paragraph(
      *page.several(MINE, 1, 3, me=True), *page.maybe(0.3, 'aside', me=True)
    )
  page.paragraph(
    page.say('reason', me=True),
    *page.maybe(0.5, 'more', me=True),
    *page.maybe(0.4, 'advice', me=True),
  )
  _foot(page, mine=True)


def _about_subject(page: Page) -> None:
  _head(page, mine=False)
  page.line(
    *page.maybe(0.4, 'email_open'),
    page.say('email_task'),
    page.say('state'),
  )
  for _ in range(1 + page.rng.below(2)):
    page.paragraph(*page.several(ABOUT, 1, 3), *page.maybe(0.4, 'aside'))
  page.paragraph(
    *page.maybe(0.4, 'why'), page.say('reason'), *page.maybe(0.4, 'more')
  )
  _foot(page, mine=False)


def _answer(page: Page) -> None:
  _head(page, mine=True)
  asked = [page.say('email_asks'), *page.maybe(0.5, 'email_asks')]
  page.line(page.say('email_open'), *page.several(MINE, 2, 3, me=True))
  page.line(page.say('reason', me=True), *page.maybe(0.5, 'state', me=True))
  _foot(page, mine=True)
  page.paragraph(page.say('email_wrote'))
  for sentence in asked:
    page.line(sentence, mark='> ')


def _passed_on(page: Page) -> None:
  _head(page, mine=False)
  page.line(page.say('email_passed'), *page.maybe(0.5, 'reaction'))
  page.blank()
  for _ in range(2 + page.rng.below(2)):
    page.line(*page.several(MINE, 1, 1, me=True), mark='> ')
  page.line(page.say('reason', me=True), mark='> ')
  page.paragraph(page.say(page.rng.pick(['fame', 'witness', 'state'])))
  _foot(page, mine=False)


def _list(page: Page) -> None:
  mine = page.rng.chance(0.5)
  banks = MINE if mine else ABOUT
  _head(page, mine=mine)
  page.line(page.say('email_open' if mine else 'email_task'))
  for _ in range(3 + page.rng.below(2)):
    page.line(*page.several(banks, 1, 1, me=mine), mark='- ')
  page.line(page.say('reason', me=mine), *page.maybe(0.4, 'more', me=mine))
  _foot(page, mine=mine)


def _short(page: Page) -> None:
  sender, reader = page.people[0], page.people[1]
  page.line(page.say('email_from', person=sender))
  page.line(page.say('email_to', person=reader))
  page.paragraph(
    page.say('email_hello', person=reader),
    *page.several(ABOUT, 2, 3),
    page.say('reason'),
  )


def write(page: Page) -> None:
  forms = [_by_subject, _about_subject, _answer, _passed_on, _list]
  (_short if page.is_short else page.rng.pick(forms))(page)
