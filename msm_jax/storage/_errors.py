"""What goes wrong with a bucket; here, because gcsfs takes long to import."""


class StorageError(OSError):
  """Cloud Storage refuses, or does not answer; says what can be done."""


class PreconditionError(StorageError, FileExistsError):
  """The object is of another generation than was asked for."""


class ConflictError(FileExistsError):
  """Somebody else published in this place meanwhile."""
