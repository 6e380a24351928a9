"""Stops a run whose loss is not a number, or explodes."""

import collections
import math

_WINDOW = 20


class TrainingDivergedError(RuntimeError):
  """The loss is not finite or has jumped; the message says where to look."""


class LossGuard:
  """Compares each loss with the mean of the last 20 in the same phase."""

  def __init__(self, max_jump: float):
    """Args:
    max_jump: Nats above that mean at which a loss counts as exploding.
    """
    self._max_jump = max_jump
    self._recent: collections.deque[float] = collections.deque(maxlen=_WINDOW)

  def new_phase(self) -> None:
    self._recent.clear()

  def problem(self, loss: float, grad_norm: float) -> str | None:
    """Returns what is wrong with an update's loss, or None."""
    if not math.isfinite(loss):
      return f'the loss is {loss}'
    if not math.isfinite(grad_norm):
      return f'the gradient norm is {grad_norm} at a loss of {loss:.4f}'
    if len(self._recent) == _WINDOW:
      mean = sum(self._recent) / _WINDOW
      if loss > mean + self._max_jump:
        return (
          f'the loss jumped to {loss:.4f} from a mean of {mean:.4f} over the '
          f'last {_WINDOW} updates (max_loss_jump = {self._max_jump})'
        )
    self._recent.append(loss)
    return None
