"""The decoder's architecture as data.

Everything in which published families differ is a field here; the forward pass
knows no family. `msm_jax.models.presets` names published settings.
"""

import dataclasses

from msm_jax import schema

ROPE_SCALINGS = ('none', 'linear', 'llama3', 'yarn')
NORMS = ('pre', 'post', 'sandwich')
QK_NORMS = ('none', 'head', 'full')
ACTIVATIONS = ('silu', 'gelu_tanh')
DTYPES = ('float32', 'bfloat16', 'float16', 'float64')


def _at_least_one(owner: object, names: tuple[str, ...], where: str) -> None:
  for name in names:
    value = getattr(owner, name)
    if value < 1:
      raise ValueError(f'{where}{name}: {value}, expected at least 1')


@dataclasses.dataclass(frozen=True)
class RopeConfig:
  """Rotary position embedding (Su et al., arXiv 2104.09864) and its scaling.

  Attributes:
    theta: Base of the frequencies.
    scaling: `'none'`; `'linear'` divides positions by `factor` (Chen et al.,
      arXiv 2306.15595); `'llama3'` divides low frequencies only (Llama 3.1,
      arXiv 2407.21783); `'yarn'` (Peng et al., arXiv 2309.00071).
    factor: How many times `original_length` the context shall be.
    original_length: Context of the pretraining, for `'llama3'` and `'yarn'`.
    low_freq_factor: Of `'llama3'`: wavelengths above `original_length` / this
      are scaled fully.
    high_freq_factor: Of `'llama3'`: wavelengths below `original_length` / this
      are not scaled.
    beta_fast: Of `'yarn'`: rotations over the original context from which on a
      frequency is not scaled.
    beta_slow: Of `'yarn'`: rotations up to which it is scaled fully.
    attention_factor: Of `'yarn'`: what sines and cosines are multiplied by;
      None is `0.1 · ln(factor) + 1`.
    truncate: Of `'yarn'`: whether the ramp begins and ends at whole indices.
  """

  theta: float = 10_000.0
  scaling: str = 'none'
  factor: float = 1.0
  original_length: int = 0
  low_freq_factor: float = 1.0
  high_freq_factor: float = 4.0
  beta_fast: float = 32.0
  beta_slow: float = 1.0
  attention_factor: float | None = None
  truncate: bool = True

  def __post_init__(self):
    schema.one_of(self.scaling, ROPE_SCALINGS, 'rope.scaling')
    if not self.theta > 0:
      raise ValueError(f'rope.theta: {self.theta}, expected > 0')
    if self.scaling == 'none':
      return
    if not self.factor >= 1:
      raise ValueError(f'rope.factor: {self.factor}, expected >= 1')
    if self.scaling != 'linear' and self.original_length < 1:
      raise ValueError(
        f'rope.original_length: {self.original_length}; {self.scaling!r} needs '
        'the context length of the pretraining'
      )
    if self.scaling == 'llama3' and not (
      self.low_freq_factor < self.high_freq_factor
    ):
      raise ValueError(
        f'rope.high_freq_factor: {self.high_freq_factor}, expected more than '
        f'low_freq_factor = {self.low_freq_factor}'
      )


@dataclasses.dataclass(frozen=True)
class LayerConfig:
  """In what one layer differs from another.

  Attributes:
    window: How many tokens a query sees, itself included; None sees all.
    rope: Position embedding; None has none (NoPE; Kazemnejad et al., arXiv
      2305.19466).
  """

  window: int | None = None
  rope: RopeConfig | None = RopeConfig()

  def __post_init__(self):
    if self.window is not None:
      _at_least_one(self, ('window',), 'pattern.')


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
  """Architecture of a decoder-only transformer.

  Attributes:
    vocab_size: Rows of the embedding; the tokenizer's `vocab_size` or more.
    d_model: Width of the residual stream, `D`.
    n_layers: Number of blocks, `N`.
    n_heads: Query heads, `H`.
    n_kv_heads: Key and value heads, `K`; divides `n_heads`.
    head_dim: Size of one head, `C`; even, for RoPE.
    d_ff: Width of the gated MLP, `F`.
    pattern: Kinds of layers, repeated over the depth: layer `n` is of kind
      `pattern[n % len(pattern)]`. A depth that is no multiple ends early.
    context_length: Positions that the model was made for; longer sequences are
      computed all the same.
    norm_eps: Added to the mean square in RMSNorm.
    norm: Where a block normalises: `'pre'` the input of attention and MLP
      (Llama), `'post'` their output (OLMo 2), `'sandwich'` both (Gemma 2).
    norm_plus_one: Whether norms multiply by `1 + scale` (Gemma).
    qk_norm: RMSNorm of queries and keys before RoPE: `'head'` over each head
      (Qwen3, Gemma 3), `'full'` over all heads together (OLMo 2).
    qkv_bias: Whether query, key and value projections have a bias (Qwen2.5).
    attention_softcap: `s` → `cap · tanh(s / cap)` of the scores (Gemma 2).
    final_softcap: The same of the logits.
    query_scale: What scores are multiplied by; None is `head_dim ** -0.5`.
    scale_embeddings: Whether embeddings are multiplied by `sqrt(d_model)`.
    activation: Of the MLP's gate: `'silu'` (SwiGLU) or `'gelu_tanh'` (GeGLU).
    tied_embeddings: Whether the output head is the transposed embedding.
    dtype: Of activations and matrix products; one of `DTYPES`.
    param_dtype: Of the stored parameters; one of `DTYPES`.
    remat: Rematerialisation of each block: a key of
      `msm_jax.models.remat.REMAT_POLICIES`.
    remat_save: Which of `msm_jax.models.remat.NAMES` are kept for the backward
      pass beside what `'full'` keeps.
    remat_offload: The same, in the memory of the host.
    attention: One of `msm_jax.models.kernels.KERNELS`.
  """

  vocab_size: int
  d_model: int
  n_layers: int
  n_heads: int
  n_kv_heads: int
  head_dim: int
  d_ff: int
  pattern: tuple[LayerConfig, ...] = (LayerConfig(),)
  context_length: int = 2048
  norm_eps: float = 1e-6
  norm: str = 'pre'
  norm_plus_one: bool = False
  qk_norm: str = 'none'
  qkv_bias: bool = False
  attention_softcap: float | None = None
  final_softcap: float | None = None
  query_scale: float | None = None
  scale_embeddings: bool = True
  activation: str = 'silu'
  tied_embeddings: bool = True
  dtype: str = 'float32'
  param_dtype: str = 'float32'
  remat: str = 'none'
  remat_save: tuple[str, ...] = ()
  remat_offload: tuple[str, ...] = ()
  attention: str = 'reference'

  def __post_init__(self):
    _at_least_one(
      self,
      (
        'vocab_size',
        'd_model',
        'n_layers',
        'n_heads',
        'n_kv_heads',
        'head_dim',
        'd_ff',
        'context_length',
      ),
      'model.',
    )
    if self.n_heads % self.n_kv_heads:
      raise ValueError(
        f'model.n_kv_heads: {self.n_kv_heads} does not divide '
        f'n_heads = {self.n_heads}'
      )
    if self.head_dim % 2:
      raise ValueError(
        f'model.head_dim: {self.head_dim} is odd; RoPE rotates pairs'
      )
    if not self.pattern:
      raise ValueError('model.pattern: is empty, expected at least one kind')
    schema.one_of(self.norm, NORMS, 'model.norm')
    schema.one_of(self.qk_norm, QK_NORMS, 'model.qk_norm')
    schema.one_of(self.activation, ACTIVATIONS, 'model.activation')
    for name in ('dtype', 'param_dtype'):
      schema.one_of(getattr(self, name), DTYPES, f'model.{name}')
    if not self.norm_eps > 0:
      raise ValueError(f'model.norm_eps: {self.norm_eps}, expected > 0')
    for name in ('attention_softcap', 'final_softcap', 'query_scale'):
      value = getattr(self, name)
      if value is not None and not value > 0:
        raise ValueError(f'model.{name}: {value}, expected > 0 or None')

  @property
  def n_grouped_layers(self) -> int:
    """How many layers fill whole repetitions of the pattern."""
    return self.n_layers - self.n_layers % len(self.pattern)

  def layer(self, n: int) -> LayerConfig:
    """Returns the kind of layer `n`, counted from 0."""
    return self.pattern[n % len(self.pattern)]
