"""Prepares a source: tokenises and packs it once.

  python -m msm_jax.prepare --input=docs.parquet --tokenizer=tokenizer \\
    --seq_len=2048 --out=prepared/docs

An input may also be a directory of shards, such as a source of a corpus that
data_gen wrote (`--input=corpus/documents`), or a quoted pattern. What the input
says of each row (traits, genre, …) is kept, and `msm_jax.data.dose` counts it.

Statistics go to stdout, progress to stderr. The directory appears whole or not
at all.
"""

from collections.abc import Sequence
import sys

from absl import app
from absl import flags

from msm_jax import data
from msm_jax import tokenizers

_INPUT = flags.DEFINE_list(
  'input',
  None,
  'Parquet or JSONL files, patterns or directories, comma-separated.',
  required=True,
)
_KIND = flags.DEFINE_enum(
  'kind',
  'auto',
  ['auto', 'documents', 'conversations'],
  'What the rows are; auto goes by the columns text and messages.',
)
_TOKENIZER = flags.DEFINE_string(
  'tokenizer', None, 'Published tokenizer directory.', required=True
)
_SEQ_LEN = flags.DEFINE_integer(
  'seq_len', None, 'Length of a sequence.', lower_bound=1, required=True
)
_OUT = flags.DEFINE_string('out', None, 'Directory to publish.', required=True)
_ON_LONG = flags.DEFINE_enum(
  'on_long_conversation',
  'error',
  list(data.ON_LONG_CONVERSATION),
  'What to do with a conversation longer than a sequence.',
)
_SHARDS = flags.DEFINE_integer(
  'shards', 0, 'Number of files; 0 chooses by size.', lower_bound=0
)
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Decides which of equally long pieces share a sequence.'
)


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  try:
    source = data.prepare_source(
      _INPUT.value,
      tokenizers.load_tokenizer(_TOKENIZER.value),
      _OUT.value,
      seq_len=_SEQ_LEN.value,
      kind=_KIND.value,
      on_long_conversation=_ON_LONG.value,
      shards=_SHARDS.value,
      seed=_SEED.value,
    )
  except (ValueError, OSError) as e:
    sys.exit(f'prepare: {e}')
  print(data.describe_source(source))


if __name__ == '__main__':
  app.run(main)
