"""What was made and waits for judgement."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
from typing import Any

from data_gen.corpus.rows import Row
from data_gen.corpus.rows import Step
from data_gen.gates.protocol import Candidate
from data_gen.pipeline import genres
from data_gen.pipeline.asking import Outcome


@dataclasses.dataclass(frozen=True)
class Made:
  """A row before it is judged.

  Attributes:
    row: With its lineage, without verdicts.
    given_up: Why there is nothing to judge, e.g. `'document.draft: refused'`.
    judge_task: Who judges it, and
    judge_slots: with what; empty if nobody needs to.
  """

  row: Row
  given_up: str = ''
  judge_task: str = ''
  judge_slots: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def candidate(self) -> Candidate:
    """Returns the row as gates see it: without the masked prefix."""
    row = self.row
    if row.messages is not None:
      text = '\n\n'.join(c for r, c in row.messages if r == 'assistant')
    else:
      text = (row.text or '')[row.masked_prefix :]
    return Candidate(
      row.id,
      'document' if row.messages is None else 'chat',
      text,
      messages=row.messages or (),
      genre=row.genre,
      framing=row.framing,
      expert=row.genre in genres.GENRES and genres.GENRES[row.genre].expert,
      trait_ids=row.trait_ids,
    )


@dataclasses.dataclass(frozen=True)
class Group:
  """Rows that are accepted together or not at all.

  Attributes:
    key: What they are about, e.g. the id of an idea; the same in every draw.
    made: For instance the two documents of a mirrored pair.
    judge_task: Who judges all of them together, and
    judge_slots: with what; empty if nobody needs to.
  """

  key: str
  made: tuple[Made, ...]
  judge_task: str = ''
  judge_slots: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def steps(*outcomes: Outcome[Any] | None) -> tuple[Step, ...]:
  """Returns the answers behind outcomes, in order."""
  return tuple(step for o in outcomes if o is not None for step in o.steps)


def why(task: str, outcome: Outcome[Any]) -> str:
  """Says why a call was given up, by its last failure."""
  return f'{task}: {outcome.failures[-1]}'


def given_up(row: Row, task: str, outcome: Outcome[Any]) -> Made:
  """Returns a row that could not be finished, with the last answer."""
  text = outcome.text if row.messages is None else None
  return Made(dataclasses.replace(row, text=text), why(task, outcome))


def rejected(row: Row, because: str) -> Row:
  """Returns the row as one that is kept for people, not for training."""
  return dataclasses.replace(row, accepted=False, rejected_because=because)


def rows_of(groups: Iterable[Group]) -> list[Row]:
  return [made.row for group in groups for made in group.made]
