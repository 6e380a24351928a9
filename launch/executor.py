"""Runs a graph of stages on this machine, several at a time."""

from collections.abc import Sequence
import json
import os
import pathlib
import signal
import sys
import threading
import time
from types import FrameType
from typing import IO

from launch import graph
from launch import jobs
from msm_jax import progress

_POLL = 0.2
_LOG_PERIOD = 15.0
_RESULT_NAME = 'result.json'


class StageFailedError(RuntimeError):
  """A stage exited with an error; the message has its log and its command."""


class Interrupted(SystemExit):
  """Ctrl-C or SIGTERM; running stages were asked to save and have stopped."""


class Display:
  """Stage k of n, with a bar for each stage that runs."""

  def __init__(self, n_stages: int, stream: IO[str] | None = None):
    self._n = n_stages
    self._stream = stream or sys.stdout
    self._tty = self._stream.isatty()
    self._lines = 0
    self._last = -1e9

  def _erase(self) -> None:
    if self._lines:
      self._stream.write(f'\x1b[{self._lines}A\x1b[J')
      self._lines = 0

  def say(self, number: int, text: str) -> None:
    """Prints a line that stays: something of stage `number`."""
    self._erase()
    self._stream.write(f'[{number:>2}/{self._n}] {text}\n')
    self._stream.flush()

  def draw(self, running: Sequence[tuple[int, jobs.Job]]) -> None:
    """Shows how far the running stages are."""
    period = _POLL if self._tty else _LOG_PERIOD
    if time.monotonic() - self._last < period:
      return
    self._last = time.monotonic()
    self._erase()
    for number, job in running:
      state = job.state()
      line = (
        progress.draw(state)
        if state
        else f'{job.stage.name:<24.24} starting, {job.seconds:.0f} s'
      )
      self._stream.write(f'[{number:>2}/{self._n}] {line}\n')
      self._lines += self._tty
    self._stream.flush()


class Executor:
  """Runs stages as soon as what they need is there and cores are free."""

  def __init__(
    self,
    stages: Sequence[graph.Stage],
    workdir: pathlib.Path,
    *,
    cores: Sequence[int] | None = None,
    environment: dict[str, str] | None = None,
    display: Display | None = None,
  ):
    graph.check(stages)
    self._stages = {s.name: s for s in stages}
    self._numbers = {s.name: i + 1 for i, s in enumerate(stages)}
    self._workdir = workdir
    self._ledger = graph.Ledger(workdir)
    self._cores = list(cores or sorted(os.sched_getaffinity(0)))
    self._environment = environment or {}
    self._display = display or Display(len(stages))
    self._interrupted = threading.Event()
    self.records: dict[str, graph.Record] = {}

  def _record_of(self, stage: graph.Stage) -> graph.Record | None:
    """The stage's record if it stands; its needs must have records."""
    needed = [self.records[n] for n in stage.needs]
    return self._ledger.stands(stage, self._ledger.key(stage, needed))

  def _finish(self, job: jobs.Job) -> None:
    stage, code = job.stage, job.poll()
    number = self._numbers[stage.name]
    if code != 0:
      raise StageFailedError(
        f'stage {stage.name} exited with code {code}. The end of {job.log}:\n'
        f'{job.tail()}\n\nTo run it by hand:\n  {stage.command}'
      )
    needed = [self.records[n] for n in stage.needs]
    record = graph.Record(
      key=self._ledger.key(stage, needed),
      files=self._ledger.describe_outputs(stage),
      seconds=job.seconds,
      result=self._result(stage),
    )
    self._ledger.write(stage, record)
    self.records[stage.name] = record
    details = ''
    if 'updates' in record.result:
      details = (
        f', {record.result["updates"]:,} updates, '
        f'{record.result["tokens"]:,} tokens'
      )
    self._display.say(
      number, f'{stage.name}: done in {record.seconds:.0f} s{details}'
    )

  def _result(self, stage: graph.Stage) -> dict[str, object]:
    for output in stage.outputs:
      if pathlib.Path(output).name == _RESULT_NAME:
        text = (self._workdir / output).read_text(encoding='utf-8')
        return json.loads(text)
    return {}

  def _start(self, stage: graph.Stage, cores: Sequence[int]) -> jobs.Job:
    number = self._numbers[stage.name]
    key = self._ledger.key(stage, [self.records[n] for n in stage.needs])
    if (moved := self._ledger.begin(stage, key)) is not None:
      self._display.say(
        number, f'{stage.name}: its inputs have changed; old work is in {moved}'
      )
    self._display.say(number, stage.command)
    return jobs.Job(
      stage,
      workdir=self._workdir,
      cores=cores,
      environment=self._environment,
    )

  def _interrupt(self, number: int, frame: FrameType | None) -> None:
    self._interrupted.set()

  def run(self) -> dict[str, graph.Record]:
    """Runs all stages that do not stand already.

    Returns:
      The record of every stage.

    Raises:
      StageFailedError: If one fails; the others are stopped first.
      Interrupted: After Ctrl-C or SIGTERM.
    """
    old = {
      s: signal.signal(s, self._interrupt)
      for s in (signal.SIGINT, signal.SIGTERM)
    }
    waiting = list(self._stages.values())
    running: list[jobs.Job] = []
    free = list(self._cores)
    try:
      while waiting or running:
        if self._interrupted.is_set():
          raise Interrupted(130)
        for job in [j for j in running if j.poll() is not None]:
          running.remove(job)
          free += job.cores
          self._finish(job)
        for stage in [s for s in waiting if self._is_ready(s)]:
          if (record := self._record_of(stage)) is not None:
            waiting.remove(stage)
            self.records[stage.name] = record
            self._display.say(
              self._numbers[stage.name], f'{stage.name}: stands'
            )
            continue
          n = min(stage.cores, len(self._cores))
          if n > len(free):
            break  # Its turn is next; later stages must not starve it.
          waiting.remove(stage)
          running.append(self._start(stage, free[:n]))
          free = free[n:]
        if running:
          self._display.draw(
            [(self._numbers[j.stage.name], j) for j in running]
          )
          self._interrupted.wait(_POLL)
    finally:
      for job in running:
        job.stop()
      for number, handler in old.items():
        signal.signal(number, handler)
    return self.records

  def _is_ready(self, stage: graph.Stage) -> bool:
    return all(n in self.records for n in stage.needs)
