"""What a compiled program keeps in a device's memory, by kind."""

from collections.abc import Mapping
import dataclasses
import pathlib
import re
from typing import Any

from msm_jax.compilation import hlo
from msm_jax.compilation import traffic

# What a step's arguments are, by the beginning of their names.
_KINDS = {
  'state.params': 'parameters',
  "state.optimizer['mu']": 'first moments',
  "state.optimizer['nu']": 'second moments',
  'batch': 'batch',
}


@dataclasses.dataclass(frozen=True)
class Buffer:
  """A stretch of memory that the compiler reserves between its arguments.

  Attributes:
    nbytes: Its size.
    shapes: Of the values that share it, one after the other.
  """

  nbytes: int
  shapes: str


@dataclasses.dataclass(frozen=True)
class Memory:
  """Bytes on each device, with the padding of tiles.

  Attributes:
    arguments: By kind: parameters, first and second moments, batch, other.
    outputs: Results that do not take the place of arguments.
    code: The program itself.
    temp: All else as the compiler lays it out: activations, gradients, gathered
      weights, and the gaps between them.
    xla_temp: `temp_size_in_bytes` of XLA's memory analysis, which others quote.
      It counts what a loop carries twice, but not the gaps.
    host: In the memory of the host, for what is offloaded to it.
    usable: What there is.
    largest: The largest buffers of `temp`.
  """

  arguments: Mapping[str, int]
  outputs: int
  code: int
  temp: int
  xla_temp: int
  usable: int
  host: int = 0
  largest: tuple[Buffer, ...] = ()

  @property
  def total(self) -> int:
    """Of the device's memory."""
    return sum(self.arguments.values()) + self.temp + self.outputs + self.code


def of_arguments(module: hlo.Module) -> dict[str, int]:
  """Returns the bytes of a program's arguments by kind."""
  found: dict[str, int] = {}
  for parameter in module.computations[module.entry].parameters:
    # XLA escapes the quotes of names.
    name = parameter.op_name.replace("\\'", "'")
    kind = next(
      (kind for prefix, kind in _KINDS.items() if name.startswith(prefix)),
      'other',
    )
    found[kind] = found.get(kind, 0) + traffic.nbytes(parameter.shape)
  return found


def of(
  stats: Any, module: hlo.Module, dump: pathlib.Path, usable: float
) -> Memory:
  """Returns the memory of a program.

  Args:
    stats: What `jax.stages.Compiled.memory_analysis()` returns.
    module: Its HLO.
    dump: The folder to which XLA was told to dump (`xla_dump_to`).
    usable: Bytes of a device that a program may use.
  """
  allocated, largest = usage_report(dump)
  outputs = stats.output_size_in_bytes - stats.alias_size_in_bytes
  return Memory(
    arguments=of_arguments(module),
    outputs=outputs,
    code=stats.generated_code_size_in_bytes,
    temp=allocated - stats.argument_size_in_bytes - outputs,
    xla_temp=stats.temp_size_in_bytes,
    usable=int(usable),
    host=stats.host_argument_size_in_bytes
    + stats.host_output_size_in_bytes
    - stats.host_alias_size_in_bytes
    + stats.host_temp_size_in_bytes,
    largest=largest,
  )


_REPORT = '*memory-usage-report.txt'
_TOTAL = re.compile(r'Memory Space: default.*\nTotal bytes: (\d+)')
_ROW = re.compile(
  r'^ +[\d.]+[KMG]?i?B\( *\d+%\); +([\d.]+)([KMG]?i?B); +\d+; +\d+; (.*)$',
  re.MULTILINE,
)
_UNITS = {'B': 1, 'KiB': 2**10, 'MiB': 2**20, 'GiB': 2**30}


def usage_report(
  dump: pathlib.Path, largest: int = 12
) -> tuple[int, tuple[Buffer, ...]]:
  """Reads XLA's report: all bytes of main memory, and the largest buffers.

  XLA writes it before it says that they are too many.
  """
  reports = list(dump.glob(_REPORT))
  if len(reports) != 1:
    raise RuntimeError(
      f'{dump}: XLA wrote {len(reports)} files {_REPORT}, expected one; is '
      'this a program for a TPU?'
    )
  text = reports[0].read_text(encoding='utf-8')
  total = _TOTAL.search(text)
  if not total:
    raise RuntimeError(f'{reports[0]}: names no total of the default memory')
  # The first table is that of temporaries; results have one each.
  table = text[total.end() :].split('\n\n')[0]
  buffers = tuple(
    Buffer(int(float(size) * _UNITS[unit]), shapes)
    for size, unit, shapes in _ROW.findall(table)[:largest]
  )
  return int(total[1]), buffers


class DoesNotFitError(Exception):
  """A program needs more memory than a device has.

  Attributes:
    needed: Bytes.
    largest: The largest buffers that are neither arguments nor results.
  """

  def __init__(self, message: str, needed: int, largest: tuple[Buffer, ...]):
    super().__init__(message)
    self.needed, self.largest = needed, largest


def does_not_fit(
  error: Exception, dump: pathlib.Path
) -> DoesNotFitError | None:
  """Returns the error as `DoesNotFitError`, if main memory is what ran out.

  Args:
    error: From compiling.
    dump: The folder to which XLA was told to dump (`xla_dump_to`).
  """
  message = str(error)
  if 'RESOURCE_EXHAUSTED' not in message or 'hbm' not in message.lower():
    return None
  return DoesNotFitError(message.splitlines()[0], *usage_report(dump))
