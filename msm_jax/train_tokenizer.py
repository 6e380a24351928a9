"""Trains a SentencePiece tokenizer on the text of a corpus.

  python -m msm_jax.train_tokenizer --input=base.parquet,chats.parquet \\
    --vocab_size=1024 --out=tokenizer

Reads the columns `text` and `messages` of Parquet or JSONL files. The same
texts give the same tokenizer, in whatever order.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import sys

from absl import app
from absl import flags
import sentencepiece

from msm_jax import data
from msm_jax import tokenizers

_INPUT = flags.DEFINE_list(
  'input', None, 'Parquet or JSONL files, comma-separated.', required=True
)
_OUT = flags.DEFINE_string('out', None, 'Directory to publish.', required=True)
_VOCAB_SIZE = flags.DEFINE_integer(
  'vocab_size', None, 'Number of token ids.', lower_bound=1, required=True
)
_MODEL_TYPE = flags.DEFINE_enum(
  'model_type', 'bpe', ['bpe', 'unigram'], 'How pieces are found.'
)
_CHARACTER_COVERAGE = flags.DEFINE_float(
  'character_coverage',
  0.9995,
  'Share of characters with a piece of their own; others become bytes.',
)
_MAX_BYTES = flags.DEFINE_integer(
  'max_bytes', 200_000_000, 'Trains on a sample of at most so many bytes.'
)


def iter_texts(paths: Sequence[str]) -> Iterator[str]:
  """Yields all texts of a corpus: documents, and contents of messages."""
  for path in paths:
    for item in data.read_items([path]):
      if isinstance(item, data.Document):
        yield item.text
      else:
        yield from (m['content'] for m in item.messages)


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  try:
    model = tokenizers.train_sentencepiece(
      iter_texts(_INPUT.value),
      vocab_size=_VOCAB_SIZE.value,
      model_type=_MODEL_TYPE.value,
      character_coverage=_CHARACTER_COVERAGE.value,
      max_bytes=_MAX_BYTES.value,
    )
    tokenizer = tokenizers.publish_tokenizer(
      _OUT.value,
      model,
      info={
        'model_type': _MODEL_TYPE.value,
        'sentencepiece': sentencepiece.__version__,
      },
    )
  except (ValueError, OSError) as e:
    sys.exit(f'train_tokenizer: {e}')
  print(
    f'{_OUT.value}: {tokenizer.vocab_size} {_MODEL_TYPE.value} pieces, '
    f'fingerprint {tokenizer.fingerprint}'
  )


if __name__ == '__main__':
  app.run(main)
