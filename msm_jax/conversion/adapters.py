"""Adapters of a checkpoint: merged into kernels, dropped, or in PEFT's format.

PEFT (https://huggingface.co/docs/peft/developer_guides/checkpoint) has, beside
an adapter_config.json, `lora_A.weight` `[rank, in]` and `lora_B.weight` `[out,
rank]` of each linear layer, and with DoRA its `lora_magnitude_vector` `[out]`.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import numpy as np

from msm_jax import models
from msm_jax.conversion import stacks
from msm_jax.models import huggingface
from msm_jax.models import lora as lora_lib

CONFIG_NAME = 'adapter_config.json'
WEIGHTS_NAME = 'adapter_model.safetensors'
_PREFIX = 'base_model.model.'


class DenseReader:
  """Reads a checkpoint with adapters as the model without them.

  A kernel is made when it is read, one layer at a time: dense, whatever it is
  kept as, and with its adapter merged into it (in float64, rounded once).
  """

  def __init__(
    self,
    reader: stacks.Reader,
    model: models.Model,
    dtype: np.dtype,
    *,
    merge: bool,
  ):
    """Wraps a reader.

    Args:
      reader: Of the checkpoint's own leaves.
      model: With the adapters.
      dtype: Of the kernels that are returned.
      merge: Whether to add adapters, or drop them.
    """
    self._reader, self._dtype = reader, dtype
    self._plain = stacks.flatten(models.Model(model.config).abstract_params())
    below: dict[stacks.Path, list[stacks.Path]] = {}
    for path in reader.paths:
      site = _site_path(path)
      if site in model.sites and (merge or 'lora' not in path):
        below.setdefault(tuple(site.split('/')), []).append(path)
    self._below = below
    self._make = {
      path: _maker(model, '/'.join(path), dtype.name) for path in below
    }

  @property
  def paths(self) -> list[stacks.Path]:
    return list(self._plain)

  def leaf(self, path: stacks.Path) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(self._plain[path].shape, self._dtype)

  def read(self, path: stacks.Path, layer: int | None) -> np.ndarray:
    site = path[:-1]
    if path[-1] != 'kernel' or site not in self._below:
      return self._reader.read(path, layer)
    leaves = stacks.unflatten(
      {
        below[len(site) :]: self._reader.read(below, layer)
        for below in self._below[site]
      }
    )
    with jax.enable_x64(True):
      return np.asarray(self._make[site](leaves))


def _site_path(path: stacks.Path) -> str:
  """Returns the path of the projection that a leaf belongs to, if to any."""
  for name in ('kernel', 'lora'):
    if name in path:
      return '/'.join(path[: path.index(name)])
  return ''


def _maker(model: models.Model, path: str, dtype: str) -> Callable[..., Any]:
  """Returns the function from a layer's leaves of a projection to a kernel."""
  config = model.lora
  assert config is not None
  site = dataclasses.replace(model.sites[path], stacked=False)

  @jax.jit
  def make(leaves: models.Params) -> jax.Array:
    params, sites = {path: leaves}, {path: site}
    if 'lora' in leaves:
      params = lora_lib.merge(config, dtype, sites, params)
    key = jax.random.key(0)  # Of new adapters; there are none.
    return lora_lib.adapt(None, dtype, sites, params, key)[path]['kernel']

  return make


@dataclasses.dataclass(frozen=True)
class Adapter:
  """A tensor of an adapter folder.

  Attributes:
    name: There.
    path: Of our leaf.
    layer: Index into its first axis, or None.
    shape: There; ours is the transpose, its axes flattened on either side.
  """

  name: str
  path: stacks.Path
  layer: int | None
  shape: tuple[int, ...]

  def to_theirs(self, ours: np.ndarray) -> np.ndarray:
    return ours.reshape(self.shape[::-1]).T


def _modules(
  specs: tuple[huggingface.TensorSpec, ...],
) -> dict[str, huggingface.TensorSpec]:
  """Returns the kernels by the names of the linear layers that they are of."""
  return {
    spec.name.removesuffix('.weight'): spec
    for spec in specs
    if spec.path[-1] == 'kernel'
  }


def tensors(
  config: lora_lib.LoRAConfig,
  reader: stacks.Reader,
  specs: tuple[huggingface.TensorSpec, ...],
) -> list[Adapter]:
  """Returns all tensors of an adapter folder."""
  there, found = set(reader.paths), []
  for module, spec in _modules(specs).items():
    site = (*spec.path[:-1], 'lora')
    if (*site, 'a') not in there:
      continue
    n_out, n_in = spec.shape
    name = f'{_PREFIX}{module}.lora'
    parts: dict[str, tuple[str, tuple[int, ...]]] = {
      'a': (f'{name}_A.weight', (config.rank, n_in)),
      'b': (f'{name}_B.weight', (n_out, config.rank)),
    }
    if config.dora:
      parts['magnitude'] = (f'{name}_magnitude_vector', (n_out,))
    found += [
      Adapter(their_name, (*site, part), spec.layer, shape)
      for part, (their_name, shape) in parts.items()
    ]
  return found


def _target_modules(
  adapted: set[str], specs: tuple[huggingface.TensorSpec, ...]
) -> list[str]:
  """Returns what PEFT finds modules by: endings, or whole names if need be."""
  endings = {module.rpartition('.')[2] for module in adapted}
  matched = {m for m in _modules(specs) if m.rpartition('.')[2] in endings}
  return sorted(endings if matched == adapted else adapted)


def adapter_config(
  config: lora_lib.LoRAConfig,
  adapters: list[Adapter],
  specs: tuple[huggingface.TensorSpec, ...],
  base_model: str | None,
) -> dict[str, Any]:
  """Returns PEFT's adapter_config.json."""
  adapted = {
    a.name.removeprefix(_PREFIX).partition('.lora_')[0] for a in adapters
  }
  alpha = config.alpha
  return {
    'peft_type': 'LORA',
    'task_type': 'CAUSAL_LM',
    'base_model_name_or_path': base_model,
    'r': config.rank,
    'lora_alpha': int(alpha) if alpha == int(alpha) else alpha,
    'lora_dropout': 0.0,
    'use_dora': config.dora,
    'use_rslora': False,
    'bias': 'none',
    'fan_in_fan_out': False,
    'inference_mode': True,
    'target_modules': _target_modules(adapted, specs),
    'modules_to_save': None,
  }
