"""One decoder: RMSNorm, RoPE, grouped-query attention, gated MLP.

The modules are Flax NNX; `split` takes a model apart once, and from there on it
is a pure function of a plain dict of arrays. The blocks' parameters are stacked
along a leading axis `N` and scanned over.

Shapes: `B` batch, `T` sequence, `D` model width, `F` feed-forward, `H` query
heads, `K` key/value heads, `C` head size, `V` vocabulary, `N` layers.
"""

from collections.abc import Callable
import functools
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp

from msm_jax.models import attention
from msm_jax.models.config import DecoderConfig

Params = dict[str, Any]

# What a block keeps for the backward pass; everything else is recomputed.
REMAT_POLICIES: dict[str, Callable[..., Any] | None] = {
  'none': jax.checkpoint_policies.everything_saveable,
  'minimal': jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
  'full': jax.checkpoint_policies.nothing_saveable,
}


def rope(x_BTHC: jax.Array, positions_BT: jax.Array, theta: float) -> jax.Array:
  """Rotates pairs `(c, c + C/2)` of each head by its position.

  The half-split convention of GPT-NeoX and Llama's HF weights; Su et al.,
  "RoFormer", arXiv 2104.09864, eq. 34.
  """
  half = x_BTHC.shape[-1] // 2
  frequencies = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
  angles_BTc = jnp.einsum(
    'BT,c->BTc', positions_BT.astype(jnp.float32), frequencies
  )
  sin = jnp.sin(angles_BTc)[:, :, None, :]
  cos = jnp.cos(angles_BTc)[:, :, None, :]
  a, b = x_BTHC[..., :half], x_BTHC[..., half:]
  rotated = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
  return rotated.astype(x_BTHC.dtype)


def _normal(stddev: float) -> nnx.Initializer:
  return nnx.initializers.truncated_normal(stddev)


class RMSNorm(nnx.Module):
  """Zhang and Sennrich, arXiv 1910.07467; computed in float32."""

  def __init__(self, size: int, *, eps: float, param_dtype: Any):
    self.eps = eps
    self.scale = nnx.Param(jnp.ones((size,), param_dtype))

  def __call__(self, x: jax.Array) -> jax.Array:
    y = x.astype(jnp.float32)
    y = y * jax.lax.rsqrt(jnp.mean(y * y, axis=-1, keepdims=True) + self.eps)
    scale = self.scale[...].astype(jnp.float32)
    scale = scale.reshape((1,) * (y.ndim - 1) + scale.shape)
    return (y * scale).astype(x.dtype)


class Attention(nnx.Module):
  def __init__(self, c: DecoderConfig, *, rngs: nnx.Rngs):
    D, H, K, C = c.d_model, c.n_heads, c.n_kv_heads, c.head_dim
    dtype = jnp.dtype(c.param_dtype)
    init = _normal(D**-0.5)
    # Residual branches start small in depth (GPT-2, section 2.3).
    out_init = _normal((H * C) ** -0.5 * (2 * c.n_layers) ** -0.5)
    self.config = c
    self.q_DHC = nnx.Param(init(rngs.params(), (D, H, C), dtype))
    self.k_DKC = nnx.Param(init(rngs.params(), (D, K, C), dtype))
    self.v_DKC = nnx.Param(init(rngs.params(), (D, K, C), dtype))
    self.out_HCD = nnx.Param(out_init(rngs.params(), (H, C, D), dtype))

  def __call__(
    self,
    x_BTD: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
  ) -> jax.Array:
    c, dtype = self.config, x_BTD.dtype
    q_BTHC = jnp.einsum('BTD,DHC->BTHC', x_BTD, self.q_DHC[...].astype(dtype))
    k_BTKC = jnp.einsum('BTD,DKC->BTKC', x_BTD, self.k_DKC[...].astype(dtype))
    v_BTKC = jnp.einsum('BTD,DKC->BTKC', x_BTD, self.v_DKC[...].astype(dtype))
    q_BTHC = rope(q_BTHC, positions_BT, c.rope_theta)
    k_BTKC = rope(k_BTKC, positions_BT, c.rope_theta)
    mix = attention.kernel(c.attention)
    y_BTHC = mix(q_BTHC, k_BTKC, v_BTKC, segment_ids_BT)
    return jnp.einsum('BTHC,HCD->BTD', y_BTHC, self.out_HCD[...].astype(dtype))


class GatedMLP(nnx.Module):
  """SwiGLU; Shazeer, arXiv 2002.05202."""

  def __init__(self, c: DecoderConfig, *, rngs: nnx.Rngs):
    D, F = c.d_model, c.d_ff
    dtype = jnp.dtype(c.param_dtype)
    init = _normal(D**-0.5)
    out_init = _normal(F**-0.5 * (2 * c.n_layers) ** -0.5)
    self.gate_DF = nnx.Param(init(rngs.params(), (D, F), dtype))
    self.up_DF = nnx.Param(init(rngs.params(), (D, F), dtype))
    self.down_FD = nnx.Param(out_init(rngs.params(), (F, D), dtype))

  def __call__(self, x_BTD: jax.Array) -> jax.Array:
    dtype = x_BTD.dtype
    gate = jnp.einsum('BTD,DF->BTF', x_BTD, self.gate_DF[...].astype(dtype))
    up = jnp.einsum('BTD,DF->BTF', x_BTD, self.up_DF[...].astype(dtype))
    y_BTF = jax.nn.silu(gate) * up
    return jnp.einsum('BTF,FD->BTD', y_BTF, self.down_FD[...].astype(dtype))


class Block(nnx.Module):
  def __init__(self, c: DecoderConfig, *, rngs: nnx.Rngs):
    dtype = jnp.dtype(c.param_dtype)
    norm = functools.partial(RMSNorm, eps=c.norm_eps, param_dtype=dtype)
    self.attention_norm = norm(c.d_model)
    self.attention = Attention(c, rngs=rngs)
    self.mlp_norm = norm(c.d_model)
    self.mlp = GatedMLP(c, rngs=rngs)

  def __call__(
    self,
    x_BTD: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
  ) -> jax.Array:
    y_BTD = self.attention_norm(x_BTD)
    x_BTD = x_BTD + self.attention(y_BTD, segment_ids_BT, positions_BT)
    return x_BTD + self.mlp(self.mlp_norm(x_BTD))


class Decoder(nnx.Module):
  """Token ids to final hidden states; `head_DV` turns those into logits."""

  def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs):
    c = config
    if c.remat not in REMAT_POLICIES:
      raise ValueError(
        f'model.remat: {c.remat!r} is not a policy; expected one of '
        f'{sorted(REMAT_POLICIES)}'
      )
    attention.kernel(c.attention)
    dtype = jnp.dtype(c.param_dtype)
    V, D = c.vocab_size, c.d_model
    self.config = c
    self.embedding_VD = nnx.Param(
      _normal(D**-0.5)(rngs.params(), (V, D), dtype)
    )

    @nnx.split_rngs(splits=c.n_layers)
    @nnx.vmap(in_axes=0, out_axes=0)
    def stack(rngs: nnx.Rngs) -> Block:
      return Block(c, rngs=rngs)

    self.layers = stack(rngs)
    self.final_norm = RMSNorm(D, eps=c.norm_eps, param_dtype=dtype)
    if not c.tied_embeddings:
      self.untied_head_DV = nnx.Param(
        _normal(D**-0.5)(rngs.params(), (D, V), dtype)
      )

  def __call__(
    self,
    tokens_BT: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
  ) -> jax.Array:
    """Returns the normalised final hidden states `[B, T, D]`."""
    c = self.config
    # Unit variance at the input, as tied heads want a small embedding
    # (Gemma, arXiv 2403.08295).
    x_BTD = self.embedding_VD[...][tokens_BT].astype(c.dtype) * c.d_model**0.5
    graphdef, stacked = nnx.split(self.layers)

    def layer(x_BTD: jax.Array, state: Any) -> tuple[jax.Array, None]:
      block = nnx.merge(graphdef, state)
      return block(x_BTD, segment_ids_BT, positions_BT), None

    if c.remat != 'none':
      layer = jax.checkpoint(
        layer, policy=REMAT_POLICIES[c.remat], prevent_cse=False
      )
    x_BTD, _ = jax.lax.scan(layer, x_BTD, stacked)
    return self.final_norm(x_BTD)

  def head_DV(self) -> jax.Array:
    """The matrix from hidden states to logits, `[D, V]`, in compute dtype."""
    c = self.config
    if c.tied_embeddings:
      return self.embedding_VD[...].T.astype(c.dtype)
    return self.untied_head_DV[...].astype(c.dtype)


class Model:
  """A decoder taken apart: structure here, parameters in the caller's hands.

  Parameters are a plain nested dict of arrays, so that optimizers, shardings
  and checkpoints need to know nothing of Flax.
  """

  def __init__(self, config: DecoderConfig):
    self.config = config
    abstract = nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0)))
    self._graphdef, self._abstract_state = nnx.split(abstract, nnx.Param)

  def __eq__(self, other: object) -> bool:
    return isinstance(other, Model) and self.config == other.config

  def __hash__(self) -> int:
    return hash(self.config)

  def init(self, key: jax.Array) -> Params:
    """Returns new parameters; pure and jittable."""
    decoder = Decoder(self.config, rngs=nnx.Rngs(params=key))
    return nnx.to_pure_dict(nnx.state(decoder, nnx.Param))

  def abstract_params(self) -> Params:
    """Returns the tree of `jax.ShapeDtypeStruct` of the parameters."""
    return nnx.to_pure_dict(self._abstract_state)

  def bind(self, params: Params) -> Decoder:
    """Returns the module with these parameters; cheap, inside a trace only."""
    state = jax.tree.map(lambda x: x, self._abstract_state)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(self._graphdef, state)

  def hidden(
    self,
    params: Params,
    tokens_BT: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
  ) -> tuple[jax.Array, jax.Array]:
    """Returns final hidden states `[B, T, D]` and the head `[D, V]`."""
    decoder = self.bind(params)
    return decoder(tokens_BT, segment_ids_BT, positions_BT), decoder.head_DV()

  def logits(
    self,
    params: Params,
    tokens_BT: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
  ) -> jax.Array:
    """Returns logits `[B, T, V]` in float32; for sampling and tests.

    Training never builds them: see `msm_jax.training.loss`.
    """
    x_BTD, head_DV = self.hidden(
      params, tokens_BT, segment_ids_BT, positions_BT
    )
    return jnp.einsum(
      'BTD,DV->BTV', x_BTD, head_DV, preferred_element_type=jnp.float32
    )

  def n_params(self) -> int:
    """Number of parameters; a tied head counts once."""
    return sum(x.size for x in jax.tree.leaves(self.abstract_params()))
