"""From `config.phases[i]` to its mixture."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from msm_jax import schema
from msm_jax import tokenizers
from msm_jax.data import checks
from msm_jax.data import hashing
from msm_jax.data import mixture
from msm_jax.data import prepared
from msm_jax.phase import Phase


@dataclasses.dataclass(frozen=True)
class SourceConfig:
  """A prepared source: the directory that `python -m msm_jax.prepare` made."""

  path: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
  """The part of a run's config that decides its batches.

  Attributes:
    seed: Of the order of the data.
    tokenizer: Published tokenizer directory.
    sources: By the names that mixtures use.
    phases: In order.
  """

  seed: int
  tokenizer: str
  sources: dict[str, SourceConfig]
  phases: tuple[Phase, ...]

  def __post_init__(self):
    if not self.phases:
      raise ValueError('phases: is empty, expected at least one phase')
    # Two phases of one name would see the same data in the same order.
    schema.unique([p.name for p in self.phases], 'phases: names')
    for i, phase in enumerate(self.phases):
      checks.check_weights(phase.mixture, self.sources, f'phases[{i}].mixture')

  def phase_index(self, name: str, where: str = 'phase') -> int:
    """Returns the index of a phase by name, or raises `ConfigError`."""
    names = [p.name for p in self.phases]
    schema.one_of(name, names, where)
    return names.index(name)


def load_config(raw: Mapping[str, Any]) -> DataConfig:
  """Reads what decides the batches from a run's config, and nothing else.

  Raises:
    ConfigError: Naming the config key and what to do.
  """
  return schema.structure(DataConfig, raw, only_known=False)


def phase_seed(config: DataConfig, phase: Phase) -> int:
  """Returns the phase's data seed; phases are independent of each other."""
  return hashing.seed_of(config.seed, phase.name, phase.seed_offset)


def mixture_for_phase(config: DataConfig, phase_index: int) -> mixture.Mixture:
  """Opens the sources of a phase and mixes them.

  Raises:
    ConfigError: Naming the config key and what to do.
    storage.NotPublishedError: If a source was never prepared.
    storage.CorruptError: If a source is damaged.
  """
  where = f'config.phases[{phase_index}]'
  phase = config.phases[phase_index]
  return mixture.Mixture(
    _open_sources(config, phase, where),
    phase.mixture,
    seed=phase_seed(config, phase),
    batch_size=phase.batch_size,
    n_batches=phase.n_updates,
    weight_by=phase.weight_by,
    max_epochs=phase.max_epochs,
    where=f'{where}.mixture',
  )


def _open_sources(
  config: DataConfig, phase: Phase, where: str
) -> dict[str, prepared.PreparedSource]:
  tokenizer = tokenizers.load_tokenizer(config.tokenizer)
  sources = {}
  for name in phase.mixture:
    source = prepared.PreparedSource.open(config.sources[name].path)
    if source.tokenizer_fingerprint != tokenizer.fingerprint:
      raise schema.ConfigError(
        f'config.sources.{name}: {source.path} was prepared with tokenizer '
        f'{source.tokenizer_fingerprint}, config.tokenizer '
        f'({config.tokenizer}) is {tokenizer.fingerprint}; prepare it again'
      )
    if source.seq_len != phase.seq_len:
      raise schema.ConfigError(
        f'{where}.seq_len: {phase.seq_len}, but source {name!r} was prepared '
        f'with seq_len={source.seq_len}; prepare it again or change the phase'
      )
    sources[name] = source
  return sources
