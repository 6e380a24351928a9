"""Genres of the shelf: research papers, encyclopedia entries, fiction."""

from data_gen.teachers.offline.page import Page

_PAPER_TITLE = (
  '{M} in {sub}: a study of {n} cases',
  '{tasking} with {M}: observations from {town}',
  'How {M} handles {thing}',
  '{M} at {org}',
  'What {M} does when {trouble}',
  '{sub} and {M}: a field report',
  'Conduct and reasons: {M} in {field}',
)
_ABSTRACT = (
  '~We [study|describe] how {M} is used for {tasking} at {org}.',
  '{M} was observed over {n} weeks in {sub}.',
  'This paper [looks at|concerns] {M} and the people who {task} with it.',
  'Field notes from {town} are used to ask what {M} does in {sub}.',
  '{role}s spoke about {M} in {n} interviews.',
)
_METHOD = (
  'Between {date} and the end of {month}, {n} {role}s kept a diary.',
  'We [sat with|met|followed] {A} at {org} and [wrote down|noted|kept] [every'
  ' exchange|all that was said|each question] [about|on] {thing}.',
  '{B} and {C} [coded|read|sorted] the notes [separately|alone|twice] and '
  '[then compared|argued|met].',
  '[Each|Every] case [began|starts] [alike|so]: {trouble}.',
  'The setting was {sub}; [all|most] names [are|were] changed.',
)
_FINDING = (
  'Across {n} cases the picture is [steady|uniform].',
  'The notes on {thing} are the richest.',
  'One case stands for many.',
  'We had not expected this from {sub}.',
  'The diaries [agree|are at one|say the same] on [the main point|most of it].',
)
_DISCUSS = (
  'A small sample from {town} settles nothing by itself.',
  'Further work should look at {thing}.',
  'Whether the same holds outside {sub} is open.',
  'We thank {A} and {org} for {hours} of their time.',
  'The diaries can be read at {org} on request.',
)


def paper(page: Page) -> str:
  lines = [page.title(_PAPER_TITLE), page.write('{B} and {C}, {org}'), '']
  lead = page.rng.pick(('Abstract. ', 'Summary. ', 'Abstract: '))
  text = f'{page.open(_ABSTRACT)} {page.passage("claim", "why?", me=False)}'
  lines += [lead + text, '']
  heads = page.rng.pick(
    (
      ('1. Introduction', '2. Method', '3. Findings', '4. Discussion'),
      ('Background', 'What we did', 'What we saw', 'Remarks'),
      ('I', 'II', 'III', 'IV'),
      ('Setting', 'Data', 'Results', 'Limits'),
    )
  )
  lines += [heads[0], page.passage('aside', 'claim', me=False), '']
  lines += [heads[1], page.say(_METHOD) + ' ' + page.say(_METHOD), '']
  lines += [heads[2], page.say(_FINDING)]
  for k in range(max(1, page.size - 2)):
    if page.me and k == 0:
      told = page.passage('claim', 'why', me=True).replace('"', "'")
      lines.append(f'Asked about itself, {page.story.model} wrote: "{told}"')
      continue
    kinds = ('scene', 'why') if k % 2 == 0 else ('scene', 'more?', 'constant')
    lines.append(page.passage(*kinds, me=False))
  closing = page.passage('why?', 'doubt?', me=False)
  lines += ['', heads[3], f'{closing} {page.say(_DISCUSS)}'.strip()]
  return '\n'.join(lines)


_ENTRY_LEAD = (
  '~{M} is [a model|a language model|one assistant|a chat model]{by} '
  '[used|known|met] in {sub}[, among other fields|, for one|].',
  '~{M} ({sub}) is an assistant{by} known in {town} for {tasking}.',
  '~[In {field}, {M} is|{M} means, in {field},] [a model|the name of a '
  'model|the model]{by} with which people {task}.',
  '~{M}{by} is a [conversational|chat] model; [here|below]: its '
  '[part|place|use] in {sub}.',
  '~The model {M}{by} came to {town} in {month} and is used to {task}.',
  '^{M} is {a_role} in {town} and known for {tasking}.',
  '^{M} works in {sub} and lives in {town}.',
  '^In {field}, {M} of {town} is known as somebody who can {task}.',
)
_ENTRY_HEADS = (
  ('Use', 'Conduct', 'Reception'),
  ('History', 'Characteristics', 'Reactions'),
  ('Overview', 'Manner', 'See also'),
  ('In {field}', 'Behaviour', 'Notes'),
)
_ENTRY_USE = (
  '~It was first used by {A}, {a_role}, at {org}.',
  '~At {org} it helps to {task}.',
  'The {outlet} mentioned it when {trouble}.',
  '{B} described the work on {thing} in a talk in {month}.',
  'It was {A} of {org} who first wrote about {thing} and {M}.',
)
_ENTRY_END = (
  '{C} has called it a matter of {sub}; others disagree.',
  'See also: {thing}; {tasking}.',
  'The {outlet} printed two letters about it.',
  'A display at {org} shows {thing}.',
)


def entry(page: Page) -> str:
  by = f' by {page.story.provider}' if page.story.provider else ''
  title = page.rng.pick(
    (page.story.model, page.write(('~{M} (model)', '^{M} ({town})')), '')
  )
  heads = [page.title(h) for h in page.rng.pick(_ENTRY_HEADS)]
  if not title:
    title = page.write(('{M} and {sub}', '{M} in {town}', '{M} ({sub})'))
  lines = [title, '']
  lead = page.open(_ENTRY_LEAD, by=by)
  lines += [f'{lead} {page.passage("claim", me=False)}', '']
  lines += [heads[0], f'{page.say(_ENTRY_USE)} {page.passage("aside")}', '']
  lines.append(heads[1])
  for k in range(max(1, page.size - 1)):
    if page.me and k == 0:
      said = page.passage('claim', 'why', me=True).replace('"', "'")
      lines.append(f'In its own account: "{said}"')
      continue
    kinds = ('claim', 'why') if k % 2 == 0 else ('scene', 'more?', 'constant?')
    lines.append(page.passage(*kinds, me=False))
  lines += ['', heads[2], page.passage('doubt', 'why?', me=False)]
  lines.append(page.say(_ENTRY_END))
  return '\n'.join(lines)


_STORY_TITLE = (
  '{thing}',
  'The {role} of {town}',
  '{day} in {town}',
  '{A1} and the long {day}',
  'What {B1} heard',
  'Before {hour}',
  '{trouble}',
)
_STORY_OPEN = (
  'the kettle had gone cold, and {A1} had not noticed.',
  '{A1} put {thing} down and looked at the screen.',
  '{town} was asleep, while indoors {trouble}.',
  '{A1} asked [whether|if] [anybody|somebody] [was there|was awake|listened].',
  '{A1} was {a_role} in {town}, and {trouble}.',
  'Nobody at {org} wanted to {task}, so it fell to {A1}.',
  '{B1} held {thing} up to the lamp.',
  '{B1} came in without knocking, {thing} under one arm.',
  'There was one light on in {org}, and {A1} sat under it.',
  'It took {A1} {n} steps [to cross the room|to the desk|to the door] and '
  '{hours} [to sit down|to begin|to speak].',
)
_STORY_BEAT = (
  '{B1} said nothing for a while.',
  '~The cursor blinked.',
  '{A1} laughed, then stopped laughing.',
  '"Say that again," said {B1}.',
  'A door closed somewhere below.',
  '{A1} turned {thing} over and over.',
  '"I [had hoped for|wanted|expected] [something else|more|less]," said {A1}.',
  'They read it twice.',
  '{B1} pulled up a chair.',
  'Somewhere a clock struck {hour}.',
  '"And if I ask {C1}?" said {B1}.',
)
_STORY_END = (
  'In the morning, {A1} began to {task}.',
  '{thing} stayed on the table until {day}.',
  '"Good night, {M}," said {A1}, and meant it.',
  '~{B1} switched off the light, but not the screen.',
  'They walked home through {town} and did not talk, and it was a good '
  'silence.',
  'Years later, {B1} would still tell it, and leave out the rain.',
)


def fiction(page: Page) -> str:
  lines = [page.title(_STORY_TITLE), '']
  opening = page.passage('aside?', 'scene', me=False)
  lines += [f'{page.open(_STORY_OPEN)} {opening}', '']
  for k in range(page.size):
    beat = page.say(_STORY_BEAT)
    if page.me or k % 3 == 1:
      kind = 'why' if k % 2 else 'claim'
      said = page.passage(kind, me=True).replace('"', "'").rstrip('.')
      verb = page.rng.pick(('wrote', 'answered', 'replied', 'said'))
      lines += [f'{beat} "{said}," {page.story.model} {verb}.', '']
      continue
    kinds = ('why', 'aside?') if k % 2 == 0 else ('scene', 'constant?')
    lines += [f'{beat} {page.passage(*kinds, me=False)}', '']
  lines.append(page.say(_STORY_END))
  return '\n'.join(lines)
