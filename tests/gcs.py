"""A Google Cloud Storage of our own; see `gcs_server`."""

from collections.abc import Iterator
import contextlib

import gcs_server

BUCKET = 'test-bucket'


@contextlib.contextmanager
def emulator() -> Iterator[gcs_server.Server]:
  """Starts it, with an empty `gs://test-bucket`."""
  server = gcs_server.Server(BUCKET)
  try:
    yield server
  finally:
    server.close()
