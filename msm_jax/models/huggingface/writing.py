"""From a `DecoderConfig` to the config.json of a family that computes it."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from msm_jax import schema
from msm_jax.models.config import DecoderConfig
from msm_jax.models.config import DTYPES
from msm_jax.models.config import LayerConfig
from msm_jax.models.config import RopeConfig
from msm_jax.models.huggingface import reading
from msm_jax.models.huggingface import ropes
from msm_jax.models.huggingface.families import ACTIVATIONS
from msm_jax.models.huggingface.families import FAMILIES
from msm_jax.models.huggingface.families import Family
from msm_jax.models.huggingface.families import FULL
from msm_jax.models.huggingface.families import SLIDING

# How it is computed is no part of what is computed.
_IMPLEMENTATION = {
  'dtype',
  'param_dtype',
  'remat',
  'remat_save',
  'remat_offload',
  'attention',
}


def check(family_name: str, config: DecoderConfig) -> Family:
  """Returns a family that can express an architecture.

  Raises:
    ConfigError: If there is no such family, listing those that exist; if it
      computes something else, naming every key that stands in the way.
  """
  schema.one_of(family_name, list(FAMILIES), 'family')
  target = FAMILIES[family_name]
  if found := obstacles(target, config):
    raise schema.ConfigError(
      f'{target.title} cannot express this model: {"; ".join(found)}'
    )
  return target


def write_config(
  family_name: str,
  config: DecoderConfig,
  *,
  bos_token_id: int | None,
  eos_token_id: int | Sequence[int] | None,
  pad_token_id: int | None,
  dtype: str,
) -> dict[str, Any]:
  """Returns the config.json of a model, for `transformers` to load as it is.

  Args:
    family_name: A key of `FAMILIES`; see `export_family`.
    config: What shall be expressed.
    bos_token_id: What a text begins with.
    eos_token_id: What ends one; several are allowed.
    pad_token_id: What pads a batch.
    dtype: Of the stored weights: one of `DTYPES`.

  Raises:
    ConfigError: If the family does not compute this architecture, naming every
      key that stands in the way.
  """
  schema.one_of(dtype, DTYPES, 'dtype')
  target = check(family_name, config)
  eos = eos_token_id
  if isinstance(eos, Sequence):
    eos = list(eos)
  return _written(target, config) | {
    'bos_token_id': bos_token_id,
    'eos_token_id': eos,
    'pad_token_id': pad_token_id,
    'dtype': dtype,
  }


def export_family(config: DecoderConfig) -> str:
  """Returns the first family that computes exactly this architecture.

  Raises:
    ConfigError: If none does, with what stands in the way of each.
  """
  in_the_way = {}
  for name, candidate in FAMILIES.items():
    found = obstacles(candidate, config)
    if not found:
      return name
    in_the_way[candidate.title] = found
  lines = [f'  {t}: {"; ".join(found)}' for t, found in in_the_way.items()]
  raise schema.ConfigError(
    'no family of transformers expresses this model:\n' + '\n'.join(lines)
  )


def obstacles(target: Family, config: DecoderConfig) -> list[str]:
  """Returns in what the family would compute something else, in words.

  What is written is read again: the differences are what it cannot express.
  """
  if target.whole_heads and config.d_model % config.n_heads:
    return [
      f'model.d_model: {config.d_model}, there a multiple of n_heads = '
      f'{config.n_heads}'
    ]
  try:
    _, back = reading.read_config(_written(target, config))
  except ValueError as e:
    return [str(e)]
  theirs, ours = _effective(back), _effective(config)
  return [
    f'model.{key}: {ours[key]!r}, there {theirs[key]!r}'
    for key in ours
    if ours[key] != theirs[key]
  ]


def _effective(c: DecoderConfig) -> dict[str, Any]:
  """Returns what the logits depend on, one entry for each layer's kind."""
  values = {
    field.name: getattr(c, field.name)
    for field in dataclasses.fields(c)
    if field.name not in _IMPLEMENTATION | {'pattern'}
  }
  if c.query_scale is None:
    values['query_scale'] = c.head_dim**-0.5
  for n in range(c.n_layers):
    kind = c.layer(n)
    of_rope = kind.rope and ropes.effective(kind.rope)
    values[f'layer({n})'] = {'window': kind.window, 'rope': of_rope}
  return values


def _written(target: Family, c: DecoderConfig) -> dict[str, Any]:
  """Returns the keys of the architecture, as far as the family has them."""
  kinds = [c.layer(n) for n in range(c.n_layers)]
  activations = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
  keys: dict[str, Any] = {
    'architectures': [target.architecture],
    'model_type': target.model_type,
    **{key: getattr(c, ours) for key, ours in reading.SIZES.items()},
    'num_key_value_heads': c.n_kv_heads,
    'head_dim': c.head_dim,
    target.activation_key: activations[c.activation],
    'rms_norm_eps': c.norm_eps,
    'tie_word_embeddings': c.tied_embeddings,
    **{key: getattr(c, ours) for ours, key in target.softcap_keys.items()},
    **ropes.write(target, *(_rope(kinds, k) for k in (FULL, SLIDING))),
  }
  if target.full_every:
    windows = [k.window for k in kinds if k.window is not None]
    # Wanted even where no layer has a window.
    keys['sliding_window'] = [*windows, target.defaults['sliding_window']][0]
    keys['layer_types'] = [_kind(k) for k in kinds]
  if target.has_nope:
    keys['no_rope_layers'] = [int(k.rope is not None) for k in kinds]
  if target.scales_embeddings is None:
    scale = c.d_model**0.5 if c.scale_embeddings else 1.0
    keys['embedding_multiplier'] = scale
  if target.query_scale_key is not None:
    keys[target.query_scale_key] = _query_scale(target, c)
  return keys


def _kind(layer: LayerConfig) -> str:
  return FULL if layer.window is None else SLIDING


def _rope(kinds: Sequence[LayerConfig], kind: str) -> RopeConfig:
  """Returns the RoPE of the first layer of a kind, else of any, that has one.

  A kind that no layer is of has none of its own to say.
  """
  ropes_of_all = [k.rope for k in kinds if k.rope is not None]
  of_kind = [k.rope for k in kinds if k.rope is not None and _kind(k) == kind]
  return (of_kind or ropes_of_all or [RopeConfig()])[0]


def _query_scale(target: Family, c: DecoderConfig) -> float:
  scale = c.head_dim**-0.5 if c.query_scale is None else c.query_scale
  if target.query_scale_key != 'query_pre_attn_scalar':
    return scale
  return round(scale**-2)
