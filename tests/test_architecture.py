"""Who may import whom: a room imports only from those listed above it."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent

# The ground floor first. `GROUND` may be imported from anywhere.
GROUND = (
  'msm_jax.schema',
  'msm_jax.phase',
  'msm_jax.progress',
  'msm_jax.log',
  'msm_jax.workers',
)
ROOMS = (
  'msm_jax.storage',
  'msm_jax.tokenizers',
  'msm_jax.models',
  'msm_jax.data',
  'msm_jax.distributed',
  'msm_jax.training',
  'msm_jax.conversion',
  'msm_jax.evals',
  'msm_jax.report',
  'data_gen',
  'configs',
  'launch',
)
# Rooms that know nothing of each other although one stands above the other.
STRANGERS = {
  'msm_jax.models': {'msm_jax.tokenizers'},
  'msm_jax.data': {'msm_jax.models'},
  'msm_jax.conversion': {'msm_jax.data'},
  'msm_jax.compilation': {
    'msm_jax.tokenizers',
    'msm_jax.data',
    'msm_jax.conversion',
  },
  'msm_jax.evals': {
    'msm_jax.data',
    'msm_jax.training',
    'msm_jax.compilation',
    'msm_jax.conversion',
  },
  'msm_jax.report': {
    'msm_jax.models',
    'msm_jax.data',
    'msm_jax.training',
    'msm_jax.compilation',
    'msm_jax.conversion',
  },
  'data_gen': {
    'msm_jax.models',
    'msm_jax.data',
    'msm_jax.training',
    'msm_jax.compilation',
    'msm_jax.conversion',
    'msm_jax.report',
  },
  'launch': {
    'msm_jax.models',
    'msm_jax.data',
    'msm_jax.training',
    'msm_jax.compilation',
    'msm_jax.conversion',
  },
}


def _files(room: str) -> list[pathlib.Path]:
  return sorted((ROOT / room.replace('.', '/')).rglob('*.py'))


def _imports(file: pathlib.Path) -> set[str]:
  """Full names of what a file imports, `from a import b` as `a.b`."""
  names = set()
  for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{file}: relative import'
      names |= {f'{node.module}.{alias.name}' for alias in node.names}
  return names


def _room_of(name: str) -> str | None:
  for room in ROOMS:
    if name == room or name.startswith(room + '.'):
      return room
  return None


@pytest.mark.parametrize('room', ROOMS)
def test_a_room_imports_only_from_rooms_above_it(room):
  files = _files(room)
  assert files, f'{room} has no files'
  allowed = set(ROOMS[: ROOMS.index(room) + 1]) - STRANGERS.get(room, set())
  for file in files:
    for name in _imports(file):
      other = _room_of(name)
      if other is None:
        ours = name.startswith(('msm_jax', 'tests'))
        assert not ours or name.startswith((*GROUND, 'msm_jax.')), name
        if name.startswith('msm_jax.'):
          assert name.startswith(GROUND), f'{file}: imports {name}'
      else:
        assert other in allowed, f'{file.relative_to(ROOT)}: imports {name}'


def test_the_ground_floor_imports_no_room():
  for name in GROUND:
    file = ROOT / (name.replace('.', '/') + '.py')
    assert not [n for n in _imports(file) if _room_of(n)], file


@pytest.mark.parametrize(
  'module',
  [
    'msm_jax.storage',
    'msm_jax.compile',
    'msm_jax.compilation.display',
    'msm_jax.evals.suites',
    'msm_jax.evals.rows',
    'msm_jax.evals.statistics',
    'msm_jax.report',
    'msm_jax.evals.diversity',
    'msm_jax.evals.style',
    'data_gen.__main__',
    'data_gen.corpus.export',
    'data_gen.gates.suite',
    'data_gen.miniature.generate',
    'data_gen.teachers',
    'launch.experiment',
  ],
)
def test_what_needs_no_jax_imports_no_jax(module):
  code = f'import {module}, sys; sys.exit("jax" in sys.modules)'
  done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=False)
  assert done.returncode == 0, f'{module} imports JAX'
