"""Against a real server: what goes over the wire, and every way it can fail."""

import asyncio
import collections
import email.utils
import time

import aiohttp.web
import pytest
import teacher_client
import teacher_process
import teacher_texts

from data_gen import teachers
from data_gen.teachers import openai_compatible
from data_gen.teachers import prices

MESSAGES = (teachers.Message('user', 'Write about bees.'),)
STREAM = pytest.mark.parametrize(
  'stream', [False, True], ids=['whole', 'stream']
)
KEY = 'sk-test-0123456789abcdef'
Seen = collections.namedtuple('Seen', 'headers body')


def config(url, *, stream=False, **more):
  fields = {
    'kind': 'openai',
    'model': 'stand-in',
    'base_url': url,
    'api_key_env': None,
    'timeout': 5.0,
    'max_attempts': 3,
    'backoff': 0.01,
    'extra': {'stream': stream},
  }
  return teachers.TeacherConfig(**{**fields, **more})


def about(text='bees', max_tokens=2000, sample=0, extra=None):
  return teachers.Request(
    'stand-in',
    (teachers.Message('user', f'Write about {text}.'),),
    teachers.Sampling(max_tokens, 0.5, 0.75, extra or {}),
    sample=sample,
  )


def ask(teacher_config, *requests, path=None):
  """Returns answers or errors, and the usage; without a path, no session."""

  async def alone():
    teacher = openai_compatible.OpenAICompatibleTeacher(teacher_config)
    try:
      return await asyncio.gather(
        *map(teacher.answer, requests), return_exceptions=True
      )
    finally:
      await teacher.close()

  async def whole():
    async with teachers.open_session(teacher_config, path) as session:
      told = await asyncio.gather(
        *map(session.ask, requests), return_exceptions=True
      )
      return told, session.usage

  return asyncio.run(alone() if path is None else whole())


@STREAM
def test_an_answer_is_text_finish_and_tokens(tmp_path, stream):
  with teacher_process.serving(tmp_path) as server:
    one, two = ask(
      config(server.url, stream=stream), about(sample=0), about(sample=1)
    )
    (payload, _), *_ = server.asked()
  said = [('user', 'Write about bees.')]
  assert one.text == teacher_texts.answer(said, (payload, 0))
  assert two.text == teacher_texts.answer(said, (payload, 1))
  assert one.finish == teachers.Finish.STOP
  assert (one.prompt_tokens, one.reasoning_tokens) == (3, 0)
  assert one.completion_tokens == len(one.text.split(' '))


@pytest.fixture
def recorder():
  """Runs a client against a server in this process that keeps what it sees."""

  def run(make_config, request, reply=None):
    seen = []

    async def complete(got):
      seen.append(Seen(got.headers, await got.json()))
      if reply is not None:
        return reply()
      return aiohttp.web.json_response(
        {
          'choices': [
            {
              'index': 0,
              'message': {'role': 'assistant', 'content': 'Yes.'},
              'finish_reason': 'stop',
            }
          ],
          'usage': {
            'prompt_tokens': 5,
            'completion_tokens': 2,
            'total_tokens': 10,
          },
        }
      )

    async def main():
      app = aiohttp.web.Application()
      app.router.add_post('/v1/chat/completions', complete)
      runner = aiohttp.web.AppRunner(app)
      await runner.setup()
      await aiohttp.web.TCPSite(runner, '127.0.0.1', 0).start()
      url = f'http://127.0.0.1:{runner.addresses[0][1]}/v1'
      teacher = openai_compatible.OpenAICompatibleTeacher(make_config(url))
      try:
        return await teacher.answer(request), seen
      except teachers.TeacherError as e:
        return e, seen
      finally:
        await teacher.close()
        await runner.cleanup()

    return asyncio.run(main())

  return run


def test_the_body_is_what_the_request_says(recorder):
  request = teachers.Request(
    'a/model',
    (teachers.Message('system', 'Be {kind}.'), *MESSAGES),
    teachers.Sampling(123, 0.5, 0.75, {'reasoning_effort': 'low', 'top_k': 9}),
    sample=7,
  )
  _, seen = recorder(config, request)
  assert seen[0].body == {
    'model': 'a/model',
    'messages': [
      {'role': 'system', 'content': 'Be {kind}.'},
      {'role': 'user', 'content': 'Write about bees.'},
    ],
    'max_tokens': 123,
    'temperature': 0.5,
    'top_p': 0.75,
    'seed': 7,
    'reasoning_effort': 'low',
    'top_k': 9,
  }
  assert seen[0].headers['X-Sample-Index'] == '7'


def test_fields_that_a_server_refuses_can_be_left_out(recorder):
  extra = {
    'omit': ('seed', 'top_p'),
    'sample_header': None,
    'token_limit': 'max_completion_tokens',
  }
  _, seen = recorder(lambda url: config(url, extra=extra), about())
  assert set(seen[0].body) == {
    *('model', 'messages', 'max_completion_tokens', 'temperature')
  }
  assert 'X-Sample-Index' not in seen[0].headers


def test_a_free_field_cannot_change_what_is_asked(recorder):
  error, seen = recorder(config, about(extra={'n': 3}))
  assert not error.retryable
  assert 'sampling.extra.n' in str(error)
  assert seen == []


def test_openais_key_is_not_sent_to_a_server_that_wants_none(
  recorder, monkeypatch
):
  monkeypatch.setenv('OPENAI_API_KEY', KEY)
  monkeypatch.setenv('OPENAI_ADMIN_KEY', KEY)
  _, seen = recorder(config, about())
  assert KEY not in str(dict(seen[0].headers))


def test_reasoning_that_is_billed_but_not_counted_is_counted(recorder):
  told, _ = recorder(config, about())
  # The server counts 5 + 2 = 10.
  assert told.completion_tokens == 5


def test_a_server_that_counts_no_tokens_is_an_error(recorder):
  message = {'role': 'assistant', 'content': 'Yes.'}
  body = {'choices': [{'message': message, 'finish_reason': 'stop'}]}
  error, _ = recorder(config, about(), lambda: aiohttp.web.json_response(body))
  assert 'usage' in str(error)


RETRYABLE = {
  '408': '408',
  '409': '409',
  '429': '429: Rate limit reached',
  '500': '500: The server had an error',
  '502': '502: <html>',
  '503': '503: The engine is currently overloaded',
  'reset': 'no connection',
  'cut': 'no connection',
  'no_finish': 'finish_reason',
  'invalid_json': 'the server answered with',
  'error_200': 'Upstream failed',
}
CHARGED = {'reset', 'cut', 'no_finish', 'invalid_json', 'error_200'}


@STREAM
@pytest.mark.parametrize('fault', RETRYABLE)
def test_a_passing_failure_is_told_and_the_next_attempt_succeeds(
  tmp_path, fault, stream
):
  with teacher_process.serving(tmp_path, scripts={'bees': [fault] * 2}) as s:
    made = config(s.url, stream=stream)
    (error,) = ask(made, about())
    (told,), usage = ask(made, about(), path=tmp_path / 'store.db')
  assert isinstance(error, teachers.TeacherError)
  assert error.retryable
  assert RETRYABLE[fault] in str(error)
  assert error.throttled == (fault in ('429', '503'))
  assert error.maybe_charged == (fault in CHARGED)
  assert told.finish == teachers.Finish.STOP
  assert len(s.asked()) == 3
  assert usage.sent == 2
  assert usage.lost == (fault in CHARGED)


@STREAM
def test_a_connection_that_hangs_is_given_up_and_repeated(tmp_path, stream):
  scripts = {'bees': ['hang']}
  with teacher_process.serving(tmp_path, scripts=scripts) as server:
    made = config(server.url, stream=stream, timeout=0.5)
    (told,), usage = ask(made, about(), path=tmp_path / 'store.db')
  assert told.finish == teachers.Finish.STOP
  assert [a['outcome'] for a in server.log('asked')] == ['hang', 'ok']
  assert usage.lost == 1


@pytest.mark.parametrize(
  'fault', ['400', '401', '403', '404', 'insufficient_quota']
)
def test_what_no_attempt_can_mend_is_asked_once(tmp_path, fault):
  with teacher_process.serving(tmp_path, scripts={'bees': [fault] * 5}) as s:
    (error,), usage = ask(config(s.url), about(), path=tmp_path / 'store.db')
  assert isinstance(error, teachers.TeacherFailedError)
  assert error.attempts == 1
  assert len(s.asked()) == 1
  assert usage.lost == 0


def test_nobody_at_the_other_end_is_worth_another_attempt():
  (error,) = ask(config('http://127.0.0.1:9/v1'), about())
  assert error.retryable
  assert not error.maybe_charged


FINISH = {
  'refusal': teachers.Finish.REFUSAL,
  'content_filter': teachers.Finish.REFUSAL,
  'prompt_filter': teachers.Finish.REFUSAL,
  'length': teachers.Finish.LENGTH,
  'reasoning': teachers.Finish.EMPTY,
  'ok': teachers.Finish.STOP,
  'duplicate': teachers.Finish.STOP,
}


@STREAM
@pytest.mark.parametrize('field', ['reasoning', 'reasoning_content'])
def test_every_way_to_end_is_a_class_of_its_own(tmp_path, stream, field):
  scripts = {f'{name}s': [name] for name in FINISH}
  with teacher_process.serving(
    tmp_path, scripts=scripts, reasoning_field=field
  ) as server:
    told, usage = ask(
      config(server.url, stream=stream),
      *(about(f'{name}s') for name in FINISH),
      path=tmp_path / 'store.db',
    )
  assert [a.finish for a in told] == list(FINISH.values())
  refused, _, filtered, _, thought, *_ = told
  # Nobody counts the tokens of a prompt that is filtered.
  most = prices.most_tokens(about('prompt_filters'))
  assert prices.tokens_of(filtered) == prices.Tokens(most.prompt, 0)
  assert 'can’t help' in refused.text
  assert thought.text == ''
  assert thought.reasoning.startswith('First of all')
  assert thought.reasoning_tokens == 2000
  # These are answers: nothing was repeated, and all are kept.
  assert usage.sent == usage.answered == len(FINISH)


REFUSED_PROMPTS = {
  'Azure': {'code': 'content_filter'},
  'OpenAI': {'code': 'invalid_prompt', 'message': 'flagged'},
  'a gateway': {
    'code': '400',
    'provider_specific_fields': {
      'innererror': {'code': 'ResponsibleAIPolicyViolation'}
    },
  },
}
OTHER_ERRORS = {
  'of the field': {'code': None, 'param': 'seed', 'message': 'content_filter'},
  'of another shape': {'code': {'a': 1}, 'innererror': 'content_filter'},
  'of no shape': 'content_filter',
}


@pytest.mark.parametrize('server', [*REFUSED_PROMPTS, *OTHER_ERRORS])
def test_a_prompt_that_is_refused_is_an_answer_and_other_400s_are_not(
  recorder, server
):
  error = (REFUSED_PROMPTS | OTHER_ERRORS)[server]
  told, seen = recorder(
    config,
    about(),
    lambda: aiohttp.web.json_response({'error': error}, status=400),
  )
  assert len(seen) == 1
  if server in REFUSED_PROMPTS:
    assert told == teachers.Answer(
      error.get('message', ''), teachers.Finish.REFUSAL, 0, 0
    )
  else:
    assert isinstance(told, teachers.TeacherError)
    assert not told.retryable


def test_a_filter_that_breaks_down_is_a_failure_of_the_server(recorder):
  error = REFUSED_PROMPTS['Azure']
  told, _ = recorder(
    config,
    about(),
    lambda: aiohttp.web.json_response({'error': error}, status=500),
  )
  assert isinstance(told, teachers.TeacherError)
  assert told.retryable


def test_a_budget_that_is_too_small_cuts_the_answer(tmp_path):
  with teacher_process.serving(tmp_path) as server:
    (told,) = ask(config(server.url), about(max_tokens=20))
  assert told.finish == teachers.Finish.LENGTH
  assert told.completion_tokens == 20


def test_retry_after_is_seconds_a_date_or_milliseconds():
  parse = openai_compatible.retry_after
  assert parse({'retry-after': '7'}) == 7.0
  assert parse({'retry-after': '7', 'retry-after-ms': '250'}) == 0.25
  assert parse({}) is None
  assert parse({'retry-after': 'soon'}) is None
  assert parse({'retry-after': '-3'}) is None
  date = email.utils.formatdate(time.time() + 100, usegmt=True)
  assert 90 < parse({'retry-after': date}) <= 100
  past = email.utils.formatdate(time.time() - 100, usegmt=True)
  assert parse({'retry-after': past}) == 0.0


def test_the_servers_retry_after_reaches_the_session(tmp_path):
  scripts = {'bees': ['429']}
  with teacher_process.serving(
    tmp_path, scripts=scripts, retry_after=0.25
  ) as server:
    (error,) = ask(config(server.url), about())
  assert error.retry_after == 0.25


FAULTS = {
  '429': 0.04,
  '500': 0.04,
  '502': 0.02,
  '503': 0.02,
  'hang': 0.01,
  'reset': 0.03,
  'cut': 0.03,
  'no_finish': 0.03,
  'invalid_json': 0.03,
  'error_200': 0.02,
  'refusal': 0.03,
  'length': 0.05,
  'reasoning': 0.03,
  'content_filter': 0.02,
  'duplicate': 0.05,
}


@STREAM
def test_64_at_a_time_through_all_faults_get_every_answer_once(
  tmp_path, stream
):
  requests = teacher_client.requests(400)
  with teacher_process.serving(
    tmp_path, faults=FAULTS, retry_after=0.05, latency=0.1
  ) as server:
    made = config(
      server.url, stream=stream, timeout=4.0, max_attempts=20, concurrency=64
    )
    told, usage = ask(made, *requests, path=tmp_path / 'store.db')
    again, later = ask(made, *requests, path=tmp_path / 'store.db')
  assert all(isinstance(a, teachers.Answer) for a in told)
  assert again == told
  assert later.sent == 0
  log = server.log('asked')
  assert len(log) == usage.sent
  assert {line['outcome'] for line in log} == {*FAULTS, 'ok'}
  assert max(line['in_flight'] for line in log) <= 64
  answered = collections.Counter(server.answered())
  assert len(answered) == 400
  assert set(answered.values()) == {1}
  assert usage.answered == 400
  assert usage.throttled == sum(a['outcome'] in ('429', '503') for a in log)


def test_the_client_adapts_to_what_the_server_can_take(tmp_path):
  with teacher_process.serving(
    tmp_path, capacity=6, latency=0.05, retry_after=0.02
  ) as server:
    told, _ = ask(
      config(server.url, concurrency=64),
      *teacher_client.requests(400),
      path=tmp_path / 'store.db',
    )
  assert all(isinstance(a, teachers.Answer) for a in told)
  log = server.log('asked')
  second_half = log[len(log) // 2 :]
  refused = sum(a['outcome'] == '429' for a in second_half)
  # 58 of each 64 would be, without a limit that adapts.
  assert refused < 0.3 * len(second_half)


def test_connections_are_used_again(tmp_path):
  with teacher_process.serving(tmp_path) as server:
    told, _ = ask(
      config(server.url, concurrency=8),
      *teacher_client.requests(200),
      path=tmp_path / 'store.db',
    )
  assert len(told) == 200
  assert len({a['connection'] for a in server.log('asked')}) <= 16
