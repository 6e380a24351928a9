"""Cloud Storage's JSON API over real HTTP, with faults on request.

The server runs in a thread; whoever is to use it, in this process or another,
gets `Server.environment`. Pages below https://cloud.google.com/storage/docs are
named where their promises are imitated.
"""

import contextlib
import dataclasses
import http.server
import itertools
import json
import os
import re
import select
import socket
import struct
import tempfile
import threading
from typing import Any
import urllib.parse

import gcs_objects

_MEDIA = 'application/octet-stream'
_OBJECT = re.compile(r'/(?:download/)?storage/v1/b/([^/]+)/o/([^/]+)(/.*)?')


@dataclasses.dataclass
class Fault:
  """What goes wrong with some requests.

  Attributes:
    pattern: Regular expression that is searched for in `METHOD url`, unquoted.
    kind: What happens:
      'status': The answer is an error; nothing was done.
      'reset': The connection is reset in the middle of the answer; what was
        asked for was done.
      'truncated': It is closed there, short of its `Content-Length`.
      'short': Only half of the body is sent, and its length says so.
      'garbled': A bit of the body is another, of an upload that of the request.
      'silent': No byte of an answer comes until the client has gone.
      'stale': A listing of objects as it was when the fault was made.
    skip: How many matching requests go well before.
    times: How many go wrong.
    status: For 'status'.
    message: Of the error.
    headers: Of the error, e.g. `Retry-After` (`retry-strategy`).
  """

  pattern: str
  kind: str = 'status'
  skip: int = 0
  times: int = 1
  status: int = 503
  message: str = 'We encountered an internal error. Please try again.'
  headers: dict[str, str] = dataclasses.field(default_factory=dict)
  listings: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Answer:
  status: int
  body: bytes = b''
  headers: dict[str, str] = dataclasses.field(default_factory=dict)


def _json(value: Any, status: int = 200) -> Answer:
  headers = {'Content-Type': 'application/json; charset=UTF-8'}
  return Answer(status, json.dumps(value).encode(), headers)


def _error(status: int, message: str) -> Answer:
  """The JSON of an error (`json_api/v1/status-codes`)."""
  if status == 304:
    return Answer(304)
  return _json({'error': {'code': status, 'message': message}}, status)


class Server:
  """Buckets, a log of requests, and faults.

  Attributes:
    buckets: By name.
    requests: `METHOD url` of every request, unquoted, in order.
    url: Where the server listens.
  """

  def __init__(self, *buckets: str):
    self.buckets = {name: gcs_objects.Bucket(name) for name in buckets}
    self.requests: list[str] = []
    self._faults: list[Fault] = []
    self._uploads: dict[str, tuple[Any, ...]] = {}
    self._finished: dict[str, Answer] = {}
    self._ids = itertools.count()
    self._lock = threading.Condition()
    self._cache = tempfile.TemporaryDirectory()
    self._http = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
    self._http.daemon_threads = True
    self._http.app = self
    self.url = f'http://127.0.0.1:{self._http.server_address[1]}'
    self._thread = threading.Thread(
      target=self._http.serve_forever, kwargs={'poll_interval': 0.05}
    )
    self._thread.start()

  @property
  def environment(self) -> dict[str, str]:
    """The environment of processes for which `gs://` is this server."""
    return {
      **os.environ,
      'STORAGE_EMULATOR_HOST': self.url,
      'TENSORSTORE_GCS_HTTP_URL': self.url,
      'MSM_JAX_CACHE_DIR': self._cache.name,
    }

  def fail(self, pattern: str, kind: str = 'status', **what: Any) -> Fault:
    """Lets some of the requests that match `pattern` go wrong; see `Fault`."""
    fault = Fault(pattern, kind, **what)
    if kind == 'stale':
      fault.listings = {n: b.snapshot() for n, b in self.buckets.items()}
    with self._lock:
      self._faults.append(fault)
    return fault

  def wait_for(self, pattern: str, count: int) -> None:
    """Blocks until that many requests matched."""

    def there() -> bool:
      return sum(bool(re.search(pattern, r)) for r in self.requests) >= count

    with self._lock:
      assert self._lock.wait_for(there, timeout=120), self.requests

  def heal(self) -> None:
    """Forgets all faults, and the requests so far."""
    with self._lock:
      self._faults.clear()
      self.requests.clear()

  def close(self) -> None:
    self._http.shutdown()
    self._thread.join()
    self._http.server_close()
    self._cache.cleanup()

  def fault_of(self, request: str) -> Fault | None:
    with self._lock:
      self.requests.append(request)
      self._lock.notify_all()
      for fault in self._faults:
        if re.search(fault.pattern, request):
          if fault.skip:
            fault.skip -= 1
          elif fault.times:
            fault.times -= 1
            return fault
      return None

  def answer(
    self,
    method: str,
    path: str,
    query: dict[str, str],
    headers: Any,
    body: bytes,
    listings: dict[str, Any],
  ) -> Answer:
    try:
      if path.startswith('/upload/'):
        return self._upload(method, path, query, headers, body)
      if match := _OBJECT.fullmatch(path):
        bucket, name, action = map(
          urllib.parse.unquote, (*match.groups()[:2], match[3] or '')
        )
        there = self._bucket(bucket)
        if action:
          return self._action(there, name, action, query, body)
        return self._object(method, there, name, query, headers)
      parts = path.removeprefix('/storage/v1/b').strip('/').split('/')
      bucket = self._bucket(urllib.parse.unquote(parts[0]))
      if parts[1:] == ['o']:
        objects = listings.get(bucket.name, bucket.snapshot())
        return _json(bucket.listing(query, objects))
      return _json({'kind': 'storage#bucket', 'name': bucket.name})
    except gcs_objects.Refused as e:
      status = e.status
      if status == 304 and method != 'GET':
        status = 412
      return _error(status, e.message)

  def _bucket(self, name: str) -> gcs_objects.Bucket:
    if name not in self.buckets:
      raise gcs_objects.Refused(404, 'The specified bucket does not exist.')
    return self.buckets[name]

  def _object(
    self,
    method: str,
    bucket: gcs_objects.Bucket,
    name: str,
    query: dict[str, str],
    headers: Any,
  ) -> Answer:
    if method == 'DELETE':
      bucket.delete(name, query)
      return Answer(204)
    there = bucket.get(name, query)
    if query.get('alt') != 'media':
      return _json(there.resource(bucket.name))
    return _media(there, headers.get('Range'))

  def _action(
    self,
    bucket: gcs_objects.Bucket,
    name: str,
    action: str,
    query: dict[str, str],
    body: bytes,
  ) -> Answer:
    if action == '/compose':
      made = bucket.compose(name, json.loads(body), query)
      return _json(made.resource(bucket.name))
    verb, _, rest = action[1:].partition('/')
    if verb == 'moveTo':  # `json_api/v1/objects/move`
      target, new = bucket, rest.removeprefix('o/')
    else:  # `json_api/v1/objects/rewrite`, in one go
      where, _, new = rest.removeprefix('b/').partition('/o/')
      target = self._bucket(where)
    there = bucket.get(name, {})
    gcs_objects.check(query, there, 'ifSource')
    made = target.insert(new, there.data, query, composite=there.composite)
    resource = made.resource(target.name)
    if verb == 'moveTo':
      bucket.delete(name, {})
      return _json(resource)
    return _json(
      {'kind': 'storage#rewriteResponse', 'done': True, 'resource': resource}
    )

  def _upload(
    self,
    method: str,
    path: str,
    query: dict[str, str],
    headers: Any,
    body: bytes,
  ) -> Answer:
    """`uploads-downloads`: media, multipart, resumable."""
    if 'upload_id' in query:
      return self._resume(method, query['upload_id'], headers, body)
    bucket = self._bucket(urllib.parse.unquote(path.split('/')[-2]))
    kind = query['uploadType']
    if kind == 'media':
      made = bucket.insert(query['name'], body, query)
      return _json(made.resource(bucket.name))
    if kind == 'multipart':
      metadata, data = _parts(headers['Content-Type'], body)
      made = bucket.insert(
        metadata['name'], data, query, crc32c=metadata.get('crc32c')
      )
      return _json(made.resource(bucket.name))
    name = query.get('name') or json.loads(body)['name']
    # A precondition that fails now fails now (`performing-resumable-uploads`).
    gcs_objects.check(query, bucket.snapshot().get(name))
    session = f'session-{next(self._ids)}'
    told = json.loads(body or b'{}').get('crc32c')
    self._uploads[session] = bucket.name, name, query, told, bytearray()
    location = f'{self.url}{path}?uploadType=resumable&upload_id={session}'
    return Answer(200, b'', {'Location': location})

  def _resume(
    self, method: str, session: str, headers: Any, body: bytes
  ) -> Answer:
    """`performing-resumable-uploads`.

    Bytes that were sent before are ignored; 308 says in `Range` how many there
    are; the object appears with the last; a cancelled session answers 499.
    """
    if session in self._finished:
      return self._finished[session]
    if session not in self._uploads:
      raise gcs_objects.Refused(404, 'No such upload session')
    bucket, name, query, told, data = self._uploads[session]
    if method == 'DELETE':
      del self._uploads[session]
      return Answer(499)
    pattern = r'bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)'
    first, _, total = re.fullmatch(pattern, headers['Content-Range']).groups()
    if first is not None:
      if int(first) > len(data):
        raise gcs_objects.Refused(503, f'expected byte {len(data)}')
      data += body[len(data) - int(first) :]
      if total == '*' and len(data) % (256 << 10):
        raise gcs_objects.Refused(400, 'chunks are multiples of 256 KiB')
    if total != '*' and len(data) == int(total):
      made = self._bucket(bucket).insert(name, bytes(data), query, crc32c=told)
      del self._uploads[session]
      self._finished[session] = _json(made.resource(bucket))
      return self._finished[session]
    return Answer(
      308, b'', {'Range': f'bytes=0-{len(data) - 1}'} if data else {}
    )


def _parts(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
  """Metadata and data of `multipart/related` (RFC 2387)."""
  boundary = re.search(r'boundary="?([^";]+)"?', content_type)[1].encode()
  # The standard wants CR LF; gcsfs sends LF, and Cloud Storage takes both.
  crlf = body.startswith(b'--' + boundary + b'\r\n')
  end = b'\r\n' if crlf else b'\n'
  delimiter = end + b'--' + boundary
  _, metadata, rest = (end + body).split(delimiter, 2)
  data = rest[: rest.rindex(delimiter)]
  return (
    json.loads(metadata.partition(end + end)[2]),
    data.partition(end + end)[2],
  )


def _media(there: gcs_objects.Object, wanted: str | None) -> Answer:
  """Content and its headers (`json_api/v1/objects/get`; ranges: RFC 9110 §14).

  `X-Goog-Hash` is that of the whole object, also where a range was asked for
  (`xml-api/reference-headers#xgooghash`).
  """
  size = len(there.data)
  headers = {
    'Content-Type': _MEDIA,
    'X-Goog-Generation': str(there.generation),
    'X-Goog-Hash': ','.join(f'{k}={v}' for k, v in there.hashes().items()),
    'ETag': f'"{there.generation}/1"',
  }
  match = re.fullmatch(r'bytes=(\d*)-(\d*)', wanted or '')
  if match is None:
    return Answer(200, there.data, headers)
  first, last = match.groups()
  if first:
    begin, end = int(first), min(int(last or size), size - 1) + 1
  else:
    begin, end = max(0, size - int(last)), size
  if begin >= end:
    headers = {'Content-Range': f'bytes */{size}'}
    return Answer(416, b'Request range not satisfiable', headers)
  headers['Content-Range'] = f'bytes {begin}-{end - 1}/{size}'
  return Answer(206, there.data[begin:end], headers)


def _garbled(data: bytes) -> bytes:
  """Another bit, near the end: of a multipart upload, in what is stored."""
  place = max(0, len(data) - 40)
  return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


class _Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'
  disable_nagle_algorithm = True

  def log_message(self, *_: Any) -> None:
    """The log is `Server.requests`."""

  def handle(self) -> None:
    with contextlib.suppress(ConnectionError):  # Clients come and go.
      super().handle()

  def _body(self) -> bytes:
    if self.headers.get('Transfer-Encoding') != 'chunked':
      return self.rfile.read(int(self.headers.get('Content-Length') or 0))
    parts = []
    while size := int(self.rfile.readline(), 16):
      parts.append(self.rfile.read(size))
      self.rfile.readline()
    self.rfile.readline()
    return b''.join(parts)

  def _handle(self) -> None:
    body = self._body()
    url = urllib.parse.urlsplit(self.path)
    query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    app: Server = self.server.app
    fault = app.fault_of(f'{self.command} {urllib.parse.unquote(self.path)}')
    kind = fault.kind if fault else None
    if kind == 'status':
      answer = _error(fault.status, fault.message)
      answer.headers |= fault.headers
      return self._send(answer)
    if kind == 'silent':
      select.select([self.connection], [], [])
      self.close_connection = True
      return None
    if kind == 'garbled' and url.path.startswith('/upload/'):
      body, kind = _garbled(body), None
    listings = fault.listings if fault else {}
    answer = dataclasses.replace(
      app.answer(self.command, url.path, query, self.headers, body, listings)
    )
    if kind in ('reset', 'truncated'):
      return self._break_off(answer, kind)
    if kind == 'short':
      answer.body = answer.body[: len(answer.body) // 2]
    if kind == 'garbled':
      answer.body = _garbled(answer.body)
    return self._send(answer)

  do_GET = do_POST = do_PUT = do_DELETE = _handle

  def _send(self, answer: Answer, length: int | None = None) -> None:
    self.send_response(answer.status)
    for name, value in answer.headers.items():
      self.send_header(name, value)
    if answer.status not in (204, 304):
      self.send_header('Content-Length', str(length or len(answer.body)))
    self.end_headers()
    with contextlib.suppress(ConnectionError):
      self.wfile.write(answer.body)

  def _break_off(self, answer: Answer, kind: str) -> None:
    """Half of the body, then the end of the connection."""
    length = len(answer.body)
    answer.body = answer.body[: length // 2]
    self._send(answer, length + 1)
    self.wfile.flush()
    if kind == 'reset':
      linger = struct.pack('ii', 1, 0)
      self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
      socket.socket(fileno=self.connection.detach()).close()
    self.close_connection = True
