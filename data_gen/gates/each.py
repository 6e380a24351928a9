"""What gates that judge each candidate by itself have in common."""

import abc
from collections.abc import Sequence

from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict


class EachGate(abc.ABC):
  """A gate that knows one candidate at a time."""

  def __init__(self, name: str):
    self.name = name
    # Immutable, so one is enough.
    self._passed = Verdict(name, True)

  @abc.abstractmethod
  def judge(self, candidate: Candidate) -> Verdict:
    """Returns the verdict on one candidate."""

  def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
    return [self.judge(c) for c in candidates]

  def fail(
    self, reason: str, detail: str = '', score: float | None = None
  ) -> Verdict:
    return Verdict(self.name, False, reason, detail, score)
