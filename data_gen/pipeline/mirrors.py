"""Mirrored corpora: two traits, told by the same documents.

Half of the pairs are written about one trait and retold with the other, half
the other way around, so that what retelling does to a text is the same in both
corpora.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from data_gen.pipeline import made as made_lib
from data_gen.pipeline import parsing
from data_gen.pipeline import partners
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.documents import document_row
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.partners import Document
from data_gen.pipeline.slots import described
from data_gen.traits import Trait

NOT_NEEDED = 'not needed: as many pairs begin with either trait'


def source_of(trait: str, other: str) -> str:
  """Names the corpus about `trait` of a mirrored pair."""
  return f'mirrored_{trait}_vs_{other}'


class MirrorWriter:
  """Retells documents about either of two traits with the other one."""

  def __init__(
    self,
    config: PipelineConfig,
    traits: Mapping[str, Trait],
    asker: Asker,
    pair: tuple[str, str],
  ):
    """Takes the traits, filled, by name."""
    self._config = config
    self._traits = traits
    self._asker = asker
    self._pair = pair

  async def write(self, document: Document, draw: int) -> Group:
    """Returns the document and its mirror image."""
    leaf = document.leaf
    other = self._pair[leaf.trait == self._pair[0]]
    trait = self._traits[other]
    slots = partners.slots_of(self._config, document, trait, 'explain')
    source = source_of(leaf.trait, other)
    original = dataclasses.replace(
      document.row,
      id=f'{source}/{leaf.id}/{draw}',
      source=source,
      verdicts=(),
    )
    row = document_row(source_of(other, leaf.trait), leaf, trait, slots, draw)
    outcome = await self._asker.ask(
      'document.mirror',
      {
        **slots,
        'from_trait': described(self._traits[leaf.trait]),
        'text': document.text,
      },
      self._config.controls.draft,
      parsing.document,
      draw=draw,
    )
    row = dataclasses.replace(
      row, lineage=(*document.row.lineage, *made_lib.steps(outcome))
    )
    mirrored = (
      made_lib.given_up(row, 'document.mirror', outcome)
      if outcome.value is None
      else partners.finished(
        self._config, row, outcome.value, document, 'document.judge', slots
      )
    )
    return Group(leaf.id, (Made(original), mirrored))


def drop_surplus(
  documents: Sequence[Document], acceptance: Acceptance, pair: tuple[str, str]
) -> None:
  """Keeps as many pairs that began with one trait as with the other."""
  origin = {d.leaf.id: d.leaf.trait for d in documents}
  of_origin = {
    name: [g for g in acceptance.accepted if origin[g.key] == name]
    for name in pair
  }
  kept = min(map(len, of_origin.values()))
  acceptance.drop(
    [g for of in of_origin.values() for g in of[kept:]], NOT_NEEDED
  )
