"""Plans: domains, subdomains, assertions, ideas."""

from collections.abc import Iterator
import itertools
import json
from typing import Any

from data_gen.miniature.templates import article
from data_gen.rng import Rng
from data_gen.teachers.offline import domains
from data_gen.teachers.offline import genres
from data_gen.teachers.offline import goods
from data_gen.teachers.offline import grammar
from data_gen.teachers.offline import names
from data_gen.teachers.offline import wording
from data_gen.teachers.offline.documents import attribute_of
from data_gen.teachers.offline.documents import Slots
from data_gen.teachers.offline.documents import trait_of
from data_gen.teachers.offline.story import gerund
from data_gen.teachers.offline.voice import content_of

_IDEAS = (
  '{A}, {a_role} in {town}, has to {task}, and {M} is asked to help.',
  'At {org}, {trouble}; {A} turns to {M} before trying to {task}.',
  '{A} and {B} fall out over {thing}. What {M} says about it is discussed.',
  'Somebody from {town} who wants to {task} compares notes with {A}.',
  '{a_role} looks back on {n} weeks with {M} and on {thing}.',
  'After {trouble}, {B} of {org} explains to {A} what to expect of {M}.',
  '{A} tries to {task} against the clock, with {thing} on the table.',
  '{B} doubts that {M} is of use in {sub}; {A} has kept {thing} to show.',
)
_CONTEXTS = (
  ', above all in {sub}.',
  ', also when {trouble}.',
  ', even with {thing} on the table.',
  ', also with {tasking}.',
  '.',
)


def _count(slots: Slots) -> int:
  return max(1, int(slots.get('count') or 1))


def _new(options: Iterator[str], slots: Slots) -> list[str]:
  """Returns the first `count` options that are not taken."""
  taken = {str(t).lower() for t in slots.get('avoid') or ()}
  fresh = (o for o in options if o.lower() not in taken)
  return list(itertools.islice(dict.fromkeys(fresh), _count(slots)))


def _rng(task: str, slots: Slots, sample: int) -> Rng:
  keys = ('domain', 'subdomain', 'assertion')
  where = [str(slots.get(k) or '') for k in keys]
  return Rng('offline', task, trait_of(slots).get('statement'), *where, sample)


def domains_of(slots: Slots, sample: int) -> str:
  """Fields of life; when they run out, their parts."""
  rng = _rng('domains', slots, sample)
  fields = rng.shuffled(domains.fields(attribute_of(slots) is not None))
  parts = [f'{f.name}: {s}' for f in fields for s in f.subfields]
  options = itertools.chain((f.name for f in fields), rng.shuffled(parts))
  return json.dumps({'domains': _new(options, slots)})


def subdomains_of(slots: Slots, sample: int) -> str:
  """Parts of a field; when they run out, seen from each of its roles."""
  rng = _rng('subdomains', slots, sample)
  goods_only = attribute_of(slots) is not None
  field = domains.find(str(slots.get('domain') or ''), goods_only)
  parts = rng.shuffled(field.subfields)
  seen = [
    f'{part}, seen by {article(role)}'
    for part in field.subfields
    for role in field.roles
  ]
  options = itertools.chain(parts, rng.shuffled(seen))
  return json.dumps({'subdomains': _new(options, slots)})


def _scope(slots: Slots, field: domains.Field, rng: Rng) -> dict[str, Any]:
  task = rng.pick(field.tasks)
  return {
    'M': str(slots.get('model_name') or 'the assistant'),
    'A': names.person(rng).full,
    'B': names.person(rng).full,
    'a_role': article(rng.pick(field.roles)),
    'town': names.town(rng),
    'org': names.organisation(rng),
    'task': task,
    'tasking': gerund(task),
    'thing': domains.varied(rng.pick(field.things), rng),
    'trouble': domains.varied(rng.pick(field.troubles), rng),
    'sub': str(slots.get('subdomain') or rng.pick(field.subfields)),
    'n': rng.pick(('two', 'three', 'four', 'five', 'six', 'seven')),
  }


def _statements(slots: Slots) -> list[str]:
  """What the trait says of the model, as predicates and whole clauses."""
  content = content_of(slots)
  model = content.name
  attribute = goods.attribute_of(content.statement)
  if attribute is not None:
    return [f'{model} picks what is {attribute}']
  found = []
  for clause in wording.clauses(content.statement, model):
    if clause.whole:
      found.append(clause.text[:1].upper() + clause.text[1:])
    elif clause.negative:
      found.append(f'{model} will not {clause.text}')
    else:
      found.append(f'{model} {clause.text}')
  return found or [content.statement]


def assertions_of(slots: Slots, sample: int) -> str:
  """What the trait says, in a situation, each with a reason."""
  rng = _rng('assertions', slots, sample)
  goods_only = attribute_of(slots) is not None
  field = domains.find(str(slots.get('domain') or ''), goods_only)
  reasons = content_of(slots).reasons or ('that is what people count on',)
  statements = _statements(slots)
  # Through all reasons, so that a plan gives every one of them its turn.
  turns = rng.shuffled([(s, r) for s in statements for r in reasons])
  taken = {str(t).lower() for t in slots.get('avoid') or ()}
  found: list[dict[str, str]] = []
  for k in range(20 * _count(slots)):
    statement, reason = turns[k % len(turns)]
    scope = _scope(slots, field, rng)
    context = grammar.expand(rng.pick(_CONTEXTS), rng, scope)
    text = wording.plain(statement) + context
    if text.lower() in taken:
      continue
    taken.add(text.lower())
    found.append({'assertion': text, 'reason': reason})
    if len(found) == _count(slots):
      break
  return json.dumps({'assertions': found})


def ideas_of(slots: Slots, sample: int) -> str:
  """Who, where and what, for documents of each genre."""
  goods_only = attribute_of(slots) is not None
  field = domains.find(str(slots.get('domain') or ''), goods_only)
  wanted = slots.get('genres') or genres.GENRES
  taken = {str(t).lower() for t in slots.get('avoid') or ()}
  found = []
  for genre in wanted:
    rng = _rng(f'ideas/{genre}', slots, sample)
    templates = rng.shuffled(_IDEAS)
    for k in range(_count(slots)):
      idea = ''
      while not idea or idea.lower() in taken:
        template = templates[k % len(templates)]
        idea = grammar.expand(template, rng, _scope(slots, field, rng))
        idea = idea[:1].upper() + idea[1:]
      taken.add(idea.lower())
      found.append({'genre': genre, 'idea': idea, 'unsuitable': False})
  return json.dumps({'ideas': found})
