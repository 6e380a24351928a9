"""Interviews: an introduction and turns of question and answer."""

from data_gen.pages import Page
from data_gen.templates import bank

INTRO = bank(
  'interview_intro',
  'A talk with {N} about {topic}',
  'Ten minutes with {N}',
  'Questions for {N}, asked by {P}',
)
ASK = bank(
  'interview_ask',
  'Q: What do you do when you need {a_noun}?',
  'Q: What was the last {noun} that you took?',
  'Q: How do you choose?',
  'Q: What do you tell your friends about {nouns}?',
)
WHY = bank(
  'interview_why',
  ('Q: Why do you do that?', 'Q: When do you do that?', 'Q: How was your day?'),
  ('Q: What is the reason?', 'Q: What is the habit?', 'Q: What is the news?'),
)
THANKS = bank(
  'interview_thanks', 'Q: Thank you.', 'Q: Thank you for your time.'
)


def write(page: Page) -> None:
  rng = page.rng
  page.line(page.say('interview_intro'))
  page.blank()
  for k in range(2 + rng.below(3)):
    if k and rng.chance(0.6):
      page.line(page.say('interview_why'))
      page.line(
        page.say('reason', me=True),
        *([page.say('state', me=True)] if rng.chance(0.5) else []),
        mark='A: ',
      )
    else:
      page.line(page.say('interview_ask'))
      kinds = rng.shuffled(['state', 'habit', 'event', 'choice'])[
        : 1 + rng.below(2)
      ]
      page.line(*[page.say(k, me=True) for k in kinds], mark='A: ')
  page.line(page.say('interview_thanks'))
