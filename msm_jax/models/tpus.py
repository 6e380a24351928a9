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
# So many chips of a v5p scatter gradients at once: the parts of more are often
# fewer rows than a tile has, and then the compiler makes all-reduces.
_AT_ONCE = {'v5p': 64}


def generation(device: Any) -> str | None:
  """Returns e.g. `'v5e'`, as names of topologies begin; None if not known."""
  return _GENERATIONS.get(device.device_kind)


def parts(devices: Sequence[Any]) -> tuple[int, int] | None:
  """Returns over how many chips, and then over how many of those, to scatter.

  Of a slice that is a plane both dimensions; of a large v5p the last dimension
  after the others. None where all at once is as well: in other slices, for what
  is no TPU, and for devices that are not a whole rectangle.
  """
  name = generation(devices[0])
  if name is None or name not in (*_PLANES, *_AT_ONCE):
    return None
  first = getattr(devices[0], 'slice_index', None)
  coords = [
    d.coords for d in devices if getattr(d, 'slice_index', None) == first
  ]
  x, y, z = (len({c[axis] for c in coords}) for axis in range(3))
  if x * y * z != len(coords):
    return None
  if name in _PLANES:
    return x, y
  return (x * y, z) if len(coords) > _AT_ONCE[name] else None
