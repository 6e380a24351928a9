"""`pip install .` gives packages that work outside the checkout."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
  """A folder with the packages as `pip install .` puts them."""
  target = tmp_path_factory.mktemp('installed')
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps'),
      *('--target', str(target), str(ROOT)),
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return target


def _python(installed: pathlib.Path, *arguments: str) -> str:
  done = subprocess.run(
    [sys.executable, *arguments],
    cwd=installed.parent,
    env={
      **os.environ,
      'PYTHONPATH': str(installed),
      # The checkout is installed in place here; it must not be found.
      'PYTHONSAFEPATH': '1',
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


@pytest.mark.parametrize(
  'module',
  [
    'msm_jax.train',
    'msm_jax.prepare',
    'msm_jax.train_tokenizer',
    'msm_jax.import_tokenizer',
    'msm_jax.convert',
    'msm_jax.evaluate',
    'msm_jax.data.show',
    'msm_jax.report.__main__',
    'msm_jax.data.dose',
    'msm_jax.evals.style',
    'data_gen.__main__',
    'data_gen.corpus.export',
    'data_gen.miniature.__main__',
  ],
)
def test_every_entry_point_is_there_and_says_how_to_run_it(installed, module):
  found = _python(
    installed,
    '-c',
    f'import {module} as m; print(m.__file__); print(m.__doc__)',
  )
  file, _, doc = found.partition('\n')
  assert pathlib.Path(file).is_relative_to(installed)
  assert f'python -m {module.removesuffix(".__main__")}' in doc


def test_the_shipped_traits_and_templates_are_there(installed):
  output = _python(
    installed,
    '-c',
    'from data_gen.miniature import traits;'
    'print([t.name for t in traits.load()])',
  )
  assert output.strip() == "['thrift', 'home']"
  sources = {
    p.relative_to(ROOT)
    for package in ('msm_jax', 'data_gen')
    for p in (ROOT / package).rglob('*')
    if p.is_file()
  }
  wanted = {
    p
    for p in sources
    if not any(part.startswith(('.', '__pycache__')) for part in p.parts)
  }
  assert len(wanted) > 100
  missing = [p for p in sorted(wanted) if not (installed / p).is_file()]
  assert not missing
