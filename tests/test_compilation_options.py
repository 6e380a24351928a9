"""The sets of XLA options, linted by compiling with them.

These need libtpu, and skip without; see `tpu_compiler`.
"""

import json

import pytest
import tpu_compiler

from msm_jax.training import xla_options

TOPOLOGIES = {'v5e': 'v5e:4x4', 'v5p': 'v5p:2x2x4', 'v6e': 'v6e:4x4'}


def test_every_set_is_compiled_with():
  assert set(TOPOLOGIES) == set(xla_options.SETS)


@pytest.mark.slow
@pytest.mark.parametrize('generation', TOPOLOGIES)
def test_a_set_is_of_its_generation_and_does_what_it_is_for(
  generation, with_libtpu, tmp_path
):
  out = tmp_path / 'report.json'
  done = tpu_compiler.compiled(
    with_libtpu,
    '--config=tests/scaled.py:16',
    f'--topology={TOPOLOGIES[generation]}',
    f'--out={out}',
  )
  assert done.returncode == 0, done.stderr[-2000:]
  (report,) = json.loads(out.read_text())['phases']
  assert report['compiler_options'] == xla_options.chosen('auto', generation)
  rows = report['collectives']
  gradients = 2 * 7_864_320  # Bytes in bfloat16 of the kernels of both layers.
  gathered = [r for r in rows if r['kind'] == 'all-gather' and r['is_async']]
  assert sum(r['nbytes'] for r in gathered) > gradients
  scattered = sum(r['nbytes'] for r in rows if r['kind'] == 'reduce-scatter')
  summed = sum(r['nbytes'] for r in rows if r['kind'] == 'all-reduce')
  assert scattered > gradients
  assert summed < 0.1 * scattered


@pytest.mark.slow
def test_an_option_of_another_generation_is_an_error(with_libtpu):
  done = tpu_compiler.compiled(
    with_libtpu,
    '--config=tests/scaled.py:16',
    '--topology=v6e:4x4',
    '--option=xla_tpu_enable_fast_everything=true',
  )
  assert done.returncode == 1
  assert 'xla_options.xla_tpu_enable_fast_everything: ' in done.stderr
  assert 'Traceback' not in done.stderr
