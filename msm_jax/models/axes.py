"""What each axis of each parameter is, and how it is sharded by that.

One table, by path: whoever adds a parameter names its axes here.
"""

from typing import Any

import jax
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

from msm_jax.models import quantised
from msm_jax.models.decoder import Model
from msm_jax.models.decoder import Params

_STACKS = ('layers', 'last_layers')

_ARRAYS: dict[str, tuple[str, ...]] = {
  'embedding_VD': ('vocab', 'embed'),
  'untied_head_DV': ('embed', 'vocab'),
  'final_norm/scale': ('embed',),
  'attention_norm/scale': ('embed',),
  'attention_post_norm/scale': ('embed',),
  'mlp_norm/scale': ('embed',),
  'mlp_post_norm/scale': ('embed',),
  # A norm over each head has the last axis only.
  'attention/q_norm/scale': ('heads', 'head_dim'),
  'attention/k_norm/scale': ('kv_heads', 'head_dim'),
}

# Inputs and outputs of each projection.
_PROJECTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
  'attention/q': (('embed',), ('heads', 'head_dim')),
  'attention/k': (('embed',), ('kv_heads', 'head_dim')),
  'attention/v': (('embed',), ('kv_heads', 'head_dim')),
  'attention/out': (('heads', 'head_dim'), ('embed',)),
  'mlp/gate': (('embed',), ('mlp',)),
  'mlp/up': (('embed',), ('mlp',)),
  'mlp/down': (('mlp',), ('embed',)),
}


def _of_projection(
  inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
  """Returns the axes of what a projection may hold, by path within it."""
  return {
    'kernel': inputs + outputs,
    'bias': outputs,
    'lora/a': (*inputs, 'rank'),
    'lora/b': ('rank', *outputs),
    'lora/magnitude': outputs,
    'kernel/int8/codes': inputs + outputs,
    'kernel/int8/scales': outputs,
    'kernel/nf4/codes': ('blocks', *outputs),
    'kernel/nf4/scales': ('blocks', *outputs),
  }


_AXES = _ARRAYS | {
  f'{name}/{part}': axes
  for name, ends in _PROJECTIONS.items()
  for part, axes in _of_projection(*ends).items()
}

# Which axis is cut, the first that the devices divide. Never that of layers: a
# scan takes one layer at a time, of which every device shall have its part.
_CUT = ('embed', 'mlp', 'vocab', 'heads', 'kv_heads', 'blocks')


def logical_axes(params: Params) -> Params:
  """Returns the names of the axes of every parameter, in a tree like theirs.

  Args:
    params: Arrays or their `jax.ShapeDtypeStruct`s.

  Raises:
    ValueError: For a parameter that is not in the table, naming it.
  """
  return {
    key: _under((key,), key in _STACKS, value) for key, value in params.items()
  }


def _under(path: tuple[str, ...], stacked: bool, node: Any) -> Any:
  if not isinstance(node, dict):
    return _axes_of(path, stacked, node.shape)
  if 'codes' in node:
    path = (*path, str(quantised.format_of(node)))
  return {k: _under((*path, k), stacked, v) for k, v in node.items()}


def _axes_of(
  path: tuple[str, ...], stacked: bool, shape: tuple[int, ...]
) -> tuple[str, ...]:
  name = '/'.join(path[1:] if stacked else path)
  if name not in _AXES:
    raise ValueError(
      f'{"/".join(path)}: has no axes in msm_jax.models.axes; name them there'
    )
  names, n_own = _AXES[name], len(shape) - stacked
  if n_own > len(names):
    raise ValueError(
      f'{"/".join(path)}: has shape {tuple(shape)}, expected the axes '
      f'{("layers",) * stacked + names}'
    )
  return ('layers',) * stacked + names[len(names) - n_own :]


def fsdp_shardings(params: Params, mesh: Mesh, axis: str = 'fsdp') -> Params:
  """Returns how fully sharded parameters lie on a mesh.

  Each is cut along one of its axes, over the devices of one axis of the mesh;
  those that no axis divides (norms of a head) are on every device.

  Args:
    params: Arrays or their `jax.ShapeDtypeStruct`s.
    mesh: Devices; what other axes it has sees copies.
    axis: The axis of the mesh.

  Raises:
    ValueError: If the mesh has no such axis.
  """
  if axis not in mesh.shape:
    raise ValueError(
      f'mesh: has axes {list(mesh.shape)}, expected one called {axis!r}'
    )

  def of(x: Any, names: tuple[str, ...]) -> NamedSharding:
    sizes = dict(zip(names, x.shape, strict=True))
    for name in _CUT:
      if name in sizes and sizes[name] % mesh.shape[axis] == 0:
        spec = [axis if n == name else None for n in names]
        return NamedSharding(mesh, PartitionSpec(*spec))
    return NamedSharding(mesh, PartitionSpec())

  return jax.tree.map(of, params, logical_axes(params))


def compile_init(model: Model, shardings: Params) -> jax.stages.Compiled:
  """Compiles `model.init` so that each device draws its own shards only.

  The draws are those of `model.init` on one device, bit for bit.

  Args:
    model: The decoder.
    shardings: For example `fsdp_shardings(model.abstract_params(), mesh)`.

  Returns:
    A function of a typed key, such as that of `jax.random.key(seed)`.
  """
  key = jax.eval_shape(lambda: jax.random.key(0))
  return jax.jit(model.init, out_shardings=shardings).lower(key).compile()
