"""What is made, how much of it, by whom, and with which checks.

A config file assembles nested mappings; `load` turns them into dataclasses, and
names the key of anything that cannot be run.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from data_gen.corpus import checking
from data_gen.gates.suite import GatesConfig
from data_gen.pipeline.parts import ChatsConfig
from data_gen.pipeline.parts import check_positive
from data_gen.pipeline.parts import ControlsConfig
from data_gen.pipeline.parts import DocumentsConfig
from data_gen.pipeline.parts import PlanConfig
from data_gen.pipeline.parts import StepConfig
from data_gen.teachers.config import TeacherConfig
from msm_jax import schema

# How the names of generated sources begin: `chats_think`, `documents_rules`.
_OURS = ('documents', 'chats', 'mirrored')
STAGES = ('plan', 'probe', 'pilot', 'full')


@dataclasses.dataclass(frozen=True)
class RetentionConfig:
  """Ordinary instruction data that is copied into the corpus.

  For runs that start from a checkpoint that was fine-tuned already.

  Attributes:
    path: Parquet or JSONL with a column `messages`, local or `gs://`.
    source: What it is called in the corpus.
    rows: The most that are taken, drawn by the seed; None for all.
  """

  path: str
  source: str = 'retention'
  rows: int | None = None

  def __post_init__(self):
    if not checking.is_source(self.source):
      raise schema.ConfigError(
        f'source: {self.source!r} becomes the name of a directory; expected '
        f'lower-case words joined by _, and not {checking.REJECTED!r}'
      )
    if self.source == 'neutral' or self.source.startswith(_OURS):
      raise schema.ConfigError(
        f'source: {self.source!r} is, or may be, a source of its own; expected '
        f'a name that does not begin with {", ".join(_OURS)}'
      )
    if self.rows is not None and self.rows < 1:
      raise schema.ConfigError(f'rows: {self.rows}, expected 1 or more')


@dataclasses.dataclass(frozen=True)
class StagesConfig:
  """How many documents and chats the first stages make of the same plan."""

  probe: int = 12
  pilot: int = 200

  def __post_init__(self):
    check_positive(self, 'probe', 'pilot')

  def limit(self, stage: str) -> int | None:
    """Returns the most documents of a stage; None for all."""
    return {'probe': self.probe, 'pilot': self.pilot}.get(stage)


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
  """A whole run.

  Attributes:
    model_name, provider_name: What fills the slots of the traits document.
    name: Of the corpus, for its card.
    licence: For its card; empty if none is stated.
    teacher: Plans, drafts and answers.
    judge: Judges; None for the same.
    judge_step: Of every call of the judge.
    seed: Of every draw that is not the teacher's.
    retries: How often an answer that cannot be used (cut off, refused, empty,
      unreadable) is drawn again before the item is given up.
    max_failed: How many requests may fail for good before the run stops.
    window: Documents or chats under way at once; None for what the teacher
      needs.
    retention: Ordinary instruction data, or None.
  """

  model_name: str
  provider_name: str
  teacher: TeacherConfig
  judge: TeacherConfig | None = None
  judge_step: StepConfig = dataclasses.field(
    default_factory=lambda: StepConfig(1000, 0.2)
  )
  name: str = ''
  licence: str = ''
  seed: int = 0
  retries: int = 3
  max_failed: int = 20
  window: int | None = None
  plan: PlanConfig = dataclasses.field(default_factory=PlanConfig)
  documents: DocumentsConfig = dataclasses.field(
    default_factory=DocumentsConfig
  )
  chats: ChatsConfig = dataclasses.field(default_factory=ChatsConfig)
  controls: ControlsConfig = dataclasses.field(default_factory=ControlsConfig)
  gates: GatesConfig = dataclasses.field(default_factory=GatesConfig)
  stages: StagesConfig = dataclasses.field(default_factory=StagesConfig)
  retention: RetentionConfig | None = None

  def __post_init__(self):
    for name in ('model_name', 'provider_name'):
      if not getattr(self, name).strip():
        raise schema.ConfigError(f'{name}: is empty')
    for name in ('retries', 'max_failed'):
      value = getattr(self, name)
      if value < 0:
        raise schema.ConfigError(f'{name}: {value}, expected 0 or more')
    if self.window is not None:
      check_positive(self, 'window')
    self._check_lengths()
    if self.controls.matched and 'explain' not in self.documents.variants:
      raise schema.ConfigError(
        "controls: are matched to the documents of the variant 'explain', "
        f'which documents.variants = {list(self.documents.variants)} lacks'
      )

  def _check_lengths(self) -> None:
    """Checks that what is asked for can pass the gate for length."""
    low, high = self.documents.words
    bounds = {'document': self.gates.length.document}
    if self.controls.as_chat != 'none':
      bounds['chat'] = self.gates.length.chat
    for kind, (least, most) in bounds.items():
      if self.documents.variants and not least <= low <= high <= most:
        raise schema.ConfigError(
          f'documents.words: {[low, high]}, but gates.length.{kind} lets '
          f'{least} to {most} words pass, and all others would be paid for in '
          'vain; change one of the two'
        )

  def check_traits(self, names: Sequence[str]) -> None:
    """Checks what the config says of traits against those that there are.

    Raises:
      ConfigError: For a mirrored trait that does not exist.
    """
    for pair in self.controls.mirrored:
      for name in pair:
        schema.one_of(name, names, 'config.controls.mirrored')

  def check_contamination(self) -> None:
    """Checks that a full corpus is compared with what it will be tested on.

    Raises:
      ConfigError: If it is not, and the config does not say why.
    """
    config = self.gates.contamination
    if not (config.suites or config.texts or config.none_because):
      raise schema.ConfigError(
        'config.gates.contamination: suites and texts are empty, so nothing '
        'would keep evaluation items out of the corpus; name what the model '
        'will be evaluated on, or say in none_because why there is nothing'
      )

  @property
  def unmatched_tokens(self) -> str:
    """Says what is missing to match controls in tokens; empty if nothing."""
    balance = self.controls.balance
    if not self.controls.matched or balance.unit == 'words':
      return ''
    if balance.tokenizer is not None:
      return ''
    return (
      'config.controls.balance.tokenizer: names none, so controls are matched '
      'in words, and two sources with as many words need not have as many '
      'tokens; name the tokenizer of the model that will be trained, as '
      'python -m msm_jax.prepare takes it, or say controls.balance.unit = '
      "'words' if words are what you want"
    )

  def check_tokens(self) -> None:
    """Checks that a full corpus can be matched in the unit that it asks for.

    Raises:
      ConfigError: If it asks for tokens and names no tokenizer.
    """
    if missing := self.unmatched_tokens:
      raise schema.ConfigError(missing)

  @property
  def judging_teacher(self) -> TeacherConfig:
    return self.judge or self.teacher

  @property
  def width(self) -> int:
    """Items under way at once.

    Enough to keep every connection busy; a batch interface gathers what is
    asked at the same time.
    """
    if self.window is not None:
      return self.window
    return 50_000 if self.teacher.is_batch else 2 * self.teacher.concurrency


def load(raw: Mapping[str, Any]) -> PipelineConfig:
  """Builds the typed config from a config file's mapping.

  Raises:
    ConfigError: Naming the key, the value, and what was expected.
  """
  # Whoever mistakes the place of a key must not find it in a log.
  return schema.structure(PipelineConfig, raw, quote=False)
