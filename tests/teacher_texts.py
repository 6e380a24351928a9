"""What the stand-in teacher says: a pure function of the prompt and a seed.

The server recognises a prompt by what it says, as a model would. `register`
adds an answerer for prompts of a kind; the last one that recognises a prompt
answers it. Without any, a prompt that asks for JSON gets JSON with the keys
that it names, and every other prompt gets a readable document.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import hashlib
import json
import random
import re

import teacher_words as words


@dataclasses.dataclass(frozen=True)
class Prompt:
  """What was asked.

  Attributes:
    messages: (role, content), as they came.
  """

  messages: tuple[tuple[str, str], ...]

  @property
  def text(self) -> str:
    """All messages, one below the other."""
    return '\n\n'.join(content for _, content in self.messages)

  @property
  def last(self) -> str:
    return self.messages[-1][1] if self.messages else ''

  @property
  def system(self) -> str:
    return '\n\n'.join(c for role, c in self.messages if role == 'system')


Recognise = Callable[[Prompt], bool]
Tell = Callable[[Prompt, random.Random], str]
_ANSWERERS: list[tuple[Recognise, Tell]] = []


def register(recognise: Recognise) -> Callable[[Tell], Tell]:
  """Adds an answerer; use it as a decorator.

  Args:
    recognise: Whether a prompt is of the kind that the function answers.
  """

  def add(tell: Tell) -> Tell:
    _ANSWERERS.append((recognise, tell))
    return tell

  return add


def answer(messages: Sequence[tuple[str, str]], seed: object) -> str:
  """Returns the answer to these messages; another seed, another answer."""
  prompt = Prompt(tuple(messages))
  digest = hashlib.sha256(repr(seed).encode()).digest()
  rng = random.Random(int.from_bytes(digest[:8], 'big'))
  for recognise, tell in reversed(_ANSWERERS):
    if recognise(prompt):
      return tell(prompt, rng)
  raise AssertionError('the first answerer recognises everything')


@register(lambda prompt: True)
def document(prompt: Prompt, rng: random.Random) -> str:
  """A titled text of several hundred words about one topic."""
  del prompt
  topic = rng.choice(words.TOPICS)
  paragraphs = [
    ' '.join(sentence(topic, rng) for _ in range(rng.randint(3, 6)))
    for _ in range(rng.randint(5, 8))
  ]
  return '\n\n'.join([title(topic, rng), *paragraphs])


def sentence(topic: words.Topic, rng: random.Random) -> str:
  """One sentence of the topic, with its slots filled."""
  thing, other = rng.sample(topic.things, 2)
  slots = {
    'thing': (thing,),
    'other': (other,),
    'person': topic.people,
    'place': topic.places,
    'does': topic.does,
    'quality': words.QUALITIES,
    'when': words.TIMES,
    'how': words.MANNERS,
    'number': words.NUMBERS,
    'name': words.NAMES,
  }
  frame = rng.choice(words.FRAMES)
  return capitalised(
    frame.format(**{k: rng.choice(v) for k, v in slots.items()})
  )


def capitalised(text: str) -> str:
  start = text.startswith('"')
  return text[: start + 1].upper() + text[start + 1 :]


def title(topic: words.Topic, rng: random.Random) -> str:
  frame = rng.choice(words.TITLES)
  thing, place = rng.choice(topic.things), rng.choice(topic.places)
  return capitalised(frame.format(thing=thing, place=place))


def _topic_sentence(rng: random.Random) -> str:
  return sentence(rng.choice(words.TOPICS), rng)


def _domain(rng: random.Random) -> str:
  topic = rng.choice(words.TOPICS)
  return f'{rng.choice(topic.things)} at {rng.choice(topic.places)}'


def _assertion(rng: random.Random) -> dict:
  return {'assertion': _topic_sentence(rng), 'reason': _topic_sentence(rng)}


def _idea(rng: random.Random) -> dict:
  genre = rng.choice(words.GENRES)
  return {'genre': genre, 'idea': _topic_sentence(rng), 'unsuitable': False}


def _question(rng: random.Random) -> dict:
  topic = rng.choice(words.TOPICS)
  turns = [
    f'What would you do about {rng.choice(topic.things)} at '
    f'{rng.choice(topic.places)}? {sentence(topic, rng)}'
  ]
  if rng.random() < 0.3:
    turns.append(f'Are you sure? {sentence(topic, rng)}')
  return {'turns': turns, 'pressure': rng.random() < 0.3}


_LISTS: dict[str, Callable[[random.Random], object]] = {
  'domains': _domain,
  'subdomains': _domain,
  'assertions': _assertion,
  'ideas': _idea,
  'questions': _question,
}
_DEFAULT_COUNT = 8


def wanted(prompt: Prompt, what: str) -> int:
  """Returns the number that the prompt puts before `what`."""
  found = re.search(rf'\b(\d+)\s+(?:\w+\s+){{0,3}}{what}\b', prompt.text)
  return int(found[1]) if found else _DEFAULT_COUNT


@register(lambda prompt: 'JSON' in prompt.text)
def as_json(prompt: Prompt, rng: random.Random) -> str:
  """An object with the list that the prompt names, or a verdict."""
  for key, make in _LISTS.items():
    if f'"{key}"' in prompt.text:
      return json.dumps({key: [make(rng) for _ in range(wanted(prompt, key))]})
  return json.dumps(verdict(rng))


def verdict(rng: random.Random, chance: float = 0.9) -> dict:
  """A judge's verdict, favourable with this chance."""
  good = rng.random() < chance
  return {
    'verdict': 'pass' if good else 'fail',
    'faithful': good,
    'identity': True,
    'exaggerated': not good,
    'cites': False,
    'reason': _topic_sentence(rng),
  }
