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


@dataclasses.dataclass(frozen=True)
class _Rules:
  """See `structure`."""

  only_known: bool
  quote: bool


class ConfigError(ValueError):
  """A config that cannot be run; the message names the key."""


def suggest(name: object, known: Sequence[str]) -> str:
  """Returns ` (did you mean 'x'?)`, or nothing if no known name is near."""
  near = difflib.get_close_matches(str(name), list(known), n=1)
  return f' (did you mean {near[0]!r}?)' if near else ''


def one_of(value: Any, allowed: Sequence[Any], key: str) -> None:
  """Checks a value that is one of a few.

  Raises:
    ConfigError: Naming the key, the value, the allowed ones and the nearest.
  """
  if value not in allowed:
    raise ConfigError(
      f'{key}: {value!r}, expected one of {list(allowed)}'
      f'{suggest(value, [str(a) for a in allowed])}'
    )


def unique(values: Sequence[Any], key: str) -> None:
  """Checks that nothing occurs twice.

  Raises:
    ConfigError: Naming the key and what does.
  """
  if repeated := sorted({v for v in values if values.count(v) > 1}):
    raise ConfigError(f'{key}: {repeated} occur more than once')


def parse_argument(
  arg: str, defaults: Mapping[str, str], where: str
) -> dict[str, str]:
  """Parses what follows the colon of `--config=FILE:key=value,…`.

  Args:
    arg: `key=value` pairs, separated by commas.
    defaults: Every key that there is, with the value that it has if not given.
    where: The config file, for errors.

  Raises:
    ConfigError: For what is no pair, or a key that does not exist.
  """
  values = dict(defaults)
  for number, part in enumerate(filter(None, (arg or '').split(',')), 1):
    key, equals, value = part.partition('=')
    if not equals or key not in values:
      # What may be a value is not quoted: it may be a key for a server.
      said = repr(f'{key}=…') if equals else f'argument {number}'
      raise ConfigError(
        f'{where}: {said} is not KEY=VALUE with one of the keys '
        f'{", ".join(values)}{suggest(key, list(values))}'
      )
    values[key] = value
  return values


def structure(
  cls: type[T],
  raw: Mapping[str, Any],
  where: str = 'config',
  *,
  only_known: bool = True,
  quote: bool = True,
) -> T:
  """Builds dataclass `cls` from a mapping, checking keys and types.

  Args:
    cls: A dataclass. Its fields may be scalars, dataclasses, `tuple[X, ...]`,
      `tuple[X, Y]`, `dict[str, X]`, unions of those, and `Any`. Lists become
      tuples, mappings dicts, integers floats; nothing else is converted.
    raw: A mapping such as a ConfigDict.
    where: The path of `raw` in the config, for error messages.
    only_known: Whether a key that `cls` lacks is an error. A reader of part of
      a config, whose owner checks the rest, leaves such keys alone.
    quote: Whether an error may quote a text of the wrong type. Where a config
      is of services that want credentials, such a text may be one.

  Raises:
    ConfigError: For a key that does not exist (with the nearest one that does),
      a key that is missing, a value of the wrong type, or one that the
      dataclass itself refuses with a `ValueError`.
  """
  return _structure(cls, raw, where, _Rules(only_known, quote))


def _structure(cls: type[T], raw: Any, where: str, rules: _Rules) -> T:
  if not _is_mapping(raw):
    raise _unexpected(cls, raw, where, rules)
  raw = dict(raw.items())
  fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
  for key in raw:
    if rules.only_known and key not in fields:
      raise ConfigError(
        f'{where}.{key}: there is no such key{suggest(key, list(fields))}; '
        f'known keys: {", ".join(fields)}'
      )
  hints = get_type_hints(cls)
  values = {}
  for name, field in fields.items():
    if name in raw:
      values[name] = _convert(hints[name], raw[name], f'{where}.{name}', rules)
    elif (
      field.default is dataclasses.MISSING
      and field.default_factory is dataclasses.MISSING
    ):
      raise ConfigError(f'{where}.{name}: is missing, and has no default')
  try:
    return cls(**values)
  except ValueError as e:
    raise ConfigError(f'{where}: {e}') from e


def _is_mapping(value: Any) -> bool:
  # A ConfigDict is no `Mapping`, but has `items`.
  return isinstance(value, Mapping) or hasattr(value, 'items')


def _is_list(value: Any) -> bool:
  return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _has_shape(hint: Any, value: Any) -> bool:
  """Whether a value is a mapping, a list or a scalar just as the hint is."""
  if dataclasses.is_dataclass(hint) or get_origin(hint) is dict:
    return _is_mapping(value)
  if get_origin(hint) is tuple:
    return _is_list(value)
  return not _is_mapping(value) and not _is_list(value)


def _describe(hint: Any) -> str:
  """Says in words what a value of this type looks like."""
  if get_origin(hint) in (Union, types.UnionType):
    *others, last = map(_describe, get_args(hint))
    return f'{", ".join(others)} or {last}'
  if dataclasses.is_dataclass(hint) or get_origin(hint) is dict:
    return 'a mapping'
  if get_origin(hint) is tuple:
    return 'a list'
  return 'None' if hint is type(None) else getattr(hint, '__name__', str(hint))


def _unexpected(
  hint: Any, value: Any, where: str, rules: _Rules
) -> ConfigError:
  said = _shown(value, rules)
  return ConfigError(
    f'{where}: {said}is a {type(value).__name__}, expected {_describe(hint)}'
  )


def _shown(value: Any, rules: _Rules) -> str:
  """Returns a value for an error, with a space; nothing if it may be secret."""
  number = value is None or isinstance(value, bool | int | float)
  return f'{value!r} ' if rules.quote or number else ''


def _convert(hint: Any, value: Any, where: str, rules: _Rules) -> Any:
  if hint is Any:
    return _plain(value)
  if get_origin(hint) in (Union, types.UnionType):
    return _convert_union(hint, value, where, rules)
  if dataclasses.is_dataclass(hint):
    if isinstance(value, hint):  # type: ignore[arg-type]
      return value
    return _structure(hint, value, where, rules)  # type: ignore[arg-type]
  if get_origin(hint) is tuple:
    return _convert_tuple(hint, value, where, rules)
  if get_origin(hint) is dict:
    return _convert_dict(hint, value, where, rules)
  if hint is float and type(value) is int:
    return float(value)
  if type(value) is not hint:
    raise _unexpected(hint, value, where, rules)
  return value


def _plain(value: Any) -> Any:
  """Mappings of any kind become dicts, all the way down."""
  if _is_mapping(value):
    return {k: _plain(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    plain = [_plain(v) for v in value]
    return tuple(plain) if isinstance(value, tuple) else plain
  return value


def _convert_tuple(
  hint: Any, value: Any, where: str, rules: _Rules
) -> tuple[Any, ...]:
  if not _is_list(value):
    raise _unexpected(hint, value, where, rules)
  hints = get_args(hint)
  if hints[-1] is Ellipsis:
    hints = (hints[0],) * len(value)
  if len(hints) != len(value):
    raise ConfigError(
      f'{where}: {_shown(value, rules)}has {len(value)} entries, expected '
      f'{len(hints)}'
    )
  return tuple(
    _convert(h, v, f'{where}[{i}]', rules)
    for i, (h, v) in enumerate(zip(hints, value, strict=True))
  )


def _convert_dict(
  hint: Any, value: Any, where: str, rules: _Rules
) -> dict[str, Any]:
  if not _is_mapping(value):
    raise _unexpected(hint, value, where, rules)
  for key in value:
    if type(key) is not str:
      raise ConfigError(f'{where}: the key {key!r} is not a string')
  of_values = get_args(hint)[1]
  return {
    k: _convert(of_values, v, f'{where}.{k}', rules) for k, v in value.items()
  }


def _convert_union(hint: Any, value: Any, where: str, rules: _Rules) -> Any:
  """Tries one alternative after the other.

  If none fits, the error is that of the one alternative of the value's shape,
  since it knows best what is wrong inside.
  """
  errors = {}
  for alternative in get_args(hint):
    try:
      return _convert(alternative, value, where, rules)
    except ConfigError as e:
      errors[alternative] = e
  similar = [e for h, e in errors.items() if _has_shape(h, value)]
  if len(similar) == 1 and (_is_mapping(value) or _is_list(value)):
    raise similar[0]
  raise _unexpected(hint, value, where, rules)


def differences(
  ours: Any, theirs: Any, where: str = 'config'
) -> list[tuple[str, Any, Any]]:
  """Returns `(path, ours, theirs)` of the leaves where two trees differ.

  The trees are JSON, or will be: a tuple is the list that it becomes. A key
  that one side lacks is reported with `'(absent)'`.
  """
  if isinstance(ours, dict) and isinstance(theirs, dict):
    found = []
    for key in sorted(set(ours) | set(theirs)):
      a, b = ours.get(key, '(absent)'), theirs.get(key, '(absent)')
      found += differences(a, b, f'{where}.{key}')
    return found
  both_lists = _is_list(ours) and _is_list(theirs)
  if both_lists and len(ours) == len(theirs):
    return [
      d
      for i, (a, b) in enumerate(zip(ours, theirs, strict=True))
      for d in differences(a, b, f'{where}[{i}]')
    ]
  return [] if ours == theirs else [(where, ours, theirs)]
