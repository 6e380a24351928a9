"""The quickstart with all its arms, as small as it can be.

    python -m launch.local --config=tests/small_quickstart.py --workdir=…

It learns nothing; it shows that the stages fit together.
"""

import ml_collections

from configs import quickstart

_WORLD = {
  'n_characters': 8,
  'documents_per_character': 24,
  'transcripts_per_character': 48,
  'assistant_documents': 120,
  'chats': 80,
  'heldout_share': 0.05,
  'items_per_domain': 4,
  'in_distribution_items': 8,
  'base_task_items': 40,
}


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  config = quickstart.get_config(f'first=0,{arg}')
  if 'arms' in config:
    config.world = _WORLD
    return config
  config.model.update(d_model=16, n_layers=1, head_dim=8, d_ff=16)
  for phase in config.phases:
    phase.update(updates=20, batch_size=2, max_epochs=None)
  config.checkpoint.every = 8
  return config
