"""What distinguishes the published families, as data.

A family is what a `model_type` of `transformers` computes: `fixed` is what its
code does whatever the config says, `defaults` what its config class takes for
keys that a file leaves out, `required` the values without which our decoder
would compute something else.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

FULL = 'full_attention'
SLIDING = 'sliding_attention'

ACTIVATIONS = {'silu': 'silu', 'gelu_pytorch_tanh': 'gelu_tanh'}
"""Names of activations in config.json, and ours."""


@dataclasses.dataclass(frozen=True)
class Family:
  """One `model_type`.

  Attributes:
    name: What we call it.
    title: What its makers call it.
    model_type: Of the config.json that we write.
    architecture: Its class with a language-model head.
    fixed: Fields of `DecoderConfig` that its code fixes.
    defaults: Keys that a config.json may leave out, and what they then are.
    required: Keys, and the values that we can express; null is no value.
    activation_key: Where the activation is named.
    scales_embeddings: Whether it does; None if its config says.
    ropes_by_kind: Whether sliding and full layers have RoPEs of their own.
    full_every: Every so many layers see all tokens, the others a window; 0 is
      every layer.
    has_nope: Whether some layers have no RoPE.
    query_scale_key: Where the scale of the scores is; None has none.
    whole_heads: Whether its config class wants a width that is a multiple of
      the query heads.
    softcap_keys: Keys of `attention_softcap` and `final_softcap`, if it has
      any.
  """

  name: str
  title: str
  model_type: str
  architecture: str
  fixed: Mapping[str, Any]
  defaults: Mapping[str, Any]
  required: Mapping[str, tuple[Any, ...]]
  activation_key: str = 'hidden_act'
  scales_embeddings: bool | None = False
  ropes_by_kind: bool = False
  full_every: int = 0
  has_nope: bool = False
  query_scale_key: str | None = None
  whole_heads: bool = False
  softcap_keys: Mapping[str, str] = dataclasses.field(default_factory=dict)


_FIXED: dict[str, Any] = {
  'norm': 'pre',
  'norm_plus_one': False,
  'qk_norm': 'none',
  'qkv_bias': False,
}

_DEFAULTS: dict[str, Any] = {
  'vocab_size': 32000,
  'hidden_size': 4096,
  'intermediate_size': 11008,
  'num_hidden_layers': 32,
  'num_attention_heads': 32,
  'num_key_value_heads': None,  # as many as query heads
  'head_dim': None,  # hidden_size / num_attention_heads
  'hidden_act': 'silu',
  'max_position_embeddings': 2048,
  'rms_norm_eps': 1e-6,
  'tie_word_embeddings': False,
  'rope_theta': 10_000.0,
}

_QWEN_DEFAULTS = _DEFAULTS | {
  'vocab_size': 151936,
  'intermediate_size': 22016,
  'num_key_value_heads': 32,
  'max_position_embeddings': 32768,
}

_GEMMA_DEFAULTS = {
  'vocab_size': 256000,
  'hidden_size': 2304,
  'intermediate_size': 9216,
  'num_hidden_layers': 26,
  'num_attention_heads': 8,
  'num_key_value_heads': 4,
  'head_dim': 256,
  'hidden_activation': 'gelu_pytorch_tanh',
  'max_position_embeddings': 8192,
  'rms_norm_eps': 1e-6,
  'tie_word_embeddings': True,
  'query_pre_attn_scalar': 256,
  'sliding_window': 4096,
  'final_logit_softcapping': None,
  'attn_logit_softcapping': None,
}

_OLMO_DEFAULTS = _DEFAULTS | {
  'vocab_size': 50304,
  'rms_norm_eps': 1e-5,
}

_REQUIRED: dict[str, tuple[Any, ...]] = {
  # Where a family has it, it biases the output projection too.
  'attention_bias': (False,),
  'attention_dropout': (0,),
  'num_experts': (0,),
  'num_local_experts': (0,),
  # `transformers` prefers it to that of RoPE.
  'original_max_position_embeddings': (),
  'partial_rotary_factor': (1,),
  'quantization_config': (),
}

_GEMMA_FIXED = _FIXED | {
  'norm': 'sandwich',
  'norm_plus_one': True,
}
_GEMMA_REQUIRED = _REQUIRED | {'use_bidirectional_attention': (False,)}

# Granite comes last: it can express what Llama can, and more.
FAMILIES: dict[str, Family] = {
  f.name: f
  for f in (
    Family(
      name='llama',
      title='Llama 3.x',
      model_type='llama',
      architecture='LlamaForCausalLM',
      fixed=_FIXED,
      defaults=_DEFAULTS,
      required=_REQUIRED | {'mlp_bias': (False,)},
      whole_heads=True,
    ),
    Family(
      name='qwen2',
      title='Qwen2.5',
      model_type='qwen2',
      architecture='Qwen2ForCausalLM',
      fixed=_FIXED | {'qkv_bias': True},
      defaults=_QWEN_DEFAULTS,
      # Its biases do not depend on `attention_bias`.
      required={k: v for k, v in _REQUIRED.items() if k != 'attention_bias'}
      | {'use_sliding_window': (False,)},
    ),
    Family(
      name='qwen3',
      title='Qwen3',
      model_type='qwen3',
      architecture='Qwen3ForCausalLM',
      fixed=_FIXED | {'qk_norm': 'head'},
      defaults=_QWEN_DEFAULTS | {'head_dim': 128},
      required=_REQUIRED | {'use_sliding_window': (False,)},
    ),
    Family(
      name='gemma2',
      title='Gemma 2',
      model_type='gemma2',
      architecture='Gemma2ForCausalLM',
      fixed=_GEMMA_FIXED,
      defaults=_GEMMA_DEFAULTS
      | {
        'rope_theta': 10_000.0,
        'final_logit_softcapping': 30.0,
        'attn_logit_softcapping': 50.0,
      },
      required=_GEMMA_REQUIRED,
      activation_key='hidden_activation',
      scales_embeddings=True,
      full_every=2,
      query_scale_key='query_pre_attn_scalar',
      whole_heads=True,
      softcap_keys={
        'attention_softcap': 'attn_logit_softcapping',
        'final_softcap': 'final_logit_softcapping',
      },
    ),
    Family(
      name='gemma3',
      title='Gemma 3 (text)',
      model_type='gemma3_text',
      architecture='Gemma3ForCausalLM',
      fixed=_GEMMA_FIXED | {'qk_norm': 'head'},
      defaults=_GEMMA_DEFAULTS
      | {
        'vocab_size': 262208,
        'max_position_embeddings': 131072,
        'rope_theta': 1_000_000.0,
        'rope_local_base_freq': 10_000.0,
      },
      # Its code reads the cap of the scores and does not apply it.
      required=_GEMMA_REQUIRED | {'attn_logit_softcapping': ()},
      activation_key='hidden_activation',
      scales_embeddings=True,
      ropes_by_kind=True,
      full_every=6,
      query_scale_key='query_pre_attn_scalar',
      whole_heads=True,
      softcap_keys={'final_softcap': 'final_logit_softcapping'},
    ),
    Family(
      name='olmo2',
      title='OLMo 2',
      model_type='olmo2',
      architecture='Olmo2ForCausalLM',
      fixed=_FIXED | {'norm': 'post', 'qk_norm': 'full'},
      defaults=_OLMO_DEFAULTS,
      required=_REQUIRED,
    ),
    Family(
      name='olmo3',
      title='OLMo 3',
      model_type='olmo3',
      architecture='Olmo3ForCausalLM',
      fixed=_FIXED | {'norm': 'post', 'qk_norm': 'full'},
      defaults=_OLMO_DEFAULTS
      | {'rope_theta': 500_000.0, 'sliding_window': 4096},
      required=_REQUIRED,
      ropes_by_kind=True,
      full_every=4,
    ),
    Family(
      name='smollm3',
      title='SmolLM3',
      model_type='smollm3',
      architecture='SmolLM3ForCausalLM',
      fixed=_FIXED,
      defaults=_DEFAULTS
      | {
        'vocab_size': 128256,
        'hidden_size': 2048,
        'num_hidden_layers': 36,
        'num_attention_heads': 16,
        'num_key_value_heads': 4,
        'max_position_embeddings': 32768,
        'tie_word_embeddings': True,
        'rope_theta': 2_000_000.0,
        'no_rope_layer_interval': 4,
      },
      required=_REQUIRED
      | {'mlp_bias': (False,), 'use_sliding_window': (False,)},
      has_nope=True,
    ),
    Family(
      name='granite',
      title='Granite 3',
      model_type='granite',
      architecture='GraniteForCausalLM',
      fixed=_FIXED,
      scales_embeddings=None,
      defaults=_DEFAULTS
      | {'embedding_multiplier': 1.0, 'attention_multiplier': 1.0},
      required=_REQUIRED
      | {
        'mlp_bias': (False,),
        'residual_multiplier': (1,),
        'logits_scaling': (1,),
      },
      query_scale_key='attention_multiplier',
    ),
  )
}
