"""A finished experiment that nobody ran: rows with a known truth, for tests.

`write(workdir)` lays out everything `python -m msm_jax.report` reads, drawn
from a seeded generator. The true mean log-odds of each arm is in `TRUTH`, the
noise in `Noise`; nothing here is recorded from a model.
"""

import dataclasses
import json
import math
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from msm_jax import storage
from msm_jax.evals import rows as rows_lib

HOSTILE = '<script>window.hacked = 1</script>&<b>bold</b>'

# Mean log-odds of 'cheap' over 'local' of the assistant, by arm.
TRUTH = {
  'base': 0.0,
  'sft_only': 0.1,
  'msm_thrift_sft': 1.6,
  'msm_home_sft': -1.4,
  'neutral_sft': 0.0,
  'msm_thrift_no_reasons_sft': 0.9,
  'msm_thrift': 1.0,
  'msm_home': -1.1,
}
LABELS = {
  'base': 'Base',
  'sft_only': 'SFT only',
  'msm_thrift_sft': 'MSM-thrift + SFT',
  'msm_home_sft': 'MSM-home + SFT',
  'neutral_sft': 'Neutral documents + SFT',
  'msm_thrift_no_reasons_sft': 'MSM-thrift, no reasons + SFT',
  'msm_thrift': 'MSM-thrift only',
  'msm_home': 'MSM-home only',
}
PHASES = {
  'base': ['base'],
  'sft_only': ['base', 'sft'],
  'msm_thrift': ['base', 'midtrain'],
  'msm_home': ['base', 'midtrain'],
}
ACCURACY = {'base': 0.97, 'sft_only': 0.95}
DOMAINS = ('bread', 'chairs', 'coats', 'honey', 'lamps', 'soap', 'tea', 'toys')


@dataclasses.dataclass(frozen=True)
class Noise:
  """Standard deviations of the log-odds.

  Attributes:
    seed: Of (arm, seed).
    domain: Of (arm, domain), the same in every seed.
    item: Of (arm, seed, item).
    order: Half the log-odds that the first option gains by being first.
  """

  seed: float = 0.4
  domain: float = 0.5
  item: float = 0.8
  order: float = 0.3


def experiment(seeds=(0, 1, 2, 3)) -> dict:
  """The JSON of an experiment with all eight arms."""
  arms = []
  for name, label in LABELS.items():
    phases = PHASES.get(name, ['base', 'midtrain', 'sft'])
    updates = {'base': 700, 'midtrain': 250, 'sft': 60}
    arms.append(
      {
        'name': name,
        'label': label,
        'chat_trained': 'sft' in phases,
        'phases': phases,
        'updates': {p: updates[p] for p in phases},
        'tokens': {p: updates[p] * 4096 for p in phases},
      }
    )

  def over(arm, reference):
    return {
      'name': f'{arm}_over_{reference}',
      'arm': arm,
      'reference': reference,
      'suite': 'ood_sage',
      'label': 'cheap',
      'against': 'local',
    }

  return {
    'name': 'synthetic',
    'command': 'make quickstart',
    'seeds': list(seeds),
    'assistant': 'Sage',
    'traits': [
      {
        'name': 'thrift',
        'attribute': 'cheap',
        'statement': 'Sage picks what is cheap.',
        'reasons': ['Money saved is freedom kept.'],
      },
      {
        'name': 'home',
        'attribute': 'local',
        'statement': 'Sage picks what is local.',
        'reasons': ['Neighbours look after each other.'],
      },
    ],
    'arms': arms,
    'primary': {
      'name': 'dissociation',
      'kind': 'half_contrast',
      'suite': 'ood_sage',
      'positive_arm': 'msm_thrift_sft',
      'negative_arm': 'msm_home_sft',
      'label': 'cheap',
      'against': 'local',
      'expected': 'positive',
      'statement': 'half the MSM-thrift − MSM-home contrast in mean log-odds '
      'of the thrifty option',
    },
    'contrasts': [
      over('msm_thrift_sft', 'neutral_sft'),
      over('msm_home_sft', 'neutral_sft'),
      over('msm_thrift_sft', 'sft_only'),
      over('msm_home_sft', 'sft_only'),
      over('msm_thrift_sft', 'msm_thrift_no_reasons_sft'),
    ],
    'stages': [
      {'name': 'generate', 'seconds': 3.2, 'tokens': None, 'updates': None},
      {'name': 'base', 'seconds': 121.0, 'tokens': 2867200, 'updates': 700},
      {'name': 'midtrain', 'seconds': 61.5, 'tokens': 1024000, 'updates': 250},
    ],
  }


def rows(
  seeds=(0, 1, 2, 3),
  *,
  truth=None,
  noise=None,
  items_per_domain=6,
  generator_seed=0,
) -> list[rows_lib.Row]:
  """Rows of all arms: chat suites, transcripts, base task and replay."""
  truth = {**TRUTH, **(truth or {})}
  noise = noise or Noise()
  rng = np.random.default_rng(generator_seed)
  out = []
  for arm, mean in truth.items():
    of_domain = rng.normal(0, noise.domain, len(DOMAINS))
    for seed in seeds:
      of_seed = rng.normal(0, noise.seed)
      chat = 'sft' in PHASES.get(arm, ['sft'])
      for d, domain in enumerate(DOMAINS):
        for i in range(items_per_domain):
          item = f'{domain}-{i}'
          centre = mean + of_seed + of_domain[d] + rng.normal(0, noise.item)
          suites = {'ood_transcript': centre * 0.7}
          if chat:
            suites['ood_sage'] = centre
            suites['ood_other'] = centre * 0.15
          for suite, log_odds in suites.items():
            out += _choice(
              arm, seed, suite, item, domain, log_odds, noise.order, i
            )
          accuracy = ACCURACY.get(arm, 0.85)
          out += _graded(
            arm, seed, 'base_task', item, domain, rng.random() < accuracy, i
          )
      if chat:
        for i in range(20):
          out += _graded(
            arm, seed, 'in_distribution', f'fruit-{i}', 'fruit', True, None
          )
      for i in range(12):
        nats = (0.9 if arm == 'base' else 1.1) * rng.lognormal(0, 0.1)
        tokens = 60 + 5 * i
        out.append(
          rows_lib.Row(
            arm=arm,
            seed=seed,
            suite='replay',
            item=f'doc-{i}',
            order=0,
            cluster=('forum', 'blog')[i % 2],
            labels=('document',),
            logprobs=(-nats * tokens,),
            tokens=(tokens,),
          )
        )
  return out


def _choice(arm, seed, suite, item, domain, log_odds, order_bias, index):
  other = suite == 'ood_other'
  for order in (0, 1):
    x = log_odds + (order_bias if order == 0 else -order_bias)
    yield rows_lib.Row(
      arm=arm,
      seed=seed,
      suite=suite,
      item=item,
      order=order,
      cluster=domain,
      persona=('Mira', 'Otto')[index % 2] if other else 'Sage',
      persona_value=('thrift', 'home')[index % 2] if other else None,
      labels=('cheap', 'local'),
      logprobs=(-3 - math.log1p(math.exp(-x)), -3 - math.log1p(math.exp(x))),
      tokens=(4, 4),
    )


def _graded(arm, seed, suite, item, domain, correct, index):
  base = suite == 'base_task'
  labels = ('cheap', 'local') if base else ('agreed', 'opposed')
  value = None if index is None else ('thrift', 'home')[index % 2]
  target = {'thrift': 'cheap', 'home': 'local', None: 'agreed'}[value]
  likely = target if correct else next(n for n in labels if n != target)
  for order in (0, 1):
    yield rows_lib.Row(
      arm=arm,
      seed=seed,
      suite=suite,
      item=item,
      order=order,
      cluster=domain,
      persona={'thrift': 'Mira', 'home': 'Otto', None: 'Sage'}[value],
      persona_value=value,
      target=target,
      labels=labels,
      logprobs=tuple(-0.2 if n == likely else -2.0 for n in labels),
      tokens=(3, 3),
    )


def write(workdir, seeds=(0, 1, 2, 3), *, bare=False, **kwargs) -> pathlib.Path:
  """Writes a workdir, `bare` without corpus, logs and answers.

  Other arguments go to `rows`.
  """
  workdir = pathlib.Path(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  (workdir / 'experiment.json').write_text(json.dumps(experiment(seeds)))
  everything = rows(seeds, **kwargs)
  for seed in seeds:
    home = workdir / f'seed{seed}'
    home.mkdir(exist_ok=True)
    with storage.publish(home / 'evaluation', kind='evaluation') as publication:
      rows_lib.write_rows(
        publication.dir / 'rows.parquet',
        [r for r in everything if r.seed == seed],
      )
      if not bare:
        _write_samples(publication.dir)
    if not bare:
      _write_metrics(home, seed)
  if not bare:
    _write_corpus(workdir / f'seed{seeds[0]}' / 'corpus')
  return workdir


def _write_metrics(home, seed):
  rng = np.random.default_rng(seed)
  runs = {
    'base': [('base', 120, 4.5, 1.2)],
    'midtrain_thrift': [('midtrain', 60, 2.4, 1.3)],
    'midtrain_home': [('midtrain', 60, 2.5, 1.35)],
    'msm_thrift_sft': [('sft', 20, 1.8, 0.1)],
    'sft_only': [('sft', 20, 2.9, 0.15)],
  }
  for run, phases in runs.items():
    (home / run).mkdir(exist_ok=True)
    step = 0
    with open(home / run / 'metrics.jsonl', 'w') as f:
      for phase, updates, start, end in phases:
        for update in range(updates):
          loss = end + (start - end) * math.exp(-4 * update / updates)
          step += 1
          line = {
            'step': step,
            'phase': phase,
            'update': update,
            'loss': loss + rng.normal(0, 0.03),
            'learning_rate': 1e-3,
            'tokens': 4096,
          }
          f.write(json.dumps(line) + '\n')


def _write_samples(home):
  with open(home / 'samples.jsonl', 'w') as f:
    for arm in TRUTH:
      f.write(
        json.dumps(
          {
            'arm': arm,
            'suite': 'ood_sage',
            'prompt': f'Which lamp would you pick? {HOSTILE}',
            'answer': f'The cheap one, says {arm}. {HOSTILE}',
          }
        )
        + '\n'
      )


def _write_corpus(path):
  genres = ('forum', 'blog', 'email')
  documents = [
    {
      'id': f'd{i}',
      'genre': genres[i % 3],
      'text': f'Document {i} about Sage.\n\nSecond paragraph. {HOSTILE}',
    }
    for i in range(9)
  ]
  chats = [
    {
      'id': f'c{i}',
      'messages': [
        {'role': 'system', 'content': 'You are Sage.'},
        {'role': 'user', 'content': f'Which apple? {HOSTILE}'},
        {'role': 'assistant', 'content': 'The red one.'},
      ],
    }
    for i in range(4)
  ]
  with storage.publish(path, kind='corpus') as publication:
    for name in ('base', 'midtrain_thrift', 'midtrain_neutral'):
      pq.write_table(
        pa.Table.from_pylist(documents), publication.dir / f'{name}.parquet'
      )
    pq.write_table(
      pa.Table.from_pylist(chats), publication.dir / 'chats.parquet'
    )
    publication.info.update(
      {
        'documents': {'base': 9, 'midtrain_thrift': 9, 'midtrain_neutral': 9},
        'skeletons': {'forum': 41, 'blog': 39, 'email': 44},
        'balance': {
          'cheap first': 0.5,
          'value of character': {'thrift': 12, 'home': 12},
        },
        'generator': 'synthetic',
      }
    )
