"""What a training run reads, as typed data, and what of it changes the result.

A *phase* is data: its mixture, shapes, budget, optimizer, schedule and what
crosses the boundary into it. A run is an ordered list of phases.
"""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any

import jax.numpy as jnp

from msm_jax import data
from msm_jax import models
from msm_jax import schema
from msm_jax.models import crossing
from msm_jax.models import lora as lora_lib
from msm_jax.models.layout import MeshConfig
from msm_jax.phase import Phase
from msm_jax.training import xla_options

DECAYS = ('constant', 'cosine', 'linear')
CARRY = ('carry', 'fresh')
MU_DTYPES = ('float32', 'bfloat16')
GRAD_REDUCE_DTYPES = ('bfloat16', 'float32')
NU_FORMATS = ('float32', 'log_uint8')


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
    weight_decay: Decoupled, and multiplied by the learning rate; applied to
      matrices, those of adapters included (which decays towards the base), not
      to norm scales, biases and DoRA's magnitudes.
    clip_norm: Global gradient norm above which gradients are scaled down;
      None never clips.
    mu_dtype: What the first moment is kept in: `'float32'`, or `'bfloat16'`.
    nu_format: What the second moment is kept in: `'float32'`, or
      `'log_uint8'`; see `msm_jax.training.moments`.
  """

  b1: float = 0.9
  b2: float = 0.95
  eps: float = 1e-8
  weight_decay: float = 0.0
  clip_norm: float | None = 1.0
  mu_dtype: str = 'float32'
  nu_format: str = 'float32'

  def __post_init__(self):
    schema.one_of(self.mu_dtype, MU_DTYPES, 'mu_dtype')
    schema.one_of(self.nu_format, NU_FORMATS, 'nu_format')
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
    schema.one_of(self.decay, DECAYS, 'decay')
    if self.warmup < 0:
      raise ValueError(f'warmup: {self.warmup}, expected >= 0')
    if not 0 <= self.final <= 1:
      raise ValueError(f'final: {self.final}, expected in [0, 1]')


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhaseConfig(Phase):
  """One stage of training: the data of a `Phase`, and how it is learnt.

  Attributes:
    schedule: Learning rate over the phase.
    optimizer: See `OptimizerConfig`.
    z_loss: Weight of mean(log Z ** 2); PaLM (arXiv 2204.02311) used 1e-4.
    lora: Adapters that are trained instead of all parameters; see
      `msm_jax.models.lora.LoRAConfig`.
    adapters: What becomes of those of the previous phase, if it trained some:
      `'carry'` goes on training them, `'merge'` adds them into the base, on
      which this phase trains new ones or all parameters, `'fresh'` drops them
      for new ones on the base as it was. There is no default: to lose what a
      phase has learnt must be said.
    optimizer_state: `'carry'` keeps moments and their count from the previous
      phase, `'fresh'` starts them at zero. Parameters always cross.
    schedule_position: `'carry'` counts schedule updates on from the previous
      phase, `'fresh'` starts at zero.
    min_updates: Fewer updates than this are refused: packed chats of three
      updates are a fake null result.
  """

  schedule: ScheduleConfig
  optimizer: OptimizerConfig = OptimizerConfig()
  z_loss: float = 0.0
  lora: lora_lib.LoRAConfig | None = None
  adapters: str | None = None
  optimizer_state: str = 'fresh'
  schedule_position: str = 'fresh'
  min_updates: int = 20

  def __post_init__(self):
    super().__post_init__()
    schema.one_of(self.optimizer_state, CARRY, 'optimizer_state')
    schema.one_of(self.schedule_position, CARRY, 'schedule_position')
    if self.z_loss < 0:
      raise ValueError(f'z_loss: {self.z_loss}, expected >= 0')
    _positive(self.min_updates, 'min_updates')
    if self.n_updates < self.min_updates:
      raise ValueError(
        f'updates: the budget is {self.n_updates} updates, fewer than '
        f'min_updates = {self.min_updates}; so few updates cannot show an '
        'effect: give more data, smaller batches, or lower min_updates'
      )


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
class WatchConfig:
  """What is taken for a straggler, and what for a process that has stopped.

  Attributes:
    slow_factor: An update that takes more than so many times the median of the
      last 50 is reported, with the process that the others wait for,
    slow_seconds: if it takes so long as well.
    lost_seconds: A process of which nothing is heard for so long has stopped,
      and the others end, to be started again together.
  """

  slow_factor: float = 5.0
  slow_seconds: float = 10.0
  lost_seconds: float = 60.0

  def __post_init__(self):
    for key in ('slow_factor', 'slow_seconds', 'lost_seconds'):
      _positive(getattr(self, key), key)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(data.DataConfig):
  """A training run: one arm at one seed.

  Attributes:
    seed: Of initialisation and order.
    model: Architecture.
    phases: In order.
    init_from: Another run's checkpoint, or None for a random initialisation.
    checkpoint: When to save.
    mesh: How rows, sequences and parameters are cut over the devices.
    grad_reduce_dtype: In which gradients of parameters are added up over rows
      and devices; None is `model.dtype`, and no narrower one is possible.
    loss_chunk: Positions per chunk of the cross-entropy; divides `seq_len`.
      `'auto'`: see `msm_jax.training.loss_sizes`.
    loss_group: Neighbours on the last axis of fsdp that share the vocabulary in
      the loss; see `msm_jax.training.mesh_loss`. `'auto'`: `loss_sizes`.
    xla_options: With which steps are compiled: `'auto'`, `'none'`, or a mapping
      from names to values that is laid over those of `'auto'`; None takes one
      away. See `msm_jax.training.xla_options`.
    watch: What is reported of updates and processes that are late.
    max_loss_jump: Nats by which the loss may exceed its mean over the last 20
      updates before the run is stopped as exploding.
    log_wandb: Whether to mirror the metrics to Weights & Biases.
  """

  model: models.DecoderConfig
  phases: tuple[PhaseConfig, ...]
  init_from: InitFrom | None = None
  checkpoint: CheckpointConfig = CheckpointConfig()
  mesh: MeshConfig = MeshConfig()  # noqa: RUF009 - is frozen.
  grad_reduce_dtype: str | None = None
  loss_chunk: int | str = 'auto'
  loss_group: int | str = 'auto'
  xla_options: str | dict[str, str | bool | int | float | None] = 'auto'
  watch: WatchConfig = WatchConfig()
  max_loss_jump: float = 3.0
  log_wandb: bool = False

  def __post_init__(self):
    super().__post_init__()
    for key in ('loss_chunk', 'loss_group'):
      if isinstance(value := getattr(self, key), str):
        schema.one_of(value, ('auto',), key)
      else:
        _positive(value, key)
    if isinstance(self.xla_options, str):
      schema.one_of(self.xla_options, xla_options.NAMED, 'xla_options')
    _positive(self.max_loss_jump, 'max_loss_jump')
    self._check_grad_reduce_dtype()
    for i, phase in enumerate(self.phases):
      if not isinstance(self.loss_chunk, str) and (
        phase.seq_len % min(self.loss_chunk, phase.seq_len)
      ):
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
    for i in range(len(self.phases)):
      # What a first phase gets from `init_from` is known when that is read.
      if i > 0 or self.init_from is None:
        check_boundary(self, i, self.phases[i - 1].lora if i else None)

  def _check_grad_reduce_dtype(self) -> None:
    if self.grad_reduce_dtype is None:
      return
    schema.one_of(
      self.grad_reduce_dtype, GRAD_REDUCE_DTYPES, 'grad_reduce_dtype'
    )
    wide = jnp.promote_types(self.grad_reduce_dtype, self.model.dtype)
    if wide != jnp.dtype(self.grad_reduce_dtype):
      raise ValueError(
        f'grad_reduce_dtype: {self.grad_reduce_dtype!r} is narrower than '
        f'model.dtype = {self.model.dtype!r}; use None, which is the same'
      )


def check_boundary(
  config: RunConfig, index: int, before: lora_lib.LoRAConfig | None
) -> None:
  """Checks what crosses into a phase.

  Args:
    config: The run.
    index: Of the phase.
    before: Adapters of the phase, or of the run, before it.

  Raises:
    ConfigError: Naming the key.
  """
  phase, where = config.phases[index], f'phases[{index}]'
  try:
    crossing.check(before, phase.lora, phase.adapters)
  except ValueError as e:
    raise schema.ConfigError(f'{where}.{e}') from e
  if phase.optimizer_state == 'carry' and not crossing.moments_cross(
    before, phase.lora, phase.adapters
  ):
    theirs = 'all parameters' if before is None else 'adapters that end there'
    ours = 'all parameters' if phase.lora is None else 'new adapters'
    raise schema.ConfigError(
      f"{where}.optimizer_state: 'carry', but the moments of what comes before "
      f"are of {theirs}, and here {ours} are trained; use 'fresh'"
    )


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
  'mesh',
  'loss_group',
  'xla_options',
  'watch',
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
