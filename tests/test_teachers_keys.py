"""API keys come from the environment and go nowhere but into a header."""

import asyncio
import dataclasses
import io
import logging
import traceback

import openai
import pytest
import teacher_process

from data_gen import teachers
from data_gen.teachers import keys
from data_gen.teachers import openai_compatible
from msm_jax import schema

KEY = 'sk-test-0123456789+/abcdef=='
NAME = 'A_TEACHERS_KEY'
REQUEST = teachers.Request(
  'stand-in',
  (teachers.Message('user', 'Write about bees.'),),
  teachers.Sampling(max_tokens=2000),
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
  monkeypatch.setenv(NAME, KEY)
  monkeypatch.delenv('OPENAI_API_KEY', raising=False)


@pytest.fixture
def said():
  """Everything that any library logs, as loud as it can."""
  stream = io.StringIO()
  handler = logging.StreamHandler(stream)
  root = logging.getLogger()
  level = root.level
  root.addHandler(handler)
  root.setLevel(logging.DEBUG)
  yield stream
  root.removeHandler(handler)
  root.setLevel(level)


def config(url, **more):
  fields = {
    'kind': 'openai',
    'model': 'stand-in',
    'base_url': url,
    'api_key_env': NAME,
    'max_attempts': 2,
    'backoff': 0.01,
  }
  return teachers.TeacherConfig(**{**fields, **more})


def everything_about(error):
  """All that a report, a log or a debugger could show of an error."""
  shown = traceback.format_exception(error)
  seen = set()
  while error is not None and id(error) not in seen:
    seen.add(id(error))
    shown += [str(error), repr(error), repr(error.args), repr(vars(error))]
    error = error.__cause__ or error.__context__
  return '\n'.join(shown)


def files(folder):
  return b''.join(p.read_bytes() for p in folder.iterdir() if p.is_file())


def test_the_key_reaches_the_server_and_nothing_else(tmp_path, said):
  folder = tmp_path / 'client'

  async def main(url):
    async with teachers.open_session(config(url), folder / 'store.db') as s:
      told = await s.ask(REQUEST)
      return told, files(folder), repr(s.usage)

  # The server answers 401 to any other key.
  with teacher_process.serving(tmp_path, key=KEY) as server:
    told, stored, usage = asyncio.run(main(server.url))
  assert told.finish == teachers.Finish.STOP
  assert b'Write about bees.' in stored
  assert KEY.encode() not in stored
  assert KEY not in usage
  assert KEY not in said.getvalue()
  assert KEY not in repr(dataclasses.asdict(config(server.url)))


@pytest.mark.parametrize('fault', ['400', '401', '403', '429', '500'])
def test_a_server_that_repeats_the_key_does_not_spread_it(
  tmp_path, said, fault
):
  """The server quotes the Authorization header in its error."""
  folder = tmp_path / 'client'

  async def main(url):
    made = config(url, max_attempts=1)
    teacher = openai_compatible.OpenAICompatibleTeacher(made)
    with pytest.raises(teachers.TeacherError) as direct:
      await teacher.answer(REQUEST)
    await teacher.close()
    async with teachers.open_session(
      dataclasses.replace(made, max_attempts=2), folder / 'store.db'
    ) as session:
      session._limits = dataclasses.replace(session._limits, max_throttled=2)
      with pytest.raises(teachers.TeacherFailedError) as failed:
        await session.ask(REQUEST)
      return direct.value, failed.value, files(folder)

  with teacher_process.serving(
    tmp_path, key=KEY, echo_key=True, scripts={'bees': [fault] * 9}
  ) as server:
    direct, failed, stored = asyncio.run(main(server.url))
  for text in (
    everything_about(direct),
    everything_about(failed),
    said.getvalue(),
    stored.decode(errors='replace'),
  ):
    assert KEY not in text
    assert KEY[:8] not in text  # Some quote it in parts.
  assert fault in str(failed)


def test_a_key_in_an_answer_is_not_kept(tmp_path):
  async def main(url):
    async with teachers.open_session(config(url), tmp_path / 'db') as session:
      return await session.ask(REQUEST)

  with teacher_process.serving(tmp_path, key=KEY, echo_key=True) as server:
    answer = asyncio.run(main(server.url))
  assert answer.text.endswith('My key is [key]')
  for path in tmp_path.glob('db*'):
    assert KEY.encode() not in path.read_bytes()
  content = f'{{"a": "{KEY} \xe9"}}'.encode() + b'\xff'
  expected = '{"a": "[key] \xe9"}'.encode() + b'\xff'
  assert keys.redact_bytes(content, KEY) == expected


@pytest.mark.parametrize('stream', [False, True], ids=['whole', 'stream'])
@pytest.mark.parametrize(
  'raised',
  [
    lambda: openai.OpenAIError(f'oh: {KEY}'),
    lambda: ValueError(f'Illegal header value: Bearer {KEY}'),
    lambda: TypeError(f'no {KEY}'),
    lambda: RuntimeError(f'loop {KEY}'),
    lambda: OSError(f'socket {KEY}'),
  ],
)
def test_an_exception_that_quotes_the_key_does_not_get_out(
  monkeypatch, stream, raised
):
  teacher = openai_compatible.OpenAICompatibleTeacher(
    config('http://127.0.0.1:9/v1', extra={'stream': stream})
  )

  async def fail(*args, **kwargs):
    raise raised() from ValueError(f'deeper {KEY}')

  monkeypatch.setattr(teacher._client._client, 'send', fail)

  async def main():
    try:
      await teacher.answer(REQUEST)
    finally:
      await teacher.close()

  with pytest.raises(teachers.TeacherError) as e:
    asyncio.run(main())
  assert KEY not in everything_about(e.value)


@pytest.mark.parametrize('value', [None, '', '  \n'])
def test_a_missing_key_is_an_error_before_any_work(
  tmp_path, monkeypatch, value
):
  if value is None:
    monkeypatch.delenv(NAME)
  else:
    monkeypatch.setenv(NAME, value)
  with pytest.raises(schema.ConfigError, match=rf'api_key_env.*{NAME}'):
    teachers.open_session(config('http://127.0.0.1:9/v1'), tmp_path / 'x.db')
  assert not (tmp_path / 'x.db').exists()


@pytest.mark.parametrize('value', ['sk two words', 'sk-naïve', 'sk-\x07'])
def test_a_key_that_no_header_can_carry_is_refused_unquoted(monkeypatch, value):
  monkeypatch.setenv(NAME, value)
  with pytest.raises(schema.ConfigError) as e:
    keys.read_key(NAME)
  assert value not in str(e.value)


def test_white_space_around_a_key_is_no_part_of_it(monkeypatch):
  monkeypatch.setenv(NAME, f' {KEY}\n')
  assert keys.read_key(NAME) == KEY


def test_a_key_is_found_however_it_is_written():
  quoted = 'sk-test-0123456789%2B%2Fabcdef%3D%3D'
  assert keys.redact(f'a {KEY} b {quoted} c', KEY) == 'a [key] b [key] c'
  assert keys.redact('nothing', None) == 'nothing'


def test_a_url_with_a_password_or_a_query_is_refused_unquoted():
  for url in (
    f'https://user:{KEY}@example.org/v1',
    f'https://example.org/v1?key={KEY}',
  ):
    with pytest.raises(ValueError, match='base_url') as e:
      config(url)
    assert KEY not in str(e.value)
