"""Content fingerprints: the same content gives the same 16 hex digits."""

from collections.abc import Iterable
import hashlib
import json
import pathlib
from typing import Any

from msm_jax.storage import _paths


def canonical_json(value: Any) -> str:
  """Returns JSON with sorted keys and no spaces; NaN is an error."""
  return json.dumps(
    value,
    sort_keys=True,
    separators=(',', ':'),
    ensure_ascii=False,
    allow_nan=False,
  )


def fingerprint(value: Any) -> str:
  """Returns 16 hex digits of the SHA-256 of a JSON-like value, or of bytes."""
  data = value if isinstance(value, bytes) else canonical_json(value).encode()
  return hashlib.sha256(data).hexdigest()[:16]


def sha256_file(path: _paths.Path) -> str:
  """Returns the SHA-256 of a local or remote file as 64 hex digits."""
  with _paths.open_file(path) as f:
    return hashlib.file_digest(f, 'sha256').hexdigest()  # type: ignore[arg-type]


def source_fingerprint(roots: Iterable[str | pathlib.Path]) -> str:
  """Returns the fingerprint of the Python sources below `roots`.

  A stage whose result depends on code names that code here, so that changing
  the code makes the stage stale and changing anything else does not. Where
  `roots` are, and in which order they are given, does not matter.

  Args:
    roots: Python files, or directories that are searched for `*.py`.

  Raises:
    FileNotFoundError: If there is no Python file at or below a root.
  """
  hashes = []
  for root in map(pathlib.Path, roots):
    files = [root] if root.is_file() else sorted(root.rglob('*.py'))
    if not files:
      raise FileNotFoundError(f'{root}: no Python source to fingerprint')
    for file in files:
      name = file.relative_to(root.parent).as_posix()
      hashes.append((name, sha256_file(file)))
  return fingerprint(sorted(hashes))
