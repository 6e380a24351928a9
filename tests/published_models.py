"""Folders as `transformers` saves them, small, for tests of conversions."""

import dataclasses
import json
import pathlib
import shutil
from typing import Any

import hf_models
import numpy as np
import tokenizer_families

from msm_jax import convert
from msm_jax import models
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.conversion import tensor_files
from msm_jax.models import huggingface
from msm_jax.models import lora as lora_lib
from msm_jax.training import checkpoints as checkpoints_lib
from msm_jax.training import moments
from msm_jax.training import step as step_lib
from msm_jax.training.config import OptimizerConfig

VOCAB_SIZE = 832
CONFIG = models.DecoderConfig(
  vocab_size=VOCAB_SIZE,
  d_model=16,
  n_layers=2,
  n_heads=2,
  n_kv_heads=1,
  head_dim=8,
  d_ff=24,
  scale_embeddings=False,
  tied_embeddings=False,
)
# Of tokenizers and templates: `tokenizer_families`.
TOKENIZERS = {
  'llama': 'llama3',
  'qwen2': 'qwen2.5',
  'qwen3': 'qwen3',
  'gemma2': 'gemma2',
  'gemma3': 'gemma3',
  'olmo2': 'olmo2',
  'olmo3': 'olmo3',
  'smollm3': 'smollm3',
  'granite': 'olmo2',
}
# For templates that ask for today.
DATED = tokenizers.TokenizerSpec(date=tokenizer_families.DATE.isoformat())
# Keys of config.json: as the families have them, sizes small and all different.
_SIZES = {
  'vocab_size': VOCAB_SIZE,
  'hidden_size': 32,
  'intermediate_size': 40,
  'num_hidden_layers': 3,
  'num_attention_heads': 4,
  'num_key_value_heads': 2,
  'head_dim': 12,
  'max_position_embeddings': 256,
}
_OTHERS: dict[str, dict[str, Any]] = {
  'llama': {'rope_parameters': {'rope_type': 'default', 'rope_theta': 5e5}},
  'qwen2': {},
  'qwen3': {'tie_word_embeddings': True},
  'gemma2': {'sliding_window': 8, 'query_pre_attn_scalar': 20},
  'gemma3': {
    'model_type': 'gemma3_text',
    'sliding_window': 8,
    'query_pre_attn_scalar': 20,
    'layer_types': ['sliding_attention', 'full_attention', 'sliding_attention'],
  },
  'olmo2': {},
  'olmo3': {'sliding_window': 8},
  'smollm3': {'no_rope_layer_interval': 2},
  'granite': {'attention_multiplier': 0.2},
}


def run(source: Any, target: Any, **flags: Any) -> str:
  """Converts as the command does."""
  return convert.convert(str(source), str(target), **flags)


def save(
  family: str,
  folder: pathlib.Path,
  *,
  dtype: str = 'bfloat16',
  max_shard_size: str = '40KB',
  seed: int = 0,
) -> pathlib.Path:
  """Saves a model of `transformers` with its tokenizer, in several files."""
  torch = hf_models.import_torch()
  import transformers

  torch.manual_seed(seed)
  folder.mkdir(parents=True)
  add_tokenizer(folder, TOKENIZERS[family])
  tokenizer = tokenizers.load_tokenizer(folder, DATED)
  ids = {
    'bos_token_id': tokenizer.bos_id,
    'eos_token_id': [tokenizer.eos_id, tokenizer.end_of_turn_id],
    'pad_token_id': tokenizer.pad_id,
  }
  keys = {'model_type': family, **_SIZES, **_OTHERS[family]}
  config = transformers.AutoConfig.for_model(**keys, **ids)
  model = transformers.AutoModelForCausalLM.from_config(config)
  with torch.no_grad():
    for parameter in model.parameters():
      parameter.copy_(torch.randn_like(parameter) * 0.3)
  model.to(getattr(torch, dtype)).save_pretrained(
    folder, max_shard_size=max_shard_size
  )
  return folder


def add_tokenizer(folder: pathlib.Path, name: str) -> None:
  for file in tokenizer_families.folder(name).iterdir():
    shutil.copy(file, folder)


def write(
  folder: pathlib.Path,
  config,
  *,
  family: str = 'llama',
  tokenizer: str = 'llama3',
  max_file_bytes: int = 10**9,
  seed: int = 0,
) -> pathlib.Path:
  """Writes a random model in bfloat16, without torch; of any size."""
  folder.mkdir(parents=True)
  dtype = tensor_files.DTYPES['BF16']
  rng = np.random.default_rng(seed)

  def value(entry):
    if entry.n_bytes > 1 << 20:  # Quicker: any bits of numbers in [0, 2).
      return rng.integers(0, 1 << 14, entry.shape, np.uint16).view(dtype)
    noise = rng.standard_normal(entry.shape, np.float32)
    return (0.02 * noise).astype(dtype)

  files = tensor_files.plan_files(
    [
      tensor_files.Entry(s.name, dtype, s.shape)
      for s in huggingface.tensors(family, config)
    ],
    max_file_bytes,
  )
  for name, entries in files.items():
    tensor_files.write_file(str(folder / name), entries, value)
  if len(files) > 1:
    tensor_files.write_index(str(folder), files)
  raw = huggingface.write_config(
    family,
    config,
    bos_token_id=0,
    eos_token_id=1,
    pad_token_id=1,
    dtype='bfloat16',
  )
  (folder / 'config.json').write_text(json.dumps(raw))
  add_tokenizer(folder, tokenizer)
  return folder


def save_run(workdir: pathlib.Path, model, params, tokenizer) -> None:
  """Writes the checkpoint of a run of one phase, `sft`, without running it."""
  trained, frozen = lora_lib.split(params)
  phase = {'name': 'sft', 'lora': None}
  if model.lora is not None:
    phase['lora'] = dataclasses.asdict(model.lora)
  checkpoints = training.Checkpoints(workdir / 'checkpoints')
  checkpoints.save(
    step_lib.TrainState(params, moments.init(OptimizerConfig(), trained)),
    checkpoints_lib.Meta(
      step=5,
      phase='sft',
      phase_update=5,
      phase_ended=True,
      schedule_position=5,
      config={'model': dataclasses.asdict(model.config), 'phases': [phase]},
      fingerprints={'tokenizer': tokenizer.fingerprint},
      environment={},
      metrics={},
      base='sft' if frozen else None,
    ),
  )
  checkpoints.close()


def tensors(folder: pathlib.Path) -> dict[str, Any]:
  """Every tensor as the `safetensors` library reads it."""
  import safetensors

  found = {}
  for file in sorted(folder.glob('*.safetensors')):
    with safetensors.safe_open(file, 'np') as f:
      # NumPy has no bfloat16 of its own; with ml_dtypes imported it has.
      found |= {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
  return found
