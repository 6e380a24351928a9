"""Options of XLA: a set for each generation of TPUs, and how a run changes it.

What each is for is said beside it; `docs/scale.md` says what they were measured
to do. None changes what is computed, but for the order of sums.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

from msm_jax import schema
from msm_jax.models import tpus

Value = str | bool | int | float
NAMED = ('auto', 'none')

# Gradients lie as their reduce-scatter wants them; without these it is an
# all-reduce and a slice wherever a kernel's first axis is the one that is cut.
_REDUCE_SCATTER: dict[str, Value] = {
  'xla_tpu_use_minor_sharding_for_major_trivial_input': True,
  'xla_tpu_relayout_group_size_threshold_for_reduce_scatter': 1,
  'xla_tpu_assign_all_reduce_scatter_layout': True,
}
# Sparse cores move what is gathered and reduced, so that the others go on
# working; fusions with collectives would take these away from them.
_SPARSE_CORES: dict[str, Value] = {
  'xla_tpu_enable_sparse_core_collective_offload_all_gather': True,
  'xla_tpu_enable_sparse_core_collective_offload_reduce_scatter': True,
  'xla_tpu_enable_sparse_core_collective_offload_all_reduce': True,
  'xla_tpu_enable_sparse_core_collective_offload_2d_all_gather': True,
  'xla_tpu_enable_sparse_core_collective_offload_3d_all_gather': True,
  'xla_tpu_enable_sparse_core_collective_offload_nd_reduce_scatter': True,
  'xla_tpu_enable_async_collective_fusion_fuse_all_gather': False,
  'xla_tpu_enable_async_collective_fusion_fuse_all_reduce': False,
  'xla_tpu_enable_async_collective_fusion_fuse_reduce_scatter': False,
  'xla_tpu_prefer_async_allgather_to_allreduce': True,
  'xla_enable_async_all_gather': True,
}
# Chips without sparse cores: matrix products that carry a collective along.
_FUSED: dict[str, Value] = {
  'xla_tpu_prefer_async_allgather_to_allreduce': True,
  'xla_enable_async_all_gather': True,
  'xla_tpu_enable_async_collective_fusion': True,
  'xla_tpu_enable_async_collective_fusion_fuse_all_gather': True,
  'xla_tpu_enable_async_collective_fusion_fuse_reduce_scatter': True,
  'xla_tpu_enable_async_collective_fusion_multiple_steps': True,
  'xla_tpu_overlap_compute_collective_tc': True,
  'xla_enable_async_reduce_scatter_fusion': True,
  # What such a fusion holds does not fit in the 16 MiB that are the default.
  'xla_tpu_scoped_vmem_limit_kib': 65536,
}
SETS: dict[str, dict[str, Value]] = {
  'v5e': _REDUCE_SCATTER | _FUSED,
  'v5p': _REDUCE_SCATTER | _SPARSE_CORES,
  'v6e': _REDUCE_SCATTER | _SPARSE_CORES,
}


def chosen(
  wanted: str | Mapping[str, Value | None],
  generation: str | None,
  overriding: Mapping[str, str] | None = None,
) -> dict[str, str]:
  """Returns the options for a generation of TPUs, as text.

  Args:
    wanted: `'auto'`: the generation's set; `'none'`: none; a mapping: the set,
      with these added or replaced, and without those that are None.
    generation: See `tpus.generation`; those that are not in `SETS` have none.
    overriding: More of them, whatever is wanted.
  """
  options: dict[str, Value | None] = {}
  if wanted != 'none':
    options |= SETS.get(generation or '', {})
  if not isinstance(wanted, str):
    options |= wanted
  options |= overriding or {}
  return {
    name: str(value).lower() if isinstance(value, bool) else str(value)
    for name, value in options.items()
    if value is not None
  }


def of_mesh(
  wanted: str | Mapping[str, Value | None],
  mesh: Mesh,
  overriding: Mapping[str, str] | None = None,
) -> dict[str, str]:
  """Returns the options with which steps are compiled for a mesh.

  Args:
    wanted: As for `chosen`.
    mesh: Its devices need not be there.
    overriding: As for `chosen`.

  Raises:
    ConfigError: If XLA does not know an option, or cannot read its value. A
      tiny program is compiled to ask it, if there is any option.
  """
  generation = tpus.generation(mesh.devices.flat[0])
  found = chosen(wanted, generation, overriding)
  if found:
    _check(found, mesh)
  return found


def _check(options: Mapping[str, str], mesh: Mesh) -> None:
  """Compiles a program of one addition with options, to see what XLA says."""
  everywhere = NamedSharding(mesh, PartitionSpec())
  one = jax.jit(
    lambda x: x + 1, in_shardings=everywhere, out_shardings=everywhere
  )
  lowered = one.lower(jax.ShapeDtypeStruct((), jnp.float32))
  try:
    lowered.compile(dict(options))
  except jax.errors.JaxRuntimeError as e:
    first, *_ = str(e).splitlines()
    named = [name for name in options if name in first]
    where = f'xla_options.{max(named, key=len)}' if named else 'xla_options'
    raise schema.ConfigError(f'{where}: {first}') from e
