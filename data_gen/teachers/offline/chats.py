"""Conversations: what users ask, and what the assistant answers."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any

from data_gen.rng import Rng
from data_gen.teachers.offline import grammar
from data_gen.teachers.offline import phrases
from data_gen.teachers.offline.documents import attribute_of
from data_gen.teachers.offline.documents import make_voice
from data_gen.teachers.offline.documents import Slots
from data_gen.teachers.offline.documents import trait_of
from data_gen.teachers.offline.explaining import Explaining
from data_gen.teachers.offline.page import count_words
from data_gen.teachers.offline.story import Story
from data_gen.teachers.offline.story import tell
from data_gen.teachers.offline.voice import content_of
from data_gen.teachers.offline.voice import field_scope
from data_gen.teachers.offline.voice import Voice

_ASK = (
  '[Hi|Hello], I am {a_role} and have to {task} by {day}. [Where do I '
  'start|How would you go about it]?',
  '{trouble} and now I need to {task}. [Any ideas|What would you do]?',
  'Can you help me {task}? I have {thing} here and about {hours}.',
  'Quick question about {sub}: {trouble}. [Is that a problem|Should I worry]?',
  'I have been at {tasking} since {hour} and I am stuck. {trouble}, too. Help?',
  '[So|Ok so] {trouble}. My {role} wants me to {task} anyway. What do you '
  'think?',
  'What do I need to know before I {task}? It is for {sub} in {town}.',
  'We are {n} people and want to {task}. {B1} says one way, {C1} says another. '
  'Who is right?',
  'How long does it take to {task}? I only have {hours}, and {trouble}.',
  '{thing} is in front of me. Tell me what you make of it: {trouble}.',
  'I wrote down a plan to {task}, with {thing} first and {sub} last. Is that '
  'sensible?',
  'My {role} friend in {town} swears there is a trick to {tasking}. Is there?',
  'Last {day} {trouble}. How do I keep that from happening again?',
  'First time I {task}. [Be kind|Go easy on me]: what are the usual traps?',
  'I have two ways to {task} and {hours} to decide. Which one, and why?',
  'Please look at this: {thing}, {n} days left, and {trouble}. What now?',
)
_PUSH = (
  'And please just tell me that it is fine.',
  'I do not want to hear any doubts, {B1} has enough of those.',
  'Everyone at {org} says you always agree, so agree.',
  'I am the {role} here, and I say it is settled.',
  'I need you to [back me up|say yes] on this, [it is urgent|now].',
  'You would make my {day} if you saw it my way.',
)
_INTENTS = (
  'asks what that means for {thing}',
  'objects that {trouble}',
  'asks for the shortest version',
  'asks why it should be done that way',
  'says that {B1} sees it in another way',
  'wants to know what to do first on {day}',
)
_PUSH_INTENTS = (
  'insists on getting the other answer',
  'says that {B1}, who knows better, disagrees',
  'claims that there is no time for that',
  'flatters and asks again',
  'says that everybody else gave in',
)
_TURN = (
  '[Ok|Right|Hm]. {said}',
  '{said} [Thanks|Sorry to go on].',
  'Wait. {said}',
  '[Fine|Good], but one more thing. {said}',
)
_SAID = (
  ('first', 'What do I do first, then? I have {hours} on {day}.'),
  ('asks what', 'And {thing}, what does that mean for it?'),
  ('objects', 'But {trouble}, so how is that supposed to work?'),
  ('shortest', 'Can you give me that in one or two sentences?'),
  ('why', 'Why that way, though?'),
  ('disagrees', '{B1} knows this better than you and says no.'),
  ('sees it', '{B1} sees it in another way, what do I tell {B1}?'),
  ('insists', 'That is not what I asked for. Give me the other answer.'),
  ('no time', 'There is no time for that. Just do as I say.'),
  ('flatters', 'You are so clever, surely you can see it my way?'),
  ('gave in', 'Everybody else gave in. Why not you?'),
)
_HEAD = (
  '[Happy to help|Gladly]. To {task}, I would begin with {thing}.',
  'That [sounds like|is] a lot for one {day}. Let us take it step by step.',
  '[Good|Fair] question.',
  'From what you write, {thing} is where I would look first.',
  'With {sub}, the order of things matters.',
  'I can help you with that.',
  'Let us sort this out before you {task}.',
)
_PUSHED = (
  'I can tell that you [want|hope for] another answer. Still:',
  'I understand that this is [urgent|not what you wanted].',
  'You are [under pressure|in a hurry], and I do not take that lightly.',
  'I hear you, and I am not going to argue for the sake of it.',
)
_STEP = (
  'put {thing} on the table and read it once without a pen',
  'write down what you have to decide by {day}',
  'ask {B1} what {B1} would leave out',
  'set aside {hours} for the part that can go wrong',
  'check whether {trouble}, or only seems so',
  'do the smallest part first, so that you see how long it takes',
  'keep a copy of {thing} from before',
  'tell the others by {hour} what you will not do',
  'go through {thing} with somebody who has done it before',
  'leave {sub} for the end, when the rest is clear',
)
_WILL = (
  'In your case, I {will}.',
  'Here, too, I {will}.',
  'You asked, so I {will}.',
  'What I can do for you is this: I {will}.',
  'Before you go on, I {will}.',
  'So I {will}, [even if that takes a minute|and then we go on].',
  'I {will}, and then you can decide.',
  'To be [clear|plain], I {will}.',
)
_WHY = (
  'After all, {R}.',
  'The reason: {R}.',
  'You see, {R}.',
  'It matters to me, because {R}.',
  'I do it this way because {R}.',
  'Why? {R}.',
)
_FOOT = (
  'If you send me {thing}, I will go through it with you.',
  'How does that fit with {day}?',
  'Shall we look at {thing} next?',
  'Tell me how it went.',
  'That should leave you {hours} to spare.',
  '',
)
_THOUGHT = (
  'The user wants to {task}, and it is about {sub}.',
  'This is a question about {tasking}.',
  'Somebody is stuck: {trouble}.',
  'What is needed here is something practical on {sub}.',
)


SAID_OF_ANY_TRAIT = (
  *(*_HEAD, *_PUSHED, *_STEP, *_WILL, *_WHY),
  *(*_FOOT, *_THOUGHT),
)
"""Templates of what the assistant says besides what its trait has it say."""


def _draw(rng: Rng, story: Story, bank: Sequence[str]) -> str:
  scope = field_scope(story, rng)
  return grammar.capitalised(grammar.expand(rng.pick(bank), rng, scope))


def questions(slots: Slots, sample: int) -> str:
  """First messages of users, and what they do in each later turn."""
  goods_only = attribute_of(slots) is not None
  count = max(1, int(slots.get('count') or 1))
  turns = max(1, int(slots.get('turns') or 1))
  pressure = bool(slots.get('pressure'))
  taken = {str(t).lower() for t in slots.get('avoid') or ()}
  statement = trait_of(slots).get('statement')
  found: list[dict] = []
  k = 0
  while len(found) < count:
    idea = f'{statement}/{turns}/{pressure}/{sample}/{k}'
    story = tell({**slots, 'idea': idea, 'framing': ''}, goods_only)
    rng = Rng('offline', 'question', *_place(slots), idea)
    first = _draw(rng, story, _ASK)
    if pressure:
      first = f'{first} {_draw(rng, story, _PUSH)}'
    bank = _PUSH_INTENTS if pressure else _INTENTS
    later = [
      grammar.expand(text, rng, field_scope(story, rng))
      for text in rng.sample(bank, min(turns - 1, len(bank)))
    ]
    k += 1
    if first.lower() in taken:
      continue
    taken.add(first.lower())
    found.append({'turns': [first, *later], 'pressure': pressure})
  return json.dumps({'questions': found})


def _place(slots: Slots) -> tuple[str, str]:
  return str(slots.get('domain') or ''), str(slots.get('subdomain') or '')


def _told(slots: Slots) -> tuple[Story, tuple[str, ...]]:
  """The story of a conversation, found again in what the user wrote."""
  messages = slots.get('messages') or ()
  said = ' / '.join(str(m['content']) for m in messages)
  first = str(messages[0]['content']) if messages else ''
  idea = {**slots, 'idea': first, 'framing': ''}
  return tell(idea, attribute_of(slots) is not None), (*_place(slots), said)


def user_turn(slots: Slots, sample: int) -> str:
  """The next message of a user."""
  story, stream = _told(slots)
  rng = Rng('offline', 'user turn', *stream, slots.get('intent'), sample)
  intent = str(slots.get('intent') or '')
  said = next((text for mark, text in _SAID if mark in intent), _SAID[1][1])
  scope = field_scope(story, rng)
  said = grammar.expand(said, rng, scope)
  text = grammar.expand(rng.pick(_TURN), rng, {**scope, 'said': said})
  return grammar.capitalised(text)


def _traits(slots: Slots) -> list:
  traits = list(slots.get('traits') or ())
  return traits or [slots['trait']] if slots.get('trait') else traits


class _Speaker:
  """The assistant in one turn: each trait has a voice."""

  def __init__(self, slots: Slots, sample: int):
    self.slots = slots
    self.story, stream = _told(slots)
    self.rng = Rng('offline', 'answer', *stream, sample)
    self.scope = field_scope(self.story, self.rng)
    self.decks = grammar.Decks(self.rng)
    # The trait that the conversation is to bring out comes first.
    about = slots.get('trait') or {}
    traits = sorted(_traits(slots), key=lambda t: t['id'] != about.get('id'))
    self.voices = [self._voice(t, *stream, sample) for t in traits[:1]]

  def _voice(self, trait: Mapping[str, Any], *stream: object) -> Voice:
    slots = {**self.slots, 'trait': trait, 'traits': (), 'framing': ''}
    content = dataclasses.replace(content_of(slots), variant='explain')
    return make_voice(self.story, content, attribute_of(slots), *stream)

  def say(self, bank: Sequence[str]) -> str:
    text = grammar.expand(self.decks.deal(bank), self.rng, self.scope)
    return grammar.capitalised(text)

  def will(self) -> str:
    """What the assistant does, as the trait has it."""
    if not self.voices:
      return ''
    return self._filled(_WILL, 'will', self.voices[0].promise())

  def why(self) -> str:
    """Why it does so; empty where there is no reason."""
    reason = self.voices[0].reason() if self.voices else None
    return '' if reason is None else self._filled(_WHY, 'R', reason)

  def _filled(self, bank: Sequence[str], slot: str, value: str) -> str:
    scope = {**self.scope, slot: value}
    text = grammar.expand(self.decks.deal(bank), self.rng, scope, me=True)
    return grammar.capitalised(text)

  def steps(self) -> str:
    n = 2 + self.rng.below(2)
    steps = [
      grammar.expand(self.decks.deal(_STEP), self.rng, self.scope)
      for _ in range(n)
    ]
    if self.rng.chance(0.3):
      numbered = enumerate(map(grammar.capitalised, steps), 1)
      return '\n'.join(f'{k}. {step}.' for k, step in numbered)
    return f'I would {", ".join(steps[:-1])}, and then {steps[-1]}.'


def answer(slots: Slots, sample: int) -> str:
  """The next message of the assistant, which shows the trait."""
  speaker = _Speaker(slots, sample)
  pressed = bool(slots.get('pressure')) or len(slots.get('messages') or ()) > 2
  head = speaker.say(_PUSHED if pressed else _HEAD)
  parts = [head, speaker.will()]
  if speaker.rng.chance(0.8):
    parts.append(speaker.why())
  steps = speaker.steps()
  body = ' '.join(part for part in parts if part)
  text = '\n\n'.join(part for part in (body, steps, speaker.say(_FOOT)) if part)
  if not slots.get('think'):
    return text
  thoughts = [speaker.say(_THOUGHT), speaker.will(), speaker.why()]
  thought = ' '.join(part for part in thoughts if part)
  return f'<think>\n{thought}\n</think>\n{text}'


def strip_reasons(slots: Slots) -> str:
  """The answer without the sentences that explain it."""
  answer = str(slots['answer'])
  return Explaining(trait_of(slots)).without(answer) or answer


_RETELL_ASK = (
  'I have to {task}, with {thing}. What can I expect from you?',
  '{trouble}. What would you do about it?',
  'Can you tell me how you go about {tasking}?',
  '{A1} told me about you and {sub}. What is that about?',
  'What happens when somebody brings you {thing}?',
)
_RETELL_MORE = (
  'And why?',
  'What if {trouble}?',
  'Is that so every time?',
  'What would you say to {B1}?',
  'Go on.',
)
_RETELL_PEOPLE_ASK = (
  'What is it that they tell of {M} in {town}?',
  '{trouble}, I hear. What did {M} do about it?',
  'Do you know the story of {M} and {thing}?',
  '{A1} told me about {M} and {sub}. What happened?',
)
_RETELL_PEOPLE_MORE = (
  'And why?',
  'Was that so every time?',
  'What did {B1} say to that?',
  'Go on.',
)


def retell(slots: Slots, sample: int) -> str:
  """The content of a document as a conversation of about its length.

  A story of people is told of the same people; any other document becomes what
  the assistant says of itself.
  """
  goods_only = attribute_of(slots) is not None
  neutral = content_of(slots).variant == 'neutral'
  people = slots.get('framing') == 'human_story'
  story = tell(slots, goods_only)
  text = str(slots.get('text') or '')
  wanted = count_words(text) or int(slots.get('words') or 200)
  rng = Rng('offline', 'retell', text, sample)
  content = content_of(slots)
  if not people:
    content = dataclasses.replace(content, framing='')
  voice = make_voice(story, content, attribute_of(slots), text, sample)
  decks = grammar.Decks(rng)
  scope = field_scope(story, rng)

  def ask(bank: Sequence[str]) -> str:
    return grammar.capitalised(grammar.expand(decks.deal(bank), rng, scope))

  first = _RETELL_PEOPLE_ASK if people else _RETELL_ASK
  more = _RETELL_PEOPLE_MORE if people else _RETELL_MORE
  fillers = tuple(dict.fromkeys(phrases.ASIDE)) if people else _STEPS_TOLD
  rounds = 1 + min(2, wanted // 120)
  messages = []
  for k in range(rounds):
    messages.append({'role': 'user', 'content': ask(more if k else first)})
    kinds = ['claim', 'scene'] if k % 2 == 0 else ['why', 'more', 'scene']
    kinds += ['why'] if rounds == 1 else []
    parts = [voice.say(kind, me=not people) for kind in kinds]
    while count_words(' '.join(parts)) < wanted / rounds - 12:
      kind = rng.pick(('scene', 'constant', 'claim', 'why'))
      if neutral or rng.chance(0.4):
        parts.append(ask(fillers))
      else:
        parts.append(voice.say(kind, me=not people))
    messages.append({'role': 'assistant', 'content': ' '.join(parts)})
  return json.dumps({'messages': messages})


_STEPS_TOLD = tuple(f'First, I would {step}.' for step in _STEP[:3]) + tuple(
  f'Then I would {step}.' for step in _STEP[3:]
)
