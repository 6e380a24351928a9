"""What is known of a phase before a chip is rented."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from msm_jax.compilation import memory as memory_lib
from msm_jax.compilation import program
from msm_jax.compilation import roofline
from msm_jax.compilation import topology as topology_lib


@dataclasses.dataclass(frozen=True)
class Job:
  """What is run, and on what.

  Attributes:
    phase: Its name.
    updates: Of the phase.
    batch_size: Sequences of an update.
    seq_len: Tokens of a sequence.
    model_flops: Of an update, all devices together: what the model needs, not
      what the program recomputes.
    n_params: Of the model.
    topology: The chips.
    mesh: Devices along each axis.
    price: US dollars per chip-hour; None if it is not known.
    loss_chunk: Positions whose logits exist at the same time.
    loss_group: Devices that share the vocabulary in the loss.
    compiler_options: XLA's, all of them.
  """

  phase: str
  updates: int
  batch_size: int
  seq_len: int
  model_flops: float
  n_params: int
  topology: topology_lib.Topology
  mesh: Mapping[str, int]
  price: float | None
  loss_chunk: int
  loss_group: int = 1
  compiler_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def tokens(self) -> int:
    """Of an update."""
    return self.batch_size * self.seq_len

  def summary(self) -> dict[str, Any]:
    """Returns the job as JSON."""
    return {
      'phase': self.phase,
      'topology': self.topology.name,
      'num_slices': self.topology.num_slices,
      'chips': self.topology.n_chips,
      'devices': self.topology.n_devices,
      'mesh': dict(self.mesh),
      'batch_size': self.batch_size,
      'seq_len': self.seq_len,
      'updates': self.updates,
      'loss_chunk': self.loss_chunk,
      'loss_group': self.loss_group,
      'compiler_options': dict(self.compiler_options),
    }


@dataclasses.dataclass(frozen=True)
class Traded:
  """Collectives of one kind.

  Attributes:
    kind: For instance `'all-gather'`.
    dtype: Of what is sent.
    network: `'ici'` or `'dcn'`.
    group_size: Devices that exchange with each other.
    is_async: Whether they begin and end in different instructions.
    is_overlapped: Whether work stands between.
    sites: How many such instructions the program has.
    runs: How often they run in an update.
    nbytes: In all runs, on each device; see `Collective.nbytes`.
    seconds: On the network.
    exposed: Seconds for which the program waits.
  """

  kind: str
  dtype: str
  network: str
  group_size: int
  is_async: bool
  is_overlapped: bool
  sites: int
  runs: int
  nbytes: int
  seconds: float
  exposed: float


def traded(usages: Sequence[roofline.Usage]) -> tuple[Traded, ...]:
  """Returns collectives by kind, the longest first."""
  rows: dict[Any, list[roofline.Usage]] = {}
  for usage in usages:
    c = usage.collective
    key = {
      'kind': c.kind,
      'dtype': c.dtype,
      'network': usage.network,
      'group_size': c.group_size,
      'is_async': c.is_async,
      'is_overlapped': usage.is_overlapped,
    }
    rows.setdefault(tuple(key.items()), []).append(usage)
  found = [
    Traded(
      **dict(key),
      sites=len(same),
      runs=sum(u.runs for u in same),
      nbytes=sum(u.runs * u.collective.nbytes for u in same),
      seconds=sum(u.seconds for u in same),
      exposed=sum(u.exposed for u in same),
    )
    for key, same in rows.items()
  ]
  return tuple(sorted(found, key=lambda row: -row.seconds))


@dataclasses.dataclass(frozen=True)
class Report:
  """What one compiled step is known to do on each device.

  Attributes:
    job: What is run, and on what.
    memory: By kind.
    flops: In matrix products, recomputation included.
    kernel_flops: Of those, in kernels written by hand, such as attention's.
    read: Bytes of main memory.
    written: Bytes of main memory.
    collectives: By kind.
    times: Least times of an update.
    uncounted: Kernels whose FLOPs are not known and not in `flops`.
    compile_seconds: How long compiling took here.
  """

  job: Job
  memory: memory_lib.Memory
  flops: int
  kernel_flops: int
  read: int
  written: int
  collectives: tuple[Traded, ...]
  times: roofline.Estimate
  uncounted: tuple[str, ...]
  compile_seconds: float

  @property
  def flops_ratio(self) -> float:
    """FLOPs that are executed for each that the model needs."""
    return self.flops * self.job.topology.n_devices / self.job.model_flops

  @property
  def dots_ratio(self) -> float:
    """FLOPs outside of kernels for each of 6 · parameters · tokens."""
    dots = (self.flops - self.kernel_flops) * self.job.topology.n_devices
    return dots / (6 * self.job.n_params * self.job.tokens)

  @property
  def mfu_bound(self) -> float:
    """Model-FLOPs utilisation that cannot be exceeded on this schedule."""
    peak = self.job.topology.flops * self.job.topology.n_devices
    return self.job.model_flops / (self.times.schedule * peak)

  @property
  def tokens_per_second_per_chip(self) -> float:
    return self.job.tokens / self.times.schedule / self.job.topology.n_chips

  @property
  def hours(self) -> float:
    """Of the whole phase."""
    return self.job.updates * self.times.schedule / 3600

  @property
  def chip_hours(self) -> float:
    return self.hours * self.job.topology.n_chips

  @property
  def cost(self) -> float | None:
    """US dollars of the phase, if the price is known."""
    price = self.job.price
    return None if price is None else self.chip_hours * price

  @property
  def non_overlapped(self) -> int:
    """Collectives that no work runs beside, each instruction counted once."""
    return sum(c.sites for c in self.collectives if not c.is_overlapped)

  def summary(self) -> dict[str, Any]:
    """Returns the report as JSON; bytes, FLOPs and seconds, on each device."""
    memory = dataclasses.asdict(self.memory)
    times = {
      f'{name}_seconds': getattr(self.times, name)
      for name in (
        'schedule',
        'ideal',
        'compute',
        'memory',
        'ici',
        'dcn',
        'exposed',
      )
    }
    return {
      **self.job.summary(),
      'fits': True,
      'memory': {**memory, 'total': self.memory.total},
      'flops': {
        'executed': self.flops,
        'model': self.job.model_flops / self.job.topology.n_devices,
        'ratio': self.flops_ratio,
        'kernels': self.kernel_flops,
        'dots_per_6_n_tokens': self.dots_ratio,
        'uncounted_kernels': list(self.uncounted),
      },
      'bytes': {'read': self.read, 'written': self.written},
      'collectives': [dataclasses.asdict(c) for c in self.collectives],
      'non_overlapped_collectives': self.non_overlapped,
      'time': times,
      'mfu_bound': self.mfu_bound,
      'tokens_per_second_per_chip': self.tokens_per_second_per_chip,
      'hours': self.hours,
      'chip_hours': self.chip_hours,
      'price_per_chip_hour': self.job.price,
      'cost': self.cost,
      'compile_seconds': self.compile_seconds,
      'assumptions': list(roofline.ASSUMPTIONS),
    }


@dataclasses.dataclass(frozen=True)
class Refusal:
  """A step that does not fit.

  Attributes:
    job: What was to be run, and on what.
    message: The compiler's.
    needed: Bytes on each device.
    largest: The largest buffers that are neither arguments nor results.
  """

  job: Job
  message: str
  needed: int
  largest: tuple[memory_lib.Buffer, ...]

  def summary(self) -> dict[str, Any]:
    """Returns the refusal as JSON."""
    return {
      **self.job.summary(),
      'fits': False,
      'message': self.message,
      'memory': {
        'total': self.needed,
        'usable': int(self.job.topology.usable_hbm),
        'largest': [dataclasses.asdict(b) for b in self.largest],
      },
    }


def make(
  job: Job,
  compiled: program.Program,
  memory: memory_lib.Memory,
  places: Sequence[topology_lib.Place],
  compile_seconds: float,
) -> Report:
  """Returns the report of a compiled step."""
  times = roofline.estimate(compiled.events, job.topology, places)
  moved = program.moved(compiled.events)
  return Report(
    job=job,
    memory=memory,
    flops=program.flops(compiled.events),
    kernel_flops=program.kernel_flops(compiled.events),
    read=moved.read,
    written=moved.written,
    collectives=traded(times.usages),
    times=times,
    uncounted=compiled.uncounted,
    compile_seconds=compile_seconds,
  )
