"""What a host holds at most while parameters are made or restored in shards.

  python benchmarks/parameter_memory.py --scale=4 --layers=16
  python benchmarks/parameter_memory.py --scale=2 --layers=32 --dtype=bfloat16

The model is Llama-3.1-8B with width, vocabulary, MLP and heads divided by
`--scale`, and `--layers`; the machine pretends to have eight devices, which
share its memory. A process makes the parameters, each cut over the devices, and
saves them; another restores them. Programs are compiled and a small model is
made or restored before it is measured. `peak / parameters` is by how much the
resident memory grew at most, over the bytes of all parameters: 1 is nothing but
those, 2 all of them twice. Beside it, of making them, what the compiled program
says: outputs and temporaries of all devices.
"""

import dataclasses
import gc
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from absl import app
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import jax

from msm_jax import log
from msm_jax import models
from msm_jax import training
from msm_jax.models import axes
from msm_jax.models import presets
from msm_jax.training import checkpoints as checkpoints_lib
from msm_jax.training import step as step_lib

DEVICES = 8
SCALE = flags.DEFINE_integer('scale', 4, 'what widths are divided by')
LAYERS = flags.DEFINE_integer('layers', 16, 'depth')
DTYPE = flags.DEFINE_string('dtype', 'float32', 'of the parameters')
DO = flags.DEFINE_enum('do', None, ['init', 'restore'], 'for itself')
WORKDIR = flags.DEFINE_string('workdir', None, 'for itself')

_META = checkpoints_lib.Meta(
  step=0,
  phase='init',
  phase_update=0,
  phase_ended=True,
  schedule_position=0,
  config={'phases': [{'name': 'init'}]},
  fingerprints={},
  environment={},
  metrics={},
)


def model_of(scale: int, layers: int, dtype: str) -> models.Model:
  c = presets.get('Llama-3.1-8B').config
  return models.Model(
    dataclasses.replace(
      c,
      vocab_size=c.vocab_size // scale,
      d_model=c.d_model // scale,
      d_ff=c.d_ff // scale,
      n_heads=c.n_heads // scale,
      n_kv_heads=max(c.n_kv_heads // scale, 1),
      n_layers=layers,
      param_dtype=dtype,
    )
  )


def status(key: str) -> int:
  """Returns a line of this process's memory, in bytes."""
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  (line,) = [x for x in lines if x.startswith(f'{key}:')]
  return int(line.split()[1]) * 1024


class Growth:
  """By how many bytes the resident memory has grown at most, since it began."""

  def __init__(self) -> None:
    gc.collect()
    # Begins a new `VmHWM`; see proc(5).
    pathlib.Path('/proc/self/clear_refs').write_text('5')
    self._before = status('VmRSS')

  def peak(self) -> int:
    return status('VmHWM') - self._before


def save(workdir: str, params: Any) -> None:
  writer = training.Checkpoints(f'{workdir}/checkpoints')
  # No moments: nothing here would read them.
  writer.save(
    step_lib.TrainState(params, {'count': jax.numpy.zeros(())}), _META
  )
  writer.close()


def measure(do: str, workdir: str) -> dict[str, int]:
  mesh = models.make_mesh(models.MeshConfig(fsdp=DEVICES))
  layout = models.Layout(mesh)
  key = jax.random.key(0)
  # Threads, buffers and code that any model needs: a small one comes first.
  small = model_of(SCALE.value * 4, 2, DTYPE.value)
  model = model_of(SCALE.value, LAYERS.value, DTYPE.value)
  found: dict[str, int] = {}
  for m, folder in ((small, f'{workdir}/small'), (model, workdir)):
    shardings = axes.shardings(m.abstract_params(), layout)
    if do == 'init':
      program = axes.compile_init(m, layout)
      memory = program.memory_analysis()
      assert memory is not None
      of_one = memory.temp_size_in_bytes + memory.output_size_in_bytes
      found['compiled'] = DEVICES * of_one
    else:
      path = f'{folder}/checkpoints'
      reader = training.Checkpoints(path, read_only=True)
    growth = Growth()
    params = program(key) if do == 'init' else reader.params(0, m, shardings)
    jax.block_until_ready(params)
    found['peak'] = growth.peak()
    if do == 'init':
      save(folder, params)
  leaves = jax.tree.leaves(params)
  found['parameters'] = sum(x.nbytes for x in leaves)
  found['largest'] = max(x.nbytes for x in leaves)
  return found


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  log.configure()
  if DO.value:
    assert WORKDIR.value is not None
    print(json.dumps(measure(DO.value, WORKDIR.value)))
    return
  flag = f'--xla_force_host_platform_device_count={DEVICES}'
  env = os.environ | {'XLA_FLAGS': flag, 'JAX_PLATFORMS': 'cpu'}
  with tempfile.TemporaryDirectory() as workdir:
    for do in ('init', 'restore'):
      more = [f'--do={do}', f'--workdir={workdir}']
      done = subprocess.run(
        [sys.executable, *sys.argv, *more],
        check=True,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
      )
      found = json.loads(done.stdout.splitlines()[-1])
      ratio = found['peak'] / found['parameters']
      as_compiled = found.get('compiled', 0) / found['parameters']
      print(
        f'{do}: parameters {found["parameters"]:,} bytes, the largest '
        f'{found["largest"]:,}; grew by {found["peak"]:,} at most; '
        f'peak / parameters {ratio:.2f}'
        + (f' ({as_compiled:.2f} as compiled)' if as_compiled else '')
      )


if __name__ == '__main__':
  app.run(main)
