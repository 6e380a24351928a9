"""Runs a graph of stages on this machine, several at a time."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import threading
from types import FrameType
from typing import Any

from launch import graph
from launch import jobs
from launch import lock
from launch.display import Display
from msm_jax import progress

_POLL = 0.1
_NOTE_PERIOD = 5.0
_PATIENCE = 60.0
_PREEMPTED = 75
_NAME = 24
_RESULT_NAME = 'result.json'
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StageFailedError(RuntimeError):
  """A stage exited with an error; the message has its log and its command."""


class Interrupted(SystemExit):
  """Ctrl-C or SIGTERM; running stages were asked to save and have stopped."""


@dataclasses.dataclass
class _Running:
  """A stage at work.

  Attributes:
    begun: Its key and the time that interrupted attempts took.
    job: Its process.
    noted: Seconds of the job that are in the ledger.
  """

  stage: graph.Stage
  begun: graph.Begun
  job: jobs.Job
  noted: float = 0.0

  @property
  def seconds(self) -> float:
    return self.begun.seconds + self.job.seconds


def _how_it_ended(code: int) -> str:
  if code == _PREEMPTED:
    return 'was stopped by SIGTERM after saving; run it again to continue'
  if code < 0:
    memory = '; is there enough memory?' if code == -signal.SIGKILL else ''
    return f'was killed by signal {-code} ({signal.strsignal(-code)}){memory}'
  return f'exited with code {code}'


class Executor:
  """Runs stages as soon as what they need is there and cores are free.

  Stages are started in the order in which they are listed: where one has to
  wait for cores, those behind it wait too, or it could wait for ever.
  """

  def __init__(
    self,
    stages: Sequence[graph.Stage],
    workdir: pathlib.Path,
    *,
    cores: Sequence[int] | None = None,
    environment: dict[str, str] | None = None,
    display: Display | None = None,
  ):
    """Checks the graph.

    Args:
      stages: In an order in which they could run one by one.
      workdir: Where they write.
      cores: Processor cores to use; default those of this process.
      environment: Added to that of every stage.
      display: Default on stdout.

    Raises:
      ValueError: See `graph.check`.
    """
    graph.check(stages)
    self._numbers = {s.name: i + 1 for i, s in enumerate(stages)}
    self._workdir = workdir
    self._ledger = graph.Ledger(workdir)
    self._cores = list(cores or sorted(os.sched_getaffinity(0)))
    self._environment = environment or {}
    self._display = display or Display(len(stages))
    self._waiting = list(stages)
    # Stages that are ready, and do not stand.
    self._due: set[str] = set()
    self._running: list[_Running] = []
    self._free = list(self._cores)
    self._records: dict[str, graph.Record] = {}
    self._signals: list[int] = []
    self._woken = threading.Event()

  def run(self) -> dict[str, graph.Record]:
    """Runs all stages that do not stand already.

    Returns:
      The record of every stage.

    Raises:
      StageFailedError: If one fails; the others are stopped first.
      Interrupted: After Ctrl-C or SIGTERM, once all stages have stopped.
    """
    self._workdir.mkdir(parents=True, exist_ok=True)
    with (
      lock.hold(self._workdir, self._display.print) as descriptor,
      self._listening(),
    ):
      try:
        while self._waiting or self._running:
          if self._signals:
            raise Interrupted(128 + self._signals[0])
          self._collect()
          self._start_what_is_ready(descriptor)
          self._watch()
      finally:
        self._stop()
    return self._records

  @contextlib.contextmanager
  def _listening(self) -> Iterator[None]:
    """Remembers signals instead of dying of them."""
    # What is ignored, e.g. under nohup, stays ignored.
    heard = [s for s in _SIGNALS if signal.getsignal(s) != signal.SIG_IGN]
    old = {s: signal.signal(s, self._on_signal) for s in heard}
    try:
      yield
    finally:
      for number, handler in old.items():
        signal.signal(number, handler)

  def _on_signal(self, number: int, frame: FrameType | None) -> None:
    self._signals.append(number)
    self._woken.set()

  def _say(self, stage: graph.Stage, text: str) -> None:
    self._display.say(self._numbers[stage.name], text)

  def _collect(self) -> None:
    """Takes in the stages that have ended, those that succeeded first."""
    ended = [r for r in self._running if r.job.poll() is not None]
    for running in sorted(ended, key=lambda r: r.job.poll() != 0):
      if code := running.job.poll():
        raise self._failure(running, _how_it_ended(code))
      self._finish(running)
      self._running.remove(running)
      self._free += running.job.cores

  def _failure(self, running: _Running, what: str) -> StageFailedError:
    return StageFailedError(
      f'stage {running.stage.name} {what}. The end of {running.job.log}:\n'
      f'{running.job.tail()}\n\nTo run it by hand:\n'
      f'  {running.stage.command(self._workdir)}'
    )

  def _finish(self, running: _Running) -> None:
    stage = running.stage
    try:
      record = graph.Record(
        # Of the code as it was when the stage started.
        key=running.begun.key,
        files=self._ledger.describe_outputs(stage),
        seconds=running.seconds,
        result=self._result(stage),
      )
    except (FileNotFoundError, ValueError) as e:
      what = f'exited with code 0, but its output is not there or broken: {e}'
      raise self._failure(running, what) from e
    self._ledger.finish(stage, record)
    self._records[stage.name] = record
    details = ''
    if 'updates' in record.result:
      details = (
        f', {record.result["updates"]:,} updates, '
        f'{record.result["tokens"]:,} tokens'
      )
    self._say(stage, f'{stage.name}: done in {record.seconds:.0f} s{details}')

  def _result(self, stage: graph.Stage) -> dict[str, Any]:
    """What the stage says of itself, if one of its outputs does."""
    for output in stage.outputs:
      path = self._workdir / output
      if path.name == _RESULT_NAME:
        return json.loads(path.read_text(encoding='utf-8'))
    return {}

  def _key(self, stage: graph.Stage) -> str:
    return self._ledger.key(stage, [self._records[n] for n in stage.needs])

  def _stands(self, stage: graph.Stage) -> bool:
    """Whether a ready stage needs not run; takes in its record if so."""
    if stage.name in self._due:
      return False
    record = self._ledger.stands(stage, self._key(stage))
    if record is None:
      self._due.add(stage.name)
      return False
    self._records[stage.name] = record
    self._say(stage, f'{stage.name}: stands')
    return True

  def _start_what_is_ready(self, descriptor: int) -> None:
    for stage in list(self._waiting):
      if any(n not in self._records for n in stage.needs):
        continue
      if self._stands(stage):
        self._waiting.remove(stage)
        continue
      n = min(stage.cores, len(self._cores))
      if n > len(self._free):
        break
      cores, self._free = self._free[:n], self._free[n:]
      self._waiting.remove(stage)
      self._start(stage, cores, descriptor)

  def _start(
    self, stage: graph.Stage, cores: Sequence[int], descriptor: int
  ) -> None:
    begun, moved = self._ledger.begin(stage, self._key(stage))
    if moved is not None:
      text = 'its inputs or its files have changed; what was there is in'
      self._say(stage, f'{stage.name}: {text} {moved}')
    if begun.seconds and stage.owns is not None:
      text = f'continues after {progress.clock(begun.seconds)}'
      self._say(stage, f'{stage.name}: {text}')
    self._say(stage, stage.command(self._workdir))
    job = jobs.Job(
      stage,
      workdir=self._workdir,
      cores=cores,
      environment=self._environment,
      inherit=[descriptor],
    )
    self._running.append(_Running(stage, begun, job))

  def _watch(self) -> None:
    """Shows and notes how far running stages are, and waits a moment."""
    if not self._running:
      return
    for running in self._running:
      if running.job.seconds - running.noted > _NOTE_PERIOD:
        self._note_time(running)
    self._display.draw(
      [(self._numbers[r.stage.name], self._bar(r)) for r in self._running]
    )
    self._woken.wait(_POLL)

  def _bar(self, running: _Running) -> str:
    name = running.stage.name
    if len(name) > _NAME:
      name = '…' + name[1 - _NAME :]
    if (state := running.job.state()) is not None:
      return progress.draw(dataclasses.replace(state, label=name))
    return f'{name:<{_NAME}} starting, {running.job.seconds:.0f} s'

  def _note_time(self, running: _Running) -> None:
    """Notes the time so far, so that it counts whatever happens next."""
    running.noted = running.job.seconds
    self._ledger.spend(
      running.stage,
      dataclasses.replace(running.begun, seconds=running.seconds),
    )

  def _stop(self) -> None:
    """Makes stages save and end; a second signal makes it quick."""
    alive = [r for r in self._running if r.job.poll() is None]
    if alive:
      names = ', '.join(r.stage.name for r in alive)
      with contextlib.suppress(OSError):  # The terminal may be gone.
        self._display.print(
          f'stopping {names}: they save first; Ctrl-C again kills them'
        )
    before = len(self._signals)
    jobs.stop(
      [r.job for r in alive],
      patience=_PATIENCE,
      hurry=lambda: len(self._signals) > before,
    )
    for running in self._running:
      self._note_time(running)
