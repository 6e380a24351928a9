"""When a sample ends: at a token, at a sequence of tokens, or at a text.

Tokens are matched inside the compiled loop, against a table. Texts need a
tokenizer, and may begin and end within tokens: they are looked for on the host,
in what all tokens so far decode to.
"""

from collections.abc import Callable
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

Decode = Callable[[list[int]], str]

# In a table: a place that any token fits, and one that no token fits.
_ANY, _NEVER = -1, -2


def table(sequences: Sequence[Sequence[int]]) -> np.ndarray:
  """Returns int32 `[M, L]`, a sequence in each row, aligned right.

  Both axes are padded to powers of two, from 8 on, so that few programs are
  compiled.
  """
  longest = max(map(len, sequences), default=0)
  M, L = (1 << (max(n, 8) - 1).bit_length() for n in (len(sequences), longest))
  stops_ML = np.full((M, L), _NEVER, np.int32)
  for row, sequence in enumerate(sequences):
    stops_ML[row] = _ANY
    stops_ML[row, L - len(sequence) :] = sequence
  return stops_ML


def matched(
  stops_ML: jax.Array, tokens_BS: jax.Array, n: jax.Array
) -> jax.Array:
  """Returns which stop the first `n` tokens of each row end in, `[B]` int32.

  The first one in the table, or -1 if there is none. A stop that is longer
  than `n` is none.
  """
  L = stops_ML.shape[1]
  places_L = n - L + jnp.arange(L)
  tail_BL = jnp.take(tokens_BS, jnp.maximum(places_L, 0), axis=1)
  tail_BL = jnp.where(places_L[None, :] >= 0, tail_BL, _ANY)
  fits_BML = stops_ML[None] == tail_BL[:, None, :]
  fits_BM = jnp.all(fits_BML | (stops_ML[None] == _ANY), axis=-1)
  first_B = jnp.argmax(fits_BM, axis=-1)
  return jnp.where(jnp.any(fits_BM, axis=-1), first_B, -1).astype(jnp.int32)


def find_text(text: str, stops: Sequence[str]) -> int | None:
  """Returns where the one of `stops` begins that is complete first, if any.

  So it does not depend on how much of the text there is yet.
  """
  places = [(text.find(stop), stop) for stop in stops]
  found = [(place + len(stop), place) for place, stop in places if place >= 0]
  return min(found)[1] if found else None


def n_tokens_of(tokens: list[int], text: str, decode: Decode) -> int:
  """Returns how many tokens it takes until what they decode to has `text`."""
  low, high = 0, len(tokens)
  while low < high:
    middle = (low + high) // 2
    if decode(tokens[:middle]).startswith(text):
      high = middle
    else:
      low = middle + 1
  return low
