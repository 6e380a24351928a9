"""From a config.json to a `DecoderConfig`, exactly or not at all."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from msm_jax import schema
from msm_jax.models.config import DecoderConfig
from msm_jax.models.config import LayerConfig
from msm_jax.models.huggingface import ropes
from msm_jax.models.huggingface.families import ACTIVATIONS
from msm_jax.models.huggingface.families import FAMILIES
from msm_jax.models.huggingface.families import Family
from msm_jax.models.huggingface.families import FULL
from msm_jax.models.huggingface.families import SLIDING
from msm_jax.models.huggingface.keys import Keys

# Gemma 3 with vision: its text model is nested.
_NESTED = {'gemma3': ('gemma3_text', 'Gemma3ForConditionalGeneration')}
SIZES = {
  'vocab_size': 'vocab_size',
  'hidden_size': 'd_model',
  'intermediate_size': 'd_ff',
  'num_hidden_layers': 'n_layers',
  'num_attention_heads': 'n_heads',
  'max_position_embeddings': 'context_length',
}


def read_config(
  config_json: Mapping[str, Any],
) -> tuple[str, DecoderConfig]:
  """Reads a published config.json, in transformers 5's or an older form.

  A key that is left out is what `transformers` takes for it; one that
  `transformers` does not know changes nothing and is passed over. Its `dtype`
  says how the weights are stored; what to compute in is the caller's to set.

  Returns:
    The name of the family, and the architecture, with `dtype`, `param_dtype`,
    `remat` and `attention` as they are by default.

  Raises:
    ConfigError: Naming the key, its value and what is supported, for anything
      that our decoder does not compute exactly.
  """
  found, given = _recognise(config_json)
  keys = Keys(given, found.defaults)
  for key, allowed in found.required.items():
    if keys.has(key) and keys.raw(key) not in allowed:
      raise schema.ConfigError(
        f'config.json: {key}: {keys.raw(key)!r} is not supported for '
        f'{found.title}; expected {" or ".join(map(repr, (*allowed, None)))}'
      )
  sizes = {ours: keys.positive(key, int) for key, ours in SIZES.items()}
  head_dim = keys.maybe('head_dim', int)
  if head_dim is None:
    head_dim = sizes['d_model'] // sizes['n_heads']
  n_kv_heads = keys.maybe('num_key_value_heads', int) or sizes['n_heads']
  activation = keys.raw(found.activation_key)
  schema.one_of(
    activation, list(ACTIVATIONS), f'config.json: {found.activation_key}'
  )
  caps = {
    ours: keys.maybe(key, float) for ours, key in found.softcap_keys.items()
  }
  config = DecoderConfig(
    **sizes,
    n_kv_heads=n_kv_heads,
    head_dim=head_dim,
    pattern=_repeating(_read_layers(keys, found, sizes)),
    norm_eps=keys.get('rms_norm_eps', float),
    activation=ACTIVATIONS[activation],
    tied_embeddings=keys.get('tie_word_embeddings', bool),
    query_scale=_read_query_scale(keys, found, head_dim),
    scale_embeddings=_read_embedding_scale(keys, found, sizes['d_model']),
    **found.fixed,
    **caps,
  )
  return found.name, config


def _recognise(
  config_json: Mapping[str, Any],
) -> tuple[Family, Mapping[str, Any]]:
  """Returns the family, and the keys of its (text) model."""
  by_type = {f.model_type: f for f in FAMILIES.values()}
  by_class = {f.architecture: f for f in FAMILIES.values()}
  given = config_json
  model_type = given.get('model_type')
  classes = given.get('architectures') or []
  if model_type in _NESTED:
    inner, outer_class = _NESTED[model_type]
    by_class = {outer_class: by_type[inner]}
    text = given.get('text_config')
    if not isinstance(text, Mapping):
      raise schema.ConfigError(
        f'config.json: text_config: {text!r}, expected a mapping'
      )
    # Whether the head is tied is said outside, if anywhere.
    tied = {k: v for k, v in given.items() if k == 'tie_word_embeddings'}
    given, model_type = {**text, **tied}, inner
  elif model_type is None and classes:
    model_type = (
      by_class[classes[0]].model_type
      if (classes[0] in by_class)
      else classes[0]
    )
  if model_type not in by_type:
    known = sorted({*by_type, *_NESTED})
    raise schema.ConfigError(
      f'config.json: model_type: {model_type!r} is not a family that is '
      f'supported{schema.suggest(model_type, known)}; supported: '
      f'{", ".join(known)}'
    )
  found = by_type[model_type]
  for name in classes:
    if by_class.get(name) is not found:
      raise schema.ConfigError(
        f'config.json: architectures: {name!r}, expected '
        f'{[k for k, f in by_class.items() if f is found]} for {found.title}'
      )
  return found, given


def _read_layers(
  keys: Keys, found: Family, sizes: Mapping[str, int]
) -> list[LayerConfig]:
  """Returns the kind of every layer."""
  n_layers = sizes['n_layers']
  rope_of = ropes.read(keys, found, sizes['context_length'])
  kinds = keys.raw('layer_types')
  if kinds is None:
    every = found.full_every
    if every and keys.has('sliding_window_pattern'):
      every = keys.positive('sliding_window_pattern', int)
    kinds = [
      SLIDING if every and (n + 1) % every else FULL for n in range(n_layers)
    ]
  allowed = (FULL, SLIDING) if found.full_every else (FULL,)
  _one_for_each_layer(kinds, n_layers, allowed, 'layer_types')
  roped = [1] * n_layers
  if found.has_nope:
    roped = keys.raw('no_rope_layers')
    if roped is None:
      every = keys.positive('no_rope_layer_interval', int)
      roped = [int((n + 1) % every != 0) for n in range(n_layers)]
    _one_for_each_layer(roped, n_layers, (0, 1), 'no_rope_layers')
  window = keys.get('sliding_window', int) if SLIDING in kinds else None
  return [
    LayerConfig(
      window=window if kind == SLIDING else None,
      rope=rope_of[kind] if has_rope else None,
    )
    for kind, has_rope in zip(kinds, roped, strict=True)
  ]


def _one_for_each_layer(
  values: Any, n_layers: int, allowed: tuple[Any, ...], key: str
) -> None:
  if not isinstance(values, Sequence) or len(values) != n_layers:
    raise schema.ConfigError(
      f'config.json: {key}: {values!r}, expected a list of '
      f'num_hidden_layers = {n_layers} entries'
    )
  for n, value in enumerate(values):
    schema.one_of(value, allowed, f'config.json: {key}[{n}]')


def _repeating(kinds: Sequence[LayerConfig]) -> tuple[LayerConfig, ...]:
  """Returns the shortest pattern whose repetition gives these layers."""
  n = len(kinds)
  for size in range(1, n):
    if all(kinds[i] == kinds[i % size] for i in range(n)):
      return tuple(kinds[:size])
  return tuple(kinds)


def _read_query_scale(keys: Keys, found: Family, head_dim: int) -> float | None:
  if found.query_scale_key is None:
    return None
  value = keys.positive(found.query_scale_key, float)
  if found.query_scale_key == 'query_pre_attn_scalar':
    value = value**-0.5
  return None if value == head_dim**-0.5 else value


def _read_embedding_scale(keys: Keys, found: Family, d_model: int) -> bool:
  if found.scales_embeddings is not None:
    return found.scales_embeddings
  value = keys.get('embedding_multiplier', float)
  if value in (1.0, d_model**0.5):
    return value != 1.0
  raise schema.ConfigError(
    f'config.json: embedding_multiplier: {value!r} is not supported; expected '
    f'1.0 or sqrt(hidden_size) = {d_model**0.5!r}'
  )
