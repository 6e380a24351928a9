"""From a checkpoint of ours to a folder that `transformers` loads as it is."""

from collections.abc import Mapping
from collections.abc import Sequence
import json
import os
from typing import Any

import numpy as np

from msm_jax import progress
from msm_jax import schema
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax.conversion import adapters as adapters_lib
from msm_jax.conversion import checkpoint
from msm_jax.conversion import errors
from msm_jax.conversion import own_tokenizer
from msm_jax.conversion import source as source_lib
from msm_jax.conversion import stacks
from msm_jax.conversion import tensor_files
from msm_jax.models import huggingface

KIND = 'huggingface'
ADAPTER_KIND = 'peft'
GENERATION_CONFIG = 'generation_config.json'


def _check_leaves(
  where: str,
  reader: stacks.Reader,
  specs: Sequence[huggingface.TensorSpec],
) -> None:
  there = set(reader.paths)
  wanted = {spec.path for spec in specs}
  wrong = [f'{".".join(p)}: missing' for p in sorted(wanted - there)]
  wrong += [f'{".".join(p)}: unknown' for p in sorted(there - wanted)]
  if wrong:
    raise errors.ConversionError(
      f'{where}: its parameters are not those of its model:\n'
      + errors.listing(wrong)
    )


def _token_ids(tokenizer: tokenizers.Tokenizer) -> dict[str, Any]:
  """Returns the keys of config.json that say where texts begin and end."""
  ends = dict.fromkeys([tokenizer.eos_id, tokenizer.end_of_turn_id])
  return {
    'bos_token_id': tokenizer.bos_id,
    'eos_token_id': list(ends) if len(ends) > 1 else tokenizer.eos_id,
    'pad_token_id': tokenizer.pad_id,
  }


def _write_json(path: str, value: Any) -> None:
  storage.write_atomic(path, json.dumps(value, indent=2) + '\n')


def _write_tokenizer(
  folder: str, tokenizer: tokenizers.Tokenizer, ids: dict[str, Any]
) -> None:
  """Writes what others need to read a tokenizer and to generate with it."""
  files = tokenizer.files
  if isinstance(tokenizer, tokenizers.SentencePieceTokenizer):
    files = own_tokenizer.files(tokenizer)
  for name, data in files.items():
    storage.write_atomic(storage.join(folder, name), data)
  theirs = files.get(GENERATION_CONFIG)
  if generation := _generation_config(theirs, ids):
    _write_json(storage.join(folder, GENERATION_CONFIG), generation)


def _generation_config(
  theirs: bytes | None, ids: Mapping[str, Any]
) -> dict[str, Any] | None:
  """Returns how to generate; None if theirs says where answers end.

  That of a base model does not know the token that ends an answer of another
  chat template, so that `generate` would go on behind it.

  Raises:
    ConversionError: If theirs cannot be read.
  """
  if theirs is None:
    return dict(ids)
  try:
    raw = dict(json.loads(theirs))
  except (ValueError, TypeError) as e:
    raise errors.ConversionError(
      f'{GENERATION_CONFIG} of the tokenizer is not a JSON object ({e})'
    ) from e
  known, ours = (
    end if isinstance(end, list) else [end] * (end is not None)
    for end in (raw.get('eos_token_id'), ids['eos_token_id'])
  )
  missing = [i for i in ours if i not in known]
  return {**raw, 'eos_token_id': [*known, *missing]} if missing else None


def _write_weights(
  folder: str,
  reader: stacks.Reader,
  tensors: Sequence[huggingface.TensorSpec | adapters_lib.Adapter],
  files: Mapping[str, Sequence[tensor_files.Entry]],
) -> None:
  """Writes files of tensors, one tensor at a time."""
  by_name = {t.name: t for t in tensors}
  n_bytes = sum(e.n_bytes for of_file in files.values() for e in of_file)
  with progress.Progress('weights', n_bytes, 'bytes') as report:

    def value(entry: tensor_files.Entry) -> np.ndarray:
      tensor = by_name[entry.name]
      report.advance(entry.n_bytes)
      return tensor.to_theirs(reader.read(tensor.path, tensor.layer))

    for name, entries in files.items():
      tensor_files.write_file(os.path.join(folder, name), entries, value)


def export_model(
  workdir: str,
  phase: str | None,
  folder: str,
  *,
  family: str | None = None,
  param_dtype: str | None = None,
  tokenizer_folder: str | None = None,
  adapters: str | None = None,
  max_file_bytes: int = 5_000_000_000,
) -> checkpoint.Found:
  """Writes a checkpoint as `transformers` would have saved it.

  Everything that can be wrong is found before anything is written; the folder
  appears whole or not at all. Tensors are read, and written, one at a time.

  Args:
    workdir: Of a run or a conversion, local or `gs://`.
    phase: At whose end the checkpoint is; None is the last one.
    folder: To publish, local or `gs://`; one that was published before is
      replaced.
    family: A key of `huggingface.FAMILIES`; None is the first that computes
      exactly this architecture.
    param_dtype: What to write; None for what the checkpoint has.
    tokenizer_folder: See `checkpoint.load_tokenizer`.
    adapters: See `checkpoint.Found.dense`.
    max_file_bytes: Of the tensors of one file.

  Returns:
    The checkpoint.

  Raises:
    CheckpointError: If there is no such checkpoint.
    ConfigError: If no family computes this architecture, or `family` does not.
    ConversionError: If the tokenizer is another one.
  """
  found = checkpoint.find(workdir, phase)
  family = family or huggingface.export_family(found.config)
  specs = huggingface.tensors(family, found.config)
  dtype = found.dtype(param_dtype)
  reader = found.dense(adapters, dtype)
  _check_leaves(found.where, reader, specs)
  tokenizer = checkpoint.load_tokenizer(found, tokenizer_folder)
  ids = _token_ids(tokenizer)
  config = huggingface.write_config(
    family, found.config, dtype=dtype.name, **ids
  )
  files = tensor_files.plan_files(
    [tensor_files.Entry(s.name, dtype, s.shape) for s in specs],
    max_file_bytes,
  )
  with storage.publish(folder, kind=KIND) as publication:
    staged = str(publication.dir)
    _write_json(storage.join(staged, source_lib.CONFIG_NAME), config)
    _write_tokenizer(staged, tokenizer, ids)
    _write_weights(staged, reader, specs, files)
    if len(files) > 1:
      tensor_files.write_index(staged, files)
    publication.info.update(_origin(found, family), adapters=adapters)
  return found


def _origin(found: checkpoint.Found, family: str) -> dict[str, Any]:
  """What a folder's manifest says of where it comes from."""
  return {
    'family': family,
    'phase': found.meta.phase,
    'step': found.meta.step,
    'checkpoint': found.meta.identity,
    'tokenizer': found.meta.fingerprints['tokenizer'],
  }


def export_adapter(
  workdir: str,
  phase: str | None,
  folder: str,
  *,
  family: str | None = None,
  param_dtype: str | None = None,
  tokenizer_folder: str | None = None,
  base_model: str | None = None,
) -> checkpoint.Found:
  """Writes the adapters of a checkpoint as PEFT would have saved them.

  Args:
    workdir: See `export_model`.
    phase: Likewise.
    folder: Likewise.
    family: Likewise; that of the base model's names.
    param_dtype: What to write; None for what they are trained in.
    tokenizer_folder: Written beside them.
    base_model: What adapter_config.json names as the model to load first: the
      one that the adapters were trained on, e.g. exported with `adapters`
      `'drop'`.

  Raises:
    ConfigError: If the checkpoint has no adapters; else see `export_model`.
  """
  found = checkpoint.find(workdir, phase)
  if found.lora is None:
    raise schema.ConfigError(
      f'--to=peft:{folder}: {found.where} has no adapters; export the model '
      'with --to=hf:DIR'
    )
  family = family or huggingface.export_family(found.config)
  specs = huggingface.tensors(family, found.config)
  adapters = adapters_lib.tensors(found.lora, found.reader, specs)
  tokenizer = checkpoint.load_tokenizer(found, tokenizer_folder)
  files = {
    adapters_lib.WEIGHTS_NAME: [
      tensor_files.Entry(
        a.name,
        np.dtype(param_dtype or found.reader.leaf(a.path).dtype),
        a.shape,
      )
      for a in adapters
    ]
  }
  config = adapters_lib.adapter_config(found.lora, adapters, specs, base_model)
  with storage.publish(folder, kind=ADAPTER_KIND) as publication:
    staged = str(publication.dir)
    _write_json(storage.join(staged, adapters_lib.CONFIG_NAME), config)
    _write_tokenizer(staged, tokenizer, _token_ids(tokenizer))
    _write_weights(staged, found.reader, adapters, files)
    publication.info.update(_origin(found, family))
  return found
