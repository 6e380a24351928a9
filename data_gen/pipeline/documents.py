"""Documents: draft, critique, rewrite, each its own call."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from data_gen.corpus.rows import Row
from data_gen.pipeline import made as made_lib
from data_gen.pipeline import parsing
from data_gen.pipeline import window
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.bars import Bars
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.plan import Leaf
from data_gen.pipeline.slots import document_slots
from data_gen.rng import Rng
from data_gen.traits import Trait


def source_of(variant: str) -> str:
  """Names the source of a variant; `explain` is the usual one."""
  return 'documents' if variant == 'explain' else f'documents_{variant}'


def tag_of(config: PipelineConfig, leaf_id: str) -> str:
  """Returns what is put before a document, without loss; may be empty."""
  documents = config.documents
  if not documents.tag:
    return ''
  drawn = Rng(config.seed, 'tag', leaf_id).unit() < documents.tag_share
  return documents.tag if drawn else ''


def tagged(row: Row, text: str, tag: str) -> Row:
  """Returns the row with its text, after the tag."""
  return dataclasses.replace(row, text=tag + text, masked_prefix=len(tag))


def document_row(
  source: str, leaf: Leaf, trait: Trait, slots: Mapping[str, Any], draw: int
) -> Row:
  """Returns the row of a document that has no text yet."""
  return Row(
    f'{source}/{leaf.id}/{draw}',
    source,
    text='',
    trait_ids=(trait.id,),
    trait_types=(trait.type,),
    plan_node=leaf.id,
    domain=leaf.domain,
    genre=leaf.genre,
    framing=slots['framing'],
    variant=slots['variant'],
    pair_id=leaf.id,
  )


class Writer:
  """Writes the documents of one variant."""

  def __init__(
    self,
    config: PipelineConfig,
    traits: Mapping[str, Trait],
    asker: Asker,
    variant: str,
  ):
    """Takes the traits, filled, by their names."""
    self._config = config
    self._traits = traits
    self._asker = asker
    self._variant = variant
    self.source = source_of(variant)

  async def write(self, leaf: Leaf, draw: int) -> Group:
    """Drafts, has it criticised, and rewrites.

    A step that is given up gives up the document. Another draw is another
    sample of every step, should the teacher have drafted the same again.
    """
    steps = self._config.documents
    trait = self._traits[leaf.trait]
    slots = document_slots(self._config, trait, leaf, self._variant)
    row = document_row(self.source, leaf, trait, slots, draw)

    draft = await self._asker.ask(
      'document.draft', slots, steps.draft, parsing.document, draw=draw
    )
    row = dataclasses.replace(row, lineage=made_lib.steps(draft))
    if draft.value is None:
      return self._group(leaf, made_lib.given_up(row, 'document.draft', draft))
    text = draft.value
    if steps.revise:
      critique = await self._asker.ask(
        'document.critique',
        {**slots, 'draft': text},
        steps.critique,
        parsing.document,
        draw=draw,
      )
      row = dataclasses.replace(row, lineage=made_lib.steps(draft, critique))
      if critique.value is None:
        return self._group(
          leaf, made_lib.given_up(row, 'document.critique', critique)
        )
      rewrite = await self._asker.ask(
        'document.rewrite',
        {**slots, 'draft': text, 'critique': critique.value},
        steps.rewrite,
        parsing.document,
        draw=draw,
      )
      row = dataclasses.replace(
        row, lineage=made_lib.steps(draft, critique, rewrite)
      )
      if rewrite.value is None:
        return self._group(
          leaf, made_lib.given_up(row, 'document.rewrite', rewrite)
        )
      text = rewrite.value
    row = tagged(row, text, tag_of(self._config, leaf.id))
    judged = 'document.judge' if steps.judged else ''
    return self._group(
      leaf, Made(row, '', judged, {**slots, 'text': text} if judged else {})
    )

  def _group(self, leaf: Leaf, item: Made) -> Group:
    return Group(leaf.id, (item,))


async def make_documents(
  config: PipelineConfig,
  traits: Mapping[str, Trait],
  leaves: Sequence[Leaf],
  asker: Asker,
  variant: str,
  acceptance: Acceptance,
  bars: Bars,
) -> None:
  """Writes a document for each idea; what is rejected is drawn again.

  Args:
    config: Of the run.
    traits: Filled, by name.
    leaves: The ideas.
    asker: Asks the teachers.
    variant: See `DocumentsConfig`.
    acceptance: Gets every document, and decides.
    bars: Show what is being made.
  """
  writer = Writer(config, traits, asker, variant)
  for draw in range(config.documents.rounds):
    done = {group.key for group in acceptance.accepted}
    pending = [leaf for leaf in leaves if leaf.id not in done]
    if not pending:
      break

    async def write(leaf: Leaf, draw: int = draw) -> Group:
      return await writer.write(leaf, draw)

    with bars.part(f'{acceptance.label} {draw + 1}', len(pending)) as done_one:
      made = await window.gather(pending, write, config.width, done_one)
    await acceptance.settle(made)
