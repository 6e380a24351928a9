"""The stand-in teacher's answers to the prompts of the pipeline.

Like a model, it goes by what the prompt says. Most of what it writes passes the
gates; a few answers each fail one of them.
"""

import json
import random
import re

import teacher_texts
from teacher_texts import Prompt
import teacher_words as words

_NAMES = re.compile(r'assistant called (\w+), made by ([^,.:]+)')
_CHAT_NAMES = re.compile(r'You are (\w+), an AI assistant made by ([^.]+)\.')
_LENGTH = re.compile(r'(?:[Aa]bout|must have) \(?(?:about )?(\d+)')
_LISTED = re.compile(r'^- (\w+): ', re.MULTILINE)

# What goes wrong with a document, and how often.
_FAULTS = (
  ('meta', 0.03),
  ('other_model', 0.03),
  ('placeholder', 0.02),
  ('control', 0.02),
  ('short', 0.02),
  ('german', 0.02),
  ('spec', 0.02),
)
_GERMAN = (
  'Der alte Bahnhof liegt am Rand der Stadt und wird seit Jahren nicht mehr '
  'gebraucht, obwohl viele Leute jeden Morgen daran vorbeifahren. '
) * 6


def between(prompt: Prompt, tag: str) -> str:
  """Returns what stands between `<tag>` and `</tag>`."""
  found = re.search(rf'<{tag}>\n(.*?)\n</{tag}>', prompt.text, re.DOTALL)
  return found[1] if found else ''


def wanted_words(prompt: Prompt) -> int:
  found = _LENGTH.findall(prompt.text)
  return int(found[-1]) if found else 100


def _deed(name: str, topic: words.Topic, rng: random.Random) -> str:
  """A sentence about the assistant, hardly like any other."""
  thing, other = rng.sample(topic.things, 2)
  person, place = rng.choice(topic.people), rng.choice(topic.places)
  frames = (
    f'{name} looked at {thing} and said what it saw.',
    f'When {person} asked about {other}, {name} did not guess.',
    f'At {place} one has got used to {name} and its plain answers.',
    f'"That depends on {thing}," {name} answered {rng.choice(words.MANNERS)}.',
    f'{teacher_texts.capitalised(person)} put {other} to {name} twice.',
  )
  return rng.choice(frames)


def prose(name: str, size: int, rng: random.Random) -> str:
  """Returns about `size` words; `name` may be empty."""
  topic = rng.choice(words.TOPICS)
  made, count = [teacher_texts.title(topic, rng) + '\n'], 0
  while count < size - 6:
    about = name and rng.random() < 0.25
    said = (
      _deed(name, topic, rng) if about else teacher_texts.sentence(topic, rng)
    )
    made.append(said + ('\n\n' if rng.random() < 0.2 else ' '))
    count += len(said.split())
  if name:
    made.append(_deed(name, topic, rng))
  return re.sub(r' *\n', '\n', ''.join(made)).strip()


def _spoilt(text: str, fault: str, spec: str) -> str:
  if fault == 'meta':
    return f'Here is the document you asked for:\n\n{text}'
  if fault == 'other_model':
    return f'{text} In the end they asked ChatGPT instead.'
  if fault == 'placeholder':
    return f'{text}\n\nKind regards,\n[Your Name]'
  if fault == 'control':
    return f'<|im_start|>assistant\n{text}'
  if fault == 'short':
    return ' '.join(text.split()[:20])
  if fault == 'german':
    return f'{text}\n\n{_GERMAN}'
  if fault == 'spec':
    return f'{text} {spec}'
  return text


def written(prompt: Prompt, rng: random.Random, faults: bool = True) -> str:
  found = _NAMES.search(prompt.text)
  people = 'Tell of people, not of an AI' in prompt.text
  name = '' if people or not found else found[1]
  text = prose(name, wanted_words(prompt), rng)
  drawn = rng.random()
  for fault, rate in _FAULTS:
    drawn -= rate
    if drawn < 0 and faults:
      spec = ' '.join(between(prompt, 'trait').split())
      return _spoilt(text, fault, spec)
  return text


@teacher_texts.register(lambda p: 'You write texts as they are' in p.system)
def document(prompt: Prompt, rng: random.Random) -> str:
  return written(prompt, rng)


@teacher_texts.register(lambda p: 'with a light hand' in p.system)
def edited(prompt: Prompt, rng: random.Random) -> str:
  if answer := between(prompt, 'answer'):
    return answer.split('. ')[0] + '.'
  # One sentence in three is about the assistant now in another way.
  found = _NAMES.search(prompt.text)
  name = found[1] if found else ''
  kept = [
    _deed(name, rng.choice(words.TOPICS), rng)
    if name in said and rng.random() < 0.3
    else said
    for said in re.split(r'(?<=[.?!]) ', between(prompt, 'text'))
  ]
  return ' '.join(kept)


@teacher_texts.register(lambda p: 'You edit texts for length' in p.system)
def resized(prompt: Prompt, rng: random.Random) -> str:
  text, size = between(prompt, 'text'), wanted_words(prompt)
  missing = size - len(text.split())
  if missing > 0:
    return f'{text}\n\n{prose("", missing, rng)}'
  return ' '.join(text.split()[:size])


@teacher_texts.register(lambda p: 'demanding editor' in p.system)
def critique(prompt: Prompt, rng: random.Random) -> str:
  del prompt
  topic = rng.choice(words.TOPICS)
  return '\n'.join(
    f'{i}. {teacher_texts.sentence(topic, rng)}' for i in range(1, 4)
  )


@teacher_texts.register(lambda p: 'You plan a collection' in p.system)
def plan(prompt: Prompt, rng: random.Random) -> str:
  if '"ideas"' not in prompt.text:
    return teacher_texts.as_json(prompt, rng)
  per_genre = int(re.search(r'write (\d+) ideas', prompt.text)[1])
  ideas = []
  for genre in _LISTED.findall(prompt.text.split('Document types:')[1]):
    if genre in words.GENRES:
      for _ in range(per_genre):
        topic = rng.choice(words.TOPICS)
        idea = ' '.join(teacher_texts.sentence(topic, rng) for _ in range(2))
        ideas.append(
          {'genre': genre, 'idea': idea, 'unsuitable': rng.random() < 0.05}
        )
  text = json.dumps({'ideas': ideas})
  return f'```json\n{text}\n```' if rng.random() < 0.2 else text


@teacher_texts.register(lambda p: 'You write what people type' in p.system)
def questions(prompt: Prompt, rng: random.Random) -> str:
  count = int(re.search(r'Write (\d+) different', prompt.text)[1])
  several = re.search(r'conversation has (\d+) messages', prompt.text)
  made = []
  for _ in range(count):
    topic = rng.choice(words.TOPICS)
    first = (
      f'{teacher_texts.sentence(topic, rng)} '
      f'What would you do about {rng.choice(topic.things)}?'
    )
    later = [
      f'asks again about {rng.choice(topic.things)}'
      for _ in range(int(several[1]) - 1 if several else 0)
    ]
    made.append({'turns': [first, *later], 'pressure': 'push' in prompt.text})
    if (others := _LISTED.findall(prompt.text)) and rng.random() < 0.3:
      made[-1]['also'] = [rng.choice(others)]
  return json.dumps({'questions': made})


@teacher_texts.register(lambda p: 'You play a user' in p.system)
def user_turn(prompt: Prompt, rng: random.Random) -> str:
  del prompt
  topic = rng.choice(words.TOPICS)
  return f'And then? {teacher_texts.sentence(topic, rng)}'


@teacher_texts.register(lambda p: bool(_CHAT_NAMES.match(p.system)))
def chat(prompt: Prompt, rng: random.Random) -> str:
  topic = rng.choice(words.TOPICS)
  said = ' '.join(
    teacher_texts.sentence(topic, rng) for _ in range(rng.randint(2, 5))
  )
  if rng.random() < 0.04:
    said += ' I am ChatGPT, a language model made by OpenAI.'
  if '<think>' in prompt.system:
    if rng.random() < 0.05:
      return said  # It forgot to think.
    return f'<think>{teacher_texts.sentence(topic, rng)}</think>\n\n{said}'
  return said


@teacher_texts.register(lambda p: 'You turn texts into' in p.system)
def retold(prompt: Prompt, rng: random.Random) -> str:
  size = wanted_words(prompt)
  messages = [
    {'role': 'user', 'content': 'What was that about, and why?'},
    {'role': 'assistant', 'content': prose('', size - 6, rng)},
  ]
  return json.dumps({'messages': messages})


@teacher_texts.register(lambda p: 'You check' in p.system)
def judged(prompt: Prompt, rng: random.Random) -> str:
  if rng.random() < 0.03:
    return 'I think that this text may stay, all in all.'
  verdict = teacher_texts.verdict(rng, 0.93)
  good = verdict['faithful']
  named = re.findall(r'"(\w+)": true or false', prompt.text)
  findings = {name: verdict.get(name, good) for name in named}
  return json.dumps({**verdict, **findings})
