"""Refuses secrets among free settings: those are stored, and published.

Whatever goes into a request's `extra` is part of its key in the store, of every
row's lineage and of the manifest. A secret has no place there, and no other way
in than an environment variable.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import re
from typing import Any

from msm_jax import schema


def _set(text: str) -> frozenset[str]:
  return frozenset(text.split())


# Camel case, snake case, and words run together with digits.
_PART = re.compile(r'[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+')
_SECRET = _set(
  """
  auth authentication authorization bearer cookie cookies credential credentials
  jwt oauth passcode passphrase passwd password passwords pwd secret secrets
  """
)
_KEYS = _set('key keys apikey apikeys')
# Written as one word, as in `APIKEY` or `xapikey`.
_RUN_TOGETHER = re.compile(
  r'(?:ai|api|access|auth|bearer|client|private|refresh|secret|session)'
  r'(?:keys?|tokens?)'
)
# Whose `tokens` are no words of a text.
_OF_TOKENS = _set(
  'access api auth bearer hf id refresh secret security session user'
)
# Of a vocabulary: `eos_token`, `per_token`, `<think>`'s `end_token`.
_OF_A_VOCABULARY = _set(
  """
  bos cls end eos first last mask next pad per prompt sep special start stop
  think unk
  """
)
# What follows `token` where it is one of a text: `token_ids`, `token_limit`.
_OF_A_TEXT = _set(
  """
  bias budget budgets count counts id ids index limit limits logprob logprobs
  number probs type types
  """
)
# Fields of known servers that sound like secrets and are none:
# https://platform.openai.com/docs/api-reference/chat/create
_HARMLESS = frozenset(('promptcachekey',))
_HEADER = re.compile('header', re.IGNORECASE)
# Of an Authorization header: https://www.rfc-editor.org/rfc/rfc9110#section-11.4
_VALUE = re.compile(
  r'\s*(?:bearer\s+|basic\s+(?=\S*[\d=]))[\w.~+/=-]{8,}\s*', re.IGNORECASE
)
_LINE = re.compile(r'^\s*(?P<name>[A-Za-z][\w-]*)\s*:\s*\S', re.MULTILINE)


def sounds_secret(name: str) -> bool:
  """Whether a field of this name would hold a credential.

  `max_tokens`, `logit_bias`, `stop_token_ids`, `tokenizer` would not.
  """
  parts = [part.lower() for part in _PART.findall(name)]
  joined = ''.join(parts)
  if joined in _HARMLESS:
    return False
  if not _SECRET.isdisjoint(parts) or not _KEYS.isdisjoint(parts):
    return True
  if 'tokens' in parts[1:]:
    return parts[parts.index('tokens', 1) - 1] in _OF_TOKENS
  if 'token' not in parts:
    return bool(_RUN_TOGETHER.search(joined))
  at = parts.index('token')
  before = parts[at - 1] if at else ''
  after = parts[at + 1] if at + 1 < len(parts) else ''
  return before not in _OF_A_VOCABULARY and after not in _OF_A_TEXT


def _names(value: Any, where: str) -> Iterator[tuple[str, str]]:
  """Yields (where it stands, name) of everything that has a name.

  Headers are written as mappings, as `{'name': …, 'value': …}`, as pairs, and
  as lines.
  """
  if isinstance(value, Mapping):
    named = value.get('name', value.get('key'))
    if isinstance(named, str) and 'value' in value:
      yield f'{where}.{named}', named
      value = {k: v for k, v in value.items() if k not in ('name', 'key')}
    for name, inner in value.items():
      yield f'{where}.{name}', str(name)
      yield from _names(inner, f'{where}.{name}')
  elif isinstance(value, list | tuple):
    # Not every list of two texts is a header: stop sequences are none.
    pair = len(value) == 2 and all(isinstance(v, str) for v in value)
    if pair and _HEADER.search(where):
      yield f'{where}.{value[0]}', value[0]
    for i, inner in enumerate(value):
      yield from _names(inner, f'{where}[{i}]')
  elif isinstance(value, str) and _HEADER.search(where):
    for line in _LINE.finditer(value):
      yield f'{where}.{line["name"]}', line['name']


def _values(value: Any, where: str) -> Iterator[tuple[str, str]]:
  """Yields (where it stands, text) of every text."""
  if isinstance(value, str):
    yield where, value
  elif isinstance(value, Mapping):
    for name, inner in value.items():
      yield from _values(inner, f'{where}.{name}')
  elif isinstance(value, list | tuple):
    for i, inner in enumerate(value):
      yield from _values(inner, f'{where}[{i}]')


def check_no_credentials(extra: Mapping[str, Any], where: str) -> None:
  """Checks that no field sounds like one that holds a secret.

  Args:
    extra: Free fields, nested as they like.
    where: Of the config, for the error.

  Raises:
    ConfigError: Naming the field, and never quoting its value.
  """
  found = [path for path, name in _names(extra, where) if sounds_secret(name)]
  found += [
    path for path, text in _values(extra, where) if _VALUE.fullmatch(text)
  ]
  if found:
    raise schema.ConfigError(
      f'{found[0]}: looks like a credential, and would be stored and '
      'published; keys come from the environment: put it into a variable '
      'there, and name that variable in api_key_env of the teacher'
    )
