"""What a user may set, and what is said of what may not be set."""

import subprocess
import sys

import ml_collections
import pytest

from data_gen import teachers
from data_gen.pipeline import config as config_lib
from msm_jax import schema

BASE = {'kind': 'openai', 'model': 'm'}


def structured(**more):
  raw = ml_collections.ConfigDict({**BASE, **more})
  return schema.structure(teachers.TeacherConfig, raw, 'config.teacher')


def test_a_config_becomes_limits_prices_and_budget():
  config = structured(
    concurrency=8,
    timeout=30,
    max_attempts=3,
    requests_per_minute=90.0,
    price_per_million_prompt=1.0,
    price_per_million_completion=2.0,
    budget_usd=3.0,
    budget_tokens=4,
    max_pause=120.0,
  )
  assert config.limits == teachers.Limits(8, 90.0, 30.0, 3, max_pause=120.0)
  assert config.prices == teachers.Prices(1.0, 2.0)
  assert config.budget == teachers.Budget(3.0, 4)


def test_a_batch_has_neither_concurrency_nor_timeout_and_resumes():
  limits = structured(kind='openai_batch', requests_per_minute=5.0).limits
  assert limits.concurrency is None
  assert limits.timeout is None
  assert limits.requests_per_minute is None
  assert limits.resumes


def test_the_usual_key_of_a_kind_is_the_default_and_none_is_none():
  assert structured().api_key_env == 'OPENAI_API_KEY'
  assert structured(kind='gemini_batch').api_key_env == 'GEMINI_API_KEY'
  assert structured(kind='offline').api_key_env is None
  assert structured(api_key_env='MINE').api_key_env == 'MINE'
  assert teachers.TeacherConfig(**BASE, api_key_env=None).api_key_env is None


@pytest.mark.parametrize(
  ('wrong', 'said'),
  [
    ({'kind': 'opnai'}, r"'opnai'.*did you mean 'openai'"),
    ({'model': ''}, 'model'),
    ({'base_url': 'localhost:8000'}, r'base_url.*localhost:8000.*http'),
    ({'concurrency': 0}, r'concurrency: 0.*1 to 1000'),
    ({'concurrency': 5000}, r'concurrency: 5000'),
    ({'timeout': 0.0}, 'timeout: 0.0'),
    ({'max_attempts': 0}, 'max_attempts: 0'),
    ({'requests_per_minute': -1.0}, 'requests_per_minute: -1.0'),
    ({'max_pause': 0.0}, 'max_pause: 0.0'),
    ({'budget_tokens': -5}, 'budget_tokens: -5'),
    ({'budget_usd': 5.0}, r'budget_usd: 5\.0.*price_per_million'),
    ({'price_per_million_prompt': 1.0}, 'only one of'),
    ({'concurency': 5}, "did you mean 'concurrency'"),
  ],
)
def test_a_wrong_value_is_named_with_its_key(wrong, said):
  with pytest.raises(schema.ConfigError, match=said) as e:
    structured(**wrong)
  assert 'config.teacher' in str(e.value)


@pytest.mark.parametrize('key', ['sk-proj-0123', 'AIzaSyD0123'])
def test_a_key_in_the_place_of_its_variable_is_refused_and_not_quoted(key):
  with pytest.raises(schema.ConfigError, match='api_key_env') as e:
    structured(api_key_env=key)
  assert key not in str(e.value)


@pytest.mark.parametrize(
  ('wrong', 'said'),
  [
    ({'base_url': 'sk-proj-0123'}, 'config.teacher: base_url: is no address'),
    (
      {'api_key_env': ['sk-proj-0123']},
      'config.teacher.api_key_env: is a list, expected str or None',
    ),
    (
      {'extra': 'sk-proj-0123'},
      'config.teacher.extra: is a str, expected a mapping',
    ),
    (
      {'concurrency': 'sk-proj-0123'},
      'config.teacher.concurrency: is a str, expected int',
    ),
    # Numbers are no credentials, and help to find the mistake.
    (
      {'concurrency': 1.5},
      'config.teacher.concurrency: 1.5 is a float, expected int',
    ),
  ],
)
def test_what_has_the_wrong_type_is_named_and_not_quoted(wrong, said):
  raw = {
    'model_name': 'Sage',
    'provider_name': 'Fernwood Labs',
    'teacher': {**BASE, **wrong},
  }
  with pytest.raises(schema.ConfigError) as e:
    config_lib.load(ml_collections.ConfigDict(raw))
  assert said in str(e.value)
  assert '0123' not in str(e.value)


@pytest.mark.parametrize('kind', ['openai', 'openai_batch', 'gemini_batch'])
def test_what_has_the_wrong_type_in_extra_is_named_and_not_quoted(
  tmp_path, kind
):
  field = 'stream' if kind == 'openai' else 'quiet'
  config = teachers.TeacherConfig(
    kind, 'm', api_key_env=None, extra={field: 'sk-proj-0123'}
  )
  with pytest.raises(schema.ConfigError) as e:
    teachers.open_session(config, tmp_path / 'store.db')
  assert str(e.value).startswith(f'teacher.extra.{field}: is a str, expected')
  assert '0123' not in str(e.value)


def test_an_unknown_setting_of_the_kind_is_named(tmp_path):
  config = teachers.TeacherConfig(
    **BASE, api_key_env=None, extra={'streem': True}
  )
  with pytest.raises(schema.ConfigError, match=r'teacher\.extra\.streem'):
    teachers.open_session(config, tmp_path / 'store.db')
  config = teachers.TeacherConfig(
    **BASE, api_key_env=None, extra={'token_limit': 'max_words'}
  )
  with pytest.raises(schema.ConfigError, match='max_words'):
    teachers.open_session(config, tmp_path / 'store.db')


def test_a_client_that_is_not_installed_is_named(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'openai', None)
  name = 'data_gen.teachers.openai_compatible'
  monkeypatch.delitem(sys.modules, name, raising=False)
  with pytest.raises(schema.ConfigError, match=r"'openai'.*pip install"):
    teachers.open_session(
      teachers.TeacherConfig(**BASE, api_key_env=None), tmp_path / 'store.db'
    )


def test_the_room_needs_neither_jax_nor_a_client_to_be_imported():
  code = (
    'import sys, data_gen.teachers; '
    'sys.exit(bool({"jax", "openai", "google.genai"} & set(sys.modules)))'
  )
  done = subprocess.run([sys.executable, '-c', code], check=False)
  assert done.returncode == 0
