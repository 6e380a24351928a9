"""What is asked of sampling, and what comes back."""

import dataclasses
import math

from msm_jax.models.sampling import drawing

_LEAST_TEMPERATURE = 1e-6


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
  """How continuations are drawn, and when they end.

  Of several stops the one that is complete first counts.

  Attributes:
    max_new_tokens: At most so many tokens each.
    temperature: What logits are divided by; 0 takes the likeliest token.
    top_k: Only so many of the likeliest tokens are kept; None keeps all.
    top_p: Of these only the likeliest whose mass reaches this; None keeps all.
    seed: Of the noise.
    stop_ids: A sample ends before such an id.
    stop_sequences: It ends before such a sequence of ids.
    stop_strings: Its text ends before such a string, wherever it begins and
      ends within tokens; needs `decode`.
    n_ids: Ids from this on are never drawn: rows of the embedding that the
      tokenizer does not have. None allows all.
  """

  max_new_tokens: int
  temperature: float = 1.0
  top_k: int | None = None
  top_p: float | None = None
  seed: int = 0
  stop_ids: tuple[int, ...] = ()
  stop_sequences: tuple[tuple[int, ...], ...] = ()
  stop_strings: tuple[str, ...] = ()
  n_ids: int | None = None

  def __post_init__(self):
    def check(good: bool, name: str, expected: str) -> None:
      if not good:
        raise ValueError(
          f'sampling.{name}: {getattr(self, name)!r}, expected {expected}'
        )

    check(self.max_new_tokens >= 1, 'max_new_tokens', 'at least 1')
    check(
      self.temperature == 0
      or _LEAST_TEMPERATURE <= self.temperature < math.inf,
      'temperature',
      f'0 (greedy), or at least {_LEAST_TEMPERATURE:g} and finite',
    )
    check(self.top_k is None or self.top_k >= 1, 'top_k', 'at least 1 or None')
    check(
      self.top_p is None or 0 < self.top_p <= 1, 'top_p', 'in (0, 1] or None'
    )
    check(self.n_ids is None or self.n_ids >= 1, 'n_ids', 'at least 1 or None')
    check(0 <= self.seed < 2**32, 'seed', 'in [0, 2**32)')
    check(all(self.stop_sequences), 'stop_sequences', 'at least one id in each')
    check(all(self.stop_strings), 'stop_strings', 'no empty string')


@dataclasses.dataclass(frozen=True)
class Sample:
  """One continuation.

  Attributes:
    tokens: New ids, without the stop id or sequence. At a stop string: those
      that it takes to spell the text before it, so the last one may hold the
      beginning of the string too.
    logprobs: Of each of these tokens, in nats, under the model's own
      distribution: at temperature 1, with nothing left out.
    stop_reason: `'length'`, `'stop_id'`, `'stop_sequence'`, `'stop_string'`.
    text: What the tokens decode to, up to a stop string; None if no `decode`
      was given.
  """

  tokens: list[int]
  logprobs: list[float]
  stop_reason: str
  text: str | None = None


def rule_of(config: SamplingConfig) -> drawing.Rule:
  if config.temperature == 0:
    return drawing.Rule(greedy=True)
  # All of the mass is more than rounded sums may reach.
  has_top_p = config.top_p is not None and config.top_p < 1
  return drawing.Rule(False, config.top_k is not None, has_top_p)
