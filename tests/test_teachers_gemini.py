"""Gemini's `generateContent`, against a local server that speaks it."""

import asyncio
import dataclasses

import batch_server
import pytest

from data_gen.teachers import gemini_content
from data_gen.teachers import TeacherConfig
from data_gen.teachers import TeacherError
from data_gen.teachers.config import open_session
from data_gen.teachers.gemini import GeminiTeacher
from data_gen.teachers.gemini_batch import GeminiBatches
from data_gen.teachers.gemini_content import body
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import Message
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import Sampling
from msm_jax import schema


@pytest.fixture
def server(monkeypatch):
  monkeypatch.setenv('TEST_TEACHER_KEY', batch_server.KEY)
  with batch_server.running() as running:
    yield running


def config_of(url, kind='gemini', **more):
  return TeacherConfig(
    kind, 'm', base_url=url, api_key_env='TEST_TEACHER_KEY', **more
  )


def request(text, sample=0, **extra):
  messages = (
    Message('system', 'be brief'),
    Message('user', 'hello'),
    Message('assistant', 'hello, too'),
    Message('user', text),
  )
  sampling = Sampling(100, temperature=0.5, top_p=0.9, extra=extra)
  return Request('m', messages, sampling, sample)


def ask(url, *requests, **more):
  async def inside():
    teacher = GeminiTeacher(config_of(url, **more))
    try:
      return [await teacher.answer(r) for r in requests]
    finally:
      await teacher.close()

  return asyncio.run(inside())


def fails(server, text='a', **faults):
  server.control(faults={'http': faults})
  with pytest.raises(TeacherError) as e:
    ask(server.url, request(text))
  return e.value


def test_an_answer_with_its_tokens(server):
  (answer,) = ask(server.url, request('who are you?', sample=3))
  messages = ['be brief', 'hello', 'hello, too', 'who are you?']
  text = batch_server.reply(messages, 3)
  size = len(' '.join(messages))
  assert answer == Answer(text, Finish.STOP, size, len(text))


def test_what_is_sent_is_what_was_asked_for(server):
  asked = request('x', sample=7, thinkingConfig={'thinkingBudget': 9})
  asked = dataclasses.replace(
    asked,
    sampling=dataclasses.replace(
      asked.sampling,
      extra={
        **asked.sampling.extra,
        'safetySettings': [
          {
            'category': 'HARM_CATEGORY_HARASSMENT',
            'threshold': 'BLOCK_NONE',
          }
        ],
      },
    ),
  )
  ask(server.url, asked)
  (sent,) = [e['generate'] for e in server.log() if 'generate' in e]
  # What a batch would be sent, in JSON, is the same as the client makes of it.
  expected = body(asked)
  assert sent['contents'] == expected['contents']
  assert [c['role'] for c in sent['contents']] == ['user', 'model', 'user']
  assert sent['systemInstruction']['parts'] == [{'text': 'be brief'}]
  # Both spellings are JSON for one field:
  # https://protobuf.dev/programming-guides/json.
  (thinking,) = sent['generationConfig'].pop('thinkingConfig').values()
  wanted = expected['generationConfig']
  assert wanted.pop('thinkingConfig') == {'thinkingBudget': thinking}
  assert sent['generationConfig'] == wanted
  assert wanted == {
    'maxOutputTokens': 100,
    'temperature': 0.5,
    'topP': 0.9,
    'seed': 7,
  }
  assert sent['safetySettings'] == expected['safetySettings']


@pytest.mark.parametrize(
  ('reason', 'finish'),
  [
    ('STOP', Finish.STOP),
    ('MAX_TOKENS', Finish.LENGTH),
    ('SAFETY', Finish.REFUSAL),
    ('PROHIBITED_CONTENT', Finish.REFUSAL),
    ('RECITATION', Finish.REFUSAL),
    ('BLOCKLIST', Finish.REFUSAL),
    ('SPII', Finish.REFUSAL),
  ],
)
def test_finish_reasons(reason, finish, server):
  (answer,) = ask(server.url, request(f'special: {reason}'))
  assert answer.finish is finish


def test_a_prompt_that_is_blocked_is_a_refusal_counted_or_not():
  blocked = {'promptFeedback': {'blockReason': 'SAFETY'}}
  counted = {**blocked, 'usageMetadata': {'promptTokenCount': 9}}
  assert gemini_content.answer(blocked) == Answer('', Finish.REFUSAL, 0, 0)
  assert gemini_content.answer(counted) == Answer('', Finish.REFUSAL, 9, 0)
  with pytest.raises(TeacherError, match='candidates'):
    gemini_content.answer({'usageMetadata': {'promptTokenCount': 9}})


@pytest.mark.parametrize('reason', ['OTHER', 'MALFORMED_RESPONSE'])
def test_a_failure_of_the_model_is_worth_another_attempt(reason, server):
  with pytest.raises(TeacherError, match=reason) as e:
    ask(server.url, request(f'special: {reason}'))
  assert e.value.retryable and e.value.maybe_charged


def test_a_blocked_prompt_is_a_refusal(server):
  (answer,) = ask(server.url, request('special: blocked'))
  assert (answer.finish, answer.text) == (Finish.REFUSAL, '')


def test_thoughts_that_eat_the_budget_leave_an_empty_answer(server):
  (answer,) = ask(server.url, request('special: thoughts'))
  assert answer.finish is Finish.EMPTY
  assert (answer.completion_tokens, answer.reasoning_tokens) == (40, 40)


def test_thoughts_are_no_part_of_the_text(server):
  (answer,) = ask(server.url, request('special: thinking'))
  assert answer.reasoning == 'let me see'
  assert answer.text.startswith('answer ')
  assert answer.reasoning_tokens == 7
  assert answer.completion_tokens == len(answer.text) + 7


@pytest.mark.parametrize(
  ('status', 'retryable', 'throttled'),
  [
    (429, True, True),
    (503, True, True),
    (500, True, False),
    (504, True, False),
    (400, False, False),
    (404, False, False),
  ],
)
def test_which_errors_are_worth_another_attempt(
  status, retryable, throttled, server
):
  error = fails(server, generate=[status])
  assert (error.retryable, error.throttled) == (retryable, throttled)
  assert str(status) in str(error)
  # One attempt is one attempt: the client's own retries are off.
  assert len([e for e in server.log() if 'fault' in e]) == 1


def test_the_server_says_how_long_to_wait(server):
  planned = [429, 'retry info']
  assert fails(server, generate=planned).retry_after == 0.01
  assert fails(server, generate=planned).retry_after == 34.5


def test_a_connection_that_breaks_off_may_have_been_charged(server):
  error = fails(server, generate=['cut'])
  assert error.retryable and error.maybe_charged


def test_a_server_that_is_not_there_has_charged_nothing(monkeypatch):
  monkeypatch.setenv('TEST_TEACHER_KEY', 'k')
  with pytest.raises(TeacherError, match='no connection') as e:
    ask('http://127.0.0.1:9', request('a'))
  assert e.value.retryable and not e.value.maybe_charged


def test_the_key_is_in_no_error(server, monkeypatch):
  wrong = 'AIza-this-one-is-secret'
  monkeypatch.setenv('TEST_TEACHER_KEY', wrong)
  with pytest.raises(TeacherError, match='TEST_TEACHER_KEY') as e:
    ask(server.url, request('a'))
  assert not e.value.retryable
  error: BaseException | None = e.value
  while error is not None:
    assert wrong not in f'{error} {error!r} {error.args}'
    error = error.__cause__ or error.__context__


def test_a_key_that_the_server_quotes_is_left_out(server):
  error = fails(server, generate=['echo'])
  assert batch_server.KEY not in f'{error} {error!r} {error.args}'
  assert 'bad key [key]' in str(error)


def test_other_keys_in_the_environment_are_not_sent(server, monkeypatch):
  monkeypatch.setenv('GOOGLE_API_KEY', 'another')
  monkeypatch.setenv('GOOGLE_GENAI_USE_VERTEXAI', 'true')
  assert ask(server.url, request('a'))[0].finish is Finish.STOP


def test_a_missing_key_is_named(monkeypatch):
  monkeypatch.delenv('GEMINI_API_KEY', raising=False)
  with pytest.raises(schema.ConfigError, match='GEMINI_API_KEY'):
    GeminiTeacher(TeacherConfig('gemini', 'm'))


def test_settings_that_do_not_exist_are_refused(monkeypatch):
  monkeypatch.setenv('TEST_TEACHER_KEY', 'k')
  with pytest.raises(schema.ConfigError, match=r'sampling\.extra'):
    GeminiTeacher(config_of('http://localhost', extra={'stream': True}))


def test_fields_that_are_set_already_are_refused():
  with pytest.raises(TeacherError, match='seed: this field is not free'):
    body(request('a', seed=3))


@pytest.mark.parametrize(
  ('extra', 'said'),
  [
    ({'thinkingConfig': 'sk-123'}, 'thinkingConfig: Input should be a valid'),
    ({'thinkingConfg': {'a': 'sk-123'}}, 'thinkingConfg: Extra inputs are not'),
    (
      {'thinkingConfig': {'thinkingBudget': 'sk-123'}},
      'thinkingConfig.thinkingBudget: Input should be a valid integer',
    ),
  ],
)
def test_a_field_that_the_interface_does_not_have_is_named_and_not_sent(
  server, extra, said
):
  wrong = request('a', **extra)
  teacher = GeminiTeacher(config_of(server.url))
  batches = GeminiBatches(config_of(server.url, kind='gemini_batch'))

  async def answered():
    await teacher.answer(wrong)

  for refused in (
    lambda: teacher.check(wrong),
    lambda: batches.line(wrong),
    lambda: asyncio.run(answered()),
  ):
    with pytest.raises(TeacherError) as e:
      refused()
    assert str(e.value).startswith(f'sampling.extra: {said}')
    assert '123' not in f'{e.value!r}'
    assert not e.value.retryable and not e.value.maybe_charged
  assert not server.log()
  teacher.check(request('a', thinkingConfig={'thinkingBudget': 1}))


def test_a_session_gets_through_its_faults(server, tmp_path):
  faults = {'http': {'generate': [429, 500, 'cut', 503]}}
  server.control(faults=faults)

  async def inside():
    config = config_of(server.url, backoff=0.01)
    async with open_session(config, tmp_path / 's.sqlite') as session:
      asked = [request(f'question {k}') for k in range(20)]
      return await asyncio.gather(*map(session.ask, asked))

  answers = asyncio.run(inside())
  messages = ['be brief', 'hello', 'hello, too']
  assert [a.text for a in answers] == [
    batch_server.reply([*messages, f'question {k}'], 0) for k in range(20)
  ]
  asked = [e for e in server.log() if 'generate' in e]
  assert len(asked) == 20
