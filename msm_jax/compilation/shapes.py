"""Shapes of HLO text: element types, layouts, tiles, memory spaces.

The grammar is that of XLA's `ShapeUtil::HumanStringWithLayout`, e.g.
`bf16[8,128]{1,0:T(8,128)(2,1)S(1)}` or `(f32[2]{0}, s32[])`.
"""

from collections.abc import Iterator
import dataclasses
import math
import re

# Bits of one element. `token` and `opaque` hold no data.
BITS = {
  'pred': 8,
  'token': 0,
  'opaque': 0,
  **{f'{kind}{bits}': bits for kind in 'su' for bits in (1, 2, 4, 8, 16, 32)},
  's64': 64,
  'u64': 64,
  'bf16': 16,
  'f16': 16,
  'f32': 32,
  'f64': 64,
  'c64': 64,
  'c128': 128,
}

HBM = 0
"""Memory space of buffers in a chip's main memory (on a CPU: in memory).

A TPU's `S(1)` is on-chip vector memory, `S(2)` semaphores, `S(5)` the host's.
"""
SEMAPHORES = 2


def bits(dtype: str) -> int:
  """Returns the bits of one element.

  Raises:
    ValueError: For an element type that is not known.
  """
  if dtype in BITS:
    return BITS[dtype]
  if match := re.fullmatch(r'f(\d+)e\d+m\d+\w*', dtype):
    return int(match[1])
  raise ValueError(f'HLO: {dtype!r} is not a known element type')


@dataclasses.dataclass(frozen=True)
class Array:
  """The shape of one buffer.

  Attributes:
    dtype: HLO's name, e.g. `'bf16'`.
    dims: Sizes, the major-most logical dimension first.
    order: The dimensions from the fastest-varying on; empty if not printed.
    tiles: The first tile is what dimensions are padded to; those after it only
      reorder elements.
    memory_space: See `HBM`.
    element_bits: As stored; predicates take a byte, `s4` may take 4 bits or 8.
  """

  dtype: str
  dims: tuple[int, ...]
  order: tuple[int, ...] = ()
  tiles: tuple[tuple[int, ...], ...] = ()
  memory_space: int = HBM
  element_bits: int = 0

  @property
  def size(self) -> int:
    """Number of elements."""
    return math.prod(self.dims)

  @property
  def nbytes(self) -> int:
    """Bytes of the elements alone."""
    return -(-self.size * self.element_bits // 8)

  @property
  def padded_nbytes(self) -> int:
    """Bytes that the buffer takes, with the padding to whole tiles."""
    if not self.tiles:
      return self.nbytes
    order = self.order or tuple(reversed(range(len(self.dims))))
    physical = [self.dims[d] for d in reversed(order)]
    tile = self.tiles[0]
    if len(physical) < len(tile):
      physical = [1] * (len(tile) - len(physical)) + physical
    cut = len(physical) - len(tile)
    padded = physical[:cut] + [
      -(-size // t) * t for size, t in zip(physical[cut:], tile, strict=True)
    ]
    return -(-math.prod(padded) * self.element_bits // 8)


@dataclasses.dataclass(frozen=True)
class Tuple:
  """The shape of several buffers."""

  elements: tuple['Shape', ...]


Shape = Array | Tuple


def leaves(shape: Shape) -> Iterator[Array]:
  """Yields the arrays of a shape, in order."""
  if isinstance(shape, Array):
    yield shape
  else:
    for element in shape.elements:
      yield from leaves(element)


_ARRAY = re.compile(r'([a-z][a-z0-9]*)\[([^\]]*)\]')
_LAYOUT = re.compile(r'\{([0-9,]*)((?::[^{}]*)?)\}')
_TILE = re.compile(r'T((?:\([0-9,]+\))+)')
_SPACE = re.compile(r'S\((\d+)\)')
_ELEMENT = re.compile(r'E\((\d+)\)')


def _numbers(text: str) -> tuple[int, ...]:
  return tuple(int(n) for n in text.split(',') if n)


def parse(text: str, start: int = 0) -> tuple[Shape, int]:
  """Reads the shape at `start`; returns it, and where it ends.

  Raises:
    ValueError: If there is no shape.
  """
  if text[start] == '(':
    elements = []
    at = start + 1
    while text[at] != ')':
      element, at = parse(text, at)
      elements.append(element)
      while text[at] in ', ':
        at += 1
    return Tuple(tuple(elements)), at + 1
  match = _ARRAY.match(text, start)
  if not match:
    raise ValueError(f'HLO: no shape at {text[start : start + 60]!r}')
  dtype = match[1]
  # A dynamic dimension is printed as `<=n`.
  dims = _numbers(match[2].replace('<=', ''))
  width = bits(dtype)
  if not (layout := _LAYOUT.match(text, match.end())):
    return Array(dtype, dims, element_bits=width), match.end()
  tiles: tuple[tuple[int, ...], ...] = ()
  if tile := _TILE.search(layout[2]):
    tiles = tuple(_numbers(t) for t in re.findall(r'\(([^)]*)\)', tile[1]))
  space = _SPACE.search(layout[2])
  stored = _ELEMENT.search(layout[2])
  return Array(
    dtype,
    dims,
    order=_numbers(layout[1]),
    tiles=tiles,
    memory_space=int(space[1]) if space else HBM,
    element_bits=int(stored[1]) if stored else width,
  ), layout.end()
