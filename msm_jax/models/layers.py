"""What a decoder is built of: norms, projections, attention, MLP, the block.

Shapes: `B` batch, `T` sequence, `D` model width, `F` feed-forward, `H` query
heads, `K` key/value heads, `C` head size.
"""

from collections.abc import Callable
import functools
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp

from msm_jax.models import rope
from msm_jax.models.config import DecoderConfig
from msm_jax.models.config import LayerConfig
from msm_jax.models.layout import ALONE
from msm_jax.models.layout import Layout
from msm_jax.models.precision import wide
from msm_jax.models.projection import Projection
from msm_jax.models.remat import named

Mix = Callable[
  [LayerConfig, jax.Array, jax.Array, jax.Array, Any],
  tuple[jax.Array, Any],
]
"""`(kind, q_BTHC, k_BTKC, v_BTKC, state) -> (y_BTHC, new state)`.

How positions exchange information is the caller's: a kernel over a packed
sequence has no state, sampling's is the layer's KV cache.
"""

_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  'silu': jax.nn.silu,
  'gelu_tanh': functools.partial(jax.nn.gelu, approximate=True),
}


class RMSNorm(nnx.Module):
  """Zhang and Sennrich, arXiv 1910.07467; computed in `wide`."""

  def __init__(self, shape: tuple[int, ...], c: DecoderConfig):
    self.eps = c.norm_eps
    self.offset = 1.0 if c.norm_plus_one else 0.0
    dtype = jnp.dtype(c.param_dtype)
    self.scale = nnx.Param(jnp.full(shape, 1.0 - self.offset, dtype))

  def __call__(self, x: jax.Array) -> jax.Array:
    """Normalises over as many last axes as the scale has."""
    dtype = wide(x)
    scale = self.scale[...].astype(dtype)
    axes = tuple(range(-scale.ndim, 0))
    y = x.astype(dtype)
    y = y * jax.lax.rsqrt(jnp.mean(y * y, axis=axes, keepdims=True) + self.eps)
    scale = scale.reshape((1,) * (y.ndim - scale.ndim) + scale.shape)
    if self.offset:
      scale = scale + self.offset
    return (y * scale).astype(x.dtype)


class Attention(nnx.Module):
  """Grouped-query attention (Ainslie et al., arXiv 2305.13245)."""

  def __init__(self, c: DecoderConfig, *, rngs: nnx.Rngs):
    D, H, K, C = c.d_model, c.n_heads, c.n_kv_heads, c.head_dim
    into = functools.partial(
      Projection, c=c, stddev=D**-0.5, bias=c.qkv_bias, rngs=rngs
    )
    self.q = into('BTD,DHC->BTHC', (D, H, C))
    self.k = into('BTD,DKC->BTKC', (D, K, C))
    self.v = into('BTD,DKC->BTKC', (D, K, C))
    # Residual branches start small in depth (GPT-2, section 2.3).
    stddev = (H * C) ** -0.5 * (2 * c.n_layers) ** -0.5
    self.out = Projection(
      'BTHC,HCD->BTD', (H, C, D), c, stddev=stddev, rngs=rngs
    )

    def norm(n_heads: int) -> RMSNorm | None:
      shapes = {'head': (C,), 'full': (n_heads, C)}
      return RMSNorm(shapes[c.qk_norm], c) if c.qk_norm in shapes else None

    self.q_norm, self.k_norm = norm(H), norm(K)

  def __call__(
    self,
    x_BTD: jax.Array,
    positions_BT: jax.Array,
    kind: LayerConfig,
    mix: Mix,
    state: Any,
    layout: Layout,
  ) -> tuple[jax.Array, Any]:
    q_BTHC = self.q(x_BTD, layout)
    k_BTKC, v_BTKC = self.k(x_BTD, layout), self.v(x_BTD, layout)
    if self.q_norm is not None:
      q_BTHC = self.q_norm(q_BTHC)
    if self.k_norm is not None:
      k_BTKC = self.k_norm(k_BTKC)
    if kind.rope is not None:
      q_BTHC = rope.rotate(q_BTHC, positions_BT, kind.rope)
      k_BTKC = rope.rotate(k_BTKC, positions_BT, kind.rope)
    q_BTHC, k_BTKC = named(q_BTHC, 'query'), named(k_BTKC, 'key')
    v_BTKC = named(v_BTKC, 'value')
    y_BTHC, state = mix(kind, q_BTHC, k_BTKC, v_BTKC, state)
    return named(self.out(y_BTHC, layout), 'attention_out'), state


class GatedMLP(nnx.Module):
  """SwiGLU and GeGLU; Shazeer, arXiv 2002.05202."""

  def __init__(self, c: DecoderConfig, *, rngs: nnx.Rngs):
    D, F = c.d_model, c.d_ff
    into = functools.partial(Projection, c=c, stddev=D**-0.5, rngs=rngs)
    self.gate = into('BTD,DF->BTF', (D, F))
    self.up = into('BTD,DF->BTF', (D, F))
    stddev = F**-0.5 * (2 * c.n_layers) ** -0.5
    self.down = Projection('BTF,FD->BTD', (F, D), c, stddev=stddev, rngs=rngs)
    self.activation = c.activation

  def __call__(self, x_BTD: jax.Array, layout: Layout) -> jax.Array:
    gate_BTF = named(self.gate(x_BTD, layout), 'mlp_gate')
    # In the order for which budgets of large models were recorded.
    gate_BTF = _ACTIVATIONS[self.activation](gate_BTF)
    up_BTF = named(self.up(x_BTD, layout), 'mlp_up')
    return named(self.down(gate_BTF * up_BTF, layout), 'mlp_out')


class Block(nnx.Module):
  """Attention and MLP, each added to the residual stream."""

  def __init__(self, c: DecoderConfig, *, rngs: nnx.Rngs):
    pre, post = c.norm in ('pre', 'sandwich'), c.norm in ('post', 'sandwich')

    def norm(wanted: bool) -> RMSNorm | None:
      return RMSNorm((c.d_model,), c) if wanted else None

    self.attention_norm = norm(pre)
    self.attention = Attention(c, rngs=rngs)
    self.attention_post_norm = norm(post)
    self.mlp_norm = norm(pre)
    self.mlp = GatedMLP(c, rngs=rngs)
    self.mlp_post_norm = norm(post)

  def __call__(
    self,
    x_BTD: jax.Array,
    positions_BT: jax.Array,
    kind: LayerConfig,
    mix: Mix,
    state: Any,
    layout: Layout = ALONE,
  ) -> tuple[jax.Array, Any]:
    y_BTD = _maybe(self.attention_norm, x_BTD)
    y_BTD, state = self.attention(y_BTD, positions_BT, kind, mix, state, layout)
    x_BTD = x_BTD + _maybe(self.attention_post_norm, y_BTD)
    y_BTD = self.mlp(_maybe(self.mlp_norm, x_BTD), layout)
    return x_BTD + _maybe(self.mlp_post_norm, y_BTD), state


def _maybe(norm: RMSNorm | None, x: jax.Array) -> jax.Array:
  return x if norm is None else norm(x)
