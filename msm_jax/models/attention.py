"""Attention over packed sequences, by name.

Every kernel has the signature of `reference_attention` and is proven against
it. A query attends to the keys of its own segment at its own or an earlier
position; segment 0 is padding, whose output is not defined (but is finite).

Shapes: `B` batch, `T` sequence (`S` for keys), `H` query heads, `K` key/value
heads, `G = H / K`, `C` head size.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Kernel = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


def _attend(
  q_BTKGC: jax.Array,
  k_BSKC: jax.Array,
  v_BSKC: jax.Array,
  query_segments_BT: jax.Array,
  key_segments_BS: jax.Array,
  first: int,
) -> jax.Array:
  """Softmax attention of queries `first`, `first + 1`, … over keys 0, 1, …."""
  T, S, C = q_BTKGC.shape[1], k_BSKC.shape[1], q_BTKGC.shape[-1]
  scores_BKGTS = jnp.einsum(
    'BTKGC,BSKC->BKGTS', q_BTKGC, k_BSKC, preferred_element_type=jnp.float32
  ) * (C**-0.5)
  same_BTS = query_segments_BT[:, :, None] == key_segments_BS[:, None, :]
  causal_TS = first + jnp.arange(T)[:, None] >= jnp.arange(S)[None, :]
  mask_BTS = same_BTS & causal_TS[None]
  scores_BKGTS = jnp.where(
    mask_BTS[:, None, None], scores_BKGTS, jnp.finfo(jnp.float32).min
  )
  weights_BKGTS = jax.nn.softmax(scores_BKGTS, axis=-1).astype(v_BSKC.dtype)
  return jnp.einsum('BKGTS,BSKC->BTKGC', weights_BKGTS, v_BSKC)


def _grouped(q_BTHC: jax.Array, n_kv_heads: int) -> jax.Array:
  """`[B, T, H, C]` to `[B, T, K, G, C]`."""
  B, T, H, C = q_BTHC.shape
  return q_BTHC.reshape(B, T, n_kv_heads, H // n_kv_heads, C)


def reference_attention(
  q_BTHC: jax.Array,
  k_BTKC: jax.Array,
  v_BTKC: jax.Array,
  segment_ids_BT: jax.Array,
) -> jax.Array:
  """Softmax attention in plain `jnp`, scores and softmax in float32.

  Args:
    q_BTHC: Queries, scaled by `C ** -0.5` in here.
    k_BTKC: Keys; head `h` of the queries reads key head `h // (H // K)`.
    v_BTKC: Values.
    segment_ids_BT: int32; 0 is padding, each packed document has its own.

  Returns:
    `[B, T, H, C]` in the dtype of the values.
  """
  q_BTKGC = _grouped(q_BTHC, k_BTKC.shape[2])
  out_BTKGC = _attend(
    q_BTKGC, k_BTKC, v_BTKC, segment_ids_BT, segment_ids_BT, 0
  )
  return out_BTKGC.reshape(q_BTHC.shape)


def blocked_attention(
  q_BTHC: jax.Array,
  k_BTKC: jax.Array,
  v_BTKC: jax.Array,
  segment_ids_BT: jax.Array,
  *,
  block: int = 64,
) -> jax.Array:
  """`reference_attention`, a block of queries at a time.

  A block meets only the keys up to its own end, so that nearly half of the
  scores are never computed, and those that are fit a CPU's cache. Exact; meant
  for CPUs and short sequences, since the blocks are unrolled.
  """
  T = q_BTHC.shape[1]
  q_BTKGC = _grouped(q_BTHC, k_BTKC.shape[2])
  out = []
  for first in range(0, T, block):
    stop = min(first + block, T)
    out.append(
      _attend(
        q_BTKGC[:, first:stop],
        k_BTKC[:, :stop],
        v_BTKC[:, :stop],
        segment_ids_BT[:, first:stop],
        segment_ids_BT[:, :stop],
        first,
      )
    )
  return jnp.concatenate(out, axis=1).reshape(q_BTHC.shape)


KERNELS: dict[str, Kernel] = {
  'reference': reference_attention,
  'blocked': blocked_attention,
}


def kernel(name: str) -> Kernel:
  """Returns the attention kernel called `name`.

  Raises:
    ValueError: If there is none, listing those that exist.
  """
  if name not in KERNELS:
    raise ValueError(
      f'model.attention: {name!r} is not a kernel; expected one of '
      f'{sorted(KERNELS)}'
    )
  return KERNELS[name]
