"""Mirrored corpora: two traits, told by the same documents.

Half of the pairs are written about one trait and retold with the other, half
the other way around, so that what retelling does to a text is the same in both
corpora.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from data_gen.corpus.rows import GateVerdict
from data_gen.corpus.rows import Row
from data_gen.pipeline import balance
from data_gen.pipeline import edits
from data_gen.pipeline import judge
from data_gen.pipeline import made as made_lib
from data_gen.pipeline import parsing
from data_gen.pipeline import partners
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.documents import document_row
from data_gen.pipeline.documents import tag_of
from data_gen.pipeline.documents import tagged
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.partners import Document
from data_gen.pipeline.slots import described
from data_gen.pipeline.tasks import TASKS
from data_gen.traits import Trait

CHANGED = 'changed'
"""Names the verdict on how much of a pair differs."""
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
      # Gates see it again, among its own; the judge does not.
      verdicts=tuple(v for v in document.row.verdicts if v.gate == judge.NAME),
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
    if outcome.value is None:
      mirrored = made_lib.given_up(row, 'document.mirror', outcome)
      return Group(leaf.id, (Made(original), mirrored))
    return self._paired(document, original, row, outcome.value, slots)

  def _paired(
    self,
    document: Document,
    original: Row,
    row: Row,
    text: str,
    slots: Mapping[str, Any],
  ) -> Group:
    """Returns a pair, given up if more than its trait was changed."""
    leaf, controls = document.leaf, self._config.controls
    row = tagged(row, text, tag_of(self._config, leaf.id))
    if not partners.fits(text, document, controls.tolerance):
      return Group(leaf.id, (Made(original), Made(row, partners.OTHER_LENGTH)))
    verdict = self._verdict(document.text, text)
    pair = [
      Made(dataclasses.replace(r, verdicts=(*r.verdicts, verdict)))
      for r in (original, row)
    ]
    if not verdict.passed:
      because = f'{verdict.gate}: {verdict.reason}'
      pair = [dataclasses.replace(made, given_up=because) for made in pair]
    if not controls.judged:
      return Group(leaf.id, tuple(pair))
    # In the order of the config, so that the judge cannot tell which of the two
    # was written first.
    texts = {leaf.trait: document.text, slots['trait']['name']: text}
    one, other = self._pair
    judged = {
      key: slots[key] for key in TASKS['mirror.judge'].slots if key in slots
    }
    return Group(
      leaf.id,
      tuple(pair),
      'mirror.judge',
      {
        **judged,
        'trait': described(self._traits[one]),
        'text': texts[one],
        'other_trait': described(self._traits[other]),
        'other_text': texts[other],
      },
    )

  def _verdict(self, text: str, mirrored: str) -> GateVerdict:
    """Says whether a pair is one text with two traits, by its words."""
    config, most = self._config, self._config.controls.changed
    own = balance.own_words(
      [self._traits[name] for name in self._pair],
      config.model_name,
      config.provider_name,
    )
    share = edits.changed(text, mirrored, own)
    return GateVerdict(
      CHANGED,
      share <= most,
      '' if share <= most else 'more_than_its_trait',
      f'{share:.0%} of the words outside of both traits differ, expected at '
      f'most {most:.0%}',
      round(share, 4),
    )


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
