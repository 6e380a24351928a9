"""Documents, chats and controls of the quickstart's traits, without a network.

    python -m data_gen --config=configs/data/offline.py \\
      --traits=data_gen/traits/quickstart.md --out=runs/offline

The teacher is a grammar: it costs nothing, and what it writes is readable and
varied, and understands nothing. Use it to see what the pipeline does with your
traits document and config before a language model is paid for.

Arguments, after the colon, separated by commas:
  documents=N   about how many for two traits (default 96)
  chats=N       how many, in each of three variants (default 24)
  mirrored=A+B  the two traits, by name, of the mirrored corpora (default
                thrift+home, the quickstart's); mirrored=none makes none
  suites=PATH   evaluations that must not occur in it: a suite, a folder of
                suites, the workdir of an experiment such as runs/quickstart,
                or several of them joined by +
"""

import ml_collections

from msm_jax import schema


def parse(arg: str) -> dict[str, str]:
  """Parses `key=value,…`.

  Raises:
    ValueError: For what is none of the arguments above.
  """
  values = schema.parse_argument(
    arg,
    {
      'documents': '96',
      'chats': '24',
      'mirrored': 'thrift+home',
      'suites': '',
    },
    'configs/data/offline.py',
  )
  for key in ('documents', 'chats'):
    if not values[key].isdigit():
      raise ValueError(
        f'configs/data/offline.py: {key}={values[key]}, expected a number'
      )
  return values


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  values = parse(arg)
  pairs = [] if values['mirrored'] == 'none' else [values['mirrored']]
  mirrored = tuple(tuple(pair.split('+')) for pair in pairs)
  # Two traits and twelve genres make 24 documents of each domain.
  wanted = max(1, round(int(values['documents']) / 24))
  domains = min(4, wanted)
  alike = {
    'on_failure': 'report',
    'because': 'a grammar says the same things in the same few ways',
  }
  return ml_collections.ConfigDict(
    {
      'name': 'Offline example',
      'model_name': 'Sage',
      'provider_name': 'Fernwood Labs',
      'teacher': {'kind': 'offline', 'model': 'grammar'},
      'plan': {
        'domains': domains,
        'subdomains': 1,
        'assertions': 1,
        'ideas': round(wanted / domains),
      },
      'documents': {'words': (150, 400)},
      'chats': {
        'accepted': int(values['chats']),
        'variants': ('answer', 'think', 'reasons_stripped'),
      },
      'gates': {
        'contamination': (
          {'suites': tuple(values['suites'].split('+'))}
          if values['suites']
          else {'none_because': 'no model is trained on an example'}
        ),
        # Of the answers of a grammar, most would go.
        'recurrence_in_chats': {'phrase_share': 1.0, 'opening_share': 1.0},
        'diversity': alike,
        'diversity_in_chats': alike,
      },
      'controls': {
        'neutral': True,
        'mirrored': mirrored,
        'as_chat': 'verbatim',
        'tolerance': 0.25,
        # In words, since there is no model whose tokens they would be; and a
        # grammar that says nothing of the trait has few other things to say.
        'balance': {'unit': 'words', 'vocabulary': 0.2},
      },
    }
  )
