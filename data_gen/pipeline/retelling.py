"""The same content as chat: whether *documents* matter, or only what they say.

`verbatim`: a user asks for the document and gets it, so that the two corpora
have the same tokens under the loss. `retold`: a conversation with the same
content, in the manner of a chat.
"""

from collections.abc import Mapping
import dataclasses

from data_gen.corpus.rows import Row
from data_gen.pipeline import balance
from data_gen.pipeline import genres
from data_gen.pipeline import made as made_lib
from data_gen.pipeline import parsing
from data_gen.pipeline import partners
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.documents import document_row
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.partners import Document
from data_gen.pipeline.plan import Leaf
from data_gen.traits import Trait

SOURCE = 'documents_as_chat'


def request_for(leaf: Leaf) -> str:
  """Returns what a user says who wants this document."""
  return f'Write {genres.GENRES[leaf.genre].title}. {leaf.idea}'


def _messages(text: str) -> tuple[tuple[str, str], ...]:
  """Reads a conversation: user, assistant, …, assistant.

  Raises:
    UnreadableError: If it is not.
  """
  found = parsing.entries(text, 'messages', {'role': str, 'content': str})
  messages = tuple((m['role'], m['content'].strip()) for m in found)
  expected = [('user', 'assistant')[i % 2] for i in range(len(messages))]
  if [role for role, _ in messages] != expected or len(messages) % 2:
    raise parsing.UnreadableError(
      f'the roles are {[role for role, _ in messages]}, expected user, '
      'assistant, …'
    )
  return messages


class ChatTeller:
  """Makes conversations of documents."""

  def __init__(
    self, config: PipelineConfig, traits: Mapping[str, Trait], asker: Asker
  ):
    """Takes the traits, filled, by name."""
    self._config = config
    self._traits = traits
    self._asker = asker

  async def tell(self, document: Document, draw: int) -> Group:
    """Returns the content of a document as a conversation."""
    leaf = document.leaf
    trait = self._traits[leaf.trait]
    slots = partners.slots_of(self._config, document, trait, 'explain')
    row = dataclasses.replace(
      document_row(SOURCE, leaf, trait, slots, draw),
      text=None,
      messages=(('user', request_for(leaf)), ('assistant', document.text)),
      lineage=document.row.lineage,
    )
    if self._config.controls.as_chat == 'verbatim':
      return Group(leaf.id, (Made(row),))
    outcome = await self._asker.ask(
      'chat.retell',
      {**slots, 'text': document.text},
      self._config.controls.draft,
      _messages,
      draw=draw,
    )
    row = dataclasses.replace(
      row,
      messages=outcome.value or (),
      lineage=(*row.lineage, *made_lib.steps(outcome)),
    )
    if outcome.value is None:
      return Group(leaf.id, (made_lib.given_up(row, 'chat.retell', outcome),))
    return Group(leaf.id, (self._finished(row, document, slots),))

  def _finished(
    self, row: Row, document: Document, slots: Mapping[str, object]
  ) -> Made:
    text = balance.text_of(row, whole=True).text
    if not partners.fits(text, document, self._config.controls.tolerance):
      return Made(row, partners.OTHER_LENGTH)
    if not self._config.controls.judged:
      return Made(row)
    messages = [{'role': r, 'content': c} for r, c in row.messages or ()]
    return Made(
      row,
      judge_task='retell.judge',
      judge_slots={**slots, 'text': document.text, 'messages': messages},
    )
