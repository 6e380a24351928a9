"""OpenAI's batch interface, and servers that speak it.

The protocol: https://platform.openai.com/docs/guides/batch and
https://platform.openai.com/docs/api-reference/batch. A file of lines, each with
a `custom_id` and the body of a chat completion, is uploaded and named in a
batch; its results are files of lines with the same `custom_id`, in any order.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any
from typing import Final

import openai
from openai.types import Batch

from data_gen.teachers import batch_protocol
from data_gen.teachers import chat_completions
from data_gen.teachers import keys
from data_gen.teachers.batch_jobs import Result
from data_gen.teachers.batch_protocol import BatchOptions
from data_gen.teachers.batch_protocol import JobGoneError
from data_gen.teachers.batch_protocol import Progress
from data_gen.teachers.config import TeacherConfig
from data_gen.teachers.openai_compatible import retry_after
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import TeacherError
from msm_jax import schema

OPENAI_URL = 'https://api.openai.com/v1'
_ENDPOINT: Final = '/v1/chat/completions'
_NAME = 'msm_jax_job'
_ENDED = ('completed', 'failed', 'expired', 'cancelled')
# Of a batch that failed as a whole: there were too many before it, and it may
# be sent again, https://platform.openai.com/docs/guides/batch#rate-limits.
_TOO_MANY = ('token_limit_exceeded', 'request_limit_exceeded')
_TRANSIENT = (408, 409, 425, 429)
_NO_KEY = 'none'
_QUOTED = 300
# Clocks differ.
_SKEW = 3600.0


@dataclasses.dataclass(frozen=True)
class Options(BatchOptions):
  """`TeacherConfig.extra` of this kind.

  Attributes:
    omit: Fields of the body that the server refuses, e.g. `('seed',)`.
    token_limit: Name of the field for the answer's budget.
  """

  omit: tuple[str, ...] = ()
  token_limit: str = chat_completions.TOKEN_LIMITS[0]

  def __post_init__(self):
    super().__post_init__()
    schema.one_of(
      self.token_limit, chat_completions.TOKEN_LIMITS, 'token_limit'
    )


class OpenAIBatches:
  """Calls the interface through the official client, one attempt at a time."""

  def __init__(self, config: TeacherConfig, options: Options):
    """Reads the key; connects to nothing.

    Raises:
      ConfigError: For a key that is missing.
    """
    self._options = options
    self._key = keys.read_key(config.api_key_env)
    self._key_name = config.api_key_env
    self._url = config.base_url or OPENAI_URL
    self._client = openai.AsyncOpenAI(
      api_key=self._key or _NO_KEY,
      base_url=self._url,
      max_retries=0,
      timeout=config.timeout,
    )

  @property
  def name(self) -> str:
    return f'openai {self._url}'

  async def close(self) -> None:
    await self._client.close()

  def line(self, request: Request) -> bytes:
    body = chat_completions.body(
      request, token_limit=self._options.token_limit, omit=self._options.omit
    )
    return json.dumps(
      {
        'custom_id': request.key,
        'method': 'POST',
        'url': _ENDPOINT,
        'body': body,
      },
      ensure_ascii=False,
    ).encode()

  async def upload(self, job: str, lines: Sequence[bytes]) -> str:
    data = b''.join(line + b'\n' for line in lines)
    made = await self._call(
      self._client.files.create(file=(f'{job}.jsonl', data), purpose='batch')
    )
    return made.id

  async def start(self, job: str, source: str, model: str) -> str:
    made = await self._call(
      self._client.batches.create(
        input_file_id=source,
        endpoint=_ENDPOINT,
        completion_window='24h',
        metadata={_NAME: job},
      )
    )
    return made.id

  async def find(self, job: str, since: float) -> list[str]:
    async def listed() -> list[str]:
      found = []
      # The newest come first.
      async for batch in self._client.batches.list(limit=100):
        if batch.created_at < since - _SKEW:
          break
        if (batch.metadata or {}).get(_NAME) == job:
          found.append(batch.id)
      return sorted(found)

    return await self._call(listed())

  async def poll(self, id_: str) -> Progress:
    batch = await self._call(self._client.batches.retrieve(id_), gone=id_)
    if batch.status not in _ENDED:
      return Progress(batch.status, ended=False)
    # A batch that expired or was cancelled has results, too.
    files = [f for f in (batch.output_file_id, batch.error_file_id) if f]
    errors = (batch.errors.data if batch.errors else None) or []
    bad_lines = {
      e.line: e.message or e.code or 'no reason given'
      for e in errors
      if e.line is not None
    }
    return Progress(
      batch.status,
      ended=True,
      resumable=_resumable(batch, [e.code for e in errors], bad_lines),
      files=tuple(files),
      message='; '.join(e.message or e.code or '' for e in errors)[:_QUOTED],
      bad_lines=bad_lines,
    )

  async def results(self, file: str) -> dict[str, Result]:
    content = await self._call(self._client.files.content(file))
    return batch_protocol.read_results(
      keys.redact_bytes(content.content, self._key), file, 'custom_id', _result
    )

  async def discard(self, source: str) -> None:
    await self._call(self._client.files.delete(source))

  async def _call(self, call: Any, gone: str | None = None) -> Any:
    """Awaits a call of the client.

    Raises:
      TeacherError: Without the key, and chained to nothing that quotes it.
      JobGoneError: If the server does not know the job `gone`.
    """
    try:
      return await call
    except openai.OpenAIError as e:
      error = self._error(e, gone)
    except ValueError as e:
      error = TeacherError(
        f'the server answered with what cannot be read: {e}',
        retryable=True,
        maybe_charged=True,
      )
    error.args = (keys.redact(str(error), self._key),)
    raise error

  def _error(self, error: openai.OpenAIError, gone: str | None) -> TeacherError:
    if not isinstance(error, openai.APIStatusError):
      cause = error.__cause__ or error
      return TeacherError(
        f'no connection to {self._url}: {type(cause).__name__}: {cause}',
        retryable=True,
        maybe_charged=True,
      )
    status = error.status_code
    if status in (401, 403):
      # Servers quote parts of the key here.
      return TeacherError(
        f'{status}: the server refuses the key in {self._key_name} '
        f'({error.code or error.type or "no reason given"})',
        retryable=False,
      )
    said = f'{status}: {" ".join(str(error.message).split())[:_QUOTED]}'
    if status == 404 and gone is not None:
      return JobGoneError(f'batch {gone}: {said}')
    no_credit = error.code == 'insufficient_quota'
    return TeacherError(
      said,
      retryable=(status in _TRANSIENT or status >= 500) and not no_credit,
      retry_after=retry_after(error.response.headers),
      throttled=status in (429, 503),
      # A server that broke down may have done what it was asked to.
      maybe_charged=status >= 500,
    )


def _resumable(
  batch: Batch, codes: Sequence[str | None], bad_lines: Mapping[int, str]
) -> bool:
  """Whether requests without a result may go into another batch."""
  if batch.status != 'failed':
    return True
  # Where the server says which lines it refuses, the others are good.
  return bool(bad_lines) or any(code in _TOO_MANY for code in codes)


def _result(entry: Mapping[str, Any]) -> Result | None:
  """Returns what a line says; None if the request was not worked on."""
  error = entry.get('error')
  if error:
    if error.get('code') in ('batch_expired', 'batch_cancelled'):
      return None
    return TeacherError(
      f'in its batch: {error.get("code")}: {error.get("message")}'[:_QUOTED],
      retryable=True,
    )
  response = entry['response']
  status = response['status_code']
  if status == 200:
    try:
      return chat_completions.answer(response['body'])
    except TeacherError as e:
      return e
  said = (response.get('body') or {}).get('error') or {}
  if refusal := chat_completions.declined(status, said):
    return refusal
  return TeacherError(
    f'in its batch: {status}: {said.get("message")}'[:_QUOTED],
    retryable=status in _TRANSIENT or status >= 500,
  )
