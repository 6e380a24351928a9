"""Converts published models to checkpoints of ours, and back.

    python -m msm_jax.convert --from=hf:Qwen3-8B-Base --to=gs://bucket/qwen3-8b
    python -m msm_jax.convert --from=runs/x@sft --to=hf:exported \\
      --tokenizer=qwen3-8b/tokenizer
    python -m msm_jax.convert --from=runs/lora@sft --to=peft:adapter \\
      --tokenizer=qwen3-8b/tokenizer --base_model=Qwen/Qwen3-8B-Base

`hf:DIR` is a folder as `transformers` saves it, `peft:DIR` one of adapters as
PEFT does. Anything else is a workdir, of a training run or of a conversion;
`DIR@PHASE` is its checkpoint at the end of that phase, without `@PHASE` that of
its last. A conversion's is the end of a phase called `converted`: a run begins
from it with `init_from={'workdir': DIR, 'phase': 'converted'}`. See
docs/convert.md.
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

DEFAULT_SHARD_SIZE = '5GB'
_FOLDER, _ADAPTER = 'hf:', 'peft:'
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
  param_dtype: str | None = None,
  tokenizer: str | None = None,
  family: str | None = None,
  adapters: str | None = None,
  base_model: str | None = None,
  max_shard_size: str = DEFAULT_SHARD_SIZE,
  verify: bool = False,
) -> str:
  """Converts; see the flags. Returns what was done, in words."""
  if param_dtype is not None:
    schema.one_of(param_dtype, huggingface.DTYPES, '--param_dtype')
  formats = source.startswith(_FOLDER), target.startswith((_FOLDER, _ADAPTER))
  if formats[0] == formats[1]:
    raise schema.ConfigError(
      f'--from={source}, --to={target}: one of the two, and only one, must be '
      'in the format of others: hf:DIR, or --to=peft:DIR'
    )
  if formats[0]:
    _refuse(family=family, adapters=adapters, base_model=base_model)
    folder = source.removeprefix(_FOLDER)
    importing.import_model(
      folder, target, param_dtype=param_dtype, tokenizer_folder=tokenizer
    )
    found = checkpoint.find(target, importing.PHASE)
  elif target.startswith(_FOLDER):
    _refuse(base_model=base_model)
    folder = target.removeprefix(_FOLDER)
    found = exporting.export_model(
      *checkpoint.split_source(source),
      folder,
      family=family,
      param_dtype=param_dtype,
      tokenizer_folder=tokenizer,
      adapters=adapters,
      max_file_bytes=parse_size(max_shard_size),
    )
  else:
    _refuse(adapters=adapters, verify=verify or None)
    exporting.export_adapter(
      *checkpoint.split_source(source),
      target.removeprefix(_ADAPTER),
      family=family,
      param_dtype=param_dtype,
      tokenizer_folder=tokenizer,
      base_model=base_model,
    )
  done = f'{target}: converted from {source}'
  if verify:
    report = verifying.verify(
      found,
      folder,
      written='checkpoint' if formats[0] else 'folder',
      adapters=adapters,
    )
    done += f'\n{report.describe()}'
  return done


def _refuse(**flags: object) -> None:
  """Raises `ConfigError` if a flag is given that means nothing here."""
  for name, value in flags.items():
    if value is not None:
      raise schema.ConfigError(
        f'--{name}={value}: has no meaning for this conversion; leave it out'
      )


def define_flags() -> None:
  """Defines the flags; not at import, since importers have their own."""
  flags.DEFINE_string('from', None, 'hf:DIR or WORKDIR[@PHASE].', required=True)
  flags.DEFINE_string('to', None, 'WORKDIR, hf:DIR or peft:DIR.', required=True)
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
  flags.DEFINE_enum(
    'adapters',
    None,
    list(checkpoint.ADAPTERS),
    'What to do with adapters in an export to hf:DIR: add them into the '
    'kernels, or leave the base that they were trained on.',
  )
  flags.DEFINE_string(
    'base_model', None, 'Of an export to peft:DIR: the model to load first.'
  )
  flags.DEFINE_string(
    'max_shard_size',
    DEFAULT_SHARD_SIZE,
    'Of the tensors of one exported file.',
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
      adapters=values.adapters,
      base_model=values.base_model,
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
