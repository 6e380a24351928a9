"""Splash attention: JAX's block-sparse flash attention for TPUs, in Pallas.

Blocks that no query may see are never computed, forward or backward; see
`jax.experimental.pallas.ops.tpu.splash_attention`. The kernel pads, names and
cuts as it needs; what it computes is `attention.reference_attention`.
"""

import functools

import jax
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_kernel as kernel_lib,
)
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_mask as mask_lib,
)
import jax.numpy as jnp
import numpy as np

from msm_jax import schema
from msm_jax.models.attention import Queries
from msm_jax.models.attention import Scores

# What a block of queries or keys is a multiple of: the lanes of a register.
_LANES = 128
# Measured by compiling an 8B decoder for v5p: larger blocks of keys in the
# backward pass write fewer partial gradients of the queries.
_QUERIES, _KEYS, _KEYS_BACKWARD, _AT_ONCE = 1024, 1024, 2048, 512
# Of positions that are there only to fill the last block.
_PADDING = -1


def _block(length: int, most: int) -> int:
  """Returns the largest multiple of the lanes up to `most` that divides."""
  fits = range(_LANES, min(most, length) + 1, _LANES)
  return max(n for n in fits if length % n == 0)


@functools.lru_cache(maxsize=64)
def _kernel(
  n_heads: int,
  shape: tuple[int, int],
  order: tuple[int, ...] | None,
  n_shards: int,
  window: int | None,
  softcap: float | None,
  interpret: bool,
) -> kernel_lib.SplashAttentionKernel:
  """Returns the kernel for all queries of a sequence, in this order."""
  T, S = shape
  # None is no limit to the left; to the right is the future.
  left = None if window is None else window - 1
  mask = mask_lib.LocalMask((T, S), (left, 0), 0)
  if order is not None:
    mask.q_sequence = np.asarray(order, np.int32)
  queries = _block(T // n_shards, _QUERIES)
  at_once = _block(S, _AT_ONCE)
  keys = at_once * max(_KEYS // at_once, 1)
  sizes = kernel_lib.BlockSizes(
    block_q=queries,
    block_kv=keys if S % keys == 0 else at_once,
    block_kv_compute=at_once,
    block_q_dkv=queries,
    block_kv_dkv=_block(S, _KEYS_BACKWARD) if S % keys == 0 else at_once,
    block_kv_dkv_compute=at_once,
    use_fused_bwd_kernel=True,
  )
  # Arrays of a cached kernel must not belong to the trace that made it.
  with jax.ensure_compile_time_eval():
    return kernel_lib.make_splash_mha(
      mask_lib.MultiHeadMask([mask] * n_heads),
      block_sizes=sizes,
      head_shards=1,
      q_seq_shards=n_shards,
      attn_logits_soft_cap=softcap,
      interpret=interpret,
      # The sums of exponents as well, without which a backward pass would have
      # to run the kernel again.
      residual_checkpoint_name='context',
    )


def _of_shard(
  kernel: kernel_lib.SplashAttentionKernel, queries: Queries
) -> kernel_lib.SplashAttentionKernel:
  """Returns the part of a kernel that is for one shard of the queries."""
  n_shards = len(queries.order_nT)
  specs = kernel.manual_sharding_spec(
    jax.sharding.NamedSharding(
      jax.sharding.AbstractMesh((n_shards,), ('context',)),
      jax.sharding.PartitionSpec(None, 'context'),
    )
  )

  def part(x: jax.Array, spec: jax.sharding.PartitionSpec) -> jax.Array:
    if 'context' not in spec:
      return x
    axis = tuple(spec).index('context')
    size = x.shape[axis] // n_shards
    return jax.lax.dynamic_slice_in_dim(x, queries.shard * size, size, axis)

  return jax.tree.map(part, kernel, specs)


def splash_attention(
  q_BTHC: jax.Array,
  k_BSKC: jax.Array,
  v_BSKC: jax.Array,
  segment_ids_BS: jax.Array,
  scores: Scores,
  queries: Queries | None = None,
  *,
  interpret: bool,
) -> jax.Array:
  """What `attention.reference_attention` is.

  Args:
    q_BTHC: Queries, not yet scaled.
    k_BSKC: Keys.
    v_BSKC: Values.
    segment_ids_BS: Of the keys.
    scores: Scale, window and soft-cap.
    queries: Which the queries are, if they are not those of all positions.
    interpret: Whether to run as plain JAX, where there is no TPU.

  Raises:
    ConfigError: If the parts of a sequence that is cut cannot be blocked.
  """
  T, S = q_BTHC.shape[1], k_BSKC.shape[1]
  n_heads = q_BTHC.shape[2]
  if queries is None:
    filled = -(-S // _LANES) * _LANES
    kernel = _kernel(
      *(n_heads, (filled, filled), None, 1),
      *(scores.window, scores.softcap, interpret),
    )
    segments_BT = segment_ids_BS
  else:
    n_shards = len(queries.order_nT)
    if T % _LANES:
      raise schema.ConfigError(
        f"model.attention: 'splash' needs parts of a sequence that are "
        f'multiples of {_LANES}, but seq_len / mesh.context is {T}'
      )
    filled = S
    kernel = _kernel(
      *(n_heads, (S, S), tuple(queries.order_nT.reshape(-1).tolist())),
      *(n_shards, scores.window, scores.softcap, interpret),
    )
    kernel = _of_shard(kernel, queries)
    segments_BT = queries.segment_ids_BT

  def fill(x: jax.Array, value: int = 0) -> jax.Array:
    widths = [(0, 0), (0, filled - S)] + [(0, 0)] * (x.ndim - 2)
    return jnp.pad(x, widths, constant_values=value) if filled > S else x

  def heads_first(x: jax.Array) -> jax.Array:
    return jnp.swapaxes(fill(x), 1, 2)

  q_BTHC = q_BTHC * jnp.asarray(scores.scale, q_BTHC.dtype)
  ids = kernel_lib.SegmentIds(
    fill(segments_BT, _PADDING), fill(segment_ids_BS, _PADDING)
  )
  out_BHTC = jax.vmap(kernel)(
    heads_first(q_BTHC), heads_first(k_BSKC), heads_first(v_BSKC), ids
  )
  assert isinstance(out_BHTC, jax.Array)  # No residuals were asked for.
  return jnp.swapaxes(out_BHTC, 1, 2)[:, :T].astype(v_BSKC.dtype)
