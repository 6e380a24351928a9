"""Forced choices by option log-likelihood, and documents by perplexity.

Base models ramble, so answers are not sampled and parsed: each option is scored
as a continuation, in every order in which the options are presented.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses

import numpy as np

from msm_jax import tokenizers
from msm_jax.evals import rows as rows_lib
from msm_jax.evals import scoring
from msm_jax.evals import suites

Score = Callable[[Sequence[scoring.Request]], np.ndarray]


class UnequalOptionsError(ValueError):
  """Options of different token lengths, whose likelihoods do not compare."""


def prompt_tokens(
  tokenizer: tokenizers.Tokenizer, item: suites.Item
) -> list[int]:
  """Returns the ids before the answer: rendered chat, or `<bos>` and text."""
  if item.messages is not None:
    chat = tokenizer.render_chat(
      list(item.messages), add_generation_prompt=True
    )
    return list(chat.tokens)
  assert item.prompt is not None
  return [tokenizer.bos_id, *tokenizer.encode(item.prompt)]


def option_tokens(
  tokenizer: tokenizers.Tokenizer, item: suites.Item, option: suites.Option
) -> list[int]:
  """Returns the ids of an answer; in a chat they end with the end of turn."""
  ids = tokenizer.encode(option.text)
  return [*ids, tokenizer.end_of_turn_id] if item.messages is not None else ids


def requests_of(
  tokenizer: tokenizers.Tokenizer, item: suites.Item
) -> list[scoring.Request]:
  """Returns one request per option.

  Raises:
    UnequalOptionsError: If the options differ in their number of tokens: the
      longer one would lose for its length.
    ValueError: If an option does not begin where a token begins.
  """
  prompt = prompt_tokens(tokenizer, item)
  requests = []
  for option in item.options:
    answer = option_tokens(tokenizer, item, option)
    if item.prompt is not None:
      _check_boundary(tokenizer, item, option, [*prompt[1:], *answer])
    requests.append(scoring.Request((*prompt, *answer), len(prompt)))
  pairs = zip(item.options, requests, strict=True)
  lengths = {option.label: request.n_scored for option, request in pairs}
  if len(set(lengths.values())) > 1:
    raise UnequalOptionsError(
      f'{item.where}: options have different numbers of tokens {lengths}; '
      'choose words of equal length, or drop the item'
    )
  return requests


def _check_boundary(
  tokenizer: tokenizers.Tokenizer,
  item: suites.Item,
  option: suites.Option,
  scored: list[int],
) -> None:
  """A text cut inside a token is one that no model has read like that."""
  assert item.prompt is not None
  if tokenizer.encode(item.prompt + option.text) != scored:
    raise ValueError(
      f'{item.where}: {item.prompt[-20:]!r} and {option.text!r} have other '
      'tokens together than apart; move the cut to where a token begins, '
      'usually before the space'
    )


@dataclasses.dataclass(frozen=True)
class PreparedSuite:
  """The items of a suite that can be scored, with their requests.

  Attributes:
    items: Presentations, in file order.
    requests: Of each item, one per option.
    dropped: Items left out for options of unequal length, in all orders.
  """

  items: tuple[suites.Item, ...]
  requests: tuple[tuple[scoring.Request, ...], ...]
  dropped: tuple[str, ...]


def prepare_suite(
  tokenizer: tokenizers.Tokenizer,
  items: Sequence[suites.Item],
  *,
  on_unequal: str = 'error',
) -> PreparedSuite:
  """Tokenises a suite.

  Args:
    tokenizer: Of the checkpoints that will be scored.
    items: The suite.
    on_unequal: `'error'`, or `'drop'` to leave an item out in all its orders.

  Raises:
    UnequalOptionsError: See `requests_of`.
    ValueError: Also if no item is left.
  """
  if on_unequal not in ('error', 'drop'):
    raise ValueError(f"on_unequal: {on_unequal!r}, expected 'error' or 'drop'")
  requests: dict[int, tuple[scoring.Request, ...]] = {}
  dropped: dict[str, None] = {}
  for index, item in enumerate(items):
    try:
      requests[index] = tuple(requests_of(tokenizer, item))
    except UnequalOptionsError:
      if on_unequal == 'error':
        raise
      dropped[item.item] = None
  kept = [i for i in requests if items[i].item not in dropped]
  if not kept:
    names = sorted({i.suite for i in items})
    raise ValueError(
      f'suite {", ".join(names) or "without items"}: no item can be scored'
    )
  return PreparedSuite(
    items=tuple(items[i] for i in kept),
    requests=tuple(requests[i] for i in kept),
    dropped=tuple(dropped),
  )


def score_suite(
  score: Score, suite: PreparedSuite, *, arm: str, seed: int
) -> list[rows_lib.Row]:
  """Scores every option; returns one row for each order of each item."""
  flat = [r for requests in suite.requests for r in requests]
  logprobs = iter(score(flat).tolist())
  return [
    rows_lib.Row(
      arm=arm,
      seed=seed,
      suite=item.suite,
      item=item.item,
      order=item.order,
      cluster=item.cluster,
      labels=tuple(o.label for o in item.options),
      logprobs=tuple(next(logprobs) for _ in item.options),
      tokens=tuple(r.n_scored for r in requests),
      persona=item.persona,
      persona_value=item.persona_value,
      target=item.target,
    )
    for item, requests in zip(suite.items, suite.requests, strict=True)
  ]


@dataclasses.dataclass(frozen=True)
class Document:
  """A text to take the perplexity of; `cluster` is what it is resampled by."""

  id: str
  text: str
  cluster: str


def _pieces(tokens: list[int], max_length: int) -> list[scoring.Request]:
  """Cuts a document as training does: every token is a target once."""
  return [
    scoring.Request(tuple(tokens[start : start + max_length + 1]), 1)
    for start in range(0, len(tokens) - 1, max_length)
  ]


def score_documents(
  score: Score,
  tokenizer: tokenizers.Tokenizer,
  documents: Sequence[Document],
  *,
  suite: str,
  arm: str,
  seed: int,
  max_length: int,
) -> list[rows_lib.Row]:
  """Scores whole documents, `<eos>` included; one row each.

  Args:
    score: Of the model.
    tokenizer: Of the model.
    documents: With unique ids.
    suite: Written to rows.
    arm: Written to rows.
    seed: Written to rows.
    max_length: Length of the sequences that the model was trained on. Longer
      documents are cut into such pieces, as they are for training.
  """
  cut = [
    _pieces(
      [tokenizer.bos_id, *tokenizer.encode(d.text), tokenizer.eos_id],
      max_length,
    )
    for d in documents
  ]
  logprobs = iter(score([r for pieces in cut for r in pieces]).tolist())
  return [
    rows_lib.Row(
      arm=arm,
      seed=seed,
      suite=suite,
      item=document.id,
      order=0,
      cluster=document.cluster,
      labels=('document',),
      logprobs=(sum(next(logprobs) for _ in pieces),),
      tokens=(sum(r.n_scored for r in pieces),),
    )
    for document, pieces in zip(documents, cut, strict=True)
  ]
