"""What must hold before step 0; every error names the config key."""

from collections.abc import Iterable
from collections.abc import Mapping
import math
from typing import Any

from msm_jax import schema
from msm_jax.data import prepared


def _is_positive(value: Any) -> bool:
  number = isinstance(value, int | float) and not isinstance(value, bool)
  return number and math.isfinite(value) and value > 0


def check_positive_integer(value: Any, where: str) -> None:
  if not (_is_positive(value) and isinstance(value, int)):
    raise schema.ConfigError(f'{where}={value!r}: expected a positive integer')


def check_known(names: Iterable[str], known: Iterable[str], where: str) -> None:
  known = sorted(known)
  for name in names:
    if name not in known:
      raise schema.ConfigError(
        f'{where}.{name}: source {name!r} is not defined'
        f'{schema.suggest(name, known)}; sources: {known}'
      )


def check_weights(
  weights: Mapping[str, float], sources: Iterable[str], where: str
) -> None:
  if not weights:
    raise schema.ConfigError(
      f'{where}: names no source; expected {{source: weight}}'
    )
  check_known(weights, sources, where)
  for name, weight in weights.items():
    if not _is_positive(weight):
      raise schema.ConfigError(
        f'{where}.{name}={weight!r}: expected a positive number; leave out a '
        'source that is not wanted'
      )


def check_alike(
  sources: Mapping[str, prepared.PreparedSource], where: str
) -> None:
  """Sources of one mixture share tokenizer and sequence length."""
  for attribute in ('seq_len', 'tokenizer_fingerprint'):
    values = {n: getattr(s, attribute) for n, s in sources.items()}
    if len(set(values.values())) > 1:
      raise schema.ConfigError(
        f'{where}: sources differ in {attribute}: {values}; prepare them alike'
      )


def epoch_limits(
  max_epochs: float | Mapping[str, float] | None,
  names: Iterable[str],
  sources: Iterable[str],
  where: str,
) -> dict[str, float]:
  """Returns the limit of each source, infinity where there is none."""
  key = f'{where}: max_epochs'
  if max_epochs is None:
    limits = {}
  elif isinstance(max_epochs, Mapping):
    limits = dict(max_epochs)
    check_known(limits, sources, key)
  else:
    limits = dict.fromkeys(names, max_epochs)
  for name, limit in limits.items():
    if not _is_positive(limit):
      raise schema.ConfigError(
        f'{key}: {limit!r} for source {name!r}, expected a positive number'
      )
  return {name: limits.get(name, math.inf) for name in names}


def check_draws(
  drawn: Mapping[str, int],
  sizes: Mapping[str, int],
  max_epochs: Mapping[str, float],
  where: str,
) -> None:
  """No source is starved, and none is repeated beyond its limit."""
  total = sum(drawn.values())
  for name, count in drawn.items():
    if count == 0:
      raise schema.ConfigError(
        f'{where}.{name}: source {name!r} gets none of the {total} sequences '
        'of this phase; raise its weight or the budget, or leave it out'
      )
    epochs = count / sizes[name]
    if epochs > max_epochs[name]:
      raise schema.ConfigError(
        f'{where}.{name}: source {name!r} would be repeated {epochs:.2f} times '
        f'({count} sequences from {sizes[name]}), max_epochs is '
        f'{max_epochs[name]:g}; raise max_epochs to at least '
        f'{math.ceil(epochs * 100) / 100:.2f}, lower its weight or the budget, '
        'or add data'
      )
