"""What each axis of each parameter is, and how it lies on a mesh by that.

One table, by path: whoever adds a parameter names its axes here.
"""

from typing import Any

import jax

from msm_jax.models import quantised
from msm_jax.models.decoder import Model
from msm_jax.models.decoder import Params
from msm_jax.models.layout import Layout

_STACKS = ('layers', 'last_layers')

_ARRAYS: dict[str, tuple[str, ...]] = {
  'embedding_VD': ('vocab', 'embed'),
  'untied_head_DV': ('embed', 'vocab'),
  'final_norm/scale': ('norm',),
  'attention_norm/scale': ('norm',),
  'attention_post_norm/scale': ('norm',),
  'mlp_norm/scale': ('norm',),
  'mlp_post_norm/scale': ('norm',),
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


def shardings(params: Params, layout: Layout) -> Params:
  """Returns how parameters lie on a mesh, in a tree like theirs.

  Args:
    params: Arrays or their `jax.ShapeDtypeStruct`s; any part of them.
    layout: The mesh.

  Raises:
    ConfigError: If a parameter cannot be cut so, naming it, its axis and sizes.
  """

  def of(path: tuple[Any, ...], x: Any, names: tuple[str, ...]) -> Any:
    layout.check('/'.join(str(key.key) for key in path), x.shape, names)
    return layout.sharding(*names)

  return jax.tree_util.tree_map_with_path(of, params, logical_axes(params))


def compile_init(model: Model, layout: Layout) -> jax.stages.Compiled:
  """Compiles `model.init` so that each device draws its own shards only.

  The draws are those of `model.init` on one device, bit for bit.

  Args:
    model: The decoder.
    layout: The mesh.

  Returns:
    A function of a typed key, such as that of `jax.random.key(seed)`.
  """
  key = jax.eval_shape(lambda: jax.random.key(0))
  out = shardings(model.abstract_params(), layout)
  return jax.jit(model.init, out_shardings=out).lower(key).compile()
