"""Stage k of n, with a bar for each stage that runs."""

from collections.abc import Sequence
import shutil
import sys
import time
from typing import IO

_TERMINAL_PERIOD = 0.2
_LOG_PERIOD = 15.0


class Display:
  """Lines that stay, and below them, on a terminal, lines that are redrawn."""

  def __init__(self, n_stages: int, stream: IO[str] | None = None):
    self._n = n_stages
    self._stream = stream or sys.stdout
    self._terminal = self._stream.isatty()
    self._drawn = 0
    self._last = -1e9

  def _line(self, number: int, text: str) -> str:
    return f'[{number:>{len(str(self._n))}}/{self._n}] {text}'

  def _erase(self) -> None:
    if self._drawn:
      self._stream.write(f'\x1b[{self._drawn}A\x1b[J')
      self._drawn = 0

  def say(self, number: int, text: str) -> None:
    """Prints a line that stays: something of stage `number`."""
    self.print(self._line(number, text))

  def print(self, text: str) -> None:
    """Prints lines that stay."""
    self._erase()
    self._stream.write(text + '\n')
    self._stream.flush()

  def draw(self, running: Sequence[tuple[int, str]]) -> None:
    """Shows the bars of running stages: their numbers and bars.

    Redrawn in place on a terminal; in a log, printed now and then.
    """
    period = _TERMINAL_PERIOD if self._terminal else _LOG_PERIOD
    if time.monotonic() - self._last < period:
      return
    self._last = time.monotonic()
    self._erase()
    lines = [self._line(number, bar) for number, bar in running]
    if self._terminal:
      # A line that wraps would be two to erase.
      width = shutil.get_terminal_size().columns - 1
      lines = [line[:width] for line in lines]
      self._drawn = len(lines)
    self._stream.write(''.join(line + '\n' for line in lines))
    self._stream.flush()
