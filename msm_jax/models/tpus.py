"""Generations of TPUs, as their devices name themselves."""

from collections.abc import Sequence
from typing import Any

# What PJRT calls a device, at present and, after a bar, at times.
_KINDS = {
  'v4': 'TPU v4',
  'v5e': 'TPU v5 lite|TPU v5e',
  'v5p': 'TPU v5|TPU v5p',
  'v6e': 'TPU v6 lite|TPU v6e',
  'tpu7x': 'TPU7x',
}
_GENERATIONS = {
  kind: name for name, kinds in _KINDS.items() for kind in kinds.split('|')
}
# Their chips are joined in two dimensions, those of all others in three.
_PLANES = ('v5e', 'v6e')


def generation(device: Any) -> str | None:
  """Returns e.g. `'v5e'`, as names of topologies begin; None if not known."""
  return _GENERATIONS.get(device.device_kind)


def plane(devices: Sequence[Any]) -> tuple[int, int] | None:
  """Returns the chips along both dimensions of a slice that is a plane.

  None for chips that are joined in three dimensions, for what is no TPU, and
  for devices that are not a whole rectangle.
  """
  if generation(devices[0]) not in _PLANES:
    return None
  first = getattr(devices[0], 'slice_index', None)
  coords = [
    d.coords for d in devices if getattr(d, 'slice_index', None) == first
  ]
  x, y = (len({c[axis] for c in coords}) for axis in (0, 1))
  return (x, y) if x * y == len(coords) else None
