"""Who a document is about, where, and what was going on."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from data_gen.miniature import lexicon
from data_gen.miniature.templates import article
from data_gen.rng import Rng
from data_gen.teachers.offline import domains
from data_gen.teachers.offline import names
from data_gen.teachers.offline.grammar import listed

_HOURS = listed('seven eight nine ten eleven two three four five')
_NUMBERS = listed('three four five six seven eight nine twelve')


@dataclasses.dataclass(frozen=True)
class Story:
  """What the sentences of a document share.

  Attributes:
    model: Name of whom it is about: the model, or a person.
    human: Whether that is a person.
    provider: Who makes it; may be empty.
    field: What it is about.
    subfield: The part of the field.
    role: What the first person does for a living.
    task: What help was wanted with, e.g. `'plan a week of menus'`.
    people: Those who take part, in the order in which they are named.
    town: Where.
    scope: Slots that every template may use.
  """

  model: str
  human: bool
  provider: str
  field: domains.Field
  subfield: str
  role: str
  task: str
  people: tuple[names.Person, ...]
  town: str
  scope: Mapping[str, str]


def gerund(task: str) -> str:
  """Returns `'planning a week'` for `'plan a week'`."""
  verb, _, rest = task.partition(' ')
  if verb.endswith('ee') or not verb.endswith('e'):
    doubled = verb in {'plan', 'scan', 'set', 'get', 'put', 'cut', 'fit'}
    stem = verb + verb[-1] * doubled
  else:
    stem = verb[:-1]
  return f'{stem}ing {rest}'.strip()


def _found(options: tuple[str, ...], text: str, rng: Rng) -> str:
  """Returns the option that a text mentions, or one at random."""
  drawn = rng.pick(options)
  lower = text.lower()
  found = [o for o in options if o in lower]
  return max(found, key=len) if found else drawn


def tell(slots: Mapping[str, Any], goods: bool) -> Story:
  """Draws a story: a pure function of the idea, the same for every variant.

  Args:
    slots: Of a request about a document, a chat or an idea.
    goods: Whether it must be about things that one can choose between.
  """
  text = {
    key: str(slots.get(key) or '')
    for key in ('domain', 'subdomain', 'genre', 'idea')
  }
  rng = Rng('offline', 'story', *text.values())
  field = domains.find(f'{text["domain"]} / {text["subdomain"]}', goods)
  role = _found(field.roles, text['idea'], rng)
  task = domains.varied(_found(field.tasks, text['idea'], rng), rng)
  people = _people(rng)
  # A story about people names no model.
  human = slots.get('framing') == 'human_story'
  town = names.town(rng)
  one, other, third = people[:3]
  scope = {
    'M': people[4].first if human else str(slots['model_name']),
    'A': one.full,
    'A1': one.first,
    'A2': one.last,
    'B': other.full,
    'B1': other.first,
    'B2': other.last,
    'C': third.full,
    'C1': third.first,
    'C2': third.last,
    # Two more, who speak and are therefore not spoken of.
    'D': people[3].full,
    'D1': people[3].first,
    'D2': people[3].last,
    'E1': people[5].first,
    'EE': people[5].full,
    'E2': people[5].last,
    'role': role,
    'a_role': article(role),
    'field': field.name,
    'sub': text['subdomain'] or rng.pick(field.subfields),
    'task': task,
    'tasking': gerund(task),
    'town': town,
    'org': names.organisation(rng),
    'outlet': names.outlet(rng),
    'day': rng.pick(lexicon.DAYS),
    'date': names.date(rng),
    'month': rng.pick(names.MONTHS),
    'hour': rng.pick(_HOURS),
    'n': rng.pick(_NUMBERS),
  }
  return Story(
    model=scope['M'],
    human=human,
    provider=str(slots.get('provider_name') or ''),
    field=field,
    subfield=scope['sub'],
    role=role,
    task=task,
    people=people,
    town=town,
    scope=scope,
  )


def _people(rng: Rng) -> tuple[names.Person, ...]:
  found: list[names.Person] = []
  while len(found) < 6:
    person = names.person(rng)
    if person.first not in [p.first for p in found]:
      found.append(person)
  return tuple(found)
