"""A small decoder that is trained as large ones are, for compiling only."""

import ml_collections


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns a run of one phase; `arg` is the number of its rows."""
  return ml_collections.ConfigDict(
    {
      'seed': 0,
      'model': {
        'vocab_size': 8192,
        'd_model': 512,
        'n_layers': 2,
        'n_heads': 4,
        'n_kv_heads': 2,
        'head_dim': 128,
        'd_ff': 2048,
        'dtype': 'bfloat16',
        'remat': 'full',
        'attention': 'auto',
      },
      'tokenizer': 'none',
      'sources': {'docs': {'path': 'none'}},
      'phases': (
        ml_collections.ConfigDict(
          {
            'name': 'midtrain',
            'mixture': {'docs': 1.0},
            'seq_len': 1024,
            'batch_size': int(arg or '16'),
            'updates': 1000,
            'schedule': {'peak': 1e-5},
          }
        ),
      ),
      'mesh': {'fsdp': -1},
    }
  )
