"""Log-probabilities of given targets, without the logits of a whole batch.

Shapes: `B` batch, `T` sequence, `J` chunks of `c` positions, `D` model width,
`V` vocabulary.
"""

import jax
import jax.numpy as jnp

from msm_jax.models.decoder import Model
from msm_jax.models.decoder import Params
from msm_jax.models.decoder import project_logits
from msm_jax.models.layout import ALONE
from msm_jax.models.layout import Layout


def split_positions(x: jax.Array, chunk: int) -> jax.Array:
  """`[B, T, …]` to `[J, B, c, …]`."""
  B, T = x.shape[:2]
  return jnp.moveaxis(x.reshape(B, T // chunk, chunk, *x.shape[2:]), 1, 0)


def target_logprobs(
  x_BcD: jax.Array,
  head_DV: jax.Array,
  targets_Bc: jax.Array,
  softcap: float | None,
) -> tuple[jax.Array, jax.Array]:
  """Returns log p(target) and log Z of each position, `[B, c]` float32."""
  logits_BcV = project_logits(x_BcD, head_DV, softcap)
  log_z_Bc = jax.nn.logsumexp(logits_BcV, axis=-1)
  label_Bc = jnp.take_along_axis(logits_BcV, targets_Bc[..., None], axis=-1)
  return label_Bc[..., 0] - log_z_Bc, log_z_Bc


def sequence_logprobs(
  model: Model,
  params: Params,
  tokens_BT: jax.Array,
  targets_BT: jax.Array,
  segment_ids_BT: jax.Array,
  positions_BT: jax.Array,
  *,
  chunk: int,
  layout: Layout = ALONE,
) -> jax.Array:
  """Returns log p(target | tokens so far), `[B, T]` float32, nats.

  Args:
    model: The decoder.
    params: Its parameters.
    tokens_BT: Inputs.
    targets_BT: What is scored at each position; any valid id at padding.
    segment_ids_BT: 0 at padding.
    positions_BT: Positions in each segment.
    chunk: Positions whose logits exist at the same time; divides T.
    layout: Where arrays lie; of `data` and `fsdp` only.
  """
  x_BTD, head_DV = model.hidden(
    params, tokens_BT, segment_ids_BT, positions_BT, layout
  )
  head_DV = layout.gather(head_DV, 'DV')

  def one_chunk(
    _: None, xs: tuple[jax.Array, jax.Array]
  ) -> tuple[None, jax.Array]:
    x_BcD, targets_Bc = xs
    softcap = model.config.final_softcap
    return None, target_logprobs(x_BcD, head_DV, targets_Bc, softcap)[0]

  _, logp_JBc = jax.lax.scan(
    one_chunk,
    None,
    (split_positions(x_BTD, chunk), split_positions(targets_BT, chunk)),
  )
  return jnp.moveaxis(logp_JBc, 0, 1).reshape(tokens_BT.shape)
