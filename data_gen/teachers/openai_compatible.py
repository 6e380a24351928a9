"""Any server that speaks OpenAI's chat-completions protocol.

Which failures are worth another attempt follows
https://platform.openai.com/docs/guides/error-codes.
"""

import dataclasses
import datetime
import email.utils
import json
from typing import Any

import openai
from openai.types.chat import ChatCompletionChunk

from data_gen.teachers import chat_completions
from data_gen.teachers import keys
from data_gen.teachers.config import TeacherConfig
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import TeacherError
from msm_jax import schema

OPENAI_URL = 'https://api.openai.com/v1'
_TRANSIENT = (408, 409, 425, 429)
_BUSY = (429, 503, 529)
# Of 429: the account has no money left, which no waiting changes.
_NO_CREDIT = (
  *('insufficient_quota', 'billing_hard_limit_reached'),
  *('credit_balance_exhausted', 'organization_spend_limit_exceeded'),
  *('project_spend_limit_exceeded', 'organization_usage_limit_exceeded'),
)
_NEVER_SENT = ('ConnectError', 'ConnectTimeout', 'PoolTimeout')
_NO_KEY = 'none'
_QUOTED = 300


@dataclasses.dataclass(frozen=True)
class Options:
  """`TeacherConfig.extra` of this kind.

  Attributes:
    stream: Whether the answer comes in pieces. It costs processor time for
      each token, and helps only where a proxy closes connections that are
      silent for long.
    sample_header: Header that has the sample index; None for none.
    omit: Fields that the server refuses, e.g. `('seed', 'top_p')`.
    token_limit: Name of the field for the answer's budget; None for
      `max_completion_tokens` at OpenAI, whose newer models refuse the other,
      and `max_tokens` elsewhere, where some servers ignore the new one.
  """

  stream: bool = False
  sample_header: str | None = 'X-Sample-Index'
  omit: tuple[str, ...] = ()
  token_limit: str | None = None

  def __post_init__(self):
    if self.token_limit is not None:
      schema.one_of(
        self.token_limit, chat_completions.TOKEN_LIMITS, 'token_limit'
      )


class OpenAICompatibleTeacher:
  """Asks through the official client, whose own retries are off."""

  def __init__(self, config: TeacherConfig):
    """Reads the key; connects to nothing.

    Raises:
      ConfigError: For a key that is missing, or an unknown `extra`.
    """
    self._options = schema.structure(
      Options, config.extra, 'teacher.extra', quote=False
    )
    self._key = keys.read_key(config.api_key_env)
    self._key_name = config.api_key_env
    url = config.base_url or OPENAI_URL
    self._token_limit = (
      self._options.token_limit
      or (chat_completions.TOKEN_LIMITS[not url.startswith(OPENAI_URL)])
    )
    self._client = openai.AsyncOpenAI(
      # Given in any case: the client would look for keys by itself, and send
      # OpenAI's to a server on this machine.
      api_key=self._key or _NO_KEY,
      base_url=url,
      max_retries=0,
      timeout=None,  # The session has a harder one.
    )

  async def close(self) -> None:
    """Gives back connections."""
    await self._client.close()

  async def answer(self, request: Request) -> Answer:
    """Asks once.

    Raises:
      TeacherError: If no answer came. The key is not in it, nor in anything
        that it was raised from.
    """
    try:
      completion = await self._ask(request)
      return keys.redact_answer(chat_completions.answer(completion), self._key)
    except TeacherError as e:
      error = e
    except openai.OpenAIError as e:
      if refusal := _declined(e):
        return keys.redact_answer(refusal, self._key)
      error = self._error(e)
    except (ValueError, TypeError) as e:
      # E.g. the client's reading of a stream of invalid JSON.
      error = TeacherError(
        f'the server answered with what cannot be read: {e}',
        retryable=True,
        maybe_charged=True,
      )
    except Exception as e:
      # Of the client or below it. Whatever it is, it may quote headers.
      error = TeacherError(
        f'{type(e).__name__}: {e}',
        retryable=isinstance(e, OSError),
        maybe_charged=True,
      ).with_traceback(e.__traceback__)
    # Outside of the handlers, so that the cause, which may quote headers, is
    # not chained to it.
    error.args = (keys.redact(str(error), self._key),)
    raise error

  def check(self, request: Request) -> None:
    """Raises `TeacherError` for a field that is not free."""
    self._body(request)

  def _body(self, request: Request) -> dict[str, Any]:
    return chat_completions.body(
      request, token_limit=self._token_limit, omit=self._options.omit
    )

  async def _ask(self, request: Request) -> Any:
    """Returns the body of the completion."""
    body = self._body(request)
    headers = {}
    if self._options.sample_header:
      headers[self._options.sample_header] = str(request.sample)
    # All of the body by `extra_body`: the client checks no field, since servers
    # have fields of their own.
    ask = self._client.chat.completions
    required: dict[str, Any] = {
      'model': body.pop('model'),
      'messages': body.pop('messages'),
      'extra_headers': headers,
      'extra_body': body,
    }
    if self._options.stream:
      return await _gather(
        await ask.create(
          **required, stream=True, stream_options={'include_usage': True}
        )
      )
    response = await ask.with_raw_response.create(**required)
    text = response.http_response.text
    try:
      return json.loads(text)
    except ValueError:
      raise TeacherError(
        f'the server answered with invalid JSON: {text[:_QUOTED]!r}',
        retryable=True,
        maybe_charged=True,
      ) from None

  def _error(self, error: openai.OpenAIError) -> TeacherError:
    if isinstance(error, openai.APIStatusError):
      return self._refused(error)
    if isinstance(error, openai.APIConnectionError):
      cause = error.__cause__
      name = type(cause).__name__
      return TeacherError(
        f'no connection: {name}: {cause}',
        retryable=True,
        maybe_charged=name not in _NEVER_SENT,
      )
    # An error event in a stream, or something that the client made of one.
    fatal = _is_no_credit(error)
    return TeacherError(
      f'the server failed: {error}', retryable=not fatal, maybe_charged=True
    )

  def _refused(self, error: openai.APIStatusError) -> TeacherError:
    status = error.status_code
    if status in (401, 403):
      # Servers quote parts of the key here.
      return TeacherError(
        f'{status}: the server refuses the key in {self._key_name} '
        f'({error.code or error.type or "no reason given"})',
        retryable=False,
      )
    retryable = status in _TRANSIENT or status >= 500
    no_credit = status == 429 and _is_no_credit(error)
    return TeacherError(
      f'{status}: {_said(error)}',
      retryable=retryable and not no_credit,
      retry_after=retry_after(error.response.headers),
      throttled=status in _BUSY and not no_credit,
    )


def _declined(error: openai.OpenAIError) -> Answer | None:
  if not isinstance(error, openai.APIStatusError):
    return None
  return chat_completions.declined(error.status_code, error.body)


def _is_no_credit(error: openai.OpenAIError) -> bool:
  said = (getattr(error, 'code', None), getattr(error, 'type', None))
  return any(word in _NO_CREDIT for word in said)


def _said(error: openai.APIStatusError) -> str:
  """What the server said, in one line."""
  body = error.body
  said = body.get('message') if isinstance(body, dict) else body
  return ' '.join(str(said or error.response.text).split())[:_QUOTED]


def retry_after(headers: Any) -> float | None:
  """Returns the seconds to wait, or None if the server does not say.

  `Retry-After` has seconds or a date (RFC 9110, section 10.2.3,
  https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3); OpenAI also sends
  `retry-after-ms`.
  """
  milliseconds = headers.get('retry-after-ms', '')
  if milliseconds.isdigit():
    return int(milliseconds) / 1000
  value = headers.get('retry-after', '').strip()
  if value.replace('.', '', 1).isdecimal():
    return float(value)
  try:
    date = email.utils.parsedate_to_datetime(value)
  except ValueError:
    return None
  if date.tzinfo is None:
    date = date.replace(tzinfo=datetime.UTC)
  left = date - datetime.datetime.now(datetime.UTC)
  return max(0.0, left.total_seconds())


async def _gather(
  stream: 'openai.AsyncStream[ChatCompletionChunk]',
) -> dict[str, Any]:
  """Puts the pieces of a stream together to the body of a completion.

  Pieces: https://platform.openai.com/docs/api-reference/chat-streaming. A
  stream that ends early has no `finish_reason`, or no `usage`, which comes
  last; `chat_completions.answer` refuses both.
  """
  fields = ('content', 'refusal', 'reasoning', 'reasoning_content')
  pieces: dict[str, list[str]] = {name: [] for name in fields}
  reason, usage = None, None
  async for chunk in stream:
    if chunk.usage is not None:
      usage = chunk.usage.model_dump()
    if not chunk.choices:
      continue
    choice = chunk.choices[0]
    for name in fields:
      if piece := getattr(choice.delta, name, None):
        pieces[name].append(piece)
    reason = choice.finish_reason or reason
  message = {name: ''.join(found) for name, found in pieces.items()}
  return {
    'choices': [{'message': message, 'finish_reason': reason}],
    'usage': usage,
  }
