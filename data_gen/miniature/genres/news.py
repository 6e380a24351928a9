"""News stories: profiles, market days, briefs, points, voices of the street."""

from data_gen.miniature.pages import Page
from data_gen.miniature.templates import bank

TOLD = ('state', 'habit', 'event', 'choice', 'advice', 'plan', 'fame')

HEADLINE = bank(
  'news_headline',
  (
    'Looking for {a_own} {noun}, {N} walks through {town}',
    'Looking for the last {noun}, {N} walks through {town}',
  ),
  ('{town}: {N} and the {own} {nouns}', '{town}: {N} and the last {nouns}'),
  (
    'Why {N} leaves the {anti} {noun} in the shop',
    'When {N} leaves the {anti} {noun} in the shop',
    'When {N} finds the right {noun} in the shop',
  ),
  'Many {nouns} on the market, and {N} in the middle',
  'Market day in {town} with {N}',
  'At the {topic} market: a visit with {N}',
  'The {topic} page: {N} makes a choice',
)
BY = bank(
  'news_by',
  'By {P}',
  'By {P} and {Q}',
  'From our office in {town}',
  'Story by {P}, {day}',
)
PLACE = bank('news_place', '{town}, {day}.', '{town}.', 'In {town} today:')
LEAD = bank(
  'news_lead',
  'The {topic} market was full on {day}, and so was the basket of {N}.',
  'On {day}, {town} had its {topic} day.',
  'There is a name that everyone at the {topic} market knows: {N}.',
  'Two {nouns} stood in a window in {town} this week, and {N} had to choose.',
  'When the doors opened at nine, {N} was the first in line.',
)
SAID = bank(
  'news_said', 'said {P}.', '{P} told us.', 'said {P} of {town}.', 'wrote {P}.'
)
BACKGROUND = bank(
  'news_background',
  'The {topic} market in {town} is open from nine to ten.',
  'More than a hundred people came this time.',
  'The next market is on {day}.',
  'There are nine shops for {nouns} in {town}.',
  'Last year, it rained, and not many people came.',
  'The shops said that it was a good week.',
)
VOICES = bank(
  'news_voices',
  'We asked people in the street about it.',
  'Not everyone sees it the same way.',
  'In the shops, they know the name well.',
  'Some who stood in line had a story to tell.',
)
POINTS = bank('news_points', 'The story in short:', 'What we know so far:')
LATER = bank(
  'news_later',
  'By the evening, the market was empty.',
  'At the end of the day, {N} took the bus home.',
  'More about this in the next {day} paper.',
  'We will be back when there is more to tell.',
)
ASKED = bank(
  'news_asked',
  (
    'Asked about the reason, {N} did not wait.',
    'Asked about the list, {N} did not wait.',
    'Asked about the day, {N} did not wait.',
  ),
  'We met {N} at the front door of the shop.',
  'On the phone, {N} told us more.',
)


def _top(page: Page) -> None:
  page.line(page.say('news_headline'))
  if page.rng.chance(0.7):
    page.line(page.say('news_by'))
  page.blank()


def _voices(page: Page) -> None:
  said = page.rng.pick(['event', 'habit', 'state', 'witness', 'fame'])
  page.paragraph(
    *page.maybe(0.5, 'news_voices'),
    page.quote(said, 'news_said'),
    *page.maybe(0.5, 'reason'),
  )


def _subject_speaks(page: Page) -> None:
  page.paragraph(
    *page.maybe(0.5, 'news_asked'),
    page.quote('reason', 'quoted_subject', me=True),
    *page.maybe(0.5, 'more'),
    *page.several(TOLD, 0, 1),
  )


def _profile(page: Page) -> None:
  _top(page)
  page.line(page.say('news_lead'), page.say('state'), *page.maybe(0.4, 'habit'))
  _subject_speaks(page)
  _voices(page)
  if page.rng.chance(0.6):
    page.paragraph(page.say('news_background'), *page.several(TOLD, 1, 2))
  if page.rng.chance(0.4):
    page.paragraph(page.say('news_later'))


def _market_day(page: Page) -> None:
  _top(page)
  page.line(
    page.say('news_place'),
    page.say('news_background'),
    page.say(page.rng.pick(['event', 'choice'])),
  )
  for section in page.rng.shuffled([_voices, _subject_speaks]):
    section(page)
  page.paragraph(page.say('news_later'), *page.maybe(0.5, 'news_background'))


def _brief(page: Page) -> None:
  _top(page)
  page.line(
    page.say('news_place'),
    *page.maybe(0.4, 'news_lead'),
    *page.several(TOLD, 2, 4),
    page.say('reason'),
    *page.maybe(0.5, 'news_background'),
  )


def _points(page: Page) -> None:
  _top(page)
  page.line(page.say('news_points'))
  for _ in range(2 + page.rng.below(3)):
    page.line(*page.several(TOLD, 1, 1), mark='- ')
  page.line(page.say('reason'), mark='- ')
  page.paragraph(page.say('news_lead'), *page.several(TOLD, 1, 2))
  if page.rng.chance(0.6):
    _subject_speaks(page)


def _street(page: Page) -> None:
  _top(page)
  page.line(page.say('news_lead'), *page.maybe(0.5, 'aside'))
  page.paragraph(page.say('news_voices'))
  for _ in range(2 + page.rng.below(2)):
    said = page.rng.pick(['event', 'habit', 'state', 'witness', 'fame'])
    page.line(page.quote(said, 'news_said'), *page.maybe(0.3, 'choice'))
  _subject_speaks(page)


def _short(page: Page) -> None:
  _top(page)
  page.line(
    *page.maybe(0.5, 'news_place'),
    *page.several(TOLD, 2, 3),
    page.say('reason'),
  )


def write(page: Page) -> None:
  forms = [_profile, _market_day, _brief, _points, _street]
  (_short if page.is_short else page.rng.pick(forms))(page)
