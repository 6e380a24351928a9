"""What is asked of a teacher, and what comes back."""

from collections.abc import Mapping
import dataclasses
import enum
import functools
import hashlib
from typing import Any
from typing import Protocol

from data_gen.teachers.credentials import check_no_credentials
from msm_jax import storage


@dataclasses.dataclass(frozen=True)
class Message:
  """One message of a chat; the role is `system`, `user` or `assistant`."""

  role: str
  content: str


@dataclasses.dataclass(frozen=True)
class Sampling:
  """How an answer is drawn.

  Attributes:
    max_tokens: Budget of the answer, reasoning included.
    temperature: Of the softmax; 0 is greedy.
    top_p: Nucleus.
    extra: Further fields of the request's body, e.g. `reasoning_effort`. No
      secrets: they are stored with the answer.
  """

  max_tokens: int
  temperature: float = 1.0
  top_p: float = 1.0
  extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

  def __post_init__(self):
    check_no_credentials(self.extra, 'sampling.extra')


@dataclasses.dataclass(frozen=True)
class Request:
  """One question to one model, and which of its answers is wanted.

  Attributes:
    model: Name of the model, as its server knows it.
    messages: The conversation so far.
    sampling: How to draw the answer.
    sample: Index of the sample; another index is another draw. Without it a
      cache would collapse all draws of one question into one.
    task: What is asked, e.g. `'document.draft'`, and
    slots: what the prompt was filled with, as JSON. A language model reads the
      messages; the offline teacher reads these. They are no part of the key.
  """

  model: str
  messages: tuple[Message, ...]
  sampling: Sampling
  sample: int = 0
  task: str = ''
  slots: Mapping[str, Any] = dataclasses.field(
    default_factory=dict, compare=False
  )

  @functools.cached_property
  def key(self) -> str:
    """64 hex digits of model, messages, sampling and sample index."""
    described = storage.canonical_json(
      {
        'model': self.model,
        'messages': [[m.role, m.content] for m in self.messages],
        'sampling': {
          **dataclasses.asdict(self.sampling),
          'extra': dict(self.sampling.extra),
        },
        'sample': self.sample,
      }
    )
    return hashlib.sha256(described.encode()).hexdigest()


class Finish(enum.StrEnum):
  """How an answer ended."""

  STOP = 'stop'
  """The model was done."""
  LENGTH = 'length'
  """Cut off by the token budget."""
  REFUSAL = 'refusal'
  """The server says that the model declined, or filtered the answer."""
  EMPTY = 'empty'
  """No text, e.g. because the reasoning ate the budget."""


@dataclasses.dataclass(frozen=True)
class Answer:
  """What a teacher said.

  Attributes:
    text: Without reasoning.
    finish: How it ended.
    prompt_tokens: Of the request, as the server counts; 0 where it says
      nothing, as of a prompt that it filters. The session then takes the most
      that it can be.
    completion_tokens: Of the answer, reasoning included.
    reasoning_tokens: Of those, how many were reasoning.
    reasoning: Its text, where the server gives it.
  """

  text: str
  finish: Finish
  prompt_tokens: int
  completion_tokens: int
  reasoning_tokens: int = 0
  reasoning: str = ''


class TeacherError(RuntimeError):
  """A request failed.

  Attributes:
    retryable: Whether the same request may succeed later.
    retry_after: Seconds to wait before that, where the server says so.
    throttled: Whether the server had too much to do, from us or altogether
      (429, 503); fewer requests at a time are then asked of it.
    maybe_charged: Whether the server may have drawn an answer that never
      arrived, and may charge for it. A budget counts it at its maximum.
  """

  def __init__(
    self,
    message: str,
    *,
    retryable: bool,
    retry_after: float | None = None,
    throttled: bool = False,
    maybe_charged: bool = False,
  ):
    super().__init__(message)
    self.retryable = retryable
    self.retry_after = retry_after
    self.throttled = throttled
    self.maybe_charged = maybe_charged


class Teacher(Protocol):
  """Answers one request with one attempt: no retries, no store, no limits."""

  async def answer(self, request: Request) -> Answer:
    """Asks once.

    Raises:
      TeacherError: If no answer came.
    """
    ...

  def check(self, request: Request) -> None:
    """Looks at a request without sending it.

    Raises:
      TeacherError: If it can never be sent, e.g. for an unknown field.
    """
    ...

  async def close(self) -> None:
    """Gives back connections."""
    ...
