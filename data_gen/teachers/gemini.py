"""Gemini, through `google-genai`.

Which failures are worth another attempt follows
https://ai.google.dev/gemini-api/docs/troubleshooting.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Mapping
import json
import re
from typing import Any
from typing import TypeVar

from google import genai
from google.genai import errors
from google.genai import types

from data_gen.teachers import gemini_content
from data_gen.teachers import keys
from data_gen.teachers.config import TeacherConfig
from data_gen.teachers.openai_compatible import retry_after
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import TeacherError
from msm_jax import schema

T = TypeVar('T')

GEMINI_URL = 'https://generativelanguage.googleapis.com/'
_TRANSIENT = (408, 409, 425, 429)
_NO_KEY = 'none'
_QUOTED = 300
_SECONDS = re.compile(r'(\d+(?:\.\d+)?)s')
# By their names: which of several HTTP libraries the client uses depends on
# what is installed.
_NETWORK = ('aiohttp', 'httpx', 'httpx2', 'httpcore', 'httpcore2', 'anyio')
_NEVER_SENT = (
  *('ConnectError', 'ConnectTimeout', 'PoolTimeout'),
  *('ClientConnectorError', 'ClientConnectorDNSError'),
)


class Caller:
  """The official client, its own retries off, and its errors as ours."""

  def __init__(self, config: TeacherConfig):
    """Reads the key; connects to nothing.

    Raises:
      ConfigError: For a key that is missing.
    """
    self.key = keys.read_key(config.api_key_env)
    self._key_name = config.api_key_env
    self.url = config.base_url or GEMINI_URL
    self.client = genai.Client(
      # Given in any case: the client would look for keys by itself.
      api_key=self.key or _NO_KEY,
      vertexai=False,
      http_options=types.HttpOptions(
        base_url=self.url,
        # The one that https://ai.google.dev/api/batch-api documents.
        api_version='v1beta',
        # With options, the client leaves retries to them, which are none.
        retry_options=types.HttpRetryOptions(attempts=1),
      ),
    )

  async def close(self) -> None:
    await self.client.aio.aclose()
    await asyncio.to_thread(self.client.close)

  async def call(self, call: Awaitable[T]) -> T:
    """Awaits a call of the client.

    Raises:
      TeacherError: Without the key, and chained to nothing that quotes it.
    """
    try:
      return await call
    except TeacherError:
      raise
    except errors.APIError as e:
      error = self._refused(e)
    except (ValueError, KeyError) as e:
      error = TeacherError(
        f'the server answered with what cannot be read: {e}',
        retryable=True,
        maybe_charged=True,
      )
    except Exception as e:
      if not _is_network(e):
        raise
      name = type(e).__name__
      error = TeacherError(
        f'no connection to {self.url}: {name}: {e}',
        retryable=True,
        maybe_charged=name not in _NEVER_SENT,
      )
    error.args = (keys.redact(str(error), self.key),)
    raise error

  def _refused(self, error: errors.APIError) -> TeacherError:
    status = error.code or 0
    details = _details(error)
    bad_key = any(d.get('reason') == 'API_KEY_INVALID' for d in details)
    if status in (401, 403) or bad_key:
      # Servers quote parts of the key here.
      return TeacherError(
        f'{status}: the server refuses the key in {self._key_name} '
        f'({error.status or "no reason given"})',
        retryable=False,
      )
    said = ' '.join(str(error.message or '').split())[:_QUOTED]
    return RefusedError(
      f'{status} {error.status}: {said}',
      status=status,
      retry_after=_retry_after(error, details),
    )


class RefusedError(TeacherError):
  """The server answered with an error.

  Attributes:
    status: Of HTTP.
  """

  def __init__(self, message: str, *, status: int, retry_after: float | None):
    super().__init__(
      message,
      retryable=status in _TRANSIENT or status >= 500,
      retry_after=retry_after,
      throttled=status in (429, 503),
      maybe_charged=status >= 500,
    )
    self.status = status


def _is_network(error: Exception) -> bool:
  module = type(error).__module__.split('.')[0]
  return isinstance(error, (OSError, TimeoutError)) or module in _NETWORK


def _details(error: errors.APIError) -> list[Mapping[str, Any]]:
  """The details of an error, https://google.aip.dev/193."""
  body = error.details
  inner = body.get('error', body) if isinstance(body, Mapping) else {}
  found = inner.get('details') if isinstance(inner, Mapping) else None
  return [d for d in found or () if isinstance(d, Mapping)]


def _retry_after(
  error: errors.APIError, details: list[Mapping[str, Any]]
) -> float | None:
  """Returns the seconds to wait: `RetryInfo` in the body, or the header."""
  for detail in details:
    match = _SECONDS.fullmatch(str(detail.get('retryDelay', '')))
    if match:
      return float(match[1])
  headers = getattr(error.response, 'headers', None)
  return None if headers is None else retry_after(headers)


def generation_config(body: Mapping[str, Any]) -> types.GenerateContentConfig:
  """Returns the settings of a request as the client wants them.

  Raises:
    TeacherError: For a field of `sampling.extra` that the interface does not
      have, or a value of the wrong type. The value is not quoted.
  """
  try:
    return types.GenerateContentConfig.model_validate(
      {
        **body['generationConfig'],
        **{k: body[k] for k in ('systemInstruction',) if k in body},
        **{k: body[k] for k in ('safetySettings',) if k in body},
        'httpOptions': None,
      }
    )
  except ValueError as e:
    # Of pydantic, which belongs to the client.
    found: list[dict[str, Any]] = getattr(e, 'errors', list)()
    said = '; '.join(
      f'{".".join(map(str, f["loc"]))}: {f["msg"]}' for f in found
    )
  raise TeacherError(f'sampling.extra: {said}', retryable=False)


class GeminiTeacher:
  """Asks `generateContent`, one attempt at a time."""

  def __init__(self, config: TeacherConfig):
    """Reads the key; connects to nothing.

    Raises:
      ConfigError: For a key that is missing, or anything in `extra`: fields of
        the request belong into `sampling.extra`.
    """
    if config.extra:
      raise schema.ConfigError(
        f'teacher.extra: {sorted(config.extra)}, but this kind has no '
        'settings; fields of generationConfig go into sampling.extra'
      )
    self._caller = Caller(config)

  async def close(self) -> None:
    """Gives back connections."""
    await self._caller.close()

  async def answer(self, request: Request) -> Answer:
    """Asks once.

    Raises:
      TeacherError: If no answer came. The key is not in it, nor in anything
        that it was raised from.
    """
    body = gemini_content.body(request)
    config = generation_config(body)
    answer = gemini_content.answer(
      await self._caller.call(self._generate(request.model, body, config))
    )
    return keys.redact_answer(answer, self._caller.key)

  def check(self, request: Request) -> None:
    """Raises `TeacherError` for a field that the interface does not have."""
    generation_config(gemini_content.body(request))

  async def _generate(
    self, model: str, body: dict[str, Any], config: types.GenerateContentConfig
  ) -> Any:
    response = await self._caller.client.aio.models.generate_content(
      model=model,
      contents=[types.Content.model_validate(c) for c in body['contents']],
      config=config,
    )
    return json.loads(
      response.model_dump_json(
        by_alias=True, exclude_none=True, exclude={'sdk_http_response'}
      )
    )
