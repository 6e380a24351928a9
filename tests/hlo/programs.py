"""Small programs whose FLOPs and collectives can be counted by hand.

Each takes the devices that it is for, and returns what `jax.jit` needs. The
tests compile them for CPUs; `make.py` compiled them for TPUs, and wrote the
texts in this folder.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
from typing import Any

import jax
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_kernel as splash,
)
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_mask as masks,
)
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np

Made = tuple[Callable[..., Any], tuple[Any, ...]]

# Rows, width, and how often loops run.
N, D = 256, 128
OUTER, INNER = 5, 3
# Of layers that are so wide that gathering them is worth overlapping.
WIDTH = 4096


def mesh_of(
  devices: Sequence[Any], shape: Sequence[int], axes: Sequence[str]
) -> Mesh:
  return Mesh(np.asarray(devices).reshape(tuple(shape)), tuple(axes))


def array(mesh: Mesh, shape: Sequence[int], spec: P, dtype=jnp.bfloat16) -> Any:
  return jax.ShapeDtypeStruct(
    tuple(shape), dtype, sharding=NamedSharding(mesh, spec)
  )


def matmuls(devices: Sequence[Any]) -> Made:
  """A product, and a batch of them: 2·N·D·D + 4 · 2·N·D·D FLOPs."""
  mesh = mesh_of(devices[:1], (1,), ('x',))

  def f(x_ND, w_DD, x_BND, w_BDD):
    return x_ND @ w_DD, jnp.einsum('BND,BDE->BNE', x_BND, w_BDD)

  return f, tuple(
    array(mesh, s, P()) for s in ((N, D), (D, D), (4, N, D), (4, D, D))
  )


def nested_loops(devices: Sequence[Any]) -> Made:
  """OUTER · (INNER + 1) products of 2·N·D·D FLOPs."""
  mesh = mesh_of(devices[:1], (1,), ('x',))

  def f(x_ND, w_LIDD, v_LDD):
    def outer(x, ws):
      w_IDD, v_DD = ws
      x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w_IDD)
      return jnp.tanh(x @ v_DD), None

    return jax.lax.scan(outer, x_ND, (w_LIDD, v_LDD))[0]

  shapes = ((N, D), (OUTER, INNER, D, D), (OUTER, D, D))
  return f, tuple(array(mesh, s, P()) for s in shapes)


def rematerialised(devices: Sequence[Any]) -> Made:
  """Gradients of OUTER layers of two products, of which one is made again.

  Forward 2; backward 2 each for inputs and weights, and again the product whose
  result is squared; the product before the sum is needed by nothing: 7.
  """
  mesh = mesh_of(devices[:1], (1,), ('x',))

  @functools.partial(
    jax.checkpoint,
    policy=jax.checkpoint_policies.nothing_saveable,
    prevent_cse=False,
  )
  def layer(x, ws):
    w, v = ws
    return x + jnp.square(x @ w) @ v, None

  def loss(x, ws):
    return jnp.sum(jax.lax.scan(layer, x, ws)[0].astype(jnp.float32))

  weights = array(mesh, (OUTER, D, D), P())
  return jax.grad(loss, argnums=1), (
    array(mesh, (N, D), P()),
    (weights, weights),
  )


def collectives(devices: Sequence[Any], dtype: Any = jnp.bfloat16) -> Made:
  """Each collective once, over all devices or over one axis of two.

  On 8 devices, of `[N, D]` on each: a sum over all; a gather of 2 (to 2·N rows)
  and a reduce-scatter over 4 (to N / 4 rows); an exchange and a shift over 4.
  """
  mesh = mesh_of(devices, (len(devices) // 4, 4), ('a', 'b'))
  spec = P(('a', 'b'))

  def f(x, y, z, u, v):
    return (
      jax.lax.psum(x * 2, ('a', 'b')),
      jax.lax.all_gather(y * 2, 'a', axis=0, tiled=True),
      jax.lax.psum_scatter(z * 2, 'b', scatter_dimension=0, tiled=True),
      jax.lax.all_to_all(u * 2, 'b', 0, 1, tiled=True),
      jax.lax.ppermute(v * 2, 'b', [(i, (i + 1) % 4) for i in range(4)]),
    )

  f = jax.shard_map(
    f,
    mesh=mesh,
    in_specs=(spec,) * 5,
    out_specs=(P(), *(spec,) * 4),
    check_vma=False,
  )
  x = array(mesh, (len(devices) * N, D), spec, dtype)
  return f, (x,) * 5


def partitioned(devices: Sequence[Any]) -> Made:
  """A gradient step that the partitioner, not the program, distributes."""
  mesh = mesh_of(devices, (len(devices) // 4, 4), ('a', 'b'))

  def f(x_ND, w_DD):
    grad = jax.grad(lambda w: jnp.sum(jnp.tanh(x_ND @ w)))(w_DD)
    return jax.lax.with_sharding_constraint(
      w_DD - grad, NamedSharding(mesh, P('b'))
    )

  return f, (
    array(mesh, (len(devices) * N, D), P(('a', 'b')), jnp.float32),
    array(mesh, (D, D), P('b'), jnp.float32),
  )


def gathered_layers(devices: Sequence[Any]) -> Made:
  """OUTER layers whose weights are gathered, and gradients reduce-scattered.

  7 products a layer: forward 2; backward the first again, and 2 each for
  inputs and weights. 4 gathers and 2 reduce-scatters of `[WIDTH, WIDTH]`.
  """
  mesh = mesh_of(devices, (len(devices),), ('x',))

  def layer(x, ws):
    w, v = (jax.lax.all_gather(a, 'x', axis=0, tiled=True) for a in ws)
    return jnp.tanh(x @ w) @ v, None

  layer = jax.checkpoint(
    layer,
    policy=jax.checkpoint_policies.nothing_saveable,
    prevent_cse=False,
  )

  def loss(ws, x):
    return jnp.sum(jax.lax.scan(layer, x, ws)[0].astype(jnp.float32))

  f = jax.shard_map(
    jax.grad(loss),
    mesh=mesh,
    in_specs=(P(None, 'x'), P('x')),
    out_specs=P(None, 'x'),
    check_vma=False,
  )
  weights = array(mesh, (OUTER, WIDTH, WIDTH), P(None, 'x'))
  return f, (
    (weights, weights),
    array(mesh, (len(devices) * WIDTH, WIDTH), P('x')),
  )


def splash_attention(
  devices: Sequence[Any], window: int | None = None, batch: int = 2
) -> Made:
  """Gradients of 4 causal heads over 2048 positions, in blocks of 512."""
  mesh = mesh_of(devices[:1], (1,), ('x',))
  H, T, C, block = 4, 2048, 128, 512
  mask = (
    masks.CausalMask((T, T))
    if window is None
    else masks.LocalMask((T, T), (window - 1, 0), 0)
  )
  kernel = splash.make_splash_mha(
    masks.MultiHeadMask([mask] * H),
    head_shards=1,
    q_seq_shards=1,
    block_sizes=splash.BlockSizes(
      block_q=block,
      block_kv=block,
      block_kv_compute=block,
      block_q_dkv=block,
      block_kv_dkv=block,
      block_kv_dkv_compute=block,
      block_q_dq=block,
      block_kv_dq=block,
    ),
  )

  def loss(q, k, v, s):
    out = jax.vmap(lambda q, k, v, s: kernel(q, k, v, splash.SegmentIds(s, s)))(
      q, k, v, s
    )
    return jnp.sum(out.astype(jnp.float32))

  heads = array(mesh, (batch, H, T, C), P())
  return jax.grad(loss, argnums=(0, 1, 2)), (
    heads,
    heads,
    heads,
    array(mesh, (batch, T), P(), jnp.int32),
  )


def between_slices(devices: Sequence[Any]) -> Made:
  """A sum within each slice, and one over two slices, of float32[N, D]."""
  mesh = mesh_of(devices, (2, len(devices) // 2), ('slice', 'chip'))

  def f(x):
    return jax.lax.psum(jnp.tanh(jax.lax.psum(x, 'chip')), 'slice')

  f = jax.shard_map(
    f, mesh=mesh, in_specs=P(('slice', 'chip')), out_specs=P(), check_vma=False
  )
  spec = P(('slice', 'chip'))
  return f, (array(mesh, (len(devices) * N, D), spec, jnp.float32),)
