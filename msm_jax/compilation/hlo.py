"""Reads the text of an optimised HLO module, of a TPU or a CPU.

The text is what `jax.stages.Compiled.as_text()` returns: a header, tables of
source locations, and computations, of which one is the entry. The instructions
of a TPU's module stand in the order in which they run.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import functools
import json
import re
from typing import Any

from msm_jax.compilation import shapes


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One instruction.

  Attributes:
    name: Unique in the module.
    opcode: As printed, e.g. `'fusion'` or `'all-gather-start'`.
    shape: Of the result.
    operands: Names of instructions of the same computation.
    literal: What stands in the parentheses if it is not operands: the value of
      a constant, the number of a parameter.
    attributes: What follows the operands, by name, not interpreted.
  """

  name: str
  opcode: str
  shape: shapes.Shape
  operands: tuple[str, ...]
  literal: str
  attributes: Mapping[str, str]

  @property
  def op_name(self) -> str:
    """Where in the program it came from, e.g. `'jit(step)/while/dot'`."""
    match = re.search(
      r'op_name="((?:[^"\\]|\\.)*)"', self.attributes.get('metadata', '')
    )
    return match[1] if match else ''

  @property
  def target(self) -> str:
    """The target of a custom call, or nothing."""
    return self.attributes.get('custom_call_target', '').strip('"')

  def frontend_attribute(self, name: str) -> str | None:
    """Returns what the program, not XLA, noted under a name."""
    text = self.attributes.get('frontend_attributes', '')
    match = re.search(rf'\b{name}="([^"]*)"', text)
    return match[1] if match else None

  def numbers(self, attribute: str) -> tuple[int, ...]:
    """Returns an attribute such as `dimensions={0,1}`; none if absent."""
    return tuple(
      int(n) for n in re.findall(r'-?\d+', self.attributes.get(attribute, ''))
    )

  def called(self, attribute: str) -> tuple[str, ...]:
    """Returns the names of the computations that an attribute gives."""
    value = self.attributes.get(attribute, '')
    return tuple(re.findall(r'%?([\w.\-]+)', value))

  @functools.cached_property
  def backend_config(self) -> dict[str, Any]:
    """What the backend noted, if that is JSON; otherwise nothing."""
    text = self.attributes.get('backend_config', '')
    if text.startswith('"'):
      text = json.loads(text)
    return json.loads(text) if text.startswith('{') else {}


@dataclasses.dataclass(frozen=True)
class Computation:
  """A computation: instructions by name, in order; the root is the last value.

  Attributes:
    name: Unique in the module.
    instructions: In the printed order.
    root: Name of the instruction whose value is returned.
  """

  name: str
  instructions: Mapping[str, Instruction]
  root: str

  @functools.cached_property
  def parameters(self) -> tuple[Instruction, ...]:
    """By number."""
    found = [i for i in self.instructions.values() if i.opcode == 'parameter']
    return tuple(sorted(found, key=lambda i: int(i.literal)))

  @functools.cached_property
  def users(self) -> Mapping[str, tuple[Instruction, ...]]:
    """Who reads the value of an instruction, by its name."""
    found: dict[str, list[Instruction]] = {
      name: [] for name in self.instructions
    }
    for instruction in self.instructions.values():
      for operand in dict.fromkeys(instruction.operands):
        found[operand].append(instruction)
    return {name: tuple(users) for name, users in found.items()}

  def operand(self, instruction: Instruction, index: int) -> Instruction:
    return self.instructions[instruction.operands[index]]

  def operand_shapes(self, instruction: Instruction) -> list[shapes.Shape]:
    return [self.instructions[name].shape for name in instruction.operands]


@dataclasses.dataclass(frozen=True)
class Module:
  """A compiled program, the same on each device.

  Attributes:
    name: For instance `'jit_step'`.
    computations: By name.
    entry: Name of the one that is run.
    header: The attributes in the first line, not interpreted.
  """

  name: str
  computations: Mapping[str, Computation]
  entry: str
  header: Mapping[str, str]

  @property
  def is_scheduled(self) -> bool:
    return self.header.get('is_scheduled') == 'true'

  @property
  def n_devices(self) -> int:
    """How many devices the program is for."""
    partitions = int(self.header.get('num_partitions', '1'))
    return partitions * int(self.header.get('replica_count', '1'))


_OPEN = {'(': ')', '{': '}', '[': ']'}
# What a scan may jump over at once: a string, or anything without meaning.
_SKIP = re.compile(r'"(?:[^"\\]|\\.)*"|[^"(){}\[\],]+')


def _top_level_parts(text: str, start: int) -> tuple[list[str], int]:
  """Splits at commas outside of brackets and strings.

  Returns:
    The parts up to the bracket that closes before `start`'s level, or to the
    end of the text; and where that is.
  """
  parts: list[str] = []
  depth, at, begin = 0, start, start
  while at < len(text):
    if match := _SKIP.match(text, at):
      at = match.end()
      continue
    char = text[at]
    if char in _OPEN:
      depth += 1
    elif char == ',' and depth == 0:
      parts.append(text[begin:at].strip())
      begin = at + 1
    elif char in ')}]':
      if depth == 0:
        break
      depth -= 1
    at += 1
  if text[begin:at].strip():
    parts.append(text[begin:at].strip())
  return parts, at


def _attributes(parts: list[str]) -> dict[str, str]:
  found = {}
  for part in parts:
    key, equals, value = part.partition('=')
    if equals:
      found[key.strip()] = value
  return found


_NAMED = re.compile(r'\s*(ROOT )?%?([\w.\-]+) = ')
_OPCODE = re.compile(r'\s*([\w\-]+)\(')
# Operands may be printed with their shapes and comments before them.
_OPERAND = re.compile(r'%?([\w.\-]+)$')
_WITHOUT_OPERANDS = ('constant', 'parameter', 'iota')


def _instruction(text: str) -> tuple[Instruction, bool]:
  """Reads one instruction; returns it, and whether it is the root."""
  head = _NAMED.match(text)
  if not head:
    raise ValueError(f'HLO: no instruction in {text[:120]!r}')
  shape, at = shapes.parse(text, head.end())
  opcode = _OPCODE.match(text, at)
  if not opcode:
    raise ValueError(f'HLO: no opcode in {text[:200]!r}')
  inside, end = _top_level_parts(text, opcode.end())
  attributes = _attributes(_top_level_parts(text, end + 1)[0])
  operands: list[str] = []
  literal = ''
  if opcode[1] in _WITHOUT_OPERANDS:
    literal = text[opcode.end() : end]
  else:
    for part in inside:
      name = _OPERAND.search(part)
      if not name:
        raise ValueError(f'HLO: {head[2]}: {part!r} is not an operand')
      operands.append(name[1])
  return Instruction(
    head[2], opcode[1], shape, tuple(operands), literal, attributes
  ), bool(head[1])


_HEADER = re.compile(r'(ENTRY )?%?([\w.\-]+)(?: \(.*\) -> .*| )?\{$')
# Computations of other cores than the tensor core are marked.
_END = re.compile(r'\}(, execution_thread="\w+")?$')
_COMMENT = re.compile(r'/\*[^*]*\*/')
_STATEMENT = re.compile(r'\s+(?:ROOT )?%?[\w.\-]+ = ')


def _statements(lines: list[str]) -> Iterator[str]:
  """Joins lines: strings inside of attributes may hold line breaks."""
  pending: list[str] = []
  for line in lines:
    if _STATEMENT.match(line) and pending:
      yield '\n'.join(pending)
      pending = []
    pending.append(line)
  if pending:
    yield '\n'.join(pending)


def _computation(name: str, lines: list[str]) -> Computation:
  instructions = {}
  root = ''
  for statement in _statements(lines):
    instruction, is_root = _instruction(statement)
    instructions[instruction.name] = instruction
    if is_root:
      root = instruction.name
  if not root:
    raise ValueError(f'HLO: the computation {name} has no root')
  return Computation(name, instructions, root)


def parse(text: str) -> Module:
  """Reads a module.

  Raises:
    ValueError: If the text is not that of an HLO module.
  """
  text = _COMMENT.sub('', text)
  first, _, rest = text.partition('\n')
  match = re.match(r'HloModule ([\w.\-]+)(?:, )?', first)
  if not match:
    raise ValueError(f'HLO: the text begins with {first[:60]!r}, not HloModule')
  header = _attributes(_top_level_parts(first, match.end())[0])
  computations: dict[str, Computation] = {}
  entry = name = ''
  body: list[str] | None = None
  for line in rest.splitlines():
    if body is None:
      if found := _HEADER.match(line):
        name, body = found[2], []
        entry = name if found[1] else entry
    elif _END.match(line):
      computations[name] = _computation(name, body)
      body = None
    else:
      body.append(line)
  if not entry or body is not None:
    raise ValueError('HLO: the text ends before the entry computation does')
  return Module(match[1], computations, entry, header)
