"""How much of the loss is computed at once, where a config does not say.

Both choices are of time and memory only; each is printed with what is compiled.
"""

from msm_jax import models

# Bytes of the float32 logits of a chunk on a device. Their products are large
# enough for a TPU at this size, and there are larger buffers besides.
_LOGITS = 300_000_000


def _divisors(n: int) -> list[int]:
  return [d for d in range(1, n + 1) if n % d == 0]


def chunk(
  *, rows: int, length: int, vocab_size: int, layout: models.Layout
) -> int:
  """Returns positions per chunk: as many as have 300 MB of logits.

  Args:
    rows: Of a device, and of a micro-batch.
    length: Of a sequence; `mesh.context` times a divisor of a shard's part is
      returned.
    vocab_size: Of the model.
    layout: Where things lie.
  """
  shards = layout.size('context')
  # Groups of devices share the vocabulary, but have the rows of all.
  of_position = 4 * rows * vocab_size // layout.size('tensor')
  most = max(_LOGITS // of_position, 1)
  part = max(d for d in _divisors(length // shards) if d <= most)
  return part * shards


def group(
  *,
  rows: int,
  length: int,
  vocab_size: int,
  trains_head: bool,
  layout: models.Layout,
) -> int:
  """Returns how many neighbours share the vocabulary in the loss on a mesh.

  A device of a group of `G` holds `V / G` vectors of the head in bfloat16, and
  of its gradient in float32, and `G` times its own hidden states and their
  gradients: what is least together is taken. It is `G ≈ sqrt(V / positions)`.

  Args:
    rows: Of a device, and of a micro-batch.
    length: Of a sequence.
    vocab_size: Of the model.
    trains_head: Whether the head has a gradient.
    layout: Where things lie.
  """
  last = layout.size(*layout.cut(models.FSDP)[-1:])
  vocabulary = vocab_size // layout.size('tensor')
  positions = rows * length // layout.size('context')
  of_vector = 6 if trains_head else 2
  fitting = [G for G in _divisors(last) if vocabulary % G == 0]
  return min(
    fitting, key=lambda G: of_vector * vocabulary / G + 4 * positions * G
  )
