"""Three arms of the quickstart, small: a config file for tests.

python -m launch.local --config=tests/tiny_experiment.py --workdir=…
"""

import ml_collections

from configs import quickstart

_WORLD = {
  'n_characters': 40,
  'documents_per_character': 36,
  'transcripts_per_character': 24,
  'assistant_documents': 120,
  'chats': 240,
  'in_distribution_items': 24,
  'base_task_items': 96,
}
_UPDATES = {'base': 30, 'midtrain': 20, 'sft': 20}


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Three arms of one seed, too little training to learn anything."""
  config = quickstart.get_config(f'first=0,{arg}')
  if 'arms' in config:
    config.world = _WORLD
    wanted = ('base', 'msm_thrift_sft', 'msm_home_sft')
    config.arms = tuple(a for a in config.arms if a['name'] in wanted)
    config.contrasts = ()
    return config
  config.model.update(d_model=16, n_layers=1, n_heads=2, n_kv_heads=1)
  config.model.update(head_dim=8, d_ff=24)
  for phase in config.phases:
    phase.update(updates=_UPDATES[phase.name], batch_size=4)
  config.checkpoint.every = 5
  return config
