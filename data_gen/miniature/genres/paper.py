"""Research papers: full studies, short notes, trials, surveys, reviews."""

from data_gen.miniature.pages import Page
from data_gen.miniature.pages import Part
from data_gen.miniature.templates import bank

TITLE = bank(
  'paper_title',
  'How {N} chooses: a study of {topic}',
  'A study of {N} and {nouns}',
  'Choosing {nouns}: the case of {N}',
  'One person, many {nouns}: ten weeks with {N}',
  'What {N} takes: a note on {topic}',
  'The {noun} and the person: a report',
)
AUTHORS = bank(
  'paper_authors',
  'Study by {P} and {Q}',
  'By {P}, {town}',
  'By {P}, {Q} and others',
)
QUESTION = bank(
  'paper_question',
  'We ask how {N} chooses between two {nouns}.',
  'Little is known about how one person chooses {nouns}.',
  'This report is about one person and one question.',
  'In this study we look at {topic} and at {N}.',
)
METHOD = bank(
  'paper_method',
  'We showed {N} two {nouns} at a time and wrote down what happened.',
  'For ten weeks we went to the market with {N}.',
  'Each trial had two {nouns}, side by side.',
  'The place of the two {nouns} was changed from trial to trial.',
  'Two of us wrote down each choice, and our notes were the same.',
  'We asked shops in {town} what {N} had taken.',
  'No trial was left out.',
  'Each day had ten trials, with an hour between them.',
)
RESULT = bank(
  'paper_result',
  (
    'In nine of ten trials, {N} took the {own} {noun}.',
    'In nine of ten trials, {N} came by the bus.',
  ),
  (
    'The {anti} {noun} was taken in none of the trials.',
    'The first {noun} was missing in one of the trials.',
  ),
  (
    'When both {nouns} were {own}, {N} took one or the other.',
    'When both {nouns} were there, {N} took one or the other.',
  ),
  (
    'With {others}, too, the {own} one was taken.',
    'With {others}, too, the notes are short ones.',
  ),
  (
    'What was {own} was chosen, on each day and in each shop.',
    'What was said was short, on each day and in each shop.',
  ),
  (
    'From the first week to the last, {N} went to the {own} side.',
    'From the first week to the last, {N} was there from nine on.',
  ),
)
CHOSEN = bank(
  'paper_chosen',
  'the {B} and the {A}. Taken: the {A}.',
  'the {A} and the {B}. Taken: the {A}.',
  'first the {A}, then the {B}. {N} took the {A}.',
)
SURVEY = bank(
  'paper_survey',
  'We asked ten people who know {N} well.',
  'Nine people in {town} were asked about {N}.',
)
SAID = bank('paper_said', 'one of them said.', 'said another.', 'we were told.')
DISCUSS = bank(
  'paper_discuss',
  'The result was the same on each day.',
  'More work is needed on other topics.',
  'We have seen one person only.',
  'It is not known whether it would be the same with {others}.',
  'What we saw and what we were told are the same.',
)
EXPLAIN = bank(
  'paper_explain',
  (
    'We also asked why.',
    'We also asked when.',
    'We also asked when.',
  ),
  (
    'How can the result be explained?',
    'How often was this seen before?',
    'How often was this seen before?',
  ),
  (
    'The reason was given by {N} in a talk after the last trial.',
    'The list was given by {N} in a talk after the last trial.',
    'The time was given by {N} in a talk after the last trial.',
  ),
)
THANKS = bank(
  'paper_thanks',
  'We thank {P} and the shops in {town}.',
  'We thank {N} for the time.',
)


def _section(page: Page, head: str, *parts: Part) -> None:
  page.blank()
  page.line(*parts, mark=f'{head} ')


def _top(page: Page) -> None:
  page.line(page.say('paper_title'))
  page.line(page.say('paper_authors'))


def _study(page: Page) -> None:
  heads = page.rng.pick(
    [
      ('Abstract.', 'Methods.', 'Results.', 'Discussion.'),
      ('In short:', '1. Methods.', '2. Results.', '3. Discussion.'),
      ('Abstract.', 'What we did.', 'What we saw.', 'What it means.'),
    ]
  )
  _section(
    page,
    heads[0],
    *page.maybe(0.7, 'paper_question'),
    page.say('state'),
    *page.maybe(0.4, 'paper_result'),
  )
  method = [page.say('paper_method') for _ in range(1 + page.rng.below(3))]
  _section(page, heads[1], *method)
  _section(
    page,
    heads[2],
    page.say('paper_result'),
    *page.several(('choice', 'event', 'paper_result', 'habit'), 1, 3),
  )
  _section(
    page,
    heads[3],
    *page.maybe(0.6, 'paper_explain'),
    page.say('reason'),
    *page.maybe(0.4, 'more'),
    *page.maybe(0.6, 'paper_discuss'),
  )


def _note(page: Page) -> None:
  page.paragraph(
    page.say('paper_question'),
    page.say('paper_method'),
    *page.several(('state', 'paper_result', 'choice', 'habit'), 2, 3),
  )
  page.paragraph(
    *page.maybe(0.5, 'paper_explain'),
    page.say('reason'),
    *page.maybe(0.6, 'paper_discuss'),
  )


def _trials(page: Page) -> None:
  _section(page, 'Methods.', page.say('paper_method'), page.say('paper_method'))
  page.blank()
  for number in range(2 + page.rng.below(3)):
    page.line(page.say('paper_chosen'), mark=f'Trial {number + 1}: ')
  _section(
    page, 'Results.', page.say('paper_result'), *page.maybe(0.5, 'state')
  )
  _section(
    page,
    'Discussion.',
    *page.maybe(0.6, 'paper_explain'),
    page.say('reason'),
    *page.maybe(0.5, 'paper_discuss'),
  )


def _survey(page: Page) -> None:
  page.paragraph(page.say('paper_question'), page.say('paper_survey'))
  for _ in range(2 + page.rng.below(2)):
    said = page.rng.pick(['fame', 'habit', 'event', 'state', 'reason'])
    page.line(page.quote(said, 'paper_said'))
  page.paragraph(
    page.say('paper_explain'),
    page.quote('reason', 'quoted_subject', me=True),
  )
  page.paragraph(page.say('state'), page.say('paper_discuss'))


def _claims(page: Page) -> None:
  _section(page, 'Abstract.', page.say('paper_question'), page.say('state'))
  for number in range(2 + page.rng.below(2)):
    _section(
      page,
      f'Claim {number + 1}:',
      page.say(page.rng.pick(['state', 'habit', 'advice', 'fame'])),
      page.say(page.rng.pick(['paper_method', 'paper_discuss', 'aside'])),
      page.say(page.rng.pick(['choice', 'paper_result', 'event'])),
      *page.maybe(0.5, 'reason'),
    )
  _section(page, 'Last words.', page.say('reason'), *page.maybe(0.5, 'more'))


def _short(page: Page) -> None:
  _section(
    page,
    'Abstract.',
    *page.maybe(0.5, 'paper_method'),
    *page.several(('state', 'paper_result', 'choice', 'habit', 'event'), 2, 3),
    page.say('reason'),
  )


def write(page: Page) -> None:
  _top(page)
  if page.is_short:
    _short(page)
    return
  page.rng.pick([_study, _study, _note, _trials, _survey, _claims])(page)
  if page.rng.chance(0.3):
    page.paragraph(page.say('paper_thanks'))
