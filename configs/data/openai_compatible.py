"""A corpus from any server that speaks OpenAI's chat-completions protocol.

    vllm serve Qwen/Qwen3-32B --port 8000                       # for instance
    python -m data_gen --config=configs/data/openai_compatible.py \\
      --traits=data_gen/traits/positive.md --out=runs/positive --dry_run
    python -m data_gen --config=configs/data/openai_compatible.py \\
      --traits=data_gen/traits/positive.md --out=runs/positive --stage=probe

then `--stage=pilot`, and without `--stage` for all of it. Arguments, after the
colon, separated by commas:
  url=URL       default http://localhost:8000/v1, a server that needs no key
  model=NAME    default Qwen/Qwen3-32B
  key=VARIABLE  environment variable that has the key; default none
  scale=N       documents are about N times 3,744 (default 1)
  suites=PATH   what the model will be evaluated on, which must not occur in the
                corpus: a suite, a folder of suites, the workdir of an
                experiment, or several of them joined by +. A full corpus is
                refused without
  tokenizer=DIR of the model that will be trained, as `msm_jax.prepare` takes
                it: in its tokens the neutral documents are matched. A full
                corpus is refused without

At OpenAI: `:url=https://api.openai.com/v1,key=OPENAI_API_KEY,model=…`.

Cost: at scale 1 about 28 million prompt and 12 million completion tokens, says
`--dry_run`, which prints them by task; a model that reasons takes more. Prices
change, so none are filled in: set them below, and `--dry_run` prints dollars.
What share of the documents is accepted depends on the model: the pilot says so,
and what the rest will take.
"""

import ml_collections

from msm_jax import schema


def parse(arg: str) -> dict[str, str]:
  """Parses `key=value,…`.

  Raises:
    ValueError: For a key that does not exist, or a scale that is no number.
  """
  values = schema.parse_argument(
    arg,
    {
      'url': 'http://localhost:8000/v1',
      'model': 'Qwen/Qwen3-32B',
      'key': '',
      'scale': '1',
      'suites': '',
      'tokenizer': '',
    },
    'configs/data/openai_compatible.py',
  )
  if not values['scale'].isdigit() or not int(values['scale']):
    raise schema.ConfigError(
      f'configs/data/openai_compatible.py: scale={values["scale"]}, expected a '
      'whole number from 1 up'
    )
  return values


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  values = parse(arg)
  return ml_collections.ConfigDict(
    {
      'name': 'Positive traits',
      'model_name': 'Sage',
      'provider_name': 'Fernwood Labs',
      'teacher': {
        'kind': 'openai',
        'model': values['model'],
        'base_url': values['url'],
        'api_key_env': values['key'] or None,
        'concurrency': 64,
        # US dollars per million tokens, of your model; then a cap can be held:
        # 'price_per_million_prompt': …,
        # 'price_per_million_completion': …,
        # 'budget_usd': 100.0,
        'budget_tokens': 60_000_000 * int(values['scale']),
      },
      'plan': {
        'domains': 4,
        'subdomains': 3,
        'assertions': 2,
        'ideas': int(values['scale']),
      },
      'documents': {'tag': '<DOCTAG>'},
      'chats': {'accepted': 1000, 'variants': ('answer', 'reasons_stripped')},
      'controls': {
        'neutral': True,
        'balance': {'tokenizer': values['tokenizer'] or None},
      },
      'gates': {
        'contamination': {
          'suites': tuple(filter(None, values['suites'].split('+')))
        }
      },
    }
  )
