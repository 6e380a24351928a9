"""Buckets in memory, as Cloud Storage documents them.

Each behaviour that is imitated names the page that promises it, below
https://cloud.google.com/storage/docs.
"""

import base64
from collections.abc import Mapping
import dataclasses
import datetime
import hashlib
import itertools
import threading
from typing import Any

import google_crc32c

Query = Mapping[str, str]


class Refused(Exception):
  """An answer that is an error.

  Its JSON body is that of `json_api/v1/status-codes`.
  """

  def __init__(self, status: int, message: str):
    super().__init__(message)
    self.status, self.message = status, message


@dataclasses.dataclass(frozen=True)
class Object:
  """A generation of an object.

  Attributes:
    name: Of the object in its bucket.
    data: Its bytes.
    generation: Greater with each overwrite, even after a deletion
      (`metadata#generation-number`).
    composite: Whether it was composed; such have no MD5 (`composite-objects`).
  """

  name: str
  data: bytes
  generation: int
  composite: bool = False

  def hashes(self) -> dict[str, str]:
    """CRC32C, big-endian, and MD5, both in base64 (`hashes-etags`)."""
    crc32c = google_crc32c.Checksum(self.data).digest()
    found = {'crc32c': base64.b64encode(crc32c).decode()}
    if not self.composite:
      md5 = hashlib.md5(self.data, usedforsecurity=False).digest()
      found['md5'] = base64.b64encode(md5).decode()
    return found

  def resource(self, bucket: str) -> dict[str, Any]:
    """The object resource (`json_api/v1/objects#resource`)."""
    hashes = self.hashes()
    made = datetime.datetime.fromtimestamp(self.generation / 1e6, datetime.UTC)
    stamp = made.strftime('%Y-%m-%dT%H:%M:%S.%fZ')
    found = {
      'kind': 'storage#object',
      'bucket': bucket,
      'name': self.name,
      'size': str(len(self.data)),
      'generation': str(self.generation),
      'metageneration': '1',
      'etag': f'{self.generation}/1',
      'crc32c': hashes['crc32c'],
      'timeCreated': stamp,
      'updated': stamp,
    }
    return found | ({'md5Hash': hashes['md5']} if 'md5' in hashes else {})


def check(query: Query, there: Object | None, prefix: str = 'if') -> None:
  """Raises where a precondition does not hold (`request-preconditions`).

  `ifGenerationMatch=0` holds where there is no live object, and any other
  number where the live object has that generation.
  """
  generation = there.generation if there else 0
  match = query.get(f'{prefix}GenerationMatch')
  if match is not None and int(match) != generation:
    raise Refused(412, 'At least one of the pre-conditions did not hold.')
  other = query.get(f'{prefix}GenerationNotMatch')
  if other is not None and int(other) == generation:
    # 304 of a GET, 412 of all others (`json_api/v1/objects/get`).
    raise Refused(304, '')


class Bucket:
  """Objects by name; every change is atomic, and seen by whoever asks next.

  Cloud Storage is strongly consistent: reads after writes and deletions, and
  listings (`consistency`).
  """

  def __init__(self, name: str):
    self.name = name
    self._objects: dict[str, Object] = {}
    self._generations = itertools.count(1_700_000_000_000_000)
    self._lock = threading.RLock()

  def snapshot(self) -> dict[str, Object]:
    """What a listing sees at this moment."""
    with self._lock:
      return dict(self._objects)

  def get(self, name: str, query: Query) -> Object:
    with self._lock:
      there = self._objects.get(name)
    wanted = query.get('generation')
    if there is None or wanted not in (None, str(there.generation)):
      raise Refused(404, f'No such object: {self.name}/{name}')
    check(query, there)
    return there

  def insert(
    self,
    name: str,
    data: bytes,
    query: Query,
    *,
    composite: bool = False,
    crc32c: str | None = None,
  ) -> Object:
    """Makes the live object, unless it is not what the client says.

    A checksum in the resource is compared with the data (`data-validation`).
    """
    with self._lock:
      check(query, self._objects.get(name))
      new = Object(name, data, next(self._generations), composite)
      if crc32c not in (None, found := new.hashes()['crc32c']):
        raise Refused(
          400,
          f'Provided CRC32C "{crc32c}" doesn\'t match calculated CRC32C '
          f'"{found}".',
        )
      self._objects[name] = new
      return new

  def delete(self, name: str, query: Query) -> None:
    with self._lock:
      self.get(name, query)
      del self._objects[name]

  def compose(self, name: str, body: dict[str, Any], query: Query) -> Object:
    """Concatenates up to 32 objects (`json_api/v1/objects/compose`)."""
    with self._lock:
      sources = body['sourceObjects']
      if not 1 <= len(sources) <= 32:
        raise Refused(400, 'The number of source components is not in 1 … 32')
      parts = []
      for source in sources:
        part = self.get(source['name'], {})
        check(source.get('objectPreconditions', {}), part)
        wanted = source.get('generation', part.generation)
        if int(wanted) != part.generation:
          raise Refused(404, f'No such object: {self.name}/{source["name"]}')
        parts.append(part.data)
      return self.insert(name, b''.join(parts), query, composite=True)

  def listing(
    self, query: Query, objects: Mapping[str, Object]
  ) -> dict[str, Any]:
    """One page of a listing (`json_api/v1/objects/list`).

    Names are in the order of their UTF-8. What has the delimiter after the
    prefix is a prefix instead; a page holds both, up to `maxResults` of them.
    """
    prefix, delimiter = query.get('prefix', ''), query.get('delimiter', '')
    entries: dict[str, Object | None] = {}
    for name in sorted(objects, key=str.encode):
      if not name.startswith(prefix):
        continue
      if name < query.get('startOffset', ''):
        continue
      if (end := query.get('endOffset')) and name >= end:
        continue
      head, found, _ = name[len(prefix) :].partition(delimiter or '\0')
      if delimiter and found:
        entries.setdefault(prefix + head + delimiter, None)
      else:
        entries[name] = objects[name]
    names = [n for n in entries if n > query.get('pageToken', '')]
    page = names[: int(query.get('maxResults') or 1000)]
    listed = {n: entries[n] for n in page}
    found_objects = [o.resource(self.name) for o in listed.values() if o]
    answer: dict[str, Any] = {'kind': 'storage#objects'}
    if found_objects:
      answer['items'] = found_objects
    if prefixes := [n for n, o in listed.items() if o is None]:
      answer['prefixes'] = prefixes
    if len(page) < len(names):
      answer['nextPageToken'] = page[-1]
    return answer
