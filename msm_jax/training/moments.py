"""How AdamW's moments are kept between updates: in float32, or in fewer bits.

Every update computes with float32 moments (float64 where parameters are); what
is rounded is only what the next update reads.

`mu_dtype = 'bfloat16'` rounds the first moment to the nearest of 8 significant
bits. Of `m + (1 − b1) · (g − m)` only steps below 2⁻⁹ of `m` are lost, which
with `b1 = 0.9` are those where `g` is within 2 % of `m` already.

`nu_format = 'log_uint8'` keeps the root of the second moment, whose dynamic
range is half, in 8 bits on a scale that is shared by a block of some 32
elements (blocks: Dettmers et al., 8-bit Optimizers, arXiv 2110.02861):

    √ν = 2^(exponent − (255 − code) / 16)    code 1 … 255; code 0 is ν = 0

Levels are 4.4 % apart whatever the size of an element, since what Adam divides
by must be right relative to itself; the smallest is 2^-15.9 of the largest.
What is smaller is rounded up to it, so that its updates are smaller, never
larger; only what has never had a gradient is zero, and its first moment is
zero as well. A level at zero for all small elements is what makes plain 8-bit
second moments diverge (Li et al., arXiv 2309.01507, section 4.1).

Rounding is stochastic, with the probability that makes the expectation of `ν`
the `ν` that is rounded: the average is linear in it, so that it is unbiased
over all updates. To the nearest level, an average over `1 / (1 − b2)` updates
would stand still where one of them moves it by less than half a level; so does
a plain bfloat16 second moment at `b2 = 0.999`, which never falls. The scale is
a power of two, so that levels stay the same while it moves, and what does not
change is not rounded again. Draws are a function of the count of updates and
of the parameter: a resumed run draws what it would have drawn, on any mesh.

`benchmarks/optimizer_state.py` shows what that does to a loss.
"""

from collections.abc import Callable
import dataclasses
import functools
import math
from typing import Any
import zlib

import jax
import jax.numpy as jnp
import optax

from msm_jax import models
from msm_jax import schema
from msm_jax.models import axes
from msm_jax.training.config import OptimizerConfig

OptimizerState = dict[str, Any]
"""`{'count': int32[], 'mu': …, 'nu': …}`, the last two like the parameters.

In `nu`, a parameter in 8 bits has a dict of `codes`, uint8 in its shape, and
`exponents`, int8, one for each block.
"""

_LEVELS_PER_OCTAVE = 16
_TOP = 255
_OF_ZEROS = -128
# Smaller parameters are no memory (bitsandbytes leaves the same alone).
_MIN_SIZE = 4096
_MIN_BLOCK, _MAX_BLOCK = 8, 32
# Blocks lie along the first of these axes that a parameter has: no mesh cuts
# the first of them, few devices the next, many the last.
_BLOCKED = ('head_dim', 'mlp', 'vocab', 'embed')


@dataclasses.dataclass(frozen=True)
class Blocks:
  """How the second moment of a parameter is cut into blocks.

  Attributes:
    shape: Of the parameter.
    axis: Along which blocks lie.
    size: Elements of each; divides that axis.
  """

  shape: tuple[int, ...]
  axis: int
  size: int

  @property
  def counts(self) -> tuple[int, ...]:
    """How many blocks there are along each axis."""
    a = self.axis
    blocks = self.shape[a] // self.size
    return (*self.shape[:a], blocks, *self.shape[a + 1 :])

  @property
  def order(self) -> list[int]:
    """Where the axes of exponents come from.

    The longest is the last, which TPUs lay out in multiples of 128.
    """
    order, counts = list(range(len(self.shape))), self.counts
    longest = counts.index(max(counts))
    order[longest], order[-1] = order[-1], order[longest]
    return order

  def split(self, x: jax.Array) -> jax.Array:
    """Gives an array in the parameter's shape an axis within blocks."""
    a, counts = self.axis + 1, self.counts
    return x.reshape(*counts[:a], self.size, *counts[a:])

  def along(self, exponents: jax.Array) -> jax.Array:
    """Gives exponents the axes of `split`, in float32."""
    # The order is its own inverse.
    of_blocks = jnp.transpose(exponents, self.order).astype(jnp.float32)
    return jnp.expand_dims(of_blocks, self.axis + 1)


def is_matrix(path: tuple[Any, ...]) -> bool:
  """Whether a parameter is none of norm scales, biases, DoRA's magnitudes."""
  return path[-1].key not in ('scale', 'bias', 'magnitude')


def _name(path: tuple[Any, ...]) -> str:
  return '/'.join(str(key.key) for key in path)


def blocks_of(
  path: tuple[Any, ...], shape: tuple[int, ...], names: tuple[str, ...]
) -> Blocks | None:
  """Returns the blocks of a parameter, or None if it stays in float32.

  Args:
    path: Of the parameter.
    shape: Of the parameter.
    names: Of its axes; see `models.axes`.
  """
  axis = next((names.index(name) for name in _BLOCKED if name in names), None)
  if axis is None or math.prod(shape) < _MIN_SIZE or not is_matrix(path):
    return None
  size = max(n for n in range(1, _MAX_BLOCK + 1) if shape[axis] % n == 0)
  return Blocks(shape, axis, size) if size >= _MIN_BLOCK else None


def _map(
  config: OptimizerConfig,
  fn: Callable[..., Any],
  params: models.Params,
  *trees: Any,
) -> Any:
  """Maps `fn(path, blocks, param, *subtrees)` over parameters."""
  if config.nu_format == 'float32':
    return jax.tree_util.tree_map_with_path(
      lambda path, *rest: fn(path, None, *rest), params, *trees
    )

  def of(path: Any, param: Any, names: Any, *rest: Any) -> Any:
    return fn(path, blocks_of(path, param.shape, names), param, *rest)

  names = axes.logical_axes(params)
  return jax.tree_util.tree_map_with_path(of, params, names, *trees)


def quantise(nu: jax.Array, blocks: Blocks, key: jax.Array) -> dict[str, Any]:
  """Rounds second moments to a level above or below; see the head.

  Args:
    nu: Float32, not negative.
    blocks: Which share an exponent.
    key: For the draws; of threefry, whose draws no mesh changes.
  """
  split = blocks.split(nu)
  largest = jnp.max(split, axis=blocks.axis + 1)
  exponent = jnp.ceil(0.5 * jnp.log2(jnp.where(largest > 0, largest, 1.0)))
  exponent = jnp.where(largest > 0, exponent, _OF_ZEROS).astype(jnp.int8)
  exponents = jnp.transpose(exponent, blocks.order)
  root = 0.5 * jnp.log2(jnp.where(split > 0, split, 1.0))
  level = _TOP + _LEVELS_PER_OCTAVE * (root - blocks.along(exponents))
  below = jnp.clip(jnp.floor(level), 1, _TOP)
  # How far ν, not its logarithm, is on the way to the next level.
  octaves = 2 / _LEVELS_PER_OCTAVE
  way = (jnp.exp2(octaves * (level - below)) - 1) / (2**octaves - 1)
  draws = blocks.split(jax.random.uniform(key, nu.shape))
  code = jnp.minimum(below + (draws < way), _TOP)
  code = jnp.where(split > 0, code, 0).astype(jnp.uint8)
  return {'codes': code.reshape(nu.shape), 'exponents': exponents}


def dequantise(quantised: dict[str, Any], blocks: Blocks) -> jax.Array:
  """Returns the second moments that codes stand for, float32."""
  code = blocks.split(quantised['codes']).astype(jnp.float32)
  root = blocks.along(quantised['exponents'])
  root = root - (_TOP - code) / _LEVELS_PER_OCTAVE
  nu = jnp.where(code > 0, jnp.exp2(2 * root), 0.0)
  return nu.reshape(quantised['codes'].shape)


def init(config: OptimizerConfig, params: models.Params) -> OptimizerState:
  """Returns zero moments of parameters, of which only shapes are read."""

  def mu(param: Any) -> jax.Array:
    return jnp.zeros(param.shape, _mu_dtype(config, param))

  def nu(path: Any, blocks: Blocks | None, param: Any) -> Any:
    if blocks is None:
      return jnp.zeros(param.shape, models.wide(param))
    shape = [blocks.counts[i] for i in blocks.order]
    return {
      'codes': jnp.zeros(param.shape, jnp.uint8),
      'exponents': jnp.full(shape, _OF_ZEROS, jnp.int8),
    }

  return {
    'count': jnp.zeros((), jnp.int32),
    'mu': jax.tree.map(mu, params),
    'nu': _map(config, nu, params),
  }


def _exact_nu(config: OptimizerConfig, kept: Any, params: models.Params) -> Any:
  def exact(
    path: Any, blocks: Blocks | None, param: Any, kept: Any
  ) -> jax.Array:
    return kept if blocks is None else dequantise(kept, blocks)

  return _map(config, exact, params, kept)


def _kept_nu(
  config: OptimizerConfig, exact: Any, count: jax.Array, params: models.Params
) -> Any:
  def kept(path: Any, blocks: Blocks | None, param: Any, exact: Any) -> Any:
    if blocks is None:
      return exact
    key = jax.random.key(zlib.crc32(_name(path).encode()), impl='threefry2x32')
    return quantise(exact, blocks, jax.random.fold_in(key, count))

  return _map(config, kept, params, exact)


def _mu_dtype(config: OptimizerConfig, like: Any) -> Any:
  if config.mu_dtype == 'float32':
    return models.wide(like)
  return jnp.dtype(config.mu_dtype)


def _kept_mu(config: OptimizerConfig, exact: Any) -> Any:
  return jax.tree.map(lambda m: m.astype(_mu_dtype(config, m)), exact)


def unpack(
  config: OptimizerConfig, state: OptimizerState, params: models.Params
) -> optax.ScaleByAdamState:
  """Returns moments as an update computes with them.

  Args:
    config: With which they were packed.
    state: As they are kept.
    params: Whose moments they are; only shapes are read.
  """
  return optax.ScaleByAdamState(
    count=state['count'],
    mu=jax.tree.map(lambda m: m.astype(models.wide(m)), state['mu']),
    nu=_exact_nu(config, state['nu'], params),
  )


def pack(
  config: OptimizerConfig, state: optax.ScaleByAdamState, params: models.Params
) -> OptimizerState:
  """Returns moments as they are kept; see `unpack`."""
  return {
    'count': state.count,
    'mu': _kept_mu(config, state.mu),
    'nu': _kept_nu(config, state.nu, state.count, params),
  }


def zeros(
  config: OptimizerConfig, params: models.Params, layout: models.Layout
) -> OptimizerState:
  """Makes zero moments of parameters, each device its own part."""
  return compile_zeros(config, params, layout)()


def compile_zeros(
  config: OptimizerConfig, params: models.Params, layout: models.Layout
) -> Callable[[], OptimizerState]:
  """Returns the compiled `zeros` of parameters, which may be abstract."""
  out = shardings(config, params, layout)
  abstract = jax.eval_shape(lambda: params)
  made = jax.jit(lambda: init(config, abstract), out_shardings=out)
  return made.lower().compile()


def convert(
  config: OptimizerConfig,
  state: OptimizerState,
  params: models.Params,
  layout: models.Layout,
) -> OptimizerState:
  """Returns moments as they are kept under `config`, however they were.

  The count stays, and so does what is kept as is wanted: it is not copied.

  Args:
    config: What is wanted.
    state: Of another phase, which may have kept them in another format.
    params: Whose moments they are; only shapes are read.
    layout: Where they lie, before and after.
  """
  abstract = jax.eval_shape(lambda: params)
  wanted = jax.eval_shape(lambda: init(config, abstract))
  out = shardings(config, params, layout)
  mu, nu, count = state['mu'], state['nu'], state['count']
  if _dtypes(mu) != _dtypes(wanted['mu']):
    cast = functools.partial(_kept_mu, config)
    mu = jax.jit(cast, out_shardings=out['mu'])(mu)
  if _dtypes(nu) != _dtypes(wanted['nu']):
    in_bits = jnp.dtype('uint8') in _dtypes(nu)
    there = dataclasses.replace(
      config, nu_format='log_uint8' if in_bits else 'float32'
    )

    def converted(nu: Any, count: jax.Array) -> Any:
      exact = _exact_nu(there, nu, abstract)
      return _kept_nu(config, exact, count, abstract)

    nu = jax.jit(converted, out_shardings=out['nu'])(nu, count)
  return {'count': count, 'mu': mu, 'nu': nu}


def _dtypes(tree: Any) -> list[Any]:
  return [jnp.dtype(x.dtype) for x in jax.tree.leaves(tree)]


def shardings(
  config: OptimizerConfig, params: models.Params, layout: models.Layout
) -> OptimizerState:
  """Returns how moments lie on a mesh: as the parameters that they are of.

  Raises:
    ConfigError: If blocks would be cut, naming the parameter and sizes.
  """
  as_params = axes.shardings(params, layout)
  names = axes.logical_axes(params)

  def nu(path: Any, blocks: Blocks | None, param: Any, names: Any) -> Any:
    whole = layout.sharding(*names)
    if blocks is None:
      return whole
    try:
      layout.check(
        f'blocks of {blocks.size} of the second moment of {_name(path)}',
        blocks.counts,
        names,
      )
    except schema.ConfigError as e:
      raise schema.ConfigError(f"{e}, or nu_format = 'float32'") from e
    ordered = [names[i] for i in blocks.order]
    return {'codes': whole, 'exponents': layout.sharding(*ordered)}

  return {
    'count': layout.sharding(),
    'mu': as_params,
    'nu': _map(config, nu, params, names),
  }
