"""What tokens cost.

There is no table of models here: prices change, and one that is out of date
would make a budget lie. The config names them.
"""

import dataclasses

from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Request

_MILLION = 1_000_000
# Of a chat template: role markers around each message, and what a template adds
# by itself, e.g. a date or a default system prompt.
_TOKENS_PER_MESSAGE = 16
_TOKENS_PER_REQUEST = 256


@dataclasses.dataclass(frozen=True)
class Tokens:
  """Tokens of one or of many requests; reasoning is part of completion."""

  prompt: int = 0
  completion: int = 0

  @property
  def total(self) -> int:
    return self.prompt + self.completion

  def __add__(self, other: 'Tokens') -> 'Tokens':
    return Tokens(
      self.prompt + other.prompt, self.completion + other.completion
    )

  def __sub__(self, other: 'Tokens') -> 'Tokens':
    return Tokens(
      self.prompt - other.prompt, self.completion - other.completion
    )


@dataclasses.dataclass(frozen=True)
class Prices:
  """US dollars per million tokens.

  Attributes:
    prompt: Of tokens of the request. Discounts for cached prompts are left
      out, so that what we count is never less than the bill.
    completion: Of tokens of the answer, reasoning included.
  """

  prompt: float
  completion: float

  def cost(self, tokens: Tokens) -> float:
    """Returns US dollars."""
    return (
      self.prompt * tokens.prompt + self.completion * tokens.completion
    ) / _MILLION


def tokens_of(answer: Answer) -> Tokens:
  """Returns what the server counted."""
  return Tokens(answer.prompt_tokens, answer.completion_tokens)


def most_tokens(request: Request) -> Tokens:
  """Returns the most that an answer to this request can take.

  A token is at least one byte of UTF-8, so the bytes of a prompt bound its
  tokens in every tokenizer that drops nothing; about four times what English
  takes. The answer is bounded by `max_tokens`.
  """
  prompt = _TOKENS_PER_REQUEST + sum(
    len(m.content.encode()) + _TOKENS_PER_MESSAGE for m in request.messages
  )
  return Tokens(prompt, request.sampling.max_tokens)
