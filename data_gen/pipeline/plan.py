"""The plan: what each document is to be about; a file to read and to edit.

  {"model_name": …, "provider_name": …, "traits": {name: id},
   "domains": [{"trait": name, "domain": …,
     "subdomains": [{"subdomain": …,
       "assertions": [{"assertion": …, "reason": …,
         "ideas": [{"id": …, "genre": …, "idea": …}]}]}]}]}

Delete, reword and add whatever you like. An idea that is new needs no id. What
was not reworded is not asked for again, since answers are found by what was
asked and not by where it stands.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import pathlib
import re
from typing import Any

from data_gen.pipeline import genres
from data_gen.rng import Rng
from data_gen.traits import Trait
from msm_jax import schema
from msm_jax import storage

_PATH = re.compile(r'[^/]+/d\d+/s\d+(?=/)')


class PlanError(ValueError):
  """A plan that cannot be run; says where and what was expected."""


@dataclasses.dataclass(frozen=True)
class Idea:
  """One document.

  Attributes:
    genre: See `genres`.
    idea: Who writes what for whom.
    id: Unique in the plan, e.g. `'honesty/d03/s01/a02/i004'`.
    unsuitable: Whether the teacher found that the genre does not fit. No
      document is drafted then.
  """

  genre: str
  idea: str
  id: str = ''
  unsuitable: bool = False


@dataclasses.dataclass(frozen=True)
class Assertion:
  """What the assistant does in a situation, and why."""

  assertion: str
  reason: str
  ideas: tuple[Idea, ...] = ()


@dataclasses.dataclass(frozen=True)
class Subdomain:
  """A kind of situation."""

  subdomain: str
  assertions: tuple[Assertion, ...] = ()


@dataclasses.dataclass(frozen=True)
class Domain:
  """A domain in which a trait shows.

  Attributes:
    trait: Name of the trait.
  """

  trait: str
  domain: str
  subdomains: tuple[Subdomain, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plan:
  """All that documents and chats are about.

  Attributes:
    traits: Name to content id of the traits that it was made for.
  """

  model_name: str
  provider_name: str
  traits: dict[str, str]
  domains: tuple[Domain, ...] = ()


@dataclasses.dataclass(frozen=True)
class Leaf:
  """An idea with everything above it."""

  id: str
  trait: str
  domain: str
  subdomain: str
  assertion: str
  reason: str
  genre: str
  idea: str


@dataclasses.dataclass(frozen=True)
class Situation:
  """A subdomain of a trait, which chats are about."""

  id: str
  trait: str
  domain: str
  subdomain: str


def _walk(
  plan: Plan,
) -> Iterator[tuple[str, Domain, Subdomain, Assertion, Idea]]:
  """Yields the path above each idea, and the idea."""
  for d, domain in enumerate(plan.domains):
    for s, subdomain in enumerate(domain.subdomains):
      for a, assertion in enumerate(subdomain.assertions):
        path = f'{domain.trait}/d{d:02d}/s{s:02d}/a{a:02d}'
        for idea in assertion.ideas:
          yield path, domain, subdomain, assertion, idea


def leaves(plan: Plan) -> list[Leaf]:
  """Returns the suitable ideas in the order of the plan."""
  return [
    Leaf(
      idea.id,
      domain.trait,
      domain.domain,
      subdomain.subdomain,
      assertion.assertion,
      assertion.reason,
      idea.genre,
      idea.idea,
    )
    for _, domain, subdomain, assertion, idea in _walk(plan)
    if not idea.unsuitable
  ]


def situations(plan: Plan) -> list[Situation]:
  """Returns the subdomains in the order of the plan."""
  found: dict[str, Situation] = {}
  for d, domain in enumerate(plan.domains):
    for s, subdomain in enumerate(domain.subdomains):
      ids = (i.id for a in subdomain.assertions for i in a.ideas)
      # Where the plan has lost something above, the ids still know the place.
      known = _PATH.match(next(ids, ''))
      path = known[0] if known else f'{domain.trait}/d{d:02d}/s{s:02d}'
      if path in found:
        path += f'/{storage.fingerprint([domain.domain, subdomain.subdomain])}'
      found[path] = Situation(
        path, domain.trait, domain.domain, subdomain.subdomain
      )
  return list(found.values())


def some_leaves(plan: Plan, limit: int | None, seed: int) -> list[Leaf]:
  """Returns `limit` of the suitable ideas, in the order of the plan.

  Which ones depends on the seed and on their ids only, so that those of a
  smaller limit are among those of a larger one.
  """
  every = leaves(plan)
  if limit is None or limit >= len(every):
    return every
  ranked = sorted(every, key=lambda x: Rng(seed, 'leaf', x.id).unit())
  chosen = {leaf.id for leaf in ranked[:limit]}
  return [leaf for leaf in every if leaf.id in chosen]


def counts(plan: Plan) -> dict[str, Any]:
  """Returns sizes for a manifest."""
  ideas = [idea for *_, idea in _walk(plan)]
  return {
    'domains': len(plan.domains),
    'subdomains': sum(len(d.subdomains) for d in plan.domains),
    'assertions': sum(
      len(s.assertions) for d in plan.domains for s in d.subdomains
    ),
    'ideas': len(ideas),
    'unsuitable': sum(i.unsuitable for i in ideas),
    'ideas_by_trait': {
      name: sum(leaf.trait == name for leaf in leaves(plan))
      for name in plan.traits
    },
    'ideas_by_genre': {
      genre: n
      for genre in genres.GENRES
      if (n := sum(not i.unsuitable and i.genre == genre for i in ideas))
    },
  }


def to_json(plan: Plan) -> str:
  """Returns the plan as a file that one can read; ends with a newline."""

  def idea(i: Idea) -> dict[str, Any]:
    made: dict[str, Any] = {'id': i.id, 'genre': i.genre, 'idea': i.idea}
    if i.unsuitable:
      made['unsuitable'] = True
    return made

  described = dataclasses.asdict(plan)
  for d, domain in zip(described['domains'], plan.domains, strict=True):
    for s, subdomain in zip(d['subdomains'], domain.subdomains, strict=True):
      for a, assertion in zip(
        s['assertions'], subdomain.assertions, strict=True
      ):
        a['ideas'] = [idea(i) for i in assertion.ideas]
  return json.dumps(described, indent=1, ensure_ascii=False) + '\n'


def with_ids(plan: Plan, source: str) -> Plan:
  """Gives an id to each idea that has none: of its place and its content.

  Raises:
    PlanError: If two ideas have the same id.
  """
  paths = [path for path, *_ in _walk(plan)]
  place = iter(paths)
  seen: dict[str, str] = {}

  def named(idea: Idea) -> Idea:
    path = next(place)
    made = idea.id or f'{path}/{storage.fingerprint([idea.genre, idea.idea])}'
    if made in seen:
      raise PlanError(
        f'{source}: the id {made!r} is that of two ideas, {seen[made]!r} and '
        f'{idea.idea!r}; remove one of the ideas, or its id'
      )
    seen[made] = idea.idea
    return dataclasses.replace(idea, id=made)

  def in_assertion(a: Assertion) -> Assertion:
    return dataclasses.replace(a, ideas=tuple(map(named, a.ideas)))

  def in_subdomain(s: Subdomain) -> Subdomain:
    return dataclasses.replace(
      s, assertions=tuple(map(in_assertion, s.assertions))
    )

  def in_domain(d: Domain) -> Domain:
    return dataclasses.replace(
      d, subdomains=tuple(map(in_subdomain, d.subdomains))
    )

  return dataclasses.replace(plan, domains=tuple(map(in_domain, plan.domains)))


def _check_texts(plan: Plan, source: str) -> None:
  for d, domain in enumerate(plan.domains):
    schema.one_of(
      domain.trait, list(plan.traits), f'{source}.domains[{d}].trait'
    )
    texts = [('domain', domain.domain)]
    for s, subdomain in enumerate(domain.subdomains):
      at = f'subdomains[{s}]'
      texts.append((f'{at}.subdomain', subdomain.subdomain))
      for a, assertion in enumerate(subdomain.assertions):
        within = f'{at}.assertions[{a}]'
        texts.append((f'{within}.assertion', assertion.assertion))
        for i, idea in enumerate(assertion.ideas):
          key = f'{within}.ideas[{i}]'
          texts.append((f'{key}.idea', idea.idea))
          schema.one_of(
            idea.genre,
            list(genres.GENRES),
            f'{source}.domains[{d}].{key}.genre',
          )
    for key, text in texts:
      if not text.strip():
        raise PlanError(f'{source}.domains[{d}].{key}: is empty')


def check(
  plan: Plan,
  traits: Sequence[Trait],
  model_name: str,
  provider_name: str,
  source: str,
) -> None:
  """Checks that a plan belongs to these traits and names.

  Raises:
    PlanError, ConfigError: Naming the key and what to do.
  """
  for name, given, ours in (
    ('model_name', plan.model_name, model_name),
    ('provider_name', plan.provider_name, provider_name),
  ):
    if given != ours:
      raise PlanError(
        f'{source}.{name}: {given!r}, but config.{name} is {ours!r}; its texts '
        'speak of the former: make a new plan, or replace the name in all of it'
      )
  known = {t.name: t.id for t in traits}
  for name, made_for in plan.traits.items():
    schema.one_of(name, list(known), f'{source}.traits')
    if made_for != known[name]:
      raise PlanError(
        f'{source}.traits.{name}: was made for the trait {made_for}, which is '
        f'now {known[name]}: its text was edited. If the plan still fits, set '
        'the new id'
      )
  _check_texts(plan, source)
  if not leaves(plan):
    raise PlanError(f'{source}: has no suitable idea')


def parse(text: str, source: str) -> Plan:
  """Reads a plan; see `check` for whether it fits.

  Raises:
    PlanError, ConfigError: Naming the file and the key.
  """
  try:
    raw = json.loads(text)
  except json.JSONDecodeError as e:
    raise PlanError(f'{source}:{e.lineno}: not JSON: {e.msg}') from e
  if not isinstance(raw, Mapping):
    raise PlanError(f'{source}: expected a JSON object')
  return with_ids(schema.structure(Plan, raw, source), source)


def load(path: str | pathlib.Path) -> Plan:
  """Reads a plan from a file, local or `gs://`; see `parse`."""
  return parse(storage.read_text(path), str(path))
