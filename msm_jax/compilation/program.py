"""What a compiled program does, in order: work, collectives, loops.

This is the bridge from HLO to counts and times: a module becomes a list of
events, in which everything that XLA nests and fuses is either work (FLOPs and
bytes) or a collective, and every loop says how often it runs.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses

from msm_jax.compilation import collectives
from msm_jax.compilation import constants
from msm_jax.compilation import hlo
from msm_jax.compilation import products
from msm_jax.compilation import shapes
from msm_jax.compilation import traffic

# Of memory, or a part of it, to another place or kind of memory.
_COPIES = ('copy-start', 'slice-start', 'dynamic-slice-start')
# Custom calls that are kernels written by hand (Pallas).
KERNEL_TARGETS = ('tpu_custom_call',)


@dataclasses.dataclass(frozen=True)
class Work:
  """An instruction that computes or moves data on one device.

  Attributes:
    name: Of the instruction.
    op_name: Where in the program it came from.
    flops: In matrix products.
    moved: Bytes of main memory.
    kernel_flops: Of `flops`, those of kernels written by hand.
  """

  name: str
  op_name: str
  flops: int
  moved: traffic.Traffic
  kernel_flops: int = 0


@dataclasses.dataclass(frozen=True)
class Start:
  """A collective begins; a synchronous one is followed by its `Done`.

  Attributes:
    name: Of the instruction with which it begins.
    collective: What is sent.
  """

  name: str
  collective: collectives.Collective


@dataclasses.dataclass(frozen=True)
class Copy:
  """A copy begins that goes on beside other work.

  Attributes:
    name: Of the instruction with which it begins.
    moved: Bytes of main memory.
  """

  name: str
  moved: traffic.Traffic


@dataclasses.dataclass(frozen=True)
class Done:
  """The program waits for the end of what began with the instruction `name`."""

  name: str


@dataclasses.dataclass(frozen=True)
class Loop:
  """A body that is run a fixed number of times."""

  name: str
  op_name: str
  trips: int
  body: tuple['Event', ...]


Event = Work | Start | Copy | Done | Loop


@dataclasses.dataclass(frozen=True)
class Program:
  """Attributes:
  events: In the order of the schedule (of the text, where it has none).
  uncounted: Kernels whose FLOPs are not known, so that nobody is misled.
  """

  events: tuple[Event, ...]
  uncounted: tuple[str, ...]


def read(module: hlo.Module) -> Program:
  """Returns what a module does.

  Raises:
    ValueError: If it has loops whose length is not fixed.
  """
  reader = _Reader(module)
  entry = constants.Frame(module, module.computations[module.entry])
  events = tuple(reader.events(entry))
  return Program(events, tuple(sorted(reader.uncounted)))


def flops(events: tuple[Event, ...]) -> int:
  """FLOPs in matrix products, with loops counted fully."""
  return _total(events, lambda work: work.flops)


def kernel_flops(events: tuple[Event, ...]) -> int:
  """Of `flops`, those of kernels written by hand, such as attention's."""
  return _total(events, lambda work: work.kernel_flops)


def _total(events: tuple[Event, ...], of: Callable[[Work], int]) -> int:
  total = 0
  for event in events:
    if isinstance(event, Work):
      total += of(event)
    elif isinstance(event, Loop):
      total += event.trips * _total(event.body, of)
  return total


def moved(events: tuple[Event, ...]) -> traffic.Traffic:
  """Bytes of main memory, with loops counted fully."""
  total = traffic.Traffic()
  for event in events:
    if isinstance(event, Work | Copy):
      total += event.moved
    elif isinstance(event, Loop):
      inner = moved(event.body)
      total += traffic.Traffic(
        event.trips * inner.read, event.trips * inner.written
      )
  return total


def all_collectives(
  events: tuple[Event, ...], times: int = 1
) -> Iterator[tuple[collectives.Collective, int]]:
  """Yields every collective and how often it is run."""
  for event in events:
    if isinstance(event, Start):
      yield event.collective, times
    elif isinstance(event, Loop):
      yield from all_collectives(event.body, times * event.trips)


class _Reader:
  def __init__(self, module: hlo.Module):
    self._module = module
    self.uncounted: set[str] = set()
    self._begun: set[str] = set()

  def events(self, frame: constants.Frame) -> Iterator[Event]:
    """Yields the events of a computation."""
    for i in frame.computation.instructions.values():
      if i.opcode == 'while':
        yield self._loop(i, frame)
      elif i.opcode == 'conditional':
        yield from self._branch(i, frame)
      elif collective := collectives.find(i, frame.computation, self._module):
        self._begun.add(i.name)
        yield Start(i.name, collective)
        if not collective.is_async:
          yield Done(i.name)
      elif (
        name := _ends(i, frame.computation, self._module)
      ) and name in self._begun:
        yield Done(name)
      elif i.opcode in _COPIES:
        self._begun.add(i.name)
        yield Copy(i.name, traffic.of(i, frame.computation, self._module))
      elif i.opcode == 'call' or i.opcode.endswith('-start'):
        yield from self._called(i, frame)
      else:
        yield self._work(i, frame)

  def _inner(
    self, name: str, operands: Sequence[str], frame: constants.Frame
  ) -> constants.Frame:
    arguments = [frame.value(operand) for operand in operands]
    inner = self._module.computations[name]
    return constants.Frame(self._module, inner, arguments)

  def _called(
    self, i: hlo.Instruction, frame: constants.Frame
  ) -> Iterator[Event]:
    """A call; or work that is started beside other work, as if done at once."""
    names = collectives.called(i)
    if not names:
      yield self._work(i, frame)
    for name in names:
      yield from self.events(self._inner(name, i.operands, frame))

  def _loop(self, i: hlo.Instruction, frame: constants.Frame) -> Loop:
    (name,) = i.called('body')
    body = self._inner(name, [i.name], frame)
    return Loop(i.name, i.op_name, frame.trips(i), tuple(self.events(body)))

  def _branch(
    self, i: hlo.Instruction, frame: constants.Frame
  ) -> tuple[Event, ...]:
    """Of several branches the one with most FLOPs, then most bytes, is run."""
    names = i.called('branch_computations') or (
      *i.called('true_computation'),
      *i.called('false_computation'),
    )
    branches = [
      tuple(self.events(self._inner(name, [operand], frame)))
      for operand, name in zip(i.operands[1:], names, strict=True)
    ]

    def cost(events: tuple[Event, ...]) -> tuple[int, int]:
      bytes_moved = moved(events)
      return flops(events), bytes_moved.read + bytes_moved.written

    return max(branches, key=cost)

  def _work(self, i: hlo.Instruction, frame: constants.Frame) -> Work:
    found = self._flops(i, frame)
    return Work(
      i.name,
      i.op_name,
      found,
      traffic.of(i, frame.computation, self._module),
      found if i.target in KERNEL_TARGETS else 0,
    )

  def _flops(self, i: hlo.Instruction, frame: constants.Frame) -> int:
    computation = frame.computation
    if i.opcode == 'dot':
      return products.dot_flops(i, computation)
    if i.opcode == 'convolution':
      return products.convolution_flops(i, computation)
    if i.opcode == 'fusion':
      (name,) = i.called('calls')
      inner = self._inner(name, i.operands, frame)
      return sum(
        self._flops(other, inner)
        for other in inner.computation.instructions.values()
      )
    if i.target in KERNEL_TARGETS:
      found = products.kernel_flops(i, frame)
      if found is None:
        self.uncounted.add(i.op_name or i.name)
      return found or 0
    return 0


def _ends(
  i: hlo.Instruction, computation: hlo.Computation, module: hlo.Module
) -> str | None:
  """Returns the instruction that began what this one waits for, if any did."""
  if i.opcode == 'recv-done':
    meets = collectives.rendezvous(computation.operand(i, 0))
    for other in computation.instructions.values():
      if other.opcode == 'send' and collectives.rendezvous(other) == meets:
        return other.name
    return None
  if i.opcode.endswith('-done') and i.opcode != 'send-done':
    start = computation.operand(i, 0)
    while start.opcode.endswith('-update'):
      start = computation.operand(start, 0)
    return start.name
  if i.opcode != 'fusion':
    return None
  (name,) = i.called('calls')
  fused = module.computations[name]
  if all(
    o.target != 'AsyncCollectiveDone' for o in fused.instructions.values()
  ):
    return None
  return _began(i, computation, module)


def _began(
  i: hlo.Instruction, computation: hlo.Computation, module: hlo.Module
) -> str | None:
  """Follows a semaphore from the end of a collective, step by step, back."""
  semaphore = next(
    (
      computation.instructions[name]
      for name in i.operands
      if _is_semaphore(computation.instructions[name].shape)
    ),
    None,
  )
  while semaphore and semaphore.opcode == 'get-tuple-element':
    fusion = computation.operand(semaphore, 0)
    if fusion.opcode != 'fusion':
      return None  # Begun in an earlier iteration of a loop.
    (name,) = fusion.called('calls')
    fused = module.computations[name]
    root = fused.instructions[fused.root]
    if root.opcode != 'tuple':
      return fusion.name
    handed_on = fused.operand(root, int(semaphore.attributes['index']))
    if handed_on.opcode != 'parameter':
      return fusion.name
    semaphore = computation.operand(fusion, int(handed_on.literal))
  return None


def _is_semaphore(shape: shapes.Shape) -> bool:
  return isinstance(shape, shapes.Array) and (
    shape.memory_space == shapes.SEMAPHORES
  )
