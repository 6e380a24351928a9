"""Typed access to the keys of a config.json."""

from collections.abc import Mapping
from typing import Any

from msm_jax import schema

_WANTED = {int: 'an integer', float: 'a number', bool: 'true or false'}


def typed(value: Any, kind: type, where: str) -> Any:
  """Returns a value that must be an integer, a number or a truth value.

  Raises:
    ConfigError: If it is something else.
  """
  allowed = (int, float) if kind is float else (kind,)
  if not isinstance(value, allowed) or (
    isinstance(value, bool) and kind is not bool
  ):
    raise schema.ConfigError(f'{where}: {value!r}, expected {_WANTED[kind]}')
  return kind(value)


class Keys:
  """What a config.json says, or what its family takes where it says nothing."""

  def __init__(self, given: Mapping[str, Any], defaults: Mapping[str, Any]):
    self._given = given
    self._all = {**defaults, **given}

  def has(self, key: str) -> bool:
    """Whether the file itself gives the key a value other than null."""
    return self._given.get(key) is not None

  def raw(self, key: str) -> Any:
    """Returns the value, None if there is none."""
    return self._all.get(key)

  def get(self, key: str, kind: type) -> Any:
    """Returns the value, which must be of `kind`: int, float or bool."""
    return typed(self._all.get(key), kind, f'config.json: {key}')

  def positive(self, key: str, kind: type) -> Any:
    """Returns the value, which must be of `kind` and more than 0."""
    value = self.get(key, kind)
    if not value > 0:
      raise schema.ConfigError(f'config.json: {key}: {value}, expected > 0')
    return value

  def maybe(self, key: str, kind: type) -> Any:
    """Returns the value, which must be of `kind`, or None."""
    return None if self._all.get(key) is None else self.get(key, kind)
