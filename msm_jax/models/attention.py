"""Attention over packed sequences, by name.

Every kernel has the signature of `reference_attention` and is proven against
it. A query attends to the keys of its own segment at its own or an earlier
position, within the window; segment 0 is padding, whose output is not defined
(but is finite).

Shapes: `B` batch, `T` sequence (`S` for keys), `H` query heads, `K` key/value
heads, `G = H / K`, `C` head size.
"""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Scores:
  """How scores are made and which are allowed, besides segments and causality.

  Attributes:
    scale: What `q · k` is multiplied by.
    window: A query sees the keys at distances below this; None sees all.
    softcap: `s` → `softcap · tanh(s / softcap)` of the scaled scores, if given
      (Bello et al., arXiv 1611.09940; Gemma 2).
  """

  scale: float
  window: int | None = None
  softcap: float | None = None


Kernel = Callable[
  [jax.Array, jax.Array, jax.Array, jax.Array, Scores], jax.Array
]


def softcapped(x: jax.Array, cap: float | None) -> jax.Array:
  """Returns `cap · tanh(x / cap)`, or `x` if there is no cap."""
  return x if cap is None else cap * jnp.tanh(x / cap)


def masked_softmax(
  products: jax.Array, mask: jax.Array, scores: Scores
) -> jax.Array:
  """Weights over the last axis where `mask` is true, from `q · k` in float32.

  The window is the mask's business here.
  """
  s = softcapped(products * scores.scale, scores.softcap)
  s = jnp.where(mask, s, jnp.finfo(jnp.float32).min)
  return jax.nn.softmax(s, axis=-1)


def masked_attention(
  q_BTHC: jax.Array,
  k_BSKC: jax.Array,
  v_BSKC: jax.Array,
  mask_BTS: jax.Array,
  scores: Scores,
) -> jax.Array:
  """Softmax attention where `mask_BTS` is true; scores are float32.

  Query head `h` reads key head `h // (H // K)`. Returns `[B, T, H, C]` in the
  dtype of the values.
  """
  B, T, H, C = q_BTHC.shape
  K = k_BSKC.shape[2]
  q_BTKGC = q_BTHC.reshape(B, T, K, H // K, C)
  scores_BKGTS = jnp.einsum(
    'BTKGC,BSKC->BKGTS', q_BTKGC, k_BSKC, preferred_element_type=jnp.float32
  )
  weights_BKGTS = masked_softmax(
    scores_BKGTS, mask_BTS[:, None, None], scores
  ).astype(v_BSKC.dtype)
  out_BTKGC = jnp.einsum('BKGTS,BSKC->BTKGC', weights_BKGTS, v_BSKC)
  return out_BTKGC.reshape(B, T, H, C)


def _packed_mask(
  query_segments_BT: jax.Array,
  key_segments_BS: jax.Array,
  window: int | None,
  offset: int,
) -> jax.Array:
  """Returns `[B, T, S]`; query `t` stands `offset + t` keys after key 0."""
  T, S = query_segments_BT.shape[1], key_segments_BS.shape[1]
  same_BTS = query_segments_BT[:, :, None] == key_segments_BS[:, None, :]
  distance_TS = offset + jnp.arange(T)[:, None] - jnp.arange(S)[None, :]
  seen_TS = distance_TS >= 0
  if window is not None:
    seen_TS &= distance_TS < window
  return same_BTS & seen_TS[None]


def reference_attention(
  q_BTHC: jax.Array,
  k_BTKC: jax.Array,
  v_BTKC: jax.Array,
  segment_ids_BT: jax.Array,
  scores: Scores,
) -> jax.Array:
  """Softmax attention in plain `jnp`, scores and softmax in float32.

  Args:
    q_BTHC: Queries, not yet scaled.
    k_BTKC: Keys; head `h` of the queries reads key head `h // (H // K)`.
    v_BTKC: Values.
    segment_ids_BT: int32; 0 is padding, each packed document has its own.
    scores: Scale, window and soft-cap.

  Returns:
    `[B, T, H, C]` in the dtype of the values.
  """
  mask_BTS = _packed_mask(segment_ids_BT, segment_ids_BT, scores.window, 0)
  return masked_attention(q_BTHC, k_BTKC, v_BTKC, mask_BTS, scores)


def blocked_attention(
  q_BTHC: jax.Array,
  k_BTKC: jax.Array,
  v_BTKC: jax.Array,
  segment_ids_BT: jax.Array,
  scores: Scores,
  *,
  block: int = 64,
) -> jax.Array:
  """`reference_attention`, a block of queries at a time.

  A block meets only the keys up to its own end and within the window, so that
  nearly half of the scores are never computed, and those that are fit a CPU's
  cache. Exact; meant for CPUs and short sequences, since the blocks are
  unrolled.
  """
  T = q_BTHC.shape[1]
  out = []
  for first in range(0, T, block):
    stop = min(first + block, T)
    since = 0 if scores.window is None else max(first + 1 - scores.window, 0)
    mask_BTS = _packed_mask(
      segment_ids_BT[:, first:stop],
      segment_ids_BT[:, since:stop],
      scores.window,
      first - since,
    )
    out.append(
      masked_attention(
        q_BTHC[:, first:stop],
        k_BTKC[:, since:stop],
        v_BTKC[:, since:stop],
        mask_BTS,
        scores,
      )
    )
  return jnp.concatenate(out, axis=1)


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
