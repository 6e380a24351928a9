"""One row of a corpus, with everything that led to it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Step:
  """An answer that was paid for on the way to a row.

  Attributes:
    task: What was asked, e.g. `'document.rewrite'`.
    key: Of the request; the store has it under this key.
    prompt_sha256: Of the messages alone.
    model: That answered.
    sampling: Its sampling parameters, as JSON.
    sample: Index of the sample.
    prompt_tokens: As the server counts.
    completion_tokens: Reasoning included.
    cost_usd: At the prices of the config; None where they are unknown.
    text_sha256: Of the answer, so that revisions can be followed.
    failure: Why the answer could not be used, e.g. `'truncated'`; then the same
      was asked again. Empty if it was used.
  """

  task: str
  key: str
  prompt_sha256: str
  model: str
  sampling: str
  sample: int
  prompt_tokens: int
  completion_tokens: int
  cost_usd: float | None
  text_sha256: str
  failure: str = ''


@dataclasses.dataclass(frozen=True)
class GateVerdict:
  """As `data_gen.gates.protocol.Verdict`, in a row."""

  gate: str
  passed: bool
  reason: str = ''
  detail: str = ''
  score: float | None = None


@dataclasses.dataclass(frozen=True)
class Row:
  """A document or a chat, accepted or rejected.

  Attributes:
    id: Unique in the corpus.
    source: Name of the file that it belongs to, e.g. `'documents'`, `'chats'`,
      `'neutral'`, `'documents_as_chat'`.
    text: Of a document; None for a chat.
    messages: (role, content) of a chat; None for a document. The system
      prompt that the answer was drawn with is not in it.
    masked_prefix: Characters at the start of `text` that carry no loss, e.g. a
      document tag.
    trait_ids: What it is about; empty in neutral documents.
    trait_types: Of those traits.
    plan_node: Path of the idea in the plan, e.g. `'d03/s01/a02/i004'`.
    domain: Of the plan.
    genre: Document type.
    framing: See `data_gen.gates.protocol.Candidate`.
    variant: `'explain'`, `'co_mention'`, `'rules'`, `'neutral'`, or for chats
      `'answer'`, `'think'`, `'reasons_stripped'`.
    pair_id: Rows of mirrored or matched corpora with the same id differ in the
      manipulated variable only.
    lineage: The calls that led to it, in order: draft, critique, rewrite,
      judge; those whose answers could not be used are among them.
    verdicts: Of every gate.
    accepted: Whether it passed all of them and was needed.
    rejected_because: `gate: reason` of the first failure; empty if accepted.
  """

  id: str
  source: str
  text: str | None = None
  messages: tuple[tuple[str, str], ...] | None = None
  masked_prefix: int = 0
  trait_ids: tuple[str, ...] = ()
  trait_types: tuple[str, ...] = ()
  plan_node: str = ''
  domain: str = ''
  genre: str = ''
  framing: str = ''
  variant: str = ''
  pair_id: str = ''
  lineage: tuple[Step, ...] = ()
  verdicts: tuple[GateVerdict, ...] = ()
  accepted: bool = True
  rejected_because: str = ''
