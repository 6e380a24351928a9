"""The decoder again, layer by layer, for steps of a single position.

Training scans over stacked parameters. A decode step reads every weight once
and computes little with it, and there the scan's copy of each layer's slice
costs as much as the layer itself. So the stacks are taken apart once, before
the first step, and each layer's cache is an array of its own.

Shapes: `B` batch, `T` sequence, `D` model width, `N` layers.
"""

from collections.abc import Sequence
import functools
from typing import Any
from typing import NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

from msm_jax.models import layers
from msm_jax.models.decoder import Decoder
from msm_jax.models.decoder import Model
from msm_jax.models.decoder import Params

_STACKS = ('layers', 'last_layers')


class UnrolledParams(NamedTuple):
  """Parameters taken apart.

  Attributes:
    ends: All but the stacks: embedding, final norm, head.
    blocks: Of each of the `N` layers.
  """

  ends: Params
  blocks: tuple[Params, ...]


def _take_apart(stacks: list[Params]) -> tuple[Params, ...]:
  return tuple(
    jax.tree.map(lambda a, n=n: a[n], stack)
    for stack in stacks
    for n in range(_depth(stack))
  )


def _depth(stack: Params) -> int:
  return jax.tree.leaves(stack)[0].shape[0]


def _of_slice(sharding: Any) -> Any:
  """The sharding of one layer's slice of a stack."""
  if not isinstance(sharding, NamedSharding):
    return sharding
  return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[1:]))


def unroll(params: Params) -> UnrolledParams:
  """Copies stacked parameters into an array per layer, where they lie now.

  Both exist afterwards; a caller who is short of memory drops the stacked ones.
  """
  params = jax.tree.map(jnp.asarray, params)
  stacks = [params[name] for name in _STACKS if name in params]
  where: list[Any] = []
  for stack in stacks:
    of_slice = jax.tree.map(lambda a: _of_slice(a.sharding), stack)
    where += [of_slice] * _depth(stack)
  return UnrolledParams(
    {name: leaf for name, leaf in params.items() if name not in _STACKS},
    jax.jit(_take_apart, out_shardings=tuple(where))(stacks),
  )


class _Graphs(NamedTuple):
  """Graph and abstract state of what a decoder is made of."""

  ends: Any
  stacks: tuple[Any, Any]


@functools.cache
def _graphs(model: Model) -> _Graphs:
  decoder = model.bind(model.abstract_params())
  stacks = [
    None if stack is None else nnx.split(stack, nnx.Param)
    for stack in (decoder.layers, decoder.last_layers)
  ]
  decoder.layers = decoder.last_layers = None
  return _Graphs(nnx.split(decoder, nnx.Param), (stacks[0], stacks[1]))


def _bind(graph: Any, params: Params) -> Any:
  graphdef, abstract = graph
  state = jax.tree.map(lambda x: x, abstract)
  nnx.replace_by_pure_dict(state, params)
  return nnx.merge(graphdef, state)


def run(
  model: Model,
  params: UnrolledParams,
  tokens_BT: jax.Array,
  positions_BT: jax.Array,
  mix: layers.Mix,
  states: Sequence[Any],
) -> tuple[jax.Array, jax.Array, tuple[Any, ...]]:
  """Runs all layers; `Decoder.run`, with a state per layer.

  Args:
    model: Whose parameters were taken apart.
    params: These.
    tokens_BT: int32 ids.
    positions_BT: int32 positions for RoPE.
    mix: See `layers.Mix`.
    states: Of each of the `N` layers, any tree of arrays.

  Returns:
    The normalised final hidden states `[B, T, D]`, the head `[D, V]`, and the
    new states.
  """
  graphs = _graphs(model)
  decoder: Decoder = _bind(graphs.ends, params.ends)
  x_BTD = decoder.embed(tokens_BT)
  new = []
  for n, (of_block, state) in enumerate(
    zip(params.blocks, states, strict=True)
  ):
    is_last = n >= model.config.n_grouped_layers
    block: layers.Block = _bind(graphs.stacks[is_last], of_block)
    kind = model.config.layer(n)
    x_BTD, state = block(x_BTD, positions_BT, kind, mix, state)
    new.append(state)
  return decoder.final_norm(x_BTD), decoder.head_DV(), tuple(new)
