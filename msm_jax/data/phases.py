"""From `config.phases[i]` to its mixture.

A config is whatever has the keys named here: a `ConfigDict`, or the typed run
that the trainer makes of one.
"""

from collections.abc import Mapping
import os
from typing import Any

from msm_jax import schema
from msm_jax import tokenizers
from msm_jax.data import checks
from msm_jax.data import hashing
from msm_jax.data import mixture
from msm_jax.data import prepared


def _get(config: Any, key: str, default: Any = None) -> Any:
  if isinstance(config, Mapping) or hasattr(config, 'keys'):
    return config.get(key, default)
  return getattr(config, key, default)


def phase_updates(phase: Any, where: str = 'phase') -> int:
  """Returns the number of optimizer updates of a phase.

  A budget in `tokens` counts positions, B·T per update, and is rounded up.

  Raises:
    ConfigError: Unless exactly one of `updates` and `tokens` is given.
  """
  updates, tokens = _get(phase, 'updates'), _get(phase, 'tokens')
  if (updates is None) == (tokens is None):
    raise schema.ConfigError(
      f'{where}: updates={updates!r} and tokens={tokens!r}; expected exactly '
      'one of the two'
    )
  for key in ('batch_size', 'seq_len'):
    checks.check_positive_integer(_get(phase, key), f'{where}.{key}')
  if updates is not None:
    checks.check_positive_integer(updates, f'{where}.updates')
    return updates
  checks.check_positive_integer(tokens, f'{where}.tokens')
  return -(-tokens // (phase.batch_size * phase.seq_len))


def phase_seed(config: Any, phase: Any) -> int:
  """Returns the phase's data seed; phases are independent of each other."""
  offset = _get(phase, 'seed_offset', 0)
  return hashing.seed_of(config.seed, phase.name, offset)


def mixture_for_phase(config: Any, phase_index: int) -> mixture.Mixture:
  """Opens the sources of a phase and mixes them.

  Reads `config.seed`, `config.tokenizer`, `config.sources` and of the phase
  `name`, `mixture`, `weight_by`, `seq_len`, `batch_size`, `accumulation`,
  `updates` or `tokens`, `max_epochs` and `seed_offset`. `batch_size` is that
  of one update, all micro-batches together.

  Raises:
    ConfigError: Naming the config key and what to do.
    storage.NotPublishedError: If a source was never prepared.
    storage.CorruptError: If a source is damaged.
  """
  phase = config.phases[phase_index]
  where = f'phases[{phase_index}]'
  if [p.name for p in config.phases].count(phase.name) > 1:
    raise schema.ConfigError(
      f'{where}.name: {phase.name!r} is the name of two phases, which would '
      'see the same data in the same order'
    )
  n_batches = phase_updates(phase, where)
  accumulation = _get(phase, 'accumulation', 1)
  if phase.batch_size % accumulation:
    raise schema.ConfigError(
      f'{where}.accumulation={accumulation}: does not divide '
      f'batch_size={phase.batch_size}, which counts all micro-batches together'
    )
  weights = dict(phase.mixture.items())
  checks.check_weights(weights, config.sources, f'{where}.mixture')
  return mixture.Mixture(
    _open_sources(config, phase, where, weights),
    weights,
    seed=phase_seed(config, phase),
    batch_size=phase.batch_size,
    n_batches=n_batches,
    weight_by=_get(phase, 'weight_by', 'tokens'),
    max_epochs=_plain(_get(phase, 'max_epochs')),
    where=f'{where}.mixture',
  )


def _open_sources(
  config: Any, phase: Any, where: str, names: Mapping[str, float]
) -> dict[str, prepared.PreparedSource]:
  tokenizer = tokenizers.load_tokenizer(os.fspath(config.tokenizer))
  sources = {}
  for name in names:
    path = _get(config.sources[name], 'path')
    source = sources[name] = prepared.PreparedSource.open(path)
    if source.tokenizer_fingerprint != tokenizer.fingerprint:
      raise schema.ConfigError(
        f'sources.{name}: {path} was prepared with tokenizer '
        f'{source.tokenizer_fingerprint}, config.tokenizer '
        f'({config.tokenizer}) is {tokenizer.fingerprint}; prepare it again'
      )
    if source.seq_len != phase.seq_len:
      raise schema.ConfigError(
        f'{where}.seq_len={phase.seq_len}: source {name!r} was prepared with '
        f'seq_len={source.seq_len}; prepare it again or change the phase'
      )
  return sources


def _plain(value: Any) -> Any:
  """Returns a ConfigDict as a dict, and anything else as it is."""
  return dict(value.items()) if hasattr(value, 'items') else value
