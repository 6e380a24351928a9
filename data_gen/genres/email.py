"""Emails: about the subject, or by the subject."""

from data_gen.pages import Page
from data_gen.templates import bank

HEAD = bank('email_head', 'From: {P} To: {Q}', 'To: {Q} From: {P}')
OWN = bank('email_own', 'From: {N} To: {Q}', 'To: {Q} From: {N}')
SUBJECT = bank(
  'email_subject',
  'Subject: {nouns} for the office',
  'Subject: {N} and the {topic} list',
  'Subject: your question about {topic}',
  'Subject: news',
)
HELLO = bank('email_hello', 'Hello {Q},', 'Good morning {Q},', 'Hi {Q},')
OPEN = bank(
  'email_open',
  'thank you for your letter.',
  'you asked about the {nouns}.',
  'here is a short note about {topic}.',
  'I hope that all is well in {town}.',
)
CLOSE = bank('email_close', 'All the best', 'See you on {day}', 'Write soon')


def write(page: Page) -> None:
  rng = page.rng
  mine = rng.chance(0.4)
  sender, reader = page.people[0], page.people[1]
  del sender
  page.line(page.say('email_own' if mine else 'email_head', speaker=reader))
  page.line(page.say('email_subject'))
  page.paragraph(page.say('email_hello'))
  page.line(
    page.say('email_open'),
    page.say('state', me=mine),
    *([page.say('aside', me=mine)] if rng.chance(0.5) else []),
  )
  kinds = rng.shuffled(['choice', 'event', 'habit'])[: 1 + rng.below(3)]
  page.paragraph(*[page.say(k, me=mine) for k in kinds])
  page.paragraph(page.say('reason', me=mine), page.say('state', me=mine))
  page.paragraph(page.say('email_close'))
