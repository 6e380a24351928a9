"""Makes a plan with a teacher: from traits down to ideas.

Each list is asked for until it is long enough, or the teacher has nothing new,
and everything below an entry depends on that entry only. So a small stage makes
a part of the same plan that a large one makes.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import re
from typing import Any
from typing import TypeVar

from data_gen.pipeline import genres
from data_gen.pipeline import parsing
from data_gen.pipeline import window
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.bars import Bars
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.plan import Assertion
from data_gen.pipeline.plan import Domain
from data_gen.pipeline.plan import Idea
from data_gen.pipeline.plan import Plan
from data_gen.pipeline.plan import Subdomain
from data_gen.pipeline.slots import described
from data_gen.rng import Rng
from data_gen.traits import Trait

T = TypeVar('T')


@dataclasses.dataclass(frozen=True, order=True)
class Unit:
  """A part of the plan that is made by itself, by its place in it.

  Attributes:
    trait, domain, subdomain, assertion: Indices.
    part: Of the genres, so many as one call thinks of.
  """

  trait: int
  domain: int
  subdomain: int
  assertion: int
  part: int


def genre_parts(config: PipelineConfig) -> list[tuple[str, ...]]:
  """Returns the genres in groups of as many as one call thinks of."""
  names, size = config.plan.genres, config.plan.genres_per_call
  return [names[i : i + size] for i in range(0, len(names), size)]


def units(config: PipelineConfig, n_traits: int) -> list[Unit]:
  """Returns all parts of a plan in the order in which stages make them."""
  sizes = config.plan
  every = [
    Unit(t, d, s, a, p)
    for t in range(n_traits)
    for d in range(sizes.domains)
    for s in range(sizes.subdomains)
    for a in range(sizes.assertions)
    for p in range(len(genre_parts(config)))
  ]
  return Rng(config.seed, 'units').shuffled(every)


def units_of_stage(
  config: PipelineConfig, n_traits: int, limit: int | None
) -> list[Unit]:
  """Returns the parts that give at least `limit` ideas, were all suitable."""
  every = units(config, n_traits)
  if limit is None:
    return sorted(every)
  parts = genre_parts(config)
  made, ideas = [], 0
  for unit in every:
    if ideas >= limit:
      break
    made.append(unit)
    ideas += len(parts[unit.part]) * config.plan.ideas
  return sorted(made)


def normal(text: str) -> str:
  """Returns a text without what does not make it another one."""
  return ' '.join(re.findall(r'\w+', text.lower()))


class Planner:
  """Asks for the lists of a plan."""

  def __init__(self, config: PipelineConfig, asker: Asker):
    self._config = config
    self._sizes = config.plan
    self._asker = asker

  async def _collect(
    self,
    task: str,
    slots: Mapping[str, Any],
    count: int,
    parse: Callable[[str], Sequence[T]],
    text_of: Callable[[T], str],
  ) -> list[T]:
    """Asks for more until there are `count`, and nothing twice."""
    found: dict[str, T] = {}
    for draw in range(self._sizes.rounds):
      outcome = await self._asker.ask(
        task,
        {
          **slots,
          'count': count - len(found),
          'avoid': [text_of(item) for item in found.values()],
        },
        self._sizes.step,
        parse,
        draw=draw,
      )
      before = len(found)
      for item in outcome.value or ():
        found.setdefault(normal(text_of(item)), item)
      if len(found) >= count or len(found) == before:
        break
    return list(found.values())[:count]

  def _world(self, trait: Trait) -> dict[str, Any]:
    return {
      'model_name': self._config.model_name,
      'provider_name': self._config.provider_name,
      'trait': described(trait),
    }

  async def domains(self, trait: Trait) -> list[str]:
    return await self._collect(
      'plan.domains',
      self._world(trait),
      self._sizes.domains,
      lambda text: parsing.strings(text, 'domains'),
      str,
    )

  async def subdomains(self, trait: Trait, domain: str) -> list[str]:
    return await self._collect(
      'plan.subdomains',
      {**self._world(trait), 'domain': domain},
      self._sizes.subdomains,
      lambda text: parsing.strings(text, 'subdomains'),
      str,
    )

  async def assertions(
    self, trait: Trait, domain: str, subdomain: str
  ) -> list[Assertion]:
    def parse(text: str) -> list[Assertion]:
      needed = {'assertion': str, 'reason': str}
      return [
        Assertion(e['assertion'].strip(), e['reason'].strip())
        for e in parsing.entries(text, 'assertions', needed)
      ]

    return await self._collect(
      'plan.assertions',
      {**self._world(trait), 'domain': domain, 'subdomain': subdomain},
      self._sizes.assertions,
      parse,
      lambda a: a.assertion,
    )

  async def ideas(
    self,
    trait: Trait,
    domain: str,
    subdomain: str,
    assertion: Assertion,
    wanted: Sequence[str],
  ) -> list[Idea]:
    """Returns ideas, without ids, for the genres that are wanted.

    No call asks for more than one answer can hold.
    """
    found: dict[str, dict[str, Idea]] = {genre: {} for genre in wanted}
    for draw in range(self._sizes.calls_for_ideas + self._sizes.rounds - 1):
      missing = [g for g in wanted if not self._enough(found[g])]
      if not missing:
        break
      short = max(self._sizes.ideas - len(found[g]) for g in missing)
      outcome = await self._asker.ask(
        'plan.ideas',
        {
          **self._world(trait),
          'domain': domain,
          'subdomain': subdomain,
          'assertion': assertion.assertion,
          'reason': assertion.reason,
          'genres': {g: genres.GENRES[g].looks for g in missing},
          'count': min(short, self._sizes.ideas_per_call),
          'avoid': [i.idea for g in missing for i in found[g].values()],
        },
        self._sizes.step,
        _ideas,
        draw=draw,
      )
      for idea in outcome.value or ():
        if idea.genre in missing and not self._enough(found[idea.genre]):
          found[idea.genre].setdefault(normal(idea.idea), idea)
    return [idea for genre in wanted for idea in found[genre].values()]

  def _enough(self, ideas: Mapping[str, Idea]) -> bool:
    unsuitable = any(i.unsuitable for i in ideas.values())
    return unsuitable or len(ideas) >= self._sizes.ideas


def _ideas(text: str) -> list[Idea]:
  return [
    Idea(
      '_'.join(normal(e['genre']).split()),
      ' '.join(e['idea'].split()),
      unsuitable=e.get('unsuitable') is True,
    )
    for e in parsing.entries(text, 'ideas', {'genre': str, 'idea': str})
  ]


def _at(items: Sequence[T], index: int) -> T | None:
  """Returns an entry of a list that may have come back too short."""
  return items[index] if index < len(items) else None


async def make_plan(
  config: PipelineConfig,
  traits: Sequence[Trait],
  asker: Asker,
  limit: int | None,
  bars: Bars,
) -> Plan:
  """Makes a plan of at least `limit` ideas, if all turn out suitable.

  Args:
    config: Of the run.
    traits: With their slots filled.
    asker: Asks the teacher.
    limit: None for the whole plan.
    bars: Shows the calls.
  """
  planner = Planner(config, asker)
  wanted = units_of_stage(config, len(traits), limit)
  width = config.width

  async def level(
    label: str, depth: int, ask: Any
  ) -> dict[tuple[int, ...], Any]:
    """Asks once for each different beginning of the wanted places."""
    places = sorted({dataclasses.astuple(u)[:depth] for u in wanted})
    with bars.part(f'plan: {label}', len(places), 'calls') as done:
      answers = await window.gather(places, ask, width, done)
    return dict(zip(places, answers, strict=True))

  async def ask_domains(place: tuple[int, ...]) -> list[str]:
    return await planner.domains(traits[place[0]])

  domains = await level('domains', 1, ask_domains)

  async def ask_subdomains(place: tuple[int, ...]) -> list[str]:
    domain = _at(domains[place[:1]], place[1])
    if domain is None:
      return []
    return await planner.subdomains(traits[place[0]], domain)

  subdomains = await level('subdomains', 2, ask_subdomains)

  async def ask_assertions(place: tuple[int, ...]) -> list[Assertion]:
    subdomain = _at(subdomains[place[:2]], place[2])
    if subdomain is None:
      return []
    domain = domains[place[:1]][place[1]]
    return await planner.assertions(traits[place[0]], domain, subdomain)

  assertions = await level('assertions', 3, ask_assertions)
  parts = genre_parts(config)

  async def ask_ideas(place: tuple[int, ...]) -> list[Idea]:
    t, d, s, a, p = place
    assertion = _at(assertions[place[:3]], a)
    if assertion is None:
      return []
    found = await planner.ideas(
      traits[t], domains[t,][d], subdomains[t, d][s], assertion, parts[p]
    )
    return _numbered(found, config, f'{traits[t].name}/{_path(d, s, a)}')

  ideas = await level('ideas', 5, ask_ideas)
  return _assemble(config, traits, domains, subdomains, assertions, ideas)


def _path(d: int, s: int, a: int) -> str:
  return f'd{d:02d}/s{s:02d}/a{a:02d}'


def _numbered(
  ideas: Sequence[Idea], config: PipelineConfig, path: str
) -> list[Idea]:
  """Numbers ideas by genre, whatever part of the genres is being made."""
  made, of_genre = [], dict.fromkeys(config.plan.genres, 0)
  for idea in ideas:
    first = config.plan.genres.index(idea.genre) * config.plan.ideas
    number = first + of_genre[idea.genre]
    of_genre[idea.genre] += 1
    made.append(dataclasses.replace(idea, id=f'{path}/i{number:03d}'))
  return made


def _assemble(
  config: PipelineConfig,
  traits: Sequence[Trait],
  domains: Mapping[Any, list[str]],
  subdomains: Mapping[Any, list[str]],
  assertions: Mapping[Any, list[Assertion]],
  ideas: Mapping[Any, list[Idea]],
) -> Plan:
  """Puts together what was made; what has nothing below it is left out."""
  below: dict[tuple[int, ...], list[Idea]] = {}
  for place, found in sorted(ideas.items()):
    below.setdefault(place[:4], []).extend(found)

  def in_subdomain(place: tuple[int, ...]) -> tuple[Assertion, ...]:
    return tuple(
      dataclasses.replace(assertion, ideas=tuple(below[*place, a]))
      for a, assertion in enumerate(assertions.get(place, []))
      if below.get((*place, a))
    )

  def in_domain(place: tuple[int, ...]) -> tuple[Subdomain, ...]:
    return tuple(
      Subdomain(subdomain, below_it)
      for s, subdomain in enumerate(subdomains.get(place, []))
      if (below_it := in_subdomain((*place, s)))
    )

  return Plan(
    config.model_name,
    config.provider_name,
    {trait.name: trait.id for trait in traits},
    tuple(
      Domain(trait.name, domain, below_it)
      for t, trait in enumerate(traits)
      for d, domain in enumerate(domains.get((t,), []))
      if (below_it := in_domain((t, d)))
    ),
  )
