"""RoPE in a config.json: `rope_parameters`, and what older files have.

transformers 5 writes `rope_parameters`, one mapping or one for each kind of
layer; before there were `rope_theta`, `rope_scaling`, and for Gemma 3's
sliding layers `rope_local_base_freq`. Readers of the old form that miss
`rope_theta` silently take a default, so that both forms are written.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from msm_jax import schema
from msm_jax.models import rope
from msm_jax.models.config import RopeConfig
from msm_jax.models.huggingface.families import Family
from msm_jax.models.huggingface.families import FULL
from msm_jax.models.huggingface.families import SLIDING
from msm_jax.models.huggingface.keys import Keys
from msm_jax.models.huggingface.keys import typed

# By `rope_type`: our name, and our field of each key beside `rope_theta`.
_TYPES: dict[str, tuple[str, dict[str, str]]] = {
  'default': ('none', {}),
  'linear': ('linear', {'factor': 'factor'}),
  'llama3': (
    'llama3',
    {
      'factor': 'factor',
      'original_max_position_embeddings': 'original_length',
      'low_freq_factor': 'low_freq_factor',
      'high_freq_factor': 'high_freq_factor',
    },
  ),
  'yarn': (
    'yarn',
    {
      'factor': 'factor',
      'original_max_position_embeddings': 'original_length',
      'beta_fast': 'beta_fast',
      'beta_slow': 'beta_slow',
      'attention_factor': 'attention_factor',
      'truncate': 'truncate',
    },
  ),
}
_NAMES = {ours: theirs for theirs, (ours, _) in _TYPES.items()}
# Keys without which a type has no meaning.
_NEEDED = ('factor', 'low_freq_factor', 'high_freq_factor')
_KINDS = {'original_length': int, 'truncate': bool}


def _parse(
  raw: Any, theta: float, context_length: int, where: str
) -> RopeConfig:
  """Reads one mapping, of the old form or the new."""
  if not isinstance(raw, Mapping):
    raise schema.ConfigError(f'{where}: {raw!r}, expected a mapping')
  keys = {k: v for k, v in raw.items() if v is not None}
  old_name = keys.pop('type', 'default')
  name = keys.pop('rope_type', old_name)
  schema.one_of(name, list(_TYPES), f'{where}.rope_type')
  ours, fields = _TYPES[name]
  theta = typed(keys.pop('rope_theta', theta), float, f'{where}.rope_theta')
  for key in keys:
    if key not in fields:
      raise schema.ConfigError(
        f'{where}.{key}: {raw[key]!r}; RoPE of type {name!r} has no such key '
        f'here{schema.suggest(key, list(fields))}; known: '
        f'{", ".join(["rope_theta", *fields])}'
      )
  for key in _NEEDED:
    if key in fields and key not in keys:
      raise schema.ConfigError(f'{where}.{key}: is missing for {name!r}')
  values = {
    fields[key]: typed(value, _KINDS.get(fields[key], float), f'{where}.{key}')
    for key, value in keys.items()
  }
  if 'original_length' in fields.values():
    values.setdefault('original_length', context_length)
  return RopeConfig(theta=theta, scaling=ours, **values)


def read(
  keys: Keys, family: Family, context_length: int
) -> dict[str, RopeConfig]:
  """Returns the RoPE of full and of sliding layers.

  Args:
    keys: Of the config.json.
    family: Whose it is.
    context_length: Taken for `original_max_position_embeddings` where that is
      left out, as `transformers` does.

  Raises:
    ConfigError: Naming the key, for anything that is not exactly ours, and
      for keys of the old and the new form that contradict each other.
  """
  old = _read_old(keys, family, context_length)
  if not keys.has('rope_parameters'):
    return old
  new = _read_new(keys, family, context_length, old)
  for key, kind, what in (
    ('rope_theta', FULL, 'theta'),
    ('rope_local_base_freq', SLIDING, 'theta'),
    ('rope_scaling', FULL, 'all'),
  ):
    a, b = effective(old[kind]), effective(new[kind])
    if keys.has(key) and (a != b if what == 'all' else a[what] != b[what]):
      raise schema.ConfigError(
        f'config.json: {key}: {keys.raw(key)!r} contradicts rope_parameters: '
        f'{keys.raw("rope_parameters")!r}; remove one of the two'
      )
  return new


def _read_old(
  keys: Keys, family: Family, context_length: int
) -> dict[str, RopeConfig]:
  theta = keys.get('rope_theta', float)
  full = RopeConfig(theta=theta)
  if keys.has('rope_scaling'):
    raw, where = keys.raw('rope_scaling'), 'config.json: rope_scaling'
    full = _parse(raw, theta, context_length, where)
  if not family.ropes_by_kind:
    return {FULL: full, SLIDING: full}
  local = keys.maybe('rope_local_base_freq', float) or theta
  return {FULL: full, SLIDING: RopeConfig(theta=local)}


def _read_new(
  keys: Keys, family: Family, context_length: int, old: dict[str, RopeConfig]
) -> dict[str, RopeConfig]:
  raw, where = keys.raw('rope_parameters'), 'config.json: rope_parameters'
  if not family.ropes_by_kind:
    one = _parse(raw, old[FULL].theta, context_length, where)
    return {FULL: one, SLIDING: one}
  if not isinstance(raw, Mapping) or set(raw) - {FULL, SLIDING}:
    raise schema.ConfigError(
      f'{where}: {raw!r}; {family.title} has one mapping each for {FULL} and '
      f'{SLIDING}'
    )
  return {
    kind: _parse(
      raw.get(kind) or {}, old[kind].theta, context_length, f'{where}.{kind}'
    )
    for kind in (FULL, SLIDING)
  }


def effective(config: RopeConfig) -> dict[str, Any]:
  """Returns what a RoPE depends on: fields of other scalings are left out."""
  fields = _TYPES[_NAMES[config.scaling]][1].values()
  values = {name: getattr(config, name) for name in fields}
  if 'attention_factor' in values:
    values['attention_factor'] = rope.amplitude(config)
  return {'theta': config.theta, 'scaling': config.scaling} | values


def _mapping(config: RopeConfig) -> dict[str, Any]:
  """Returns one mapping of `rope_parameters`."""
  name = _NAMES[config.scaling]
  values = {
    key: getattr(config, field) for key, field in _TYPES[name][1].items()
  }
  values = {k: v for k, v in values.items() if v is not None}
  return {'rope_type': name, 'rope_theta': config.theta} | values


def write(family: Family, full: RopeConfig, sliding: RopeConfig) -> dict:
  """Returns the keys of a config.json, in both forms if the old one can."""
  old: dict[str, Any] = {'rope_theta': full.theta}
  if full.scaling != 'none':
    scaling = _mapping(full)
    del scaling['rope_theta']
    old['rope_scaling'] = scaling
  if not family.ropes_by_kind:
    return {'rope_parameters': _mapping(full)} | old
  new = {FULL: _mapping(full), SLIDING: _mapping(sliding)}
  if 'rope_local_base_freq' in family.defaults:
    old['rope_local_base_freq'] = sliding.theta
    full = dataclasses.replace(sliding)
  # The old form knows of no other differences.
  expressible = sliding.scaling == 'none' and sliding.theta == full.theta
  return {'rope_parameters': new} | (old if expressible else {})
