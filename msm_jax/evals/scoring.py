"""Log-probabilities of continuations and documents under a decoder.

The only part of the evaluation room that touches JAX. Requests are sorted by
length, padded to a few fixed lengths, and scored in batches of one size for
each length, so that few programs are compiled.

Shapes: `B` requests in a batch, `T` positions.
"""

from collections.abc import Sequence
import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from msm_jax import models
from msm_jax import progress

_CHUNK = 32


@dataclasses.dataclass(frozen=True)
class Request:
  """Token ids, of which those from `start` on are scored given all before.

  Attributes:
    tokens: At least two ids.
    start: Index of the first scored token; at least 1, since the first token
      has no context.
  """

  tokens: tuple[int, ...]
  start: int

  def __post_init__(self):
    if not 1 <= self.start < len(self.tokens):
      raise ValueError(
        f'start: {self.start} of {len(self.tokens)} tokens; expected at least '
        'one token before it and one from it on'
      )

  @property
  def n_scored(self) -> int:
    return len(self.tokens) - self.start


@functools.partial(jax.jit, static_argnums=(0, 1))
def _logprobs(
  model: models.Model,
  layout: models.Layout,
  params: models.Params,
  tokens_BT: jax.Array,
  targets_BT: jax.Array,
  segment_ids_BT: jax.Array,
) -> jax.Array:
  B, T = tokens_BT.shape
  positions_BT = jnp.broadcast_to(jnp.arange(T, dtype=jnp.int32)[None], (B, T))
  return models.sequence_logprobs(
    model,
    params,
    tokens_BT,
    targets_BT,
    segment_ids_BT,
    positions_BT,
    chunk=math.gcd(T, _CHUNK),
    layout=layout,
  )


def _pad(requests: Sequence[Request], B: int, T: int) -> tuple[np.ndarray, ...]:
  """Returns tokens, targets, segment ids, and 1 where a target is scored.

  Rows without a request are 0.
  """
  tokens_BT = np.zeros((B, T), np.int32)
  targets_BT = np.zeros((B, T), np.int32)
  segment_ids_BT = np.zeros((B, T), np.int32)
  scored_BT = np.zeros((B, T), np.float64)
  for row, request in enumerate(requests):
    n = len(request.tokens) - 1
    tokens_BT[row, :n] = request.tokens[:-1]
    targets_BT[row, :n] = request.tokens[1:]
    segment_ids_BT[row, :n] = 1
    scored_BT[row, request.start - 1 : n] = 1.0
  return tokens_BT, targets_BT, segment_ids_BT, scored_BT


def score(
  model: models.Model,
  params: models.Params,
  requests: Sequence[Request],
  *,
  layout: models.Layout = models.ALONE,
  batch_size: int = 64,
  batch_tokens: int = 64 * 256,
  bucket: int = 32,
  report: progress.Progress | None = None,
) -> np.ndarray:
  """Returns Σ log p of each request's scored tokens, `[len(requests)]`, nats.

  Args:
    model: The decoder.
    params: Its parameters.
    layout: Where they lie, on devices of this process.
    requests: In any order; the result is in the same order.
    batch_size: Requests scored at a time, at most.
    batch_tokens: Positions scored at a time, at most, unless one request alone
      has more.
    bucket: Lengths are rounded up to multiples of this.
    report: Advanced by the number of requests.
  """
  out = np.zeros(len(requests), np.float64)
  n_shards = layout.size(*models.ROWS)

  def padded_length(index: int) -> int:
    return -(-(len(requests[index].tokens) - 1) // bucket) * bucket

  # Long ones first: of those that share a batch, the first is the longest.
  order = sorted(range(len(requests)), key=padded_length, reverse=True)
  while order:
    T = padded_length(order[0])
    B = max(1, min(batch_size, batch_tokens // T))
    # As many rows on every device.
    B = -(-B // n_shards) * n_shards
    rows, order = order[:B], order[B:]
    *arrays, scored_BT = _pad([requests[i] for i in rows], B, T)
    if not layout.is_alone:
      sharding = layout.sharding('batch', None)
      arrays = [jax.device_put(a, sharding) for a in arrays]
    logp_BT = np.asarray(_logprobs(model, layout, params, *arrays))
    # In float64: what is compared are small differences of large sums.
    out[rows] = (logp_BT * scored_BT).sum(axis=-1)[: len(rows)]
    if report is not None:
      report.advance(len(rows))
  return out
