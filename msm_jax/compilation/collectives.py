"""Collectives of a module: what is sent, among whom, and whether beside work.

A collective is *asynchronous* if it begins and ends in different instructions.
XLA writes that in several ways: pairs such as `all-gather-start` and
`all-gather-done`; `call-start` and `call-done`, or `async-start` and
`async-done`, of a computation that holds one or calls one that does (on a TPU,
for its sparse cores); fusions that hold `AsyncCollectiveStart` and
`AsyncCollectiveDone`, the collective being continued by the fusions in between.
"""

import dataclasses
import itertools
import math
import re

from msm_jax.compilation import hlo
from msm_jax.compilation import shapes

KINDS = (
  'all-gather',
  'all-reduce',
  'reduce-scatter',
  'all-to-all',
  'ragged-all-to-all',
  'collective-permute',
  'collective-broadcast',
)

Groups = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class Collective:
  """One collective operation.

  Attributes:
    name: Of the instruction.
    op_name: Where in the program it came from.
    kind: One of `KINDS`.
    dtype: Of what is sent, e.g. `'bf16'`.
    nbytes: Size on each device of the larger of operand and result, without
      padding: what an all-gather yields, what a reduce-scatter begins with.
    groups: Who exchanges with whom, as device numbers (pairs of a source and a
      target for `collective-permute`); empty if the slices exchange.
    slices: How many slices exchange through the hosts' network; 0 if the text
      says nothing of slices.
    is_async: Whether it begins and ends in different instructions.
    links: Links of a device that the compiler says it will send on at the same
      time; 0 if it says nothing.
    moved: Bytes of main memory, with the padding of tiles.
  """

  name: str
  op_name: str
  kind: str
  dtype: str
  nbytes: int
  groups: Groups
  is_async: bool
  slices: int = 0
  links: int = 0
  moved: int = 0

  @property
  def group_size(self) -> int:
    """How many devices exchange with each other; or how many slices."""
    return max(map(len, self.groups)) if self.groups else self.slices

  @property
  def sent(self) -> float:
    """Bytes that each device sends at least, over all links together.

    Of `n` devices each keeps `1 / n` of what is gathered, scattered or
    exchanged; an all-reduce is a reduce-scatter and an all-gather.
    """
    n = self.group_size
    if self.kind == 'collective-permute':
      return float(self.nbytes)
    share = self.nbytes * (n - 1) / n
    return 2 * share if self.kind == 'all-reduce' else share


def _braced(text: str) -> Groups:
  return tuple(
    tuple(int(n) for n in re.findall(r'\d+', group))
    for group in re.findall(r'\{([\d,\s]*)\}', text)
  )


def _iota(text: str) -> Groups:
  """`[2,4]<=[4,2]T(1,0)`: an iota of a shape, transposed, cut into groups."""
  match = re.fullmatch(r'\[(\d+),(\d+)\]<=(.+)', text)
  if not match:
    raise ValueError(f'HLO: {text!r} is not a list of replica groups')
  rows, size = int(match[1]), int(match[2])
  flat = _device_ids(match[3])
  return tuple(tuple(flat[r * size : (r + 1) * size]) for r in range(rows))


def _transposed(dims: list[int], order: list[int]) -> list[int]:
  """Returns an iota of shape `dims` with its axes in another order, flat."""
  strides = [math.prod(dims[d + 1 :]) for d in range(len(dims))]
  return [
    sum(index * strides[d] for index, d in zip(indices, order, strict=True))
    for indices in itertools.product(*(range(dims[d]) for d in order))
  ]


def _mesh_axes(text: str) -> Groups:
  """`mesh['x'=4,'y'=2] {'y'}`: all devices along the named axes of a mesh.

  The mesh may have its devices in another order than by number, as in
  `mesh['x'=4,'y'=2], device_ids=([2,4]T(1,0)) {'y'}`.
  """
  match = re.fullmatch(
    r"mesh\[((?:'\w+'=\d+,?)+)\](?:, device_ids=\((.+)\))? \{((?:'\w+',?)+)\}",
    text,
  )
  if not match:
    raise ValueError(f'HLO: {text!r} is not a list of replica groups')
  sizes = {k: int(n) for k, n in re.findall(r"'(\w+)'=(\d+)", match[1])}
  along = re.findall(r"'(\w+)'", match[3])
  names = list(sizes)
  order = [names.index(n) for n in names if n not in along]
  order += [names.index(n) for n in along]
  n = math.prod(sizes[name] for name in along)
  at = _transposed(list(sizes.values()), order)
  if match[2]:
    numbers = _device_ids(match[2])
    at = [numbers[k] for k in at]
  return tuple(tuple(at[k : k + n]) for k in range(0, len(at), n))


def _device_ids(text: str) -> list[int]:
  match = re.fullmatch(r'\[([\d,]+)\](?:T\(([\d,]+)\))?', text)
  if not match:
    raise ValueError(f'HLO: {text!r} is not an order of devices')
  dims = [int(n) for n in match[1].split(',')]
  order = match[2] or ','.join(map(str, range(len(dims))))
  return _transposed(dims, [int(n) for n in order.split(',')])


def groups(i: hlo.Instruction, n_devices: int) -> Groups:
  """Returns who exchanges with whom.

  Raises:
    ValueError: If the text names them in a way that is not known.
  """
  if 'source_target_pairs' in i.attributes:
    return _braced(i.attributes['source_target_pairs'][1:-1])
  text = i.attributes.get('replica_groups', '')
  if text.startswith('mesh['):
    if 'device_ids' in i.attributes:
      text = f'{text}, device_ids={i.attributes["device_ids"]}'
    return _mesh_axes(text)
  if text.startswith('['):
    return _iota(text)
  found = _braced(text[1:-1])
  return found or (tuple(range(n_devices)),)


def called(i: hlo.Instruction) -> tuple[str, ...]:
  """Returns the computations that a fusion, call or asynchronous start runs."""
  return i.called('calls') or i.called('to_apply')


def find(
  i: hlo.Instruction, computation: hlo.Computation, module: hlo.Module
) -> Collective | None:
  """Returns the collective that begins with an instruction, if one does."""
  if i.opcode in KINDS:
    return _made(i, i.opcode, computation, module)
  if i.opcode == 'send':
    return _between_slices(i, computation)
  base, _, stage = i.opcode.rpartition('-')
  if base in KINDS and stage == 'start':
    return _made(i, base, computation, module, is_async=True)
  if i.opcode != 'fusion' and stage != 'start':
    return None
  for name in called(i):
    if held := _held(module.computations[name], module):
      return _wrapped(i, *held, module)
  return None


def _held(
  computation: hlo.Computation, module: hlo.Module
) -> tuple[hlo.Instruction, hlo.Computation] | None:
  """Returns the collective in a computation or in what that calls, and where.

  Not what loops and branches run: those are computations of their own.
  """
  for i in computation.instructions.values():
    if i.opcode in KINDS:
      return i, computation
    if i.opcode == 'call':
      for name in called(i):
        if held := _held(module.computations[name], module):
          return held
  return None


def rendezvous(i: hlo.Instruction) -> str | None:
  """Returns under which name the two ends of an exchange of slices meet."""
  return i.frontend_attribute('_xla_host_transfer_rendezvous')


def _between_slices(
  i: hlo.Instruction, computation: hlo.Computation
) -> Collective | None:
  """A collective of slices: sent to the hosts' network, received elsewhere."""
  kind = i.frontend_attribute('_xla_megascale_transfer_type')
  slices = i.frontend_attribute('_xla_megascale_target')
  if not kind or not slices:
    return None
  received = [
    other.shape.elements[0]
    for other in computation.instructions.values()
    if other.opcode == 'recv' and rendezvous(other) == rendezvous(i)
    if isinstance(other.shape, shapes.Tuple)
  ]
  arrays = [
    next(shapes.leaves(shape))
    for shape in (computation.operand(i, 0).shape, *received)
  ]
  return Collective(
    name=i.name,
    op_name=i.op_name,
    kind=kind.lower().replace('_', '-'),
    dtype=arrays[0].dtype,
    nbytes=max(a.nbytes for a in arrays),
    groups=(),
    is_async=True,
    # `{1,2}x{0:3}`: of slices 1 and 2 the devices 0 to 3.
    slices=len(slices.partition('x')[0].split(',')),
    moved=sum(a.padded_nbytes for a in arrays),
  )


def _wrapped(
  outer: hlo.Instruction,
  inner: hlo.Instruction,
  inside: hlo.Computation,
  module: hlo.Module,
) -> Collective | None:
  """A collective in the computation that an instruction runs."""
  # Reduced and sliced in one go, never whole anywhere.
  scatters = inside.name.startswith('all-reduce-scatter')
  kind = 'reduce-scatter' if scatters else inner.opcode
  targets = {other.target for other in inside.instructions.values()}
  is_async = outer.opcode != 'fusion' or 'AsyncCollectiveStart' in targets
  if not is_async and (
    'AsyncCollectiveDone' in targets
    or inside.name.startswith('async_collective_fusion')
  ):
    return None  # The end, or a step in between.
  return _made(inner, kind, inside, module, is_async=is_async)


def _made(
  i: hlo.Instruction,
  kind: str,
  computation: hlo.Computation,
  module: hlo.Module,
  *,
  is_async: bool = False,
) -> Collective:
  inputs = [a for s in computation.operand_shapes(i) for a in shapes.leaves(s)]
  result = i.shape
  if i.opcode in ('all-gather-start', 'collective-permute-start'):
    # The operands, the results, and bookkeeping.
    assert isinstance(result, shapes.Tuple)
    result = result.elements[1]
  outputs = list(shapes.leaves(result))
  return Collective(
    name=i.name,
    op_name=i.op_name,
    kind=kind,
    dtype=outputs[0].dtype,
    nbytes=max(sum(a.nbytes for a in arrays) for arrays in (inputs, outputs)),
    groups=groups(i, module.n_devices),
    is_async=is_async,
    links=_links(i),
    moved=sum(
      a.padded_nbytes
      for a in (*inputs, *outputs)
      if a.memory_space == shapes.HBM
    ),
  )


def _links(i: hlo.Instruction) -> int:
  """Reads a TPU's strategy: each "color" is a ring through one link a chip."""
  config = i.backend_config
  for offload in config.get('collective_offload_config', {}).values():
    if isinstance(offload, dict):
      strategy = offload.get('ici_strategy_config', {})
      if colors := strategy.get('color_strategies'):
        return len(colors)
  algorithm = config.get('collective_algorithm_config', {})
  found = re.findall(r'\bcolors:(\d+)', algorithm.get('debug', ''))
  return max(map(int, found), default=0)
