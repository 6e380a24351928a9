"""The decoder's architecture as data."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
  """Architecture of a decoder-only transformer.

  Attributes:
    vocab_size: Rows of the embedding; the tokenizer's `vocab_size`.
    d_model: Width of the residual stream, `D`.
    n_layers: Number of blocks, `N`.
    n_heads: Query heads, `H`.
    n_kv_heads: Key and value heads, `K`; divides `n_heads`.
    head_dim: Size of one head, `C`; even, for RoPE.
    d_ff: Width of the gated MLP, `F`.
    rope_theta: Base of the rotary frequencies.
    norm_eps: Added to the mean square in RMSNorm.
    tied_embeddings: Whether the output head is the transposed embedding.
    dtype: Of activations and matrix products, e.g. `'bfloat16'`.
    param_dtype: Of the stored parameters.
    remat: Rematerialisation of each block: a key of
      `msm_jax.models.decoder.REMAT_POLICIES`.
    attention: A key of `msm_jax.models.attention.KERNELS`.
  """

  vocab_size: int
  d_model: int
  n_layers: int
  n_heads: int
  n_kv_heads: int
  head_dim: int
  d_ff: int
  rope_theta: float = 10_000.0
  norm_eps: float = 1e-6
  tied_embeddings: bool = True
  dtype: str = 'float32'
  param_dtype: str = 'float32'
  remat: str = 'none'
  attention: str = 'reference'

  def __post_init__(self):
    for name in (
      'vocab_size',
      'd_model',
      'n_layers',
      'n_heads',
      'n_kv_heads',
      'head_dim',
      'd_ff',
    ):
      value = getattr(self, name)
      if value < 1:
        raise ValueError(f'model.{name}: {value}, expected at least 1')
    if self.n_heads % self.n_kv_heads:
      raise ValueError(
        f'model.n_kv_heads: {self.n_kv_heads} does not divide '
        f'n_heads = {self.n_heads}'
      )
    if self.head_dim % 2:
      raise ValueError(
        f'model.head_dim: {self.head_dim} is odd; RoPE rotates pairs'
      )
