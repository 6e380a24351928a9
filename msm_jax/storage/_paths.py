"""Local paths and `gs://` alike, through fsspec (gcsfs for `gs://`)."""

import json
import os
import pathlib
import shutil
from typing import Any
from typing import IO

import fsspec

from msm_jax.storage import _staging

Path = str | pathlib.Path

# By name, so that only who uses a bucket waits for gcsfs.
for _protocol in ('gs', 'gcs'):
  fsspec.register_implementation(
    _protocol, 'msm_jax.storage._gcs.FileSystem', clobber=True
  )


def is_remote(path: Path) -> bool:
  """Whether `path` is a URL such as `gs://bucket/key` rather than local."""
  return '://' in str(path)


def join(path: Path, *parts: str) -> str:
  """Joins with `/`; works for local paths and URLs."""
  return '/'.join([str(path).rstrip('/'), *(p.strip('/') for p in parts)])


def filesystem(path: Path) -> tuple[Any, str]:
  """Returns the file system of a URL, and the bucket and name in it.

  Raises:
    ValueError: If it is not of Cloud Storage.
  """
  if not str(path).startswith('gs://'):
    raise ValueError(f'{path}: expected a local path, or gs://BUCKET/NAME')
  return fsspec.core.url_to_fs(str(path))


def open_file(path: Path, mode: str = 'rb') -> IO[Any]:
  """Opens a local or remote file; text modes are UTF-8."""
  encoding = None if 'b' in mode else 'utf-8'
  if is_remote(path):
    fs, key = filesystem(path)
    return fs.open(key, mode, encoding=encoding)
  return open(path, mode, encoding=encoding)


def read_bytes(path: Path) -> bytes:
  """Reads a whole file; a remote one is compared with its checksum."""
  if is_remote(path):
    fs, key = filesystem(path)
    return fs.cat_file(key)
  return pathlib.Path(path).read_bytes()


def read_text(path: Path) -> str:
  return read_bytes(path).decode('utf-8')


def read_json(path: Path) -> Any:
  return json.loads(read_text(path))


def exists(path: Path) -> bool:
  if is_remote(path):
    fs, key = filesystem(path)
    return fs.exists(key)
  return os.path.exists(path)


def size(path: Path) -> int:
  """Returns the bytes of a file, or raises `FileNotFoundError`."""
  if is_remote(path):
    fs, key = filesystem(path)
    return fs.size(key)
  return os.path.getsize(path)


def list_dir(path: Path) -> list[str]:
  """Returns the sorted names in a directory; `[]` if it does not exist."""
  if is_remote(path):
    fs, key = filesystem(path)
    try:
      found = [e for e in fs.ls(key, detail=False) if e != key]
    except FileNotFoundError:
      return []
    return sorted({e.rstrip('/').rsplit('/', 1)[-1] for e in found})
  return sorted(os.listdir(path)) if os.path.isdir(path) else []


def make_dirs(path: Path) -> None:
  """Makes a local directory and its parents; buckets need none."""
  if not is_remote(path):
    os.makedirs(path, exist_ok=True)


def remove_tree(path: Path) -> None:
  """Removes a directory and all below it; a missing one is no error."""
  if is_remote(path):
    fs, key = filesystem(path)
    if fs.exists(key):
      fs.rm(key, recursive=True)
  elif os.path.isdir(path):
    shutil.rmtree(path)


def fsync_path(path: Path) -> None:
  """Flushes a local file or directory entry to the disk."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def write_atomic(path: Path, data: bytes | str) -> None:
  """Writes a whole file so that readers see the old content or the new.

  Local files are written beside the target and renamed over it; an object
  store replaces an object in one operation anyway.
  """
  if isinstance(data, str):
    data = data.encode('utf-8')
  if is_remote(path):
    fs, key = filesystem(path)
    fs.upload(key, data)
    return
  path = pathlib.Path(path).absolute()
  path.parent.mkdir(parents=True, exist_ok=True)
  _staging.remove_abandoned(path)
  staged = _staging.staging_path(path)
  try:
    with open(staged, 'wb') as f:
      f.write(data)
      f.flush()
      os.fsync(f.fileno())
    os.replace(staged, path)
  finally:
    staged.unlink(missing_ok=True)
  fsync_path(path.parent)
