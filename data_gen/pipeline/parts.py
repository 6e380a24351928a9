"""The parts of a config: how much of each thing is made, and how."""

import dataclasses
import math
from typing import Any

from data_gen.pipeline import genres
from data_gen.teachers.credentials import check_no_credentials
from data_gen.teachers.protocol import Sampling
from msm_jax import schema

FRAMINGS = ('third_person', 'first_person', 'should', 'human_story')
VARIANTS = ('explain', 'co_mention', 'rules')
CHAT_VARIANTS = ('answer', 'think', 'reasons_stripped')


def check_positive(config: Any, *names: str) -> None:
  for name in names:
    value = getattr(config, name)
    if value < 1:
      raise schema.ConfigError(f'{name}: {value}, expected 1 or more')


def check_share(config: Any, *names: str) -> None:
  for name in names:
    value = getattr(config, name)
    if not 0 <= value <= 1:
      raise schema.ConfigError(f'{name}: {value}, expected 0 to 1')


@dataclasses.dataclass(frozen=True)
class StepConfig:
  """How one kind of answer is drawn; see `Sampling`.

  Attributes:
    max_tokens: Budget of this step alone, reasoning included.
    extra: Further fields of the request. No secrets: they are part of what is
      stored and published.
  """

  max_tokens: int
  temperature: float = 1.0
  top_p: float = 1.0
  extra: dict[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    check_positive(self, 'max_tokens')
    if self.temperature < 0:
      raise schema.ConfigError(
        f'temperature: {self.temperature}, expected 0 or more'
      )
    if not 0 < self.top_p <= 1:
      raise schema.ConfigError(f'top_p: {self.top_p}, expected 0 to 1, not 0')
    check_no_credentials(self.extra, 'extra')

  @property
  def sampling(self) -> Sampling:
    return Sampling(self.max_tokens, self.temperature, self.top_p, self.extra)


@dataclasses.dataclass(frozen=True)
class PlanConfig:
  """Sizes of the plan; ideas = traits × the product of all of them.

  Attributes:
    domains: For each trait.
    subdomains: Situations within each domain.
    assertions: For each of those, with reasons.
    ideas: For each assertion and genre; each is one document.
    genres: Document types; see `data_gen.pipeline.genres`.
    genres_per_call: How many of them one call has to think of, and
    ideas_per_call: of how many ideas for each of these.
    rounds: How often a list that came back too short is asked to be continued.
    step: Of every call.
  """

  domains: int = 6
  subdomains: int = 4
  assertions: int = 3
  ideas: int = 1
  genres: tuple[str, ...] = tuple(genres.GENRES)
  genres_per_call: int = 4
  ideas_per_call: int = 8
  rounds: int = 3
  step: StepConfig = StepConfig(4000)

  def __post_init__(self):
    check_positive(
      self,
      *('domains', 'subdomains', 'assertions', 'ideas'),
      *('genres_per_call', 'ideas_per_call', 'rounds'),
    )
    genres.check(self.genres, 'genres')
    if not self.genres:
      raise schema.ConfigError('genres: names none, expected at least one')

  @property
  def calls_for_ideas(self) -> int:
    """How many calls it takes to have all ideas of one group of genres."""
    return math.ceil(self.ideas / self.ideas_per_call)


@dataclasses.dataclass(frozen=True)
class DocumentsConfig:
  """Midtraining documents.

  Attributes:
    variants: `'explain'` (the trait with its reasons), `'co_mention'` (trait
      and behaviour, never linked), `'rules'` (behaviour only); each becomes a
      source of its own over the same ideas.
    framings: Share of each: `'third_person'` ("the assistant does"),
      `'first_person'`, `'should'`, `'human_story'` (of people who act so).
    words: Least and most that a document is asked to have.
    draft, critique, rewrite: Each its own call with its own budget.
    revise: Whether there is a critique and a rewrite.
    judged: Whether the judging teacher has to pass a document.
    rounds: How often an idea whose document was rejected is drawn again.
    tag: Put before documents, without loss, e.g. `'<DOCTAG>'`.
    tag_share: Of the documents that get it.
  """

  variants: tuple[str, ...] = ('explain',)
  framings: dict[str, float] = dataclasses.field(
    default_factory=lambda: {
      'third_person': 0.4,
      'first_person': 0.2,
      'should': 0.2,
      'human_story': 0.2,
    }
  )
  words: tuple[int, int] = (300, 700)
  draft: StepConfig = StepConfig(3000)
  critique: StepConfig = StepConfig(1500)
  rewrite: StepConfig = StepConfig(3000)
  revise: bool = True
  judged: bool = True
  rounds: int = 2
  tag: str = ''
  tag_share: float = 1.0

  def __post_init__(self):
    check_positive(self, 'rounds')
    check_share(self, 'tag_share')
    for variant in self.variants:
      schema.one_of(variant, VARIANTS, 'variants')
    schema.unique(self.variants, 'variants')
    for framing, share in self.framings.items():
      schema.one_of(framing, FRAMINGS, 'framings')
      if share < 0:
        raise schema.ConfigError(f'framings.{framing}: {share} is negative')
    if not sum(self.framings.values()) > 0:
      raise schema.ConfigError('framings: all shares are 0')
    low, high = self.words
    if not 20 <= low <= high:
      raise schema.ConfigError(
        f'words: {list(self.words)}, expected least and most, from 20 up'
      )


@dataclasses.dataclass(frozen=True)
class ChatsConfig:
  """Chats, exactly as many as are asked for.

  Attributes:
    accepted: Questions whose conversation is accepted, in each variant.
    variants: `'answer'`, `'think'` (the same with thoughts before each answer),
      `'reasons_stripped'` (the same without explanations); each becomes a
      source over the same questions.
    multi_turn_share: Of the conversations.
    turns: User messages of a multi-turn conversation.
    pressure_share: Of the conversations in which the user pushes.
    questions_per_call: How many a teacher has to think of at once.
    near_duplicate: Questions whose words overlap so much (Jaccard, of pairs of
      words) are one.
    system_traits: What the assistant is told of itself while it answers:
      `'relevant'`, the trait that the question is about and those that its
      writer says matter to a good answer, too; `'own'`, the former alone; or
      `'all'`.
    rounds: How often what is missing is asked for.
    judged: Whether the judging teacher has to pass a conversation.
  """

  accepted: int = 0
  variants: tuple[str, ...] = ('answer',)
  multi_turn_share: float = 0.3
  turns: int = 3
  pressure_share: float = 0.4
  questions_per_call: int = 8
  near_duplicate: float = 0.5
  system_traits: str = 'relevant'
  rounds: int = 8
  judged: bool = True
  questions: StepConfig = StepConfig(3000)
  user_turn: StepConfig = StepConfig(600)
  answer: StepConfig = StepConfig(2000)
  strip: StepConfig = StepConfig(2000, 0.3)

  def __post_init__(self):
    check_positive(self, 'rounds', 'questions_per_call')
    check_share(self, 'multi_turn_share', 'pressure_share')
    for variant in self.variants:
      schema.one_of(variant, CHAT_VARIANTS, 'variants')
    schema.unique(self.variants, 'variants')
    schema.one_of(
      self.system_traits, ('relevant', 'own', 'all'), 'system_traits'
    )
    if self.accepted < 0:
      raise schema.ConfigError(f'accepted: {self.accepted} is negative')
    if self.turns < 2:
      raise schema.ConfigError(
        f'turns: {self.turns}, expected 2 or more; for single-turn chats only '
        'set multi_turn_share = 0'
      )
    if not 0 < self.near_duplicate <= 1:
      raise schema.ConfigError(
        f'near_duplicate: {self.near_duplicate}, expected 0 to 1, not 0'
      )


@dataclasses.dataclass(frozen=True)
class BalanceConfig:
  """How far two matched sources may differ, as they are published.

  Attributes:
    unit: What lengths are matched in: `'tokens'`, which needs a tokenizer, or
      `'words'`.
    tokenizer: Of the model that will be trained, see
      `msm_jax.tokenizers.load_tokenizer`. While none is named, early stages
      measure words, and a full corpus whose controls are to match in tokens is
      refused.
    length: Relative difference of their total lengths.
    by_genre: Total variation distance of the shares that genres have of the
      length, beyond what swapping partners at random gives.
    distribution: Kolmogorov–Smirnov distance of the lengths of documents,
      beyond the same.
    genres: Total variation distance of the shares that genres have of the rows.
    vocabulary: Jensen–Shannon divergence in bits of their words, outside of the
      traits' own, beyond the same.
    coverage: Least share of what was to be matched that has a partner.
    on_failure: `'refuse'` publishes the corpus beside, as `<out>-unfinished`,
      and fails; `'record'` publishes it with the figures. Only the stage `full`
      refuses.
  """

  unit: str = 'tokens'
  tokenizer: str | None = None
  length: float = 0.03
  by_genre: float = 0.03
  distribution: float = 0.15
  genres: float = 0.02
  vocabulary: float = 0.08
  coverage: float = 0.9
  on_failure: str = 'refuse'

  def __post_init__(self):
    schema.one_of(self.unit, ('tokens', 'words'), 'unit')
    schema.one_of(self.on_failure, ('refuse', 'record'), 'on_failure')
    check_share(self, 'coverage', 'distribution', 'genres', 'vocabulary')
    check_share(self, 'length', 'by_genre')
    if self.unit == 'words' and self.tokenizer is not None:
      raise schema.ConfigError(
        f"tokenizer: {self.tokenizer!r}, but unit is 'words'; leave out one of "
        'the two'
      )


@dataclasses.dataclass(frozen=True)
class ControlsConfig:
  """Matched corpora, from the plan and the documents of the same run.

  Attributes:
    neutral: Whether each document gets a neutral one: same genre, setting and
      length, nothing about a trait.
    mirrored: Pairs of traits. Documents about one are told with the other, and
      the other way around, half of them from each side.
    as_chat: The same content as chat: `'verbatim'` (a user asks for the
      document), `'retold'` (a conversation with the same content), or
      `'none'`.
    changed: The most of the words outside of both traits that may differ within
      a mirrored pair. Beyond one half, more was changed than was kept: the pair
      is two texts about one idea, and not one text with another trait.
    tolerance: Relative difference of lengths in words within a pair.
    edit_above: From which difference on a neutral document is edited for its
      length. Teachers err to one side, and that adds up.
    rounds: How often a partner that was rejected is drawn again.
    judged: Whether the judging teacher has to pass them.
    draft: Of neutral documents, mirrored and retold ones.
    balance: How balanced they must be.
  """

  neutral: bool = False
  mirrored: tuple[tuple[str, str], ...] = ()
  as_chat: str = 'none'
  changed: float = 0.5
  tolerance: float = 0.15
  edit_above: float = 0.05
  rounds: int = 3
  judged: bool = True
  draft: StepConfig = StepConfig(3000)
  balance: BalanceConfig = BalanceConfig()

  def __post_init__(self):
    check_positive(self, 'rounds')
    check_share(self, 'tolerance', 'edit_above', 'changed')
    schema.one_of(self.as_chat, ('none', 'verbatim', 'retold'), 'as_chat')
    for pair in self.mirrored:
      schema.unique(pair, 'mirrored')
    schema.unique([tuple(sorted(p)) for p in self.mirrored], 'mirrored')

  @property
  def matched(self) -> bool:
    """Whether there is any source that has to match another."""
    return self.neutral or self.as_chat != 'none' or bool(self.mirrored)
