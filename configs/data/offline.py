"""Documents, chats and controls of the quickstart's traits, without a network.

    python -m data_gen --config=configs/data/offline.py \\
      --traits=data_gen/traits/quickstart.md --out=runs/offline

The teacher is a grammar: it costs nothing, and what it writes is readable and
varied, and understands nothing. Use it to see what the pipeline does with your
traits document and config before a language model is paid for.

Argument, after the colon: `documents=N`, about how many (default 96).
"""

import ml_collections


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  key, _, value = (arg or 'documents=96').partition('=')
  if key != 'documents' or not value.isdigit():
    raise ValueError(f'configs/data/offline.py:{arg}: expected documents=N')
  # Two traits and twelve genres make 24 documents of each domain.
  wanted = max(1, round(int(value) / 24))
  domains = min(4, wanted)
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
        'accepted': 24,
        'variants': ('answer', 'think', 'reasons_stripped'),
      },
      'controls': {
        'neutral': True,
        'mirrored': (('thrift', 'home'),),
        'as_chat': 'verbatim',
        'tolerance': 0.25,
        # A grammar that says nothing of the trait has few other things to say.
        'balance': {'vocabulary': 0.2},
      },
    }
  )
