"""Writes the texts in this folder: programs compiled for absent TPUs.

    cd tests && python -m hlo.make [--print] [NAME …]    # minutes; no TPU

Needs libtpu: `make .venv/libtpu-3.11`, and that folder in PYTHONPATH. Kernels'
machine code and tables of source locations are left out; nothing reads them.
"""

import dataclasses
import functools
import pathlib
import re
import sys
from typing import Any

from msm_jax.compilation import libtpu

FOLDER = pathlib.Path(__file__).parent
# So that a v5p gathers on its sparse cores, beside the work of the others.
OFFLOADED = {
  'xla_tpu_enable_sparse_core_collective_offload_all_gather': 'true',
  'xla_tpu_enable_sparse_core_collective_offload_2d_all_gather': 'true',
  'xla_tpu_enable_sparse_core_collective_offload_3d_all_gather': 'true',
  'xla_tpu_enable_sparse_core_collective_offload_reduce_scatter': 'true',
  'xla_tpu_enable_sparse_core_collective_offload_nd_reduce_scatter': 'true',
  'xla_tpu_enable_async_collective_fusion_fuse_all_gather': 'false',
  'xla_tpu_enable_async_collective_fusion_fuse_reduce_scatter': 'false',
  'xla_tpu_prefer_async_allgather_to_allreduce': 'true',
  'xla_enable_async_all_gather': 'true',
}
# So that gathers go on inside of the fusions beside them.
CONTINUED = {
  'xla_enable_async_all_gather': 'true',
  'xla_tpu_enable_async_collective_fusion': 'true',
  'xla_tpu_enable_async_collective_fusion_fuse_all_gather': 'true',
  'xla_tpu_enable_async_collective_fusion_multiple_steps': 'true',
}


@dataclasses.dataclass(frozen=True)
class Text:
  """One file: a program of `programs`, and what it was compiled for."""

  program: str
  topology: str
  num_slices: int = 1
  arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
  options: dict[str, str] = dataclasses.field(default_factory=dict)


TEXTS = {
  'matmuls.v5e': Text('matmuls', 'v5e:2x2'),
  'nested_loops.v5e': Text('nested_loops', 'v5e:2x2'),
  'rematerialised.v5e': Text('rematerialised', 'v5e:2x2'),
  'collectives.v5e': Text('collectives', 'v5e:2x4'),
  'partitioned.v5e': Text('partitioned', 'v5e:2x4'),
  'gathered.v5p': Text('gathered_layers', 'v5p:4x4x4'),
  'offloaded.v5p': Text('gathered_layers', 'v5p:4x4x4', options=OFFLOADED),
  'continued.v5p': Text('gathered_layers', 'v5p:2x4x4', options=CONTINUED),
  'splash_causal.v5p': Text('splash_attention', 'v5p:2x2x1'),
  'splash_window.v5p': Text(
    'splash_attention', 'v5p:2x2x1', arguments={'window': 512}
  ),
  'slices.v5e': Text('between_slices', 'v5e:2x2', num_slices=2),
}


def compile_text(text: Text) -> str:
  """Compiles a program and returns its HLO."""
  import jax

  from hlo import programs
  from msm_jax.compilation import phases

  _, devices = libtpu.devices(text.topology, text.num_slices)
  make = functools.partial(getattr(programs, text.program), **text.arguments)
  function, arguments = make(devices)
  compiled = jax.jit(function).lower(*arguments).compile(text.options)
  return without_what_nothing_reads(phases.text(compiled))


def without_what_nothing_reads(text: str) -> str:
  """Leaves out machine code, and the tables and numbers of source locations."""
  text = re.sub(r'"body":"[^"]*"', '"body":""', text)
  text = re.sub(
    r'\nFileNames\n.*?(?=\n(?:ENTRY )?%)', '', text, flags=re.DOTALL
  )
  return re.sub(r' ?stack_frame_id=\d+', '', text)


def main(arguments: list[str]) -> None:
  names = [a for a in arguments if a != '--print']
  for name, text in TEXTS.items():
    if names and name not in names:
      continue
    hlo = compile_text(text)
    if '--print' in arguments:
      sys.stdout.write(hlo)
      continue
    (FOLDER / f'{name}.hlo').write_text(hlo, encoding='utf-8')
    print(f'{name}: {len(hlo):,} characters', flush=True)


if __name__ == '__main__':
  libtpu.prepare()
  main(sys.argv[1:])
