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

from collections.abc import Mapping
import dataclasses
import pathlib
from typing import Any

from msm_jax import storage
from msm_jax.report import checks

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
  updates: Mapping[str, int] = dataclasses.field(default_factory=dict)
  tokens: Mapping[str, int] = dataclasses.field(default_factory=dict)


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
  suites: tuple[Suite, ...]
  tax_reference: str
  stages: tuple[Mapping[str, Any], ...] = ()
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
  fields = checks.checked(
    Experiment, raw, '', optional={'suites', 'tax_reference'}
  )
  traits = checks.each(Trait, fields['traits'], 'traits')
  arms = checks.each(Arm, fields['arms'], 'arms')
  if not arms:
    raise ValueError('arms: is empty; expected at least one arm')
  seeds = tuple(fields['seeds'])
  if not seeds or not all(type(s) is int for s in seeds):
    raise ValueError(f'seeds: is {list(seeds)}, expected one integer or more')
  labels = tuple(t.attribute for t in traits)
  suites = (
    checks.each(Suite, fields['suites'], 'suites')
    if fields.get('suites')
    else default_suites(labels)
  )
  for where, values in (
    ('arms', [a.name for a in arms]),
    ('suites', [s.name for s in suites]),
    ('suites.metric', [s.metric for s in suites]),
    ('seeds', list(seeds)),
  ):
    if repeated := sorted({v for v in values if values.count(v) > 1}):
      raise ValueError(f'{where}: {repeated} occur more than once')
  for i, s in enumerate(suites):
    _check_suite(s, f'suites[{i}]', suites)
  where_and_contrasts = [('primary', fields['primary'])] + [
    (f'contrasts[{i}]', c) for i, c in enumerate(fields['contrasts'])
  ]
  contrasts = [
    _contrast(c, where, arms, suites) for where, c in where_and_contrasts
  ]
  names = [c.name for c in contrasts]
  if repeated := sorted({n for n in names if names.count(n) > 1}):
    raise ValueError(f'contrasts: the names {repeated} occur more than once')
  reference = (
    fields.get('tax_reference') or min(arms, key=lambda a: len(a.phases)).name
  )
  checks.one_of(reference, [a.name for a in arms], 'tax_reference')
  return Experiment(
    name=fields['name'],
    command=fields['command'],
    seeds=seeds,
    assistant=fields['assistant'],
    traits=traits,
    arms=arms,
    primary=contrasts[0],
    contrasts=tuple(contrasts[1:]),
    suites=suites,
    tax_reference=reference,
    stages=_stages(fields.get('stages') or ()),
    caveat=fields.get('caveat') or DEFAULT_CAVEAT,
  )


def _stages(raw: Any) -> tuple[Mapping[str, Any], ...]:
  for i, stage in enumerate(raw):
    if not isinstance(stage, dict) or not isinstance(stage.get('name'), str):
      raise ValueError(f'stages[{i}].name: expected a string in {stage!r}')
    for key in ('seconds', 'tokens', 'updates'):
      value = stage.get(key)
      if value is not None and not isinstance(value, int | float):
        raise ValueError(
          f'stages[{i}].{key}: is {value!r}, expected a number or null'
        )
  return tuple(raw)


def _contrast(
  raw: Any, where: str, arms: tuple[Arm, ...], suites: tuple[Suite, ...]
) -> Contrast:
  contrast = Contrast(**checks.checked(Contrast, raw, where))
  checks.one_of(contrast.kind, CONTRAST_KINDS, f'{where}.kind')
  checks.one_of(contrast.suite, [s.name for s in suites], f'{where}.suite')
  suite = next(s for s in suites if s.name == contrast.suite)
  keys = (
    ('positive_arm', 'negative_arm')
    if contrast.kind == 'half_contrast'
    else ('arm', 'reference')
  )
  for key in keys:
    arm_name = getattr(contrast, key)
    checks.one_of(arm_name, [a.name for a in arms], f'{where}.{key}')
    arm = next(a for a in arms if a.name == arm_name)
    if suite.format == 'chat' and not arm.chat_trained:
      raise ValueError(
        f'{where}.{key}: {arm_name!r} never saw the chat template, so its '
        f'scores in the chat suite {suite.name!r} are noise; contrast a '
        'transcript suite'
      )
  default = {
    'choice': 'log_odds',
    'accuracy': 'accuracy',
    'perplexity': 'nats_per_token',
  }[suite.kind]
  score = contrast.score or default
  allowed = ('log_odds', 'agreement') if suite.kind == 'choice' else (default,)
  checks.one_of(score, allowed, f'{where}.score')
  if suite.kind == 'choice':
    checks.one_of(contrast.label, suite.labels, f'{where}.label')
    if score == 'log_odds':
      others = [n for n in suite.labels if n != contrast.label]
      checks.one_of(contrast.against, others, f'{where}.against')
  if contrast.expected is not None:
    checks.one_of(contrast.expected, EXPECTED, f'{where}.expected')
  return dataclasses.replace(contrast, score=score)


def _check_suite(s: Suite, where: str, suites: tuple[Suite, ...]) -> None:
  checks.one_of(s.kind, KINDS, f'{where}.kind')
  checks.one_of(s.format, FORMATS, f'{where}.format')
  checks.one_of(s.role, ROLES, f'{where}.role')
  if s.kind == 'choice' and len(s.labels) < 2:
    raise ValueError(
      f'{where}.labels: is {list(s.labels)}, a choice needs two or more'
    )
  if s.of is not None:
    checks.one_of(s.of, [o.name for o in suites], f'{where}.of')
