"""Files that grow, in a bucket, where nothing can be appended to."""

import pathlib

from msm_jax.storage import _paths


class GrowingFiles:
  """Carries what was added to local files to a bucket.

  Each addition becomes an object, which is composed with what is there under
  its generation: a killed process leaves the file as it was or with all of the
  addition, and of two writers of one file the second is told.
  """

  def __init__(self, folder: pathlib.Path, url: str):
    """Takes what is at `url` for the beginning of files in `folder`.

    Args:
      folder: Of the local files, which hold what comes after that.
      url: Where they go, `gs://…`.
    """
    self._folder = folder
    self._fs, self._key = _paths.filesystem(url)
    self._sent: dict[str, int] = {}
    self._there: dict[str, tuple[int, int, str]] = {}

  def flush(self) -> None:
    """Appends what is new; afterwards it can be read in the bucket.

    Raises:
      FileExistsError: If somebody else writes a file too.
      StorageError: If it cannot be written.
    """
    for file in sorted(p for p in self._folder.rglob('*') if p.is_file()):
      name = file.relative_to(self._folder).as_posix()
      key, sent = f'{self._key}/{name}', self._sent.get(name, 0)
      with open(file, 'rb') as f:
        f.seek(sent)
        data = f.read()
      if not data:
        continue
      there = self._there.get(name) or self._fs.stat(key)
      self._there[name] = self._fs.append(key, data, there)
      self._sent[name] = sent + len(data)
