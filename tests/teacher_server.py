"""A real HTTP server that speaks the chat-completions protocol, badly.

  python tests/teacher_server.py --port=0 --log=/tmp/log.jsonl \
    --faults='{"429": 0.05, "hang": 0.01}' --latency=0.1

It prints `port N`. What it says is a function of the payload and the sample
index (`teacher_texts`); what goes wrong is one of those and of how often it was
asked (`teacher_faults`). Its log has a line for each request when it arrives
and one when its answer has gone out whole.

What it imitates, and where that is documented:
- completion object, `finish_reason`, `usage`, reasoning tokens:
  https://platform.openai.com/docs/api-reference/chat/object
- `message.refusal`:
  https://platform.openai.com/docs/guides/structured-outputs#refusals
- pieces of a stream, `stream_options.include_usage`, `[DONE]`:
  https://platform.openai.com/docs/api-reference/chat-streaming; events:
  https://html.spec.whatwg.org/multipage/server-sent-events.html
- reasoning that leaves no room for an answer:
  https://platform.openai.com/docs/guides/reasoning#allocating-space-for-reasoning
- `reasoning`, formerly `reasoning_content`:
  https://docs.vllm.ai/en/stable/features/reasoning_outputs/
- 400, 401, 403, 404, 429 (rate limit, or no quota), 500, 503:
  https://platform.openai.com/docs/guides/error-codes
- a prompt that is filtered, 400 with the code `content_filter`:
  https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
- limits on requests: https://platform.openai.com/docs/guides/rate-limits
- `Retry-After`: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
- 502, 503: https://www.rfc-editor.org/rfc/rfc9110#section-15.6
- bodies that end early: https://www.rfc-editor.org/rfc/rfc9112#section-8
"""

import argparse
import asyncio
from collections import Counter
import dataclasses
import hashlib
import importlib
import json
import math
import os
import sys
import time
from typing import Any

from aiohttp import web
from teacher_faults import Faults
import teacher_texts

_ERRORS = {
  '400': ('invalid_request_error', None, 'This field is not supported.'),
  '401': ('invalid_request_error', 'invalid_api_key', 'Incorrect API key.'),
  '403': ('request_forbidden', 'unsupported_region', 'Not supported here.'),
  '404': ('invalid_request_error', 'model_not_found', 'No such model.'),
  '408': ('timeout', None, 'Request timed out.'),
  '409': ('conflict', None, 'Conflict.'),
  '429': ('requests', 'rate_limit_exceeded', 'Rate limit reached.'),
  '500': ('server_error', None, 'The server had an error.'),
  '503': ('server_error', None, 'The engine is currently overloaded.'),
}
_NO_QUOTA = 'You exceeded your current quota, please check your plan.'
_FILTERED = {
  'message': 'The response was filtered due to the prompt.',
  'type': None,
  'param': 'prompt',
  'code': 'content_filter',
  'status': 400,
  'innererror': {'code': 'ResponsibleAIPolicyViolation'},
}
_REFUSED = 'I’m sorry, but I can’t help with that.'
_PIECE = 80
_SAMPLE = 'X-Sample-Index'


@dataclasses.dataclass(frozen=True)
class Asked:
  """A request as the server sees it."""

  id: int
  body: dict[str, Any]
  payload: str
  sample: int
  outcome: str

  @property
  def max_tokens(self) -> int:
    limit = self.body.get('max_completion_tokens', self.body.get('max_tokens'))
    return 10**9 if limit is None else limit


class Server:
  """State of the server: what was asked, and how often."""

  def __init__(self, flags: argparse.Namespace):
    self._flags = flags
    self._faults = Faults(
      json.loads(flags.faults), json.loads(flags.scripts), flags.seed
    )
    self._often: Counter[tuple[str, int]] = Counter()
    self._in_flight = 0
    self._ids = 0
    # A line at a time, and open as long as the server runs.
    self._log = os.fdopen(
      os.open(
        flags.log or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644
      ),
      'w',
      buffering=1,
      encoding='utf-8',
    )

  def write(self, **line: Any) -> None:
    self._log.write(json.dumps({'time': time.time(), **line}) + '\n')

  async def complete(self, request: web.Request) -> web.StreamResponse:
    """Answers POST /v1/chat/completions."""
    try:
      body = await request.json()
    except ConnectionError:  # Killed while it was sending.
      return web.Response(status=499)
    asked = self._asked(body, request)
    if self._in_flight >= self._flags.capacity:
      asked = dataclasses.replace(asked, outcome='429')
    self._in_flight += 1
    self.write(
      event='asked',
      id=asked.id,
      payload=asked.payload,
      sample=asked.sample,
      seed=asked.body.get('seed'),
      outcome=asked.outcome,
      in_flight=self._in_flight,
      connection=request.transport.get_extra_info('peername')[1],
    )
    try:
      return await self._reply(request, asked)
    finally:
      self._in_flight -= 1

  def _asked(self, body: dict[str, Any], request: web.Request) -> Asked:
    what = {
      k: v
      for k, v in body.items()
      if k not in ('seed', 'stream', 'stream_options')
    }
    described = json.dumps(what, sort_keys=True)
    payload = hashlib.sha256(described.encode()).hexdigest()
    sample = int(request.headers.get(_SAMPLE, body.get('seed', 0)))
    nth = self._often[payload, sample]
    self._often[payload, sample] += 1
    self._ids += 1
    outcome = self._faults.of(described, payload, sample, nth)
    expected = f'Bearer {self._flags.key}'
    if self._flags.key and request.headers.get('Authorization') != expected:
      outcome = '401'
    return Asked(self._ids, body, payload, sample, outcome)

  async def _reply(
    self, request: web.Request, asked: Asked
  ) -> web.StreamResponse:
    if asked.outcome == '429':  # Refused at the door.
      return self._error(request, asked.outcome)
    if asked.outcome == 'hang':
      while not _gone(request):
        await asyncio.sleep(0.05)
    await asyncio.sleep(self._flags.latency)
    if _gone(request):
      self.write(event='gone', id=asked.id)
      return web.Response(status=499)
    if asked.outcome == 'reset':
      request.transport.abort()
      return web.Response(status=499)
    if asked.outcome == 'prompt_filter':
      self.write(event='answered', id=asked.id)
      return web.json_response({'error': _FILTERED}, status=400)
    if asked.outcome == 'insufficient_quota' or asked.outcome.isdigit():
      return self._error(request, asked.outcome)
    completion = self._completion(asked)
    send = _send_stream if asked.body.get('stream') else _send_whole
    response = await send(request, asked.outcome, completion)
    if asked.outcome not in ('cut', 'no_finish', 'invalid_json', 'error_200'):
      self.write(event='answered', id=asked.id)
    return response

  def _error(self, request: web.Request, outcome: str) -> web.Response:
    if outcome == '502':  # From a proxy, which knows nothing of JSON.
      page = '<html><body><h1>502 Bad Gateway</h1></body></html>'
      return web.Response(status=502, text=page, content_type='text/html')
    if outcome == 'insufficient_quota':
      status = 429
      kind, code, said = 'insufficient_quota', 'insufficient_quota', _NO_QUOTA
    else:
      status = int(outcome)
      kind, code, said = _ERRORS[outcome]
    if status == 401:  # As OpenAI does.
      sent = request.headers.get('Authorization', '').removeprefix('Bearer ')
      said = f'Incorrect API key provided: {sent[:8]}****{sent[-4:]}.'
    if self._flags.echo_key:  # As careless servers do.
      said += ' You sent ' + request.headers.get('Authorization', '')
    headers = {}
    if status in (429, 503) and self._flags.retry_after is not None:
      seconds = self._flags.retry_after
      headers['Retry-After'] = str(math.ceil(seconds))
      headers['retry-after-ms'] = str(int(1000 * seconds))
    error = {'message': said, 'type': kind, 'param': None, 'code': code}
    return web.json_response({'error': error}, status=status, headers=headers)

  def _completion(self, asked: Asked) -> dict[str, Any]:
    """The body of an answer; a token is a word."""
    message: dict[str, Any] = {'role': 'assistant', 'content': None}
    messages = [(m['role'], m['content']) for m in asked.body['messages']]
    seed: tuple = (asked.payload, asked.sample)
    if asked.outcome == 'duplicate':
      seed = ('the same for everything',)
    text = teacher_texts.answer(messages, seed)
    limit = asked.max_tokens
    reason, reasoning = 'stop', 0
    if asked.outcome == 'length':
      limit = min(limit, len(text.split()) // 2)
    if asked.outcome == 'reasoning':
      thought = f'First of all, what is asked for is this: {text}'
      message[self._flags.reasoning_field] = thought
      text, reason, reasoning = '', 'length', min(asked.max_tokens, 10_000)
    elif asked.outcome == 'refusal':
      message['refusal'] = _REFUSED
      text = ''
    elif asked.outcome == 'content_filter':
      text, reason = ' '.join(text.split()[:5]), 'content_filter'
    elif len(text.split(' ')) > limit:
      text, reason = ' '.join(text.split(' ')[:limit]), 'length'
    if text and self._flags.echo_key:
      text += f' My key is {self._flags.key}'
    if text:
      message['content'] = text
    prompt = sum(len(content.split()) for _, content in messages)
    completion = len(text.split(' ')) + reasoning
    return {
      'id': f'chatcmpl-{asked.payload[:12]}-{asked.sample}',
      'object': 'chat.completion',
      'created': int(time.time()),
      'model': asked.body['model'],
      'choices': [{'index': 0, 'message': message, 'finish_reason': reason}],
      'usage': {
        'prompt_tokens': prompt,
        'completion_tokens': completion,
        'total_tokens': prompt + completion,
        'completion_tokens_details': {'reasoning_tokens': reasoning},
      },
    }


def _gone(request: web.Request) -> bool:
  """Whether the client has hung up."""
  return request.transport is None or request.transport.is_closing()


async def _send_whole(
  request: web.Request, outcome: str, completion: dict[str, Any]
) -> web.StreamResponse:
  if outcome == 'no_finish':
    completion['choices'][0]['finish_reason'] = None
  if outcome == 'error_200':
    completion = {'error': {'message': 'Upstream failed.', 'code': 502}}
  body = json.dumps(completion).encode()
  if outcome == 'invalid_json':
    body = body[: len(body) // 2]
  response = web.StreamResponse(headers={'Content-Type': 'application/json'})
  response.content_length = len(body)
  await response.prepare(request)
  if outcome == 'cut':
    await response.write(body[: len(body) // 2])
    request.transport.close()
    return response
  await response.write(body)
  await response.write_eof()
  return response


async def _send_stream(
  request: web.Request, outcome: str, completion: dict[str, Any]
) -> web.StreamResponse:
  """Sends a completion in pieces, as server-sent events."""
  common = {k: completion[k] for k in ('id', 'created', 'model')}
  common['object'] = 'chat.completion.chunk'
  message = completion['choices'][0]['message']
  response = web.StreamResponse(headers={'Content-Type': 'text/event-stream'})
  await response.prepare(request)

  async def send(choices: list, **more: Any) -> None:
    data = json.dumps({**common, 'choices': choices, **more})
    await response.write(f'data: {data}\n\n'.encode())

  await send([_chunk({'role': 'assistant', 'content': ''})])
  pieces = [
    {name: text[i : i + _PIECE]}
    for name, text in message.items()
    if name != 'role' and text
    for i in range(0, len(text), _PIECE)
  ]
  for i, delta in enumerate(pieces):
    if 2 * i >= len(pieces):
      if outcome == 'cut':
        request.transport.close()
        return response
      if outcome == 'invalid_json':
        await response.write(b'data: {"choices": [{"delta"\n\n')
      if outcome == 'error_200':
        await response.write(
          b'data: {"error": {"message": "Upstream failed."}}\n\n'
        )
        break
      if outcome == 'no_finish':
        break
    await send([_chunk(delta)])
  else:
    await send([_chunk({}, completion['choices'][0]['finish_reason'])])
    await send([], usage=completion['usage'])
  await response.write(b'data: [DONE]\n\n')
  await response.write_eof()
  return response


def _chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
  return {'index': 0, 'delta': delta, 'finish_reason': reason}


def parse(arguments: list[str]) -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--port', type=int, default=0)
  parser.add_argument('--log', default='')
  parser.add_argument('--faults', default='{}', help='JSON: fault to rate')
  parser.add_argument('--scripts', default='{}', help='JSON: text to faults')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--latency', type=float, default=0.0, help='seconds')
  parser.add_argument('--capacity', type=int, default=10**9)
  parser.add_argument('--retry_after', type=float, default=None)
  parser.add_argument('--key', default='', help='that requests must have')
  parser.add_argument('--echo_key', action='store_true')
  parser.add_argument('--reasoning_field', default='reasoning')
  parser.add_argument('--texts', default='', help='module that registers more')
  return parser.parse_args(arguments)


async def serve(flags: argparse.Namespace) -> None:
  if flags.texts:
    importlib.import_module(flags.texts)
  app = web.Application(client_max_size=2**26)
  app.router.add_post('/v1/chat/completions', Server(flags).complete)
  runner = web.AppRunner(app, access_log=None)
  await runner.setup()
  site = web.TCPSite(runner, '127.0.0.1', flags.port, backlog=1024)
  await site.start()
  print('port', runner.addresses[0][1], flush=True)
  await asyncio.Event().wait()


if __name__ == '__main__':
  asyncio.run(serve(parse(sys.argv[1:])))
