"""What goes wrong; here, because gcsfs takes long to import."""


class StorageError(OSError):
  """Cloud Storage refuses, or does not answer; says what can be done."""


class PreconditionError(StorageError, FileExistsError):
  """The object is of another generation than was asked for."""


class ConflictError(FileExistsError):
  """Somebody else published in this place meanwhile."""


class NotPublishedError(FileNotFoundError):
  """The directory has no manifest: it was never finished, or never begun."""


class CorruptError(ValueError):
  """A file is missing or differs from what its manifest says."""


class CacheFullError(StorageError):
  """The local copy of a file finds no room."""
