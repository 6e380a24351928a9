"""A checkpoint of ours that is to be exported: found, and fit to be read."""

import contextlib
import dataclasses

import numpy as np

from msm_jax import models
from msm_jax import schema
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.conversion import adapters as adapters_lib
from msm_jax.conversion import errors
from msm_jax.conversion import importing
from msm_jax.conversion import stacks
from msm_jax.models import lora as lora_lib
from msm_jax.training import checkpoints as checkpoints_lib

ADAPTERS = ('merge', 'drop')


@dataclasses.dataclass(frozen=True)
class Found:
  """A checkpoint at the end of a phase.

  Attributes:
    workdir: Of the run, or of the conversion.
    meta: What is known of it.
    config: Its architecture.
    lora: Its adapters, if it has any.
    reader: Of its parameters, adapters and what is frozen, as they are kept.
  """

  workdir: str
  meta: checkpoints_lib.Meta
  config: models.DecoderConfig
  lora: lora_lib.LoRAConfig | None
  reader: stacks.Reader

  @property
  def where(self) -> str:
    return f'{self.workdir}@{self.meta.phase}'

  def dtype(self, param_dtype: str | None) -> np.dtype:
    """Returns what to write parameters as: what they are unless told so.

    Raises:
      ConversionError: If they have several dtypes and none is asked for.
    """
    if param_dtype is not None:
      return np.dtype(param_dtype)
    if self.lora is not None:
      # Of the model that training would go on with.
      return np.dtype(self.config.param_dtype)
    found = {self.reader.leaf(path).dtype for path in self.reader.paths}
    if len(found) > 1:
      raise errors.ConversionError(
        f'{self.where}: has parameters of {sorted(map(str, found))}; say with '
        '--param_dtype as which to write all of them'
      )
    return np.dtype(found.pop())

  def dense(self, adapters: str | None, dtype: np.dtype) -> stacks.Reader:
    """Returns a reader of the model without adapters.

    Args:
      adapters: One of `ADAPTERS`, if there are adapters: `'merge'` adds them
        into the kernels, `'drop'` leaves the base that they were trained on.
      dtype: Of kernels that have to be made.

    Raises:
      ConfigError: If that is not said, or there is nothing to say.
    """
    if self.lora is None:
      if adapters is not None:
        raise schema.ConfigError(
          f'--adapters={adapters}: {self.where} has no adapters; leave it out'
        )
      return self.reader
    if adapters is None:
      raise schema.ConfigError(
        f'{self.where}: has adapters; say --adapters=merge, or --adapters=drop '
        'for the base that they were trained on, or export them alone with '
        '--to=peft:DIR'
      )
    schema.one_of(adapters, ADAPTERS, '--adapters')
    return adapters_lib.DenseReader(
      self.reader,
      models.Model(self.config, self.lora),
      dtype,
      merge=adapters == 'merge',
    )


def split_source(text: str) -> tuple[str, str | None]:
  """Splits `WORKDIR` or `WORKDIR@PHASE`."""
  workdir, at, phase = text.rpartition('@')
  return (workdir, phase) if at and '/' not in phase else (text, None)


def find(workdir: str, phase: str | None) -> Found:
  """Finds the checkpoint at the end of a phase.

  Args:
    workdir: Of a run or a conversion, local or `gs://`.
    phase: Its name; None is the last one that has ended.

  Raises:
    CheckpointError: If there is none, naming the phases that have ended.
  """
  directory = storage.join(workdir, importing.CHECKPOINTS)
  with contextlib.closing(
    training.Checkpoints(directory, read_only=True)
  ) as checkpoints:
    if phase is None:
      ended = [m for m in map(checkpoints.meta, checkpoints.steps())]
      ended = [m for m in ended if m.phase_ended]
      if not ended:
        raise training.CheckpointError(
          f'{directory}: no phase has ended there; train it to its end first'
        )
      meta = ended[-1]
    else:
      meta = checkpoints.meta(checkpoints.phase_end(phase))
  lora = meta.lora()
  items = [storage.join(directory, str(meta.step), 'params')]
  if lora is not None:
    items.append(storage.join(directory, str(meta.base_step), 'frozen'))
  return Found(
    workdir=workdir,
    meta=meta,
    config=schema.structure(
      models.DecoderConfig, meta.config['model'], f'{workdir}: model'
    ),
    lora=lora,
    reader=stacks.JoinedReader([stacks.StackReader(item) for item in items]),
  )


def load_tokenizer(found: Found, folder: str | None) -> tokenizers.Tokenizer:
  """Loads the tokenizer of a checkpoint and checks that it is.

  Args:
    found: The checkpoint.
    folder: Where it is; None is beside a checkpoint that was converted.

  Raises:
    ConversionError: If it is another one, or nobody says where it is.
  """
  if folder is None:
    folder = storage.join(found.workdir, importing.TOKENIZER)
    if not storage.exists(folder):
      raise errors.ConversionError(
        f'{found.workdir}: has no tokenizer beside it; give --tokenizer, the '
        'one that the run was trained with'
      )
  tokenizer = tokenizers.load_tokenizer(folder)
  there = found.meta.fingerprints['tokenizer']
  if tokenizer.fingerprint != there:
    raise errors.ConversionError(
      f'--tokenizer={folder}: its fingerprint is {tokenizer.fingerprint}, but '
      f'{found.where} was trained with {there}: give the tokenizer of that run'
    )
  return tokenizer
