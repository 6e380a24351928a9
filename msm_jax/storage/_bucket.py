"""Publishing into a bucket: one winner, the manifest last.

A bucket renames nothing in one step, so whoever publishes first *claims* the
place: an object with the manifest's name, which is no manifest, takes the place
of what was there when the work began, and of nothing else (`ifGenerationMatch`,
https://cloud.google.com/storage/docs/request-preconditions). Files are uploaded
only where there is nothing, and the manifest only in the place of that claim.
Of two publishers one finds that its precondition does not hold. One that was
killed leaves a claim, which no reader takes for a manifest, and which names the
files that the next publisher removes.
"""

from collections.abc import Collection
from collections.abc import Iterable
import dataclasses
import datetime
import json
import os
import pathlib
import secrets
import socket
from typing import Any

from msm_jax.storage import _paths
from msm_jax.storage._errors import ConflictError

_TAKEOVERS = 3


@dataclasses.dataclass(frozen=True)
class Before:
  """What was there when the work began.

  Attributes:
    generation: Of the manifest or claim; 0 if there was none.
    files: Names of files that are ours to remove.
  """

  generation: int
  files: frozenset[str]


def claim_of(raw: Any) -> dict[str, Any] | None:
  """Returns the claim that an object with the manifest's name is, if any."""
  return raw.get('publishing') if isinstance(raw, dict) else None


def look(target: str, manifest_name: str) -> Before:
  """Finds out what a publication at `target` would take the place of.

  Raises:
    FileExistsError: If there is something that was not published.
  """
  fs, key = _paths.filesystem(target)
  there = fs.stat(f'{key}/{manifest_name}')
  if there.generation:
    return Before(there.generation, _files_of(f'{target}/{manifest_name}'))
  if names := _paths.list_dir(target):
    raise FileExistsError(
      f'{target}: holds {names[0]!r} but no {manifest_name}, so it was not '
      'published by us and is not replaced; publish into another path, or '
      'empty it'
    )
  return Before(0, frozenset())


def _files_of(file: str) -> frozenset[str]:
  """Names in a manifest, or in a claim; none in what is neither."""
  try:
    raw = _paths.read_json(file)
    return frozenset((claim_of(raw) or raw)['files'])
  except (FileNotFoundError, ValueError, KeyError, TypeError):
    return frozenset()


def replace(
  staged: pathlib.Path,
  target: str,
  manifest_name: str,
  files: Collection[str],
  before: Before,
) -> None:
  """Puts staged files, and then their manifest, in the place of `before`.

  Older files go first: others, who know no manifest, would take a half of them
  and a half of the new ones for a whole.

  Raises:
    ConflictError: If somebody else published, or began to, since `before`, and
      something else.
  """
  fs, key = _paths.filesystem(target)
  _Upload(fs, key, target, manifest_name).run(staged, files, before)


@dataclasses.dataclass
class _Upload:
  fs: Any
  key: str
  target: str
  manifest_name: str

  def run(
    self, staged: pathlib.Path, files: Collection[str], before: Before
  ) -> None:
    manifest = f'{self.key}/{self.manifest_name}'
    data = (staged / self.manifest_name).read_bytes()
    mine: dict[str, int] = {}
    try:
      claim = self.fs.upload(
        manifest, _claim(before.files.union(files)), before.generation
      )
      self._remove(before.files)
      for name in files:
        mine[name] = self._put(staged / name, name, claim)
      self.fs.upload(manifest, data, claim)
    except FileExistsError as e:
      if self._reads(manifest) == data:
        return  # The same files, by somebody who was faster.
      self._withdraw(mine)
      raise ConflictError(
        f'{self.target}: somebody else published here, or began to, after this '
        'began; theirs is left as it is. Look at it first, then publish again '
        'or elsewhere'
      ) from e

  def _put(self, file: pathlib.Path, name: str, claim: int) -> int:
    """Uploads a file to where there is nothing, or nothing of a rival's."""
    path = f'{self.key}/{name}'
    for _ in range(_TAKEOVERS):
      try:
        return self.fs.upload(path, file, 0)
      except FileExistsError:
        manifest = self.fs.stat(f'{self.key}/{self.manifest_name}')
        if manifest.generation != claim:
          raise
        # Of a publisher whose claim ours replaced: it cannot win any more.
        self.fs.delete(path, self.fs.stat(path).generation)
    return self.fs.upload(path, file, 0)

  def _remove(self, names: Iterable[str]) -> None:
    for name in sorted(names):
      path = f'{self.key}/{name}'
      if generation := self.fs.stat(path).generation:
        self.fs.delete(path, generation)

  def _reads(self, path: str) -> bytes | None:
    try:
      return self.fs.cat_file(path)
    except FileNotFoundError:
      return None

  def _withdraw(self, mine: dict[str, int]) -> None:
    """Removes our own files, but what the winner names too."""
    theirs = _files_of(f'{self.target}/{self.manifest_name}')
    for name, generation in mine.items():
      if name not in theirs:
        self.fs.delete(f'{self.key}/{name}', generation)


def _claim(files: Iterable[str]) -> bytes:
  claim = {
    'by': f'process {os.getpid()} on {socket.gethostname()}',
    'since': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
    'token': secrets.token_hex(16),
    'files': sorted(files),
  }
  return json.dumps({'publishing': claim}).encode()
