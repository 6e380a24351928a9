"""Prepares a source: tokenises and packs it once.

  python -m msm_jax.prepare --input=docs.parquet --tokenizer=tokenizer \\
    --seq_len=2048 --out=prepared/docs

An input may also be a directory of shards, such as a source of a corpus that
data_gen wrote (`--input=corpus/documents`), or a quoted pattern. What the input
says of each row (traits, genre, …) is kept, and `msm_jax.data.dose` counts it.

Many rows are prepared in parts, by `--workers=8` processes of this machine or,
with the extra `beam`, under Apache Beam, whose own flags follow:

  python -m msm_jax.prepare … --runner=DataflowRunner --project=… --region=… \\
    --temp_location=gs://bucket/tmp

The result is the same to the byte; see docs/prepare.md. Statistics go to
stdout, progress to stderr. The directory appears whole or not at all.
"""

from collections.abc import Sequence
import sys

from absl import app
from absl import flags

from msm_jax import data
from msm_jax import tokenizers
from msm_jax.data import beam
from msm_jax.data import parts

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
_ROWS_PER_PART = flags.DEFINE_integer(
  'rows_per_part',
  parts.ROWS_PER_PART,
  'Rows that are tokenised and packed by themselves, before what fills no '
  'sequence is packed together.',
  lower_bound=1,
)
_WORKERS = flags.DEFINE_integer(
  'workers', 1, 'Processes of this machine.', lower_bound=1
)
_RUNNER = flags.DEFINE_string(
  'runner', None, 'Of Apache Beam, whose flags may follow.'
)


def _parse(argv: list[str]) -> list[str]:
  """Leaves flags that are not ours to Beam, where it is asked for."""
  beams = any(a.lstrip('-').partition('=')[0] == 'runner' for a in argv)
  if not beams:
    return app.parse_flags_with_usage(argv)
  try:
    return flags.FLAGS(argv, known_only=True)
  except flags.Error as e:
    raise SystemExit(f'prepare: {e}') from e


def _runner(options: Sequence[str]) -> beam.BeamRunner | None:
  if not _RUNNER.value:
    if options:
      raise app.UsageError(f'unexpected arguments: {options}')
    return None
  if _WORKERS.value > 1:
    raise app.UsageError(
      f'--workers={_WORKERS.value} is of this machine; how many workers '
      f'--runner={_RUNNER.value} has is a flag of Beam, e.g. '
      '--direct_num_workers or --max_num_workers'
    )
  return beam.BeamRunner(_RUNNER.value, options)


def main(argv: Sequence[str]) -> None:
  try:
    runner = _runner(argv[1:])
    source = data.prepare_source(
      _INPUT.value,
      tokenizers.load_tokenizer(_TOKENIZER.value),
      _OUT.value,
      seq_len=_SEQ_LEN.value,
      kind=_KIND.value,
      on_long_conversation=_ON_LONG.value,
      shards=_SHARDS.value,
      seed=_SEED.value,
      rows_per_part=_ROWS_PER_PART.value,
      workers=_WORKERS.value,
      run=runner,
      scratch=runner.temp_location if runner else None,
    )
  except (ValueError, OSError, RuntimeError, ImportError) as e:
    sys.exit(f'prepare: {e}')
  print(data.describe_source(source))


if __name__ == '__main__':
  app.run(main, flags_parser=_parse)
