"""Checks of JSON against dataclasses, with messages that help."""

from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import difflib
import types
import typing
from typing import Any

# What JSON gives for a field that is annotated as a generic type.
_JSON_TYPES = {tuple: list, Mapping: dict}


def each(cls: type, raw: Any, where: str) -> tuple[Any, ...]:
  """Builds a dataclass of each object of a list.

  Raises:
    ValueError: See `checked`.
  """
  if not isinstance(raw, list):
    raise ValueError(f'{where}: is {raw!r}, expected a list')
  made = []
  for i, item in enumerate(raw):
    fields = checked(cls, item, f'{where}[{i}]')
    made.append(
      cls(**{k: tuple(v) if type(v) is list else v for k, v in fields.items()})
    )
  return tuple(made)


def checked(
  cls: type, raw: Any, where: str, optional: Collection[str] = ()
) -> dict[str, Any]:
  """Returns `raw` if it has the keys and types of the fields of `cls`.

  Args:
    cls: A dataclass.
    raw: Parsed JSON.
    where: Path of `raw`, for messages; '' at the top.
    optional: Fields that may be left out though they have no default.

  Raises:
    ValueError: Naming the key, its value and what was expected.
  """
  if not isinstance(raw, dict):
    raise ValueError(f'{where or "top level"}: is {raw!r}, expected an object')
  fields = {f.name: f for f in dataclasses.fields(cls)}
  prefix = f'{where}.' if where else ''
  for key in raw:
    one_of(key, list(fields), f'{prefix}{key}', what='key')
  for name, field in fields.items():
    required = (
      field.default is dataclasses.MISSING
      and field.default_factory is dataclasses.MISSING
      and name not in optional
    )
    if required and name not in raw:
      raise ValueError(f'{prefix}{name}: is missing')
  for key, value in raw.items():
    kind: Any = fields[key].type
    expected: Any = _JSON_TYPES.get(typing.get_origin(kind), kind)
    if isinstance(expected, type | types.UnionType) and not (
      dataclasses.is_dataclass(expected) or isinstance(value, expected)
    ):
      name = getattr(expected, '__name__', str(expected))
      raise ValueError(f'{prefix}{key}: is {value!r}, expected a {name}')
  return raw


def one_of(
  value: Any, allowed: Collection[Any], where: str, what: str = 'value'
) -> None:
  """Raises ValueError, with the nearest suggestion, if it is not allowed."""
  allowed = list(allowed)
  if value in allowed:
    return
  near = difflib.get_close_matches(str(value), allowed, n=1)
  hint = f' (did you mean {near[0]!r}?)' if near else ''
  problem = 'unknown key' if what == 'key' else f'is {value!r}'
  raise ValueError(f'{where}: {problem}, expected one of {allowed}{hint}')
