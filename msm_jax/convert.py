"""Converts published models to checkpoints of ours, and back.

    python -m msm_jax.convert --from=hf:Qwen3-8B-Base --to=gs://bucket/qwen3-8b
    python -m msm_jax.convert --from=runs/x@sft --to=hf:exported \\
      --tokenizer=qwen3-8b/tokenizer

`hf:DIR` is a folder as `transformers` saves it. Anything else is a workdir, of
a training run or of a conversion; `DIR@PHASE` is its checkpoint at the end of
that phase, without `@PHASE` that of its last. A converted checkpoint is the end
of a phase called `converted`: a run begins from it with
`init_from={'workdir': DIR, 'phase': 'converted'}`. See docs/convert.md.
"""

import re
import sys

from absl import app
from absl import flags

from msm_jax import log
from msm_jax import schema
from msm_jax import training
from msm_jax.conversion import checkpoint
from msm_jax.conversion import exporting
from msm_jax.conversion import importing
from msm_jax.conversion import verifying
from msm_jax.models import huggingface

_HUGGING_FACE = 'hf:'
_UNITS = {'': 1, 'KB': 10**3, 'MB': 10**6, 'GB': 10**9}


def parse_size(text: str) -> int:
  """Returns the bytes of a size such as `5GB`.

  Raises:
    ConfigError: If it is none.
  """
  match = re.fullmatch(r'(\d+)\s*([KMG]B)?', text)
  if match is None or int(match[1]) < 1:
    raise schema.ConfigError(
      f'--max_shard_size={text}: expected a size such as 5GB or 500MB'
    )
  return int(match[1]) * _UNITS[match[2] or '']


def convert(
  source: str,
  target: str,
  *,
  param_dtype: str | None,
  tokenizer: str | None,
  family: str | None,
  max_shard_size: str,
  verify: bool,
) -> str:
  """Converts; see the flags. Returns what was done, in words."""
  if param_dtype is not None:
    schema.one_of(param_dtype, huggingface.DTYPES, '--param_dtype')
  theirs = [s.startswith(_HUGGING_FACE) for s in (source, target)]
  if theirs == [True, False]:
    folder = source.removeprefix(_HUGGING_FACE)
    if family is not None:
      raise schema.ConfigError('--family: of an import, config.json says it')
    importing.import_model(
      folder, target, param_dtype=param_dtype, tokenizer_folder=tokenizer
    )
    found = checkpoint.find(target, importing.PHASE)
  elif theirs == [False, True]:
    folder = target.removeprefix(_HUGGING_FACE)
    found = exporting.export_model(
      *checkpoint.split_source(source),
      folder,
      family=family,
      param_dtype=param_dtype,
      tokenizer_folder=tokenizer,
      max_file_bytes=parse_size(max_shard_size),
    )
  else:
    raise schema.ConfigError(
      f'--from={source}, --to={target}: one of the two, and only one, must be '
      'a folder of transformers: hf:DIR'
    )
  done = f'{target}: converted from {source}'
  if verify:
    written = 'checkpoint' if theirs[0] else 'folder'
    report = verifying.verify(found, folder, written=written)
    done += f'\n{report.describe()}'
  return done


def define_flags() -> None:
  """Defines the flags; not at import, since importers have their own."""
  flags.DEFINE_string('from', None, 'hf:DIR or WORKDIR[@PHASE].', required=True)
  flags.DEFINE_string('to', None, 'WORKDIR or hf:DIR.', required=True)
  flags.DEFINE_string(
    'param_dtype',
    None,
    f'What to store parameters as: {", ".join(huggingface.DTYPES)}; otherwise '
    'as they are.',
  )
  flags.DEFINE_string(
    'tokenizer', None, 'Its folder, if it is not beside the model.'
  )
  flags.DEFINE_enum(
    'family',
    None,
    list(huggingface.FAMILIES),
    'What to export as; otherwise the first that computes this architecture.',
  )
  flags.DEFINE_string(
    'max_shard_size', '5GB', 'Of the tensors of one exported file.'
  )
  flags.DEFINE_boolean(
    'verify',
    False,
    'Compare what was written with what was read: tensors, logits and KL. '
    'Holds the whole model in memory, in float32.',
  )


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  values = flags.FLAGS
  try:
    done = convert(
      str(values['from'].value),
      values.to,
      param_dtype=values.param_dtype,
      tokenizer=values.tokenizer,
      family=values.family,
      max_shard_size=values.max_shard_size,
      verify=values.verify,
    )
  except (ValueError, OSError, training.CheckpointError) as e:
    log.logger.error('%s', e)
    sys.exit(1)
  print(done)


if __name__ == '__main__':
  define_flags()
  log.configure()
  app.run(main)
