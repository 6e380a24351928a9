"""Progress of a long job: a bar on a terminal, lines in a log, or a file.

A job reports how much it has done; where that shows depends on who started
it. By hand, on a terminal, it is a bar that redraws itself; in a log, one line
every few seconds; under a launcher that sets `MSM_JAX_PROGRESS` to a file name,
the job writes its state there and the launcher draws the bars of all its jobs.
"""

import dataclasses
import json
import os
import sys
import time
from typing import IO

ENVIRONMENT_KEY = 'MSM_JAX_PROGRESS'
_TERMINAL_PERIOD = 0.2
_FILE_PERIOD = 0.3
_LOG_PERIOD = 10.0


@dataclasses.dataclass(frozen=True)
class State:
  """A snapshot: `done` of `total` units at `rate` units a second."""

  label: str
  unit: str
  done: float
  total: float
  rate: float
  note: str = ''

  @property
  def fraction(self) -> float:
    return min(1.0, self.done / self.total) if self.total else 0.0

  @property
  def eta(self) -> float | None:
    """Seconds left at this rate, or None before there is one."""
    return (self.total - self.done) / self.rate if self.rate > 0 else None


def human(value: float) -> str:
  """Returns `12.3k` for 12345."""
  for limit, suffix in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
    if value >= limit:
      return f'{value / limit:.3g}{suffix}'
  return f'{value:.3g}'


def clock(seconds: float | None) -> str:
  """Returns `m:ss`, or `-:--` if unknown."""
  if seconds is None:
    return '-:--'
  minutes, rest = divmod(int(seconds + 0.5), 60)
  return f'{minutes}:{rest:02d}'


def draw(state: State, width: int = 24) -> str:
  """Returns one line: label, bar, rate, time left."""
  full = int(state.fraction * width)
  bar = '█' * full + '░' * (width - full)
  note = f' {state.note}' if state.note else ''
  return (
    f'{state.label:<24.24} {bar} {state.fraction:4.0%} '
    f'{human(state.rate):>6} {state.unit}/s ETA {clock(state.eta)}{note}'
  )


def read_state(path: str) -> State | None:
  """Returns what a job last wrote to its progress file, if anything yet."""
  try:
    with open(path, encoding='utf-8') as f:
      return State(**json.load(f))
  except FileNotFoundError:
    return None


class Progress:
  """Reports the progress of one job; use it as a context manager."""

  def __init__(
    self,
    label: str,
    total: float,
    unit: str,
    *,
    done: float = 0,
    stream: IO[str] | None = None,
  ):
    self._label, self._unit, self._total = label, unit, total
    self._done = self._start_done = done
    self._stream = stream or sys.stderr
    self._file = os.environ.get(ENVIRONMENT_KEY)
    self._started = time.monotonic()
    self._shown = -1e9
    self._note = ''
    if self._file:
      self._period = _FILE_PERIOD
    elif self._stream.isatty():
      self._period = _TERMINAL_PERIOD
    else:
      self._period = _LOG_PERIOD

  def __enter__(self) -> 'Progress':
    return self

  def __exit__(self, *exception: object) -> None:
    self._show()
    if not self._file and self._stream.isatty():
      self._stream.write('\n')

  def advance(self, amount: float, note: str = '') -> None:
    """Adds to what is done; redraws if enough time has passed."""
    self._done += amount
    self._note = note
    if time.monotonic() - self._shown >= self._period:
      self._show()

  @property
  def state(self) -> State:
    elapsed = max(time.monotonic() - self._started, 1e-9)
    rate = (self._done - self._start_done) / elapsed
    return State(
      self._label, self._unit, self._done, self._total, rate, self._note
    )

  def _show(self) -> None:
    self._shown = time.monotonic()
    state = self.state
    if self._file:
      staged = f'{self._file}.{os.getpid()}'
      with open(staged, 'w', encoding='utf-8') as f:
        json.dump(dataclasses.asdict(state), f)
      os.replace(staged, self._file)
    elif self._stream.isatty():
      self._stream.write('\r' + draw(state) + '\x1b[K')
    else:
      self._stream.write(draw(state) + '\n')
    self._stream.flush()
