"""What Cloud Storage's answers mean, and whether they are what was stored.

Pages below https://cloud.google.com/storage/docs are named where they say it.
"""

import base64
import json as json_lib
import pathlib
import re
from typing import Any
import urllib.parse

import google_crc32c

from msm_jax.storage._errors import PreconditionError
from msm_jax.storage._errors import StorageError

_LONGEST_RETRY_AFTER = 60.0
_TRANSIENT = frozenset({408, 429, *range(500, 600)})  # `retry-strategy`
_READ = 32 << 20


class TransientError(Exception):
  """What may go well if it is tried again."""

  def __init__(self, problem: str, wait: float = 0.0):
    super().__init__(problem)
    self.wait = wait


class GarbledError(StorageError):
  """What was uploaded arrived as something else, and was refused."""


def _base64(checksum: google_crc32c.Checksum) -> str:
  return base64.b64encode(checksum.digest()).decode()


def size_and_crc32c(source: bytes | pathlib.Path) -> tuple[int, str]:
  if isinstance(source, bytes):
    return len(source), _base64(google_crc32c.Checksum(source))
  checksum, size = google_crc32c.Checksum(), 0
  with open(source, 'rb') as f:
    while part := f.read(_READ):
      checksum.update(part)
      size += len(part)
  return size, _base64(checksum)


def place(url: str) -> str:
  """Returns the `gs://…` that a request is about."""
  found = re.search(r'/b/([^/?]+)(?:/o/?([^?/]*))?', url)
  if found is None:
    return url
  bucket, name = (urllib.parse.unquote(part or '') for part in found.groups())
  query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
  return f'gs://{bucket}/{name or query.get("name", [""])[0]}'.rstrip('/')


def _message(content: bytes) -> str:
  """What an answer says is wrong (`json_api/v1/status-codes`)."""
  try:
    error = json_lib.loads(content)['error']
    return error if isinstance(error, str) else str(error['message'])
  except (ValueError, KeyError, TypeError):
    return content.decode(errors='replace')[:200].strip()


def credentials_error(place: str, problem: object) -> StorageError:
  return StorageError(
    f'{place}: Cloud Storage does not accept the credentials ({problem}); '
    'they expired, or there are none. Run `gcloud auth application-default '
    'login`, or set GOOGLE_APPLICATION_CREDENTIALS to the key of an account'
  )


def check(status: int, content: bytes, headers: Any, place: str) -> None:
  """Raises what an answer means, if it is an error.

  Raises:
    TransientError: If it may go well the next time.
    FileNotFoundError: If there is no such object.
    PreconditionError: If the object is of another generation.
    StorageError: For what only somebody can change.
  """
  if status < 400 or status == 499:  # 499: an upload was cancelled, as wanted.
    return
  message = _message(content)
  problem = f'{status} {message}'.strip()
  if status in _TRANSIENT:
    after = headers.get('Retry-After', '')
    seconds = float(after) if after.isdigit() else 0.0
    raise TransientError(problem, min(seconds, _LONGEST_RETRY_AFTER))
  if status == 400 and "doesn't match calculated" in message:
    raise GarbledError(f'{place}: {problem}')
  if status == 404 and 'bucket does not exist' in message:
    bucket = '/'.join(place.split('/')[:3])
    raise StorageError(
      f'{place}: the bucket {bucket} does not exist. Correct the name, or make '
      f'it with `gcloud storage buckets create {bucket}`'
    )
  if status in (404, 410):
    raise FileNotFoundError(f'{place}: {message}')
  if status == 412:
    raise PreconditionError(f'{place}: was changed by somebody else meanwhile')
  if status == 401:
    raise credentials_error(place, problem)
  if status == 403:
    raise StorageError(
      f'{place}: this account may not do that ({problem}). Grant it '
      'roles/storage.objectUser on the bucket, or use another account'
    )
  raise StorageError(f'{place}: Cloud Storage refuses: {problem}')


def verify(status: int, content: bytes, headers: Any, asked: Any) -> None:
  """Raises `TransientError` for content that is not what was stored.

  A whole object is compared with its checksum (`data-validation`), a part of
  one, for which there is none, with the length that it should have.
  """
  if status == 206:
    span = re.match(r'bytes (\d+)-(\d+)/', headers.get('Content-Range', ''))
    if span is None or int(span[2]) - int(span[1]) + 1 != len(content):
      raise TransientError(f'{len(content)} bytes are not the range asked for')
  elif status == 200 and 'Range' in asked:
    raise TransientError('a range was asked for, and a whole object came')
  elif 'json' in headers.get('Content-Type', ''):
    try:
      json_lib.loads(content)
    except ValueError as e:
      raise TransientError(f'an answer was cut short: {e}') from e
  elif status == 200 and 'Content-Encoding' not in headers:
    told = ','.join(headers.getall('X-Goog-Hash', ()))
    crc32c = re.search(r'crc32c=([^,]+)', told)
    if crc32c and crc32c[1] != size_and_crc32c(content)[1]:
      raise TransientError('the content does not match its checksum')
