"""What can be wrong with what is to be converted."""

from collections.abc import Iterable

_SHOWN = 20


class ConversionError(ValueError):
  """What is to be converted cannot be, or not as it was asked for."""


def listing(lines: Iterable[str]) -> str:
  """Returns one indented line for each, of very many only the first."""
  found = list(lines)
  shown = [f'  {line}' for line in found[:_SHOWN]]
  if len(found) > _SHOWN:
    shown.append(f'  … and {len(found) - _SHOWN} more')
  return '\n'.join(shown)
