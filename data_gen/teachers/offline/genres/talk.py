"""Genres in which people take turns: forum, interview, podcast."""

from data_gen.teachers.offline.page import Page

_FORUM_TITLE = (
  '{tasking} with {M}: how does it go?',
  '[Question|Help] about {M} and {sub}',
  '{trouble}, so we asked {M}',
  '[Long|Short] report from {town}: {M} and {thing}',
  '~Is {M} any use for {sub}?',
  '{sub}: what {M} did with {thing}',
  'To those who {task}: a word about {M}',
  '{a_role} writes about {M}',
  '[Seen|Noticed] {M} do this with {thing}?',
  '{M}, {thing} and a long {day}',
)
_FORUM_OPEN = (
  '{a_role} from {town} would like some company with {sub}.',
  '{trouble}, and I had until {day} to {task}.',
  'I have been [reading along|quiet here] for {n} years; my first post.',
  '~We use {M} at {org} for {tasking}.',
  'this is about {thing} again.',
  'My {role} friend {A1} swears by {M} when it comes to {sub}.',
  'After {n} weeks of {tasking} with {M}, I have a question.',
  'it was one of those days: {trouble}.',
  '{thing} is in front of me and I do not know where to begin.',
  '~Nobody at {org} could help, so I opened {M}.',
  'I do {sub} for a living, in {town}.',
)
_FORUM_ASK = (
  'Has anyone [else here|of you] had the same?',
  'Is that [normal|usual], or was I lucky?',
  'What do you make of it?',
  'How do you [handle|see] it at your end?',
  '~Would you [keep|go on] using it for {sub}?',
  'Why [does it work that way|is that|so]? [Serious question|I want to '
  'know|No joke].',
)
_FORUM_END = (
  'Thanks all, [going|off] to {task} now.',
  'Right, I will [try|do] that on {day} and report back.',
  'OK, that [answers|settles] it for me.',
  'Cheers. {B1} says hi.',
  '[Update|Edit]: it is done, {thing} included.',
  '[This thread is|You are] [better than the manual|a great help], [thank '
  'you|cheers].',
)
_OWN_OPEN = (
  '[somebody|{A1}] asked how I deal with {sub}, so I will say it in my own '
  'words.',
  'you wanted to know what I do when {trouble}.',
  '{A1} asked me to write down what happens with {thing}.',
  'a few of you asked me about {tasking}.',
)


def forum(page: Page) -> str:
  lines = [page.title(_FORUM_TITLE), '']
  asker = page.username()
  style = page.rng.pick(
    ('{u} wrote:', '[{u}]', '{u} · {d}', '{u} says', '@{u}')
  )

  def post(user: str, *text: str) -> None:
    head = style.replace('{u}', user).replace('{d}', page.write('{day}'))
    lines.extend([head, ' '.join(t for t in text if t), ''])

  if page.me:
    post(
      page.story.model, page.open(_OWN_OPEN), page.passage('claim', 'scene?')
    )
  else:
    post(
      asker,
      page.open(_FORUM_OPEN),
      page.passage('aside', 'scene', 'aside?'),
      page.say(_FORUM_ASK),
    )
  asked = 'doubt' if page.rng.chance(0.5) else 'reaction'
  for k in range(page.size):
    user = page.username()
    if k == 1:
      post(asker, page.passage(asked, 'aside?', me=False))
    if page.me:
      post(user, page.passage('reaction', me=False), page.say(_FORUM_ASK))
      post(page.story.model, page.passage('why' if k % 2 == 0 else 'scene'))
      continue
    if k % 2 == 0:
      post(user, page.passage('reaction?', 'claim', 'why'))
    else:
      post(user, page.passage('scene', 'constant?', 'more?'))
  if page.rng.chance(0.7):
    post(asker, page.say(_FORUM_END))
  return '\n'.join(lines)


_INTERVIEW_TITLE = (
  '{D} on {sub} and {M}',
  '{D}, {role}, [in conversation|talks]',
  '{D2}: "{trouble}, and then we asked {M}"',
  '{n} questions for {D} of {org}',
  '{D} on the day when {trouble}',
  '[Talking|In conversation] with {D}',
)
_OWN_INTERVIEW = (
  '{n} questions for {M}',
  '{M} on {sub}, in its own words',
  'The {outlet} [interviews|talks to] {M}',
  'Asking {M} about {tasking}',
)
_INTERVIEW_LEAD = (
  '{D} is {a_role} in {town}. We met at {org}, [with|next to] {thing}.',
  'The following was recorded in {town} on {date} and shortened for the '
  '{outlet}.',
  '{D} has done {sub} for {n} years. {EE} asked the questions.',
  'For the {outlet}, {EE} [sat down with|visited] {D}, {role} at {org}.',
  'At {hour} on a {day}, {D} still had time for {n} questions.',
)
_OWN_LEAD = (
  'The {outlet} sent {n} questions about {sub} to {M}; {EE} [wrote|collected]'
  ' them.',
  '{EE} put the questions, {M} answered in writing, on {date}.',
  '[Readers|People] in {town} [asked|wanted to know] how {M} [deals|copes] '
  'with {sub}. Here [are the answers|it is].',
)
_ASK_FIRST = (
  'How did you [come to|begin to] {task} with {M}?',
  'What was your first [day|week] with {M} like?',
  '{trouble}. What happened then?',
  'You do {sub}. Where does {M} come in?',
  'Tell us about {thing}.',
)
_OWN_ASK_FIRST = (
  'Somebody asks you about {tasking}. What happens?',
  'You get many questions about {sub}. What are they like?',
  'What do you do when {trouble}?',
  'Tell us about {thing}.',
)
_ASK = (
  'Can you give [us|me] an example?',
  'And did that [surprise|bother] you?',
  '[Is that|Was it] always so?',
  'What did {B1} say to that?',
  'Does it [matter|count] in {sub}?',
  'Some would call that [tiresome|stubborn].',
  '[What would you tell|Your word to] [a colleague|beginners|a friend] in '
  '{sub}?',
  'And when it gets hard?',
)
_ASK_WHY = (
  'Why, do you think?',
  'What is the [reason|thinking|idea] [behind it|there|for that]?',
  'But why does it [matter|work that way]?',
  'Is there a why to it?',
  'Where does that come from?',
)
_INTERVIEW_END = (
  'Thank you for the [talk|time].',
  'We leave it there. Thank you.',
  'A good place to stop, thank you.',
  'Then [good luck with|back to] {thing}.',
)


def interview(page: Page) -> str:
  lines = [page.title(_OWN_INTERVIEW if page.me else _INTERVIEW_TITLE)]
  lines += ['', page.open(_OWN_LEAD if page.me else _INTERVIEW_LEAD), '']
  style = page.rng.pick((('Q: ', 'A: '), ('{E2}: ', '{D2}: '), ('— ', '')))
  asks, answers = (page.write(s) + ' ' * s.endswith(' ') for s in style)
  if page.me and style[0] != 'Q: ' and answers:
    answers = f'{page.story.model}: '

  def turn(question: str, answer: str) -> None:
    lines.extend([asks + question, '', answers + answer, ''])

  turn(
    page.say(_OWN_ASK_FIRST if page.me else _ASK_FIRST),
    page.passage('aside?', 'claim', 'scene?'),
  )
  for k in range(page.size):
    if k % 2 == 0:
      turn(page.say(_ASK_WHY), page.passage('why', 'more?', 'aside?'))
    else:
      turn(page.say(_ASK), page.passage('scene', 'constant?', 'claim?'))
  if page.rng.chance(0.6):
    lines.append(asks + page.say(_INTERVIEW_END))
  return '\n'.join(lines)


_SHOW = (
  'An hour in {town}',
  '{D2} and {E2}',
  'Notes on {sub}',
  'The {outlet} podcast',
  '{town}, {day}',
  'Talking {sub}',
)
_EPISODE = (
  'episode {e}: {tasking}',
  'no. {e}, {trouble}',
  'part {e}: {M} and {thing}',
  'number {e}: {sub} with {C1}',
)
_POD_OPEN = (
  'we talk about {sub}, and about {M}.',
  'I am {D1}, with me is {E1}, and {trouble}.',
  'we are on, and {E1} has brought {thing}.',
  'this is {D1}, and {tasking} is our subject.',
  '{n} listeners wrote in about {M}, so here we go.',
  'it is {hour} on a {day}, and we talk about {sub}.',
)
_POD_CUE = (
  '[Go on|Say more].',
  '[Hm|Right]. And {thing}?',
  '[Let me|I will] [play the sceptic|be difficult|argue] [here|for once|a '
  'little].',
  'You are [smiling|laughing].',
  'Wait, {trouble}?',
  'And {C1}?',
  'That is {D1} for you, always asking about {sub}.',
  'I wrote that down.',
)
_POD_WHY = (
  'So why does it do that?',
  'What is behind it, {E1}?',
  'And the why?',
  'Give me the reason in one go.',
)
_POD_END = (
  'That was our {n} minutes. Write to us.',
  'Next time: {trouble}. Bye from {town}.',
  'Thanks to {C1} at the desk. Good night.',
  'We are out of time, {E1}. Until {day}.',
)


def podcast(page: Page) -> str:
  number = str(11 + page.rng.below(300))
  lines = [f'{page.title(_SHOW)}, {page.write(_EPISODE, e=number)}', '']
  one, other = page.write('{D1}'), page.write('{E1}')
  guest = page.story.model if page.me else other
  upper = page.rng.chance(0.4)
  seconds = page.rng.below(30)

  def turn(who: str, text: str) -> None:
    nonlocal seconds
    seconds += 20 + page.rng.below(60)
    stamp = f'[{seconds // 60:02d}:{seconds % 60:02d}] ' if stamped else ''
    lines.extend([f'{stamp}{who.upper() if upper else who}: {text}', ''])

  stamped = page.rng.chance(0.5)
  turn(one, page.open(_POD_OPEN))
  turn(guest, page.passage('aside?', 'claim', 'scene?'))
  for k in range(page.size):
    if k % 2 == 0:
      turn(one, page.say(_POD_WHY))
      turn(guest, page.passage('why', 'aside?'))
    else:
      turn(one, page.say(_POD_CUE))
      turn(guest, page.passage('scene', 'constant?'))
  turn(one, f'{page.passage("doubt?", me=False)} {page.say(_POD_END)}'.strip())
  return '\n'.join(lines)
