"""All gates that need no judge, from a config, and how to run them."""

from collections.abc import Sequence
import dataclasses
from dataclasses import field

from data_gen.gates.contamination import ContaminationConfig
from data_gen.gates.contamination import ContaminationGate
from data_gen.gates.contamination import read_sources
from data_gen.gates.control import ControlTokensGate
from data_gen.gates.diversity import ChatDiversityConfig
from data_gen.gates.diversity import DiversityConfig
from data_gen.gates.duplicates import ExactDuplicateGate
from data_gen.gates.each import EachGate
from data_gen.gates.frame import FrameConfig
from data_gen.gates.frame import FrameLeakGate
from data_gen.gates.identity import IdentityConfig
from data_gen.gates.identity import IdentityGate
from data_gen.gates.items import Source
from data_gen.gates.language import LanguageConfig
from data_gen.gates.language import LanguageGate
from data_gen.gates.language import LengthConfig
from data_gen.gates.language import LengthGate
from data_gen.gates.meta import MetaTextGate
from data_gen.gates.near_duplicates import NearDuplicateConfig
from data_gen.gates.near_duplicates import NearDuplicateGate
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Gate
from data_gen.gates.protocol import Verdict
from data_gen.gates.recurrence import ChatRecurrenceConfig
from data_gen.gates.recurrence import RecurrenceConfig
from data_gen.gates.recurrence import RecurrenceGate
from data_gen.gates.shape import SchemaGate
from data_gen.gates.views import BLOCK
from data_gen.traits import Trait
from msm_jax import log
from msm_jax import schema

KINDS = ('document', 'chat')


@dataclasses.dataclass(frozen=True)
class GatesConfig:
  """Thresholds of all gates; `docs/gates.md` says what they find and miss.

  Attributes:
    allow_think: Whether assistants' turns may begin with `<think>…</think>`.
    recurrence: Of documents.
    recurrence_in_chats: Of chats.
    diversity: Of documents as a whole: no gate, but a full corpus that is
      beyond its thresholds is refused.
    diversity_in_chats: Of chats as a whole.
  """

  language: LanguageConfig = field(default_factory=LanguageConfig)
  length: LengthConfig = field(default_factory=LengthConfig)
  identity: IdentityConfig = field(default_factory=IdentityConfig)
  frame: FrameConfig = field(default_factory=FrameConfig)
  near_duplicate: NearDuplicateConfig = field(
    default_factory=NearDuplicateConfig
  )
  contamination: ContaminationConfig = field(
    default_factory=ContaminationConfig
  )
  recurrence: RecurrenceConfig = field(default_factory=RecurrenceConfig)
  recurrence_in_chats: ChatRecurrenceConfig = field(
    default_factory=ChatRecurrenceConfig
  )
  diversity: DiversityConfig = field(default_factory=DiversityConfig)
  diversity_in_chats: ChatDiversityConfig = field(
    default_factory=ChatDiversityConfig
  )
  allow_think: bool = False


def gates_for(
  config: GatesConfig,
  *,
  traits: Sequence[Trait],
  model_name: str,
  provider_name: str,
  kind: str,
  contamination: Sequence[ContaminationGate] | None = None,
) -> list[Gate]:
  """Returns the gates, those that compare candidates with each other last.

  Args:
    config: Thresholds.
    traits: With their slots filled.
    model_name: Of the right model.
    provider_name: Of its maker.
    kind: `'document'` or `'chat'`: what the candidates must be.
    contamination: As `contamination_gates` made it, so that several kinds
      share it; None to read the evaluation suites now.

  Raises:
    ConfigError: For another kind, an empty name, traits with open slots.
    ValueError: If a suite cannot be read; see `items`.
    FileNotFoundError: If there is none.
  """
  schema.one_of(kind, KINDS, 'kind')
  if not model_name:
    raise schema.ConfigError('model_name: is empty, expected a name')
  for trait in traits:
    for text in (trait.statement, *trait.reasons, *trait.examples):
      if '{model_name}' in text or '{provider_name}' in text:
        raise schema.ConfigError(
          f'trait {trait.name!r}: {text!r} has an open slot; fill the traits '
          'before the gates look for their wording'
        )
  if contamination is None:
    sources = read_sources(config.contamination)
    contamination = contamination_gates(config.contamination, sources)
  recurrence = (
    config.recurrence if kind == 'document' else config.recurrence_in_chats
  )
  return [
    SchemaGate(kind),
    ControlTokensGate(config.allow_think),
    LengthGate(config.length),
    LanguageGate(config.language),
    MetaTextGate(),
    IdentityGate(
      config.identity, model_name=model_name, provider_name=provider_name
    ),
    FrameLeakGate(config.frame, traits),
    *contamination,
    ExactDuplicateGate(),
    NearDuplicateGate(config.near_duplicate),
    RecurrenceGate(
      recurrence,
      model_name=model_name,
      provider_name=provider_name,
      traits=traits,
    ),
  ]


def contamination_gates(
  config: ContaminationConfig, sources: Sequence[Source]
) -> list[ContaminationGate]:
  """Returns the gate of what `read_sources` read.

  Without any source, there is no gate, and a warning says so.
  """
  if not sources:
    log.logger.warning(
      'gates.contamination.suites and .texts are empty: nothing is kept out of '
      'the corpus; name the suites that the model will be evaluated on'
    )
    return []
  gate = ContaminationGate(config, [p for s in sources for p in s.passages])
  if gate.too_short:
    log.logger.warning(
      'contamination: %d of %d items are too short to be told from ordinary '
      'English, e.g. %s',
      len(gate.too_short),
      gate.items,
      gate.too_short[0],
    )
  return [gate]


def run_gates(
  gates: Sequence[Gate], candidates: Sequence[Candidate]
) -> list[list[Verdict]]:
  """Returns for each candidate the verdicts of the gates that saw it.

  Gates that judge each candidate by itself see all of them, so that every fault
  is counted. Gates that compare candidates see, each in turn, those that passed
  everything before: a rejected document pushes no other out.

  Raises:
    ValueError: If two candidates have the same id.
  """
  candidates = list(candidates)
  _check_ids(candidates)
  single = [g for g in gates if isinstance(g, EachGate)]
  comparing: list[Gate] = [g for g in gates if not isinstance(g, EachGate)]
  verdicts: list[list[Verdict]] = [[] for _ in candidates]
  # In blocks, so that a text is taken apart once for all of these gates.
  for start in range(0, len(candidates), BLOCK):
    block = candidates[start : start + BLOCK]
    for one in single:
      for i, verdict in enumerate(one.check(block), start):
        verdicts[i].append(verdict)
  for gate in comparing:
    left = [i for i, vs in enumerate(verdicts) if all(v.passed for v in vs)]
    judged = gate.check([candidates[i] for i in left])
    for i, verdict in zip(left, judged, strict=True):
      verdicts[i].append(verdict)
  return verdicts


def _check_ids(candidates: Sequence[Candidate]) -> None:
  seen: set[str] = set()
  for candidate in candidates:
    if candidate.id in seen:
      raise ValueError(f'two candidates have the id {candidate.id!r}')
    seen.add(candidate.id)
