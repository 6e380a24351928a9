"""What all controls have in common: each document gets a partner.

Every control starts from the accepted documents of the variant `explain` and
from the same plan: same genre, setting, hints and length. What differs is the
one thing that the control is for.
"""

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from data_gen.corpus.rows import Row
from data_gen.pipeline import window
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.bars import Bars
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.documents import tag_of
from data_gen.pipeline.documents import tagged
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.plan import Leaf
from data_gen.pipeline.slots import document_slots
from data_gen.traits import Trait

OTHER_LENGTH = 'length: not that of its partner'


@dataclasses.dataclass(frozen=True)
class Document:
  """An accepted document, and the idea that it is of."""

  leaf: Leaf
  row: Row

  @property
  def text(self) -> str:
    """Without the tag."""
    return (self.row.text or '')[self.row.masked_prefix :]

  @property
  def words(self) -> int:
    return len(self.text.split())


def accepted_documents(
  leaves: Sequence[Leaf], acceptance: Acceptance
) -> list[Document]:
  """Returns the accepted documents in the order of the plan."""
  rows = {group.key: group.made[0].row for group in acceptance.accepted}
  return [Document(leaf, rows[leaf.id]) for leaf in leaves if leaf.id in rows]


def slots_of(
  config: PipelineConfig, document: Document, trait: Trait, variant: str
) -> dict[str, Any]:
  """Returns the slots of a prompt for a partner of the same length."""
  slots = document_slots(config, trait, document.leaf, variant)
  return {**slots, 'words': document.words}


def fits(text: str, document: Document, tolerance: float) -> bool:
  """Whether a text is about as long as the document."""
  ratio = len(text.split()) / max(1, document.words)
  return abs(ratio - 1) <= tolerance


def finished(
  config: PipelineConfig,
  row: Row,
  text: str,
  document: Document,
  judge_task: str,
  slots: Mapping[str, Any],
) -> Made:
  """Returns a partner with its text, given up if it has another length."""
  row = tagged(row, text, tag_of(config, document.leaf.id))
  if not fits(text, document, config.controls.tolerance):
    return Made(row, OTHER_LENGTH)
  if not config.controls.judged:
    return Made(row)
  return Made(row, judge_task=judge_task, judge_slots={**slots, 'text': text})


async def make_partners(
  config: PipelineConfig,
  documents: Sequence[Document],
  make: Callable[[Document, int], Awaitable[Group]],
  acceptance: Acceptance,
  bars: Bars,
) -> None:
  """Makes a partner for each document; what is rejected is drawn again.

  Args:
    config: Of the run.
    documents: In the order of the plan.
    make: From a document and the number of the draw to a group with the key of
      its idea.
    acceptance: Gets every group, and decides.
    bars: Show what is being made.
  """
  for draw in range(config.controls.rounds):
    done = {group.key for group in acceptance.accepted}
    pending = [d for d in documents if d.leaf.id not in done]
    if not pending:
      break

    async def one(document: Document, draw: int = draw) -> Group:
      return await make(document, draw)

    with bars.part(f'{acceptance.label} {draw + 1}', len(pending)) as done_one:
      made = await window.gather(pending, one, config.width, done_one)
    await acceptance.settle(made)
