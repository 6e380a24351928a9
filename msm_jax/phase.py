"""What data a phase trains on: the part of it that several rooms read.

The data room makes batches of it, the trainer adds optimizer and schedule, the
launcher says beforehand how much each arm will see.
"""

import dataclasses
import math

from msm_jax import schema

WEIGHT_BY = ('tokens', 'loss_tokens')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
  """One stage of training, as its data sees it.

  Attributes:
    name: Unique in the run.
    mixture: Source name to weight.
    seq_len: Tokens of a sequence, `T`; that of the prepared sources.
    batch_size: Sequences of an update (all micro-batches together).
    updates: Budget in optimizer updates, or
    tokens: budget in tokens, padding included; exactly one of the two is set.
    accumulation: Micro-batches of an update; divides `batch_size`.
    weight_by: `'tokens'` or `'loss_tokens'`: what the weights are shares of.
    max_epochs: How often a source may be repeated, for all or by source; None
      is no limit.
    seed_offset: Another number is another order of the same data.
  """

  name: str
  mixture: dict[str, float]
  seq_len: int
  batch_size: int
  updates: int | None = None
  tokens: int | None = None
  accumulation: int = 1
  weight_by: str = 'tokens'
  max_epochs: float | dict[str, float] | None = 4.0
  seed_offset: int = 0

  def __post_init__(self):
    if (self.updates is None) == (self.tokens is None):
      raise ValueError(
        f'updates: {self.updates} and tokens: {self.tokens}, expected exactly '
        'one of the two to be set'
      )
    for key in ('seq_len', 'batch_size', 'accumulation', 'updates', 'tokens'):
      value = getattr(self, key)
      if value is not None and value < 1:
        raise ValueError(f'{key}: {value}, expected at least 1')
    if self.batch_size % self.accumulation:
      raise ValueError(
        f'accumulation: {self.accumulation} does not divide batch_size = '
        f'{self.batch_size}, which counts all micro-batches together'
      )
    schema.one_of(self.weight_by, WEIGHT_BY, 'weight_by')

  @property
  def tokens_per_update(self) -> int:
    return self.batch_size * self.seq_len

  @property
  def n_updates(self) -> int:
    """The budget in updates, rounded up if it was given in tokens."""
    if self.updates is not None:
      return self.updates
    assert self.tokens is not None
    return math.ceil(self.tokens / self.tokens_per_update)

  @property
  def n_tokens(self) -> int:
    """The budget in tokens, padding included."""
    return self.n_updates * self.tokens_per_update
