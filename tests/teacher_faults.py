"""What the stand-in teacher does wrong, and when: all of it reproducible."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import hashlib

# Whether an answer arrives. These depend on how often it was asked, too, so
# that another attempt may succeed.
TRANSPORT = (
  *('429', '500', '502', '503', 'hang', 'reset', 'cut', 'no_finish'),
  *('invalid_json', 'error_200', '408', '409'),
)
# What it says. These depend on payload and sample index only, as a model that
# refuses a question would refuse it again.
CONTENT = (
  *('refusal', 'content_filter', 'length', 'reasoning', 'duplicate'),
  'prompt_filter',
)
# Only by a script: no other attempt helps.
FATAL = ('400', '401', '403', '404', 'insufficient_quota')
ALL = ('ok', *TRANSPORT, *CONTENT, *FATAL)


@dataclasses.dataclass(frozen=True)
class Faults:
  """Which fault a request meets.

  Attributes:
    rates: Fault to probability.
    scripts: A text that a payload may contain, to what happens to such a
      payload the first time, the second time and so on, then `'ok'`.
    seed: Another one, other faults.
  """

  rates: Mapping[str, float] = dataclasses.field(default_factory=dict)
  scripts: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  seed: int = 0

  def __post_init__(self):
    used = [*self.rates, *(f for s in self.scripts.values() for f in s)]
    unknown = sorted(set(used) - set(ALL))
    if unknown:
      raise ValueError(f'unknown faults {unknown}; known: {", ".join(ALL)}')

  def of(self, text: str, payload: str, sample: int, nth: int) -> str:
    """Returns the name of the fault, or `'ok'`.

    Args:
      text: Of the messages.
      payload: Hash of what was asked.
      sample: Index of the sample.
      nth: How often the same was asked before.
    """
    for needle, script in self.scripts.items():
      if needle in text:
        return script[nth] if nth < len(script) else 'ok'
    return (
      self._drawn(TRANSPORT, payload, sample, nth)
      or self._drawn(CONTENT, payload, sample)
      or 'ok'
    )

  def _drawn(self, kinds: Sequence[str], *what: object) -> str | None:
    u = uniform(self.seed, kinds[0], *what)
    for kind in kinds:
      u -= self.rates.get(kind, 0.0)
      if u < 0:
        return kind
    return None


def uniform(*what: object) -> float:
  """Returns a number in [0, 1) that looks random and is not."""
  digest = hashlib.sha256(repr(what).encode()).digest()
  return int.from_bytes(digest[:7], 'big') / 2**56
