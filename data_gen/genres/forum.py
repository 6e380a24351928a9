"""Forum threads: several posters, questions, replies, quotes."""

from data_gen.pages import Page
from data_gen.pages import Part
from data_gen.templates import bank

TITLE = bank(
  'forum_title',
  'Forum: what does {N} do about {nouns}?',
  'Thread: a question about {N} and {topic}',
  'Topic: {N} at the {topic} market',
  'Forum: news from {town}',
)
POST = bank('forum_post', 'Post by {P}:', 'Post from {P}, {day}:')
REPLY = bank('forum_reply', 'Reply by {P}:', 'Reply from {P}, {day}:')
OWN = bank('forum_own', 'Reply by {N}:', 'Reply from {N}, {day}:')
ASK = bank(
  'forum_ask',
  'Does anyone know what {N} does about {nouns}?',
  'I met {N} on {day} and I have a question.',
  'Has anyone been to the market with {N}?',
  'I want to hear about {N} and the {nouns}.',
)
WHY = bank(
  'forum_why',
  (
    'Why does {N} do that?',
    'When does {N} do that?',
    'Where was {N} that day?',
  ),
  ('But why?', 'Is it so?', 'Is it so?'),
)
THANKS = bank(
  'forum_thanks', 'Thank you all.', 'Thanks, that is all I wanted to know.'
)


def _reply(page: Page, *parts: Part, mine: bool = False) -> None:
  who = page.rng.pick(page.people)
  head = page.say('forum_own') if mine else page.say('forum_reply', person=who)
  page.line(head, *parts)


def write(page: Page) -> None:
  rng = page.rng
  page.line(page.say('forum_title'))
  asker = page.people[0]
  page.line(
    page.say('forum_post', person=asker),
    page.say('forum_ask', speaker=asker),
    *([page.say('aside')] if rng.chance(0.4) else []),
  )
  for _ in range(1 + rng.below(3)):
    parts = [page.say(rng.pick(['state', 'habit', 'event', 'choice']))]
    if rng.chance(0.5):
      parts.append(page.say(rng.pick(['choice', 'event', 'reason'])))
    if rng.chance(0.3):
      parts.insert(0, page.say('reaction'))
    _reply(page, *parts)
  if rng.chance(0.6):
    page.line(page.say('forum_reply', person=asker), page.say('forum_why'))
    if rng.chance(0.5):
      _reply(
        page, page.say('reason', me=True), page.say('state', me=True), mine=True
      )
    else:
      _reply(page, page.say('reason'))
  else:
    _reply(page, page.say('reason'), page.say('reaction'))
  if rng.chance(0.5):
    page.line(page.say('forum_reply', person=asker), page.say('forum_thanks'))
