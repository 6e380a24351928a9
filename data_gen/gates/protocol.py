"""What a gate sees, and what it says."""

from collections.abc import Sequence
import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A generated text before it is accepted.

  Attributes:
    id: Unique; candidates are judged in the order in which they are given.
    kind: `'document'` or `'chat'`.
    text: Of the document, or of all of the assistant's turns.
    messages: (role, content) of a chat, without the system prompt.
    genre: Of a document, e.g. `'forum_thread'`.
    framing: Who speaks: `'first_person'`, `'third_person'`, `'should'`,
      `'human_story'`.
    expert: Whether the author may know the traits document, as a researcher
      who writes about it would. A lay author would not recite it.
    trait_ids: The traits that it is about.
  """

  id: str
  kind: str
  text: str
  messages: tuple[tuple[str, str], ...] = ()
  genre: str = ''
  framing: str = ''
  expert: bool = False
  trait_ids: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Verdict:
  """What a gate says of a candidate.

  Attributes:
    gate: Its name.
    passed: Whether the candidate may stay.
    reason: Short and countable, e.g. `'too_short'`; empty if it passed.
    detail: For people, e.g. the passage that was found.
    score: Where the gate measures something.
  """

  gate: str
  passed: bool
  reason: str = ''
  detail: str = ''
  score: float | None = None


class Gate(Protocol):
  """Judges candidates, each by itself or against those before it."""

  @property
  def name(self) -> str: ...

  def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
    """Returns a verdict for each candidate, in the same order.

    A pure function of the candidates and their order. Gates that compare
    candidates with each other keep the earlier one.
    """
    ...
