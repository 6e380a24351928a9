"""How arrays lie on a mesh of devices: one table from axis names to mesh axes.

Every axis of a parameter (`msm_jax.models.axes`) and of an activation has a
name; `RULES` says along which axes of the mesh an axis of that name is cut. An
axis of the mesh cuts an array once: the first name that wants it has it. So
`embed` is cut over `fsdp` in a kernel, and is whole in an activation, whose
`batch` comes first.

The axes of a mesh:

`data`: copies of the parameters, each with its own rows; the outermost, so that
  it is the one that crosses slices (DCN).
`fsdp`: rows as well, but with parameters and moments cut (ZeRO-3; Rajbhandari
  et al., arXiv 1910.02054).
`fsdp_inner`: the same again. Tori of two dimensions, and large ones of three,
  scatter gradients in two steps better than over all chips at once.
`context`: positions of a sequence; keys and values are gathered.
`tensor`: heads, the MLP's width and the vocabulary (Shoeybi et al., arXiv
  1909.08053).
"""

from collections.abc import Sequence
import dataclasses
import functools
import math
from typing import Any

import jax
from jax.experimental import mesh_utils
from jax.sharding import AbstractMesh
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

from msm_jax import schema
from msm_jax.models import tpus

MESH_AXES = ('data', 'fsdp', 'fsdp_inner', 'context', 'tensor')
FSDP = ('fsdp', 'fsdp_inner')
ROWS = ('data', *FSDP)

RULES: dict[str, tuple[str, ...]] = {
  'batch': ROWS,
  # Rows of which every device of `fsdp` has all.
  'replica': ('data',),
  'length': ('context',),
  'embed': FSDP,
  'heads': ('tensor',),
  'kv_heads': ('tensor',),
  'mlp': ('tensor',),
  'vocab': ('tensor',),
  'blocks': FSDP,
  'head_dim': (),
  'rank': (),
  'norm': (),
  'layers': (),
}

# The letters of shapes and einsums; see the heads of the files that use them.
_LETTERS = {
  'B': 'batch',
  'R': 'replica',
  'T': 'length',
  'D': 'embed',
  'H': 'heads',
  'K': 'kv_heads',
  'C': 'head_dim',
  'F': 'mlp',
  'V': 'vocab',
  'r': 'rank',
  'b': 'blocks',
}


@dataclasses.dataclass(frozen=True)
class MeshConfig:
  """Sizes of the mesh's axes; see the head of this file.

  Attributes:
    data: One of the sizes may be -1: as many as there are devices left. None
      is -1 unless another is, and then one for each slice.
    fsdp: Over how many devices parameters are cut.
    fsdp_inner: Over how many each of those parts is cut again. With `'auto'`
      `fsdp` counts both, and is cut in two where it is all of a slice for which
      that is better; see `tpus.parts`.
    context: Over how many a sequence is cut.
    tensor: Over how many heads, MLP and vocabulary are cut.
    num_slices: Slices of a TPU that only DCN connects; divides `data`.
  """

  data: int | None = None
  fsdp: int = 1
  fsdp_inner: int | str = 'auto'
  context: int = 1
  tensor: int = 1
  num_slices: int = 1

  def __post_init__(self):
    if isinstance(self.fsdp_inner, str):
      schema.one_of(self.fsdp_inner, ['auto'], 'mesh.fsdp_inner')
    given = {**self._given, 'num_slices': self.num_slices}
    for name, size in given.items():
      if size < 1 and not (size == -1 and name != 'num_slices'):
        raise ValueError(
          f'mesh.{name}: {size}, expected at least 1'
          + ('' if name == 'num_slices' else ', or -1 for what is left')
        )
    left = [name for name, size in self._given.items() if size == -1]
    if len(left) > 1:
      raise ValueError(
        f'mesh.{left[1]}: -1, but mesh.{left[0]} is -1 as well; one only can '
        'be what is left'
      )

  @property
  def _given(self) -> dict[str, int]:
    """Sizes as given, `fsdp` counting both parts where they are not."""
    sizes = {
      'fsdp': self.fsdp,
      'fsdp_inner': 1 if isinstance(self.fsdp_inner, str) else self.fsdp_inner,
      'context': self.context,
      'tensor': self.tensor,
    }
    data = self.data
    if data is None:
      data = self.num_slices if -1 in sizes.values() else -1
    return {'data': data, **sizes}

  def sizes(
    self, n_devices: int, parts: tuple[int, int] | None = None
  ) -> dict[str, int]:
    """Returns the sizes over so many devices, in the order of `MESH_AXES`.

    Args:
      n_devices: All that there are.
      parts: See `tpus.parts`; None is none.

    Raises:
      ConfigError: If the axes do not make up the devices.
    """
    sizes = self._given
    given = math.prod(size for size in sizes.values() if size != -1)
    shown = ' × '.join(f'{k} {v}' for k, v in sizes.items() if v not in (-1, 1))
    if -1 in sizes.values():
      if n_devices % given:
        raise schema.ConfigError(
          f'mesh: {shown} = {given} does not divide the {n_devices} devices'
        )
      sizes = {
        k: n_devices // given if v == -1 else v for k, v in sizes.items()
      }
    elif given != n_devices:
      raise schema.ConfigError(
        f'mesh: {shown or "every axis 1"} makes {given}, but there are '
        f'{n_devices} devices; let one axis be -1'
      )
    if sizes['data'] % self.num_slices:
      raise schema.ConfigError(
        f'mesh.data: {sizes["data"]} is not a multiple of mesh.num_slices = '
        f'{self.num_slices}; only copies can lie on several slices'
      )
    if (
      self.fsdp_inner == 'auto' and parts and sizes['fsdp'] == math.prod(parts)
    ):
      sizes |= {'fsdp': parts[0], 'fsdp_inner': parts[1]}
    return sizes


def make_mesh(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
  """Returns a mesh whose inner axes have the fastest connections.

  Args:
    config: Sizes of its axes.
    devices: All that there are, if not given.

  Raises:
    ConfigError: If the axes do not make up the devices.
  """
  devices = list(jax.devices() if devices is None else devices)
  sizes = config.sizes(len(devices), tpus.parts(devices))
  shape = tuple(sizes.values())
  if config.num_slices > 1:
    within = (sizes['data'] // config.num_slices, *shape[1:])
    across = (config.num_slices, *(1 for _ in shape[1:]))
    array = mesh_utils.create_hybrid_device_mesh(
      within, across, devices, allow_split_physical_axes=True
    )
  else:
    array = mesh_utils.create_device_mesh(
      shape, devices, allow_split_physical_axes=True
    )
  return Mesh(array, MESH_AXES)


@dataclasses.dataclass(frozen=True)
class Layout:
  """Where arrays lie, by the names of their axes.

  Attributes:
    mesh: Of `MESH_AXES`; None leaves everything where it is.
    of_one_copy: Whether arrays are those of one copy of the parameters, and
      the axis `data` cuts none of them; see `one_copy`.
    grad_reduce_dtype: In which gradients of parameters are added up, over rows
      and over devices; None is that of activations.
  """

  mesh: Mesh | AbstractMesh | None = None
  of_one_copy: bool = False
  grad_reduce_dtype: str | None = None

  @property
  def _sizes(self) -> dict[str, int]:
    assert self.mesh is not None
    sizes = dict(self.mesh.shape)
    return {**sizes, 'data': 1} if self.of_one_copy else sizes

  def one_copy(self) -> 'Layout':
    """Returns the layout as each copy of the parameters sees it.

    For what is computed under `jax.vmap(…, spmd_axis_name='data')`, which adds
    an axis to all arrays and cuts it over `data`: nothing is added up over
    copies there.
    """
    return dataclasses.replace(self, of_one_copy=True)

  @property
  def is_alone(self) -> bool:
    """Whether there is but one device, or none is known."""
    return self.mesh is None or self.mesh.size == 1

  def platform(self) -> str:
    """Returns what kind of devices these are, e.g. `'tpu'`."""
    if isinstance(self.mesh, Mesh):
      return self.mesh.devices.flat[0].platform
    return jax.default_backend()

  def size(self, *axes: str) -> int:
    """Returns over how many devices axes of the mesh go."""
    if self.mesh is None:
      return 1
    return math.prod(self._sizes[axis] for axis in axes)

  def _cuts(self, names: Sequence[str | None]) -> list[tuple[str, ...]]:
    """Returns along which axes of the mesh each axis of an array is cut."""
    cuts: list[tuple[str, ...]] = []
    for name in names:
      wanted = () if name is None else RULES[name]
      taken = {axis for cut in cuts for axis in cut}
      free = (a for a in wanted if a not in taken and self.size(a) > 1)
      cuts.append(tuple(free))
    return cuts

  def cut(self, axes: Sequence[str]) -> tuple[str, ...]:
    """Returns those of some axes of the mesh that have more than one device."""
    return tuple(axis for axis in axes if self.size(axis) > 1)

  def spec(self, names: Sequence[str | None]) -> PartitionSpec:
    """Returns how axes of these names are cut; None is not."""
    return PartitionSpec(*(cut or None for cut in self._cuts(names)))

  def sharding(self, *names: str | None) -> NamedSharding:
    """Returns the sharding of an array whose axes have these names."""
    assert self.mesh is not None
    return NamedSharding(self.mesh, self.spec(names))

  def check(
    self, what: str, shape: Sequence[int], names: Sequence[str | None]
  ) -> None:
    """Checks that an array can be cut as the table says.

    Raises:
      ConfigError: Naming the array, its axis and both sizes.
    """
    for size, name, cut in zip(shape, names, self._cuts(names), strict=True):
      if size % self.size(*cut):
        over = ' × '.join(f'mesh.{axis} = {self.size(axis)}' for axis in cut)
        raise schema.ConfigError(
          f'{what}: its axis {name!r} of size {size} cannot be cut over '
          f'{over}; choose sizes of the mesh that divide it'
        )

  def constrain(self, x: jax.Array, letters: str) -> jax.Array:
    """Says how an activation lies, by the letters of its shape.

    Args:
      x: Any array.
      letters: One for each axis, e.g. `'BTHC'`.
    """
    if self.is_alone:
      return x
    names = names_of(letters)
    self.check(f'an activation {letters}', x.shape, names)
    return jax.lax.with_sharding_constraint(x, self.sharding(*names))

  def gather(self, x: jax.Array, letters: str) -> jax.Array:
    """Returns a parameter that is whole along the axes that `fsdp` cuts.

    Its gradient is cut again, which says that it is to be reduce-scattered: a
    mere constraint would have it whole on every device first.

    Args:
      x: In the dtype that it is used in, which is what is sent.
      letters: One for each axis, e.g. `'DHC'`.
    """
    if self.size(*FSDP) == 1:
      return x
    return _gather(self, names_of(letters), x)

  def scatter(self, gradient: jax.Array, names: Sequence[str]) -> jax.Array:
    """Says that a gradient that devices have parts of is reduce-scattered."""
    if self.size(*FSDP) == 1:
      return gradient
    if self.size('fsdp_inner') > 1:
      gradient = self._laid(gradient, names, but=FSDP[1:])
    return self._laid(gradient, names)

  def _laid(
    self, x: jax.Array, names: Sequence[str | None], but: Sequence[str] = ()
  ) -> jax.Array:
    """Says how an array lies, not being cut over some axes of the mesh."""
    spec = PartitionSpec(
      *(
        tuple(axis for axis in cut if axis not in but) or None
        for cut in self._cuts(names)
      )
    )
    assert self.mesh is not None
    return jax.lax.with_sharding_constraint(x, NamedSharding(self.mesh, spec))


ALONE = Layout()


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _gather(layout: Layout, names: tuple[str, ...], x: jax.Array) -> jax.Array:
  return layout._laid(layout._laid(x, names), names, but=FSDP)


def _gather_forward(
  layout: Layout, names: tuple[str, ...], x: jax.Array
) -> tuple[jax.Array, None]:
  return _gather(layout, names, x), None


def _gather_backward(
  layout: Layout, names: tuple[str, ...], _: None, gradient: jax.Array
) -> tuple[jax.Array]:
  return (layout.scatter(gradient, names),)


_gather.defvjp(_gather_forward, _gather_backward)


def names_of(letters: str) -> tuple[str, ...]:
  """Returns the names that the letters of a shape stand for."""
  return tuple(_LETTERS[letter] for letter in letters)


def balanced_order(length: int, shards: int) -> np.ndarray:
  """Returns which position of a sequence stands where, int32 `[length]`.

  Cut into `2 · shards` pieces, shard `i` has the pieces `i` and
  `2 · shards − 1 − i`, so that with causal attention every shard meets the same
  number of keys (Llama 3, arXiv 2407.21783, section 3.3.2).

  Raises:
    ConfigError: If the pieces are not equally long.
  """
  if length % (2 * shards):
    raise schema.ConfigError(
      f'seq_len: {length} is not a multiple of 2 × mesh.context = 2 × {shards}'
    )
  pieces = np.arange(length, dtype=np.int32).reshape(2 * shards, -1)
  order = [[i, 2 * shards - 1 - i] for i in range(shards)]
  return pieces[np.asarray(order).reshape(-1)].reshape(-1)
