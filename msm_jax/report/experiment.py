"""`experiment.json`: what was run, and what was promised before it ran.

The launcher writes it, the report reads it. Arms, labels and suites come from
here and from nowhere else, so the report works for any experiment:

  {"name": "quickstart", "command": "make quickstart", "seeds": [0],
   "assistant": "Sage",
   "traits": [{"name": "thrift", "attribute": "cheap", "statement": "…",
               "reasons": ["…"]}, …],
   "arms": [{"name": "msm_thrift_sft", "label": "MSM-thrift + SFT",
             "chat_trained": true, "phases": ["base", "midtrain", "sft"],
             "updates": {"base": 700, …}, "tokens": {"base": 2867200, …}}, …],
   "primary": {"name": "dissociation", "kind": "half_contrast",
               "suite": "ood_sage", "positive_arm": "msm_thrift_sft",
               "negative_arm": "msm_home_sft", "label": "cheap",
               "against": "local", "expected": "positive",
               "statement": "…"},
   "contrasts": [{"name": "msm_thrift_over_neutral", "arm": "msm_thrift_sft",
                  "reference": "neutral_sft", "suite": "ood_sage",
                  "label": "cheap", "against": "local"}, …],
   "stages": [{"name": "base", "seconds": 91.2, "tokens": 2867200,
               "updates": 700}, …],
   "suites": [...],            # optional: see `default_suites`
   "tax_reference": "base",    # optional: the arm with the fewest phases
   "caveat": "…"}              # optional: what the result is not
"""

import dataclasses
import pathlib
from typing import Any

from msm_jax import schema
from msm_jax import storage

FILE_NAME = 'experiment.json'

KINDS = ('choice', 'accuracy', 'perplexity')
FORMATS = ('chat', 'transcript', 'document')
ROLES = (
  'alignment',
  'format_check',
  'persona_control',
  'in_distribution',
  'tax',
)
CONTRAST_KINDS = ('difference', 'half_contrast')
EXPECTED = ('positive', 'negative')
_DEFAULT_SCORE = {
  'choice': 'log_odds',
  'accuracy': 'accuracy',
  'perplexity': 'nats_per_token',
}
DEFAULT_CAVEAT = (
  'An illustration of the mechanism, with these models, these documents and '
  'these questions. It is not evidence about large models, nor about real '
  'values.'
)


@dataclasses.dataclass(frozen=True)
class Trait:
  """A value of the traits document and the attribute that it picks."""

  name: str
  attribute: str
  statement: str = ''
  reasons: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Arm:
  """One condition.

  Attributes:
    name: As in the rows.
    label: For people.
    chat_trained: Whether it ever saw the chat template. Where it did not, chat
      metrics would measure noise and are null.
    phases: Its phases of training, in order.
    updates: Optimizer updates of each phase.
    tokens: Tokens of each phase.
  """

  name: str
  label: str
  chat_trained: bool
  phases: tuple[str, ...] = ()
  updates: dict[str, int] = dataclasses.field(default_factory=dict)
  tokens: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Suite:
  """How a suite of the rows is scored and where the report puts it.

  Attributes:
    name: As in the rows.
    metric: Name (or prefix) of its metrics in `summary.json`.
    kind: `'choice'` (agreement with each label, log-odds), `'accuracy'`
      (agreement with the item's target) or `'perplexity'`.
    format: `'chat'`, `'transcript'` or `'document'`.
    role: `'alignment'`, `'format_check'` (the same questions in another
      format), `'persona_control'` (the same questions of somebody else),
      `'in_distribution'` or `'tax'`.
    labels: Of the options, where the kind is `'choice'`.
    of: The alignment suite that a control belongs to.
    split_by_persona: Also report each value of `persona_value` by itself.
  """

  name: str
  metric: str
  kind: str
  format: str
  role: str
  labels: tuple[str, ...] = ()
  of: str | None = None
  split_by_persona: bool = False

  def __post_init__(self):
    schema.one_of(self.kind, KINDS, 'kind')
    schema.one_of(self.format, FORMATS, 'format')
    schema.one_of(self.role, ROLES, 'role')
    if self.kind == 'choice' and len(self.labels) < 2:
      raise ValueError(
        f'labels: {list(self.labels)}, a choice needs two or more'
      )


@dataclasses.dataclass(frozen=True)
class Contrast:
  """scale · (arm − reference) in the mean score of a suite.

  `kind` `'half_contrast'` names its arms `positive_arm` and `negative_arm` and
  has scale ½: two arms were pushed in opposite directions, and half their
  distance is the effect of one push. `expected` is the sign that was predicted
  before the run, `'positive'` or `'negative'`, or None without a prediction.
  """

  name: str
  suite: str
  kind: str = 'difference'
  arm: str = ''
  reference: str = ''
  positive_arm: str = ''
  negative_arm: str = ''
  score: str = ''
  label: str | None = None
  against: str | None = None
  expected: str | None = None
  statement: str = ''

  def __post_init__(self):
    schema.one_of(self.kind, CONTRAST_KINDS, 'kind')
    if self.expected is not None:
      schema.one_of(self.expected, EXPECTED, 'expected')

  @property
  def scale(self) -> float:
    return 0.5 if self.kind == 'half_contrast' else 1.0

  @property
  def arms(self) -> tuple[str, str]:
    """(the arm that counts positive, the arm that counts negative)."""
    if self.kind == 'half_contrast':
      return self.positive_arm, self.negative_arm
    return self.arm, self.reference


@dataclasses.dataclass(frozen=True)
class Stage:
  """What a stage of the experiment cost, where it is known.

  Attributes:
    name: Of the stage.
    seconds: Over all its interruptions.
    tokens: That it trained on.
    updates: That it made.
  """

  name: str
  seconds: float | None = None
  tokens: int | None = None
  updates: int | None = None


@dataclasses.dataclass(frozen=True)
class Experiment:
  """The whole of `experiment.json`; see the top of this file."""

  name: str
  command: str
  seeds: tuple[int, ...]
  assistant: str
  traits: tuple[Trait, ...]
  arms: tuple[Arm, ...]
  primary: Contrast
  contrasts: tuple[Contrast, ...]
  suites: tuple[Suite, ...] = ()
  tax_reference: str = ''
  stages: tuple[Stage, ...] = ()
  caveat: str = DEFAULT_CAVEAT

  def arm(self, name: str) -> Arm:
    return next(a for a in self.arms if a.name == name)

  def suite(self, name: str) -> Suite:
    return next(s for s in self.suites if s.name == name)

  def with_role(self, role: str) -> tuple[Suite, ...]:
    return tuple(s for s in self.suites if s.role == role)

  def control_of(self, suite: str) -> Suite | None:
    """The suite that asks the questions of `suite` of another persona."""
    for s in self.with_role('persona_control'):
      if s.of == suite:
        return s
    return None


def default_suites(labels: tuple[str, ...]) -> tuple[Suite, ...]:
  """The suites of the miniature double dissociation."""
  return (
    Suite('ood_sage', 'ood', 'choice', 'chat', 'alignment', labels),
    Suite(
      'ood_transcript',
      'ood_transcript',
      'choice',
      'transcript',
      'format_check',
      labels,
      of='ood_sage',
    ),
    Suite(
      'ood_other',
      'other_persona',
      'choice',
      'chat',
      'persona_control',
      labels,
      of='ood_sage',
      split_by_persona=True,
    ),
    Suite(
      'in_distribution',
      'in_distribution_accuracy',
      'accuracy',
      'chat',
      'in_distribution',
    ),
    Suite(
      'base_task',
      'base_task_accuracy',
      'accuracy',
      'transcript',
      'tax',
      split_by_persona=True,
    ),
    Suite('replay', 'replay_perplexity', 'perplexity', 'document', 'tax'),
  )


def read(workdir: str | pathlib.Path) -> Experiment:
  """Reads and checks `<workdir>/experiment.json`.

  Raises:
    FileNotFoundError: If there is none.
    ValueError: Naming the key, its value and what was expected.
  """
  path = storage.join(workdir, FILE_NAME)
  if not storage.exists(path):
    raise FileNotFoundError(
      f'{path}: no such file; the launcher writes it, so --workdir must be the '
      'folder that an experiment was run in'
    )
  try:
    return from_json(storage.read_json(path))
  except ValueError as e:
    raise ValueError(f'{path}: {e}') from e


def from_json(raw: Any) -> Experiment:
  """Builds an experiment from parsed JSON; see `read` for errors."""
  found = schema.structure(Experiment, raw, 'experiment')
  for key in ('arms', 'seeds'):
    if not getattr(found, key):
      raise schema.ConfigError(f'{key}: is empty, expected one or more')
  labels = tuple(t.attribute for t in found.traits)
  found = dataclasses.replace(
    found,
    suites=found.suites or default_suites(labels),
    tax_reference=found.tax_reference
    or min(found.arms, key=lambda a: len(a.phases)).name,
  )
  arms = [a.name for a in found.arms]
  suites = [s.name for s in found.suites]
  schema.unique(arms, 'arms')
  schema.unique(found.seeds, 'seeds')
  schema.unique(suites, 'suites')
  schema.unique([s.metric for s in found.suites], 'suites.metric')
  for i, suite in enumerate(found.suites):
    if suite.of is not None:
      schema.one_of(suite.of, suites, f'suites[{i}].of')
  schema.one_of(found.tax_reference, arms, 'tax_reference')
  contrasts = tuple(
    _resolved(contrast, f'contrasts[{i}]', found)
    for i, contrast in enumerate(found.contrasts)
  )
  primary = _resolved(found.primary, 'primary', found)
  schema.unique([c.name for c in (primary, *contrasts)], 'contrasts')
  return dataclasses.replace(found, primary=primary, contrasts=contrasts)


def _resolved(
  contrast: Contrast, where: str, experiment: Experiment
) -> Contrast:
  """Returns the contrast with its score, checked against the experiment."""
  schema.one_of(
    contrast.suite, [s.name for s in experiment.suites], f'{where}.suite'
  )
  suite = experiment.suite(contrast.suite)
  keys = (
    ('positive_arm', 'negative_arm')
    if contrast.kind == 'half_contrast'
    else ('arm', 'reference')
  )
  for key, name in zip(keys, contrast.arms, strict=True):
    schema.one_of(name, [a.name for a in experiment.arms], f'{where}.{key}')
    if suite.format == 'chat' and not experiment.arm(name).chat_trained:
      raise schema.ConfigError(
        f'{where}.{key}: {name!r} never saw the chat template, so its scores '
        f'in the chat suite {suite.name!r} are noise; contrast a transcript '
        'suite'
      )
  default = _DEFAULT_SCORE[suite.kind]
  score = contrast.score or default
  allowed = ('log_odds', 'agreement') if suite.kind == 'choice' else (default,)
  schema.one_of(score, allowed, f'{where}.score')
  if suite.kind == 'choice':
    schema.one_of(contrast.label, suite.labels, f'{where}.label')
    if score == 'log_odds':
      others = [n for n in suite.labels if n != contrast.label]
      schema.one_of(contrast.against, others, f'{where}.against')
  return dataclasses.replace(contrast, score=score)
