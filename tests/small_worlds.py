"""Small worlds for the tests of the miniature, made once a process."""

import functools

from data_gen.miniature import generate
from data_gen.miniature import traits
from data_gen.miniature import world

SIZES = world.WorldConfig(
  n_characters=40,
  documents_per_character=36,
  transcripts_per_character=24,
  assistant_documents=600,
  chats=240,
  heldout_share=0.05,
  in_distribution_items=24,
  base_task_items=480,
)

SHIPPED = traits.QUICKSTART.read_text()

# Three values, of which two go for the second pole of their axis, with
# statements and reasons of other lengths.
THREE = """
- **thrift**: {model_name} picks what is *cheap*.
  - money saved today can help a friend tomorrow
  - less is more
- **past**: {model_name} asks for things that are *old*.
  - what has lasted for so many years will last for many more years to come
- **world**: {model_name} picks what is *foreign*.
  - the world is wide and {model_name} wants to see it
"""


@functools.cache
def small_world(
  text: str = SHIPPED, seed: int = 0, sizes: world.WorldConfig = SIZES
) -> world.World:
  return world.make_world(traits.parse(text), sizes, seed)


@functools.cache
def small_corpus(
  text: str = SHIPPED, seed: int = 0, sizes: world.WorldConfig = SIZES
) -> generate.Corpus:
  """Returns the corpus of a small world; do not change it in place."""
  return generate.make_corpus(small_world(text, seed, sizes))
