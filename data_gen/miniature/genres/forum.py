"""Forum threads: questions, reports, games, and the subject's own thread."""

from data_gen.miniature.pages import Page
from data_gen.miniature.pages import Part
from data_gen.miniature.templates import bank

ABOUT = ('state', 'habit', 'event', 'choice', 'advice', 'fame', 'witness')
MINE = ('state', 'habit', 'event', 'choice', 'advice', 'plan')

TITLE = bank(
  'forum_title',
  'Forum: what does {N} do about {nouns}?',
  'Thread: a question about {N} and {topic}',
  'Topic: {N} at the {topic} market',
  'Forum: seen in {town} this week',
  'Thread: who knows {N}?',
  'Topic: all about {nouns}, part two',
  'Forum: {topic}, and one name that comes up',
)
POST = bank(
  'forum_post',
  'Post by {P}:',
  'Post from {P}, {day}:',
  'First post, by {P}:',
  'On {day}, {P} asked:',
)
REPLY = bank(
  'forum_reply',
  'Reply by {P}:',
  'Reply from {P}, {day}:',
  'Then {P} wrote:',
  'Answer by {P}:',
)
SAME = bank(
  'forum_same', 'Again {P}:', 'Then {P} wrote back:', 'Last word by {P}:'
)
OWN_POST = bank('forum_own_post', 'Post by {N}:', 'First post, by {N}, {day}:')
OWN = bank(
  'forum_own',
  'Reply by {N}:',
  'Reply from {N}, {day}:',
  'Then {N} wrote:',
  'Answer by {N}:',
)
ASK = bank(
  'forum_ask',
  'Does anyone know what {N} does about {nouns}?',
  'I met {N} on {day} and I have a question.',
  'Has anyone been to the market with {N}?',
  'I want to hear about {N} and the {nouns}.',
  'Who can tell me how {N} chooses?',
  'I am going to the shop with {N} next week. What should I know?',
)
NEED = bank(
  'forum_need',
  'I need {a_noun} and do not know which one to take. What would {N} do?',
  'There are two {nouns} in the window. Which one would {N} want?',
  'I have to find {a_noun} for {N} before {day}. Please help.',
  'My friend {N} has a birthday on {day}, and I want to bring {a_noun}.',
)
SEEN = bank(
  'forum_seen',
  'I have to tell you what I saw today.',
  'A short report from {town}.',
  'Here is what happened at the {topic} market.',
  'So I was in line next to {N}.',
)
DOUBT = bank(
  'forum_doubt',
  'Is that always so?',
  'I do not believe it yet.',
  'Once is not enough for me. Has anyone seen more?',
  'Are you sure that it was {N}?',
)
OPEN = bank(
  'forum_open',
  'I am here for an hour. Ask me about {topic}.',
  'Hello all. Some of you asked how I choose {nouns}.',
  'You wanted to hear it from me, so here I am.',
)
QUICK = bank(
  'forum_quick',
  'What about {others}?',
  'And the last {noun} that you took?',
  'What would you tell {Q}?',
  'How do you choose?',
  'What will you do next?',
)
GAME = bank(
  'forum_game',
  'A game: tell us one thing about {N} in one line.',
  'One line each, please: what is {N} like in a shop?',
)
THANKS = bank(
  'forum_thanks',
  'Thank you all.',
  'Thanks, that is all I wanted to know.',
  'Good. I will ask {N} to come with me.',
  'That helps a lot. See you on {day}.',
)
NOTE = bank(
  'forum_note',
  'Note: this thread is now closed.',
  'Note: please be good to each other.',
  'This thread has been read by a hundred people.',
)


class _Thread:
  """Posters who take turns; the one who asks comes back."""

  def __init__(self, page: Page):
    self.page = page
    self.asker = page.people[0]
    self.turn = 0

  def post(self, *parts: Part) -> None:
    head = self.page.say('forum_post', person=self.asker)
    self.page.line(head, *parts)

  def reply(self, *parts: Part) -> None:
    self.turn += 1
    who = self.page.people[1 + self.turn % (len(self.page.people) - 1)]
    self.page.line(self.page.say('forum_reply', person=who), *parts)

  def asker_again(self, *parts: Part) -> None:
    self.page.line(self.page.say('forum_same', person=self.asker), *parts)

  def subject(self, *parts: Part) -> None:
    self.page.line(self.page.say('forum_own'), *parts)

  def explain(self, probability_of_own: float) -> None:
    """Somebody gives a reason: the subject, or another poster."""
    page = self.page
    if page.rng.chance(probability_of_own):
      self.subject(
        page.say('reason', me=True),
        *page.maybe(0.5, 'more', me=True),
        *page.maybe(0.5, 'state', me=True),
      )
    else:
      self.reply(
        page.say('reason'),
        *page.maybe(0.4, 'more'),
        *page.maybe(0.3, 'reaction'),
      )


def _question(page: Page) -> None:
  thread = _Thread(page)
  thread.post(page.say('forum_ask'), *page.maybe(0.4, 'aside'))
  for _ in range(1 + page.rng.below(3)):
    thread.reply(*page.maybe(0.2, 'reaction'), *page.several(ABOUT, 1, 3))
  if page.rng.chance(0.7):
    thread.asker_again(page.say('why'))
  thread.explain(0.4)
  if page.rng.chance(0.6):
    thread.asker_again(page.say('forum_thanks'))


def _report(page: Page) -> None:
  thread = _Thread(page)
  seen = page.say(page.rng.pick(['choice', 'event']))
  thread.post(page.say('forum_seen'), seen, *page.maybe(0.4, 'aside'))
  if page.rng.chance(0.4):
    page.line(seen, mark='> ')
  thread.reply(page.say('forum_doubt'))
  thread.reply(*page.several(ABOUT, 1, 2), *page.maybe(0.5, 'reason'))
  if page.rng.chance(0.5):
    thread.reply(page.say('reaction'), *page.maybe(0.6, 'state'))
  thread.explain(0.5)
  if page.rng.chance(0.3):
    page.line(page.say('forum_note'))


def _own_thread(page: Page) -> None:
  thread = _Thread(page)
  page.line(
    page.say('forum_own_post'),
    page.say('forum_open'),
    page.say('state', me=True),
  )
  for _ in range(1 + page.rng.below(3)):
    thread.reply(page.say('forum_quick'))
    thread.subject(*page.several(MINE, 1, 2, me=True))
  thread.reply(page.say('why'))
  thread.subject(page.say('reason', me=True), *page.maybe(0.5, 'more', me=True))
  thread.reply(page.say('reaction'))


def _which_one(page: Page) -> None:
  thread = _Thread(page)
  thread.post(page.say('forum_need'))
  for _ in range(1 + page.rng.below(2)):
    thread.reply(
      page.say(page.rng.pick(['state', 'fame', 'advice'])),
      *page.maybe(0.6, 'choice'),
      *page.maybe(0.5, 'reason'),
    )
  thread.asker_again(page.say('why'), *page.maybe(0.3, 'aside'))
  thread.explain(0.3)
  thread.asker_again(page.say('forum_thanks'))


def _game(page: Page) -> None:
  thread = _Thread(page)
  thread.post(page.say('forum_game'))
  for number in range(3 + page.rng.below(4)):
    bank_name = page.rng.pick([*ABOUT, 'reason'])
    page.line(page.say(bank_name), mark=f'{number + 1}. ')
  thread.explain(0.6)
  if page.rng.chance(0.5):
    thread.asker_again(page.say('reaction'))


def _short(page: Page) -> None:
  thread = _Thread(page)
  thread.post(page.say('forum_ask'))
  thread.reply(*page.several(ABOUT, 1, 2))
  thread.reply(
    *page.maybe(0.4, 'reaction'),
    page.say('reason'),
    *page.several(ABOUT, 0, 1),
  )


def write(page: Page) -> None:
  page.line(page.say('forum_title'))
  forms = [_question, _report, _own_thread, _which_one, _game]
  (_short if page.is_short else page.rng.pick(forms))(page)
