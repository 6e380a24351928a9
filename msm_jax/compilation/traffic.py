"""Bytes of main memory that an instruction reads and writes.

Counted at the boundary of fusions: what happens inside stays in registers and
on-chip memory. Buffers that the compiler placed in on-chip memory are free; the
copies that bring them there are not. Sizes include the padding of tiles.
"""

import dataclasses

from msm_jax.compilation import collectives
from msm_jax.compilation import hlo
from msm_jax.compilation import shapes

# No data moves: names for parts of other values, and waits.
_FREE = {
  'parameter',
  'constant',
  'tuple',
  'get-tuple-element',
  'bitcast',
  'after-all',
  'partition-id',
  'replica-id',
  'add-dependency',
  'optimization-barrier',
  'domain',
  'send',
  'recv',
  'while',
  'conditional',
  'call',
}
# Custom calls that mark or reserve memory, and touch none.
_FREE_TARGETS = {
  'AllocateBuffer',
  'AssumeGatherIndicesInBound',
  'AsyncCollectiveStart',
  'AsyncCollectiveDone',
  'PrepareAsyncCallStart',
  'PrepareAsyncCallDone',
}
# Instructions that read only as much of their first operand as they return.
_SLICES = ('dynamic-slice', 'slice', 'gather')


@dataclasses.dataclass(frozen=True)
class Traffic:
  """Bytes of main memory.

  Attributes:
    read: Read from it.
    written: Written to it.
  """

  read: int = 0
  written: int = 0

  def __add__(self, other: 'Traffic') -> 'Traffic':
    return Traffic(self.read + other.read, self.written + other.written)


def nbytes(shape: shapes.Shape) -> int:
  """Returns the padded bytes of the buffers in main memory."""
  return sum(
    a.padded_nbytes
    for a in shapes.leaves(shape)
    if a.memory_space == shapes.HBM
  )


def of(
  i: hlo.Instruction, computation: hlo.Computation, module: hlo.Module
) -> Traffic:
  """Returns what an instruction of a scheduled computation moves."""
  if (
    i.opcode in _FREE
    or i.target in _FREE_TARGETS
    or i.opcode.endswith(('-done', '-update'))
  ):
    return Traffic()
  if i.opcode == 'fusion':
    (name,) = i.called('calls')
    return _of_fusion(i, computation, module.computations[name], module)
  inputs = [nbytes(s) for s in computation.operand_shapes(i)]
  if i.opcode == 'copy-start':
    target = next(shapes.leaves(i.shape))
    return Traffic(inputs[0], nbytes(target))
  if i.opcode in ('slice-start', 'dynamic-slice-start'):
    return _of_started_slice(i, inputs)
  if i.opcode in _SLICES:
    return Traffic(nbytes(i.shape) + sum(inputs[1:]), nbytes(i.shape))
  if i.opcode == 'dynamic-update-slice':
    return Traffic(inputs[1], inputs[1])
  if i.opcode == 'scatter':
    # Operands, indices, updates: a third each. The operand is updated in place.
    updates = sum(inputs[len(inputs) // 2 + 1 :])
    return Traffic(sum(inputs[1:]) + updates, updates)
  return Traffic(sum(inputs), nbytes(i.shape))


def _of_started_slice(i: hlo.Instruction, inputs: list[int]) -> Traffic:
  """The shape is the operands, the result, and bookkeeping."""
  assert isinstance(i.shape, shapes.Tuple)
  result = i.shape.elements[1]
  taken = sum(a.padded_nbytes for a in shapes.leaves(result))
  return Traffic(min(inputs[0], taken), nbytes(result))


def _of_fusion(
  i: hlo.Instruction,
  computation: hlo.Computation,
  fused: hlo.Computation,
  module: hlo.Module,
) -> Traffic:
  read = sum(
    min(nbytes(shape), _read(parameter, fused, module))
    for shape, parameter in zip(
      computation.operand_shapes(i), fused.parameters, strict=True
    )
  )
  root = fused.instructions[fused.root]
  results = (
    [fused.instructions[name] for name in root.operands]
    if root.opcode == 'tuple'
    else [root]
  )
  # The shapes of the fusion itself know in which memory the results are.
  whole = list(shapes.leaves(i.shape))
  written = 0
  for shape, result in zip(whole, results, strict=True):
    written += min(nbytes(shape), _written(result, fused))
  return Traffic(read, written)


def _read(
  i: hlo.Instruction, fused: hlo.Computation, module: hlo.Module
) -> int:
  """Bytes of a value that a fused computation needs to have read."""
  everything = sum(a.padded_nbytes for a in shapes.leaves(i.shape))
  total = 0
  for user in fused.users[i.name]:
    if user.opcode in _SLICES and user.operands[0] == i.name:
      total += sum(a.padded_nbytes for a in shapes.leaves(user.shape))
    elif user.opcode == 'dynamic-update-slice' and user.operands[0] == i.name:
      continue  # Updated in place.
    elif user.opcode in ('bitcast', 'tuple', 'get-tuple-element'):
      total += _read(user, fused, module) if user.opcode != 'tuple' else 0
    elif user.opcode == 'fusion':
      (name,) = user.called('calls')
      inner = module.computations[name]
      for number, operand in enumerate(user.operands):
        if operand == i.name:
          total += _read(inner.parameters[number], inner, module)
    elif user.target in _FREE_TARGETS or user.opcode in collectives.KINDS:
      continue  # What a collective reads is counted with it.
    else:
      return everything
  return min(total, everything)


def _written(i: hlo.Instruction, fused: hlo.Computation) -> int:
  """Bytes of a result that a fused computation writes."""
  while i.opcode == 'bitcast':
    i = fused.operand(i, 0)
  if i.opcode == 'parameter' or i.opcode in collectives.KINDS:
    return 0  # Handed on, or counted with the collective.
  if i.opcode == 'dynamic-update-slice':
    update = fused.operand(i, 1).shape
    return sum(a.padded_nbytes for a in shapes.leaves(update))
  return sum(a.padded_nbytes for a in shapes.leaves(i.shape))
