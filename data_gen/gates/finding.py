"""Finds suites of `msm_jax.evals`: files, folders, experiments, wildcards."""

from collections.abc import Iterable
import fnmatch

from msm_jax import storage

# Where suites lie below what may be named: their own folder, a corpus of
# `data_gen.miniature`, the workdir of one seed, that of an experiment.
LAYOUTS = (
  '*.jsonl',
  'suites/*.jsonl',
  'corpus/suites/*.jsonl',
  'seed*/corpus/suites/*.jsonl',
)
_WILD = frozenset('*?[')


def expand(pattern: str, base: str = '') -> list[str]:
  """Returns what there is under a path with `*`, `?` and `[…]`, sorted.

  Args:
    pattern: Local or `gs://…`; wildcards match within one name.
    base: Put before it as it is, with the slash.
  """
  found = [base]
  for part in pattern.split('/'):
    if _WILD.isdisjoint(part):
      found = [f'{f}{part}/' for f in found]
    else:
      found = [
        f'{f}{name}/'
        for f in found
        for name in fnmatch.filter(storage.list_dir(f or '.'), part)
      ]
  paths = (f.removesuffix('/') for f in found)
  return [path for path in paths if storage.exists(path)]


def find_suites(paths: Iterable[str]) -> list[str]:
  """Returns the files of suites that are named, each once, in order.

  Args:
    paths: Files that end in `.jsonl`; folders that hold such, or in which they
      lie as in `LAYOUTS`; either with wildcards.

  Raises:
    FileNotFoundError: Naming the path under which there is no suite.
  """
  files: dict[str, None] = {}
  for path in paths:
    # A name may have brackets of its own.
    named = [path] if storage.exists(path) else expand(path)
    if not named:
      raise FileNotFoundError(
        f'contamination.suites: {path}: there is nothing of this name'
      )
    for one in named:
      files |= dict.fromkeys(_below(one))
  return list(files)


def _below(path: str) -> list[str]:
  if path.endswith('.jsonl'):
    return [path]
  for layout in LAYOUTS:
    if found := expand(layout, f'{path.rstrip("/")}/'):
      return found
  raise FileNotFoundError(
    f'contamination.suites: {path}: no *.jsonl in this folder, and none in '
    f'{", ".join(LAYOUTS[1:])} below it; give the suites that the model will '
    'be evaluated on'
  )
