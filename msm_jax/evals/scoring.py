"""Log-probabilities of continuations and documents under a decoder.

The only part of the evaluation room that touches JAX. Requests are sorted by
length, padded to a few fixed lengths, and scored in batches of one size, so
that few programs are compiled.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from msm_jax import models
from msm_jax import progress


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


@functools.partial(jax.jit, static_argnums=0)
def _score(
  model: models.Model,
  params: models.Params,
  tokens_BT: jax.Array,
  targets_BT: jax.Array,
  scored_BT: jax.Array,
  segment_ids_BT: jax.Array,
) -> jax.Array:
  B, T = tokens_BT.shape
  positions_BT = jnp.broadcast_to(jnp.arange(T, dtype=jnp.int32)[None], (B, T))
  logp_BT = models.sequence_logprobs(
    model,
    params,
    tokens_BT,
    targets_BT,
    segment_ids_BT,
    positions_BT,
    chunk=min(T, 32),
  )
  return jnp.sum(logp_BT * scored_BT, axis=-1)


def _pad(
  requests: Sequence[Request], batch: int, length: int
) -> tuple[np.ndarray, ...]:
  tokens = np.zeros((batch, length), np.int32)
  targets = np.zeros((batch, length), np.int32)
  scored = np.zeros((batch, length), np.float32)
  segments = np.zeros((batch, length), np.int32)
  for row, request in enumerate(requests):
    n = len(request.tokens) - 1
    tokens[row, :n] = request.tokens[:-1]
    targets[row, :n] = request.tokens[1:]
    scored[row, request.start - 1 : n] = 1.0
    segments[row, :n] = 1
  return tokens, targets, scored, segments


def score(
  model: models.Model,
  params: models.Params,
  requests: Sequence[Request],
  *,
  batch_size: int = 64,
  bucket: int = 32,
  report: progress.Progress | None = None,
) -> np.ndarray:
  """Returns Σ log p of each request's scored tokens, `[len(requests)]`, nats.

  Args:
    model: The decoder.
    params: Its parameters.
    requests: In any order; the result is in the same order.
    batch_size: Requests scored at a time.
    bucket: Lengths are rounded up to multiples of this.
    report: Advanced by the number of requests.
  """
  out = np.zeros(len(requests), np.float64)
  order = sorted(range(len(requests)), key=lambda i: len(requests[i].tokens))
  for first in range(0, len(order), batch_size):
    rows = order[first : first + batch_size]
    longest = max(len(requests[i].tokens) - 1 for i in rows)
    padded = _pad(
      [requests[i] for i in rows], batch_size, -(-longest // bucket) * bucket
    )
    out[rows] = np.asarray(_score(model, params, *padded))[: len(rows)]
    if report is not None:
      report.advance(len(rows))
  return out


def count_tokens(requests: Iterable[Request]) -> int:
  """Returns the number of tokens that scoring the requests reads."""
  return sum(len(r.tokens) for r in requests)
