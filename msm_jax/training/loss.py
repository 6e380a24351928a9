"""Next-token cross-entropy that never builds the `[B, T, V]` logits.

Of one device; see `mesh_loss` for many.

Shapes: `B` batch, `T` sequence, `J` chunks of `c` positions, `D` model width,
`V` vocabulary.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from msm_jax import models


class RowSums(NamedTuple):
  """Sums over the positions of each row, `[B]`, in `models.wide`.

  Attributes:
    loss: Σ weight · −log p(target), nats.
    log_z_squared: Σ weight · (log Z)².
    weight: Σ weight.
  """

  loss: jax.Array
  log_z_squared: jax.Array
  weight: jax.Array


def chunked_cross_entropy(
  x_BTD: jax.Array,
  head_DV: jax.Array,
  targets_BT: jax.Array,
  weights_BT: jax.Array,
  *,
  chunk: int,
  softcap: float | None = None,
) -> RowSums:
  """Cross-entropy, summed per row, over `chunk` positions at a time.

  Each chunk's logits are recomputed in the backward pass, so the largest
  buffer is `[B, chunk, V]` forward and backward.

  Args:
    x_BTD: Final hidden states.
    head_DV: Output head.
    targets_BT: int32 ids in `[0, V)`; where the weight is 0 any valid id.
    weights_BT: float32 loss weights.
    chunk: Positions per chunk; must divide T.
    softcap: Of the logits; see `DecoderConfig.final_softcap`.

  Returns:
    The sums; a loss is a ratio of them, taken only after they have been added
    up over micro-batches and devices, since a mean of means is another number.
  """
  B, T, _ = x_BTD.shape
  if T % chunk:
    raise ValueError(f'loss_chunk: {chunk} does not divide T = {T}')

  @jax.checkpoint
  def one_chunk(
    sums: RowSums, inputs: tuple[jax.Array, jax.Array, jax.Array]
  ) -> tuple[RowSums, None]:
    x_BcD, targets_Bc, weights_Bc = inputs
    logp_Bc, log_z_Bc = models.target_logprobs(
      x_BcD, head_DV, targets_Bc, softcap
    )
    return RowSums(
      loss=sums.loss - jnp.sum(weights_Bc * logp_Bc, axis=-1),
      log_z_squared=sums.log_z_squared
      + jnp.sum(weights_Bc * log_z_Bc**2, axis=-1),
      weight=sums.weight + jnp.sum(weights_Bc, axis=-1),
    ), None

  zeros = jnp.zeros((B,), models.wide(x_BTD))
  sums, _ = jax.lax.scan(
    one_chunk,
    RowSums(zeros, zeros, zeros),
    (
      models.split_positions(x_BTD, chunk),
      models.split_positions(targets_BT, chunk),
      models.split_positions(weights_BT, chunk),
    ),
  )
  return sums
