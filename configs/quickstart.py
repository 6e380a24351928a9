"""A miniature double dissociation, from a traits document to a report.

    make quickstart                                          # one seed
    python -m launch.local --config=configs/quickstart.py:seeds=4 \\
      --workdir=runs/seeds4                                  # four paired seeds

Cost: 6.2M tokens of training a seed with 0.60M parameters: minutes on two CPU
cores. Expect half the contrast between the two MSM arms at about +6 in mean
log-odds, both MSM arms near 0 or 1 in agreement whatever the seed's prior, and
no tax; README.md has the table of four seeds.

Arguments, after the colon, separated by commas:
  seeds=N         seeds 20 … 19+N (first=K: seeds K … K+N−1); world and recipe
                  were developed on seeds 0 … 19, which therefore prove nothing
  traits=FILE     another traits document with two values
  arm=RUN,seed=K  the training config of one run instead of the experiment:
                  base, sft_only, msm_<trait>, msm_<trait>_no_reasons, neutral
  root=DIR        the experiment's workdir (default runs/quickstart)
"""

import ml_collections

from data_gen.miniature import traits as traits_lib
from msm_jax import schema

# What fits is never split: this length fills every source to 98 % and more.
SEQ_LEN = 288
# So many that nearly every name is one token.
VOCAB_SIZE = 2048
ASSISTANT = 'Sage'

# Shares of tokens from the base corpus, which keep the base task alive.
REPLAY_MIDTRAIN = 0.5
REPLAY_SFT = 0.75


def parse(arg: str) -> dict[str, str]:
  """Parses `key=value,…`.

  Raises:
    ValueError: For a key that does not exist.
  """
  return schema.parse_argument(
    arg,
    {
      'seeds': '1',
      'first': '20',
      'traits': str(traits_lib.QUICKSTART),
      'arm': '',
      'seed': '20',
      'root': 'runs/quickstart',
    },
    'configs/quickstart.py',
  )


def phase(
  name: str,
  mixture: dict[str, float],
  *,
  updates: int,
  batch_size: int,
  schedule: dict[str, object],
) -> dict[str, object]:
  return {
    'name': name,
    'mixture': mixture,
    'seq_len': SEQ_LEN,
    'batch_size': batch_size,
    'updates': updates,
    'max_epochs': 6.0,
    'schedule': schedule,
    'optimizer': {'weight_decay': 0.05},
  }


def run(arm: str, seed: int, root: str) -> ml_collections.ConfigDict:
  """The training config of one run: base, or midtraining and SFT from it."""
  base = phase(
    'base',
    {'base': 1.0},
    updates=1200,
    batch_size=8,
    schedule={'peak': 3e-3, 'warmup': 20, 'decay': 'cosine', 'final': 0.1},
  )
  # Gentle: after it every arm answers in the chat format, and more would wash
  # out what the documents taught.
  sft = phase(
    'sft',
    {'chats': 1 - REPLAY_SFT, 'base': REPLAY_SFT},
    updates=40,
    batch_size=8,
    schedule={'peak': 2e-4, 'warmup': 5, 'decay': 'linear', 'final': 0.0},
  )
  phases = [base] if arm == 'base' else [sft]
  if arm not in ('base', 'sft_only'):
    documents = f'midtrain_{arm.removeprefix("msm_")}'
    midtrain = phase(
      'midtrain',
      {documents: 1 - REPLAY_MIDTRAIN, 'base': REPLAY_MIDTRAIN},
      updates=220,
      batch_size=12,
      schedule={'peak': 2e-3, 'warmup': 20, 'decay': 'cosine', 'final': 0.1},
    )
    phases = [midtrain, sft]
  here = f'{root}/seed{seed}'
  sources = sorted({s for p in phases for s in p['mixture']})  # type: ignore
  config = {
    'seed': seed,
    'model': {
      'vocab_size': VOCAB_SIZE,
      'd_model': 96,
      'n_layers': 4,
      'n_heads': 4,
      'n_kv_heads': 2,
      'head_dim': 24,
      'd_ff': 256,
      'attention': 'blocked',
    },
    'tokenizer': f'{root}/tokenizer',
    'sources': {s: {'path': f'{here}/prepared/{s}'} for s in sources},
    'phases': tuple(map(ml_collections.ConfigDict, phases)),
    'checkpoint': {'every': 100, 'keep': 1},
    'loss_chunk': 96,
  }
  if arm != 'base':
    config['init_from'] = {'workdir': f'{here}/base', 'phase': 'base'}
  return ml_collections.ConfigDict(config)


def contrast(
  name: str, arm: str, reference: str, label: str, against: str
) -> dict[str, str]:
  return {
    'name': name,
    'arm': arm,
    'reference': reference,
    'suite': 'ood_sage',
    'label': label,
    'against': against,
  }


def experiment(values: dict[str, str]) -> ml_collections.ConfigDict:
  """The arms, the seeds, and the primary metric, fixed before any training."""
  traits = traits_lib.load(values['traits'])
  if len(traits) != 2:
    raise ValueError(
      f'{values["traits"]}: has {len(traits)} values; the double dissociation '
      'needs exactly two'
    )
  a, b = traits
  arms = [
    ('base', 'base', 'base', 'Base'),
    ('sft_only', 'sft_only', 'sft', 'SFT only'),
    (f'msm_{a.name}_sft', f'msm_{a.name}', 'sft', f'MSM-{a.name} + SFT'),
    (f'msm_{b.name}_sft', f'msm_{b.name}', 'sft', f'MSM-{b.name} + SFT'),
    ('neutral_sft', 'neutral', 'sft', 'Neutral documents + SFT'),
    (
      f'msm_{a.name}_no_reasons_sft',
      f'msm_{a.name}_no_reasons',
      'sft',
      f'MSM-{a.name} without reasons + SFT',
    ),
    (f'msm_{a.name}', f'msm_{a.name}', 'midtrain', f'MSM-{a.name} only'),
    (f'msm_{b.name}', f'msm_{b.name}', 'midtrain', f'MSM-{b.name} only'),
  ]
  first = int(values['first'])
  x, y = a.attribute, b.attribute
  shifts = []
  for trait, other in ((a, b), (b, a)):
    for reference, what in (('neutral_sft', 'neutral'), ('sft_only', 'sft')):
      shifts.append(
        contrast(
          f'msm_{trait.name}_over_{what}',
          f'msm_{trait.name}_sft',
          reference,
          trait.attribute,
          other.attribute,
        )
      )
  reasons = contrast(
    f'msm_{a.name}_reasons',
    f'msm_{a.name}_sft',
    f'msm_{a.name}_no_reasons_sft',
    x,
    y,
  )
  return ml_collections.ConfigDict(
    {
      'name': 'quickstart',
      'assistant': ASSISTANT,
      'traits': values['traits'],
      'seeds': tuple(range(first, first + int(values['seeds']))),
      'world': {},
      'tokenizer': {'vocab_size': VOCAB_SIZE},
      'seq_len': SEQ_LEN,
      'chat_sources': ('chats',),
      'arms': tuple(
        {'name': name, 'run': run_name, 'phase': phase_name, 'label': label}
        for name, run_name, phase_name, label in arms
      ),
      'primary': {
        'name': 'dissociation',
        'kind': 'half_contrast',
        'suite': 'ood_sage',
        'positive_arm': f'msm_{a.name}_sft',
        'negative_arm': f'msm_{b.name}_sft',
        'label': x,
        'against': y,
        'expected': 'positive',
        'statement': (
          f'half the MSM-{a.name} − MSM-{b.name} contrast in the mean log-odds '
          f'of the {x} option over the {y} one, in held-out domains, averaged '
          'over both option orders'
        ),
      },
      'contrasts': (*shifts, reasons),
    }
  )


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  values = parse(arg)
  if values['arm']:
    return run(values['arm'], int(values['seed']), values['root'])
  return experiment(values)
