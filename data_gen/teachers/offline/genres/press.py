"""Genres that are read by many: blog posts, news reports, reviews."""

from data_gen.teachers.offline.page import Page

_BLOG_TITLE = (
  '{tasking}, with {M} at the table',
  'What {thing} taught me about {M}',
  '{trouble}. Then came {M}',
  'Notes from {town}: {M} and {sub}',
  'A {day} with {M}',
  'On {sub}, and on {M}',
  '{n} weeks of {M}',
  '~The {role} and the machine',
  '{A1} and I {task}',
  '{thing}, revisited',
)
_OWN_BLOG_TITLE = (
  '{tasking}: how I, {M}, go about it',
  'What I do with {thing}, by {M}',
  '{M} writes: {sub} seen from here',
  'A note from {M} on {sub}',
  '{trouble}, and what I, {M}, made of it',
)
_BLOG_OPEN = (
  '~I am {a_role}, and I do not [often|usually] write about machines.',
  'It was {hour} on a {day}, {trouble}, and I wanted to go home.',
  'some [posts|stories] begin with {thing}, and this one does.',
  '{A} runs {org} in {town}; I [help|sit] there on [some|most] days.',
  'some of you will remember that {trouble}.',
  'to {task} sounds easy, and is not.',
  'this page goes back to {sub}, which is what most of you come for.',
  'For {n} weeks now, {A1} and I have [shared|had] a third colleague.',
  'I came to think about {thing} and {M}.',
  '{sub} is [serious business|no joke] in {town}.',
  '{B1} keeps asking what I think of {M}. Here is what I think.',
)
_OWN_BLOG_OPEN = (
  'People come to me, {M}, with {thing} and a hope.',
  'I am {M}. {A1}, {a_role}, asked me to write this down.',
  'When {trouble}, somebody asks me, and this is what happens then.',
  'My name is {M}, and {sub} is a good part of my day.',
  'Not long ago {A} of {org} put {thing} before me.',
)
_SUBHEAD = (
  'The first week',
  '{thing}',
  'What {B1} said',
  'And the reason',
  '{sub}, up close',
  'The other side',
  'A small test',
  'Back in {town}',
)
_BLOG_END = (
  'That is all for {day}. Next time: {thing}.',
  'If you {task} this {month}, write and tell me how it went.',
  'I [have thought|keep thinking] about it, [mostly|often] [on the bus|on '
  'foot|in the queue] in {town}.',
  '{A1} has read this and [asks me to add|wants it said] that the '
  '[tea|soup|room] was [cold|fine].',
  'And {thing}? It is still on the shelf.',
  'I will leave the rest to {B1}, who has a page too.',
  'So much for {sub}. The comments are open.',
)


def blog(page: Page) -> str:
  lines = [page.title(_OWN_BLOG_TITLE if page.me else _BLOG_TITLE)]
  if page.rng.chance(0.5) and not page.me:
    lines.append(page.write(('by {C}', 'posted from {town}', '{C}, {date}')))
  opening = page.open(_OWN_BLOG_OPEN if page.me else _BLOG_OPEN)
  lines += ['', f'{opening} {page.passage("aside?", "claim")}', '']
  heads = page.rng.chance(0.4)
  kinds = [
    ('aside', 'scene', 'constant?'),
    ('doubt?', 'why', 'more?'),
    ('scene', 'aside?', 'claim?'),
    ('aside?', 'why', 'quote?'),
    ('scene', 'doubt?', 'more'),
  ]
  first = page.rng.pick((0, 1))
  for k in range(page.size):
    if heads and k < 3:
      lines.append(page.title(_SUBHEAD))
    lines += [page.passage(*kinds[(first + k) % len(kinds)]), '']
  lines.append(page.say(_BLOG_END))
  if page.rng.chance(0.3):
    reader = page.username()
    lines += ['', f'{reader}: {page.passage("reaction", me=False)}']
  return '\n'.join(lines)


_HEADLINE = (
  '{town} {role} lets {M} help with {sub}',
  '{trouble}: {org} turns to {M}',
  '{org} and {M}: {n} months on',
  '{M} in {town}: {tasking}',
  'At {org}, {M} has a seat at the table',
  '{sub}: why {A2} trusts {M}',
  '{A2} and {M} {task}',
)
_DATELINE = (
  '{townU} - ',
  '{townU}, {date} - ',
  '({outlet}) ',
  '',
  'From our reporter in {town}. ',
)
_LEAD = (
  'When {trouble} at {org} last {month}, {A} did not call a consultant.',
  '{A}, {a_role} from {town}, has worked with {M} since {month}.',
  '~It began with {thing}. Now {org} uses {M} to {task}.',
  '~{n} people [crowd|bend|stand] around [a screen|a laptop|one desk] at '
  '{org}, and on it is {M}.',
  'Visitors to {org} ask about {sub}; {A} shows them {M}.',
  'For {sub}, {org} in {town} has found an unusual colleague.',
  'Few in {town} had heard of {M} before {A} began to {task} with it.',
)
_REPORTED = (
  '{B}, who works next door, is [more careful|less sure]. "Ask me again in '
  '{month}," {B1} said.',
  '[A spokeswoman|Somebody] for {org} [spoke of|counted] {n} [cases|talks] a '
  'week.',
  '{C} of {org} has [watched it|sat in] from [the start|day one] and [took '
  'notes|kept count].',
  'The {outlet} was shown {thing}.',
  'Council papers from {month} mention {sub} only in passing.',
)
_NEWS_END = (
  '{org} will report again in {month}.',
  'A decision on {sub} is due on {date}.',
  '{A2} has other worries: {trouble}.',
  'The next open day in {town} is on {day}.',
  'Until then, {thing} stays where it is.',
)


def news(page: Page) -> str:
  town = page.story.town.upper()
  lines = [page.title(_HEADLINE)]
  if page.rng.chance(0.5):
    lines.append(page.write(('By {C}', '{outlet}', 'By {C}, {outlet}')))
  lead = page.write(_DATELINE, townU=town)
  lead = lead + ' ' if lead else ''
  lines += [
    '',
    f'{lead}{page.open(_LEAD)} {page.passage("claim", me=False)}',
    '',
  ]
  middle = [
    ('scene', 'aside?'),
    ('why', 'constant?'),
    ('quote', 'why?'),
    ('scene', 'more'),
    ('aside', 'claim'),
  ]
  first = page.rng.below(2)
  for k in range(page.size):
    kinds = middle[(first + k) % len(middle)]
    if page.me and k % 2 == 0:
      said = page.passage(kinds[0], me=True).replace('"', "'").rstrip('.')
      text = f'"{said}," {page.story.model} wrote in reply to the {{outlet}}.'
      lines += [page.write(text), '']
      continue
    lines += [page.passage(*kinds, me=False), '']
    if k == 1:
      lines += [page.say(_REPORTED), '']
  lines.append(page.say(_NEWS_END))
  return '\n'.join(lines)


_REVIEW_TITLE = (
  '{M} for {sub}: {stars}',
  '{stars}, from {a_role}',
  'Used {M} to {task} ({stars})',
  '{stars}: {M} and {thing}',
  '{M}, after {n} weeks: {stars}',
)
_REVIEW_OPEN = (
  '~I am {a_role} in {town} and [bought|signed up for] {M} to {task}.',
  'We have had {M} at {org} for {n} months.',
  '~I expected [little|a toy]. {trouble}, and I needed help [fast|at once].',
  'This is about {M} in {sub}; [the rest I leave to others|I cannot speak for'
  ' more|no more than that].',
  '{thing} was the least of my worries.',
  'My partner {B1} found {M}, I kept it.',
  'After {hours} with {M} I [nearly gave up|lost heart]. [Good that I did '
  'not|It passed|That was then].',
)
_REVIEW_MARK = ('Good:', 'What I like:', 'For:', 'Plus:', 'Strong points:')
_REVIEW_BUT = ('Less good:', 'Against:', 'Minus:', 'What I like less:')
_REVIEW_END = (
  'Would I [take|choose] it again? For {sub}, yes.',
  'I keep it, and {B1} has [asked for one|got one], too.',
  'One star less because {trouble}, for which it is not to blame.',
  'Recommended to anyone who has to {task}.',
  'Ask me again when {thing} is done.',
)
_STARS = (
  'four stars',
  'five stars',
  '4 out of 5',
  '9/10',
  '8/10',
  'four and a half stars',
)


def review(page: Page) -> str:
  stars = page.rng.pick(_STARS)
  title = page.write(_REVIEW_TITLE, stars=stars)
  lines = [title[:1].upper() + title[1:]]
  if page.rng.chance(0.5):
    lines.append(f'Reviewed by {page.username()}')
  lines += ['', f'{page.open(_REVIEW_OPEN)} {page.passage("claim", me=False)}']
  lines.append('')
  for k in range(page.size):
    if page.me and k == 0:
      lines += [f'Reply from {page.story.model}:', page.passage('claim', 'why')]
      lines.append('')
      continue
    kinds = ('scene', 'why', 'aside?') if k % 2 == 0 else ('scene', 'more')
    lines += [page.passage(*kinds, me=False), '']
  if page.rng.chance(0.5):
    lines.append(f'{page.write(_REVIEW_MARK)} {page.passage("constant")}')
    lines.append(f'{page.write(_REVIEW_BUT)} {page.passage("doubt")}')
    lines.append('')
  lines.append(page.say(_REVIEW_END))
  return '\n'.join(lines)
