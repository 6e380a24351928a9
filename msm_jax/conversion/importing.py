"""From a published model to a checkpoint of ours.

What is written is a workdir such as a training run leaves: the checkpoint at
the end of a phase called `converted`, without optimizer moments, `run.json`,
and the tokenizer beside them. The checkpoint comes last and appears whole, so
that a conversion that was killed is no model to any reader; the same command
again begins anew.
"""

import contextlib
import dataclasses
import os

from msm_jax import progress
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.conversion import errors
from msm_jax.conversion import source as source_lib
from msm_jax.conversion import stacks
from msm_jax.log import logger
from msm_jax.training import checkpoints as checkpoints_lib
from msm_jax.training import environment
from msm_jax.training import identity as identity_lib

PHASE = 'converted'
STEP = 0
TOKENIZER = 'tokenizer'
_TOKENIZER_KIND = 'tokenizer'
CHECKPOINTS = 'checkpoints'


def identity(
  source: source_lib.Source, tokenizer: tokenizers.Tokenizer
) -> identity_lib.Identity:
  """Returns what determines a conversion's result; hashes all files."""
  n_bytes = sum(map(storage.size, source.files()))
  sha256 = {}
  with progress.Progress('checksums', n_bytes, 'bytes') as report:
    for file in source.files():
      sha256[os.path.basename(file)] = storage.sha256_file(file)
      report.advance(storage.size(file))
  return identity_lib.Identity(
    config={
      'model': dataclasses.asdict(source.config),
      # What evaluations read of a run's phases.
      'phases': [{'name': PHASE, 'seq_len': source.config.context_length}],
    },
    fingerprints={
      'tokenizer': tokenizer.fingerprint,
      'mixtures': {},
      'init': None,
      'weights_sha256': sha256,
    },
  )


def _load_tokenizer(folder: str) -> tokenizers.Tokenizer:
  try:
    return tokenizers.load_tokenizer(folder)
  except tokenizers.TokenizerError as e:
    if tokenizers.is_published(folder):
      raise
    raise errors.ConversionError(
      f'{e}\nIf that can be chosen (a date, another template, bos or eos), '
      'publish the tokenizer with it, by python -m msm_jax.import_tokenizer '
      f'--source={folder} --out=DIR --date=… --template=…, and give '
      '--tokenizer=DIR'
    ) from e


def check_vocabulary(
  tokenizer: tokenizers.Tokenizer, source: source_lib.Source
) -> None:
  """Refuses a tokenizer that has ids without an embedding."""
  if tokenizer.vocab_size > source.config.vocab_size:
    raise errors.ConversionError(
      f'{source.folder}: the tokenizer has {tokenizer.vocab_size} ids, but the '
      f'embedding has {source.config.vocab_size} rows: they do not belong '
      'together'
    )


def publish_tokenizer(folder: str, out: str) -> None:
  """Copies a tokenizer, published or as it was downloaded, file by file."""
  if not tokenizers.is_published(folder):
    tokenizers.import_tokenizer(folder, out)
    return
  manifest = storage.verify(folder, kind=_TOKENIZER_KIND)
  with storage.publish(out, kind=_TOKENIZER_KIND) as publication:
    for name in manifest.files:
      data = storage.read_bytes(storage.join(folder, name))
      storage.write_atomic(publication.dir / name, data)
    publication.info.update(manifest.info)


def _is_there(target: str, ours: identity_lib.Identity) -> bool:
  """Whether the conversion was done before; refuses what is something else."""
  directory = storage.join(target, CHECKPOINTS)
  if not storage.exists(directory):
    return False
  with contextlib.closing(
    training.Checkpoints(directory, read_only=True)
  ) as checkpoints:
    steps = checkpoints.steps()
    if not steps:
      return False
    meta = checkpoints.meta(steps[0])
  identity_lib.check_same(
    ours, meta.config, meta.fingerprints, f'the checkpoint {target}'
  )
  return True


def _save(
  source: source_lib.Source, target: str, ours: identity_lib.Identity
) -> None:
  meta = checkpoints_lib.Meta(
    step=STEP,
    phase=PHASE,
    phase_update=0,
    phase_ended=True,
    schedule_position=0,
    config=ours.config,
    fingerprints=ours.fingerprints,
    environment=environment.describe(),
    metrics={},
  )
  with progress.Progress('weights', source.n_bytes, 'bytes') as report:
    stacks.save(
      storage.join(target, CHECKPOINTS),
      STEP,
      stacks.StackSave(
        source_lib.leaves(source.config),
        source.slices(report.advance),
        source_lib.STACKED,
      ),
      dataclasses.asdict(meta),
    )


def import_model(
  folder: str,
  target: str,
  *,
  param_dtype: str | None = None,
  tokenizer_folder: str | None = None,
) -> source_lib.Source:
  """Makes a checkpoint of ours from a published model.

  Everything that can be wrong with the model is found before anything is
  written. Tensors are read, and written, one at a time.

  Args:
    folder: As `save_pretrained` of `transformers` writes it; local or `gs://`.
    target: A workdir to be, local or `gs://`. Nothing is done if it holds this
      conversion already.
    param_dtype: What to store parameters as; None for what the files have.
    tokenizer_folder: Where the tokenizer is if not in `folder`: published, by
      `msm_jax.import_tokenizer` with choices of one's own, or as downloaded.

  Returns:
    The published model.

  Raises:
    ConversionError: See `source.open_source`, or if tokenizer and embedding do
      not fit, or the tokenizer or its template cannot be used.
    ConfigError: Likewise; a `MismatchError` if `target` is something else.
    TokenizerError: If a published tokenizer cannot be read.
  """
  source = source_lib.open_source(folder, param_dtype=param_dtype)
  tokenizer_folder = tokenizer_folder or source.folder
  tokenizer = _load_tokenizer(tokenizer_folder)
  check_vocabulary(tokenizer, source)
  ours = identity(source, tokenizer)
  if _is_there(target, ours):
    logger.info('%s: was converted before', target)
    return source
  identity_lib.claim_workdir(target, ours)
  publish_tokenizer(tokenizer_folder, storage.join(target, TOKENIZER))
  _save(source, target, ours)
  return source
