"""Content fingerprints: the same content gives the same 16 hex digits."""

from collections.abc import Iterable
import hashlib
import json
import pathlib
from typing import Any


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


def sha256_file(path: str | pathlib.Path) -> str:
  """Returns the SHA-256 of a local file as 64 hex digits."""
  with open(path, 'rb') as f:
    return hashlib.file_digest(f, 'sha256').hexdigest()


def source_fingerprint(roots: Iterable[str | pathlib.Path]) -> str:
  """Returns the fingerprint of the Python sources below `roots`.

  A stage whose result depends on code names that code here, so that changing
  the code makes the stage stale and changing anything else does not.

  Args:
    roots: Python files, or directories that are searched for `*.py`.
  """
  hashes = {}
  for root in sorted(pathlib.Path(r) for r in roots):
    files = [root] if root.is_file() else sorted(root.rglob('*.py'))
    if not files:
      raise FileNotFoundError(f'{root}: no Python source to fingerprint')
    for file in files:
      hashes[str(file.relative_to(root.parent))] = sha256_file(file)
  return fingerprint(hashes)
