"""From a checkpoint of ours to a folder that `transformers` loads as it is."""

from collections.abc import Sequence
import json
import os
from typing import Any

import numpy as np

from msm_jax import progress
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax.conversion import checkpoint
from msm_jax.conversion import errors
from msm_jax.conversion import source as source_lib
from msm_jax.conversion import tensor_files
from msm_jax.models import huggingface

KIND = 'huggingface'
GENERATION_CONFIG = 'generation_config.json'


def _check_leaves(
  found: checkpoint.Found, specs: Sequence[huggingface.TensorSpec]
) -> None:
  there = set(found.reader.paths)
  wanted = {spec.path for spec in specs}
  wrong = [f'{".".join(p)}: missing' for p in sorted(wanted - there)]
  wrong += [f'{".".join(p)}: unknown' for p in sorted(there - wanted)]
  if wrong:
    raise errors.ConversionError(
      f'{found.where}: its parameters are not those of its model:\n'
      + errors.listing(wrong)
    )


def _token_ids(tokenizer: tokenizers.Tokenizer) -> dict[str, Any]:
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
  """Writes what a tokenizer was read from, and how to generate with it."""
  for name, data in tokenizer.files.items():
    storage.write_atomic(storage.join(folder, name), data)
  if GENERATION_CONFIG not in tokenizer.files:
    _write_json(storage.join(folder, GENERATION_CONFIG), ids)


def _write_weights(
  folder: str,
  found: checkpoint.Found,
  specs: Sequence[huggingface.TensorSpec],
  dtype: np.dtype,
  max_file_bytes: int,
) -> None:
  """Writes all tensors, one at a time."""
  by_name = {spec.name: spec for spec in specs}
  files = tensor_files.plan_files(
    [tensor_files.Entry(s.name, dtype, s.shape) for s in specs],
    max_file_bytes,
  )
  n_bytes = sum(e.n_bytes for of_file in files.values() for e in of_file)
  with progress.Progress('weights', n_bytes, 'bytes') as report:

    def value(entry: tensor_files.Entry) -> np.ndarray:
      spec = by_name[entry.name]
      report.advance(entry.n_bytes)
      return spec.to_theirs(found.reader.read(spec.path, spec.layer))

    for name, entries in files.items():
      tensor_files.write_file(os.path.join(folder, name), entries, value)
  if len(files) > 1:
    tensor_files.write_index(folder, files)


def export_model(
  workdir: str,
  phase: str | None,
  folder: str,
  *,
  family: str | None = None,
  param_dtype: str | None = None,
  tokenizer_folder: str | None = None,
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
  _check_leaves(found, specs)
  dtype = found.dtype(param_dtype)
  tokenizer = checkpoint.load_tokenizer(found, tokenizer_folder)
  ids = _token_ids(tokenizer)
  config = huggingface.write_config(
    family, found.config, dtype=dtype.name, **ids
  )
  with storage.publish(folder, kind=KIND) as publication:
    staged = str(publication.dir)
    _write_json(storage.join(staged, source_lib.CONFIG_NAME), config)
    _write_tokenizer(staged, tokenizer, ids)
    _write_weights(staged, found, specs, dtype, max_file_bytes)
    publication.info.update(
      family=family,
      phase=found.meta.phase,
      step=found.meta.step,
      checkpoint=found.meta.identity,
      tokenizer=tokenizer.fingerprint,
    )
  return found
