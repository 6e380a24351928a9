"""What a long run shows: parts, what is accepted, tokens a second, cost."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import re
import time

from data_gen.teachers.session import Session
from msm_jax import log
from msm_jax import progress


class Bars:
  """Bars of the parts of a run, one after the other."""

  def __init__(self, sessions: Sequence[Session] = (), *, shown: bool = False):
    """Starts the clock.

    Args:
      sessions: Whose tokens and cost are shown; each once.
      shown: Whether anything is shown at all.
    """
    self._sessions = sessions
    self._shown = shown
    self._started = time.monotonic()
    self._settled = '-'
    self._accepted = ''

  @contextlib.contextmanager
  def part(
    self, label: str, total: int, unit: str = 'items'
  ) -> Iterator[Callable[[object], None]]:
    """Shows a part; yields what is called whenever an item is done."""
    if not (self._shown and total):
      yield lambda result: None
      return
    if re.split('[ :]', label)[0] != self._settled:
      self._settled, self._accepted = label, ''
    with progress.Progress(label, total, unit) as bar:
      yield lambda result: bar.advance(1, self._note())

  def settled(self, label: str, accepted: int, tried: int) -> None:
    """Says how many of a round were accepted."""
    self._settled = label
    share = f'{accepted / tried:.0%}' if tried else 'none tried'
    self._accepted = f'{accepted}/{tried} accepted ({share})'
    if self._shown and tried:
      log.logger.info('%s: %s', label, self._accepted)

  def _note(self) -> str:
    used = [s.usage for s in self._sessions]
    tokens = sum(u.completion_tokens for u in used)
    rate = tokens / max(time.monotonic() - self._started, 1e-9)
    costs = [u.cost_usd for u in used if u.cost_usd is not None]
    said = [self._accepted, f'{progress.human(rate)} tok/s']
    if costs:
      said.append(f'${sum(costs):,.2f}')
    if stored := sum(u.from_store for u in used):
      said.append(f'{stored} from the store')
    return ' · '.join(filter(None, said))
