"""Google's compiler for TPUs, used on a machine that has none.

JAX looks for a TPU as soon as it is imported, unless it is told that there is
none; so `prepare` comes first, and this module imports JAX only where it is
needed.
"""

from importlib import metadata
import os
import re
import sys
from typing import Any

import numpy as np

from msm_jax import schema
from msm_jax.compilation import topology as topology_lib

# No metadata server is asked, no device is locked, and arrays live on the CPU.
_ENVIRONMENT = {
  'JAX_PLATFORMS': 'cpu',
  'TPU_SKIP_MDS_QUERY': '1',
  'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
  'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
  'TPU_WORKER_HOSTNAMES': 'localhost',
  'TPU_WORKER_ID': '0',
  'TPU_STDERR_LOG_LEVEL': '3',
  'TPU_MIN_LOG_LEVEL': '3',
  'TPU_LOG_DIR': 'disabled',
  # A program from the cache would come without XLA's report of its memory.
  'JAX_ENABLE_COMPILATION_CACHE': 'false',
}
_INSTALL = "install it with JAX: pip install 'jax[tpu]=={version}'"


def prepare() -> None:
  """Sets the environment of libtpu, which JAX reads when it is imported.

  Raises:
    RuntimeError: If JAX was imported already.
  """
  if 'jax' in sys.modules:
    raise RuntimeError('libtpu.prepare() was called after JAX was imported')
  os.environ.update(_ENVIRONMENT)


def wanted() -> str:
  """Returns the version that belongs to JAX, such as `'0.0.42.*'`.

  Raises:
    RuntimeError: If JAX does not say.
  """
  for requirement in metadata.requires('jax') or ():
    if match := re.match(r'libtpu==([\d.]+\.\*);', requirement):
      return match[1]
  raise RuntimeError(
    f'JAX {metadata.version("jax")} names no version of libtpu'
  )


def check() -> None:
  """Checks that libtpu is there, in the version that belongs to JAX.

  Raises:
    ConfigError: If not, saying what to install.
  """
  version = metadata.version('jax')
  install = _INSTALL.format(version=version)
  try:
    found = metadata.version('libtpu')
  except metadata.PackageNotFoundError as e:
    raise schema.ConfigError(
      f'libtpu, which compiles for TPUs, is not installed: {install}'
    ) from e
  if not f'{found}.'.startswith(wanted().removesuffix('*')):
    raise schema.ConfigError(
      f'libtpu: {found} is installed, but JAX {version} belongs to '
      f'{wanted()}: {install}'
    )


def devices(
  name: str, num_slices: int = 1
) -> tuple[topology_lib.Topology, list[Any]]:
  """Returns a topology and the JAX devices that stand for its chips.

  Args:
    name: For instance `'v5p:4x4x4'`.
    num_slices: Slices of that shape.

  Raises:
    ConfigError: If there is no such topology, or no libtpu to ask.
  """
  topology = topology_lib.parse(name, num_slices)
  check()
  import jax
  from jax.experimental import topologies

  arguments: dict[str, Any] = dict(topology.chip.target)
  if num_slices > 1:
    arguments['num_slices'] = num_slices
  # The compiler thinks in hosts of 4 chips unless there are fewer.
  if np.prod(topology.shape) < 4:
    bounds = (*topology.shape, 1, 1)[:3]
    arguments['chips_per_host_bounds'] = bounds
  try:
    found = topologies.get_topology_desc(
      platform='tpu', topology_name=name, **arguments
    ).devices
  except jax.errors.JaxRuntimeError as e:
    raise schema.ConfigError(f'topology: {name!r}: {e}') from e
  per_chip, rest = divmod(len(found), topology.n_chips)
  assert not rest, (name, len(found))
  return topology_lib.parse(name, num_slices, devices_per_chip=per_chip), list(
    found
  )


def places(mesh_devices: Any) -> list[topology_lib.Place]:
  """Returns where the devices of a mesh are, as a program numbers them."""
  return [
    topology_lib.Place(tuple(d.coords), getattr(d, 'slice_index', None) or 0)
    for d in np.asarray(mesh_devices).flat
  ]
