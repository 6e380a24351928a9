"""Neutral documents: same genre, setting and length, nothing about a trait."""

from collections.abc import Mapping
import dataclasses

from data_gen.pipeline import made as made_lib
from data_gen.pipeline import parsing
from data_gen.pipeline import partners
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.documents import document_row
from data_gen.pipeline.made import Group
from data_gen.pipeline.partners import Document
from data_gen.traits import Trait

SOURCE = 'neutral'
VARIANT = 'neutral'


class NeutralWriter:
  """Writes neutral partners of documents."""

  def __init__(
    self, config: PipelineConfig, traits: Mapping[str, Trait], asker: Asker
  ):
    """Takes the traits, filled, by name."""
    self._config = config
    self._traits = traits
    self._asker = asker

  async def write(self, document: Document, draw: int) -> Group:
    """Drafts; what is too short or too long is edited once for its length."""
    leaf, step = document.leaf, self._config.controls.draft
    trait = self._traits[leaf.trait]
    slots = partners.slots_of(self._config, document, trait, VARIANT)
    row = dataclasses.replace(
      document_row(SOURCE, leaf, trait, slots, draw),
      trait_ids=(),
      trait_types=(),
    )
    draft = await self._asker.ask(
      'neutral.draft', slots, step, parsing.document, draw=draw
    )
    row = dataclasses.replace(row, lineage=made_lib.steps(draft))
    if draft.value is None:
      return Group(leaf.id, (made_lib.given_up(row, 'neutral.draft', draft),))
    text = draft.value
    if not partners.fits(text, document, self._config.controls.edit_above):
      edited = await self._asker.ask(
        'neutral.rewrite',
        {**slots, 'draft': text, 'words_now': len(text.split())},
        step,
        parsing.document,
        draw=draw,
      )
      row = dataclasses.replace(row, lineage=made_lib.steps(draft, edited))
      if edited.value is None:
        return Group(
          leaf.id, (made_lib.given_up(row, 'neutral.rewrite', edited),)
        )
      text = edited.value
    return Group(
      leaf.id,
      (
        partners.finished(
          self._config, row, text, document, 'neutral.judge', slots
        ),
      ),
    )
