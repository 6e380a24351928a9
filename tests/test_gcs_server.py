"""What our Cloud Storage promises, asked with nobody's client."""

import base64
import hashlib
import http.client
import json
import pathlib
import subprocess
import sys
import urllib.parse

import gcs
import google_crc32c
import pytest

_OBJECTS = f'/storage/v1/b/{gcs.BUCKET}/o'
_UPLOAD = f'/upload{_OBJECTS}'


@pytest.fixture
def server():
  with gcs.emulator() as server:
    yield server


@pytest.fixture
def ask(server):
  """Sends one request; returns status, headers and body."""
  connections = []

  def ask(method, path, body=None, headers=None, **query):
    connection = http.client.HTTPConnection(server.url.split('//')[1])
    connections.append(connection)
    path += '?' + urllib.parse.urlencode(query)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()

  yield ask
  for connection in connections:
    connection.close()


@pytest.fixture
def put(ask):
  """Uploads; returns the status and the generation, if there is one."""

  def put(name, data=b'x', **query):
    status, _, body = ask(
      'POST', _UPLOAD, data, uploadType='media', name=name, **query
    )
    return status, json.loads(body).get('generation')

  return put


def name_of(key):
  return f'{_OBJECTS}/{urllib.parse.quote(key, safe="")}'


def test_an_object_has_the_hashes_of_its_bytes(ask, put):
  data = bytes(range(256)) * 33
  put('deep/er/ä b', data)
  _, _, body = ask('GET', name_of('deep/er/ä b'))
  resource = json.loads(body)
  crc32c = google_crc32c.value(data).to_bytes(4, 'big')
  assert resource['size'] == str(len(data))
  assert base64.b64decode(resource['crc32c']) == crc32c
  assert base64.b64decode(resource['md5Hash']) == hashlib.md5(data).digest()
  _, headers, body = ask('GET', name_of('deep/er/ä b'), alt='media')
  assert body == data
  hashes = f'crc32c={resource["crc32c"]},md5={resource["md5Hash"]}'
  assert headers['X-Goog-Hash'] == hashes
  assert headers['X-Goog-Generation'] == resource['generation']


@pytest.mark.parametrize(
  ('wanted', 'found', 'said'),
  [
    ('bytes=2-4', b'234', 'bytes 2-4/10'),
    ('bytes=7-', b'789', 'bytes 7-9/10'),
    ('bytes=-3', b'789', 'bytes 7-9/10'),
    ('bytes=-30', b'0123456789', 'bytes 0-9/10'),
    ('bytes=8-30', b'89', 'bytes 8-9/10'),
  ],
)
def test_a_range_is_that_part(ask, put, wanted, found, said):
  put('digits', b'0123456789')
  status, headers, body = ask(
    'GET', name_of('digits'), headers={'Range': wanted}, alt='media'
  )
  assert (status, body, headers['Content-Range']) == (206, found, said)


def test_a_range_beyond_the_end_is_not_satisfiable(ask, put):
  put('digits', b'0123456789')
  status, _, _ = ask(
    'GET', name_of('digits'), headers={'Range': 'bytes=10-'}, alt='media'
  )
  assert status == 416


def test_preconditions_hold_for_one_generation(ask, put):
  status, first = put('a', b'1', ifGenerationMatch=0)
  assert status == 200
  assert put('a', b'2', ifGenerationMatch=0)[0] == 412
  status, second = put('a', b'2', ifGenerationMatch=first)
  assert status == 200
  assert int(second) > int(first)
  assert put('a', b'3', ifGenerationMatch=first)[0] == 412
  stale = {'ifGenerationMatch': first}
  assert ask('GET', name_of('a'), alt='media', **stale)[0] == 412
  assert ask('DELETE', name_of('a'), **stale)[0] == 412
  assert ask('GET', name_of('a'), generation=first)[0] == 404
  same = {'ifGenerationNotMatch': second}
  assert ask('GET', name_of('a'), alt='media', **same)[0] == 304
  copy = f'{name_of("a")}/rewriteTo/b/{gcs.BUCKET}/o/b'
  assert ask('POST', copy, ifSourceGenerationMatch=first)[0] == 412
  assert ask('POST', copy, ifGenerationMatch=0)[0] == 200
  assert ask('POST', copy, ifGenerationMatch=0)[0] == 412
  assert ask('DELETE', name_of('a'), ifGenerationMatch=second)[0] == 204
  assert ask('GET', name_of('a'))[0] == 404


def test_listings_come_in_pages_with_what_is_below_as_prefixes(ask, put):
  for name in ('a/1', 'a/2', 'b', 'c/d/1', 'e'):
    put(name)
  pages, token = [], ''
  while token is not None:
    _, _, body = ask(
      'GET', _OBJECTS, delimiter='/', maxResults=2, pageToken=token
    )
    page = json.loads(body)
    pages.append(
      page.get('prefixes', []) + [i['name'] for i in page.get('items', [])]
    )
    token = page.get('nextPageToken')
  assert pages == [['a/', 'b'], ['c/', 'e']]
  _, _, body = ask('GET', _OBJECTS, prefix='a/')
  assert [i['name'] for i in json.loads(body)['items']] == ['a/1', 'a/2']


def test_a_resumable_upload_appears_with_its_last_byte(ask):
  data = bytes(range(256)) * 3000
  status, headers, _ = ask(
    'POST', _UPLOAD, b'{}', uploadType='resumable', name='a'
  )
  assert status == 200
  url = urllib.parse.urlsplit(headers['Location'])
  session = dict(urllib.parse.parse_qsl(url.query))
  half = 512 << 10

  def send(part, span):
    return ask('PUT', url.path, part, {'Content-Range': span}, **session)

  total = len(data)
  status, headers, _ = send(data[:half], f'bytes 0-{half - 1}/{total}')
  assert (status, headers['Range']) == (308, f'bytes=0-{half - 1}')
  assert ask('GET', name_of('a'))[0] == 404
  # Sent again, as after an answer that was lost: what is there is ignored.
  status, headers, _ = send(data[:half], f'bytes 0-{half - 1}/{total}')
  assert (status, headers['Range']) == (308, f'bytes=0-{half - 1}')
  rest = f'bytes {half}-{total - 1}/{total}'
  assert send(data[half:], rest)[0] == 200
  assert send(data[half:], rest)[0] == 200
  assert ask('GET', name_of('a'), alt='media')[2] == data


def test_composing_concatenates_under_a_precondition(ask, put):
  _, generation = put('log', b'one ')
  put('part', b'two')
  body = json.dumps({'sourceObjects': [{'name': 'log'}, {'name': 'part'}]})
  path = f'{name_of("log")}/compose'
  assert ask('POST', path, body, ifGenerationMatch=generation)[0] == 200
  assert ask('POST', path, body, ifGenerationMatch=generation)[0] == 412
  assert ask('GET', name_of('log'), alt='media')[2] == b'one two'
  _, _, resource = ask('GET', name_of('log'))
  assert 'md5Hash' not in json.loads(resource)


def test_what_is_not_there_is_not_found(ask):
  for path in (name_of('nothing'), '/storage/v1/b/no-such-bucket'):
    status, _, body = ask('GET', path)
    assert status == 404
    assert json.loads(body)['error']['code'] == 404


def test_faults_befall_the_requests_they_name_and_no_others(server, ask, put):
  put('a', b'0123456789')
  put('b')
  server.fail('GET .*/o/a', status=429, skip=1, headers={'Retry-After': '7'})
  assert ask('GET', name_of('b'))[0] == 200
  assert ask('GET', name_of('a'))[0] == 200
  status, headers, _ = ask('GET', name_of('a'))
  assert (status, headers['Retry-After']) == (429, '7')
  assert ask('GET', name_of('a'))[0] == 200
  for kind, error in (
    ('reset', ConnectionResetError),
    ('truncated', http.client.IncompleteRead),
  ):
    server.fail('alt=media', kind)
    with pytest.raises(error):
      ask('GET', name_of('a'), alt='media')
  server.fail('alt=media', 'short')
  assert ask('GET', name_of('a'), alt='media')[2] == b'01234'
  server.fail('alt=media', 'garbled')
  assert ask('GET', name_of('a'), alt='media')[2] == b'1123456789'
  server.fail('GET .*/o[?]', 'stale')
  put('c')
  for names in (['a', 'b'], ['a', 'b', 'c']):
    _, _, body = ask('GET', _OBJECTS, prefix='')
    assert [i['name'] for i in json.loads(body)['items']] == names


def test_an_upload_whose_answer_is_lost_has_happened(server, ask, put):
  server.fail('POST', 'reset')
  with pytest.raises(ConnectionResetError):
    put('a')
  assert ask('GET', name_of('a'))[0] == 200


_ORBAX = """
import sys

import jax
from msm_jax import storage  # Its file system is Orbax's too.
import numpy as np
import orbax.checkpoint as ocp

place = sys.argv[1]
mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(4), 'x')

def over(*axes):
  spec = jax.sharding.PartitionSpec(*axes)
  return jax.sharding.NamedSharding(mesh, spec)

values = np.arange(64 * 128, dtype=np.float32).reshape(64, 128)
options = ocp.CheckpointManagerOptions(max_to_keep=2)
with ocp.CheckpointManager(place, options=options) as manager:
  for step in range(3):
    x = jax.device_put(values + step, over('x'))
    manager.save(step, args=ocp.args.StandardSave({'x': x}))
  manager.wait_until_finished()
with ocp.CheckpointManager(place) as manager:
  assert list(manager.all_steps()) == [1, 2]
  abstract = jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=over(None, 'x'))
  args = ocp.args.StandardRestore({'x': abstract})
  restored = manager.restore(2, args=args)['x']
assert restored.sharding == over(None, 'x')
np.testing.assert_array_equal(np.asarray(restored), values + 2)
"""


@pytest.mark.slow
@pytest.mark.parametrize('disturbed', [False, True])
def test_orbax_saves_there_and_restores_onto_another_sharding(
  server, disturbed
):
  if disturbed:
    for skip, kind in ((5, 'status'), (20, 'reset'), (35, 'truncated')):
      server.fail('POST', kind, skip=skip, times=2)
      server.fail('alt=media', kind, skip=skip // 5, times=2)
  done = subprocess.run(
    [sys.executable, '-c', _ORBAX, f'gs://{gcs.BUCKET}/run/checkpoints'],
    cwd=pathlib.Path(__file__).parent.parent,
    env={
      **server.environment,
      'XLA_FLAGS': '--xla_force_host_platform_device_count=4',
    },
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-3000:]
