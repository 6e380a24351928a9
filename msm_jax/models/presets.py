"""Published sizes by name: `presets.get('Llama-3.2-1B').config`.

Architectures are those of each base model's config.json on the Hub; tuned
models may differ in context length and `norm_eps` (Qwen2.5-32B-Instruct does):
`msm_jax.models.huggingface.read_config` reads theirs. `n_params` is the number
that the Hub shows for the weights ("safetensors", parameters), with these
exceptions: a tied head that Qwen3-0.6B, 1.7B store twice counts once, and of
Gemma 3 4B, 12B, 27B only the text model counts (technical report, arXiv
2503.19786, table 1; 64 rows more for image tokens in the embedding).
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
from typing import Any

from msm_jax import schema
from msm_jax.models.config import DecoderConfig
from msm_jax.models.config import LayerConfig
from msm_jax.models.config import RopeConfig


@dataclasses.dataclass(frozen=True)
class Preset:
  """A published model.

  Attributes:
    repository: Of the base model on the Hub.
    family: A key of `msm_jax.models.huggingface.FAMILIES`.
    config: Its architecture.
    n_params: How many parameters its makers published.
  """

  repository: str
  family: str
  config: DecoderConfig
  n_params: int


# Name, parameters, what its family's function wants to know, and then width,
# MLP, layers, heads, key/value heads, head size.
_LLAMA = (
  ('Llama-3.2-1B', 1_235_814_400, 32.0, 2048, 8192, 16, 32, 8, 64),
  ('Llama-3.2-3B', 3_212_749_824, 32.0, 3072, 8192, 28, 24, 8, 128),
  ('Llama-3.1-8B', 8_030_261_248, 8.0, 4096, 14336, 32, 32, 8, 128),
  ('Llama-3.1-70B', 70_553_706_496, 8.0, 8192, 28672, 80, 64, 8, 128),
)
_QWEN2 = (
  ('Qwen2.5-0.5B', 494_032_768, 32768, 1e-6, 896, 4864, 24, 14, 2, 64),
  ('Qwen2.5-1.5B', 1_543_714_304, 131072, 1e-6, 1536, 8960, 28, 12, 2, 128),
  ('Qwen2.5-3B', 3_085_938_688, 32768, 1e-6, 2048, 11008, 36, 16, 2, 128),
  ('Qwen2.5-7B', 7_615_616_512, 131072, 1e-6, 3584, 18944, 28, 28, 4, 128),
  ('Qwen2.5-14B', 14_770_033_664, 131072, 1e-5, 5120, 13824, 48, 40, 8, 128),
  ('Qwen2.5-32B', 32_763_876_352, 131072, 1e-5, 5120, 27648, 64, 40, 8, 128),
  ('Qwen2.5-72B', 72_706_203_648, 131072, 1e-5, 8192, 29568, 80, 64, 8, 128),
)
_QWEN3 = (
  ('Qwen3-0.6B', 596_049_920, True, 1024, 3072, 28, 16, 8, 128),
  ('Qwen3-1.7B', 1_720_574_976, True, 2048, 6144, 28, 16, 8, 128),
  ('Qwen3-4B', 4_022_468_096, True, 2560, 9728, 36, 32, 8, 128),
  ('Qwen3-8B', 8_190_735_360, False, 4096, 12288, 36, 32, 8, 128),
  ('Qwen3-14B', 14_768_307_200, False, 5120, 17408, 40, 40, 8, 128),
  ('Qwen3-32B', 32_762_123_264, False, 5120, 25600, 64, 64, 8, 128),
)
_GEMMA2 = (
  ('Gemma-2-2B', 2_614_341_888, 256, 2304, 9216, 26, 8, 4, 256),
  ('Gemma-2-9B', 9_241_705_984, 256, 3584, 14336, 42, 16, 8, 256),
  ('Gemma-2-27B', 27_227_128_320, 144, 4608, 36864, 46, 32, 16, 128),
)
_GEMMA3 = (
  ('Gemma-3-270M', 268_098_176, False, 256, 640, 2048, 18, 4, 1, 256),
  ('Gemma-3-1B', 999_885_952, False, 256, 1152, 6912, 26, 4, 1, 256),
  ('Gemma-3-4B', 3_880_263_168, True, 256, 2560, 10240, 34, 8, 4, 256),
  ('Gemma-3-12B', 11_766_034_176, True, 256, 3840, 15360, 48, 16, 8, 256),
  ('Gemma-3-27B', 27_009_346_304, True, 168, 5376, 21504, 62, 32, 16, 128),
)
_OLMO2 = (
  ('OLMo-2-1B', 1_484_916_736, '0425', 2048, 8192, 16, 16, 16, 128),
  ('OLMo-2-7B', 7_298_617_344, '1124', 4096, 11008, 32, 32, 32, 128),
  ('OLMo-2-13B', 13_716_198_400, '1124', 5120, 13824, 40, 40, 40, 128),
  ('OLMo-2-32B', 32_234_279_936, '0325', 5120, 27648, 64, 40, 8, 128),
)
_OLMO3 = (
  ('OLMo-3-7B', 7_298_011_136, '1025', 4096, 11008, 32, 32, 32, 128),
  ('OLMo-3-32B', 32_233_522_176, '1125', 5120, 27648, 64, 40, 8, 128),
)
_SMOLLM3 = (('SmolLM3-3B', 3_075_098_624, 2048, 11008, 36, 16, 4, 128),)


def _config(
  vocab_size: int, sizes: tuple[int, ...], **fields: Any
) -> DecoderConfig:
  """Returns a config of a row's sizes, by default with a head of its own."""
  names = ('d_model', 'd_ff', 'n_layers', 'n_heads', 'n_kv_heads', 'head_dim')
  values: dict[str, Any] = dict(zip(names, sizes, strict=True))
  values |= {'scale_embeddings': False, 'tied_embeddings': False}
  return DecoderConfig(vocab_size, **values | fields)


def _roped(theta: float, *scaling: Any, **fields: Any) -> LayerConfig:
  return LayerConfig(rope=RopeConfig(theta, *scaling, **fields))


def _llama(name: str, n_params: int, factor: float, *sizes: int) -> Preset:
  config = _config(
    128256,
    sizes,
    pattern=(_roped(500_000.0, 'llama3', factor, original_length=8192),),
    context_length=131072,
    norm_eps=1e-5,
    tied_embeddings=name.startswith('Llama-3.2'),
  )
  return Preset(f'meta-llama/{name}', 'llama', config, n_params)


def _qwen2(
  name: str, n_params: int, context: int, norm_eps: float, *sizes: int
) -> Preset:
  small = sizes[0] <= 2048
  config = _config(
    151936 if small else 152064,
    sizes,
    pattern=(_roped(1_000_000.0),),
    context_length=context,
    norm_eps=norm_eps,
    qkv_bias=True,
    tied_embeddings=small,
  )
  return Preset(f'Qwen/{name}', 'qwen2', config, n_params)


def _qwen3(name: str, n_params: int, tied: bool, *sizes: int) -> Preset:
  # Of the largest, only the tuned model was published.
  is_base = name != 'Qwen3-32B'
  config = _config(
    151936,
    sizes,
    pattern=(_roped(1_000_000.0),),
    context_length=32768 if is_base else 40960,
    qk_norm='head',
    tied_embeddings=tied,
  )
  repository = f'Qwen/{name}-Base' if is_base else f'Qwen/{name}'
  return Preset(repository, 'qwen3', config, n_params)


def _gemma(
  vocab_size: int, scalar: int, sizes: tuple[int, ...], **fields: Any
) -> DecoderConfig:
  """Returns what Gemma 2 and 3 share; scores are divided by sqrt(scalar)."""
  return _config(
    vocab_size,
    sizes,
    norm='sandwich',
    norm_plus_one=True,
    query_scale=None if scalar == sizes[-1] else scalar**-0.5,
    scale_embeddings=True,
    activation='gelu_tanh',
    tied_embeddings=True,
    **fields,
  )


def _gemma2(name: str, n_params: int, scalar: int, *sizes: int) -> Preset:
  config = _gemma(
    256000,
    scalar,
    sizes,
    pattern=(LayerConfig(window=4096), LayerConfig()),
    context_length=8192,
    attention_softcap=50.0,
    final_softcap=30.0,
  )
  return Preset(f'google/{name.lower()}', 'gemma2', config, n_params)


def _gemma3(
  name: str, n_params: int, with_vision: bool, scalar: int, *sizes: int
) -> Preset:
  """Those with vision have 64 more rows, and a context stretched fourfold."""
  near = LayerConfig(window=1024 if with_vision else 512)
  scaling = ('linear', 8.0) if with_vision else ()
  config = _gemma(
    262208 if with_vision else 262144,
    scalar,
    sizes,
    pattern=(near,) * 5 + (_roped(1_000_000.0, *scaling),),
    context_length=131072 if with_vision else 32768,
    qk_norm='head',
  )
  repository = f'google/{name.lower()}'
  if not name.endswith('270M'):
    repository += '-pt'
  return Preset(repository, 'gemma3', config, n_params)


def _olmo2(name: str, n_params: int, month: str, *sizes: int) -> Preset:
  config = _config(
    100352,
    sizes,
    pattern=(_roped(500_000.0),),
    context_length=4096,
    norm='post',
    qk_norm='full',
  )
  repository = f'allenai/OLMo-2-{month}-{name.removeprefix("OLMo-2-")}'
  return Preset(repository, 'olmo2', config, n_params)


def _olmo3(name: str, n_params: int, month: str, *sizes: int) -> Preset:
  near = LayerConfig(window=4096, rope=RopeConfig(500_000.0))
  full = _roped(500_000.0, 'yarn', 8.0, original_length=8192)
  config = _config(
    100278,
    sizes,
    pattern=(near, near, near, full),
    context_length=65536,
    norm='post',
    qk_norm='full',
  )
  repository = f'allenai/Olmo-3-{month}-{name.removeprefix("OLMo-3-")}'
  return Preset(repository, 'olmo3', config, n_params)


def _smollm3(name: str, n_params: int, *sizes: int) -> Preset:
  config = _config(
    128256,
    sizes,
    pattern=(_roped(5_000_000.0),) * 3 + (LayerConfig(rope=None),),
    context_length=65536,
    tied_embeddings=True,
  )
  return Preset(f'HuggingFaceTB/{name}-Base', 'smollm3', config, n_params)


_TABLES: tuple[tuple[Callable[..., Preset], Sequence[tuple]], ...] = (
  (_llama, _LLAMA),
  (_qwen2, _QWEN2),
  (_qwen3, _QWEN3),
  (_gemma2, _GEMMA2),
  (_gemma3, _GEMMA3),
  (_olmo2, _OLMO2),
  (_olmo3, _OLMO3),
  (_smollm3, _SMOLLM3),
)
PRESETS: dict[str, Preset] = {
  row[0]: preset(*row) for preset, rows in _TABLES for row in rows
}


def get(name: str) -> Preset:
  """Returns the preset called `name`.

  Raises:
    ConfigError: If there is none, with the nearest.
  """
  schema.one_of(name, list(PRESETS), 'preset')
  return PRESETS[name]
