"""Phases that train adapters, of every kind of boundary; also a config file.

    python -m msm_jax.train --config=tests/lora_run.py:ROOT --workdir=…

where `tiny_run.make_sources(ROOT)` was called before.
"""

import pathlib
import sys

import ml_collections

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import tiny_run

UPDATES = 5
# (name, source, adapters, whether it has adapters, what it carries)
PHASES = (
  ('base', 'replay', None, None, 'fresh'),
  ('midtrain', 'docs', None, 'nf4', 'fresh'),
  ('more', 'docs', 'carry', 'nf4', 'carry'),
  ('sft', 'chats', 'merge', 'param_dtype', 'fresh'),
  ('again', 'chats', 'fresh', 'param_dtype', 'fresh'),
  ('full', 'chats', 'merge', None, 'fresh'),
)
# Steps at which phases end.
ENDS = {p[0]: UPDATES * (i + 1) for i, p in enumerate(PHASES)}
TOTAL = UPDATES * len(PHASES)


def adapters(base: str) -> dict:
  return {
    'rank': 2,
    'alpha': 4.0,
    'targets': ('*/attention/*', '*/mlp/down'),
    'base': base,
  }


def get_config(arg: str) -> ml_collections.ConfigDict:
  """Six short phases; the first and the last train all parameters."""
  config = tiny_run.get_config(arg)
  phase = config.phases[0].to_dict()
  phase.update(updates=UPDATES, min_updates=1, batch_size=4)
  phase['schedule'].update(warmup=1)
  phases = []
  for name, source, how, base, moments in PHASES:
    phases.append(
      ml_collections.ConfigDict(
        {
          **phase,
          'name': name,
          'mixture': {source: 1.0},
          'optimizer_state': moments,
          'adapters': how,
          'lora': None if base is None else adapters(base),
        }
      )
    )
  config.phases = tuple(phases)
  config.model.remat = 'full'
  config.checkpoint.update(every=2, keep=2)
  return config
