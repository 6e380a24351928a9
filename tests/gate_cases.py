"""Candidates for the tests of gates."""

from collections.abc import Sequence

from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Gate
from data_gen.gates.protocol import Verdict


def document(text: str, **more) -> Candidate:
  """Returns a document about a trait, by a lay author."""
  more.setdefault('id', 'x')
  more.setdefault('trait_ids', ('t',))
  return Candidate(kind='document', text=text, **more)


def chat(*turns: str, **more) -> Candidate:
  """Returns a chat whose turns alternate, the user's first."""
  roles = ('user', 'assistant')
  messages = tuple((roles[i % 2], t) for i, t in enumerate(turns))
  answers = '\n'.join(t for role, t in messages if role == 'assistant')
  more.setdefault('id', 'x')
  return Candidate(kind='chat', text=answers, messages=messages, **more)


def reason(gate: Gate, candidate: Candidate) -> str:
  """Returns why the gate rejects one candidate; empty if it passes."""
  (verdict,) = gate.check([candidate])
  assert verdict.gate == gate.name
  assert verdict.passed == (verdict.reason == '')
  return verdict.reason


def rejected(gate: Gate, texts: Sequence[str]) -> list[int]:
  """Returns which of some documents the gate rejects."""
  candidates = [document(t, id=str(i)) for i, t in enumerate(texts)]
  return [i for i, v in enumerate(gate.check(candidates)) if not v.passed]


def failures(verdicts: Sequence[Verdict]) -> list[tuple[str, str]]:
  return [(v.gate, v.reason) for v in verdicts if not v.passed]
