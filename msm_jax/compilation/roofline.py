"""How long a program takes at least, from what it does and what a chip can do.

The schedule is played through: work takes as long as its FLOPs or its bytes at
the chip's peak, whichever is longer; a collective occupies the network from its
start on, behind those that began before it, and the program waits for it at its
end. What of a collective no work hides is *exposed*. Copies that go on beside
work have what bandwidth of main memory the work leaves them; at its end the
program waits for what is left of a copy.
"""

from collections.abc import Sequence
import dataclasses

from msm_jax.compilation import collectives
from msm_jax.compilation import program
from msm_jax.compilation import topology as topology_lib
from msm_jax.compilation import traffic

ASSUMPTIONS = (
  'matrix products run at the peak bf16 rate, whatever their shapes',
  'elementwise work costs only the bytes that it moves; fused work moves '
  "nothing but the fusion's inputs and outputs; a kernel reads each input once",
  'an instruction takes the longer of its FLOPs and its bytes; different '
  'instructions overlap only where a collective or a copy is asynchronous',
  'a collective uses every link that the compiler names (where it names none, '
  'every link in the dimensions that its group spans) at full speed, has no '
  'latency, and does not slow down the work beside it',
  'collectives that run at the same time on one network share it',
  'of several branches the most expensive is taken',
  'host, input pipeline, checkpoints, evaluations and restarts are free',
)

ICI = 'ici'
DCN = 'dcn'


@dataclasses.dataclass
class Usage:
  """One collective of the program, over all of its runs in a step.

  Attributes:
    collective: What is sent.
    network: `'ici'` inside a slice, `'dcn'` between slices.
    runs: How often it runs.
    seconds: On the network.
    exposed: Seconds for which the program waits for it.
    hidden_behind: Seconds of work between its starts and its ends.
  """

  collective: collectives.Collective
  network: str
  runs: int = 0
  seconds: float = 0.0
  exposed: float = 0.0
  hidden_behind: float = 0.0

  @property
  def is_overlapped(self) -> bool:
    """Whether it runs beside work."""
    return self.hidden_behind > 0


@dataclasses.dataclass(frozen=True)
class Estimate:
  """Least times of one step, in seconds, on each device.

  Attributes:
    schedule: With overlap only where the schedule has it; the step time.
    ideal: If everything overlapped with everything.
    compute: All FLOPs at peak.
    memory: All bytes at peak.
    ici: All collectives within a slice.
    dcn: All collectives between slices.
    exposed: Of `schedule`, what is spent waiting for collectives.
    usages: Each collective of the program.
  """

  schedule: float
  compute: float
  memory: float
  ici: float
  dcn: float
  exposed: float
  usages: tuple[Usage, ...]

  @property
  def ideal(self) -> float:
    return max(self.compute, self.memory, self.ici, self.dcn)


def estimate(
  events: tuple[program.Event, ...],
  topology: topology_lib.Topology,
  places: Sequence[topology_lib.Place],
) -> Estimate:
  """Returns the least times of a program.

  Args:
    events: What it does.
    topology: Of the chips that it runs on.
    places: Of the devices, in the order in which the program numbers them.
  """
  player = _Player(topology, places)
  played = player.play(events, 1)
  moved = program.moved(events)
  usages = tuple(player.usages.values())

  def busy(network: str) -> float:
    return sum(u.seconds for u in usages if u.network == network)

  return Estimate(
    schedule=played.seconds,
    compute=program.flops(events) / topology.flops,
    memory=(moved.read + moved.written) / topology.hbm_bandwidth,
    ici=busy(ICI),
    dcn=busy(DCN),
    exposed=sum(u.exposed for u in usages),
    usages=usages,
  )


@dataclasses.dataclass
class _Running:
  """A collective that has begun.

  Attributes:
    usage: Where its times are added up.
    ends: When it will have ended.
    worked: Seconds of work that had been done when it began.
  """

  usage: Usage
  ends: float
  worked: float


@dataclasses.dataclass
class _Played:
  """How long events took.

  Attributes:
    seconds: Altogether.
    worked: Of those, working.
    idle: Of those, without any use of main memory.
    busy: Of each network.
  """

  seconds: float = 0.0
  worked: float = 0.0
  idle: float = 0.0
  busy: dict[str, float] = dataclasses.field(
    default_factory=lambda: {ICI: 0.0, DCN: 0.0}
  )

  def work(self, seconds: float) -> None:
    self.seconds += seconds
    self.worked += seconds


class _Copies:
  """Copies that have begun: main memory serves one after the other."""

  def __init__(self):
    self._left: dict[str, float] = {}

  def begin(self, name: str, seconds: float) -> None:
    self._left[name] = seconds

  def use(self, idle: float) -> float:
    """Goes on for some time in which memory is idle; returns what is left."""
    for name, seconds in self._left.items():
      used = min(idle, seconds)
      self._left[name] = seconds - used
      idle -= used
    return idle

  def finish(self, name: str) -> float:
    """Returns for how long the program waits until a copy has ended."""
    waited = 0.0
    while name in self._left:
      first = next(iter(self._left))
      waited += self._left.pop(first)
    return waited

  def __contains__(self, name: str) -> bool:
    return name in self._left

  def finish_all(self) -> float:
    return sum(self.finish(name) for name in list(self._left))


class _Player:
  def __init__(
    self,
    topology: topology_lib.Topology,
    places: Sequence[topology_lib.Place],
  ):
    self._topology, self._places = topology, places
    self.usages: dict[str, Usage] = {}

  def play(self, events: Sequence[program.Event], times: int) -> _Played:
    """Plays events once; counts what they use as if played `times` times."""
    played = _Played()
    free = dict.fromkeys(played.busy, 0.0)
    running: dict[str, _Running] = {}
    copies = _Copies()

    def wait(name: str) -> None:
      if name in copies:
        played.work(copies.finish(name))
      run = running.pop(name, None)
      if run is None:
        return
      waited = max(run.ends - played.seconds, 0.0)
      run.usage.hidden_behind += times * (played.worked - run.worked)
      run.usage.exposed += times * waited
      played.seconds += waited
      played.idle += copies.use(waited)

    for event in events:
      if isinstance(event, program.Work):
        compute = event.flops / self._topology.flops
        memory = self._memory_seconds(event.moved)
        played.work(max(compute, memory))
        played.idle += copies.use(max(compute - memory, 0.0))
      elif isinstance(event, program.Copy):
        copies.begin(event.name, self._memory_seconds(event.moved))
      elif isinstance(event, program.Start):
        usage = self._usage(event)
        seconds = self._topology.seconds(event.collective, self._places)
        usage.runs += times
        usage.seconds += times * seconds
        ends = max(played.seconds, free[usage.network]) + seconds
        free[usage.network] = ends
        played.busy[usage.network] += seconds
        running[event.name] = _Running(usage, ends, played.worked)
      elif isinstance(event, program.Done):
        wait(event.name)
      elif event.trips:
        inner = self.play(event.body, times * event.trips)
        for network in free:
          seconds = event.trips * inner.busy[network]
          played.busy[network] += seconds
          # What is still being sent shares the network with the loop.
          if free[network] > played.seconds:
            free[network] += seconds
          for run in running.values():
            if run.usage.network == network and run.ends > played.seconds:
              run.ends += seconds
        played.seconds += event.trips * inner.seconds
        played.worked += event.trips * inner.worked
        played.idle += copies.use(event.trips * inner.idle)
    for name in list(running):
      wait(name)
    played.work(copies.finish_all())
    return played

  def _memory_seconds(self, moved: traffic.Traffic) -> float:
    return (moved.read + moved.written) / self._topology.hbm_bandwidth

  def _usage(self, start: program.Start) -> Usage:
    if start.name not in self.usages:
      crosses = self._topology.crosses_slices(start.collective, self._places)
      self.usages[start.name] = Usage(start.collective, DCN if crosses else ICI)
    return self.usages[start.name]
