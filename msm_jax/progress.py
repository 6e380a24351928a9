"""Progress of a long job: a bar on a terminal, lines in a log, or a file.

A job reports how much it has done; where that shows depends on who started
it. By hand, on a terminal, it is a bar that redraws itself; in a log, one line
every few seconds; under a launcher that sets `MSM_JAX_PROGRESS` to a file name,
the job writes its state there and the launcher draws the bars of all its jobs.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import sys
import time
from typing import IO

ENVIRONMENT_KEY = 'MSM_JAX_PROGRESS'
_TERMINAL_PERIOD = 0.2
_FILE_PERIOD = 0.3
_LOG_PERIOD = 10.0
_BAR = 24


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
    return min(1.0, self.done / self.total) if self.total else 1.0

  @property
  def eta(self) -> float | None:
    """Seconds left at this rate, or None before there is one."""
    left = max(0.0, self.total - self.done)
    return left / self.rate if self.rate > 0 else None


def human(value: float) -> str:
  """Returns `12.3k` for 12345."""
  for limit, suffix in ((1e12, 'T'), (1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
    if value >= 0.9995 * limit:  # What would be rounded to 1000.
      return f'{value / limit:.3g}{suffix}'
  return f'{value:.3g}'


def clock(seconds: float | None) -> str:
  """Returns `m:ss` or `h:mm:ss`, or `-:--` if unknown."""
  if seconds is None:
    return '-:--'
  minutes, rest = divmod(int(seconds + 0.5), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minutes:02d}:{rest:02d}'
  return f'{minutes}:{rest:02d}'


def draw(state: State, columns: int | None = None) -> str:
  """Returns one line: label, bar, rate, time left.

  Args:
    state: What to draw.
    columns: The line is cut to so many characters, since one that wraps cannot
      be redrawn in place.
  """
  full = int(state.fraction * _BAR)
  bar = '█' * full + '░' * (_BAR - full)
  note = f' {state.note}' if state.note else ''
  line = (
    f'{state.label:<24.24} {bar} {state.fraction:4.0%} '
    f'{human(state.rate):>6} {state.unit}/s ETA {clock(state.eta)}{note}'
  )
  return line[:columns]


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
    shown: bool = True,
  ):
    """Starts the clock.

    Args:
      label: What is being done.
      total: How much there is to do, in units.
      unit: What is counted, in the plural.
      done: How much of it was done before, e.g. by a run that is continued;
        it counts for the bar but not for the rate.
      stream: Where to show it, unless a launcher wants a file; default stderr.
      shown: Whether to show anything; of several processes one does.
    """
    self._label, self._unit, self._total = label, unit, total
    self._done = self._start_done = done
    self._shows = shown
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
    if self._shows and not self._file and self._stream.isatty():
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
    if not self._shows:
      return
    self._shown = time.monotonic()
    if self._file:
      # A bar that cannot be drawn, e.g. on a full disk, stops no job.
      with contextlib.suppress(OSError):
        _write_state(self._file, self.state)
    elif self._stream.isatty():
      columns = shutil.get_terminal_size().columns
      self._stream.write('\r' + draw(self.state, columns - 1) + '\x1b[K')
    else:
      self._stream.write(draw(self.state) + '\n')
    self._stream.flush()


def _write_state(path: str, state: State) -> None:
  staged = f'{path}.new'
  with open(staged, 'w', encoding='utf-8') as f:
    json.dump(dataclasses.asdict(state), f)
  os.replace(staged, path)
