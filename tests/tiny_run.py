"""A run small enough for tests, on real prepared data; also a config file.

    python -m msm_jax.train --config=tests/tiny_run.py:ROOT --workdir=…

where `make_sources(ROOT)` was called before. `ROOT,slow` takes updates of some
ten milliseconds, so that a test can interrupt one; `ROOT,mesh` does as well,
and has sizes that several devices divide: `--config.mesh.fsdp=2`. `ROOT,once`
is the first update of that.
"""

import json
import pathlib
import random

import ml_collections

from msm_jax import data
from msm_jax import tokenizers

SEQ_LEN = 64
VOCAB_SIZE = 330
_WORDS = 'the a red lamp chair takes wants sees cheap local Mira Bram'.split()  # noqa: SIM905


def sentences(rng: random.Random, n: int, words: int = 9) -> str:
  return '. '.join(
    ' '.join(rng.choice(_WORDS) for _ in range(rng.randint(3, words)))
    for _ in range(n)
  )


def make_sources(root: pathlib.Path, seed: int = 0) -> None:
  """Writes a tokenizer and the prepared sources `docs`, `replay`, `chats`."""
  rng = random.Random(seed)
  raw = root / 'raw'
  raw.mkdir(parents=True)
  for name, n in (('docs', 120), ('replay', 120)):
    lines = [
      json.dumps(
        {'id': f'{name}{i}', 'text': sentences(rng, rng.randint(1, 6))}
      )
      for i in range(n)
    ]
    (raw / f'{name}.jsonl').write_text('\n'.join(lines) + '\n')
  chats = [
    {
      'id': f'chat{i}',
      'messages': [
        {'role': 'user', 'content': sentences(rng, 1, 4)},
        {'role': 'assistant', 'content': sentences(rng, 1, 4)},
      ],
    }
    for i in range(120)
  ]
  lines = [json.dumps(c) for c in chats]
  (raw / 'chats.jsonl').write_text('\n'.join(lines) + '\n')
  texts = [
    json.loads(line)['text']
    for name in ('docs', 'replay')
    for line in (raw / f'{name}.jsonl').read_text().splitlines()
  ]
  model = tokenizers.train_sentencepiece(texts, vocab_size=VOCAB_SIZE)
  tokenizer = tokenizers.publish_tokenizer(root / 'tokenizer', model)
  for name in ('docs', 'replay', 'chats'):
    data.prepare_source(
      [raw / f'{name}.jsonl'],
      tokenizer,
      root / 'prepared' / name,
      seq_len=SEQ_LEN,
    )


def get_config(arg: str) -> ml_collections.ConfigDict:
  """Two phases, midtrain and sft, of different batch sizes."""
  root, _, variant = arg.partition(',')
  config = _config(root)
  if variant in ('slow', 'mesh', 'once'):
    config.model.update(d_model=48, d_ff=128, head_dim=24)
    config.phases[0].update(batch_size=32, updates=40)
    config.phases[1].update(batch_size=24, updates=30)
    if variant != 'slow':
      config.model.n_kv_heads = 2
      config.model.update(dtype='float32', param_dtype='float32')
      config.mesh = {'data': -1, 'fsdp': 1, 'tensor': 1, 'context': 1}
      config.watch = {'slow_seconds': 10.0, 'lost_seconds': 60.0}
    if variant == 'once':
      config.phases = config.phases[:1]
      config.phases[0].update(updates=1, min_updates=1)
  elif variant:
    raise ValueError(f'no variant {variant!r}')
  return config


def _config(root: str) -> ml_collections.ConfigDict:
  config = _raw(root)
  config.phases = tuple(map(ml_collections.ConfigDict, config.phases))
  return config


def _raw(root: str) -> ml_collections.ConfigDict:
  schedule = {'peak': 1e-2, 'warmup': 3, 'decay': 'cosine', 'final': 0.1}
  return ml_collections.ConfigDict(
    {
      'seed': 0,
      'model': {
        'vocab_size': VOCAB_SIZE,
        'd_model': 16,
        'n_layers': 2,
        'n_heads': 2,
        'n_kv_heads': 1,
        'head_dim': 8,
        'd_ff': 24,
      },
      'tokenizer': f'{root}/tokenizer',
      'sources': {
        name: {'path': f'{root}/prepared/{name}'}
        for name in ('docs', 'replay', 'chats')
      },
      'phases': (
        {
          'name': 'midtrain',
          'mixture': {'docs': 0.5, 'replay': 0.5},
          'seq_len': SEQ_LEN,
          'batch_size': 8,
          'updates': 24,
          'max_epochs': None,
          'schedule': schedule,
          'z_loss': 1e-4,
        },
        {
          'name': 'sft',
          'mixture': {'chats': 1.0},
          'seq_len': SEQ_LEN,
          'batch_size': 4,
          'updates': 20,
          'max_epochs': None,
          'schedule': schedule,
          'optimizer_state': 'carry',
        },
      ),
      'checkpoint': {'every': 6, 'keep': 2},
      'loss_chunk': 16,
    }
  )
