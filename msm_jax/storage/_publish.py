"""Directories that appear whole or not at all, with checksums."""

from collections.abc import Iterator
import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

from msm_jax.storage import _bucket
from msm_jax.storage import _fingerprints
from msm_jax.storage import _paths
from msm_jax.storage import _staging
from msm_jax.storage._errors import CorruptError
from msm_jax.storage._errors import NotPublishedError

MANIFEST_NAME = 'manifest.json'
_FORMAT = 1


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


def _check_replaceable(target: pathlib.Path) -> None:
  """Refuses to replace what `publish` did not make, e.g. somebody's home."""
  if not target.exists():
    return
  if not target.is_dir():
    raise FileExistsError(f'{target}: is a file; publish into another path')
  if not (target / MANIFEST_NAME).exists() and any(target.iterdir()):
    raise FileExistsError(
      f'{target}: holds files but no {MANIFEST_NAME}, so it was not published '
      'by us and is not replaced; publish into another path, or empty it'
    )


def _exchange(one: pathlib.Path, other: pathlib.Path) -> bool:
  """Swaps two names in one step; False where the system cannot (Linux can)."""
  libc = ctypes.CDLL(None)
  if not hasattr(libc, 'renameat2'):
    return False
  here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
  return (
    libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange)
    == 0
  )


def _replace_directory(staged: pathlib.Path, target: pathlib.Path) -> None:
  """Puts `staged` in the place of `target`; whatever was there is removed."""
  try:
    os.rename(staged, target)  # Nothing is there, or an empty directory.
  except OSError as e:
    if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
      raise
    retired = staged
    if not _exchange(staged, target):
      retired = staged.with_name(staged.name + '-retired')
      os.rename(target, retired)
      os.rename(staged, target)
    shutil.rmtree(retired)
  _paths.fsync_path(target.parent)


def _flush(root: pathlib.Path) -> None:
  """Flushes all files and directories below `root` to the disk."""
  for path in root.rglob('*'):
    _paths.fsync_path(path)


def check_place(path: _paths.Path) -> None:
  """Finds out whether `publish` could publish here, before there is anything.

  Writes something beside the path, and removes it.

  Raises:
    FileExistsError: If there is something at `path` that was not published.
    OSError: Or, of a bucket, whatever its client raises, if nothing can be
      written there.
  """
  if _paths.is_remote(path):
    _bucket.look(str(path).rstrip('/'), MANIFEST_NAME)
    probe = f'{str(path).rstrip("/")}.probe'
    _paths.write_atomic(probe, '')
    _paths.remove_tree(probe)
    return
  target = pathlib.Path(path).resolve()
  target.parent.mkdir(parents=True, exist_ok=True)
  _check_replaceable(target)
  staged = _staging.staging_path(target)
  staged.mkdir()
  staged.rmdir()


@contextlib.contextmanager
def publish(path: _paths.Path, *, kind: str) -> Iterator[Publication]:
  """Publishes a directory: all of it when the block ends, or nothing.

  A local directory that was published before is there until the new one takes
  its place, in one step. In a bucket it is unpublished while files are copied,
  the manifest last, and of several publishers one wins; see `_bucket`.

  Example:
    with storage.publish(out, kind='corpus') as publication:
      write_parquet(publication.dir / 'base.parquet')
      publication.info['documents'] = 12

  Args:
    path: The final directory, local or `gs://…`; replaced if it was published
      before.
    kind: Recorded in the manifest and checked by readers.

  Yields:
    The publication, whose `dir` is local in any case.

  Raises:
    FileExistsError: If there is something at `path` that was not published.
    ConflictError: If somebody else published into the same bucket's directory
      meanwhile, and something else.
    ValueError: If the block wrote a file called `manifest.json`.
  """
  place = str(path).rstrip('/')
  before = None
  if _paths.is_remote(path):
    before = _bucket.look(place, MANIFEST_NAME)
    name = f'msm_jax-{_fingerprints.fingerprint(place)}'
    target = pathlib.Path(tempfile.gettempdir()) / name
  else:
    target = pathlib.Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_replaceable(target)
  _staging.remove_abandoned(target)
  staged = _staging.staging_path(target)
  staged.mkdir()
  try:
    publication = Publication(dir=staged, info={})
    yield publication
    manifest = _write_manifest(publication, kind)
    if before is not None:
      _bucket.replace(staged, place, MANIFEST_NAME, manifest.files, before)
    else:
      _replace_directory(staged, target)
  finally:
    shutil.rmtree(staged, ignore_errors=True)


def _write_manifest(publication: Publication, kind: str) -> Manifest:
  """Describes and flushes what was written, and adds the manifest to it."""
  staged = publication.dir
  files = _describe_files(staged)
  if MANIFEST_NAME in files:
    raise ValueError(
      f'{MANIFEST_NAME}: is the name of the manifest; call the file otherwise'
    )
  # As a reader will see it: tuples become lists, and keys strings.
  info = json.loads(_fingerprints.canonical_json(publication.info))
  manifest = Manifest(kind=kind, info=info, files=files)
  _flush(staged)
  text = _fingerprints.canonical_json(manifest.to_json())
  _paths.write_atomic(staged / MANIFEST_NAME, text)
  return manifest


def read_manifest(path: _paths.Path, *, kind: str | None = None) -> Manifest:
  """Reads the manifest of a published directory; does not verify the files.

  Raises:
    NotPublishedError: If there is no manifest.
    CorruptError: If the manifest is not one of ours, or of another kind.
  """
  file = _paths.join(path, MANIFEST_NAME)
  try:
    text = _paths.read_bytes(file)
  except (FileNotFoundError, NotADirectoryError) as e:
    raise NotPublishedError(
      f'{path}: no {MANIFEST_NAME}; whatever writes this directory has not '
      'finished (or was killed): run it again'
    ) from e
  try:
    raw = json.loads(text)
    if claim := _bucket.claim_of(raw):
      raise NotPublishedError(
        f'{path}: {claim["by"]} began to publish here ({claim["since"]}) and '
        'has not finished; if it was killed, run it again'
      )
    manifest = Manifest(raw['kind'], raw['info'], raw['files'])
    version, recorded = raw['format'], raw['fingerprint']
  except (ValueError, KeyError, TypeError) as e:
    raise CorruptError(f'{file}: not a manifest ({e!r}): publish again') from e
  if version != _FORMAT:
    raise CorruptError(
      f'{file}: has format {version!r}, this code reads {_FORMAT}: publish '
      'again, or use the version of the code that wrote it'
    )
  if recorded != manifest.fingerprint:
    raise CorruptError(
      f'{file}: was edited after it was published; publish again'
    )
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
    _verify_file(_paths.join(path, name), expected)
  return manifest


def _verify_file(file: str, expected: dict[str, Any]) -> None:
  try:
    size = _paths.size(file)
  except FileNotFoundError as e:
    raise CorruptError(
      f'{file}: is listed in the manifest, but missing: publish it again'
    ) from e
  if size != expected['bytes']:
    raise CorruptError(
      f'{file}: has {size} bytes, the manifest says {expected["bytes"]}; '
      'it was cut short or overwritten: publish it again'
    )
  digest = _fingerprints.sha256_file(file)
  if digest != expected['sha256']:
    raise CorruptError(
      f'{file}: SHA-256 {digest[:12]}… differs from the manifest '
      f'({expected["sha256"][:12]}…): publish it again'
    )
