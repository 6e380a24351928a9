"""What of a module can be computed from its text: small constants, trip counts.

A value is an `np.ndarray`, a tuple of values, or None where it depends on what
the program is given.
"""

from collections.abc import Callable
from collections.abc import Sequence
import re
from typing import Any

import numpy as np

from msm_jax.compilation import hlo
from msm_jax.compilation import shapes

Value = Any

MAX_TRIPS = 10_000_000

_DTYPES: dict[str, Any] = {
  'pred': np.bool_,
  'bf16': np.float32,
  'f16': np.float16,
  'f32': np.float32,
  'f64': np.float64,
  **{f's{b}': np.dtype(f'int{b}').type for b in (8, 16, 32, 64)},
  **{f'u{b}': np.dtype(f'uint{b}').type for b in (8, 16, 32, 64)},
  **{kind + b: np.int8 for kind in 'su' for b in ('1', '2', '4')},
}

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
  'add': np.add,
  'subtract': np.subtract,
  'multiply': np.multiply,
  'minimum': np.minimum,
  'maximum': np.maximum,
  'and': np.bitwise_and,
  'or': np.bitwise_or,
}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
  'EQ': np.equal,
  'NE': np.not_equal,
  'LT': np.less,
  'LE': np.less_equal,
  'GT': np.greater,
  'GE': np.greater_equal,
}
# Operations that hand on their (first) operand.
_SAME = ('copy', 'bitcast', 'reshape')


def _literal(instruction: hlo.Instruction) -> Value:
  """Reads the value of a constant, unless it was left out as too large."""
  shape = instruction.shape
  if not isinstance(shape, shapes.Array) or '...' in instruction.literal:
    return None
  dtype = _DTYPES.get(shape.dtype)
  words = re.findall(r'[^\s{},]+', instruction.literal)
  if dtype is None or len(words) != shape.size:
    return None
  flat: list[Any]
  if shape.dtype == 'pred':
    flat = [word in ('true', '1') for word in words]
  elif np.issubdtype(dtype, np.integer):
    flat = [int(word) for word in words]
  else:
    flat = [float(word) for word in words]
  return np.asarray(flat, dtype).reshape(shape.dims)


class Frame:
  """A computation with what is known of its arguments.

  Args:
    module: The module.
    computation: One of its computations.
    arguments: A value for each parameter.
  """

  def __init__(
    self,
    module: hlo.Module,
    computation: hlo.Computation,
    arguments: Sequence[Value] = (),
  ):
    self.module, self.computation = module, computation
    self._arguments = arguments
    self._known: dict[str, Value] = {}

  def value(self, name: str) -> Value:
    """Returns the value of an instruction, or None."""
    if name not in self._known:
      self._known[name] = self._compute(self.computation.instructions[name])
    return self._known[name]

  @property
  def root(self) -> Value:
    return self.value(self.computation.root)

  def _compute(self, i: hlo.Instruction) -> Value:
    if i.opcode == 'parameter':
      number = int(i.literal)
      given = number < len(self._arguments)
      return self._arguments[number] if given else None
    if i.opcode == 'constant':
      return _literal(i)
    if i.opcode == 'tuple':
      return _Lazy([lambda n=n: self.value(n) for n in i.operands])  # type: ignore[misc]
    if i.opcode == 'copy-start':
      return _Lazy([lambda: self.value(i.operands[0])])
    if i.opcode == 'while':
      return self._invariants(i)
    if i.opcode in ('fusion', 'call'):
      attribute = 'calls' if i.opcode == 'fusion' else 'to_apply'
      (called,) = i.called(attribute)
      inner = self.module.computations[called]
      return Frame(self.module, inner, [self.value(n) for n in i.operands]).root
    return self._arithmetic(i)

  def _arithmetic(self, i: hlo.Instruction) -> Value:
    if i.opcode == 'get-tuple-element':
      whole = self.value(i.operands[0])
      return None if whole is None else whole[int(i.attributes['index'])]
    if i.opcode == 'copy-done':
      pair = self.value(i.operands[0])
      return None if pair is None else pair[0]
    if i.opcode in _SAME:
      return _shaped(self.value(i.operands[0]), i)
    if i.opcode not in _BINARY and i.opcode not in ('compare', 'convert'):
      return None
    operands = [self.value(n) for n in i.operands]
    if any(v is None for v in operands):
      return None
    if i.opcode == 'convert':
      return _shaped(operands[0], i)
    if i.opcode == 'compare':
      return _COMPARE[i.attributes['direction']](*operands)
    return _BINARY[i.opcode](*operands)

  def _invariants(self, loop: hlo.Instruction) -> Value:
    """Returns the state of a `while`, as far as its body leaves it as it is."""
    before = self.value(loop.operands[0])
    (name,) = loop.called('body')
    body = self.module.computations[name]
    unchanged = _unchanged(body)
    if before is None:
      return None
    return _Lazy(
      [
        (lambda n=n: before[n]) if n in unchanged else (lambda: None)  # type: ignore[misc]
        for n in range(len(before))
      ]
    )

  def trips(self, loop: hlo.Instruction) -> int:
    """Returns how often the body of a `while` is run.

    XLA says so on CPUs and GPUs. On TPUs the loop's own arithmetic is followed:
    the condition, and of the body only what the condition depends on.

    Raises:
      ValueError: If that depends on what the program is given.
    """
    known = loop.backend_config.get('known_trip_count')
    if known:
      return int(known['n'])
    (condition,) = (
      self.module.computations[n] for n in loop.called('condition')
    )
    (body,) = (self.module.computations[n] for n in loop.called('body'))
    before = self.value(loop.operands[0])
    if before is None:
      raise _unknown(loop)
    needed = self._needed(condition, body, before)
    state: dict[int, Value] = {n: before[n] for n in needed}
    for trips in range(MAX_TRIPS):
      arguments = [_Known(state)]
      goes_on = Frame(self.module, condition, arguments).root
      if goes_on is None:
        raise _unknown(loop)
      if not goes_on:
        return trips
      after = Frame(self.module, body, arguments).root
      state = {n: after[n] for n in needed}
    raise ValueError(
      f'HLO: the loop {loop.name} ({loop.op_name}) runs more than {MAX_TRIPS} '
      'times'
    )

  def _needed(
    self, condition: hlo.Computation, body: hlo.Computation, before: Value
  ) -> set[int]:
    """Returns the elements of the state that the condition depends on."""
    reads = _Recording(before)
    _ = Frame(self.module, condition, [reads]).root
    needed: set[int] = set()
    while missing := reads.seen - needed:
      needed |= missing
      after = Frame(self.module, body, [reads]).root
      for n in missing:
        _ = after[n]
    return needed


def _unknown(loop: hlo.Instruction) -> ValueError:
  return ValueError(
    f'HLO: how often the loop {loop.name} ({loop.op_name}) runs is not in the '
    'text; only loops of a fixed length can be counted'
  )


def _shaped(value: Value, i: hlo.Instruction) -> Value:
  """Gives a value the type and shape of an instruction that keeps its size."""
  if value is None or not isinstance(i.shape, shapes.Array):
    return None
  dtype = _DTYPES.get(i.shape.dtype)
  if dtype is None or np.size(value) != i.shape.size:
    return None
  return np.asarray(value).astype(dtype).reshape(i.shape.dims)


class _Lazy:
  """A tuple whose elements are computed when they are read."""

  def __init__(self, elements: Sequence[Callable[[], Value]]):
    self._elements = elements

  def __getitem__(self, n: int) -> Value:
    return self._elements[n]() if n < len(self._elements) else None

  def __len__(self) -> int:
    return len(self._elements)


class _Known:
  """A tuple of which some elements are known."""

  def __init__(self, elements: dict[int, Value]):
    self._elements = elements

  def __getitem__(self, n: int) -> Value:
    return self._elements.get(n)


class _Recording:
  """A tuple that remembers which of its elements were read."""

  def __init__(self, elements: Value):
    self._elements = elements
    self.seen: set[int] = set()

  def __getitem__(self, n: int) -> Value:
    self.seen.add(n)
    return self._elements[n]


def _unchanged(body: hlo.Computation) -> set[int]:
  """Returns the elements of a loop's state that the body hands on unchanged."""
  root = body.instructions[body.root]
  found = set()
  for n, name in enumerate(root.operands if root.opcode == 'tuple' else ()):
    i = body.instructions[name]
    while i.opcode in ('copy', 'bitcast', 'copy-done', 'copy-start'):
      i = body.operand(i, 0)
    if (
      i.opcode == 'get-tuple-element'
      and int(i.attributes['index']) == n
      and body.operand(i, 0).opcode == 'parameter'
    ):
      found.add(n)
  return found
