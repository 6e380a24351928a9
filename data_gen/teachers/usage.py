"""What a session has done so far."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Usage:
  """Counts of one session, not of the store's whole life.

  Attributes:
    sent: Attempts that were sent, repeated ones included.
    answered: Answers that were bought.
    from_store: Answers that an earlier run, or this one, had bought already.
    shared: Requests that waited for an identical one in flight.
    retried: Attempts that failed and were followed by another.
    throttled: Attempts that the server refused because of too many.
    lost: Attempts that the server may charge for although no answer came.
    repeated: Requests that a former run had in flight when it was killed.
    failed: Requests that were given up.
    prompt_tokens: Of the answers that were bought.
    completion_tokens: Of those, reasoning included.
    reasoning_tokens: Of those.
    cost_usd: Of those; None if the prices are unknown.
  """

  sent: int = 0
  answered: int = 0
  from_store: int = 0
  shared: int = 0
  retried: int = 0
  throttled: int = 0
  lost: int = 0
  repeated: int = 0
  failed: int = 0
  prompt_tokens: int = 0
  completion_tokens: int = 0
  reasoning_tokens: int = 0
  cost_usd: float | None = None


class Counter:
  """Adds up a `Usage`."""

  def __init__(self, *, priced: bool):
    self._counts = dataclasses.asdict(Usage(cost_usd=0.0 if priced else None))

  @property
  def usage(self) -> Usage:
    return Usage(**self._counts)

  def add(self, **amounts: float | None) -> None:
    """Adds to the named counts; adding None leaves one as it is."""
    for name, amount in amounts.items():
      if amount is not None:
        self._counts[name] += amount
