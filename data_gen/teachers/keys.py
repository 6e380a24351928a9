"""API keys: read from the environment, and kept out of everything else."""

import dataclasses
import os
import urllib.parse

from data_gen.teachers.protocol import Answer
from msm_jax import schema


def read_key(variable: str | None, where: str = 'teacher') -> str | None:
  """Returns the key in an environment variable, or None if none is needed.

  Args:
    variable: Name of the environment variable; None for a server that wants no
      key.
    where: Of the config, for the error.

  Raises:
    ConfigError: If the variable is empty, or holds something that cannot be
      sent in a header. The message never quotes it.
  """
  if variable is None:
    return None
  key = os.environ.get(variable, '').strip()
  if not key:
    raise schema.ConfigError(
      f'{where}.api_key_env: the environment variable {variable!r} is not set; '
      f'run `export {variable}=…`, or set api_key_env to None for a server '
      'that wants no key'
    )
  if not (key.isascii() and key.isprintable()) or ' ' in key:
    raise schema.ConfigError(
      f'{where}.api_key_env: the environment variable {variable!r} holds '
      'white space or characters that a header cannot carry; expected one key'
    )
  return key


def redact(text: str, key: str | None) -> str:
  """Returns the text with `[key]` in the place of the key."""
  if not key:
    return text
  for written in (key, urllib.parse.quote(key, safe='')):
    text = text.replace(written, '[key]')
  return text


def redact_answer(answer: Answer, key: str | None) -> Answer:
  """Returns the answer without the key, should its server repeat it there."""
  return dataclasses.replace(
    answer,
    text=redact(answer.text, key),
    reasoning=redact(answer.reasoning, key),
  )


def redact_bytes(content: bytes, key: str | None) -> bytes:
  """Returns the content of a file of answers without the key."""
  text = content.decode('utf-8', 'surrogateescape')
  return redact(text, key).encode('utf-8', 'surrogateescape')
