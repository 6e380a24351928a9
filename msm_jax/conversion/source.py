"""A published model: config.json and tensors, checked before a byte moves."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from msm_jax import models
from msm_jax import schema
from msm_jax import storage
from msm_jax.conversion import errors
from msm_jax.conversion import stacks
from msm_jax.conversion import tensor_files
from msm_jax.models import huggingface

CONFIG_NAME = 'config.json'
STACKED = ('layers', 'last_layers')


@dataclasses.dataclass(frozen=True)
class Part:
  """A tensor of a published model, and where it goes in ours."""

  spec: huggingface.TensorSpec
  tensor: tensor_files.Tensor


@dataclasses.dataclass(frozen=True)
class Source:
  """A published model whose headers fit its config.

  Attributes:
    folder: Where it is; local or `gs://`.
    family: A key of `huggingface.FAMILIES`.
    config: Its architecture; `param_dtype` is what to store.
    parts: All tensors, in the order of files and bytes.
    tied_head: A head that is stored although it is tied, if there is one.
    ignored: Names of tensors that are not the text model's.
  """

  folder: str
  family: str
  config: models.DecoderConfig
  parts: tuple[Part, ...]
  tied_head: tensor_files.Tensor | None
  ignored: tuple[str, ...]

  @property
  def n_bytes(self) -> int:
    return sum(p.tensor.n_bytes for p in self.parts)

  def files(self) -> list[str]:
    """Returns the paths of all files that hold tensors."""
    return sorted({p.tensor.file for p in self.parts})

  def slices(
    self, read: Callable[[int], None] = lambda n_bytes: None
  ) -> Iterator[stacks.Slice]:
    """Yields tensor after tensor, without holding one while the next is read.

    Args:
      read: Is told the bytes of every tensor that the caller is done with.
    """
    with tensor_files.Reader() as reader:
      for part in self.parts:
        yield stacks.Slice(
          part.spec.path,
          part.spec.layer,
          part.spec.to_ours(reader.read(part.tensor)),
        )
        read(part.tensor.n_bytes)


def _read_config(folder: str) -> tuple[str, models.DecoderConfig]:
  path = storage.join(folder, CONFIG_NAME)
  try:
    raw = storage.read_json(path)
  except FileNotFoundError as e:
    raise FileNotFoundError(
      f'{path}: does not exist; expected a folder as transformers saves it'
    ) from e
  except ValueError as e:
    raise errors.ConversionError(f'{path}: is not JSON ({e})') from e
  if not isinstance(raw, dict):
    raise errors.ConversionError(f'{path}: is not a JSON object')
  if quantised := raw.get('quantization_config'):
    method = quantised.get('quant_method', 'unknown')
    raise errors.ConversionError(
      f'{path}: quantization_config: the weights are quantised ({method}), '
      'which is not read; take the unquantised model'
    )
  try:
    return huggingface.read_config(raw)
  except schema.ConfigError as e:
    raise schema.ConfigError(f'{folder}: {e}') from e


def _check_shapes(parts: Sequence[Part]) -> None:
  wrong = [
    f'{p.tensor.name}: has shape {list(p.tensor.shape)}, expected '
    f'{list(p.spec.shape)}'
    for p in parts
    if p.tensor.shape != p.spec.shape
  ]
  if wrong:
    raise errors.ConversionError(
      f'{len(wrong)} tensors do not have the shapes that {CONFIG_NAME} says:\n'
      + errors.listing(wrong)
    )


def _check_dtypes(tensors: Sequence[tensor_files.Tensor]) -> None:
  wrong = [
    f'{t.name}: {t.dtype}'
    for t in tensors
    if t.dtype not in tensor_files.DTYPES
  ]
  if wrong:
    raise errors.ConversionError(
      f'{len(wrong)} tensors have dtypes that are not read (expected '
      f'{", ".join(tensor_files.DTYPES)}); a quantised model must be '
      'dequantised first, with the tool that quantised it:\n'
      + errors.listing(wrong)
    )


def _stored_dtype(parts: Sequence[Part], param_dtype: str | None) -> str:
  """Returns the dtype to store: the files' own unless another is asked for."""
  if param_dtype is not None:
    schema.one_of(param_dtype, huggingface.DTYPES, '--param_dtype')
    return param_dtype
  by_dtype: dict[str, list[str]] = {}
  for p in parts:
    by_dtype.setdefault(p.tensor.dtype, []).append(p.tensor.name)
  if len(by_dtype) > 1:
    raise errors.ConversionError(
      'the tensors have several dtypes; say with --param_dtype as which to '
      'store all of them (float32 loses nothing of bfloat16 and float16):\n'
      + errors.listing(
        f'{dtype}: {len(names)} tensors, e.g. {names[0]}'
        for dtype, names in sorted(by_dtype.items())
      )
    )
  dtype = tensor_files.DTYPES[next(iter(by_dtype))].name
  if dtype not in huggingface.DTYPES:
    raise errors.ConversionError(
      f'the tensors are {dtype}; give --param_dtype, one of '
      f'{", ".join(huggingface.DTYPES)}'
    )
  return dtype


def open_source(folder: str, *, param_dtype: str | None = None) -> Source:
  """Reads config and headers of a published model and checks that they fit.

  Args:
    folder: As `save_pretrained` of `transformers` writes it; local or `gs://`.
    param_dtype: One of `huggingface.DTYPES`, or None for that of the files.

  Raises:
    FileNotFoundError: If the folder has no config.json or no safetensors.
    ConfigError: If the family or a key of the config is not supported, or if
      tensors are missing or unknown; all of them are listed.
    ConversionError: If a file was cut short, shapes are others than the config
      says, or dtypes cannot be read; all such tensors are listed.
  """
  folder = folder.rstrip('/')
  family, config = _read_config(folder)
  found = tensor_files.read_folder(folder)
  specs = huggingface.tensors(family, config)
  try:
    located = huggingface.locate(specs, found)
  except schema.ConfigError as e:
    # What a quantised model has beside its weights would be found first.
    _check_dtypes(list(found.values()))
    raise schema.ConfigError(f'{folder}: {e}') from e
  parts = [Part(spec, found[located.names[spec.name]]) for spec in specs]
  parts.sort(key=lambda p: (p.tensor.file, p.tensor.start))
  _check_dtypes([p.tensor for p in parts])
  _check_shapes(parts)
  dtype = _stored_dtype(parts, param_dtype)
  source = Source(
    folder=folder,
    family=family,
    config=dataclasses.replace(config, param_dtype=dtype, dtype=dtype),
    parts=tuple(parts),
    tied_head=found[located.tied_head] if located.tied_head else None,
    ignored=located.ignored,
  )
  _check_tied_head(source)
  return source


def _check_tied_head(source: Source) -> None:
  """Refuses a head that is tied according to the config, but differs."""
  if source.tied_head is None:
    return
  embedding = next(
    p.tensor for p in source.parts if p.spec.path == ('embedding_VD',)
  )
  theirs = source.tied_head
  same = (embedding.dtype, embedding.shape) == (theirs.dtype, theirs.shape)
  if same:
    with tensor_files.Reader() as reader:
      same = reader.same_bytes(embedding, theirs)
  if not same:
    raise errors.ConversionError(
      f'{theirs.name}: differs from {embedding.name}, but config.json says '
      'tie_word_embeddings: true, and transformers would ignore it; set it to '
      'false if the head is to be kept'
    )


def leaves(config: models.DecoderConfig) -> dict[stacks.Path, Any]:
  """Returns shape and dtype of all parameters of a model, by path."""
  return stacks.flatten(models.Model(config).abstract_params())


def parts(
  config: models.DecoderConfig,
) -> Iterator[tuple[stacks.Path, int | None]]:
  """Yields every leaf of a model, stacked ones a layer at a time."""
  for path, leaf in leaves(config).items():
    if path[0] in STACKED:
      yield from ((path, layer) for layer in range(leaf.shape[0]))
    else:
      yield path, None


def fill(
  config: models.DecoderConfig, slices: Iterable[stacks.Slice]
) -> models.Params:
  """Collects all parameters in host memory; for comparisons.

  Returns:
    A tree of NumPy arrays of `config.param_dtype`.
  """
  flat = {
    path: np.empty(leaf.shape, leaf.dtype)
    for path, leaf in leaves(config).items()
  }
  for s in slices:
    flat[s.path][() if s.layer is None else s.layer] = s.value
  return stacks.unflatten(flat)
