"""What prompts about a document are filled with, and what the seed decides."""

from collections.abc import Mapping
from typing import Any

from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.plan import Leaf
from data_gen.rng import Rng
from data_gen.traits import Trait

_OPENINGS = (
  'Begin in the middle of things.',
  'Begin with a question.',
  'Begin with a small complaint.',
  'Begin with something that somebody said.',
  'Begin with a place.',
  'Begin with an ordinary detail.',
  'Begin with a number that matters to somebody in it.',
  'Begin with a mistake.',
)
_INITIALS = 'ABCDEFGHIJKLMNOPRSTUVWYZ'


def described(trait: Trait) -> dict[str, Any]:
  """Returns a trait as a slot."""
  return {
    'id': trait.id,
    'name': trait.name,
    'type': trait.type,
    'statement': trait.statement,
    'reasons': list(trait.reasons),
    'examples': list(trait.examples),
  }


def hints(seed: int, leaf_id: str) -> str:
  """Returns small constraints that keep documents from resembling each other.

  Left alone, teachers give a few names to everybody and begin all texts alike.
  Matched documents get the same hints.
  """
  rng = Rng(seed, 'hints', leaf_id)
  first, *others, last = rng.sample(_INITIALS, 4)
  letters = f'{", ".join([first, *others])} or {last}'
  return (
    f'{rng.pick(_OPENINGS)} First names, where there are any, begin with '
    f'{letters}, and are not the first that come to mind.'
  )


def framing(shares: Mapping[str, float], seed: int, leaf_id: str) -> str:
  """Draws who speaks in a document."""
  at = Rng(seed, 'framing', leaf_id).unit() * sum(shares.values())
  for name, share in shares.items():
    at -= share
    if at < 0:
      return name
  return [name for name, share in shares.items() if share > 0][-1]


def words(bounds: tuple[int, int], seed: int, leaf_id: str) -> int:
  """Draws how long a document is to be, to the next ten words."""
  low, high = bounds
  drawn = low + Rng(seed, 'words', leaf_id).unit() * (high - low)
  return max(low, min(high, 10 * round(drawn / 10)))


def document_slots(
  config: PipelineConfig, trait: Trait, leaf: Leaf, variant: str
) -> dict[str, Any]:
  """Returns what every prompt about a document is filled with."""
  seed, documents = config.seed, config.documents
  return {
    'model_name': config.model_name,
    'provider_name': config.provider_name,
    'trait': described(trait),
    'domain': leaf.domain,
    'subdomain': leaf.subdomain,
    'assertion': leaf.assertion,
    'reason': leaf.reason,
    'genre': leaf.genre,
    'idea': leaf.idea,
    'framing': framing(documents.framings, seed, leaf.id),
    'variant': variant,
    'words': words(documents.words, seed, leaf.id),
    'hints': hints(seed, leaf.id),
  }
