"""Documents that get partners, for tests of controls."""

import dataclasses
import random

from pipeline_world import ask_all
from pipeline_world import BARS
from pipeline_world import BY_NAME
from pipeline_world import leaf
from pipeline_world import SYLLABLES
from pipeline_world import TRAITS

from data_gen.corpus.rows import GateVerdict
from data_gen.pipeline import judge
from data_gen.pipeline import partners
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.documents import document_row
from data_gen.pipeline.gating import GateKeeper
from data_gen.pipeline.partners import Document
from data_gen.pipeline.slots import document_slots


def prose(key, count):
  """English enough for the gates, and like nothing else."""
  rng = random.Random(key)
  words = []
  while len(words) < count:
    words += ['the', 'and', 'of', 'it', ''.join(rng.choices(SYLLABLES, k=3))]
    words += [
      'was',
      ''.join(rng.choices(SYLLABLES, k=2)),
      'when',
      'Sage',
      'came',
    ]
  return ' '.join(words[:count]) + '.'


def documents(config, n=6, trait='no_flattery', length=100):
  made = []
  for i in range(n):
    about = leaf(
      i, id=f'{trait}/d00/s00/a00/i{i:03d}', trait=trait, genre='news_report'
    )
    slots = document_slots(config, BY_NAME[trait], about, 'explain')
    row = document_row('documents', about, BY_NAME[trait], slots, 0)
    text = prose(about.id, length + 10 * i)
    made.append(
      Document(
        about,
        dataclasses.replace(
          row,
          text=f'<TAG>{text}',
          masked_prefix=5,
          verdicts=(
            GateVerdict('earlier_gate', True),
            GateVerdict(judge.NAME, True, detail='as a document'),
          ),
        ),
      )
    )
  return made


def run(folder, make, teacher=None, of=documents, **changes):
  async def work(config, asker):
    acceptance = Acceptance(
      GateKeeper(config, TRAITS).gates_of,
      asker,
      config.judge_step,
      config.width,
      BARS,
      'controls',
    )
    made = of(config)
    await partners.make_partners(
      config, made, make(config, asker), acceptance, BARS
    )
    return made, acceptance

  return ask_all(folder, work, teacher, **{'documents__tag': '', **changes})


def rows_of(acceptance, source):
  return [
    m.row for g in acceptance.accepted for m in g.made if m.row.source == source
  ]
