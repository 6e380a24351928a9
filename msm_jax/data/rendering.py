"""Batches as text: decoded, trained tokens marked, with origins."""

from collections.abc import Iterator
from collections.abc import Mapping
import itertools

import numpy as np

from msm_jax import tokenizers
from msm_jax.data import exposure
from msm_jax.data import mixture as mixture_lib

UNDERLINE = ('\x1b[4m', '\x1b[24m')
BRACKETS = ('⟦', '⟧')


def decode_segment(
  tokenizer: tokenizers.Tokenizer,
  tokens: np.ndarray,
  targets: np.ndarray,
  loss_weights: np.ndarray,
  marks: tuple[str, str] = BRACKETS,
) -> str:
  """Decodes one segment, with marks around what is trained.

  The first token is context; every other one is the target of the one before.

  Args:
    tokenizer: That of the source.
    tokens: [n] ids of the segment.
    targets: [n] next ids; the last is not among `tokens`.
    loss_weights: [n] weights of the targets.
    marks: What stands before and after a trained stretch.
  """
  parts = [tokenizer.decode(tokens[:1].tolist())]
  trained = (loss_weights > 0).tolist()
  pairs = zip(trained, targets.tolist(), strict=True)
  for is_trained, group in itertools.groupby(pairs, key=lambda p: p[0]):
    text = tokenizer.decode([target for _, target in group])
    parts.append(f'{marks[0]}{text}{marks[1]}' if is_trained else text)
  return ''.join(parts)


def describe_row(
  tokenizer: tokenizers.Tokenizer,
  row: Mapping[str, np.ndarray],
  origin: mixture_lib.RowOrigin,
  marks: tuple[str, str] = BRACKETS,
) -> Iterator[str]:
  """Yields one paragraph per document in a row.

  Args:
    tokenizer: That of the source.
    row: The batch vocabulary, each array [T].
    origin: Of this row.
    marks: See `decode_segment`.
  """
  used = int(np.count_nonzero(row['segment_ids']))
  loss_tokens = int(np.count_nonzero(row['loss_weights']))
  yield (
    f'source {origin.source}, sequence {origin.sequence}: '
    f'{len(origin.segments)} documents, {used} tokens, '
    f'{loss_tokens} loss tokens, {len(row["tokens"]) - used} padding'
  )
  for (segment, document, piece), known in zip(
    origin.segments, origin.documents, strict=True
  ):
    at = row['segment_ids'] == segment
    text = decode_segment(
      tokenizer,
      row['tokens'][at],
      row['targets'][at],
      row['loss_weights'][at],
      marks,
    )
    part = f', piece {piece}' if piece else ''
    names = exposure.trait_names(known)
    about = ', '.join(
      exposure.with_name(t, names) for t in known.get('trait_ids') or []
    )
    yield (
      f'[{segment}] {document}{part} ({int(at.sum())} tokens)'
      f'{f" about {about}" if about else ""}\n{text}'
    )
