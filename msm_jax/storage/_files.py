"""Files that a manifest lists, as local files, wherever they are."""

import io
import pathlib
import threading
from typing import Any
from typing import IO

from msm_jax.log import logger
from msm_jax.storage import _cache
from msm_jax.storage import _paths
from msm_jax.storage._errors import CacheFullError
from msm_jax.storage._errors import CorruptError
from msm_jax.storage._errors import NotPublishedError
from msm_jax.storage._errors import StorageError
from msm_jax.storage._publish import Manifest
from msm_jax.storage._publish import MANIFEST_NAME
from msm_jax.storage._publish import read_manifest

# How many directories above a file its manifest is looked for.
_LEVELS = 3


class PublishedFiles:
  """The files of a published directory.

  Those of a bucket are held in the cache, each verified against the manifest;
  those of the local disk are where they are, and not verified here.
  """

  def __init__(self, path: str, manifest: Manifest):
    self._path, self._manifest = path, manifest
    self._cache = _cache.default() if _paths.is_remote(path) else None
    self._closed = threading.Event()

  def hold(self, name: str) -> _cache.Held:
    """Returns a local file; see `Cache.hold` for what is raised."""
    url = _paths.join(self._path, name)
    if self._cache is None:
      return _cache.Held(pathlib.Path(url))
    return self._cache.hold(url, self._manifest.files[name])

  def prefetch(self, names: list[str]) -> None:
    """Fetches files of a bucket in a thread, in that order.

    None, if the cache could not hold all of them: each would drive out another
    before it is used.
    """
    if self._cache is None:
      return
    total = sum(self._manifest.files[name]['bytes'] for name in names)
    if total > self._cache.max_bytes:
      logger.warning(
        '%s: has %s bytes, and the cache %s may have %s: files will be fetched '
        'again and again. Set %s to more',
        self._path,
        f'{total:,}',
        self._cache.directory,
        f'{self._cache.max_bytes:,}',
        _cache.SIZE_VARIABLE,
      )
      return
    threading.Thread(
      target=self._prefetch, args=(names,), name='prefetch files', daemon=True
    ).start()

  def _prefetch(self, names: list[str]) -> None:
    for name in names:
      if self._closed.is_set():
        return
      try:
        self.hold(name).close()
      except (CacheFullError, CorruptError, StorageError) as e:
        # Whoever needs the file is told so where it is needed.
        logger.warning('%s is not fetched ahead of need: %s', name, e)
        return

  def close(self) -> None:
    """Lets the thread end after the file that it fetches."""
    self._closed.set()


def _listed(path: _paths.Path) -> tuple[Manifest, str] | None:
  """Finds the manifest above something of a bucket, and its name there.

  Raises:
    NotPublishedError: If what is above is being published.
  """
  directory, names = str(path).rstrip('/'), list[str]()
  for _ in range(_LEVELS):
    directory, _, name = directory.rpartition('/')
    names.insert(0, name)
    if directory.count('/') < 3:  # gs://bucket
      return None
    fs, key = _paths.filesystem(_paths.join(directory, MANIFEST_NAME))
    if not fs.stat(key).generation:
      continue
    try:
      return read_manifest(directory), '/'.join(names)
    except CorruptError:
      continue  # Something else of that name.
  return None


def list_published(path: _paths.Path) -> list[str]:
  """Returns the sorted names in a directory.

  Of a part of something that was published in a bucket, those that its manifest
  lists: neither less, whatever a listing leaves out, nor more.

  Raises:
    NotPublishedError: If it is being published.
  """
  if _paths.is_remote(path) and (found := _listed(path)):
    manifest, name = found
    below = [f.removeprefix(f'{name}/') for f in manifest.files]
    inside = [b for b, f in zip(below, manifest.files, strict=True) if b != f]
    if inside:
      return sorted({b.partition('/')[0] for b in inside})
  return _paths.list_dir(path)


def hold(path: _paths.Path) -> _cache.Held:
  """Returns a local file: itself, or the cache's copy of a published one.

  Raises:
    NotPublishedError: If it is of a bucket, and no manifest lists it.
  """
  if not _paths.is_remote(path):
    return _cache.Held(pathlib.Path(path))
  held = _hold_listed(path)
  if held is None:
    raise NotPublishedError(f'{path}: no {MANIFEST_NAME} above it lists it')
  return held


def _hold_listed(path: _paths.Path) -> _cache.Held | None:
  if found := _listed(path):
    manifest, name = found
    if name in manifest.files:
      return _cache.default().hold(str(path), manifest.files[name])
  return None


class _HeldFile(io.BufferedReader):
  """A file that is held while it is open."""

  def __init__(self, held: _cache.Held):
    super().__init__(io.FileIO(held.path))
    self._held = held

  def close(self) -> None:
    super().close()
    self._held.close()


def open_published(path: _paths.Path) -> IO[Any]:
  """Opens a file for reading, in binary.

  One of a bucket that a manifest lists is fetched into the cache and verified;
  any other is streamed.
  """
  if _paths.is_remote(path) and (held := _hold_listed(path)):
    return _HeldFile(held)
  return _paths.open_file(path)
