"""Which token comes next: temperature, top-k, top-p, and a draw.

In the order of `transformers`: temperature, then top-k, then top-p among what
is left. Tokens of equal probability share their fate: where the last one that
would be kept has equals, these are kept too. So what is kept never depends on
the order of the vocabulary, and may be a little more than was asked for.

Shapes: `B` batch, `V` vocabulary.
"""

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

# Bits of a float32; of those ≥ 0 they have the floats' order.
_INFINITY = 0x7F800000

_Bounds = tuple[jax.Array, jax.Array]


@dataclasses.dataclass(frozen=True)
class Rule:
  """What a program that draws is compiled for.

  Attributes:
    greedy: Whether the likeliest token is taken; the first one of equals.
    has_top_k: Whether `Dials.top_k` counts.
    has_top_p: Whether `Dials.top_p` counts.
  """

  greedy: bool
  has_top_k: bool = False
  has_top_p: bool = False


class Dials(NamedTuple):
  """What may change without compiling again.

  Attributes:
    keys_B: A random key for each row.
    temperature: What logits are divided by.
    top_k: So many of the likeliest tokens are kept.
    top_p: Of these the likeliest are kept whose mass reaches this.
    n_ids: Ids from this on are never taken.
  """

  keys_B: jax.Array
  temperature: jax.Array
  top_k: jax.Array
  top_p: jax.Array
  n_ids: jax.Array


def _least(enough: Callable[[jax.Array], jax.Array], B: int) -> jax.Array:
  """Returns the least of 0 … bits of infinity that is enough, `[B]` int32.

  By bisection, since sorting a vocabulary takes ten times as long.

  Args:
    enough: From an integer for each row to whether it is; true from some
      integer on.
    B: Rows.
  """

  def halve(_: jax.Array, bounds: _Bounds) -> _Bounds:
    low_B, high_B = bounds
    middle_B = low_B + (high_B - low_B) // 2
    enough_B = enough(middle_B)
    return (
      jnp.where(enough_B, low_B, middle_B + 1),
      jnp.where(enough_B, middle_B, high_B),
    )

  bounds = jnp.zeros(B, jnp.int32), jnp.full(B, _INFINITY, jnp.int32)
  return jax.lax.fori_loop(0, 31, halve, bounds)[1]


def filtered(logits_BV: jax.Array, rule: Rule, dials: Dials) -> jax.Array:
  """Returns the logits that tokens are drawn by; -inf is never drawn."""
  B, V = logits_BV.shape
  known_V = jnp.arange(V) < dials.n_ids
  logits_BV = jnp.where(known_V[None], logits_BV, -jnp.inf)
  # A maximum of 0 keeps small temperatures from overflowing.
  logits_BV = logits_BV - jnp.max(logits_BV, axis=-1, keepdims=True)
  logits_BV = logits_BV / dials.temperature
  # How far below the maximum, as an integer of the same order.
  below_BV = jax.lax.bitcast_convert_type(jnp.abs(logits_BV), jnp.int32)
  if rule.has_top_k:
    limit_B = _least(
      lambda limit_B: (
        jnp.sum(below_BV <= limit_B[:, None], axis=-1) >= dials.top_k
      ),
      B,
    )
    logits_BV = jnp.where(below_BV <= limit_B[:, None], logits_BV, -jnp.inf)
  if rule.has_top_p:
    p_BV = jax.nn.softmax(logits_BV, axis=-1)
    limit_B = _least(
      lambda limit_B: (
        jnp.sum(p_BV, axis=-1, where=below_BV <= limit_B[:, None])
        >= dials.top_p
      ),
      B,
    )
    logits_BV = jnp.where(below_BV <= limit_B[:, None], logits_BV, -jnp.inf)
  return logits_BV


def _gumbel(key: jax.Array, n: jax.Array, V: int) -> jax.Array:
  """Returns `V` draws `-log E` of exponentials `E = -log(1 - u)`.

  `u` is made of 32 bits and most exact near 0, where `E` decides: a token of
  probability 1e-9 is drawn that often, which 23 bits could not do.
  """
  bits_V = jax.random.bits(jax.random.fold_in(key, n), (V,), jnp.uint32)
  u_V = (bits_V.astype(jnp.float32) + 0.5) * 2.0**-32
  # Rounding to 1 would give no finite number.
  return -jnp.log(-jnp.log1p(-jnp.minimum(u_V, 1 - 2.0**-24)))


def draw(
  logits_BV: jax.Array, rule: Rule, dials: Dials, n: jax.Array
) -> jax.Array:
  """Returns each row's next token, `[B]` int32.

  The Gumbel-max trick (Maddison et al., arXiv 1411.0030): a change of logits
  by ε changes the draw with a probability of the order of ε only, where a
  search in the cumulated distribution may shift all of its tail.

  Args:
    logits_BV: Of the model, float32.
    rule: See `Rule`.
    dials: See `Dials`.
    n: How many tokens were drawn before; each has noise of its own.
  """
  if rule.greedy:
    known_V = jnp.arange(logits_BV.shape[-1]) < dials.n_ids
    choice_B = jnp.argmax(
      jnp.where(known_V[None], logits_BV, -jnp.inf), axis=-1
    )
    return choice_B.astype(jnp.int32)
  logits_BV = filtered(logits_BV, rule, dials)
  noise_BV = jax.vmap(lambda key: _gumbel(key, n, logits_BV.shape[-1]))(
    dials.keys_B
  )
  return jnp.argmax(logits_BV + noise_BV, axis=-1).astype(jnp.int32)
