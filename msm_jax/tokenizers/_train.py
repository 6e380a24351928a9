"""Trains SentencePiece so that no text is ever lost or altered."""

from collections.abc import Iterable
from collections.abc import Iterator
import hashlib
import heapq
import io

import sentencepiece

from msm_jax.tokenizers import _template

MODEL_TYPES = ('bpe', 'unigram')

# Lines beyond this are cut: SentencePiece silently skips longer ones.
_MAX_LINE = 8192
# Fixed, because the unigram trainer sums floats per thread.
_THREADS = 4


def _sample_texts(texts: Iterable[str], max_bytes: int) -> list[str]:
  """Returns texts of at most `max_bytes` together, sorted.

  The texts with the smallest hashes are kept, so the sample depends neither on
  the order of the texts nor on how they are spread over files.
  """
  kept: list[tuple[int, str]] = []  # a heap of (-hash, text): largest first
  size = 0
  for text in texts:
    data = text.encode('utf-8')
    rank = int.from_bytes(hashlib.sha256(data).digest()[:8], 'big')
    heapq.heappush(kept, (-rank, text))
    size += len(data)
    while size > max_bytes and len(kept) > 1:
      size -= len(heapq.heappop(kept)[1].encode('utf-8'))
  return sorted(text for _, text in kept)


def _training_lines(texts: Iterable[str]) -> Iterator[str]:
  for text in texts:
    for line in text.replace('\u2581', '\n').replace('\0', '\n').split('\n'):
      for start in range(0, len(line), _MAX_LINE):
        yield line[start : start + _MAX_LINE]


def train_sentencepiece(
  texts: Iterable[str],
  *,
  vocab_size: int,
  model_type: str = 'bpe',
  character_coverage: float = 0.9995,
  max_bytes: int = 200_000_000,
  template: _template.ChatTemplate | None = None,
) -> bytes:
  """Trains a model; the same texts, in whatever order, give the same bytes.

  Args:
    texts: What to train on.
    vocab_size: Number of ids, of which 256 are bytes and 9 are fixed.
    model_type: 'bpe' or 'unigram'.
    character_coverage: Share of characters that get a piece of their own; the
      others are written as bytes.
    max_bytes: Trains on a sample of at most so many bytes of UTF-8.
    template: Names the control tokens.

  Returns:
    The serialised model.

  Raises:
    ValueError: If there is no text, or the vocabulary size does not suit it.
  """
  if model_type not in MODEL_TYPES:
    raise ValueError(f'model_type: {model_type!r} is not one of {MODEL_TYPES}')
  template = template or _template.ChatTemplate()
  lines = list(_training_lines(_sample_texts(texts, max_bytes)))
  if not lines:
    raise ValueError('the corpus has no text to train a tokenizer on')
  model = io.BytesIO()
  try:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(lines),
      model_writer=model,
      model_type=model_type,
      vocab_size=vocab_size,
      character_coverage=character_coverage,
      byte_fallback=True,
      normalization_rule_name='identity',
      add_dummy_prefix=False,
      remove_extra_whitespaces=False,
      allow_whitespace_only_pieces=True,
      split_digits=True,
      # A piece of its own, and no piece spans two lines.
      user_defined_symbols=['\n'],
      control_symbols=list(template.control_tokens),
      pad_id=0,
      bos_id=1,
      eos_id=2,
      unk_id=3,
      pad_piece='<pad>',
      bos_piece=template.bos,
      eos_piece='<eos>',
      unk_piece='<unk>',
      max_sentence_length=4 * _MAX_LINE + 1,
      input_sentence_size=0,
      shuffle_input_sentence=False,
      num_threads=_THREADS,
      minloglevel=2,
    )
  except (RuntimeError, OSError) as e:
    raise ValueError(
      f'vocab_size: SentencePiece cannot train {vocab_size} {model_type} '
      f'pieces on this corpus: {e}'
    ) from e
  return model.getvalue()
