"""A bounded, verified copy on the local disk of files in buckets.

Entries are named by the SHA-256 that a manifest promises, so what is cached is
never stale. Processes share the directory by locks (flock(2)) that end with
their holder, however it ends:

- Who uses an entry holds a shared lock on it; only what nobody holds is
  evicted, the least recently used first.
- Who fetches one holds an exclusive lock on `<sha256>.part`, which is renamed
  when it is whole and right. Others wait for that lock, and find the entry.
- Who makes room, reserves it, or gives an entry its name holds an exclusive
  lock on the directory, and waits for nothing meanwhile.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import os
import pathlib
import shutil
import time
from typing import Any

from msm_jax.storage import _paths
from msm_jax.storage._errors import CacheFullError
from msm_jax.storage._errors import CorruptError

DIR_VARIABLE = 'MSM_JAX_CACHE_DIR'
SIZE_VARIABLE = 'MSM_JAX_CACHE_GB'
_DEFAULT_GB = 64.0
# What is asked for at once, by four requests.
_PIECE, _REQUESTS = 64 << 20, 4
_PART, _LOCK = '.part', 'lock'


class Held:
  """A cached file that stays where it is until it is closed.

  Attributes:
    path: Where it is.
  """

  def __init__(self, path: pathlib.Path, descriptor: int | None = None):
    self.path = path
    self._descriptor = descriptor

  def names(self, path: pathlib.Path) -> bool:
    """Whether that path still leads to this file."""
    assert self._descriptor is not None
    try:
      return os.path.samestat(os.stat(path), os.fstat(self._descriptor))
    except FileNotFoundError:
      return False

  def close(self) -> None:
    """Gives it free to be evicted; may be called twice."""
    if self._descriptor is not None:
      os.close(self._descriptor)  # The lock goes with it.
      self._descriptor = None

  def __del__(self) -> None:
    self.close()

  def __enter__(self) -> 'Held':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()


def default() -> 'Cache':
  """Returns the cache that the environment asks for.

  `MSM_JAX_CACHE_DIR` is its directory (default `~/.cache/msm_jax`, or below
  `XDG_CACHE_HOME`), `MSM_JAX_CACHE_GB` its bound in 10⁹ bytes (default 64).

  Raises:
    ValueError: If the bound is no positive number.
  """
  home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
  directory = os.environ.get(DIR_VARIABLE) or f'{home}/msm_jax'
  told = os.environ.get(SIZE_VARIABLE) or str(_DEFAULT_GB)
  try:
    size = int(float(told) * 1e9)
  except (ValueError, OverflowError):
    size = 0
  if size <= 0:
    raise ValueError(
      f'{SIZE_VARIABLE}={told}: expected a positive number, the gigabytes that '
      'files from buckets may take on the local disk'
    )
  return Cache(pathlib.Path(directory).expanduser(), size)


@dataclasses.dataclass(frozen=True)
class Cache:
  """A directory of files by their SHA-256.

  Attributes:
    directory: Where they are.
    max_bytes: What they may take together.
  """

  directory: pathlib.Path
  max_bytes: int

  def hold(self, url: str, expected: dict[str, Any]) -> Held:
    """Returns a verified local copy of a file, fetched if need be.

    Args:
      url: Where it is, `gs://…`.
      expected: Its `bytes` and `sha256`, as its manifest has them.

    Raises:
      CorruptError: If the bucket holds something else.
      CacheFullError: If there is no room, and whoever holds the rest needs it.
      StorageError: If it cannot be read.
    """
    self.directory.mkdir(parents=True, exist_ok=True)
    path = self.directory / expected['sha256']
    while True:
      held = self._held(path) or self._fetched(path, url, expected)
      if held is None:
        continue  # Somebody else fetched it meanwhile.
      if _is_whole(path, expected):
        # Only the time of access: that of change says what was verified.
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        return held
      self._remove_damaged(path, held)

  def _remove_damaged(self, path: pathlib.Path, held: Held) -> None:
    with self._directory_lock(), held:
      if held.names(path):  # And not what somebody fetched anew.
        path.unlink()

  def _held(self, path: pathlib.Path) -> Held | None:
    """Locks an entry against eviction, if there is one."""
    try:
      descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
      return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    held = Held(path, descriptor)
    if held.names(path):
      return held
    held.close()  # It was evicted before the lock was ours.
    return None

  def _fetched(
    self, path: pathlib.Path, url: str, expected: dict[str, Any]
  ) -> Held | None:
    """Fetches an entry, unless somebody else has done so by now."""
    part = path.with_name(path.name + _PART)
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
    held = Held(path, descriptor)
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX)
      if not held.names(part):
        held.close()
        return None
      if path.exists():
        part.unlink()
        held.close()
        return None
      self._reserve(descriptor, url, expected['bytes'])
      _download(url, descriptor, expected)
      os.fsync(descriptor)
      with self._directory_lock():
        os.rename(part, path)
      _remember(path, expected['sha256'])
    except BaseException:
      part.unlink(missing_ok=True)
      held.close()
      raise
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if held.names(path):
      return held
    held.close()
    return None

  def _reserve(self, descriptor: int, url: str, size: int) -> None:
    """Makes room for a file and takes it, or raises `CacheFullError`."""
    if size > self.max_bytes:
      raise CacheFullError(
        f'{url}: has {size:,} bytes, and the cache {self.directory} may have '
        f'{self.max_bytes:,} in all: set {SIZE_VARIABLE} to more'
      )
    with self._directory_lock():
      os.ftruncate(descriptor, 0)
      while not self._has_room(size):
        if not self._evict():
          raise self._full(url, size)
      try:
        if size:
          os.posix_fallocate(descriptor, 0, size)
      except OSError as e:
        os.ftruncate(descriptor, 0)
        if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
          raise
        raise self._full(url, size) from e

  def _has_room(self, size: int) -> bool:
    used = sum(size for _, size, _ in self._entries())
    free = shutil.disk_usage(self.directory).free
    return used + size <= self.max_bytes and size <= free

  def _full(self, url: str, size: int) -> CacheFullError:
    used = sum(size for _, size, _ in self._entries())
    free = shutil.disk_usage(self.directory).free
    return CacheFullError(
      f'{url}: no room for its {size:,} bytes in the cache {self.directory}: '
      f'{used:,} of {self.max_bytes:,} are in use by running processes, and '
      f'{free:,} are free on the disk. Raise {SIZE_VARIABLE}, make room on the '
      f'disk, or set {DIR_VARIABLE} to another'
    )

  def _evict(self) -> bool:
    """Removes the entry that nobody holds and nobody used for longest."""
    for _, size, path in sorted(self._entries()):
      if not size:
        continue
      with contextlib.suppress(FileNotFoundError, BlockingIOError):
        descriptor = os.open(path, os.O_RDWR)
        try:
          fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
          os.unlink(path)  # A part that nobody locks was abandoned.
          return True
        finally:
          os.close(descriptor)
    return False

  def _entries(self) -> list[tuple[int, int, str]]:
    """Returns (last use, bytes, path) of every entry and part."""
    found = []
    for entry in os.scandir(self.directory):
      with contextlib.suppress(FileNotFoundError):  # A part was given up.
        stat = entry.stat()
        found.append((stat.st_atime_ns, stat.st_size, entry.path))
    return found

  @contextlib.contextmanager
  def _directory_lock(self) -> Iterator[None]:
    descriptor = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX)
      yield
    finally:
      os.close(descriptor)


def _download(url: str, descriptor: int, expected: dict[str, Any]) -> None:
  """Writes the file and compares it with what its manifest says.

  Raises:
    CorruptError: If it is another.
  """
  fs, key = _paths.filesystem(url)
  there = fs.stat(key)
  if there.size != expected['bytes']:
    what = f'{there.size} bytes' if there.generation else 'nothing'
    raise CorruptError(
      f'{url}: is {what}, the manifest says {expected["bytes"]} bytes: publish '
      'it again'
    )
  # A part that was garbled on its way has no checksum of its own, so that the
  # whole is fetched once more before anybody says that the bucket holds it so.
  for _ in range(2):
    digest = hashlib.sha256()
    for begin in range(0, there.size, _PIECE):
      end = min(begin + _PIECE, there.size)
      piece = fs.cat_file(
        key, begin, end, concurrency=_REQUESTS, generation=there.generation
      )
      digest.update(piece)
      _write(descriptor, piece, begin)
    if digest.hexdigest() == expected['sha256']:
      return
  raise CorruptError(
    f'{url}: SHA-256 {digest.hexdigest()[:12]}… differs from the manifest '
    f'({expected["sha256"][:12]}…): publish it again'
  )


def _write(descriptor: int, data: bytes, place: int) -> None:
  view = memoryview(data)
  while view:
    written = os.pwrite(descriptor, view, place)
    view, place = view[written:], place + written


def _state(path: pathlib.Path) -> tuple[int, int, int]:
  stat = path.stat()
  return stat.st_ino, stat.st_size, stat.st_mtime_ns


# What this process has verified; a file that was touched since is another.
_verified: dict[tuple[str, tuple[int, int, int]], None] = {}


def _remember(path: pathlib.Path, sha256: str) -> None:
  _verified[sha256, _state(path)] = None


def _is_whole(path: pathlib.Path, expected: dict[str, Any]) -> bool:
  """Whether an entry is what its name says; read once by each process."""
  try:
    if path.stat().st_size != expected['bytes']:
      return False
    if (expected['sha256'], _state(path)) in _verified:
      return True
    with open(path, 'rb') as f:
      if hashlib.file_digest(f, 'sha256').hexdigest() != expected['sha256']:
        return False
  except FileNotFoundError:
    return False
  _remember(path, expected['sha256'])
  return True
