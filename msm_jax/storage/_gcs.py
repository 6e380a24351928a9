"""Cloud Storage through gcsfs: retried, verified, under preconditions.

Every request of this process to `gs://` goes through `FileSystem`, those of
Orbax and of pyarrow too, because it takes the place of gcsfs' own in fsspec.
What gcsfs does otherwise: it waits 31 s for what cannot get better, knows no
`Retry-After`, reads two generations of one object as one file, caches listings,
and overwrites whatever is there. See `_answers` for what is retried.
"""

import asyncio
import json as json_lib
import os
import pathlib
import random
from typing import Any
from typing import NamedTuple
import uuid

import aiohttp
from fsspec import asyn
from gcsfs import core
from gcsfs import retry
import google.auth.exceptions

from msm_jax.storage import _answers
from msm_jax.storage._errors import PreconditionError
from msm_jax.storage._errors import StorageError

# Waits of up to ½, 1, 2, 4, 8, 16 and 16 s: three quarters of a minute at most,
# beyond what `Retry-After` asks for.
ATTEMPTS = 8
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 16.0
# How long no byte may come before a connection is given up.
READ_TIMEOUT = 60.0
# Objects beyond this are uploaded in parts of this; a multiple of 256 KiB, as
# `performing-resumable-uploads` wants it.
_PART = 32 << 20


class Stat(NamedTuple):
  """What is known of an object.

  Attributes:
    generation: Greater than that of any object which was there before; 0 where
      there is none.
    size: Bytes.
    crc32c: In base64, as Cloud Storage writes it.
  """

  generation: int
  size: int
  crc32c: str


NOTHING = Stat(0, 0, '')


async def wait(seconds: float) -> None:
  """Tests wait for nothing."""
  await asyncio.sleep(seconds)


class _Reader(core.GCSFile):
  """A file whose parts are all of the generation that was opened."""

  def _fetch_range(
    self, start: int | None = None, end: int | None = None
  ) -> bytes:
    return self.fs.cat_file(
      self.path, start, end, generation=self.details['generation']
    )


class FileSystem(core.GCSFileSystem):
  """gcsfs, whose requests are retried, verified, and explained.

  Listings are never cached: others publish while this process runs.
  """

  def __init__(self, **options: Any):
    options['use_listings_cache'] = False
    options.setdefault('requests_timeout', self._timeout())
    if os.environ.get('STORAGE_EMULATOR_HOST'):
      options.setdefault('token', 'anon')
    super().__init__(**options)

  def _timeout(self) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
      total=None, sock_connect=15.0, sock_read=READ_TIMEOUT
    )

  async def _request(
    self,
    method: str,
    path: str,
    *args: str,
    headers: dict[str, str] | None = None,
    json: Any = None,
    data: Any = None,
    cache_type: Any = None,
    cache_source: Any = None,
    **query: Any,
  ) -> tuple[int, Any, Any, bytes]:
    del cache_type, cache_source  # gcsfs reports them to Google.
    url = self._format_path(path, args)
    for attempt in range(1, ATTEMPTS + 1):
      try:
        return await self._try(method, url, headers or {}, json, data, query)
      except (_answers.TransientError, aiohttp.ClientError, TimeoutError) as e:
        if attempt == ATTEMPTS:
          raise StorageError(
            f'{_answers.place(url)}: no answer in {ATTEMPTS} attempts, at last '
            f'{e or type(e).__name__}. Cloud Storage or the way to it is down: '
            'try again later'
          ) from e
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1))
        asked = e.wait if isinstance(e, _answers.TransientError) else 0.0
        await wait(asked + random.uniform(0.0, longest))
    raise AssertionError('unreachable')

  async def _try(
    self,
    method: str,
    url: str,
    headers: dict[str, str],
    json: Any,
    data: Any,
    query: dict[str, Any],
  ) -> tuple[int, Any, Any, bytes]:
    place = _answers.place(url)
    await self._set_session()
    if hasattr(data, 'seek'):
      data.seek(0)
    try:
      sent = self._get_headers(headers)
    except (
      retry.HttpError,
      retry.NonRetryableError,
      google.auth.exceptions.GoogleAuthError,
    ) as e:
      cause = e.__cause__ or e
      lost = isinstance(cause, google.auth.exceptions.TransportError)
      if lost or getattr(cause, 'retryable', False):
        raise _answers.TransientError(str(cause)) from e
      raise _answers.credentials_error(place, cause) from e
    async with self.session.request(
      method=method,
      url=url,
      params=self._get_params(query),
      json=json,
      headers=sent,
      data=data,
      timeout=self.requests_timeout,
    ) as answer:
      content = await answer.read()
      _answers.check(answer.status, content, answer.headers, place)
      if content:
        _answers.verify(answer.status, content, answer.headers, headers)
      return answer.status, answer.headers, answer.request_info, content

  def _open(self, path: str, mode: str = 'rb', **options: Any) -> Any:
    if mode == 'rb':
      options['cache_type'] = 'readahead'
      return _Reader(self, path, mode, **options)
    return super()._open(path, mode, **options)

  async def _stat(self, path: str) -> Stat:
    bucket, name, _ = self.split_path(path)
    try:
      found = await self._call('GET', 'b/{}/o/{}', bucket, name, json_out=True)
    except FileNotFoundError:
      return NOTHING
    return Stat(int(found['generation']), int(found['size']), found['crc32c'])

  async def _upload(
    self,
    path: str,
    source: bytes | pathlib.Path,
    if_generation: int | None = None,
  ) -> int:
    """Writes an object; returns its generation.

    What is there already, with these bytes, is what was wanted: it is our own,
    whose answer was lost, or somebody's with the same result.

    Args:
      path: Bucket and name.
      source: Its bytes, or the file that holds them.
      if_generation: What is to be there before, 0 for nothing; None for
        whatever it is.

    Raises:
      PreconditionError: If something else is there.
    """
    bucket, name, _ = self.split_path(path)
    size, crc32c = _answers.size_and_crc32c(source)
    # The server compares, and makes no object of anything else.
    resource = {'name': name, 'crc32c': crc32c}
    try:
      for attempt in range(1, ATTEMPTS + 1):
        try:
          made = await self._send(bucket, resource, source, size, if_generation)
          return int(made['generation'])
        except _answers.GarbledError:
          if attempt == ATTEMPTS:
            raise
      raise AssertionError('unreachable')
    except (PreconditionError, FileNotFoundError) as e:
      there = await self._stat(path)
      if (there.size, there.crc32c) == (size, crc32c) and there.generation:
        return there.generation
      if isinstance(e, PreconditionError):
        raise
      raise StorageError(f'gs://{path}: the upload was lost: {e}') from e

  async def _send(
    self,
    bucket: str,
    resource: dict[str, str],
    source: bytes | pathlib.Path,
    size: int,
    if_generation: int | None,
  ) -> dict[str, Any]:
    if not isinstance(source, bytes):
      if size > _PART:
        return await self._send_in_parts(
          bucket, resource, source, size, if_generation
        )
      source = source.read_bytes()
    return await self._send_at_once(bucket, resource, source, if_generation)

  async def _send_at_once(
    self,
    bucket: str,
    resource: dict[str, str],
    data: bytes,
    if_generation: int | None,
  ) -> dict[str, Any]:
    boundary = uuid.uuid4().hex
    body = (
      f'--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n'
      f'{json_lib.dumps(resource)}\r\n--{boundary}\r\n'
      f'Content-Type: application/octet-stream\r\n\r\n'
    ).encode()
    return await self._call(
      'POST',
      f'{self._location}/upload/storage/v1/b/{{}}/o?name={{}}',
      bucket,
      resource['name'],
      uploadType='multipart',
      ifGenerationMatch=if_generation,
      headers={'Content-Type': f'multipart/related; boundary={boundary}'},
      data=body + data + f'\r\n--{boundary}--'.encode(),
      json_out=True,
    )

  async def _send_in_parts(
    self,
    bucket: str,
    resource: dict[str, str],
    source: pathlib.Path,
    size: int,
    if_generation: int | None,
  ) -> dict[str, Any]:
    """`performing-resumable-uploads`: a part that fails is sent again."""
    headers, _ = await self._call(
      'POST',
      f'{self._location}/upload/storage/v1/b/{{}}/o?name={{}}',
      bucket,
      resource['name'],
      uploadType='resumable',
      ifGenerationMatch=if_generation,
      json=resource,
    )
    session, sent = headers['Location'], 0
    with open(source, 'rb') as f:
      while True:
        f.seek(sent)
        part = f.read(_PART)
        span = f'bytes {sent}-{sent + len(part) - 1}/{size}'
        headers, content = await self._call(
          'PUT', session, headers={'Content-Range': span}, data=part
        )
        if content:
          return json_lib.loads(content)
        # How much of it is there may be less than was sent.
        sent = int(headers.get('Range', 'bytes=0--1').partition('-')[2]) + 1

  async def _delete(self, path: str, generation: int) -> None:
    """Deletes that generation of an object, if it is there."""
    bucket, name, _ = self.split_path(path)
    try:
      await self._call(
        'DELETE', 'b/{}/o/{}', bucket, name, ifGenerationMatch=generation
      )
    except (FileNotFoundError, PreconditionError):
      return

  async def _append(self, path: str, data: bytes, there: Stat) -> Stat:
    """Adds bytes to the end of an object, by composing it anew.

    Raises:
      PreconditionError: If another than `there` is there.
    """
    bucket, name, _ = self.split_path(path)
    if not there.generation:
      await self._upload(path, data, 0)
      return await self._stat(path)
    part = f'{path}.part'
    generation = await self._upload(part, data)
    sources = [
      {'name': name, 'generation': str(there.generation)},
      {'name': f'{name}.part', 'generation': str(generation)},
    ]
    try:
      await self._call(
        'POST',
        'b/{}/o/{}/compose',
        bucket,
        name,
        json={'sourceObjects': sources},
        ifGenerationMatch=there.generation,
      )
    except (PreconditionError, FileNotFoundError) as e:
      # Our own, whose answer was lost, is as long as it should be and ends so.
      now = await self._stat(path)
      ours = now.size == there.size + len(data)
      if not ours or await self._cat_file(path, there.size) != data:
        raise PreconditionError(
          f'gs://{path}: somebody else writes this file too'
        ) from e
    await self._delete(part, generation)
    return await self._stat(path)

  stat = asyn.sync_wrapper(_stat)
  upload = asyn.sync_wrapper(_upload)
  delete = asyn.sync_wrapper(_delete)
  append = asyn.sync_wrapper(_append)
