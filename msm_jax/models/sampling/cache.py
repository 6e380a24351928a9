"""Keys and values of what a layer has seen, and attention over them.

Prompts are padded on the left, so that all rows of a batch write the same slot
in the same step: one update in place, on any number of devices. Column `j` of
the padded batch lies in slot `j % S`, where `S` is the number of columns in
all, or the layer's window if that is shorter: then new columns overwrite those
that have left the window (a ring).

Shapes: `B` batch, `T` columns of the prompts, `S` slots, `H` query heads, `K`
key/value heads, `G = H / K`, `C` head size.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from msm_jax.models import attention
from msm_jax.models import kernels
from msm_jax.models import layers
from msm_jax.models.config import DecoderConfig
from msm_jax.models.config import LayerConfig
from msm_jax.models.decoder import scores_of
from msm_jax.models.precision import wide


class LayerCache(NamedTuple):
  """One layer's keys and values, in the dtype that attention computes in.

  Each lies as its matrix product wants it, so that no step transposes it.
  """

  k_BKCS: jax.Array
  v_BKSC: jax.Array


def n_slots(kind: LayerConfig, n_columns: int) -> int:
  """How many columns a layer of this kind keeps, of so many in all."""
  return n_columns if kind.window is None else min(kind.window, n_columns)


def _kept(x_BKTC: jax.Array, S: int) -> jax.Array:
  """The last `S` columns `[B, K, S, C]`, each in its slot; the rest is 0."""
  T = x_BKTC.shape[2]
  if T <= S:
    return jnp.pad(x_BKTC, ((0, 0), (0, 0), (0, S - T), (0, 0)))
  return jnp.roll(x_BKTC[:, :, T - S :], T % S, axis=2)


def prefill_mix(
  config: DecoderConfig, segment_ids_BT: jax.Array, n_columns: int
) -> layers.Mix:
  """Attention among the prompts; a layer's new state is its cache.

  Args:
    config: Of the decoder; its kernel is used.
    segment_ids_BT: 1 where a row has a token, 0 at the padding on its left.
    n_columns: Of the prompts and of all that shall follow.
  """
  kernel = kernels.kernel(config.attention)

  def mix(kind, q_BTHC, k_BTKC, v_BTKC, state):
    del state
    y_BTHC = kernel(
      q_BTHC, k_BTKC, v_BTKC, segment_ids_BT, scores_of(config, kind)
    )
    S = n_slots(kind, n_columns)
    k_BKSC = _kept(k_BTKC.swapaxes(1, 2), S)
    v_BKSC = _kept(v_BTKC.swapaxes(1, 2), S)
    return y_BTHC, LayerCache(k_BKSC.swapaxes(2, 3), v_BKSC)

  return mix


def decode_mix(
  config: DecoderConfig, column: jax.Array, padding_B: jax.Array
) -> layers.Mix:
  """Attention of one new column to the cache, which it is written to first.

  Args:
    config: Of the decoder.
    column: Scalar; which column of the padded batch the new one is.
    padding_B: How many columns on the left are padding.
  """

  def mix(kind, q_BTHC, k_BTKC, v_BTKC, state):
    B, _, H, C = q_BTHC.shape
    S = state.k_BKCS.shape[-1]
    K = k_BTKC.shape[2]
    slot = column % S
    k_BKCS = jax.lax.dynamic_update_slice_in_dim(
      state.k_BKCS, k_BTKC.transpose(0, 2, 3, 1), slot, 3
    )
    v_BKSC = jax.lax.dynamic_update_slice_in_dim(
      state.v_BKSC, v_BTKC.swapaxes(1, 2), slot, 2
    )
    # The newest column in each slot; below zero where there is none yet.
    columns_S = column - (slot - jnp.arange(S)) % S
    mask_BS = columns_S[None, :] >= padding_B[:, None]
    products_BKGS = jnp.einsum(
      'BKGC,BKCS->BKGS',
      q_BTHC.reshape(B, K, H // K, C),
      k_BKCS,
      preferred_element_type=wide(q_BTHC),
    )
    weights_BKGS = attention.masked_softmax(
      products_BKGS, mask_BS[:, None, None], scores_of(config, kind)
    )
    y_BKGC = jnp.einsum(
      'BKGS,BKSC->BKGC', weights_BKGS.astype(v_BKSC.dtype), v_BKSC
    )
    return y_BKGC.reshape(B, 1, H, C), LayerCache(k_BKCS, v_BKSC)

  return mix
