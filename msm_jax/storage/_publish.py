"""Directories that appear whole or not at all, with checksums."""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import pathlib
import secrets
import shutil
import tempfile
from typing import Any

import fsspec

from msm_jax.storage import _fingerprints
from msm_jax.storage import _paths

MANIFEST_NAME = 'manifest.json'
_FORMAT = 1


class NotPublishedError(FileNotFoundError):
  """The directory has no manifest: it was never finished, or never begun."""


class CorruptError(ValueError):
  """A file is missing or differs from what its manifest says."""


@dataclasses.dataclass(frozen=True)
class Manifest:
  """What was published.

  Attributes:
    kind: What the directory is, e.g. `'prepared'`.
    info: Whatever the writer recorded; JSON.
    files: Relative path to `{'bytes': int, 'sha256': str}`.
  """

  kind: str
  info: dict[str, Any]
  files: dict[str, dict[str, Any]]

  @property
  def fingerprint(self) -> str:
    """16 hex digits of kind, info and file contents; not of the location."""
    return _fingerprints.fingerprint(
      {'kind': self.kind, 'info': self.info, 'files': self.files}
    )

  def to_json(self) -> dict[str, Any]:
    return {
      'format': _FORMAT,
      'kind': self.kind,
      'fingerprint': self.fingerprint,
      'info': self.info,
      'files': self.files,
    }


@dataclasses.dataclass
class Publication:
  """A publication in the making.

  Attributes:
    dir: A local staging directory to write files into.
    info: JSON that goes into the manifest.
  """

  dir: pathlib.Path
  info: dict[str, Any]


def _describe_files(root: pathlib.Path) -> dict[str, dict[str, Any]]:
  files = {}
  for file in sorted(p for p in root.rglob('*') if p.is_file()):
    files[file.relative_to(root).as_posix()] = {
      'bytes': file.stat().st_size,
      'sha256': _fingerprints.sha256_file(file),
    }
  return files


def _process_is_alive(pid: int) -> bool:
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except PermissionError:
    return True
  return True


def _staging_prefix(target: pathlib.Path) -> str:
  return f'.{target.name}.staging-'


def _remove_abandoned_staging(target: pathlib.Path) -> None:
  """Removes what killed publishers of the same target left behind."""
  for left in target.parent.glob(_staging_prefix(target) + '*'):
    pid = left.name.removeprefix(_staging_prefix(target)).split('-')[0]
    if pid.isdigit() and not _process_is_alive(int(pid)):
      shutil.rmtree(left)


def _replace_directory(staged: pathlib.Path, target: pathlib.Path) -> None:
  if target.exists():
    retired = staged.with_name(staged.name + '-retired')
    os.rename(target, retired)
    os.rename(staged, target)
    shutil.rmtree(retired)
  else:
    os.rename(staged, target)
  _paths.fsync_path(target.parent)


def _upload(staged: pathlib.Path, target: str, files: dict[str, Any]) -> None:
  """Copies files to an object store, the manifest last."""
  fs, key = fsspec.core.url_to_fs(target)
  old_manifest = f'{key}/{MANIFEST_NAME}'
  if fs.exists(old_manifest):
    fs.rm(old_manifest)
  for name in [*files, MANIFEST_NAME]:
    fs.put_file(str(staged / name), f'{key}/{name}')


@contextlib.contextmanager
def publish(path: _paths.Path, *, kind: str) -> Iterator[Publication]:
  """Publishes a directory: all of it when the block ends, or nothing.

  Example:
    with storage.publish(out, kind='corpus') as publication:
      write_parquet(publication.dir / 'base.parquet')
      publication.info['documents'] = 12

  Args:
    path: The final directory, local or `gs://…`; replaced if it exists.
    kind: Recorded in the manifest and checked by readers.

  Yields:
    The publication, whose `dir` is local in any case.
  """
  if _paths.is_remote(path):
    staged = pathlib.Path(tempfile.mkdtemp(prefix='msm_jax-publish-'))
  else:
    target = pathlib.Path(path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned_staging(target)
    unique = f'{os.getpid()}-{secrets.token_hex(4)}'
    staged = target.with_name(_staging_prefix(target) + unique)
    staged.mkdir()
  try:
    publication = Publication(dir=staged, info={})
    yield publication
    files = _describe_files(staged)
    manifest = Manifest(kind=kind, info=publication.info, files=files)
    text = _fingerprints.canonical_json(manifest.to_json())
    for name in files:
      _paths.fsync_path(staged / name)
    _paths.write_atomic(staged / MANIFEST_NAME, text)
    if _paths.is_remote(path):
      _upload(staged, str(path), files)
    else:
      _replace_directory(staged, target)
  finally:
    shutil.rmtree(staged, ignore_errors=True)


def read_manifest(path: _paths.Path, *, kind: str | None = None) -> Manifest:
  """Reads the manifest of a published directory; does not verify the files.

  Raises:
    NotPublishedError: If there is no manifest.
    CorruptError: If the manifest is not one of ours, or of another kind.
  """
  file = _paths.join(path, MANIFEST_NAME)
  if not _paths.exists(file):
    raise NotPublishedError(
      f'{path}: no {MANIFEST_NAME}; whatever writes this directory has not '
      'finished (or was killed): run it again'
    )
  try:
    raw = _paths.read_json(file)
    manifest = Manifest(raw['kind'], raw['info'], raw['files'])
    recorded = raw['fingerprint']
  except (ValueError, KeyError, TypeError) as e:
    raise CorruptError(f'{file}: not a manifest ({e!r}): publish again') from e
  if recorded != manifest.fingerprint:
    raise CorruptError(f'{file}: was edited after it was published')
  if kind is not None and manifest.kind != kind:
    raise CorruptError(
      f'{path}: is a published {manifest.kind!r}, expected {kind!r}'
    )
  return manifest


def verify(path: _paths.Path, *, kind: str | None = None) -> Manifest:
  """Reads the manifest and checks size and SHA-256 of every file.

  Raises:
    NotPublishedError: If there is no manifest.
    CorruptError: Naming the first file that is missing, cut short or changed.
  """
  manifest = read_manifest(path, kind=kind)
  for name, expected in manifest.files.items():
    file = _paths.join(path, name)
    if not _paths.exists(file):
      raise CorruptError(f'{file}: is listed in the manifest, but missing')
    if _paths.is_remote(file):
      fs, key = fsspec.core.url_to_fs(file)
      with tempfile.NamedTemporaryFile() as local:
        fs.get_file(key, local.name)
        size = os.path.getsize(local.name)
        digest = _fingerprints.sha256_file(local.name)
    else:
      size = os.path.getsize(file)
      digest = _fingerprints.sha256_file(file)
    if size != expected['bytes']:
      raise CorruptError(
        f'{file}: has {size} bytes, the manifest says {expected["bytes"]}; '
        'it was cut short or overwritten: publish it again'
      )
    if digest != expected['sha256']:
      raise CorruptError(
        f'{file}: SHA-256 {digest[:12]}… differs from the manifest '
        f'({expected["sha256"][:12]}…): publish it again'
      )
  return manifest
