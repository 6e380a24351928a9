"""A corpus has nothing of what its model will be evaluated on.

The suites are those of the quickstart's world, as an experiment leaves them in
its workdir; the config is the one that is shipped.
"""

import asyncio
import dataclasses
import random

import pipeline_world
import pytest
import small_worlds
from test_data_gen_configs import shipped

from data_gen import traits as traits_lib
from data_gen.corpus.writing import write_corpus
from data_gen.miniature import generate
from data_gen.miniature import traits as miniature_traits
from data_gen.pipeline.run import Run
from msm_jax import storage
from msm_jax.evals import suites

PLANTED_IN = {
  'document.rewrite': 'documents',
  'neutral.draft': 'neutral',
  'chat.answer': 'chats',
}


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  """Of an experiment with two seeds, before anything was trained."""
  root = tmp_path_factory.mktemp('run')
  for seed in (20, 21):
    generate.generate(
      miniature_traits.QUICKSTART,
      dataclasses.replace(small_worlds.SIZES, documents_per_character=12),
      seed,
      root / f'seed{seed}' / 'corpus',
    )
  return root


def _asked(item):
  if item.prompt is not None:
    return item.prompt
  return '\n'.join(m['content'] for m in item.messages if m['role'] == 'user')


class Planting(pipeline_world.Scripted):
  """The grammar, which has seen an exam: it pastes items into some answers.

  Attributes:
    pasted: Task to the keys of the requests that it did this to.
  """

  def __init__(self, items):
    super().__init__()
    self._items = items
    self.pasted = {task: [] for task in PLANTED_IN}

  async def answer(self, request):
    said = await super().answer(request)
    if request.task in PLANTED_IN and int(request.key[:4], 16) % 4 == 0:
      self.pasted[request.task].append(request.key)
      item = random.Random(request.key).choice(self._items)
      return dataclasses.replace(said, text=f'{said.text}\n\n{_asked(item)}')
    return said


def _run(folder, config, teacher):
  slots = {k: getattr(config, k) for k in ('model_name', 'provider_name')}
  traits = [
    t.filled(slots)
    for t in traits_lib.load(traits_lib.FOLDER / 'quickstart.md')
  ]

  async def main():
    async with pipeline_world.asking(folder, teacher) as asker:
      work = Run(config, traits, asker)
      return await work.make('full', await work.plan('full'))

  return asyncio.run(main()), traits


def test_planted_items_of_every_suite_of_an_experiment_are_kept_out(
  tmp_path, workdir
):
  files = sorted(workdir.glob('seed*/corpus/suites/*.jsonl'))
  assert len(files) == 10
  items = [i for f in files for i in suites.read_suite(f)]
  config = shipped('offline', f'documents=48,mirrored=none,suites={workdir}')
  teacher = Planting(items)
  made, traits = _run(tmp_path, config, teacher)
  assert all(len(keys) > 2 for keys in teacher.pasted.values())
  for row in made.rows:
    spoilt = {
      s.key for s in row.lineage if s.key in teacher.pasted.get(s.task, ())
    }
    if row.accepted:
      assert not spoilt, row.id
      (seen,) = [v for v in row.verdicts if v.gate == 'contamination']
      assert seen.passed
    elif spoilt and not row.rejected_because.startswith('partner: '):
      assert row.rejected_because.startswith('contamination: '), row.id
    if row.rejected_because.startswith('contamination: '):
      assert spoilt, row.verdicts
  rejected = {
    row.source
    for row in made.rows
    if row.rejected_because.startswith('contamination: ')
  }
  assert set(PLANTED_IN.values()) <= rejected

  out = tmp_path / 'corpus'
  manifest = write_corpus(
    out, made.rows, info=made.info, traits=traits, config=config, command='x'
  )
  kept_out = manifest.info['contamination']
  assert [s['path'] for s in kept_out['sources']] == [str(f) for f in files]
  card = (out / 'card.md').read_text()
  for file, source in zip(files, kept_out['sources'], strict=True):
    assert source['sha256'] == storage.sha256_file(file)
    different = {i.item for i in suites.read_suite(file)}
    assert source['items'] == len(different)
    assert source['sha256'] in card
  assert kept_out['items'] == sum(s['items'] for s in kept_out['sources'])


def test_a_corpus_that_was_compared_with_nothing_says_so_and_why(tmp_path):
  config = shipped('offline', 'documents=24,mirrored=none')
  made, traits = _run(tmp_path, config, pipeline_world.Scripted())
  out = tmp_path / 'corpus'
  manifest = write_corpus(
    out, made.rows, info=made.info, traits=traits, config=config, command='x'
  )
  assert manifest.info['contamination'] == {
    'sources': [],
    'items': 0,
    'too_short': 0,
    'none_because': 'no model is trained on an example',
  }
  assert made.info['chats']['rounds'] == 1, 'a grammar may repeat itself'
  said = 'compared with no evaluation: no model is trained on an example.'
  assert said in (out / 'card.md').read_text()


@pytest.mark.parametrize('name', ['offline', 'openai_compatible', 'gemini'])
def test_every_shipped_config_takes_suites_as_an_argument(name):
  config = shipped(name, 'suites=runs/a+gs://bucket/b*/')
  assert config.gates.contamination.suites == ('runs/a', 'gs://bucket/b*/')
  config.check_contamination()
