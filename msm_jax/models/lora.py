"""Low-rank adapters (LoRA, DoRA) on a frozen base, as leaves beside kernels.

    y = x W + (alpha / rank) · (x A) B            (Hu et al., arXiv 2106.09685)

A projection that an adapter trains has `lora: {a, b}` beside its `kernel`, for
DoRA (Liu et al., arXiv 2402.09353) also `magnitude`; a kernel that is kept in 8
or 4 bits is a dict, see `quantised`. Everything here is a pure function over
the dict of parameters and the model's `sites`, its projections by path.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import fnmatch
import functools
import math
from typing import Any
import zlib

from flax import nnx
import jax
import jax.numpy as jnp

from msm_jax import schema
from msm_jax.models import quantised
from msm_jax.models.projection import Axes
from msm_jax.models.projection import dense
from msm_jax.models.projection import Projection

BASES = ('param_dtype', 'bfloat16', *quantised.FORMATS)
# Matrices that are no kernels; where the base is kept in fewer bits than the
# model's own, they are kept in bfloat16. Norm scales and biases stay as they
# are.
_MATRICES = ('embedding_VD', 'untied_head_DV')

Params = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class LoRAConfig:
  """What is trained in place of all parameters, and how the rest is kept.

  Attributes:
    rank: Columns of `A`, rows of `B`.
    alpha: The adapter's output is multiplied by `alpha / rank`.
    targets: Patterns (`fnmatch`, where `*` also matches `/`) over the paths of
      projections, e.g. `'*/attention/q'`; each must match one.
    dora: Whether each output's weights are a trained magnitude times a
      direction, which is what the adapter changes (DoRA).
    base: What frozen kernels are kept in: `'param_dtype'` as they are,
      `'bfloat16'`, or `'int8'` or `'nf4'` (QLoRA).
  """

  rank: int
  alpha: float
  targets: tuple[str, ...] = ('*/attention/*', '*/mlp/*')
  dora: bool = False
  base: str = 'param_dtype'

  def __post_init__(self):
    if self.rank < 1:
      raise ValueError(f'rank: {self.rank}, expected at least 1')
    if not (self.alpha > 0 and math.isfinite(self.alpha)):
      raise ValueError(f'alpha: {self.alpha}, expected a positive number')
    if not self.targets:
      raise ValueError('targets: is empty, expected at least one pattern')
    schema.one_of(self.base, BASES, 'base')

  @property
  def scale(self) -> float:
    return self.alpha / self.rank

  @property
  def is_quantised(self) -> bool:
    return self.base in quantised.FORMATS


@dataclasses.dataclass(frozen=True)
class Site:
  """A projection of a model.

  Attributes:
    axes: Of its kernel.
    shape: Of its kernel in one layer.
    stacked: Whether its leaves have a leading axis of layers.
  """

  axes: Axes
  shape: tuple[int, ...]
  stacked: bool

  def dense(self, kernel: Any, dtype: Any) -> jax.Array:
    """Returns one layer's kernel in this dtype, whatever it is kept as."""
    return dense(self.axes, kernel, self.shape, dtype)

  def each_layer(self, fn: Callable[..., Any], *args: Any) -> Any:
    """Applies a function of one layer's leaves to those of all, in turn.

    In turn, since a temporary of one layer is small.
    """
    if not self.stacked:
      return fn(*args)
    return jax.lax.map(lambda of_layer: fn(*of_layer), args)


Sites = Mapping[str, Site]


def find_sites(decoder: nnx.Module) -> dict[str, Site]:
  """Returns the projections of a decoder by their paths, `a/b/c`."""
  found = {}
  for path, module in nnx.iter_modules(decoder):
    if isinstance(module, Projection):
      ndim = module.kernel.get_value().ndim
      found['/'.join(map(str, path))] = Site(
        module.axes, module.shape, stacked=ndim > len(module.shape)
      )
  return dict(sorted(found.items()))


def targets(config: LoRAConfig, sites: Sites) -> list[str]:
  """Returns the paths of the projections that get adapters.

  Raises:
    ConfigError: For a pattern that matches nothing, listing what there is.
  """
  for pattern in config.targets:
    if not fnmatch.filter(sites, pattern):
      raise schema.ConfigError(
        f'lora.targets: {pattern!r} matches no projection; there are: '
        f'{", ".join(sites)}'
      )
  return [
    path
    for path in sites
    if any(fnmatch.fnmatchcase(path, p) for p in config.targets)
  ]


def _at_sites(
  sites: Sites,
  params: Params,
  fn: Callable[[str, Site, Params], Params],
  where: str = '',
) -> Params:
  """Returns the parameters with every projection's leaves replaced."""
  out = {}
  for name, value in params.items():
    path = where + name
    if path in sites:
      out[name] = fn(path, sites[path], value)
    elif isinstance(value, dict):
      out[name] = _at_sites(sites, value, fn, f'{path}/')
    else:
      out[name] = value
  return out


def _keep_base(
  base: str, param_dtype: str, sites: Sites, params: Params
) -> Params:
  """Keeps kernels as `base` says; see `LoRAConfig`."""
  in_full = base == 'param_dtype'
  dtype = jnp.dtype(param_dtype if in_full else jnp.bfloat16)

  def kernel(path: str, site: Site, leaves: Params) -> Params:
    del path
    kept, now = leaves['kernel'], quantised.format_of(leaves['kernel'])
    if base in quantised.FORMATS:
      if now != base:
        kept = site.each_layer(functools.partial(_quantise, base, site), kept)
    elif now is None:
      kept = kept.astype(dtype)
    else:
      kept = site.each_layer(lambda k: site.dense(k, dtype), kept)
    return leaves | {'kernel': kept}

  params = _at_sites(sites, params, kernel)
  return {
    name: value.astype(dtype) if name in _MATRICES else value
    for name, value in params.items()
  }


def _quantise(fmt: str, site: Site, kernel: Any) -> quantised.Quantised:
  axes = site.axes
  quantise = functools.partial(
    quantised.quantise, inputs=len(axes.inputs), fmt=fmt
  )
  for _ in axes.shared:
    quantise = jax.vmap(quantise)
  return quantise(site.dense(kernel, jnp.float32))


def _add(
  config: LoRAConfig, sites: Sites, params: Params, key: jax.Array
) -> Params:
  """Adds new adapters, in float32, that change nothing yet.

  `A` is uniform with variance `1 / (3 · inputs)`, as in the paper's code
  (Kaiming's with `a = √5`), `B` is zero, magnitudes are norms of the kernel.
  An adapter's draws depend on the key and its path only.
  """
  chosen = set(targets(config, sites))

  def add(path: str, site: Site, leaves: Params) -> Params:
    if path not in chosen:
      return leaves
    axes, sizes = (
      site.axes,
      dict(zip(site.axes.kernel, site.shape, strict=True)),
    )
    layers = jax.tree.leaves(leaves['kernel'])[0].shape[: int(site.stacked)]
    shared, inputs, outputs = (
      tuple(sizes[axis] for axis in part)
      for part in (axes.shared, axes.inputs, axes.outputs)
    )
    bound = math.prod(inputs) ** -0.5
    lora = {
      'a': jax.random.uniform(
        jax.random.fold_in(key, zlib.crc32(path.encode())),
        (*layers, *shared, *inputs, config.rank),
        jnp.float32,
        -bound,
        bound,
      ),
      'b': jnp.zeros((*layers, *shared, config.rank, *outputs), jnp.float32),
    }
    if config.dora:
      lora['magnitude'] = site.each_layer(
        lambda k: axes.norms(site.dense(k, jnp.float32)),
        leaves['kernel'],
      )
    return leaves | {'lora': lora}

  return _at_sites(sites, params, add)


def drop(params: Params) -> Params:
  """Returns the parameters without adapters, as if none had been trained."""
  return {
    name: drop(value) if isinstance(value, dict) else value
    for name, value in params.items()
    if name != 'lora'
  }


def merge(
  config: LoRAConfig, dtype: Any, sites: Sites, params: Params
) -> Params:
  """Returns the parameters with adapters added into their kernels.

  Exact to `dtype`: computed in float64 and rounded once. To be traced within
  `jax.enable_x64(True)`. Kernels that have no adapter stay as they are kept.
  """
  if jnp.result_type(float) != jnp.float64:
    raise ValueError('merge: needs jax.enable_x64(True)')

  def add(path: str, site: Site, leaves: Params) -> Params:
    del path
    if 'lora' not in leaves:
      return leaves
    kernel = site.each_layer(
      functools.partial(_merged_kernel, config, dtype, site),
      leaves['kernel'],
      leaves['lora'],
    )
    return drop(leaves) | {'kernel': kernel}

  return _at_sites(sites, params, add)


def _merged_kernel(
  config: LoRAConfig, dtype: str, site: Site, kernel: Any, lora: Params
) -> jax.Array:
  axes = site.axes
  lora = {name: leaf.astype(jnp.float64) for name, leaf in lora.items()}
  kernel = site.dense(kernel, jnp.float64)
  kernel += config.scale * jnp.einsum(axes.delta, lora['a'], lora['b'])
  if config.dora:
    norms = jnp.maximum(axes.norms(kernel), jnp.finfo(jnp.float32).tiny)
    kernel *= axes.along_kernel(lora['magnitude'] / norms)
  return kernel.astype(dtype)


def split(params: Params) -> tuple[Params, Params]:
  """Returns what is trained and what is frozen, as two trees.

  Where there are adapters they alone are trained, else everything is.
  """
  trained, frozen = _split(params)
  return (trained, frozen) if trained else (frozen, trained)


def _split(params: Params) -> tuple[Params, Params]:
  trained, frozen = {}, {}
  for name, value in params.items():
    if name == 'lora':
      trained[name] = value
    elif isinstance(value, dict):
      trained_below, frozen_below = _split(value)
      if trained_below:
        trained[name] = trained_below
      if frozen_below:
        frozen[name] = frozen_below
    else:
      frozen[name] = value
  return trained, frozen


def join(trained: Params, frozen: Params) -> Params:
  """The inverse of `split`."""
  joined = dict(frozen)
  for name, value in trained.items():
    if isinstance(value, dict) and name in frozen:
      value = join(value, frozen[name])
    joined[name] = value
  return joined


def adapt(
  config: LoRAConfig | None,
  param_dtype: str,
  sites: Sites,
  params: Params,
  key: jax.Array,
) -> Params:
  """Returns parameters that have no adapters as a model under `config` does.

  Args:
    config: Adapters and how the base is kept; None is the model without.
    param_dtype: Of the model.
    sites: Its projections.
    params: Its parameters, however they are kept; what is kept as it should be
      is not touched.
    key: For the new adapters.
  """
  base = 'param_dtype' if config is None else config.base
  params = _keep_base(base, param_dtype, sites, params)
  return params if config is None else _add(config, sites, params, key)


def install(decoder: nnx.Module, config: LoRAConfig, param_dtype: str) -> None:
  """Gives a decoder the structure that it has under `config`."""
  params = nnx.to_pure_dict(nnx.state(decoder, nnx.Param))
  sites = find_sites(decoder)
  params = adapt(config, param_dtype, sites, params, jax.random.key(0))
  _set_leaves(decoder, params)
  for _, module in nnx.iter_modules(decoder):
    if isinstance(module, Projection):
      module.frozen = True
      module.lora_scale = config.scale


def _set_leaves(module: Any, params: Params) -> None:
  for name, value in params.items():
    child = getattr(module, name, None)
    if not isinstance(value, dict):
      setattr(module, name, nnx.Param(value))
    elif isinstance(child, nnx.Module):
      _set_leaves(child, value)
    else:
      leaves = {k: nnx.Param(leaf) for k, leaf in value.items()}
      setattr(module, name, nnx.Dict(leaves))
