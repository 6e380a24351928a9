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
  B, T, H, C = q_BTHC.shape
  K = k_BTKC.shape[2]
  q_BTKGC = q_BTHC.reshape(B, T, K, H // K, C)
  scores_BKGTS = jnp.einsum(
    'BTKGC,BSKC->BKGTS',
    q_BTKGC,
    k_BTKC,
    preferred_element_type=jnp.float32,
  ) * (C**-0.5)
  same_BTS = segment_ids_BT[:, :, None] == segment_ids_BT[:, None, :]
  causal_TS = jnp.tril(jnp.ones((T, T), bool))
  mask_BTS = same_BTS & causal_TS[None]
  scores_BKGTS = jnp.where(
    mask_BTS[:, None, None], scores_BKGTS, jnp.finfo(jnp.float32).min
  )
  weights_BKGTS = jax.nn.softmax(scores_BKGTS, axis=-1).astype(v_BTKC.dtype)
  out_BTKGC = jnp.einsum('BKGTS,BSKC->BTKGC', weights_BKGTS, v_BTKC)
  return out_BTKGC.reshape(B, T, H, C)


KERNELS: dict[str, Kernel] = {'reference': reference_attention}


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
