"""Prompts in, samples out: batches of rows, and when to look at them.

Shapes: `B` rows, `T` columns of prompts, `S` columns in all.
"""

import collections
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import hashlib
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
import numpy as np

from msm_jax.models.decoder import Model
from msm_jax.models.decoder import Params
from msm_jax.models.sampling import drawing
from msm_jax.models.sampling import programs
from msm_jax.models.sampling import stops
from msm_jax.models.sampling import unrolled
from msm_jax.models.sampling.config import rule_of
from msm_jax.models.sampling.config import Sample
from msm_jax.models.sampling.config import SamplingConfig

# Tokens drawn between two looks for stop strings.
_LOOK_EVERY = 16
# In the place of an index into the table of stops: ended by us, at a text.
_ENDED_HERE = 2**30


def rounded_length(n: int) -> int:
  """The least of 16, 24, 32, 48, 64, 96 … that is at least `n`."""
  power = max(16, 1 << (n - 1).bit_length())
  return power * 3 // 4 if power > 16 and n <= power * 3 // 4 else power


def _digest(prompt: Sequence[int]) -> int:
  """32 bits of the ids of a prompt."""
  raw = np.asarray(prompt, '<i4').tobytes()
  return int.from_bytes(hashlib.sha256(raw).digest()[:4], 'little')


@dataclasses.dataclass(frozen=True)
class _Row:
  """A prompt, and how many of the same were asked for before it."""

  index: int
  prompt: tuple[int, ...]
  copy: int


def _rows(model: Model, prompts: Sequence[Sequence[int]]) -> list[_Row]:
  """Returns the rows of prompts.

  Raises:
    ValueError: If a prompt is empty, or has an id that the model does not know.
  """
  V = model.config.vocab_size
  seen: collections.Counter[tuple[int, ...]] = collections.Counter()
  rows = []
  for index, ids in enumerate(prompts):
    prompt = tuple(map(int, ids))
    if not prompt:
      raise ValueError(f'prompts[{index}]: is empty; begin with <bos> at least')
    if unknown := [i for i in prompt if not 0 <= i < V]:
      raise ValueError(
        f'prompts[{index}]: id {unknown[0]} is not in [0, {V}), the '
        "vocabulary of the model; is this another model's tokenizer?"
      )
    rows.append(_Row(index, prompt, seen[prompt]))
    seen[prompt] += 1
  return rows


class _Batch:
  """Rows on their way."""

  def __init__(
    self,
    model: Model,
    params: unrolled.UnrolledParams,
    rows: Sequence[_Row],
    config: SamplingConfig,
    sharding: NamedSharding | None,
  ):
    """Runs the prompts, and draws the first token of each."""
    self.rows = rows
    self._config = config
    self._stop_sequences = [
      *((i,) for i in config.stop_ids),
      *config.stop_sequences,
    ]
    self._model, self._params = model, params
    self._rule = rule_of(config)
    B = 1 << (len(rows) - 1).bit_length()
    if sharding is not None:
      size = sharding.mesh.size
      shards = size // sharding.shard_shape((size,))[0]
      B = -(-B // shards) * shards
    T = rounded_length(max(len(row.prompt) for row in rows))

    def of_rows(x: Any) -> Any:
      return x if sharding is None else jax.device_put(x, sharding)

    # Rows beyond those asked for have ended before they begin.
    tokens_BT = np.zeros((B, T), np.int32)
    padding_B = np.full(B, T - 1, np.int32)
    stop_B = np.zeros(B, np.int32)
    prompt_B, copy_B = np.zeros((2, B), np.uint32)
    for b, row in enumerate(rows):
      padding_B[b] = T - len(row.prompt)
      tokens_BT[b, padding_B[b] :] = row.prompt
      stop_B[b] = -1
      prompt_B[b], copy_B[b] = _digest(row.prompt), row.copy
    self._inputs = programs.Inputs(
      of_rows(padding_B),
      jnp.asarray(stops.table(self._stop_sequences)),
      drawing.Dials(
        of_rows(programs.row_keys(jnp.uint32(config.seed), prompt_B, copy_B)),
        jnp.float32(config.temperature),
        jnp.int32(config.top_k or 0),
        jnp.float32(config.top_p or 0),
        jnp.int32(config.n_ids or model.config.vocab_size),
      ),
    )
    self._state = programs.prefill(
      model,
      self._rule,
      rounded_length(T + config.max_new_tokens),
      params,
      self._inputs,
      of_rows(tokens_BT),
      of_rows(stop_B),
    )

  @property
  def n(self) -> int:
    """How many tokens the longest rows have."""
    return int(self._state.outputs.n)

  def ended(self) -> bool:
    """Whether no row goes on."""
    outputs = self._state.outputs
    return self.n == self._config.max_new_tokens or bool(
      np.all(np.asarray(outputs.stop_B) >= 0)
    )

  def advance(self, until: int) -> None:
    """Draws until rows have so many tokens, or all have ended."""
    self._state = programs.decode(
      self._model,
      self._rule,
      self._params,
      self._inputs,
      self._state,
      jnp.int32(min(until, self._config.max_new_tokens)),
    )

  def end_rows(self, rows: Sequence[int]) -> None:
    """Lets these rows draw no more."""
    outputs = self._state.outputs
    stop_B = np.array(outputs.stop_B)
    stop_B[list(rows)] = _ENDED_HERE
    self._state = self._state._replace(
      outputs=outputs._replace(
        stop_B=jax.device_put(stop_B, outputs.stop_B.sharding)
      )
    )

  def drawn(self) -> list[Sample]:
    """What each row has so far, up to its stop id or sequence.

    Raises:
      FloatingPointError: If the model's logits were not finite.
    """
    outputs = jax.tree.map(np.asarray, self._state.outputs)
    samples = []
    for b, row in enumerate(self.rows):
      n, stop = int(outputs.length_B[b]), int(outputs.stop_B[b])
      logprobs = outputs.logprobs_BS[b, :n]
      if not np.all(np.isfinite(logprobs)):
        raise FloatingPointError(
          f'prompts[{row.index}]: the logits of new token '
          f'{int(np.argmin(np.isfinite(logprobs)))} are not finite; the '
          'parameters are broken, or overflow in '
          f'{self._model.config.dtype}'
        )
      reason = 'length'
      if 0 <= stop < len(self._stop_sequences):
        n -= len(self._stop_sequences[stop])
        is_id = stop < len(self._config.stop_ids)
        reason = 'stop_id' if is_id else 'stop_sequence'
      samples.append(
        Sample(outputs.tokens_BS[b, :n].tolist(), logprobs[:n].tolist(), reason)
      )
    return samples


def _with_text(
  sample: Sample, stop_strings: Sequence[str], decode: stops.Decode
) -> Sample:
  """Adds the text, and cuts it where a stop string begins."""
  text = decode(sample.tokens)
  place = stops.find_text(text, stop_strings)
  if place is None:
    return dataclasses.replace(sample, text=text)
  n = stops.n_tokens_of(sample.tokens, text[:place], decode)
  return Sample(
    sample.tokens[:n], sample.logprobs[:n], 'stop_string', text[:place]
  )


class Sampler:
  """A model ready to sample from, for as many calls as one likes.

  Holds a copy of the parameters that is laid out for decoding.
  """

  def __init__(
    self,
    model: Model,
    params: Params,
    *,
    rows: NamedSharding | None = None,
  ):
    """Copies the parameters, on the devices on which they are.

    Args:
      model: The decoder.
      params: Its parameters, replicated or sharded in any way.
      rows: How the leading axis of arrays is dealt over the devices of a mesh;
        None leaves it to the compiler.
    """
    self._model = model
    self._params = unrolled.unroll(params)
    self._sharding = rows

  def _start(self, rows: Sequence[_Row], config: SamplingConfig) -> _Batch:
    V = self._model.config.vocab_size
    in_sequences = itertools.chain.from_iterable(config.stop_sequences)
    for name, ids in (
      ('stop_ids', config.stop_ids),
      ('stop_sequences', in_sequences),
    ):
      for i in ids:
        if not 0 <= i < V:
          raise ValueError(
            f'sampling.{name}: {i} is not in [0, {V}), the vocabulary of the '
            'model'
          )
    return _Batch(self._model, self._params, rows, config, self._sharding)

  def sample(
    self,
    prompts: Sequence[Sequence[int]],
    config: SamplingConfig,
    *,
    decode: stops.Decode | None = None,
    batch_size: int = 64,
  ) -> list[Sample]:
    """Continues each prompt.

    Args:
      prompts: Token ids, of any lengths ≥ 1, also beyond the model's
        `context_length`. Equal prompts get different samples.
      config: How.
      decode: From ids to text, e.g. `tokenizer.decode`.
      batch_size: Rows drawn at a time, at most; the longest prompts first.

    Returns:
      A sample for each prompt, in their order.

    Raises:
      ValueError: If a prompt or a stop is empty or of ids that the model does
        not know, or there are stop strings but no `decode`.
      FloatingPointError: If the model's logits are not finite.
    """
    if batch_size < 1:
      raise ValueError(f'batch_size: {batch_size}, expected at least 1')
    if config.stop_strings and decode is None:
      raise ValueError(
        'sampling.stop_strings: texts can only be found with `decode`, from '
        'ids to text'
      )
    rows = _rows(self._model, prompts)
    rows.sort(key=lambda row: len(row.prompt), reverse=True)
    samples: dict[int, Sample] = {}
    for first in range(0, len(rows), batch_size):
      batch = self._start(rows[first : first + batch_size], config)
      for row, sample in zip(
        batch.rows, _finish(batch, config, decode), strict=True
      ):
        samples[row.index] = sample
    return [samples[i] for i in range(len(rows))]

  def stream(
    self, prompt: Sequence[int], config: SamplingConfig
  ) -> Iterator[list[int]]:
    """Continues one prompt, and yields new tokens as they come.

    The tokens are those that `sample` gives for this prompt alone. Those that
    may be the beginning of a stop sequence are held back.

    Raises:
      ValueError: As `sample`; stop strings are the reader's business here.
      FloatingPointError: If the model's logits are not finite.
    """
    if config.stop_strings:
      raise ValueError(
        'sampling.stop_strings: stream() yields tokens; look for texts in '
        'what they decode to'
      )
    held = max(map(len, config.stop_sequences), default=1) - 1
    batch = self._start(_rows(self._model, [prompt]), config)
    given = 0
    while True:
      ended = batch.ended()
      (sample,) = batch.drawn()
      stop = len(sample.tokens) - (0 if ended else held)
      if given < stop:
        yield sample.tokens[given:stop]
        given = stop
      if ended:
        return
      batch.advance(batch.n + 1)


def _finish(
  batch: _Batch, config: SamplingConfig, decode: stops.Decode | None
) -> list[Sample]:
  """Draws until every row has ended."""
  if decode is None:
    batch.advance(config.max_new_tokens)
    return batch.drawn()
  while not batch.ended():
    batch.advance(
      batch.n + _LOOK_EVERY if config.stop_strings else config.max_new_tokens
    )
    if config.stop_strings:
      texts = [decode(sample.tokens) for sample in batch.drawn()]
      batch.end_rows(
        [
          b
          for b, text in enumerate(texts)
          if stops.find_text(text, config.stop_strings) is not None
        ]
      )
  return [_with_text(s, config.stop_strings, decode) for s in batch.drawn()]


def sample(
  model: Model,
  params: Params,
  prompts: Sequence[Sequence[int]],
  config: SamplingConfig,
  *,
  decode: stops.Decode | None = None,
  batch_size: int = 64,
) -> list[Sample]:
  """Continues each prompt; see `Sampler`, which is for many calls."""
  if not prompts:
    return []
  return Sampler(model, params).sample(
    prompts, config, decode=decode, batch_size=batch_size
  )
