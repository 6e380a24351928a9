"""Cross-entropy on a mesh, whose forward pass makes the gradients as well.

The head is gathered once. Groups of `G` neighbours on the last axis of `fsdp`
share it: each has all of the width of a `G`-th of the vocabulary, for the rows
of all of the group, so that a device never holds more of its gradient either.
Logits are made once, a chunk of positions at a time; what their gradients are
is known as soon as log Z is, and no pass comes back for them. (As do Liger
kernels: Hsu et al., arXiv 2410.10989.)

Shapes: `B` rows of a device, `T` positions of a device, `c` positions of a
chunk, `D` model width, `V` vocabulary of a device; `g = G · B` rows of a group.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from msm_jax import models
from msm_jax.models import decoder
from msm_jax.models import layout as layout_lib
from msm_jax.training.loss import RowSums


@dataclasses.dataclass(frozen=True)
class LossPlan:
  """What of a loss is known before it is computed.

  Attributes:
    layout: Where rows, positions, width and vocabulary lie.
    chunk: Positions whose logits exist at the same time; divides those of a
      sequence's part.
    group: `G`; divides the last axis of `fsdp` that has several devices. More
      hold fewer logits of more rows, and less of the head and its gradient.
    softcap: Of the logits; see `DecoderConfig.final_softcap`.
    z_loss: Weight of (log Z)².
    trains_head: Whether the gradient of the head is wanted.
  """

  layout: models.Layout
  chunk: int
  group: int
  softcap: float | None
  z_loss: float
  trains_head: bool

  @property
  def shards(self) -> tuple[str, ...]:
    """Axes of the mesh over which the head's width is cut."""
    return self.layout.cut(layout_lib.FSDP)


class _Group:
  """Collectives over the neighbours of a group, and over what is left.

  The last axis of `fsdp` is numbered `far · G + near`.
  """

  def __init__(self, plan: LossPlan):
    self._G = plan.group
    self._axis = plan.shards[-1] if plan.shards else None
    size = plan.layout.size(*plan.shards[-1:])
    groups = range(size // self._G)
    self._near = [[g * self._G + j for j in range(self._G)] for g in groups]
    self._far = [[g * self._G + j for g in groups] for j in range(self._G)]

  @property
  def index(self) -> jax.Array | int:
    """Which of its group a device is."""
    if self._G == 1:
      return 0
    assert self._axis is not None
    return jax.lax.axis_index(self._axis) % self._G

  def gather(self, x: jax.Array) -> jax.Array:
    """Joins, along axis 0, what the neighbours have."""
    if self._G == 1:
      return x
    return jax.lax.all_gather(
      x, self._axis, tiled=True, axis_index_groups=self._near
    )

  def scatter(self, x: jax.Array) -> jax.Array:
    """Adds up what the neighbours have; each keeps its part of axis 0."""
    if self._G == 1:
      return x
    return jax.lax.psum_scatter(
      x, self._axis, tiled=True, axis_index_groups=self._near
    )

  def gather_far(self, x: jax.Array) -> jax.Array:
    """Joins, along axis 0, what the same one of every group has."""
    if self._axis is None:
      return x
    return jax.lax.all_gather(
      x, self._axis, tiled=True, axis_index_groups=self._far
    )

  def scatter_far(self, x: jax.Array) -> jax.Array:
    """Adds up what the same one of every group has; each keeps its part."""
    if self._axis is None:
      return x
    return jax.lax.psum_scatter(
      x, self._axis, tiled=True, axis_index_groups=self._far
    )

  def exchange(self, x: jax.Array, split: int, join: int) -> jax.Array:
    """Gives each neighbour its part of one axis for its part of another."""
    if self._G == 1:
      return x
    return jax.lax.all_to_all(
      x, self._axis, split, join, tiled=True, axis_index_groups=self._near
    )


def _gathered_head(
  plan: LossPlan, group: _Group, head_DV: jax.Array, dtype: Any
) -> jax.Array:
  """Returns all of the width of a device's vocabulary, `[D, V]`."""
  head_DV = group.exchange(head_DV.astype(dtype), 1, 0)
  head_DV = group.gather_far(head_DV)
  for axis in reversed(plan.shards[:-1]):
    head_DV = jax.lax.all_gather(head_DV, axis, tiled=True)
  return head_DV


def _reduced_head(
  plan: LossPlan, group: _Group, dhead_DV: jax.Array, dtype: Any
) -> jax.Array:
  """Returns a device's part of the head's gradient, added up over all."""
  # Sent as the gradients of all other kernels are.
  dhead_DV = dhead_DV.astype(plan.layout.grad_reduce_dtype or dtype)
  for axis in plan.shards[:-1]:
    dhead_DV = jax.lax.psum_scatter(dhead_DV, axis, tiled=True)
  dhead_DV = group.exchange(group.scatter_far(dhead_DV), 0, 1)
  copies = plan.layout.cut(('data', 'context'))
  if not copies:
    return dhead_DV
  # Flat: what crosses slices is sent with the padding of its tiles, and a part
  # of the width may be much narrower than these.
  return jax.lax.psum(dhead_DV.reshape(-1), copies).reshape(dhead_DV.shape)


def _log_z_and_label(
  plan: LossPlan, group: _Group, logits_gcV: jax.Array, is_label_gcV: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Returns log Z and the target's logit `[g, c]`, over all vocabulary."""
  top_gc = jnp.max(logits_gcV, axis=-1)
  z_gc = jnp.sum(jnp.exp(logits_gcV - top_gc[..., None]), axis=-1)
  label_gc = jnp.sum(jnp.where(is_label_gcV, logits_gcV, 0), axis=-1)
  parts = group.gather(jnp.stack([top_gc, z_gc, label_gc])[None])
  if plan.layout.size('tensor') > 1:
    parts = jax.lax.all_gather(parts, 'tensor', tiled=True)
  top, z, label = parts[:, 0], parts[:, 1], parts[:, 2]
  highest_gc = jnp.max(top, axis=0)
  z_gc = jnp.sum(z * jnp.exp(top - highest_gc[None]), axis=0)
  return highest_gc + jnp.log(z_gc), jnp.sum(label, axis=0)


def _of_device(
  plan: LossPlan,
  with_gradients: bool,
  x_BTD: jax.Array,
  head_DV: jax.Array,
  targets_BT: jax.Array,
  weights_BT: jax.Array,
) -> tuple[RowSums, jax.Array | None, jax.Array | None]:
  """What one device does: its sums, its part of the gradients."""
  group, dtype = _Group(plan), x_BTD.dtype
  whole_DV = _gathered_head(plan, group, head_DV, dtype)
  V = whole_DV.shape[1]
  first = group.index * V
  if plan.layout.size('tensor') > 1:
    first = first + jax.lax.axis_index('tensor') * (V * plan.group)
  x_gTD = group.gather(x_BTD)
  inputs = [
    models.split_positions(a, plan.chunk)
    for a in (x_gTD, group.gather(targets_BT), group.gather(weights_BT))
  ]
  with_head = with_gradients and plan.trains_head

  def one_chunk(
    carry: tuple[RowSums, jax.Array], xs: list[jax.Array]
  ) -> tuple[tuple[RowSums, jax.Array], jax.Array | None]:
    (sums, dhead_DV), (x_gcD, targets_gc, weights_gc) = carry, xs
    logits_gcV = decoder.project_logits(x_gcD, whole_DV, plan.softcap)
    ids = jax.lax.broadcasted_iota(jnp.int32, logits_gcV.shape, 2)
    is_label_gcV = ids == (targets_gc - first)[..., None]
    log_z_gc, label_gc = _log_z_and_label(plan, group, logits_gcV, is_label_gcV)
    sums = RowSums(
      sums.loss + jnp.sum(weights_gc * (log_z_gc - label_gc), axis=-1),
      sums.log_z_squared + jnp.sum(weights_gc * log_z_gc**2, axis=-1),
      sums.weight + jnp.sum(weights_gc, axis=-1),
    )
    if not with_gradients:
      return (sums, dhead_DV), None
    p_gcV = jnp.exp(logits_gcV - log_z_gc[..., None])
    d_gcV = p_gcV * (1 + 2 * plan.z_loss * log_z_gc)[..., None] - is_label_gcV
    if plan.softcap is not None:
      d_gcV = d_gcV * (1 - (logits_gcV / plan.softcap) ** 2)
    d_gcV = (d_gcV * weights_gc[..., None]).astype(dtype)
    if with_head:
      dhead_DV = dhead_DV + jnp.einsum(
        'gcD,gcV->DV', x_gcD, d_gcV, preferred_element_type=models.wide(x_gcD)
      )
    return (sums, dhead_DV), jnp.einsum('gcV,DV->gcD', d_gcV, whole_DV)

  zeros = jnp.zeros((x_gTD.shape[0],), models.wide(x_BTD))
  dhead = jnp.zeros(whole_DV.shape if with_head else (), zeros.dtype)
  (sums, dhead), dx_JgcD = jax.lax.scan(
    one_chunk, (RowSums(zeros, zeros, zeros), dhead), inputs
  )
  B = x_BTD.shape[0]
  sums = jax.tree.map(
    lambda a: jax.lax.dynamic_slice_in_dim(a, group.index * B, B), sums
  )
  if plan.layout.size('context') > 1:
    sums = jax.lax.psum(sums, 'context')
  if dx_JgcD is None:
    return sums, None, None
  dx_BTD = group.scatter(jnp.moveaxis(dx_JgcD, 0, 1).reshape(x_gTD.shape))
  if plan.layout.size('tensor') > 1:
    dx_BTD = jax.lax.psum(dx_BTD, 'tensor')
  if not with_head:
    return sums, dx_BTD, None
  dhead = _reduced_head(plan, group, dhead, dtype)
  return sums, dx_BTD, dhead.astype(head_DV.dtype)


def _on_mesh(
  plan: LossPlan, with_gradients: bool, *args: jax.Array
) -> tuple[RowSums, jax.Array | None, jax.Array | None]:
  layout = plan.layout
  x, head, of_positions, rows = (
    layout.spec(layout_lib.names_of(letters))
    for letters in ('BTD', 'DV', 'BT', 'B')
  )
  return jax.shard_map(
    functools.partial(_of_device, plan, with_gradients),
    mesh=layout.mesh,
    in_specs=(x, head, of_positions, of_positions),
    out_specs=(
      rows,
      x if with_gradients else None,
      head if with_gradients and plan.trains_head else None,
    ),
    check_vma=False,
  )(*args)


def _total(plan: LossPlan, sums: RowSums) -> jax.Array:
  return jnp.sum(sums.loss) + plan.z_loss * jnp.sum(sums.log_z_squared)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def summed_cross_entropy(
  plan: LossPlan,
  x_BTD: jax.Array,
  head_DV: jax.Array,
  targets_BT: jax.Array,
  weights_BT: jax.Array,
) -> tuple[jax.Array, RowSums]:
  """Returns Σ weight · (−log p + z_loss · (log Z)²), and sums of each row.

  Only the first can be differentiated, and only by `x_BTD` and `head_DV`.

  Args:
    plan: Static.
    x_BTD: Final hidden states, of all devices.
    head_DV: Output head, as parameters lie.
    targets_BT: int32 ids; where the weight is 0 any valid id.
    weights_BT: float32 loss weights.
  """
  sums, _, _ = _on_mesh(plan, False, x_BTD, head_DV, targets_BT, weights_BT)
  return _total(plan, sums), sums


def _forward(
  plan: LossPlan, *args: jax.Array
) -> tuple[tuple[jax.Array, RowSums], tuple[jax.Array | None, ...]]:
  sums, dx_BTD, dhead_DV = _on_mesh(plan, True, *args)
  if dhead_DV is None:
    dhead_DV = jnp.zeros_like(args[1])
  return (_total(plan, sums), sums), (dx_BTD, dhead_DV)


def _backward(
  plan: LossPlan,
  gradients: tuple[jax.Array, jax.Array],
  cotangents: tuple[jax.Array, RowSums],
) -> tuple[jax.Array | None, ...]:
  del plan
  dx_BTD, dhead_DV = (d * cotangents[0].astype(d.dtype) for d in gradients)
  return dx_BTD, dhead_DV, None, None


summed_cross_entropy.defvjp(_forward, _backward)
