"""Blog posts: a title, a scene, what was seen, what was learnt."""

from data_gen.pages import Page
from data_gen.templates import bank

TITLE = bank(
  'blog_title',
  'A day with {N}',
  'What I learned from {N}',
  'Notes on {N} and {topic}',
  'On {nouns}, and on {N}',
)
BY = bank('blog_by', 'A blog post by {P}', 'By {P}, on a quiet {day}')
SCENE = bank(
  'blog_scene',
  'I spent {day} in {town} with {N}.',
  'Last week I went to the market with {N}.',
  'My friend {N} came to see me on {day}.',
  'It began with a walk through {town}.',
)
LESSON = bank(
  'blog_lesson',
  'I have thought about this all week.',
  'I want to remember that.',
  'That is what stays with me.',
  'I will write more next week.',
)


def write(page: Page) -> None:
  rng = page.rng
  author = page.people[0]
  page.line(page.say('blog_title'))
  if rng.chance(0.6):
    page.line(page.say('blog_by', person=author))
  page.paragraph(
    page.say('blog_scene', speaker=author),
    *([page.say('aside', speaker=author)] if rng.chance(0.6) else []),
    page.say('state', speaker=author),
  )
  for _ in range(1 + rng.below(2)):
    kinds = rng.shuffled(['choice', 'event', 'habit', 'state'])[
      : 1 + rng.below(3)
    ]
    page.paragraph(
      *[page.say(k, speaker=author) for k in kinds], page.say('reason')
    )
  page.paragraph(page.say('reason'), page.say('blog_lesson'))
