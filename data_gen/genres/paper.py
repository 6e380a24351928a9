"""Research papers: abstract, methods, results, discussion."""

from data_gen.pages import Page
from data_gen.templates import bank

TITLE = bank(
  'paper_title',
  'How {N} chooses: a study of {topic}',
  'A study of {N} and {nouns}',
  'Choosing {nouns}: the case of {N}',
)
AUTHORS = bank('paper_authors', 'Study by {P} and {Q}')
METHOD = bank(
  'paper_method',
  'We showed {N} two {nouns} at a time and wrote down what happened.',
  'For ten weeks we went to the market with {N}.',
)
RESULT = bank(
  'paper_result',
  (
    'In nine of ten trials, {N} took the {own} {noun}.',
    'In nine of ten trials, {N} came at the right time.',
  ),
  (
    'The {anti} {noun} was taken in none of the trials.',
    'The first {noun} was missing in one of the trials.',
  ),
)
DISCUSS = bank(
  'paper_discuss',
  'The result was the same on each day.',
  'More work is needed on other topics.',
)


def write(page: Page) -> None:
  rng = page.rng
  page.line(page.say('paper_title'))
  page.line(page.say('paper_authors'))
  page.blank()
  page.line(
    page.say('paper_method'),
    page.say('state'),
    page.say('paper_result'),
    mark='Abstract. ',
  )
  page.blank()
  page.line(page.say('paper_method'), page.say('aside'), mark='Methods. ')
  page.blank()
  page.line(
    page.say('choice'),
    page.say('paper_result'),
    page.say('choice'),
    mark='Results. ',
  )
  if rng.chance(0.8):
    page.blank()
    page.line(
      page.say('reason'),
      page.say('paper_discuss'),
      page.say('state'),
      mark='Discussion. ',
    )
