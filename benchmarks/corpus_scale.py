"""A corpus of many documents through gates, diversity report and publishing.

  nice python benchmarks/corpus_scale.py --documents=50000 --out=/tmp/scale

The documents are a grammar's (`gates_corpus`, about 300 words each), one in
fifty of them spoilt, each with the lineage of four calls that a real one has.
They take the way that the pipeline's rows take: accepted or not by the gates in
one round, measured for diversity, written as shards, manifest, card and viewer.
Prints seconds of CPU and the peak of memory after each part; the bar is 4 GiB
for 50,000 documents.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import hashlib
import pathlib
import resource
import tempfile
import time

from absl import app
from absl import flags
import gates_banks
import gates_corpus
import gates_faults

from data_gen.corpus import reading
from data_gen.corpus.rows import Row
from data_gen.corpus.rows import Step
from data_gen.corpus.writing import write_corpus
from data_gen.gates import diversity
from data_gen.pipeline import config as config_lib
from data_gen.pipeline import made as made_lib
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.bars import Bars
from data_gen.pipeline.gating import GateKeeper
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.rng import Rng
from msm_jax import storage

_DOCUMENTS = flags.DEFINE_integer('documents', 50_000, 'How many.')
_OUT = flags.DEFINE_string('out', None, 'Where to publish.', required=True)

WORDS = 290  # about 300 come out
SPOILT = 0.02
BAR = 4 * 2**30
TASKS = ('draft', 'critique', 'rewrite', 'judge')


@contextlib.contextmanager
def part(name: str) -> Iterator[None]:
  begin = time.process_time()
  yield
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  print(
    f'| {name} | {time.process_time() - begin:.1f} | {peak / 2**30:.2f} |',
    flush=True,
  )


def step(task: str, row: str, text: str) -> Step:
  key = hashlib.sha256(f'{task}/{row}'.encode()).hexdigest()
  return Step(
    f'document.{task}',
    key,
    hashlib.sha256(key.encode()).hexdigest(),
    'a grammar',
    '{"extra":{},"max_tokens":3000,"temperature":1.0,"top_p":1.0}',
    0,
    900,
    len(text.split()),
    0.001,
    hashlib.sha256(text.encode()).hexdigest(),
  )


def rows(n: int) -> Iterator[Row]:
  """Yields documents, a few of them with a sentence of another assistant."""
  others = gates_banks.DEV.other_assistants
  trait = gates_faults.traits_of(gates_banks.DEV)[0]
  for candidate in gates_corpus.clean_corpus(7, n, WORDS):
    rng = Rng('corpus scale', candidate.id)
    text = candidate.text
    if rng.chance(SPOILT):
      text = f'{text} {rng.pick(others)}'
    yield Row(
      candidate.id,
      'documents',
      text=text,
      trait_ids=(trait.id,),
      trait_types=(trait.type,),
      plan_node=candidate.id,
      domain=f'domain {rng.below(40)}',
      genre=candidate.genre,
      framing=candidate.framing,
      variant='explain',
      pair_id=candidate.id,
      lineage=tuple(step(task, candidate.id, text) for task in TASKS),
    )


def configured(folder: str) -> config_lib.PipelineConfig:
  return config_lib.load(
    {
      'model_name': gates_corpus.MODEL,
      'provider_name': gates_corpus.PROVIDER,
      'teacher': {'kind': 'offline', 'model': 'grammar'},
      'gates': {
        'contamination': {
          'suites': (f'{folder}/suites',),
          'texts': (f'{folder}/questions.jsonl',),
        }
      },
    }
  )


def gated(
  config: config_lib.PipelineConfig, keeper: GateKeeper, made: Sequence[Row]
) -> list[Row]:
  """Returns the rows of one round: accepted ones, then the rejected."""
  acceptance = Acceptance(
    keeper.gates_of, None, config.judge_step, 1, Bars(), 'documents'
  )
  groups = [Group(row.id, (Made(row),)) for row in made]
  asyncio.run(acceptance.settle(groups))
  return [*made_lib.rows_of(acceptance.accepted), *acceptance.rejected]


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments {argv[1:]}')
  traits = gates_faults.traits_of(gates_banks.DEV)
  print('| part | seconds of CPU | peak memory, GiB |\n|---|---|---|')
  with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder, 'suites').mkdir()
    gates_faults.write_items(pathlib.Path(folder), 0)
    config = configured(folder)
    keeper = GateKeeper(config, traits)
  with part('the documents themselves'):
    made = list(rows(_DOCUMENTS.value))
  with part('gates'):
    judged = gated(config, keeper, made)
  accepted = [row for row in judged if row.accepted]
  with part('diversity'):
    report = diversity.diversity_report(
      [Made(row).candidate for row in accepted],
      ignore_names=[gates_corpus.MODEL],
    )
  info = {
    'name': 'A large corpus',
    'contamination': keeper.kept_out,
    'diversity': {'documents': report},
  }
  with part('shards, manifest, card, viewer'):
    write_corpus(
      *(_OUT.value, judged),
      info=info,
      traits=traits,
      config=config,
      command='corpus_scale',
    )
  with part('checksums, and every row read back'):
    manifest = storage.verify(_OUT.value, kind='corpus')
    read = list(reading.read_rows(_OUT.value))
  if sorted(r.id for r in read) != sorted(r.id for r in made):
    raise AssertionError('rows were lost on the way')
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  words = sum(len((row.text or '').split()) for row in made) / len(made)
  megabytes = {
    name: manifest.files[name]['bytes'] / 2**20
    for name in ('viewer.html', 'rejected.parquet')
  }
  reasons = Counter(row.rejected_because for row in judged if not row.accepted)
  print(
    f'\n{len(made):,} documents of {words:.0f} words, {len(accepted):,} '
    f'accepted ({dict(reasons.most_common(4))}); viewer '
    f'{megabytes["viewer.html"]:.0f} MiB, '
    f'{sum(f["bytes"] for f in manifest.files.values()) / 2**20:.0f} MiB in '
    f'all; peak {peak / 2**30:.2f} GiB, {BAR / peak:.2f} of the bar'
  )


if __name__ == '__main__':
  app.run(main)
