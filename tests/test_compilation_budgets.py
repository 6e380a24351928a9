"""The recorded budgets, held by compiling for TPUs that are not there.

These need libtpu, which `make test-all` puts beside the environment, and skip
without.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys

import processes
import pytest
import tpu_compiler

from msm_jax.compilation import budgets
from msm_jax.compilation import libtpu

BUDGETS = processes.ROOT / 'configs' / 'budgets'
FILES = sorted(BUDGETS.glob('*.json'))
TEXTS = pathlib.Path(__file__).parent / 'hlo'


def _compile(budget, path, environment):
  arguments = [
    f'--config={budget.config}',
    f'--phase={budget.phase}',
    f'--topology={budget.topology}',
    f'--num_slices={budget.num_slices}',
    f'--budget={path}',
    *(f'--option={k}={v}' for k, v in budget.compiler_options.items()),
  ]
  return tpu_compiler.compiled(environment, *arguments)


@pytest.mark.slow
@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_steps_are_within_their_budgets(path, with_libtpu):
  budget = budgets.load(path)
  if (made_with := budget.versions['jax']) != libtpu.metadata.version('jax'):
    pytest.skip(f'{path.name} is of JAX {made_with}')
  done = _compile(budget, path, with_libtpu)
  assert done.returncode == 0, done.stderr[-2000:]
  assert 'bound' in done.stdout


@pytest.mark.slow
def test_a_step_that_exceeds_its_budget_is_refused(tmp_path, with_libtpu):
  budget = budgets.load(BUDGETS / 'quickstart_base.v5e_2x4.json')
  tight = dataclasses.replace(budget, limits={'executed_flops': 1})
  path = tmp_path / 'tight.json'
  path.write_text(json.dumps(dataclasses.asdict(tight)))
  done = _compile(tight, path, with_libtpu)
  assert done.returncode == 3
  assert 'executed_flops: 1,' in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('name', ['matmuls.v5e', 'slices.v5e'])
def test_the_stored_texts_are_what_the_compiler_makes(name, with_libtpu):
  if libtpu.metadata.version('jax') != '0.10.2':
    pytest.skip('the texts are of JAX 0.10.2')
  done = subprocess.run(
    [sys.executable, '-m', 'hlo.make', '--print', name],
    env=with_libtpu,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  assert done.stdout == (TEXTS / f'{name}.hlo').read_text(encoding='utf-8')
