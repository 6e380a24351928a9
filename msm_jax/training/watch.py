"""Notices updates that take too long, and processes that have stopped.

Every process writes what it does to a board, once a second; a thread in each
reads what the others do. So whoever waits knows for whom: the process that is
an update behind, that reads its batch, or of which nothing has been heard.
"""

import collections
from collections.abc import Mapping
import dataclasses
import socket
import statistics
import threading
import time
from types import TracebackType
from typing import Any

from msm_jax import distributed
from msm_jax import schema
from msm_jax import storage
from msm_jax.distributed import BoardError
from msm_jax.log import logger
from msm_jax.training import guard
from msm_jax.training.config import WatchConfig
from msm_jax.training.preemption import EXIT_CODE

_PERIOD = 1.0
# Beats that a process may miss before it is taken for dead where something
# else says that one is.
_BEATS = 4
_DURATIONS = 50
_ENOUGH = 5
# How long the main thread may take to find out for itself that a peer is lost.
_GRACE = 10.0

_ENDED = 'ended'
_FAILED = 'failed'
_NOT_UPDATES = ('starting', 'compiling', 'saving', 'crossing', _ENDED)
_NO_BOARD = 'process 0, the coordinator, cannot be reached'


# What is wrong whether or not another process has stopped.
_OURS = (
  schema.ConfigError,
  storage.CorruptError,
  storage.NotPublishedError,
  storage.StorageError,
  guard.TrainingDivergedError,
)


class PeerLostError(RuntimeError):
  """Another process of the run has stopped; all have to begin again."""


@dataclasses.dataclass
class _Peer:
  """What is known of a process.

  Attributes:
    line: What it wrote last.
    heard: When that changed, by our clock.
  """

  line: dict[str, Any]
  heard: float


class Watch:
  """Watches over a run; a context manager around all of it.

  An exception that leaves it while another process has stopped is turned into
  a `PeerLostError` that says which.
  """

  def __init__(self, config: WatchConfig, *, period: float = _PERIOD):
    self._config, self._period = config, period
    self._board = distributed.open_board()
    self._lock = threading.RLock()
    self._step, self._doing, self._since = 0, 'starting', time.monotonic()
    self._finished = time.monotonic()
    self._durations: collections.deque[float] = collections.deque(
      maxlen=_DURATIONS
    )
    self._beat = 0
    self._peers: dict[int, _Peer] = {}
    self._told = 0.0
    self._lost: str | None = None
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._run, name='watch', daemon=True)

  def doing(self, what: str, step: int) -> None:
    """Says what the main thread does now, for which update of the run."""
    with self._lock:
      self._doing, self._step, self._since = what, step, time.monotonic()

  def finished(self) -> None:
    """Says that an update has ended."""
    with self._lock:
      now = time.monotonic()
      self._durations.append(now - self._finished)
      self._finished, self._told = now, 0.0

  def paused(self) -> None:
    """Says that what lies before now belongs to no update."""
    with self._lock:
      self._finished = time.monotonic()

  def new_phase(self) -> None:
    """Forgets how long updates take."""
    with self._lock:
      self._durations.clear()
      self._finished = time.monotonic()

  def __enter__(self) -> 'Watch':
    self._write()
    self._thread.start()
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    try:
      if isinstance(error, Exception):
        lost = None if _is_our_own(error) else self._who_is_lost()
        if lost is not None:
          raise PeerLostError(lost) from error
        self.doing(f'{_FAILED}: {error}'.splitlines()[0], self._step)
      else:
        self.doing(_ENDED, self._step)
      self._write()
    finally:
      self._stop.set()

  def _write(self) -> None:
    with self._lock:
      self._beat += 1
      line = {
        'beat': self._beat,
        'host': socket.gethostname(),
        'step': self._step,
        'doing': self._doing,
        'seconds': time.monotonic() - self._since,
      }
    self._board.write(line)

  def _read(self) -> None:
    lines, now = self._board.read(), time.monotonic()
    with self._lock:
      for index, line in lines.items():
        peer = self._peers.get(index)
        if peer is None or peer.line['beat'] != line['beat']:
          self._peers[index] = _Peer(line, now)

  def look(self) -> str | None:
    """Reads the board, once; warns of an update that takes too long.

    Returns:
      Which process has stopped, or None.
    """
    try:
      self._write()
      self._read()
    except BoardError:
      return _NO_BOARD
    self._tell_if_slow()
    return self._silent(self._config.lost_seconds)

  def _run(self) -> None:
    while not self._stop.wait(self._period):
      if (lost := self.look()) is not None:
        self._give_up(lost)
        return

  def _silent(self, seconds: float) -> str | None:
    """Returns which process has stopped, or None."""
    with self._lock:
      peers = dict(self._peers)
    now = time.monotonic()
    for index, peer in sorted(peers.items()):
      doing = str(peer.line['doing'])
      if index == distributed.index() or doing == _ENDED:
        continue
      if doing.startswith(_FAILED):
        return f'{_name(index, peer.line)} has {doing}'
      if now - peer.heard > seconds:
        return (
          f'{_name(index, peer.line)} has stopped: it has not been heard of '
          f'for {now - peer.heard:.0f} seconds, since {_state(peer.line)}'
        )
    return None

  def _who_is_lost(self) -> str | None:
    """Waits for as many beats as it takes to know whether somebody is."""
    if distributed.count() == 1:
      return None
    for _ in range(_BEATS + 1):
      if self._lost is not None:
        return self._lost
      try:
        self._read()
      except BoardError:
        return _NO_BOARD
      lost = self._silent(_BEATS * self._period)
      if lost is not None:
        return lost
      time.sleep(self._period)
    return None

  def _give_up(self, lost: str) -> None:
    """Ends this process, which would wait for ever for one that is lost."""
    self._lost = lost
    logger.error('%s; run again to continue from the last checkpoint', lost)
    if not self._stop.wait(_GRACE):
      distributed.leave(EXIT_CODE)

  def _tell_if_slow(self) -> None:
    with self._lock:
      if len(self._durations) < _ENOUGH or self._doing in _NOT_UPDATES:
        return
      taken = time.monotonic() - self._finished
      median = statistics.median(self._durations)
      limit = max(self._config.slow_factor * median, self._config.slow_seconds)
      # Said again whenever it has become twice as long.
      if taken < max(limit, 2 * self._told):
        return
      self._told = taken
      whom = _whom(self._peers)
    if distributed.is_first():
      logger.warning(
        'an update has taken %.1f seconds so far, the median is %.2f: %s',
        taken,
        median,
        whom,
      )


def _is_our_own(error: Exception) -> bool:
  return isinstance(error, _OURS) or isinstance(error.__cause__, OSError)


def _name(index: int, line: Mapping[str, Any]) -> str:
  return f'process {index} ({line["host"]})'


def _state(line: Mapping[str, Any]) -> str:
  return f'{line["doing"]} at step {line["step"]}'


def _whom(peers: Mapping[int, _Peer]) -> str:
  """Says for which processes the others wait."""
  if not peers:
    return 'nothing is known of any process yet'
  now = time.monotonic()
  silent = {i for i, p in peers.items() if now - p.heard > _BEATS * _PERIOD}
  first = min(p.line['step'] for p in peers.values())
  behind = {i for i, p in peers.items() if p.line['step'] == first}
  others = {i for i in behind if peers[i].line['doing'] != 'computing'}
  late = silent or (others if others else behind)
  if late == set(peers) and len(peers) > 1:
    return f'all processes are {_state(peers[min(peers)].line)}'
  told = []
  for i in sorted(late):
    peer = peers[i]
    seconds = peer.line['seconds'] + now - peer.heard
    quiet = ', and has been silent since' if i in silent else ''
    told.append(
      f'{_name(i, peer.line)} has been {_state(peer.line)} for '
      f'{seconds:.1f} seconds{quiet}'
    )
  return '; '.join(told)
