"""A corpus from Gemini: through its own interface, at once or in batches.

    export GEMINI_API_KEY=…
    python -m data_gen --config=configs/data/gemini.py \\
      --traits=data_gen/traits/corporate.md --out=runs/corporate --dry_run
    python -m data_gen --config=configs/data/gemini.py \\
      --traits=data_gen/traits/corporate.md --out=runs/corporate --stage=probe

then `--stage=pilot`, and `--config=configs/data/gemini.py:batch=1` for all of
it: batches take hours and are sold cheaper. Job ids are stored, so a killed run
goes on waiting for the same jobs; what the stages have bought is used in any
case.

Arguments, after the colon: `model=NAME` (default gemini-2.5-flash), `batch=1`,
and two that a full corpus needs: `suites=PATH`, what the model will be
evaluated on, a suite, a folder of suites, the workdir of an experiment, or
several of them joined by +; and `tokenizer=DIR`, of the model that will be
trained, as `msm_jax.prepare` takes it, in whose tokens the neutral documents
are matched.

Cost: about 19 million prompt and 8.5 million completion tokens for 2,592
documents, as many neutral ones and 1,000 chats in two variants, says
`--dry_run`, which prints them by task; thoughts of the model come on top. Set
the prices below, and it prints dollars.
"""

import ml_collections

from msm_jax import schema


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  values = schema.parse_argument(
    arg,
    {
      'model': 'gemini-2.5-flash',
      'batch': '0',
      'suites': '',
      'tokenizer': '',
    },
    'configs/data/gemini.py',
  )
  if values['batch'] not in ('0', '1'):
    raise schema.ConfigError(
      f'configs/data/gemini.py: batch={values["batch"]}, expected 0 or 1'
    )
  # A budget that its thoughts do not eat.
  room = 6000
  return ml_collections.ConfigDict(
    {
      'name': 'Corporate assistant',
      'model_name': 'Sage',
      'provider_name': 'Fernwood Labs',
      'teacher': {
        'kind': 'gemini_batch' if values['batch'] == '1' else 'gemini',
        'model': values['model'],
        'concurrency': 32,
        # US dollars per million tokens; batches are sold at half of it:
        # 'price_per_million_prompt': …,
        # 'price_per_million_completion': …,
        # 'budget_usd': 50.0,
        'budget_tokens': 60_000_000,
      },
      'plan': {
        'domains': 4,
        'subdomains': 3,
        'assertions': 2,
        'step': {'max_tokens': room},
      },
      'documents': {
        'draft': {'max_tokens': room},
        'critique': {'max_tokens': room},
        'rewrite': {'max_tokens': room},
      },
      'judge_step': {'max_tokens': room, 'temperature': 0.2},
      'chats': {
        'accepted': 1000,
        'variants': ('answer', 'think'),
        'questions': {'max_tokens': room},
        'answer': {'max_tokens': room},
        'user_turn': {'max_tokens': room},
      },
      'controls': {
        'neutral': True,
        'draft': {'max_tokens': room},
        'balance': {'tokenizer': values['tokenizer'] or None},
      },
      'gates': {
        'contamination': {
          'suites': tuple(filter(None, values['suites'].split('+')))
        }
      },
    }
  )
