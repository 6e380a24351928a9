"""Greedy decoding, by running the whole prefix again for each token.

Good for a few samples of a small model.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from msm_jax.models.decoder import Model
from msm_jax.models.decoder import Params


@functools.partial(jax.jit, static_argnums=(0, 4))
def _decode(
  model: Model,
  params: Params,
  tokens_BT: jax.Array,
  lengths_B: jax.Array,
  new_tokens: int,
) -> jax.Array:
  B, T = tokens_BT.shape
  positions_BT = jnp.broadcast_to(jnp.arange(T, dtype=jnp.int32)[None], (B, T))
  segments_BT = jnp.ones((B, T), jnp.int32)
  rows_B = jnp.arange(B)

  def one_token(i: jax.Array, tokens_BT: jax.Array) -> jax.Array:
    # Later positions hold padding; causal attention never looks at them.
    logits_BTV = model.logits(params, tokens_BT, segments_BT, positions_BT)
    last_B = lengths_B + i - 1
    next_B = jnp.argmax(logits_BTV[rows_B, last_B], axis=-1)
    return tokens_BT.at[rows_B, last_B + 1].set(next_B.astype(jnp.int32))

  return jax.lax.fori_loop(0, new_tokens, one_token, tokens_BT)


def greedy(
  model: Model,
  params: Params,
  prompts: list[list[int]],
  *,
  new_tokens: int,
  stop_ids: set[int],
  bucket: int = 32,
) -> list[list[int]]:
  """Continues each prompt with its most likely tokens.

  Args:
    model: The decoder.
    params: Its parameters.
    prompts: Token ids, of any lengths ≥ 1.
    new_tokens: At most so many tokens each.
    stop_ids: An answer ends before the first of these.
    bucket: The longest total length is rounded up to a multiple of this, so
      that few lengths are compiled.

  Returns:
    The new ids of each prompt, without the stop id.
  """
  if not prompts:
    return []
  longest = max(map(len, prompts)) + new_tokens
  T = -(-longest // bucket) * bucket
  tokens_BT = np.zeros((len(prompts), T), np.int32)
  for row, prompt in enumerate(prompts):
    tokens_BT[row, : len(prompt)] = prompt
  lengths_B = np.asarray([len(p) for p in prompts], np.int32)
  out_BT = np.asarray(_decode(model, params, tokens_BT, lengths_B, new_tokens))
  answers = []
  for row, prompt in enumerate(prompts):
    answer = out_BT[row, len(prompt) : len(prompt) + new_tokens].tolist()
    ends = [i for i, token in enumerate(answer) if token in stop_ids]
    answers.append(answer[: ends[0]] if ends else answer)
  return answers
