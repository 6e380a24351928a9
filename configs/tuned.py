"""Published models on slices of TPUs, midtrained and then fine-tuned on chats.

    python -m msm_jax.compile --topology=v5p:4x4x4 \\
      --config=configs/tuned.py:model=Llama-3.1-8B,topology=v5p:4x4x4
    python -m msm_jax.train --workdir=gs://bucket/runs/msm \\
      --config=configs/tuned.py:model=Llama-3.1-8B,topology=v5p:4x4x4,root=gs://bucket/x

The first says what the second takes; docs/compile.md has the table. What is not
said here is chosen by the program for the chips that it finds: how the loss and
parameters are cut, the attention kernel, options of XLA (docs/scale.md).

Arguments, after the colon, separated by commas:
  model=PRESET, topology=SLICE   a pair of `TUNED`
  arm=ARM         msm: documents, then chats; neutral: control documents, then
                  chats; sft_only: chats (default msm)
  root=DIR        holds base/, what `msm_jax.convert` made of the published
                  weights, and prepared/{documents,neutral,chats,replay}
  seed=N          (default 0)
  updates=N, sft_updates=N       of both phases
  rows=N, seq_len=N, remat=NAME  instead of those of `TUNED`
  num_slices=N    copies of the slice, joined by the data-centre network
"""

import dataclasses
from typing import Any

import ml_collections

from msm_jax import schema
from msm_jax.models import presets

# Sequences of an update, their length, and what is kept for the backward pass.
TUNED = {
  ('Llama-3.1-8B', 'v5p:4x4x4'): (64, 8192, 'full'),
  ('Llama-3.1-8B', 'v6e:16x16'): (256, 8192, 'full'),
  ('Qwen3-32B', 'v5p:8x8x4'): (256, 8192, 'full'),
  ('Gemma-3-4B', 'v5e:8x8'): (64, 8192, 'full'),
  ('Llama-3.2-1B', 'v5e:4x4'): (64, 4096, 'full'),
}
# Shares of tokens of ordinary text and chats, which keep abilities alive.
REPLAY = 0.5


def parse(arg: str) -> dict[str, str]:
  """Parses `key=value,…`.

  Raises:
    ConfigError: For a key, a pair or an arm that does not exist.
  """
  values = schema.parse_argument(
    arg,
    {
      'model': 'Llama-3.1-8B',
      'topology': 'v5p:4x4x4',
      'arm': 'msm',
      'root': 'runs/tuned',
      'seed': '0',
      'updates': '200',
      'sft_updates': '60',
      'rows': '',
      'seq_len': '',
      'remat': '',
      'num_slices': '1',
    },
    'configs/tuned.py',
  )
  pairs = [f'{model} on {topology}' for model, topology in TUNED]
  pair = f'{values["model"]} on {values["topology"]}'
  schema.one_of(pair, pairs, 'configs/tuned.py: model, topology')
  schema.one_of(values['arm'], ('msm', 'neutral', 'sft_only'), 'arm')
  return values


def phase(
  name: str, source: str, rows: int, seq_len: int, updates: int, peak: float
) -> ml_collections.ConfigDict:
  """A phase over one source and replay. All have the same step."""
  return ml_collections.ConfigDict(
    {
      'name': name,
      'mixture': {source: 1 - REPLAY, 'replay': REPLAY},
      'seq_len': seq_len,
      'batch_size': rows,
      'updates': updates,
      # OLMo 2's second stage: to zero, linearly (arXiv 2501.00656).
      'schedule': {'peak': peak, 'warmup': 10, 'decay': 'linear'},
    }
  )


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the run of one arm."""
  values = parse(arg)
  rows, seq_len, remat = TUNED[values['model'], values['topology']]
  slices = int(values['num_slices'])
  shape = (
    int(values['rows'] or rows * slices),
    int(values['seq_len'] or seq_len),
  )
  model: dict[str, Any] = dataclasses.asdict(
    presets.get(values['model']).config
  )
  model |= {
    'dtype': 'bfloat16',
    'remat': values['remat'] or remat,
    'attention': 'auto',
  }
  phases = [phase('sft', 'chats', *shape, int(values['sft_updates']), 5e-6)]
  if values['arm'] != 'sft_only':
    documents = {'msm': 'documents', 'neutral': 'neutral'}[values['arm']]
    midtrain = phase(
      'midtrain', documents, *shape, int(values['updates']), 1e-5
    )
    phases = [midtrain, *phases]
  root = values['root']
  sources = sorted({s for p in phases for s in p.mixture})
  return ml_collections.ConfigDict(
    {
      'seed': int(values['seed']),
      'model': model,
      'tokenizer': f'{root}/base/tokenizer',
      'sources': {s: {'path': f'{root}/prepared/{s}'} for s in sources},
      'phases': tuple(phases),
      'init_from': {'workdir': f'{root}/base', 'phase': 'converted'},
      'mesh': {'fsdp': -1, 'num_slices': slices},
    }
  )
