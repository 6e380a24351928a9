"""Free fields of a request hold no secrets: they are stored and published."""

import asyncio
import json

import pipeline_process
import pytest
import teacher_process

from data_gen import teachers
from data_gen.pipeline import config as config_lib
from data_gen.pipeline.parts import StepConfig
from data_gen.teachers import credentials
from msm_jax import schema

SECRET = 'hunter2-0123456789abcdef'

SECRETS = """
  key api_key apiKey APIKEY API_KEY x-api-key X-Api-Key x-goog-api-key xapikey
  OPENAIKEY openai_api_key private_key privateKey Ocp-Apim-Subscription-Key
  token access_token accessToken ACCESSTOKEN AUTH_TOKEN authToken hf_token
  session_token refresh_token id_token token_value access_tokens
  Authorization authorization proxy-authorization auth bearer Bearer
  secret client_secret SECRET password Passwd passphrase pwd
  cookie Cookie Set-Cookie credentials jwt
"""
HARMLESS = """
  max_tokens max_completion_tokens maxOutputTokens min_tokens tokens
  logit_bias logprobs prompt_logprobs token_ids stop_token_ids stopTokenIds
  allowed_token_ids eos_token_id eos_token pad_token tokenizer token_limit
  thinking_token_budget thinkingBudget skip_special_tokens
  add_special_tokens return_tokens_as_token_ids truncate_prompt_tokens
  per_token_logprobs prompt_cache_key keep_alive keywords top_k topK stop
  reasoning_effort response_format chat_template_kwargs safetySettings
  authors authority secretary monkey turkey sample_header stream omit seed
"""


@pytest.mark.parametrize('name', SECRETS.split())
def test_names_of_credentials_are_known_however_they_are_written(name):
  assert credentials.sounds_secret(name)


@pytest.mark.parametrize('name', HARMLESS.split())
def test_ordinary_fields_are_none(name):
  assert not credentials.sounds_secret(name)


NESTED = [
  ({'api_key': SECRET}, 'extra.api_key'),
  ({'headers': {'Authorization': SECRET}}, 'extra.headers.Authorization'),
  (
    {'httpOptions': {'headers': [{'name': 'Cookie', 'value': SECRET}]}},
    'extra.httpOptions.headers[0].Cookie',
  ),
  ({'extra_headers': [['X-Api-Key', SECRET]]}, 'extra.extra_headers[0].X-Api-'),
  ({'headers': [f'X-Auth-Token: {SECRET}']}, 'extra.headers[0].X-Auth-Token'),
  ({'provider': {'order': [{'token': SECRET}]}}, 'extra.provider.order[0].to'),
  ({'via': f'Bearer {SECRET}'}, 'extra.via'),
  ({'proxy': {'user': f'basic {SECRET}'}}, 'extra.proxy.user'),
]


@pytest.mark.parametrize(('extra', 'field'), NESTED)
@pytest.mark.parametrize(
  'make',
  [
    lambda extra: StepConfig(100, extra=extra),
    lambda extra: teachers.TeacherConfig('openai', 'm', extra=extra),
    lambda extra: teachers.Sampling(100, extra=extra),
  ],
  ids=['step', 'teacher', 'sampling'],
)
def test_a_secret_is_refused_wherever_it_stands_and_never_quoted(
  make, extra, field
):
  with pytest.raises(schema.ConfigError) as e:
    make(extra)
  said = str(e.value)
  assert field in said
  assert SECRET not in said
  assert 'keys come from the environment' in said
  assert 'api_key_env' in said


@pytest.mark.parametrize(
  'extra',
  [
    {'stop': ['Key:', 'token']},
    {'stop': ['password: x', 'y']},
    {'logit_bias': {'50256': -100}, 'max_tokens_per_document': 4},
    {'chat_template_kwargs': {'enable_thinking': False, 'eos_token': '</s>'}},
    {'guided_choice': ['bearer of news', 'basic idea', 'Basic understanding']},
    {'headers': {'X-Request-Class': 'batch'}},
  ],
)
def test_what_only_resembles_a_secret_may_be_sent(extra):
  assert StepConfig(100, extra=extra).sampling.extra == extra


def test_the_key_of_the_config_is_named():
  raw = {
    **pipeline_process.CONFIG,
    'teacher': {'kind': 'offline', 'model': 'grammar'},
    'documents': {'draft': {'max_tokens': 9, 'extra': {'auth': SECRET}}},
  }
  with pytest.raises(
    schema.ConfigError, match=r'config\.documents\.draft: extra\.auth: looks'
  ) as e:
    config_lib.load(raw)
  assert SECRET not in str(e.value)


def test_a_run_with_a_secret_in_extra_asks_nothing_and_writes_nothing(tmp_path):
  few = {
    'plan': {
      **pipeline_process.CONFIG['plan'],
      'domains': 1,
      'genres': ('review',),
    },
    'chats': {},
    'controls': {},
  }
  with teacher_process.serving(tmp_path, texts='pipeline_texts') as server:

    def written(extra):
      step = {'max_tokens': 4000, 'extra': extra}
      documents = {**pipeline_process.CONFIG['documents'], 'draft': step}
      pipeline_process.config_file(
        tmp_path, server.url, **few, documents=documents
      )

    written({'headers': {'Authorization': f'Bearer {SECRET}'}})
    before = set(tmp_path.iterdir())
    done = pipeline_process.run(tmp_path)
    assert done.returncode == 1
    assert 'extra.headers.Authorization' in done.stderr
    assert 'environment' in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert set(tmp_path.iterdir()) == before
    assert not server.asked()


def test_harmless_fields_reach_the_server_and_the_store(tmp_path):
  extra = {'stop_token_ids': [1, 2], 'reasoning_effort': 'low'}
  request = teachers.Request(
    'stand-in',
    (teachers.Message('user', 'Write about bees.'),),
    teachers.Sampling(max_tokens=2000, extra=extra),
  )

  async def main(url):
    made = teachers.TeacherConfig(
      'openai', 'stand-in', base_url=url, api_key_env=None
    )
    async with teachers.open_session(made, tmp_path / 'store.db') as session:
      return await session.ask(request)

  with teacher_process.serving(tmp_path) as server:
    assert asyncio.run(main(server.url)).finish == teachers.Finish.STOP
    assert len(server.asked()) == 1
  store = teachers.Store(tmp_path / 'store.db')
  (stored,) = store.rows()
  store.close()
  assert json.loads(json.dumps(stored.request.sampling.extra)) == extra
