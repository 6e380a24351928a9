"""The ground floor: local and `gs://` paths, atomic publishing, checksums.

A directory that a stage produces is *published*: its files appear together
with a `manifest.json` that lists the size and SHA-256 of each. A directory
without a manifest does not exist as far as any reader is concerned, so a killed
writer leaves nothing that somebody could mistake for a result.
"""

from msm_jax.storage._cache import Cache
from msm_jax.storage._cache import default as default_cache
from msm_jax.storage._cache import Held
from msm_jax.storage._errors import CacheFullError
from msm_jax.storage._errors import ConflictError
from msm_jax.storage._errors import CorruptError
from msm_jax.storage._errors import NotPublishedError
from msm_jax.storage._errors import StorageError
from msm_jax.storage._files import hold
from msm_jax.storage._files import list_published
from msm_jax.storage._files import open_published
from msm_jax.storage._files import PublishedFiles
from msm_jax.storage._fingerprints import canonical_json
from msm_jax.storage._fingerprints import fingerprint
from msm_jax.storage._fingerprints import sha256_file
from msm_jax.storage._fingerprints import source_fingerprint
from msm_jax.storage._growing import GrowingFiles
from msm_jax.storage._paths import exists
from msm_jax.storage._paths import is_remote
from msm_jax.storage._paths import join
from msm_jax.storage._paths import list_dir
from msm_jax.storage._paths import make_dirs
from msm_jax.storage._paths import open_file
from msm_jax.storage._paths import read_bytes
from msm_jax.storage._paths import read_json
from msm_jax.storage._paths import read_text
from msm_jax.storage._paths import remove_tree
from msm_jax.storage._paths import size
from msm_jax.storage._paths import write_atomic
from msm_jax.storage._publish import check_place
from msm_jax.storage._publish import Manifest
from msm_jax.storage._publish import MANIFEST_NAME
from msm_jax.storage._publish import Publication
from msm_jax.storage._publish import publish
from msm_jax.storage._publish import read_manifest
from msm_jax.storage._publish import verify

__all__ = [
  'MANIFEST_NAME',
  'Cache',
  'CacheFullError',
  'ConflictError',
  'CorruptError',
  'GrowingFiles',
  'Held',
  'Manifest',
  'NotPublishedError',
  'Publication',
  'PublishedFiles',
  'StorageError',
  'canonical_json',
  'check_place',
  'default_cache',
  'exists',
  'fingerprint',
  'hold',
  'is_remote',
  'join',
  'list_dir',
  'list_published',
  'make_dirs',
  'open_file',
  'open_published',
  'publish',
  'read_bytes',
  'read_json',
  'read_manifest',
  'read_text',
  'remove_tree',
  'sha256_file',
  'size',
  'source_fingerprint',
  'verify',
  'write_atomic',
]
