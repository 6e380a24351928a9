"""Which files a source is read from: names, patterns and directories."""

from collections.abc import Iterator
from collections.abc import Sequence
import fnmatch
import os

from msm_jax import storage

FORMATS = ('.parquet', '.jsonl')


class SourceError(ValueError):
  """A source holds something that cannot be trained on."""


def find_files(inputs: Sequence[str | os.PathLike[str]]) -> list[str]:
  """Returns the files that inputs stand for, local or `gs://…`.

  Args:
    inputs: Each a file, a pattern such as `docs/*.parquet`, which stands for
      what it matches, sorted, or a directory, which stands for the Parquet or
      JSONL files in it, sorted.

  Raises:
    SourceError: For a pattern that nothing matches, and for a directory that
      does not say clearly which of its files are meant.
  """
  return [file for path in inputs for file in _expand(os.fspath(path))]


def _expand(path: str) -> list[str]:
  if _is_pattern(path) and not storage.exists(path):
    found = list(_matches(path))
    if not found:
      raise SourceError(f'{path}: matches no file')
    return found
  names = storage.list_published(path)
  return _files_of_directory(path, names) if names else [path]


def _is_pattern(path: str) -> bool:
  return any(c in path for c in '*?[')


def _matches(pattern: str) -> Iterator[str]:
  """Yields what exists and matches, one name at a time between slashes."""
  parent, slash, last = pattern.rpartition('/')
  parents = list(_matches(parent)) if _is_pattern(parent) else [parent]
  for directory in parents:
    for name in storage.list_published(directory or slash or '.'):
      if fnmatch.fnmatchcase(name, last):
        yield f'{directory}{slash}{name}'


def _files_of_directory(path: str, names: list[str]) -> list[str]:
  shown = [n for n in names if not n.startswith(('.', '_'))]
  if storage.MANIFEST_NAME in names:
    parts = [n for n in shown if n != storage.MANIFEST_NAME]
    raise SourceError(
      f'{path}: was published as a whole; name the part of it to read, e.g. '
      f'{storage.join(path, parts[0] if parts else "documents")} (it holds '
      f'{", ".join(parts)})'
    )
  by_format = {f: [n for n in shown if n.endswith(f)] for f in FORMATS}
  found = [files for files in by_format.values() if files]
  if len(found) != 1:
    problem = 'files of both formats' if found else 'no file of either format'
    raise SourceError(
      f'{path}: a directory with {problem}, {" and ".join(FORMATS)}; name '
      f'what to read, or a pattern such as {storage.join(path, "*.parquet")} '
      f'(it holds {", ".join(names)})'
    )
  return [storage.join(path, n) for n in found[0]]
