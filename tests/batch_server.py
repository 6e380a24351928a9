"""A local server with the batch interfaces of OpenAI and of Gemini.

It runs in a process of its own, answers deterministically, and misbehaves as it
is told. What it imitates, and where that is documented:

OpenAI
- `POST /v1/files` (multipart, `purpose=batch`), `GET /v1/files/{id}/content`,
  `DELETE /v1/files/{id}`: https://platform.openai.com/docs/api-reference/files
- `POST /v1/batches`, `GET /v1/batches/{id}`, `GET /v1/batches?after=&limit=`
  (newest first, `has_more`), metadata, the states validating, in_progress,
  completed, failed (`errors.data` with `line`), expired, cancelled:
  https://platform.openai.com/docs/api-reference/batch/object
- lines of output and of errors, `batch_expired` for what was not worked on,
  results in another order than requests:
  https://platform.openai.com/docs/guides/batch

Gemini
- `POST /v1beta/models/{model}:generateContent`, finish reasons,
  `promptFeedback`, `thoughtsTokenCount`: https://ai.google.dev/api/generate-content
- resumable uploads `POST /upload/v1beta/files`, `DELETE`, and
  `GET /v1beta/files/{id}:download?alt=media`: https://ai.google.dev/api/files
- `POST /v1beta/models/{model}:batchGenerateContent`,
  `GET /v1beta/batches/{id}`, `GET /v1beta/batches?pageToken=`:
  https://ai.google.dev/api/batch-api
- errors with `RetryInfo`: https://google.aip.dev/193

Both: 429 with `Retry-After` (RFC 9110, section 10.2.3), 500, and connections
that break off.

Control, which no real server has: `POST /control` sets faults and the step to
hold, `GET /control/log` says what happened, `POST /control/release` goes on.
"""

import asyncio
import contextlib
import hashlib
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

from aiohttp import web

KEY = 'sk-test-0123456789abcdef'


def digest(*parts) -> int:
  text = json.dumps(parts, sort_keys=True)
  return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def reply(messages, seed) -> str:
  """The answer to a conversation: a pure function of it and the seed."""
  last = messages[-1]
  return f'answer {digest(messages, seed):08x} to {last[:60]}'


class State:
  """Everything the server knows."""

  def __init__(self):
    self.files: dict[str, bytes] = {}
    self.batches: dict[str, dict] = {}
    self.log: list[dict] = []
    self.faults: dict = {}
    self.hold: str | None = None
    self.held = asyncio.Event()
    self.go_on = asyncio.Event()
    self.counts: dict[str, int] = {}

  def count(self, what: str) -> int:
    self.counts[what] = self.counts.get(what, 0) + 1
    return self.counts[what]

  async def pause(self, step: str) -> None:
    """Stops at a step until the test says so; tells that it has come there."""
    if self.hold == step:
      self.hold = None
      self.held.set()
      await self.go_on.wait()

  def misbehave(self, step: str) -> None:
    """Raises the next fault that is planned for a step."""
    planned = self.faults.get('http', {}).get(step, [])
    n = self.count(f'http {step}')
    fault = planned[n - 1] if n <= len(planned) else None
    if fault is None:
      return
    self.log.append({'fault': step, 'what': fault})
    if fault == 'cut':
      raise Cut
    if fault == 'echo':
      error = {'code': 400, 'message': f'bad key {KEY}', 'status': 'BAD'}
      raise Failed(400, {}, json.dumps({'error': error}))
    if fault == 'retry info':
      raise Failed(429, {}, json.dumps({'error': RETRY_INFO}))
    status, headers = (fault, {}) if fault != 429 else (429, RETRY_AFTER)
    body = {'error': {'code': status, 'message': 'planned', 'status': 'BUSY'}}
    raise Failed(status, headers, json.dumps(body))


RETRY_AFTER = {'Retry-After': '0.01'}
RETRY_INFO = {
  'code': 429,
  'message': 'planned',
  'status': 'RESOURCE_EXHAUSTED',
  'details': [
    {
      '@type': 'type.googleapis.com/google.rpc.RetryInfo',
      'retryDelay': '34.5s',
    }
  ],
}


class Cut(Exception):
  """The connection breaks off."""


class Failed(Exception):
  def __init__(self, status, headers, text):
    super().__init__(status)
    self.status, self.headers, self.text = status, headers, text


@web.middleware
async def faults(request, handler):
  # The address of an upload is a secret of its own.
  if request.path.startswith(('/control', '/upload-here')):
    return await handler(request)
  key = request.headers.get('Authorization', '').removeprefix('Bearer ')
  key = key or request.headers.get('x-goog-api-key', '')
  if key != KEY:
    said = f'Incorrect API key provided: {key}'
    error = {'message': said, 'code': 'invalid_api_key', 'status': 'DENIED'}
    return web.json_response({'error': error}, status=401)
  try:
    return await handler(request)
  except Cut:
    request.transport.abort()
    return web.Response()
  except Failed as e:
    return web.Response(
      status=e.status,
      headers=e.headers,
      text=e.text,
      content_type='application/json',
    )


# -- jobs, alike for both ---------------------------------------------------


def make_job(state: State, prefix: str, name: str, lines: list[bytes]) -> dict:
  number = state.count('job')
  planned = state.faults.get('jobs', [])
  job = {
    'id': f'{prefix}{number:04d}',
    'name': name,
    'number': number,
    'created': time.time(),
    'polls': 0,
    'fate': planned[number - 1] if number <= len(planned) else 'completed',
    'lines': lines,
  }
  state.batches[job['id']] = job
  return job


def advance(state: State, job: dict) -> str:
  """Returns what a poll sees: running for a while, then its fate."""
  job['polls'] += 1
  if job['polls'] <= state.faults.get('polls', 2):
    return 'running'
  return job['fate']


def worked_on(job: dict) -> list[bytes]:
  """A job that expired or was cancelled has done its first half."""
  half = job['fate'] in ('expired', 'cancelled')
  return job['lines'][: len(job['lines']) // 2] if half else job['lines']


def line_fault(state: State, key: str, number: int) -> str | None:
  """Faults of single lines: a share of the keys, in their first job only."""
  for fault, one_in in state.faults.get('lines', {}).items():
    if digest(key, fault) % one_in == 0 and state.count(f'{fault} {key}') == 1:
      return fault
  return None


# -- OpenAI -----------------------------------------------------------------


async def openai_upload(request):
  state = request.app['state']
  form = await request.post()
  assert form['purpose'] == 'batch'
  await state.pause('upload')
  state.misbehave('upload')
  name = f'file-{state.count("file"):04d}'
  state.files[name] = form['file'].file.read()
  state.log.append({'uploaded': name})
  return web.json_response(
    {
      'id': name,
      'object': 'file',
      'bytes': len(state.files[name]),
      'created_at': int(time.time()),
      'filename': form['file'].filename,
      'purpose': 'batch',
      'status': 'processed',
    }
  )


async def openai_content(request):
  state = request.app['state']
  state.misbehave('download')
  data = state.files[request.match_info['id']]
  state.log.append({'downloaded': request.match_info['id']})
  await state.pause('download')
  return web.Response(body=data, content_type='application/jsonl')


async def openai_delete(request):
  state = request.app['state']
  name = request.match_info['id']
  state.files.pop(name, None)
  state.log.append({'deleted': name})
  return web.json_response({'id': name, 'object': 'file', 'deleted': True})


async def openai_create(request):
  state = request.app['state']
  asked = await request.json()
  assert asked['endpoint'] == '/v1/chat/completions'
  assert asked['completion_window'] == '24h'
  await state.pause('before create')
  planned = state.faults.get('http', {}).get('create', [])
  late_cut = planned[:1] == ['cut after']
  if late_cut:
    planned.pop(0)
  else:
    state.misbehave('create')
  lines = state.files[asked['input_file_id']].splitlines()
  name = asked['metadata']['msm_jax_job']
  job = make_job(state, 'batch_', name, lines)
  job['input'] = asked['input_file_id']
  keys = [json.loads(line)['custom_id'] for line in lines]
  state.log.append({'job': job['id'], 'keys': keys})
  if late_cut:
    raise Cut
  await state.pause('create')
  return web.json_response(openai_batch(job, 'validating'))


def openai_batch(job, status, **more):
  return {
    'id': job['id'],
    'object': 'batch',
    'endpoint': '/v1/chat/completions',
    'errors': None,
    'input_file_id': job['input'],
    'completion_window': '24h',
    'status': status,
    'output_file_id': None,
    'error_file_id': None,
    'created_at': int(job['created']),
    'metadata': {'msm_jax_job': job['name']},
    'request_counts': {'total': len(job['lines']), 'completed': 0, 'failed': 0},
    **more,
  }


async def openai_retrieve(request):
  state = request.app['state']
  await state.pause('poll')
  state.misbehave('poll')
  job = state.batches.get(request.match_info['id'])
  if job is None:
    error = {'message': 'No such batch', 'code': None, 'type': 'invalid'}
    return web.json_response({'error': error}, status=404)
  fate = advance(state, job)
  if fate == 'running':
    return web.json_response(openai_batch(job, 'in_progress'))
  if fate.startswith('failed'):
    return web.json_response(openai_batch(job, 'failed', **failure(job, fate)))
  outputs = openai_outputs(state, job)
  return web.json_response(openai_batch(job, fate, **outputs))


def failure(job, fate):
  data = {
    'failed': [{'code': 'invalid_model', 'message': 'no such model'}],
    'failed line': [
      {'code': 'bad_line', 'message': 'planned to be bad', 'line': 2}
    ],
    'failed busy': [{'code': 'token_limit_exceeded', 'message': 'enqueued'}],
  }[fate]
  return {'errors': {'object': 'list', 'data': data}}


def openai_outputs(state, job):
  if 'outputs' in job:
    return job['outputs']
  good, bad = [], []
  done = worked_on(job)
  for number, line in enumerate(job['lines']):
    entry = json.loads(line)
    key = entry['custom_id']
    if line not in done:
      code = f'batch_{job["fate"]}'
      bad.append(json.dumps({'custom_id': key, 'error': {'code': code}}))
      continue
    fault = line_fault(state, key, number)
    if fault == 'malformed':
      good.append('{"custom_id": "' + key)
    elif fault == 'missing':
      continue
    elif fault in ('500', '400', 'filtered'):
      error = {'message': 'planned'}
      if fault == 'filtered':  # As Azure does with a prompt.
        error, fault = {'message': 'no', 'code': 'content_filter'}, '400'
      response = {'status_code': int(fault), 'body': {'error': error}}
      bad.append(
        json.dumps({'custom_id': key, 'response': response, 'error': None})
      )
    else:
      body = completion(entry['body'])
      response = {'status_code': 200, 'request_id': 'r', 'body': body}
      good.append(
        json.dumps({'custom_id': key, 'response': response, 'error': None})
      )
  outputs = {}
  for field, found in (('output_file_id', good), ('error_file_id', bad)):
    if found:
      # Results come in any order.
      name = f'file-{job["id"]}-{field}'
      state.files[name] = ('\n'.join(reversed(found)) + '\n').encode()
      outputs[field] = name
  job['outputs'] = outputs
  return outputs


def completion(body):
  messages = [m['content'] for m in body['messages']]
  text = reply(messages, body['seed'])
  return {
    'id': 'chatcmpl',
    'object': 'chat.completion',
    'choices': [
      {
        'index': 0,
        'finish_reason': 'stop',
        'message': {'role': 'assistant', 'content': text, 'refusal': None},
      }
    ],
    'usage': {
      'prompt_tokens': len(' '.join(messages)),
      'completion_tokens': len(text),
      'total_tokens': len(' '.join(messages)) + len(text),
    },
  }


async def openai_list(request):
  state = request.app['state']
  state.misbehave('list')
  newest = sorted(state.batches.values(), key=lambda j: -j['number'])
  after = request.query.get('after')
  if after:
    ids = [j['id'] for j in newest]
    newest = newest[ids.index(after) + 1 :]
  page = newest[: state.faults.get('page', 2)]
  return web.json_response(
    {
      'object': 'list',
      'data': [openai_batch(j, 'in_progress') for j in page],
      'first_id': page[0]['id'] if page else None,
      'last_id': page[-1]['id'] if page else None,
      'has_more': len(page) < len(newest),
    }
  )


# -- Gemini -----------------------------------------------------------------


async def gemini_upload_start(request):
  state = request.app['state']
  assert request.headers['X-Goog-Upload-Protocol'] == 'resumable'
  asked = await request.json()
  await state.pause('upload')
  state.misbehave('upload')
  name = f'files/f{state.count("file"):04d}'
  state.counts[name] = 0
  url = f'http://{request.host}/upload-here/{name}'
  state.log.append({'upload': name, 'of': asked['file'].get('displayName')})
  return web.json_response({}, headers={'X-Goog-Upload-URL': url})


async def gemini_upload(request):
  state = request.app['state']
  name = f'files/{request.match_info["id"]}'
  state.files[name] = state.files.get(name, b'') + await request.read()
  final = 'finalize' in request.headers['X-Goog-Upload-Command']
  file = {'file': {'name': name, 'sizeBytes': str(len(state.files[name]))}}
  return web.json_response(
    file, headers={'X-Goog-Upload-Status': 'final' if final else 'active'}
  )


async def gemini_file(request):
  state = request.app['state']
  name = f'files/{request.match_info["id"]}'
  if request.method == 'DELETE':
    state.files.pop(name, None)
    state.log.append({'deleted': name})
    return web.json_response({})
  state.misbehave('download')
  data = state.files[name.removesuffix(':download')]
  state.log.append({'downloaded': name})
  await state.pause('download')
  return web.Response(body=data, content_type='application/jsonl')


async def gemini_model(request):
  state = request.app['state']
  model, _, action = request.match_info['call'].partition(':')
  asked = await request.json()
  if action == 'generateContent':
    state.misbehave('generate')
    state.log.append({'generate': asked, 'model': model})
    return web.json_response(generated(state, asked))
  assert action == 'batchGenerateContent', action
  batch = asked['batch']
  await state.pause('before create')
  planned = state.faults.get('http', {}).get('create', [])
  late_cut = planned[:1] == ['cut after']
  if late_cut:
    planned.pop(0)
  else:
    state.misbehave('create')
  lines = state.files[batch['inputConfig']['fileName']].splitlines()
  job = make_job(state, 'batches/b', batch['displayName'], lines)
  keys = [json.loads(line)['key'] for line in lines]
  state.log.append({'job': job['id'], 'keys': keys})
  if late_cut:
    raise Cut
  await state.pause('create')
  return web.json_response(operation(job, 'BATCH_STATE_PENDING'))


def operation(job, batch_state, output=None):
  created = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(job['created']))
  metadata = {
    'name': job['id'],
    'displayName': job['name'],
    'state': batch_state,
    'createTime': created,
    'model': 'models/m',
  }
  if output:
    metadata['output'] = {'responsesFile': output}
  return {'name': job['id'], 'metadata': metadata}


async def gemini_get(request):
  state = request.app['state']
  await state.pause('poll')
  state.misbehave('poll')
  job = state.batches.get(f'batches/{request.match_info["id"]}')
  if job is None:
    error = {'code': 404, 'message': 'not found', 'status': 'NOT_FOUND'}
    return web.json_response({'error': error}, status=404)
  fate = advance(state, job)
  states = {
    'running': 'BATCH_STATE_RUNNING',
    'completed': 'BATCH_STATE_SUCCEEDED',
    'failed': 'BATCH_STATE_FAILED',
    'cancelled': 'BATCH_STATE_CANCELLED',
    'expired': 'BATCH_STATE_EXPIRED',
  }
  output = None
  if fate == 'completed':
    output = gemini_outputs(state, job)
  return web.json_response(operation(job, states[fate], output))


def gemini_outputs(state, job):
  name = f'files/out-{job["number"]}'
  if name in state.files:
    return name
  found = []
  for number, line in enumerate(job['lines']):
    entry = json.loads(line)
    key = entry['key']
    fault = line_fault(state, key, number)
    if fault == 'malformed':
      found.append('{"key": "' + key)
    elif fault in ('500', '400'):
      error = {'code': 13 if fault == '500' else 3, 'message': 'planned'}
      found.append(json.dumps({'key': key, 'error': error}))
    elif fault != 'missing':
      response = generated(state, entry['request'])
      found.append(json.dumps({'key': key, 'response': response}))
  state.files[name] = ('\n'.join(reversed(found)) + '\n').encode()
  return name


def generated(state, asked):
  """The answer to `generateContent`; the text asks for what is special."""
  system = asked.get('systemInstruction', {}).get('parts', [])
  said = [p['text'] for c in asked['contents'] for p in c['parts']]
  messages = [p['text'] for p in system] + said
  generation = asked['generationConfig']
  text = reply(messages, generation['seed'])
  usage = {
    'promptTokenCount': len(' '.join(messages)),
    'candidatesTokenCount': len(text),
    'totalTokenCount': len(' '.join(messages)) + len(text),
  }
  special = said[-1].removeprefix('special: ') if 'special' in said[-1] else ''
  if special == 'blocked':
    return {
      'promptFeedback': {'blockReason': 'PROHIBITED_CONTENT'},
      'usageMetadata': {'promptTokenCount': 5},
    }
  if special == 'thoughts':
    usage = {'promptTokenCount': 5, 'thoughtsTokenCount': 40}
    return {
      'candidates': [{'finishReason': 'MAX_TOKENS', 'content': {}}],
      'usageMetadata': usage,
    }
  parts = [{'text': text}]
  if special == 'thinking':
    parts.insert(0, {'text': 'let me see', 'thought': True})
    usage['thoughtsTokenCount'] = 7
  return {
    'candidates': [
      {
        'content': {'role': 'model', 'parts': parts},
        'finishReason': special if special.isupper() else 'STOP',
      }
    ],
    'usageMetadata': usage,
    'modelVersion': 'm',
  }


async def gemini_list(request):
  state = request.app['state']
  state.misbehave('list')
  newest = sorted(state.batches.values(), key=lambda j: -j['number'])
  start = int(request.query.get('pageToken') or 0)
  size = state.faults.get('page', 2)
  page = newest[start : start + size]
  answer = {'operations': [operation(j, 'BATCH_STATE_RUNNING') for j in page]}
  if start + size < len(newest):
    answer['nextPageToken'] = str(start + size)
  return web.json_response(answer)


# -- control ----------------------------------------------------------------


async def control(request):
  state = request.app['state']
  asked = await request.json()
  state.faults = asked.get('faults', state.faults)
  if 'hold' in asked:
    state.hold = asked['hold']
    state.held.clear()
    state.go_on.clear()
  if asked.get('wait'):
    await state.held.wait()
  if asked.get('release'):
    state.go_on.set()
  if 'forget' in asked:
    state.batches.pop(asked['forget'])
  return web.json_response({})


async def control_log(request):
  return web.json_response(request.app['state'].log)


def application() -> web.Application:
  app = web.Application(middlewares=[faults], client_max_size=2**30)
  app['state'] = State()
  app.add_routes(
    [
      web.post('/control', control),
      web.get('/control/log', control_log),
      web.post('/v1/files', openai_upload),
      web.get('/v1/files/{id}/content', openai_content),
      web.delete('/v1/files/{id}', openai_delete),
      web.post('/v1/batches', openai_create),
      web.get('/v1/batches', openai_list),
      web.get('/v1/batches/{id}', openai_retrieve),
      web.post('/upload/v1beta/files', gemini_upload_start),
      web.post('/upload-here/files/{id}', gemini_upload),
      web.get('/v1beta/files/{id}', gemini_file),
      web.delete('/v1beta/files/{id}', gemini_file),
      web.post('/v1beta/models/{call}', gemini_model),
      web.get('/v1beta/batches', gemini_list),
      web.get('/v1beta/batches/{id}', gemini_get),
    ]
  )
  return app


async def serve() -> None:
  runner = web.AppRunner(application(), access_log=None)
  await runner.setup()
  site = web.TCPSite(runner, '127.0.0.1', 0)
  await site.start()
  port = runner.addresses[0][1]
  print(port, flush=True)
  await asyncio.Event().wait()


class Running:
  """A server process, seen from a test."""

  def __init__(self, port: int):
    self.url = f'http://127.0.0.1:{port}'

  def control(self, **asked) -> None:
    data = json.dumps(asked).encode()
    request = urllib.request.Request(f'{self.url}/control', data)
    # A client that never comes to where it is to be held fails the test.
    with urllib.request.urlopen(request, timeout=120) as response:
      response.read()

  def log(self) -> list[dict]:
    with urllib.request.urlopen(f'{self.url}/control/log') as response:
      return json.load(response)

  def jobs(self) -> list[list[str]]:
    """Keys of the requests of each job, in the order of creation."""
    return [entry['keys'] for entry in self.log() if 'job' in entry]


@contextlib.contextmanager
def running():
  """Runs a server in a process of its own."""
  process = subprocess.Popen(
    [sys.executable, str(pathlib.Path(__file__))],
    stdout=subprocess.PIPE,
    text=True,
  )
  try:
    assert process.stdout is not None
    yield Running(int(process.stdout.readline()))
  finally:
    process.kill()
    process.wait()
    process.stdout.close()


if __name__ == '__main__':
  asyncio.run(serve())
