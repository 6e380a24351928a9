"""Attention over packed sequences, in plain `jnp`.

See `kernels` for all kernels that there are. Each has the signature of
`reference_attention` and is proven against it. A query attends to the keys of
its own segment at its own or an earlier position, within the window; segment 0
is padding, whose output is not defined (but is finite).

Shapes: `B` batch, `T` sequence (`S` for keys), `H` query heads, `K` key/value
heads, `G = H / K`, `C` head size.
"""

import dataclasses
from typing import NamedTuple
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from msm_jax.models.precision import wide


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


class Queries(NamedTuple):
  """Which queries of a sequence there are, if not all of them.

  Attributes:
    segment_ids_BT: Theirs, while the kernel is given those of all keys.
    order_nT: int32, which positions of the sequence each of n shards has.
    shard: Which of the shards this is, an int32 scalar.
  """

  segment_ids_BT: jax.Array
  order_nT: np.ndarray
  shard: jax.Array | int

  @property
  def index_T(self) -> jax.Array:
    """Which position of the sequence each query is."""
    return jnp.asarray(self.order_nT)[self.shard]


class Kernel(Protocol):
  """What `reference_attention` is."""

  def __call__(
    self,
    q_BTHC: jax.Array,
    k_BSKC: jax.Array,
    v_BSKC: jax.Array,
    segment_ids_BS: jax.Array,
    scores: Scores,
    queries: Queries | None = None,
  ) -> jax.Array: ...


def softcapped(x: jax.Array, cap: float | None) -> jax.Array:
  """Returns `cap · tanh(x / cap)`, or `x` if there is no cap."""
  return x if cap is None else cap * jnp.tanh(x / cap)


def masked_softmax(
  products: jax.Array, mask: jax.Array, scores: Scores
) -> jax.Array:
  """Weights over the last axis where `mask` is true, from wide `q · k`.

  The window is the mask's business here.
  """
  s = softcapped(products * scores.scale, scores.softcap)
  s = jnp.where(mask, s, jnp.finfo(s.dtype).min)
  return jax.nn.softmax(s, axis=-1)


def masked_attention(
  q_BTHC: jax.Array,
  k_BSKC: jax.Array,
  v_BSKC: jax.Array,
  mask_BTS: jax.Array,
  scores: Scores,
) -> jax.Array:
  """Softmax attention where `mask_BTS` is true; scores are `wide`.

  Query head `h` reads key head `h // (H // K)`. Returns `[B, T, H, C]` in the
  dtype of the values.
  """
  B, T, H, C = q_BTHC.shape
  K = k_BSKC.shape[2]
  q_BTKGC = q_BTHC.reshape(B, T, K, H // K, C)
  scores_BKGTS = jnp.einsum(
    'BTKGC,BSKC->BKGTS', q_BTKGC, k_BSKC, preferred_element_type=wide(q_BTHC)
  )
  weights_BKGTS = masked_softmax(
    scores_BKGTS, mask_BTS[:, None, None], scores
  ).astype(v_BSKC.dtype)
  out_BTKGC = jnp.einsum('BKGTS,BSKC->BTKGC', weights_BKGTS, v_BSKC)
  return out_BTKGC.reshape(B, T, H, C)


def _packed_mask(
  queries: Queries,
  key_segments_BS: jax.Array,
  window: int | None,
  first: int = 0,
) -> jax.Array:
  """Returns `[B, T, S]`; key `s` stands at the position `first + s`."""
  S = key_segments_BS.shape[1]
  same_BTS = queries.segment_ids_BT[:, :, None] == key_segments_BS[:, None, :]
  distance_TS = queries.index_T[:, None] - (first + jnp.arange(S))[None, :]
  seen_TS = distance_TS >= 0
  if window is not None:
    seen_TS &= distance_TS < window
  return same_BTS & seen_TS[None]


def _all(segment_ids_BT: jax.Array, first: int = 0) -> Queries:
  """Returns queries that follow on each other, from a position on."""
  T = segment_ids_BT.shape[1]
  order_1T = np.arange(first, first + T, dtype=np.int32)[None]
  return Queries(segment_ids_BT, order_1T, 0)


def reference_attention(
  q_BTHC: jax.Array,
  k_BSKC: jax.Array,
  v_BSKC: jax.Array,
  segment_ids_BS: jax.Array,
  scores: Scores,
  queries: Queries | None = None,
) -> jax.Array:
  """Softmax attention in plain `jnp`, scores and softmax are `wide`.

  Args:
    q_BTHC: Queries, not yet scaled.
    k_BSKC: Keys; head `h` of the queries reads key head `h // (H // K)`.
    v_BSKC: Values.
    segment_ids_BS: int32; 0 is padding, each packed document has its own.
    scores: Scale, window and soft-cap.
    queries: Which the queries are, if they are not those of all positions.

  Returns:
    `[B, T, H, C]` in the dtype of the values.
  """
  queries = queries or _all(segment_ids_BS)
  mask_BTS = _packed_mask(queries, segment_ids_BS, scores.window)
  return masked_attention(q_BTHC, k_BSKC, v_BSKC, mask_BTS, scores)


def blocked_attention(
  q_BTHC: jax.Array,
  k_BSKC: jax.Array,
  v_BSKC: jax.Array,
  segment_ids_BS: jax.Array,
  scores: Scores,
  queries: Queries | None = None,
  *,
  block: int = 64,
) -> jax.Array:
  """`reference_attention`, a block of queries at a time.

  A block meets only the keys up to its own end and within the window, so that
  nearly half of the scores are never computed, and those that are fit a CPU's
  cache. Exact; meant for CPUs and short sequences, since the blocks are
  unrolled. It needs the queries of all positions.
  """
  assert queries is None, 'see kernels.check_layout'
  T = q_BTHC.shape[1]
  out = []
  for first in range(0, T, block):
    stop = min(first + block, T)
    since = 0 if scores.window is None else max(first + 1 - scores.window, 0)
    mask_BTS = _packed_mask(
      _all(segment_ids_BS[:, first:stop], first),
      segment_ids_BS[:, since:stop],
      scores.window,
      since,
    )
    out.append(
      masked_attention(
        q_BTHC[:, first:stop],
        k_BSKC[:, since:stop],
        v_BSKC[:, since:stop],
        mask_BTS,
        scores,
      )
    )
  return jnp.concatenate(out, axis=1)
