"""Whether a checkpoint of ours and a published folder are the same model.

First bit by bit: every tensor of the one against every tensor of the other.
Then as models: logits of the same tokens, computed from each by our decoder,
and, where `transformers` and torch can be imported, by theirs. Computed in
float32, whatever the parameters are stored as; the whole model is in memory.
"""

import contextlib
import dataclasses
import functools
import gc

import jax
import jax.numpy as jnp
import numpy as np

from msm_jax import models
from msm_jax import storage
from msm_jax import training
from msm_jax.conversion import checkpoint
from msm_jax.conversion import dtypes
from msm_jax.conversion import errors
from msm_jax.conversion import importing
from msm_jax.conversion import source as source_lib
from msm_jax.conversion import stacks
from msm_jax.conversion import tensor_files

# Two right implementations differ by far less in float32.
_MAX_KL = 1e-4
_MAX_RELATIVE = 1e-3
_ROWS, _LENGTH = 2, 32


@dataclasses.dataclass(frozen=True)
class Difference:
  """How far logits of two models are apart, over all tokens.

  Attributes:
    logits: Largest absolute difference.
    relative: That, in standard deviations of the first's logits.
    kl: Largest KL(first ‖ second) of the next token, nats.
  """

  logits: float
  relative: float
  kl: float

  @property
  def is_none(self) -> bool:
    """Whether it is no more than rounding in float32 makes."""
    return self.kl <= _MAX_KL and self.relative <= _MAX_RELATIVE

  def describe(self) -> str:
    return (
      f'logits differ by {self.logits:.2e} ({self.relative:.1e} of their '
      f'standard deviation), KL {self.kl:.1e} nats'
    )


@dataclasses.dataclass(frozen=True)
class Report:
  """What was compared.

  Attributes:
    n_tensors: Tensors that are equal to the bit.
    ours: Our decoder on one against our decoder on the other.
    theirs: Our decoder against `transformers`, or None if that could not be
      imported.
  """

  n_tensors: int
  ours: Difference
  theirs: Difference | None

  def describe(self) -> str:
    lines = [
      f'{self.n_tensors} tensors are equal to the bit',
      f'our decoder on both: {self.ours.describe()}',
      'ours against transformers: not compared, since it or torch cannot be '
      'imported'
      if self.theirs is None
      else f'ours against transformers: {self.theirs.describe()}',
    ]
    return '\n'.join(lines)


def _check_tensors(
  found: checkpoint.Found,
  reader: stacks.Reader,
  source: source_lib.Source,
  dtype: np.dtype,
) -> int:
  """Compares all tensors as `dtype`, one of each at a time."""
  wrong = []
  with tensor_files.Reader() as files:
    for part in source.parts:
      spec = part.spec
      ours, theirs = (
        dtypes.cast(x, dtype, spec.name).tobytes()
        for x in (
          reader.read(spec.path, spec.layer),
          spec.to_ours(files.read(part.tensor)),
        )
      )
      if ours != theirs:
        wrong.append(f'{part.tensor.name} and {".".join(spec.path)}')
      del ours, theirs
  if wrong:
    raise errors.ConversionError(
      f'{found.where} and {source.folder}: {len(wrong)} of '
      f'{len(source.parts)} tensors differ:\n' + errors.listing(wrong)
    )
  return len(source.parts)


def _tokens(vocab_size: int) -> np.ndarray:
  rng = np.random.default_rng(0)
  return rng.integers(0, vocab_size, (_ROWS, _LENGTH), dtype=np.int32)


def _our_logits(
  config: models.DecoderConfig,
  params: models.Params,
  dtype: np.dtype,
  tokens_BT: np.ndarray,
) -> np.ndarray:
  """Returns the logits of parameters rounded to `dtype`, in float32."""
  model = models.Model(
    dataclasses.replace(config, dtype='float32', param_dtype='float32')
  )
  rounded = jax.tree.map(
    lambda x: np.asarray(x).astype(dtype).astype(np.float32), params
  )
  with jax.default_matmul_precision('highest'):
    return np.asarray(_logits(model, rounded, tokens_BT))


@functools.partial(jax.jit, static_argnums=0)
def _logits(
  model: models.Model, params: models.Params, tokens_BT: jax.Array
) -> jax.Array:
  positions_BT = jnp.broadcast_to(jnp.arange(_LENGTH), tokens_BT.shape)
  return model.logits(params, tokens_BT, jnp.ones_like(tokens_BT), positions_BT)


def _restore(found: checkpoint.Found, reader: stacks.Reader) -> models.Params:
  """Restores a checkpoint as a run or an evaluation would; adapters gone."""
  if found.lora is not None:
    return source_lib.fill(
      found.config,
      (
        stacks.Slice(path, layer, reader.read(path, layer))
        for path, layer in source_lib.parts(found.config)
      ),
    )
  directory = storage.join(found.workdir, importing.CHECKPOINTS)
  with contextlib.closing(
    training.Checkpoints(directory, read_only=True)
  ) as checkpoints:
    return checkpoints.params(
      found.meta.step,
      models.Model(found.config),
      jax.sharding.SingleDeviceSharding(jax.devices()[0]),
    )


def _transformers_logits(
  folder: str, dtype: np.dtype, tokens_BT: np.ndarray
) -> np.ndarray | None:
  """The same of `transformers`; None if it or torch cannot be imported."""
  try:
    import torch
    import transformers
  except ImportError:
    return None
  model = transformers.AutoModelForCausalLM.from_pretrained(
    folder, dtype=torch.float32, attn_implementation='eager'
  ).eval()
  with torch.no_grad():
    for parameter in model.parameters():
      rounded = parameter.to(getattr(torch, dtype.name))
      parameter.copy_(rounded.to(torch.float32))
    logits = model(torch.tensor(tokens_BT, dtype=torch.long)).logits
  return logits.float().numpy()


def difference(one: np.ndarray, other: np.ndarray) -> Difference:
  """Compares logits `[…, V]`, in float64."""

  def log_probabilities(logits: np.ndarray) -> np.ndarray:
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))

  p, q = log_probabilities(one), log_probabilities(other)
  logits = float(np.abs(one.astype(np.float64) - other).max())
  return Difference(
    logits=logits,
    relative=logits / float(one.std(dtype=np.float64)),
    kl=float((np.exp(p) * (p - q)).sum(-1).max()),
  )


def verify(
  found: checkpoint.Found,
  folder: str,
  *,
  written: str,
  adapters: str | None = None,
) -> Report:
  """Compares a checkpoint with a published folder.

  Args:
    found: The checkpoint.
    folder: As `transformers` saves it; local if theirs is to be compared.
    written: `'checkpoint'` or `'folder'`: which of the two was made of the
      other, whose parameters are rounded to its dtype if theirs is another.
    adapters: See `checkpoint.Found.dense`.

  Raises:
    ConversionError: If they differ, saying in what.
  """
  source = source_lib.open_source(folder, param_dtype=found.config.param_dtype)
  dtype = np.dtype(source.config.param_dtype)
  if written == 'folder':
    dtype = tensor_files.DTYPES[source.parts[0].tensor.dtype]
  reader = found.dense(adapters, dtype)
  n_tensors = _check_tensors(found, reader, source, dtype)
  tokens_BT = _tokens(source.config.vocab_size)
  logits = _our_logits(found.config, _restore(found, reader), dtype, tokens_BT)
  gc.collect()
  ours = difference(
    logits,
    _our_logits(
      source.config,
      source_lib.fill(source.config, source.slices()),
      dtype,
      tokens_BT,
    ),
  )
  gc.collect()
  reference = None
  if not storage.is_remote(folder):
    reference = _transformers_logits(folder, dtype, tokens_BT)
  theirs = None if reference is None else difference(reference, logits)
  report = Report(n_tensors, ours, theirs)
  if not all(d.is_none for d in (ours, theirs) if d is not None):
    raise errors.ConversionError(
      f'{found.where} and {folder} are not the same model:\n'
      + report.describe()
    )
  return report
