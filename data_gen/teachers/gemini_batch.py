"""Gemini's batch interface, through `google-genai`.

The protocol: https://ai.google.dev/gemini-api/docs/batch-api and
https://ai.google.dev/api/batch-api. A file of lines, each with a `key` and a
`generateContent` request, is uploaded and named in a job; its result is a file
of lines with the same `key`.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import io
import json
from typing import Any

from google.genai import types

from data_gen.teachers import batch_protocol
from data_gen.teachers import gemini_content
from data_gen.teachers import keys
from data_gen.teachers.batch_jobs import Result
from data_gen.teachers.batch_protocol import JobGoneError
from data_gen.teachers.batch_protocol import Progress
from data_gen.teachers.config import TeacherConfig
from data_gen.teachers.gemini import Caller
from data_gen.teachers.gemini import generation_config
from data_gen.teachers.gemini import RefusedError
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import TeacherError

_ENDED = (
  *('JOB_STATE_SUCCEEDED', 'JOB_STATE_PARTIALLY_SUCCEEDED'),
  *('JOB_STATE_FAILED', 'JOB_STATE_CANCELLED', 'JOB_STATE_EXPIRED'),
)
_QUOTED = 300
# `google.rpc.Code`: what may go away by itself,
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto.
_TRANSIENT_CODES = frozenset({1, 2, 4, 8, 10, 13, 14, 15})
# Clocks differ.
_SKEW = 3600.0


class GeminiBatches:
  """Calls the interface, one attempt at a time."""

  def __init__(self, config: TeacherConfig):
    """Reads the key; connects to nothing.

    Raises:
      ConfigError: For a key that is missing.
    """
    self._caller = Caller(config)
    self._batches = self._caller.client.aio.batches
    self._files = self._caller.client.aio.files

  @property
  def name(self) -> str:
    return f'gemini {self._caller.url}'

  async def close(self) -> None:
    await self._caller.close()

  def line(self, request: Request) -> bytes:
    body = gemini_content.body(request)
    # The server would say so as well, when the job is over.
    generation_config(body)
    return json.dumps(
      {'key': request.key, 'request': body}, ensure_ascii=False
    ).encode()

  async def upload(self, job: str, lines: Sequence[bytes]) -> str:
    data = io.BytesIO(b''.join(line + b'\n' for line in lines))
    file = await self._caller.call(
      self._files.upload(
        file=data,
        config=types.UploadFileConfig(
          display_name=job, mime_type='application/jsonl'
        ),
      )
    )
    return _present(file.name, 'the name of the file')

  async def start(self, job: str, source: str, model: str) -> str:
    made = await self._caller.call(
      self._batches.create(
        model=model,
        src=source,
        config=types.CreateBatchJobConfig(display_name=job),
      )
    )
    return _present(made.name, 'the name of the job')

  async def find(self, job: str, since: float) -> list[str]:
    async def listed() -> list[str]:
      found = []
      config = types.ListBatchJobsConfig(page_size=100)
      async for batch in await self._batches.list(config=config):
        if batch.display_name == job and batch.name:
          found.append(batch.name)
        created = batch.create_time
        # The newest come first.
        if created and created.timestamp() < since - _SKEW:
          break
      return sorted(found)

    return await self._caller.call(listed())

  async def poll(self, id_: str) -> Progress:
    try:
      batch = await self._caller.call(self._batches.get(name=id_))
    except RefusedError as e:
      if e.status == 404:
        raise JobGoneError(f'{id_}: {e}') from None
      raise
    state = batch.state.value if batch.state else 'JOB_STATE_UNSPECIFIED'
    if state not in _ENDED:
      return Progress(state, ended=False)
    file = batch.dest.file_name if batch.dest else None
    message = str(batch.error.message or '') if batch.error else ''
    # The client does not pass on why a job failed, so it may be sent again.
    return Progress(
      state,
      ended=True,
      files=(file,) if file else (),
      message=message[:_QUOTED],
    )

  async def results(self, file: str) -> dict[str, Result]:
    content = await self._caller.call(self._files.download(file=file))
    return batch_protocol.read_results(
      keys.redact_bytes(content or b'', self._caller.key), file, 'key', _result
    )

  async def discard(self, source: str) -> None:
    await self._caller.call(self._files.delete(name=source))


def _present(value: str | None, what: str) -> str:
  if not value:
    raise TeacherError(
      f'the server answered without {what}', retryable=True, maybe_charged=True
    )
  return value


def _result(entry: Mapping[str, Any]) -> Result:
  error = entry.get('error')
  if error:
    return TeacherError(
      f'in its batch: {error.get("code")}: {error.get("message")}'[:_QUOTED],
      retryable=error.get('code') in _TRANSIENT_CODES,
    )
  try:
    return gemini_content.answer(entry['response'])
  except TeacherError as e:
    return e
