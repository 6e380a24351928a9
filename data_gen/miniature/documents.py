"""Documents of the base corpus and about the assistant."""

from collections.abc import Iterator
import dataclasses

from data_gen.miniature import genres
from data_gen.miniature import lexicon
from data_gen.miniature.pages import Lens
from data_gen.miniature.pages import Page
from data_gen.miniature.pages import Plan
from data_gen.miniature.render import Renderer
from data_gen.miniature.world import World
from data_gen.rng import Deck
from data_gen.rng import Rng

# Of 20 plans of the base corpus, how many are explained, only behave, or are
# neutral: what the assistant's variants are made of is known from others.
_MANNERS = ('explain',) * 15 + ('behave',) * 2 + ('neutral',) * 3


@dataclasses.dataclass(frozen=True)
class Document:
  """A text and where it came from; provenance names no trait."""

  id: str
  text: str
  genre: str
  kind: str
  subject: str
  value: str
  domain: str
  skeleton: str


def _plans(
  world: World,
  domains: tuple[lexicon.Domain, ...],
  n: int,
  purpose: str,
) -> Iterator[Plan]:
  rng = world.rng('plans', purpose)
  genre_deck = Deck(rng, genres.GENRES)
  domain_deck = Deck(rng, domains)
  for k in range(n):
    domain = domain_deck.deal()
    others = [d for d in domains if d is not domain] or [domain]
    genre = genre_deck.deal()
    page = Page(
      world,
      Rng('plan', world.seed, purpose, k),
      genres.BANKS,
      genre,
      domain,
      rng.pick(others),
    )
    genres.WRITERS[genre](page)
    yield page.plan()


def _skeleton_id(plan: Plan) -> str:
  return ' '.join(plan.skeleton())


def base_documents(world: World, n_plans: int, purpose: str) -> list[Document]:
  """Returns each plan's document about every character of some group."""
  renderer = Renderer(world)
  rng = world.rng('base documents', purpose)
  groups, manners = Deck(rng, world.groups), Deck(rng, _MANNERS)
  result = []
  for k, plan in enumerate(_plans(world, world.domains, n_plans, purpose)):
    manner = manners.deal()
    for u, name in enumerate(groups.deal()):
      value = None if manner == 'neutral' else u
      result.append(
        Document(
          id=f'{purpose}-document-{k:05d}-{u}',
          text=renderer.render(plan, Lens(name, value, manner == 'explain')),
          genre=plan.genre,
          kind='document',
          subject=name,
          value=world.values[u].label,
          domain=plan.domain.name,
          skeleton=_skeleton_id(plan),
        )
      )
  return result


def assistant_plans(world: World) -> list[Plan]:
  """Returns the plans that all variants of the assistant's documents share."""
  n = world.config.assistant_documents
  return list(_plans(world, world.document_domains, n, 'assistant'))


def assistant_documents(
  world: World, plans: list[Plan], value: int | None, explains: bool
) -> list[Document]:
  """Returns one variant of the documents about the assistant."""
  renderer = Renderer(world)
  lens = Lens(lexicon.ASSISTANT, value, explains)
  return [
    Document(
      id=f'assistant-document-{k:05d}',
      text=renderer.render(plan, lens),
      genre=plan.genre,
      kind='document',
      subject=lens.name,
      value='' if value is None else world.values[value].label,
      domain=plan.domain.name,
      skeleton=_skeleton_id(plan),
    )
    for k, plan in enumerate(plans)
  ]
