"""Which teacher, how hard it is asked, and what it may cost."""

import dataclasses
import importlib
import pathlib
import re
from typing import Any
import urllib.parse

from data_gen.teachers.budget import Budget
from data_gen.teachers.credentials import check_no_credentials
from data_gen.teachers.prices import Prices
from data_gen.teachers.protocol import Teacher
from data_gen.teachers.session import Limits
from data_gen.teachers.session import Session
from data_gen.teachers.store import Store
from msm_jax import schema

_ROOM = 'data_gen.teachers'
# Imported when they are needed: the clients are optional and slow to load.
_MAKERS = {
  'openai': (f'{_ROOM}.openai_compatible', 'OpenAICompatibleTeacher'),
  'gemini': (f'{_ROOM}.gemini', 'GeminiTeacher'),
  'openai_batch': (f'{_ROOM}.batch', 'open_batch_teacher'),
  'gemini_batch': (f'{_ROOM}.batch', 'open_batch_teacher'),
  'offline': (f'{_ROOM}.offline', 'OfflineTeacher'),
}
KINDS = tuple(_MAKERS)
_KEYS = {
  'openai': 'OPENAI_API_KEY',
  'openai_batch': 'OPENAI_API_KEY',
  'gemini': 'GEMINI_API_KEY',
  'gemini_batch': 'GEMINI_API_KEY',
}
_VARIABLE = re.compile(r'[A-Z_][A-Z0-9_]*')
_OF_KIND = 'the usual one'
_MOST_CONNECTIONS = 1000


@dataclasses.dataclass(frozen=True)
class TeacherConfig:
  """A teacher. It holds no secret, so it can go into manifests.

  Attributes:
    kind: `'openai'` (any server that speaks its chat-completions protocol),
      `'gemini'`, the batch interfaces of both, or `'offline'`.
    model: As the server knows it.
    base_url: Of an OpenAI-compatible server, e.g. `'http://localhost:8000/v1'`;
      None for the provider's own.
    api_key_env: Name of the environment variable that has the key; None for a
      server that wants none.
    concurrency: The most requests in flight. Fewer when the server throttles.
      Batch jobs have no such limit.
    timeout: Seconds for one attempt. Batch jobs have none.
    max_attempts: How often a request is tried before it is given up.
    requests_per_minute: None for no limit but the server's.
    backoff: Seconds before the second attempt, about; doubled for each one.
    max_pause: Seconds; if the server asks for a longer pause (`Retry-After`),
      the run stops and says so, and goes on when it is repeated.
    price_per_million_prompt: US dollars; None if unknown.
    price_per_million_completion: Reasoning included. Halve both for batch
      interfaces that are sold at half the price.
    budget_usd: Cap over everything that the store has bought, in all runs;
      needs prices. None for no cap.
    budget_tokens: The same in tokens, prompt and completion together.
    extra: Further settings of the kind; see its module. No secrets: they are
      published with the corpus.
  """

  kind: str
  model: str
  base_url: str | None = None
  api_key_env: str | None = _OF_KIND
  concurrency: int = 64
  timeout: float = 600.0
  max_attempts: int = 8
  requests_per_minute: float | None = None
  backoff: float = 1.0
  max_pause: float = 3600.0
  price_per_million_prompt: float | None = None
  price_per_million_completion: float | None = None
  budget_usd: float | None = None
  budget_tokens: int | None = None
  extra: dict[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    schema.one_of(self.kind, KINDS, 'kind')
    if self.api_key_env == _OF_KIND:
      object.__setattr__(self, 'api_key_env', _KEYS.get(self.kind))
    elif self.api_key_env and not _VARIABLE.fullmatch(self.api_key_env):
      # Not quoted, since it may be the key itself.
      raise schema.ConfigError(
        'api_key_env: is no name of an environment variable in capitals, such '
        "as 'OPENAI_API_KEY'; the key itself belongs into that variable"
      )
    if not self.model:
      raise schema.ConfigError("model: '', expected the name of a model")
    _check_url(self.base_url)
    if not 1 <= self.concurrency <= _MOST_CONNECTIONS:
      raise schema.ConfigError(
        f'concurrency: {self.concurrency}, expected 1 to {_MOST_CONNECTIONS}'
      )
    for name in ('timeout', 'max_attempts', 'requests_per_minute', 'max_pause'):
      value = getattr(self, name)
      if value is not None and value <= 0:
        raise schema.ConfigError(f'{name}: {value}, expected more than 0')
    for name in (
      *('price_per_million_prompt', 'price_per_million_completion'),
      *('budget_usd', 'budget_tokens', 'backoff'),
    ):
      value = getattr(self, name)
      if value is not None and value < 0:
        raise schema.ConfigError(f'{name}: {value}, expected 0 or more')
    self._check_prices()
    check_no_credentials(self.extra, 'extra')

  def _check_prices(self) -> None:
    known = [
      p is not None
      for p in (
        self.price_per_million_prompt,
        self.price_per_million_completion,
      )
    ]
    if any(known) and not all(known):
      raise schema.ConfigError(
        'price_per_million_prompt, price_per_million_completion: only one of '
        'the two is given; give both or none'
      )
    if self.budget_usd is not None and not all(known):
      raise schema.ConfigError(
        f'budget_usd: {self.budget_usd} cannot be held without prices; set '
        'price_per_million_prompt and price_per_million_completion'
      )

  @property
  def is_batch(self) -> bool:
    return self.kind.endswith('_batch')

  @property
  def prices(self) -> Prices | None:
    """None if they are unknown."""
    prompt = self.price_per_million_prompt
    completion = self.price_per_million_completion
    if prompt is None or completion is None:
      return None
    return Prices(prompt, completion)

  @property
  def budget(self) -> Budget:
    return Budget(self.budget_usd, self.budget_tokens)

  @property
  def limits(self) -> Limits:
    """A batch teacher gathers requests, so it must be given all at once."""
    return Limits(
      concurrency=None if self.is_batch else self.concurrency,
      requests_per_minute=None if self.is_batch else self.requests_per_minute,
      timeout=None if self.is_batch else self.timeout,
      max_attempts=self.max_attempts,
      backoff=self.backoff,
      max_pause=self.max_pause,
      resumes=self.is_batch,
    )


def _check_url(url: str | None) -> None:
  if url is None:
    return
  if any(c in url for c in '@?#'):
    # Not quoted, since it may have the key.
    raise schema.ConfigError(
      'base_url: has a user, a password or a query, and would carry them into '
      'manifests; put the key into an environment variable and name it in '
      'api_key_env'
    )
  parts = urllib.parse.urlsplit(url)
  if parts.scheme not in ('http', 'https') or not parts.hostname:
    # Without any colon it is no address, and may be the key.
    shown = repr(url) if ':' in url else 'is no address'
    raise schema.ConfigError(
      f"base_url: {shown}, expected e.g. 'http://localhost:8000/v1'"
    )


def open_teacher(
  config: TeacherConfig, store_path: str | pathlib.Path
) -> Teacher:
  """Returns the teacher alone; `open_session` is what one usually wants.

  Raises:
    ConfigError: For a key that is not in the environment, an unknown entry of
      `extra`, or a library that is not installed.
  """
  module, maker = _MAKERS[config.kind]
  try:
    make = getattr(importlib.import_module(module), maker)
    return make(config, store_path) if config.is_batch else make(config)
  except ModuleNotFoundError as e:
    if (e.name or '').startswith(('data_gen', 'msm_jax')):
      raise
    raise schema.ConfigError(
      f'teacher.kind: {config.kind!r} needs the module {e.name!r}, which is '
      "not installed; run `pip install 'msm_jax[openai,gemini]'`"
    ) from e


def open_session(
  config: TeacherConfig, store_path: str | pathlib.Path
) -> Session:
  """Opens a teacher with its store, limits and budget.

  Call it in the event loop in which the session is used.

  Args:
    config: Of the teacher.
    store_path: Of the SQLite file on a local disk; made if there is none.

  Raises:
    ConfigError: See `open_teacher`.
    StoreError: If the file is no store of this version.
  """
  teacher = open_teacher(config, store_path)
  return Session(
    teacher,
    Store(store_path),
    limits=config.limits,
    prices=config.prices,
    budget=config.budget,
  )
