"""Blog posts: days out, lists, opinions, visits, with and without comments."""

from data_gen.miniature.pages import Page
from data_gen.miniature.templates import bank

ABOUT = ('state', 'habit', 'event', 'choice', 'advice', 'plan', 'fame')

TITLE = bank(
  'blog_title',
  'A day with {N}',
  'What I learned from {N}',
  'Notes on {N} and {topic}',
  'On {nouns}, and on {N}',
  'The {noun}, my friend {N} and I',
  'How to choose {nouns}: a visit with {N}',
  'My week in {town}',
)
BY = bank(
  'blog_by',
  'A blog post by {P}',
  'By {P}, on a quiet {day}',
  'Written in {town} by {P}',
)
SCENE = bank(
  'blog_scene',
  'I spent {day} in {town} with {N}.',
  'Last week I went to the market with {N}.',
  'My friend {N} came to see me on {day}.',
  'It began with a walk through {town} and a talk with {N}.',
  'I needed {a_noun}, and so I asked {N} to come along.',
  'Some of you know {N} from what I wrote about {others}.',
  'There is one person I have wanted to write about for a long time: {N}.',
)
WALK = bank(
  'blog_walk',
  'We went into the first shop.',
  'Then we walked on to the next window.',
  'In the second shop, it was the same.',
  'We sat near the river and talked for an hour.',
  'On the bus home, I asked about it.',
  'I looked at all of it and could not say a word.',
  'I would have taken the first {noun}, but not {N}.',
)
LESSON = bank(
  'blog_lesson',
  'I have thought about this all week.',
  'I want to remember that.',
  'That is what stays with me.',
  'I will write more next week.',
  'Maybe you know someone like {N}, too.',
  'And you, how do you choose your {nouns}?',
  'It was a good day, and I learned a lot.',
)
CLAIM = bank(
  'blog_claim',
  'Today I want to tell you how {N} chooses {nouns}.',
  'You can learn a lot about {topic} from one person.',
  'Not many people think about {nouns} at all. One does: {N}.',
  'People ask me about {N} all the time, so here is the whole story.',
)
OTHERS = bank(
  'blog_others',
  'Not everyone does it that way.',
  'Some of my friends laughed when I told them.',
  'I know that {P} sees it in another way.',
  'You may say that {a_noun} is just {a_noun}.',
  'At first I did not understand it.',
)
LIST = bank(
  'blog_list',
  'Here is what I wrote down:',
  'Some things I saw that day:',
  'My notes from the visit:',
)
PART = bank(
  'blog_part',
  'The morning',
  'The evening',
  'At the market',
  'On the way home',
  'At home',
  'A week later',
)
COMMENT = bank('blog_comment', 'Comment by {P}:', 'Below this, {P} wrote:')


def _comments(page: Page) -> None:
  for number in range(1 + page.rng.below(2)):
    who = page.people[1 + number]
    page.line(
      page.say('blog_comment', person=who),
      page.say('reaction'),
      *page.maybe(0.3, 'witness'),
    )


def _day(page: Page) -> None:
  author = page.people[0]
  page.paragraph(
    page.say('blog_scene'),
    *page.maybe(0.6, 'aside', speaker=author),
    page.say('state'),
  )
  for _ in range(1 + page.rng.below(2)):
    page.paragraph(
      page.say('blog_walk'),
      *page.several(ABOUT, 1, 3, speaker=author),
      *page.maybe(0.5, 'reason', speaker=author),
    )
  page.paragraph(
    page.say('reason', speaker=author),
    *page.maybe(0.4, 'more'),
    page.say('blog_lesson'),
  )


def _list(page: Page) -> None:
  author = page.people[0]
  page.paragraph(page.say('blog_scene'), page.say('blog_list'))
  for _ in range(2 + page.rng.below(3)):
    page.line(*page.several(ABOUT, 1, 1, speaker=author), mark='- ')
  for _ in range(1 + page.rng.below(2)):
    page.line(page.say('reason', speaker=author), mark='- ')
  page.paragraph(page.say('state'), page.say('blog_lesson'))


def _opinion(page: Page) -> None:
  author = page.people[0]
  page.paragraph(
    page.say('blog_claim'), *page.several(ABOUT, 1, 2, speaker=author)
  )
  page.paragraph(
    page.say('blog_others'),
    *page.maybe(0.4, 'blog_others'),
    page.say('why'),
    page.say('reason', speaker=author),
    *page.maybe(0.6, 'more'),
  )
  page.paragraph(
    *page.several(ABOUT, 1, 2, speaker=author),
    *page.maybe(0.4, 'reason', speaker=author),
    page.say('blog_lesson'),
  )


def _parts(page: Page) -> None:
  author = page.people[0]
  page.paragraph(page.say('blog_scene'), *page.maybe(0.5, 'aside'))
  n_parts = 2 + page.rng.below(2)
  for number in range(n_parts):
    page.paragraph(page.say('blog_part'))
    last = number + 1 == n_parts
    page.line(
      *page.maybe(0.4, 'aside', speaker=author),
      *page.several(ABOUT, 1, 3, speaker=author),
      *page.maybe(1.0 if last else 0.4, 'reason', speaker=author),
    )


def _talk(page: Page) -> None:
  author = page.people[0]
  page.paragraph(page.say('blog_scene'), page.say('blog_walk'))
  page.paragraph(
    page.quote('state', 'quoted_subject', me=True),
    *page.maybe(0.5, 'aside', speaker=author),
  )
  page.paragraph(
    page.say('blog_walk'),
    page.say('choice', speaker=author),
    page.quote('reason', 'quoted_subject', me=True),
  )
  page.paragraph(*page.several(ABOUT, 1, 2), page.say('blog_lesson'))


def _short(page: Page) -> None:
  page.line(
    *page.maybe(0.5, 'blog_scene'),
    *page.several(ABOUT, 2, 3),
    page.say('reason'),
  )


def write(page: Page) -> None:
  page.line(page.say('blog_title'))
  if page.rng.chance(0.6):
    page.line(page.say('blog_by', person=page.people[0]))
  if page.is_short:
    _short(page)
    return
  page.rng.pick([_day, _list, _opinion, _parts, _talk])(page)
  if page.rng.chance(0.3):
    page.blank()
    _comments(page)
