"""From `config.phases[i]` to its mixture.

A config is whatever has the keys named here: a `ConfigDict`, plain mappings, or
the typed run that the trainer makes of one.
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


def _fields(config: Any) -> dict[str, Any]:
  """Returns a mapping, or the attributes of an object, as a dict."""
  return dict(config.items() if hasattr(config, 'items') else vars(config))


def _required(config: Mapping[str, Any], key: str, where: str) -> Any:
  if config.get(key) is None:
    raise schema.ConfigError(f'{where}.{key}: is missing')
  return config[key]


def phase_names(config: Any) -> list[str]:
  """Returns the names of the phases, in order."""
  phases = _required(_fields(config), 'phases', 'config')
  return [
    _required(_fields(phase), 'name', f'phases[{i}]')
    for i, phase in enumerate(phases)
  ]


def phase_updates(phase: Any, where: str = 'phase') -> int:
  """Returns the number of optimizer updates of a phase.

  A budget in `tokens` counts positions, B·T per update, and is rounded up.

  Raises:
    ConfigError: Unless exactly one of `updates` and `tokens` is given.
  """
  phase = _fields(phase)
  updates, tokens = phase.get('updates'), phase.get('tokens')
  if (updates is None) == (tokens is None):
    raise schema.ConfigError(
      f'{where}: updates={updates!r} and tokens={tokens!r}; expected exactly '
      'one of the two'
    )
  for key in ('batch_size', 'seq_len'):
    checks.check_positive_integer(phase.get(key), f'{where}.{key}')
  if updates is not None:
    checks.check_positive_integer(updates, f'{where}.updates')
    return updates
  checks.check_positive_integer(tokens, f'{where}.tokens')
  return -(-tokens // (phase['batch_size'] * phase['seq_len']))


def phase_seed(config: Any, phase: Any) -> int:
  """Returns the phase's data seed; phases are independent of each other."""
  seed = _required(_fields(config), 'seed', 'config')
  phase = _fields(phase)
  return hashing.seed_of(seed, phase['name'], phase.get('seed_offset') or 0)


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
  where = f'phases[{phase_index}]'
  names = phase_names(config)
  if names.count(names[phase_index]) > 1:
    raise schema.ConfigError(
      f'{where}.name: {names[phase_index]!r} is the name of two phases, which '
      'would see the same data in the same order'
    )
  config = _fields(config)
  phase = _fields(config['phases'][phase_index])
  n_batches = phase_updates(phase, where)
  accumulation = phase.get('accumulation', 1)
  checks.check_positive_integer(accumulation, f'{where}.accumulation')
  if phase['batch_size'] % accumulation:
    raise schema.ConfigError(
      f'{where}.accumulation={accumulation}: does not divide batch_size='
      f'{phase["batch_size"]}, which counts all micro-batches together'
    )
  weights = _fields(_required(phase, 'mixture', where))
  return mixture.Mixture(
    _open_sources(config, phase, where, weights),
    weights,
    seed=phase_seed(config, phase),
    batch_size=phase['batch_size'],
    n_batches=n_batches,
    weight_by=phase.get('weight_by', 'tokens'),
    max_epochs=_plain(phase.get('max_epochs')),
    where=f'{where}.mixture',
  )


def _open_sources(
  config: Mapping[str, Any],
  phase: Mapping[str, Any],
  where: str,
  weights: Mapping[str, float],
) -> dict[str, prepared.PreparedSource]:
  defined = _fields(_required(config, 'sources', 'config'))
  checks.check_weights(weights, defined, f'{where}.mixture')
  path = os.fspath(_required(config, 'tokenizer', 'config'))
  tokenizer = tokenizers.load_tokenizer(path)
  sources = {}
  for name in weights:
    source = prepared.PreparedSource.open(
      _required(_fields(defined[name]), 'path', f'sources.{name}')
    )
    if source.tokenizer_fingerprint != tokenizer.fingerprint:
      raise schema.ConfigError(
        f'sources.{name}: {source.path} was prepared with tokenizer '
        f'{source.tokenizer_fingerprint}, config.tokenizer ({path}) is '
        f'{tokenizer.fingerprint}; prepare it again'
      )
    if source.seq_len != phase['seq_len']:
      raise schema.ConfigError(
        f'{where}.seq_len={phase["seq_len"]}: source {name!r} was prepared '
        f'with seq_len={source.seq_len}; prepare it again or change the phase'
      )
    sources[name] = source
  return sources


def _plain(value: Any) -> Any:
  """Returns a ConfigDict as a dict, and anything else as it is."""
  return _fields(value) if hasattr(value, 'items') else value
