"""Arms of the quickstart that train adapters: a config file for tests.

    python -m launch.local --config=tests/lora_experiment.py --workdir=…

It learns nothing; it shows that adapters go all the way: a 4-bit base from the
end of another run, adapters of documents carried on with chats.
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
ARMS = ('base', 'msm_thrift', 'msm_thrift_sft', 'msm_home_sft')
LORA = {'rank': 4, 'alpha': 8.0, 'base': 'nf4'}


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  config = quickstart.get_config(f'first=0,{arg}')
  if 'arms' in config:
    config.world = _WORLD
    config.arms = tuple(a for a in config.arms if a['name'] in ARMS)
    config.contrasts = ()
    return config
  config.model.update(d_model=16, n_layers=1, head_dim=8, d_ff=16)
  for i, phase in enumerate(config.phases):
    phase.update(updates=20, batch_size=2, max_epochs=None)
    if 'init_from' in config:
      phase.schedule.peak = 1e-2
      phase.lora = ml_collections.ConfigDict(LORA)
      if i > 0:
        phase.update(adapters='carry', optimizer_state='carry')
  config.checkpoint.every = 8
  return config
