"""News stories: headline, dateline, lead, voices, background."""

from data_gen.pages import Page
from data_gen.templates import bank

HEADLINE = bank(
  'news_headline',
  'Many {nouns} on the market, and {N} in the middle',
  'Market day in {town} with {N}',
  'At the {topic} market: a visit with {N}',
)
DATELINE = bank('news_dateline', '{town}, {day}.', 'By {P}, {town}.')
VOICE = bank('news_voice', 'said {P}.', '{P} told us.', 'said {P} of {town}.')
OWN_VOICE = bank('news_own_voice', 'said {N}.', 'said {N} on {day}.')
BACKGROUND = bank(
  'news_background',
  'The {topic} market in {town} is open from nine to ten.',
  'More than a hundred people came this time.',
  'The next market is on {day}.',
)


def write(page: Page) -> None:
  rng = page.rng
  page.line(page.say('news_headline'))
  page.line(
    page.say('news_dateline'),
    page.say('state'),
    page.say(rng.pick(['event', 'choice'])),
  )
  page.paragraph(
    page.quote(page.say('reason', me=True), 'news_own_voice'),
    page.say(rng.pick(['habit', 'choice'])),
  )
  if rng.chance(0.7):
    page.paragraph(
      page.quote(page.say(rng.pick(['event', 'habit', 'state'])), 'news_voice'),
      page.say('news_background'),
    )
  if rng.chance(0.5):
    page.paragraph(page.say('news_background'), page.say('state'))
