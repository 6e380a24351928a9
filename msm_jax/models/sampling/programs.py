"""The compiled programs of sampling: prompts in, and the loop that draws.

Shapes: `B` rows, `T` columns of prompts, `S` columns in all, `V` vocabulary,
`M` stops of at most `L` tokens.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from msm_jax.models.decoder import Model
from msm_jax.models.decoder import project_logits
from msm_jax.models.sampling import cache
from msm_jax.models.sampling import drawing
from msm_jax.models.sampling import stops
from msm_jax.models.sampling import unrolled


class Outputs(NamedTuple):
  """What was drawn so far; `stop_B` is -1 in rows that go on."""

  n: jax.Array
  tokens_BS: jax.Array
  logprobs_BS: jax.Array
  stop_B: jax.Array
  length_B: jax.Array


class State(NamedTuple):
  """Of the loop: `column` is the one that the last token drawn comes to."""

  caches: tuple[cache.LayerCache, ...]
  column: jax.Array
  outputs: Outputs


class Inputs(NamedTuple):
  """What stays the same over the loop."""

  padding_B: jax.Array
  stops_ML: jax.Array
  dials: drawing.Dials


def _drawn(
  rule: drawing.Rule, inputs: Inputs, outputs: Outputs, logits_BV: jax.Array
) -> Outputs:
  """Draws a token for each row, and looks whether it ends there."""
  n, tokens_BS, logprobs_BS, stop_B, length_B = outputs
  token_B = drawing.draw(logits_BV, rule, inputs.dials, n)
  logit_B = jnp.take_along_axis(logits_BV, token_B[:, None], axis=-1)[:, 0]
  logprob_B = logit_B - jax.nn.logsumexp(logits_BV, axis=-1)
  tokens_BS = jax.lax.dynamic_update_slice_in_dim(
    tokens_BS, token_B[:, None], n, 1
  )
  logprobs_BS = jax.lax.dynamic_update_slice_in_dim(
    logprobs_BS, logprob_B[:, None], n, 1
  )
  goes_on_B = stop_B < 0
  found_B = stops.matched(inputs.stops_ML, tokens_BS, n + 1)
  return Outputs(
    n + 1,
    tokens_BS,
    logprobs_BS,
    jnp.where(goes_on_B, found_B, stop_B),
    length_B + goes_on_B,
  )


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def prefill(
  model: Model,
  rule: drawing.Rule,
  n_columns: int,
  params: unrolled.UnrolledParams,
  inputs: Inputs,
  tokens_BT: jax.Array,
  stop_B: jax.Array,
) -> State:
  """Runs the prompts, padded on the left, and draws the first token."""
  config = model.config
  B, T = tokens_BT.shape
  positions_BT = jnp.arange(T)[None] - inputs.padding_B[:, None]
  hidden_BTD, head_DV, caches = unrolled.run(
    model,
    params,
    tokens_BT,
    jnp.maximum(positions_BT, 0),
    cache.prefill_mix(config, (positions_BT >= 0).astype(jnp.int32), n_columns),
    [None] * config.n_layers,
  )
  logits_B1V = project_logits(hidden_BTD[:, -1:], head_DV, config.final_softcap)
  outputs = Outputs(
    jnp.int32(0),
    jnp.zeros((B, n_columns), jnp.int32),
    jnp.zeros((B, n_columns), jnp.float32),
    stop_B,
    jnp.zeros(B, jnp.int32),
  )
  outputs = _drawn(rule, inputs, outputs, logits_B1V[:, 0])
  return State(caches, jnp.int32(T), outputs)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=4)
def decode(
  model: Model,
  rule: drawing.Rule,
  params: unrolled.UnrolledParams,
  inputs: Inputs,
  state: State,
  until: jax.Array,
) -> State:
  """Draws until there are so many tokens, or every row has ended."""

  def goes_on(state: State) -> jax.Array:
    outputs = state.outputs
    return (outputs.n < until) & jnp.any(outputs.stop_B < 0)

  config = model.config

  def step(state: State) -> State:
    caches, column, outputs = state
    last_B1 = jax.lax.dynamic_slice_in_dim(
      outputs.tokens_BS, outputs.n - 1, 1, axis=1
    )
    hidden_B1D, head_DV, caches = unrolled.run(
      model,
      params,
      last_B1,
      (column - inputs.padding_B)[:, None],
      cache.decode_mix(config, column, inputs.padding_B),
      caches,
    )
    logits_B1V = project_logits(hidden_B1D, head_DV, config.final_softcap)
    outputs = _drawn(rule, inputs, outputs, logits_B1V[:, 0])
    return State(caches, column + 1, outputs)

  return jax.lax.while_loop(goes_on, step, state)


@jax.jit
def row_keys(
  seed: jax.Array, prompt_B: jax.Array, copy_B: jax.Array
) -> jax.Array:
  key = jax.random.key(seed)

  def of_row(prompt: jax.Array, copy: jax.Array) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(key, prompt), copy)

  return jax.vmap(of_row)(prompt_B, copy_B)
