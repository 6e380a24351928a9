"""Files that a manifest lists, as local files, wherever they are."""

import pathlib
import threading

from msm_jax.log import logger
from msm_jax.storage import _cache
from msm_jax.storage import _paths
from msm_jax.storage._errors import CacheFullError
from msm_jax.storage._errors import CorruptError
from msm_jax.storage._errors import StorageError
from msm_jax.storage._publish import Manifest


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
