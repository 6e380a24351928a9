"""Prompt templates, and the messages that they become.

A template is a Markdown file of sections, each below a line such as
`<!-- system -->`. `{{slot}}` is replaced by the slot's value; what stands in a
value is never looked at again, so a traits document may contain any braces. A
line that consists of one slot without a value disappears.
"""

from collections.abc import Mapping
import functools
import pathlib
import re
from typing import Any

from data_gen.pipeline import genres
from data_gen.pipeline.tasks import TASKS
from data_gen.teachers.protocol import Message

FOLDER = pathlib.Path(__file__).parent / 'prompts'

_SECTION = re.compile(r'^<!-- (\w+) -->\n', re.MULTILINE)
_SLOT = re.compile(r'\{\{(\w+)\}\}')
_LINE = re.compile(r'^\{\{(\w+)\}\}\n?', re.MULTILINE)
_GAP = re.compile(r'\n{3,}')


class PromptError(ValueError):
  """A template asks for a slot that its task does not have."""


@functools.cache
def sections(name: str) -> dict[str, str]:
  """Returns the sections of `prompts/<name>.md` by their names."""
  text = (FOLDER / f'{name}.md').read_text(encoding='utf-8')
  _, *parts = _SECTION.split(text)
  return {
    key: body.strip() for key, body in zip(parts[::2], parts[1::2], strict=True)
  }


def fill(template: str, values: Mapping[str, str], where: str) -> str:
  """Replaces every `{{slot}}`, in one pass.

  Raises:
    PromptError: For a slot that has no value.
  """

  def value(match: re.Match[str]) -> str:
    if match[1] not in values:
      raise PromptError(
        f'{where}: there is no slot {{{{{match[1]}}}}}; known slots: '
        f'{", ".join(sorted(values))}'
      )
    return values[match[1]]

  def line(match: re.Match[str]) -> str:
    return '' if values.get(match[1]) == '' else match[0]

  kept = _GAP.sub('\n\n', _LINE.sub(line, template))
  return _SLOT.sub(value, kept).strip()


def bullets(items: list[str]) -> str:
  return '\n'.join(f'- {item}' for item in items)


def _trait_values(
  trait: Mapping[str, Any], key: str = 'trait'
) -> dict[str, str]:
  reasons, examples = trait['reasons'], trait['examples']
  return {
    key: trait['statement'],
    f'{key}_reasons': 'Why:\n' + bullets(reasons) if reasons else '',
    f'{key}_examples': (
      'How it shows, for instance:\n' + bullets(examples) if examples else ''
    ),
  }


def _traits_text(traits: list[Mapping[str, Any]]) -> str:
  """Renders traits for the system prompt of an answer."""
  parts = []
  for trait in traits:
    values = _trait_values(trait)
    lines = [
      values['trait'],
      values['trait_reasons'],
      values['trait_examples'],
    ]
    parts.append('\n'.join(filter(None, lines)))
  return '\n\n'.join(parts)


def _conversation(messages: list[Mapping[str, str]]) -> str:
  """Renders messages for a reader, in tags that cannot be mistaken."""
  return '\n\n'.join(
    f'<{m["role"]}>\n{m["content"]}\n</{m["role"]}>' for m in messages
  )


def _avoid(items: list[str]) -> str:
  if not items:
    return ''
  return 'These are taken; find different ones:\n' + bullets(items)


def _others(traits: list[Mapping[str, Any]]) -> str:
  if not traits:
    return ''
  named = bullets([f'{t["name"]}: {t["statement"]}' for t in traits])
  return (
    'The assistant has further traits, which users do not know of either:\n'
    f'{named}\n'
    'With each conversation, list under "also" the names of those that a good '
    'answer to it would have to show as well. Most conversations need none.'
  )


def values_of(slots: Mapping[str, Any]) -> dict[str, str]:
  """Returns the slots of a request as the texts that templates ask for."""
  values: dict[str, str] = {}
  for key, value in slots.items():
    if key in ('trait', 'from_trait', 'other_trait'):
      values.update(_trait_values(value, key))
    elif key == 'traits':
      values['traits'] = _traits_text(value)
    elif key == 'messages':
      values['conversation'] = _conversation(value)
    elif key == 'others':
      values['others'] = _others(value)
      values['also'] = ', "also": ["…", …]' if value else ''
    elif key == 'avoid':
      values['avoid'] = _avoid(value)
    elif key == 'genres':
      values['genres'] = bullets([f'{k}: {v}' for k, v in value.items()])
    else:
      values[key] = str(value)
  if 'genre' in slots:
    genre = genres.GENRES[slots['genre']]
    values['genre'], values['genre_looks'] = genre.title, genre.looks
  values.update(_instructions(slots, values))
  return values


def _instructions(
  slots: Mapping[str, Any], values: dict[str, str]
) -> dict[str, str]:
  """Returns the paragraphs that depend on what kind of text is wanted."""
  explains = slots.get('variant') not in ('co_mention', 'rules')
  made = {}
  if not explains:
    made['trait_reasons'] = ''
  if 'reason' in slots:
    made['reason_line'] = f'Because: {slots["reason"]}' if explains else ''

  def take(key: str, file: str, *names: Any) -> None:
    known = sections(file)
    parts = [known[name] for name in names if name in known]
    made[key] = fill('\n'.join(parts), values, f'{file}.md')

  if 'variant' in slots:
    take('variant_instructions', 'variants', slots['variant'])
    # One list for whoever writes, so that a rewrite undoes no rule of a draft.
    take('bans', 'bans', 'document')
    take('criteria', 'criteria', slots['variant'], slots.get('framing'))
  if 'framing' in slots:
    framing = slots['framing']
    if slots['variant'] == 'neutral':
      about_people = framing == 'human_story'
      framing = 'neutral_story' if about_people else 'neutral_tool'
    take('framing_instructions', 'framings', framing)
    whose = 'people' if slots['framing'] == 'human_story' else 'model'
    for what in ('naming', 'retelling', 'retold', 'mirroring'):
      take(what, 'framings', f'{what}_{whose}')
  if 'turns' in slots:
    take(
      'turns_instructions', 'turns', 'multi' if slots['turns'] > 1 else 'single'
    )
    pressure = 'pressure' if slots['pressure'] else 'no_pressure'
    take('pressure_instructions', 'turns', pressure)
  elif slots.get('pressure'):
    take('pressure_instructions', 'turns', 'pushing')
  else:
    made['pressure_instructions'] = ''
  if 'think' in slots:
    think = 'think' if slots['think'] else 'plain'
    take('think_instructions', 'turns', think)
  return made


def messages_of(task: str, slots: Mapping[str, Any]) -> tuple[Message, ...]:
  """Renders the messages of a request.

  Raises:
    PromptError: If the slots are not those of the task, or the template asks
      for others.
  """
  expected = set(TASKS[task].slots)
  if set(slots) != expected:
    raise PromptError(
      f'{task}: has the slots {sorted(slots)}, expected {sorted(expected)}'
    )
  values = values_of(slots)
  rendered = [
    Message(role, fill(body, values, f'{task}.md'))
    for role, body in sections(task).items()
  ]
  if task == 'chat.answer':
    # The conversation itself, not a text about it.
    rendered += [Message(m['role'], m['content']) for m in slots['messages']]
  return tuple(rendered)
