"""What a training run reads, as typed data, and what of it changes the result.

A *phase* is data: its mixture, shapes, budget, optimizer, schedule and what
crosses the boundary into it. A run is an ordered list of phases.
"""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any

from msm_jax import models
from msm_jax import schema

DECAYS = ('constant', 'cosine', 'linear')
CARRY = ('carry', 'fresh')


def _one_of(value: str, allowed: tuple[str, ...], key: str) -> None:
  if value not in allowed:
    raise ValueError(
      f'{key}: {value!r}, expected one of {list(allowed)}'
      f'{schema.suggest(value, allowed)}'
    )


def _positive(value: float, key: str) -> None:
  if not (value > 0 and math.isfinite(value)):
    raise ValueError(f'{key}: {value}, expected a positive number')


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
  """AdamW (Loshchilov and Hutter, arXiv 1711.05101) with global-norm clipping.

  Attributes:
    b1: Decay of the first moment.
    b2: Decay of the second moment.
    eps: Added to the root of the second moment.
    weight_decay: Decoupled; applied to matrices, not to norm scales, and
      multiplied by the learning rate.
    clip_norm: Global gradient norm above which gradients are scaled down;
      None never clips.
  """

  b1: float = 0.9
  b2: float = 0.95
  eps: float = 1e-8
  weight_decay: float = 0.0
  clip_norm: float | None = 1.0

  def __post_init__(self):
    for key in ('b1', 'b2'):
      if not 0 <= getattr(self, key) < 1:
        raise ValueError(f'{key}: {getattr(self, key)}, expected in [0, 1)')
    _positive(self.eps, 'eps')
    if self.weight_decay < 0:
      raise ValueError(f'weight_decay: {self.weight_decay}, expected >= 0')
    if self.clip_norm is not None:
      _positive(self.clip_norm, 'clip_norm')


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
  """Linear warm-up to `peak`, then a decay to `final` × `peak`.

  Attributes:
    peak: Largest learning rate.
    warmup: Updates of linear warm-up; the first update has `peak / warmup`.
    decay: `'constant'`, `'cosine'` or `'linear'`, over the rest of the phase.
    final: Learning rate of the last update, as a fraction of `peak`.
  """

  peak: float
  warmup: int = 0
  decay: str = 'cosine'
  final: float = 0.0

  def __post_init__(self):
    _positive(self.peak, 'peak')
    _one_of(self.decay, DECAYS, 'decay')
    if self.warmup < 0:
      raise ValueError(f'warmup: {self.warmup}, expected >= 0')
    if not 0 <= self.final <= 1:
      raise ValueError(f'final: {self.final}, expected in [0, 1]')


@dataclasses.dataclass(frozen=True)
class PhaseConfig:
  """One stage of training.

  Attributes:
    name: Unique in the run.
    mixture: Source name to weight.
    seq_len: Tokens of a sequence, `T`; that of the prepared sources.
    batch_size: Sequences of an update (all micro-batches together).
    schedule: Learning rate over the phase.
    optimizer: See `OptimizerConfig`.
    updates: Budget in optimizer updates, or
    tokens: budget in tokens, padding included; exactly one of the two is set.
    accumulation: Micro-batches of an update; divides `batch_size`.
    weight_by: `'tokens'` or `'loss_tokens'`: what the weights are shares of.
    max_epochs: How often a source may be repeated, for all or by source; None
      is no limit.
    z_loss: Weight of mean(log Z ** 2); PaLM (arXiv 2204.02311) used 1e-4.
    optimizer_state: `'carry'` keeps moments and their count from the previous
      phase, `'fresh'` starts them at zero. Parameters always cross.
    schedule_position: `'carry'` counts schedule updates on from the previous
      phase, `'fresh'` starts at zero.
    min_updates: Fewer updates than this are refused: packed chats of three
      updates are a fake null result.
  """

  name: str
  mixture: dict[str, float]
  seq_len: int
  batch_size: int
  schedule: ScheduleConfig
  optimizer: OptimizerConfig = OptimizerConfig()
  updates: int | None = None
  tokens: int | None = None
  accumulation: int = 1
  weight_by: str = 'tokens'
  max_epochs: float | dict[str, float] | None = 4.0
  z_loss: float = 0.0
  optimizer_state: str = 'fresh'
  schedule_position: str = 'fresh'
  min_updates: int = 20

  def __post_init__(self):
    for key in ('seq_len', 'batch_size', 'accumulation', 'min_updates'):
      _positive(getattr(self, key), key)
    if (self.updates is None) == (self.tokens is None):
      raise ValueError(
        f'updates: {self.updates} and tokens: {self.tokens}, expected exactly '
        'one of the two to be set'
      )
    if self.batch_size % self.accumulation:
      raise ValueError(
        f'accumulation: {self.accumulation} does not divide batch_size = '
        f'{self.batch_size}'
      )
    _one_of(self.weight_by, ('tokens', 'loss_tokens'), 'weight_by')
    _one_of(self.optimizer_state, CARRY, 'optimizer_state')
    _one_of(self.schedule_position, CARRY, 'schedule_position')
    if self.z_loss < 0:
      raise ValueError(f'z_loss: {self.z_loss}, expected >= 0')
    if self.n_updates < self.min_updates:
      raise ValueError(
        f'updates: the budget is {self.n_updates} updates, fewer than '
        f'min_updates = {self.min_updates}; so few updates cannot show an '
        'effect: give more data, smaller batches, or lower min_updates'
      )

  @property
  def tokens_per_update(self) -> int:
    return self.batch_size * self.seq_len

  @property
  def n_updates(self) -> int:
    """The budget in updates, rounded up if it was given in tokens."""
    if self.updates is not None:
      return self.updates
    assert self.tokens is not None
    return math.ceil(self.tokens / self.tokens_per_update)

  @property
  def n_tokens(self) -> int:
    """The budget in tokens, padding included."""
    return self.n_updates * self.tokens_per_update


@dataclasses.dataclass(frozen=True)
class SourceConfig:
  """A prepared source: the directory that `python -m msm_jax.prepare` made."""

  path: str


@dataclasses.dataclass(frozen=True)
class InitFrom:
  """Where parameters come from instead of a random initialisation.

  Attributes:
    workdir: Of another run.
    phase: Name of the phase whose last checkpoint is taken.
  """

  workdir: str
  phase: str


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
  """Attributes:
  every: Updates between checkpoints; phase ends are always saved.
  keep: How many of those are kept; phase ends are always kept.
  """

  every: int = 100
  keep: int = 2

  def __post_init__(self):
    _positive(self.every, 'every')
    _positive(self.keep, 'keep')


@dataclasses.dataclass(frozen=True)
class RunConfig:
  """A training run: one arm at one seed.

  Attributes:
    seed: Of initialisation and order.
    model: Architecture.
    tokenizer: Published tokenizer directory.
    sources: By the names that mixtures use.
    phases: In order.
    init_from: Another run's checkpoint, or None for a random initialisation.
    checkpoint: When to save.
    loss_chunk: Positions per chunk of the cross-entropy; divides `seq_len`.
    max_loss_jump: Nats by which the loss may exceed its mean over the last 20
      updates before the run is stopped as exploding.
    log_wandb: Whether to mirror the metrics to Weights & Biases.
  """

  seed: int
  model: models.DecoderConfig
  tokenizer: str
  sources: dict[str, SourceConfig]
  phases: tuple[PhaseConfig, ...]
  init_from: InitFrom | None = None
  checkpoint: CheckpointConfig = CheckpointConfig()
  loss_chunk: int = 64
  max_loss_jump: float = 3.0
  log_wandb: bool = False

  def __post_init__(self):
    if not self.phases:
      raise ValueError('phases: is empty, expected at least one phase')
    names = [p.name for p in self.phases]
    if len(set(names)) != len(names):
      raise ValueError(f'phases: names must be unique, got {names}')
    for i, phase in enumerate(self.phases):
      for source in phase.mixture:
        if source not in self.sources:
          raise ValueError(
            f'phases[{i}].mixture.{source}: source {source!r} is not defined'
            f'{schema.suggest(source, list(self.sources))}; sources: '
            f'{sorted(self.sources)}'
          )
      if phase.seq_len % min(self.loss_chunk, phase.seq_len):
        raise ValueError(
          f'loss_chunk: {self.loss_chunk} does not divide phases[{i}].seq_len '
          f'= {phase.seq_len}'
        )
    first = self.phases[0]
    if self.init_from is None and 'carry' in (
      first.optimizer_state,
      first.schedule_position,
    ):
      raise ValueError(
        "phases[0]: optimizer_state or schedule_position is 'carry', but the "
        'first phase has nothing to carry over: set init_from, or use fresh'
      )

  def phase_index(self, name: str) -> int:
    """Returns the index of a phase by name, or raises `ConfigError`."""
    names = [p.name for p in self.phases]
    if name not in names:
      raise schema.ConfigError(
        f'phase {name!r} is not in this run{schema.suggest(name, names)}; '
        f'phases: {names}'
      )
    return names.index(name)


def load(raw: Mapping[str, Any]) -> RunConfig:
  """Returns the typed run of a config, checked.

  Raises:
    ConfigError: Naming the key.
  """
  return schema.structure(RunConfig, raw)


# Keys that say where and how often, not what is computed.
_NO_EFFECT = (
  'checkpoint',
  'log_wandb',
  'tokenizer',
  'sources',
  'init_from',
  'max_loss_jump',
)


def result_config(config: RunConfig) -> dict[str, Any]:
  """Returns the part of a config that changes the result, as JSON.

  Paths are left out: what they point to enters by fingerprint.
  """
  raw = dataclasses.asdict(config)
  for key in _NO_EFFECT:
    raw.pop(key)
  for phase in raw['phases']:
    phase.pop('min_updates')
    phase.pop('max_epochs')
  raw['phases'] = list(raw['phases'])
  return raw
