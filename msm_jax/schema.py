"""From a config's nested mappings to frozen dataclasses, with good errors.

Configs are `ml_collections.ConfigDict`s that a user edits; the code behind them
reads typed dataclasses. `structure` is the one place where the two meet: it
names the key, the value, what was expected and the nearest known key.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import difflib
import types
from typing import Any
from typing import get_args
from typing import get_origin
from typing import get_type_hints
from typing import TypeVar
from typing import Union

T = TypeVar('T')


class ConfigError(ValueError):
  """A config that cannot be run; the message names the key."""


def suggest(name: str, known: Sequence[str]) -> str:
  """Returns ` (did you mean 'x'?)`, or nothing if no known name is near."""
  near = difflib.get_close_matches(name, list(known), n=1)
  return f' (did you mean {near[0]!r}?)' if near else ''


def structure(cls: type[T], raw: Mapping[str, Any], where: str = 'config') -> T:
  """Builds dataclass `cls` from a mapping, checking keys and types.

  Args:
    cls: A dataclass; nested dataclasses, `tuple[X, ...]`, `dict[str, X]`,
      `X | None` and scalars are understood as field types.
    raw: A mapping such as a ConfigDict.
    where: The path of `raw` in the config, for error messages.

  Raises:
    ConfigError: For a key that does not exist (with the nearest one that does),
      a key that is missing, or a value of the wrong type.
  """
  if not isinstance(raw, Mapping) and hasattr(raw, 'items'):
    raw = dict(raw.items())
  if not isinstance(raw, Mapping):
    raise ConfigError(f'{where}: {raw!r}, expected a mapping of keys')
  fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
  for key in raw:
    if key not in fields:
      raise ConfigError(
        f'{where}.{key}: there is no such key{suggest(key, list(fields))}; '
        f'known keys: {", ".join(fields)}'
      )
  hints = get_type_hints(cls)
  values = {}
  for name, field in fields.items():
    if name in raw:
      values[name] = _convert(hints[name], raw[name], f'{where}.{name}')
    elif (
      field.default is dataclasses.MISSING
      and field.default_factory is dataclasses.MISSING
    ):
      raise ConfigError(f'{where}.{name}: is missing, and has no default')
  try:
    return cls(**values)
  except ConfigError:
    raise
  except ValueError as e:
    raise ConfigError(f'{where}: {e}') from e


def _convert(hint: Any, value: Any, where: str) -> Any:
  if hint is Any:
    return value
  if dataclasses.is_dataclass(hint):
    if isinstance(value, hint):  # type: ignore[arg-type]
      return value
    return structure(hint, value, where)  # type: ignore[arg-type]
  origin, args = get_origin(hint), get_args(hint)
  if origin in (Union, types.UnionType):
    return _convert_union(args, value, where)
  if origin is tuple:
    if isinstance(value, str) or not isinstance(value, Sequence):
      raise ConfigError(f'{where}: {value!r}, expected a list')
    return tuple(
      _convert(args[0], v, f'{where}[{i}]') for i, v in enumerate(value)
    )
  if origin is dict:
    if not hasattr(value, 'items'):
      raise ConfigError(f'{where}: {value!r}, expected a mapping')
    return {k: _convert(args[1], v, f'{where}.{k}') for k, v in value.items()}
  if hint is float and type(value) is int:
    return float(value)
  if type(value) is not hint:
    raise ConfigError(
      f'{where}: {value!r} is a {type(value).__name__}, '
      f'expected {hint.__name__}'
    )
  return value


def _convert_union(args: Sequence[Any], value: Any, where: str) -> Any:
  if value is None and type(None) in args:
    return None
  errors = []
  for arg in args:
    if arg is not type(None):
      try:
        return _convert(arg, value, where)
      except ConfigError as e:
        errors.append(str(e))
  raise ConfigError('; or '.join(errors))


def differences(
  ours: Any, theirs: Any, where: str = 'config'
) -> list[tuple[str, Any, Any]]:
  """Returns `(path, ours, theirs)` of the leaves where two trees differ.

  The trees are JSON. A key that one side lacks is reported with `'(absent)'`.
  """
  if isinstance(ours, dict) and isinstance(theirs, dict):
    found = []
    for key in sorted(set(ours) | set(theirs)):
      a, b = ours.get(key, '(absent)'), theirs.get(key, '(absent)')
      found += differences(a, b, f'{where}.{key}')
    return found
  both_lists = isinstance(ours, list) and isinstance(theirs, list)
  if both_lists and len(ours) == len(theirs):
    return [
      d
      for i, (a, b) in enumerate(zip(ours, theirs, strict=True))
      for d in differences(a, b, f'{where}[{i}]')
    ]
  return [] if ours == theirs else [(where, ours, theirs)]
