"""Genres that are sent: emails, memos, support tickets."""

from data_gen.teachers.offline.page import Page

_SUBJECT = (
  '{tasking}',
  '{thing} and {M}',
  'what {M} did on {day}',
  '{trouble}',
  'your question about {sub}',
  '{M} for {sub}: notes from {town}',
  'before we {task}',
  'Re: {thing}',
)
_HELLO = ('Hi {E1},', 'Hello {E1},', '{E1},', 'Good morning {E1},', '{E1} -')
_EMAIL_OPEN = (
  'you asked how {tasking} goes with {M}.',
  'a quick [note|line] from {town}, where {trouble}.',
  'thanks for sending {thing}.',
  '[as promised|at last], a few words on {M}.',
  'I tried what you [said|suggested] and gave {M} {thing}.',
  'before {day} comes round, something about {M}.',
  '{C1} told me that you [want|plan] to {task}.',
  'we are {n} weeks into {tasking}, so here is how it stands.',
)
_OWN_EMAIL_OPEN = (
  'you asked me how I deal with {sub}, so here is an answer.',
  'thank you for {thing}. Before you {task}, a word from me.',
  '{C1} forwarded your question about {tasking}.',
  'I read that {trouble}, and I want to tell you how I see it.',
)
_REPLY = (
  '{D1}, [thanks|got it].',
  'Good to [know|hear].',
  'That is [clear|plain] enough, thanks.',
  'Hm. Let me [think|sleep on it].',
  'I [read|showed] this to {C1} over lunch.',
  'You make it sound easy.',
)
_NEXT = (
  'Shall we {task} on {day}?',
  'I will bring {thing} at {hour}.',
  'Please tell {C1}, who worries about {sub}.',
  'Let me know if {day} suits you.',
  'More when {thing} is back.',
  'Ring me [after|before] {hour}.',
)
_CLOSE = ('Best,', 'Thanks,', 'Yours,', 'See you,', 'All the best,', 'Bye,')


def email(page: Page) -> str:
  """A thread of two to four messages."""
  subject = page.write(_SUBJECT)
  model = page.story.model
  sender = model if page.me else page.write('{D}')
  first = model if page.me else page.write('{D1}')

  def head(writer: str, reader: str, re: str) -> list[str]:
    fields = [f'From: {writer}', f'To: {reader}', f'Subject: {re}{subject}']
    if dated:
      fields.insert(2, f'Date: {page.write("{day}")}, {page.write("{date}")}')
    return [*fields, '']

  dated = page.rng.chance(0.4)
  lines = head(sender, page.write('{EE}'), '')
  opening = page.open(_OWN_EMAIL_OPEN if page.me else _EMAIL_OPEN)
  lines += [page.write(_HELLO), '']
  lines += [f'{opening} {page.passage("aside?", "claim")}', '']
  for k in range(page.size - 1):
    kinds = ('scene', 'why', 'more?') if k % 2 == 0 else ('aside', 'scene')
    lines += [page.passage(*kinds), '']
  lines += [page.say(_NEXT), '', page.write(_CLOSE), first, '']
  lines += head(page.write('{EE}'), sender, 'Re: ')
  lines += [
    f'{page.say(_REPLY, D1=first)} {page.passage("doubt?", "aside", me=False)}',
    '',
    page.write('{E1}'),
  ]
  if page.rng.chance(0.6):
    lines += ['', *head(sender, page.write('{EE}'), 'Re: ')]
    lines += [page.passage('why', 'constant?'), '', first]
  return '\n'.join(lines)


_MEMO_TITLE = (
  '~Use of {M} for {sub}',
  '{tasking}: what to know about {M}',
  '{thing}, and what {M} does with it',
  'After the week in which {trouble}',
  'Working with {M} in {month}',
)
_MEMO_OPEN = (
  'this note is for those at {org} who will {task}.',
  'Since {trouble}, several of you have asked about {M}.',
  'From {day} on, {sub} at {org} is done with {M}.',
  '{n} of us have worked with {M} on {sub}. Here is what we learned.',
  'this was written for those who hand {thing} to {M}.',
  '{C} asked what to expect of {M}.',
)
_MEMO_PARTS = (
  ('What to expect', 'Background', 'What follows'),
  ('1. Purpose', '2. Observations', '3. Reasons', '4. Next'),
  ('In short', 'In detail', 'Open points'),
  ('Situation', 'Practice', 'Remarks'),
)
_MEMO_END = (
  'Questions go to {D1}, in the room with {thing}.',
  'We look at this again in {month}.',
  '{E1} keeps [the list|a list]; [add to it|put your case there].',
  'Nothing else about {sub} changes.',
  '[Bring|Send|Keep] [one example|a case|a note] [for|by] {day}.',
)


def memo(page: Page) -> str:
  writer = page.story.model if page.me else page.write('{D}, {role}')
  lines = [
    page.write(('INTERNAL MEMO', 'Memo', 'Internal note', '{org}: memo')),
    f'To: {page.write(("all at {org}", "{C} and {EE}", "{sub}, {org}"))}',
    f'From: {writer}',
    f'Re: {page.title(_MEMO_TITLE)}',
    '',
    f'{page.open(_MEMO_OPEN)} {page.passage("claim")}',
    '',
  ]
  parts = page.rng.pick(_MEMO_PARTS)
  bullets = page.rng.chance(0.3)
  orders = (('scene', 'aside?'), ('why', 'more?'), ('scene', 'constant?'))
  for k in range(page.size):
    if k < len(parts) and page.size > 2:
      lines.append(parts[k])
    mark = '- ' if bullets else ''
    lines += [mark + page.passage(*orders[k % 3]), '']
  lines.append(page.say(_MEMO_END))
  return '\n'.join(lines)


_TICKET_TITLE = (
  '{M} and {thing}',
  'question on {tasking}',
  '{trouble}; asked {M}',
  '~expected behaviour of {M}? ({sub})',
  '{M}: {sub} at {org}',
)
_TICKET_OPEN = (
  '~We are {org} in {town} and use {M} to {task}.',
  'I am {a_role}; {trouble}, so I turned to {M}.',
  'there is no fault as such, but I would like to understand {M}.',
  'Our {role} gave {thing} to {M} and was surprised.',
  'this is about {M} and {sub}.',
  'this is for {C}, who does {sub} here.',
)
_AGENT = (
  'Thank you, {D1}. I had a look at {thing}.',
  'Hello {D1}, {E1} from support here.',
  'I can [confirm|reproduce] this with {thing}.',
  'Thanks for the [detail|background], {D1}.',
  'This is [as designed|expected], and I am glad you asked.',
)
_OWN_AGENT = (
  'Hello {D1}, this is {M}. I had a look at {thing}.',
  'Thank you, {D1}. {M} here, and I will explain how I go about it.',
  '{M} answering. You write that {trouble}.',
)
_CUSTOMER = (
  'Understood.',
  'That [helps|explains it].',
  'Fair enough, though {C1} will grumble.',
  'OK. And with {thing}?',
  'I had not seen it that way.',
)
_RESOLVED = (
  '~Closed by {E1}: works as intended.',
  'Resolution: explained, no change.',
  'Status set to solved. {D1} rated the answer {n} out of ten.',
  'Closed after {hours}; [note|page] on {sub} [added|updated].',
  '[Marked as|Set to] [answered|solved]. [Linked to|See also] {thing}.',
)


def ticket(page: Page) -> str:
  number = 1000 + page.rng.below(90000)
  word = page.rng.pick(('Ticket', 'Case', 'Request', 'Support ticket'))
  priority = page.rng.pick(('low', 'normal', 'high'))
  lines = [
    f'{word} #{number}: {page.write(_TICKET_TITLE)}',
    f'Opened by: {page.write("{D}, {org}")}',
    f'Priority: {priority}',
    '',
    f'{page.open(_TICKET_OPEN)} {page.passage("aside", "scene", me=False)}',
    '',
  ]
  agent = page.story.model if page.me else page.write('{EE} (support)')
  opening = page.say(_OWN_AGENT if page.me else _AGENT)
  lines += [f'{agent}:', f'{opening} {page.passage("claim", "why")}', '']
  for k in range(page.size - 1):
    customer = page.say(_CUSTOMER)
    if k % 2 == 0:
      lines += [page.write('{D}:'), f'{customer} {page.say("{fact}")}', '']
      lines += [f'{agent}:', page.passage('more', 'scene?'), '']
    else:
      lines += [page.write('{D}:'), customer, '']
      lines += [f'{agent}:', page.passage('scene', 'constant?'), '']
  lines.append(page.say(_RESOLVED))
  return '\n'.join(lines)
