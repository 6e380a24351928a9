"""What a batch teacher needs of a provider, and its settings."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any
from typing import Protocol

from data_gen.teachers.batch_jobs import Result
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import TeacherError
from msm_jax import log
from msm_jax import schema


@dataclasses.dataclass(frozen=True)
class BatchOptions:
  """`TeacherConfig.extra` of batch teachers.

  Attributes:
    quiet: Seconds without a new request after which a job is sent.
    max_requests: Of one job; with more, it is sent at once.
    max_bytes: Of the lines of one job.
    poll_first: Seconds before a job is looked at for the first time, growing
    poll_most: up to this.
    grace: Seconds after which the server is taken to know every job that it
      was asked to start, so that one it does not know was never started.
    max_submissions: In how many jobs a request may be before it is given up.
  """

  quiet: float = 5.0
  max_requests: int = 20_000
  max_bytes: int = 150_000_000
  poll_first: float = 10.0
  poll_most: float = 300.0
  grace: float = 120.0
  max_submissions: int = 3

  def __post_init__(self):
    for name in ('quiet', 'grace'):
      if getattr(self, name) < 0:
        raise schema.ConfigError(
          f'teacher.extra.{name}: {getattr(self, name)}, expected 0 or more'
        )
    for name in (
      *('max_requests', 'max_bytes', 'poll_first', 'poll_most'),
      'max_submissions',
    ):
      if getattr(self, name) <= 0:
        raise schema.ConfigError(
          f'teacher.extra.{name}: {getattr(self, name)}, expected more than 0'
        )


@dataclasses.dataclass(frozen=True)
class Progress:
  """How a job stands.

  Attributes:
    state: As the server calls it.
    ended: Whether it will change no more.
    resumable: Whether requests without a result may go into another job.
    files: Of its results, as the server calls them.
    message: Why it failed.
    bad_lines: Lines of the input that the server refused, from 1, and why.
  """

  state: str
  ended: bool
  resumable: bool = True
  files: tuple[str, ...] = ()
  message: str = ''
  bad_lines: Mapping[int, str] = dataclasses.field(default_factory=dict)


class BatchServer(Protocol):
  """A provider's batch interface; every call is one attempt.

  All of them raise `TeacherError`.
  """

  @property
  def name(self) -> str:
    """Which server, for the store; without secrets."""
    ...

  def line(self, request: Request) -> bytes:
    """Returns the request as a line of the input, without line break."""
    ...

  async def upload(self, job: str, lines: Sequence[bytes]) -> str:
    """Uploads the input of a job, and returns what the server calls it."""
    ...

  async def start(self, job: str, source: str, model: str) -> str:
    """Starts a job under our name for it, and returns the server's id."""
    ...

  async def find(self, job: str, since: float) -> list[str]:
    """Returns ids of the jobs of this name, started after `since`."""
    ...

  async def poll(self, id_: str) -> Progress: ...

  async def results(self, file: str) -> dict[str, Result]:
    """Downloads a file of results: key to answer or error."""
    ...

  async def discard(self, source: str) -> None:
    """Deletes what was uploaded for a job that was never started."""
    ...

  async def close(self) -> None: ...


class JobGoneError(TeacherError):
  """The server does not know a job that it once started."""

  def __init__(self, message: str):
    super().__init__(message, retryable=False)


def read_results(
  content: bytes,
  file: str,
  key: str,
  read: Callable[[Mapping[str, Any]], Result | None],
) -> dict[str, Result]:
  """Reads a file of results, one JSON object a line.

  A line that cannot be read is no result: its request counts as not worked on,
  and a warning says how many there were.

  Args:
    content: Of the file.
    file: Its name, for the warning.
    key: Field of a line that says which request it answers.
    read: Returns what a line says; None if the request was not worked on.
  """
  results: dict[str, Result] = {}
  unreadable = 0
  for line in content.splitlines():
    if not line.strip():
      continue
    try:
      entry = json.loads(line)
      name, result = entry[key], read(entry)
    except (ValueError, KeyError, TypeError, AttributeError):
      unreadable += 1
      continue
    if result is not None:
      results[name] = result
  if unreadable:
    log.logger.warning('%s: %d lines cannot be read', file, unreadable)
  return results
