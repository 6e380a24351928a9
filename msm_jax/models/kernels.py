"""Attention kernels by name, on one device or on a mesh.

Shapes: see `attention`.
"""

import functools
from typing import Any

import jax
import numpy as np

from msm_jax import schema
from msm_jax.models import attention
from msm_jax.models import layout as layout_lib
from msm_jax.models import remat
from msm_jax.models import splash
from msm_jax.models.attention import Kernel
from msm_jax.models.attention import Scores
from msm_jax.models.layout import Layout

KERNELS = ('auto', 'reference', 'blocked', 'splash')

# Those that can be given some of the queries only.
_PARTIAL = ('reference', 'splash')


def _chosen(name: str, layout: Layout) -> str:
  """Returns which kernel `'auto'` is: the fastest that is exact there."""
  if name != 'auto':
    return name
  if layout.platform() == 'tpu':
    return 'splash'
  if layout.platform() == 'cpu' and layout.size('context') == 1:
    return 'blocked'
  return 'reference'


def check(name: str) -> None:
  """Checks that there is a kernel of this name.

  Raises:
    ConfigError: Listing those that there are.
  """
  schema.one_of(name, KERNELS, 'model.attention')


def kernel(name: str, layout: Layout = layout_lib.ALONE) -> Kernel:
  """Returns the attention kernel of a name, as one device computes it.

  Args:
    name: One of `KERNELS`; `'auto'` is `'splash'` on a TPU, `'blocked'` on a
      CPU, `'reference'` elsewhere.
    layout: Where it will run.

  Raises:
    ConfigError: If there is none, listing those that there are.
  """
  check(name)
  name = _chosen(name, layout)
  if name == 'splash':
    # Compiled by Mosaic, which knows TPUs only.
    interpret = layout.platform() != 'tpu'
    return functools.partial(splash.splash_attention, interpret=interpret)
  if name == 'blocked':
    return attention.blocked_attention
  return attention.reference_attention


def check_layout(name: str, layout: Layout) -> None:
  """Checks that a kernel can be used on a mesh.

  Raises:
    ConfigError: If it needs whole sequences and they are cut.
  """
  n = layout.size('context')
  if n > 1 and _chosen(name, layout) not in _PARTIAL:
    raise schema.ConfigError(
      f'model.attention: {name!r} needs whole sequences, but mesh.context is '
      f'{n}; use one of {list(_PARTIAL)}, or mesh.context = 1'
    )


def on_mesh(name: str, layout: Layout) -> Kernel:
  """Returns the kernel of a name, of which each device computes its part.

  Rows are those of a device, heads as well. Where sequences are cut, a device
  has the queries of its part and gathers keys and values of all; positions
  stand in the order of `layout.balanced_order`.

  What it returns is called `context`; see `remat`.

  Raises:
    ConfigError: If there is no such kernel, or it cannot be used there.
  """
  attend = kernel(name, layout)
  if not layout.is_alone:
    check_layout(name, layout)
    attend = _sharded(attend, layout)
  # Splash names what its own backward pass reads.
  return attend if _chosen(name, layout) == 'splash' else _named(attend)


def _named(attend: Kernel) -> Kernel:
  def named(*args: Any, **kwargs: Any) -> jax.Array:
    return remat.named(attend(*args, **kwargs), 'context')

  return named


def _sharded(attend: Kernel, layout: Layout) -> Kernel:
  """Returns a kernel of which each device computes its part."""
  n_shards = layout.size('context')

  def local(
    q_BTHC: jax.Array,
    k_BTKC: jax.Array,
    v_BTKC: jax.Array,
    segment_ids_BT: jax.Array,
    scores: Scores,
  ) -> jax.Array:
    if n_shards == 1:
      return attend(q_BTHC, k_BTKC, v_BTKC, segment_ids_BT, scores)
    order_nT = layout_lib.balanced_order(
      n_shards * segment_ids_BT.shape[1], n_shards
    ).reshape(n_shards, -1)
    shard = jax.lax.axis_index('context')
    whole = functools.partial(_gathered, n_shards=n_shards)
    return attend(
      q_BTHC,
      whole(k_BTKC),
      whole(v_BTKC),
      whole(segment_ids_BT),
      scores,
      attention.Queries(segment_ids_BT, order_nT, shard),
    )

  def sharded(
    q_BTHC: jax.Array,
    k_BSKC: jax.Array,
    v_BSKC: jax.Array,
    segment_ids_BS: jax.Array,
    scores: Scores,
    queries: attention.Queries | None = None,
  ) -> jax.Array:
    assert queries is None
    q, kv, ids = (
      layout.spec(layout_lib.names_of(letters))
      for letters in ('BTHC', 'BTKC', 'BT')
    )
    return jax.shard_map(
      functools.partial(local, scores=scores),
      mesh=layout.mesh,
      in_specs=(q, kv, kv, ids),
      out_specs=q,
      check_vma=False,
    )(q_BTHC, k_BSKC, v_BSKC, segment_ids_BS)

  return sharded


def _gathered(x: jax.Array, n_shards: int) -> jax.Array:
  """Returns an array of all positions, in order, from each shard's."""
  x = jax.lax.all_gather(x, 'context', axis=1, tiled=True)
  pieces = x.reshape(x.shape[0], 2 * n_shards, -1, *x.shape[2:])
  order = layout_lib.balanced_order(2 * n_shards, n_shards)
  return pieces[:, np.argsort(order)].reshape(x.shape)
