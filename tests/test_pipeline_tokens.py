"""Sources as they are published: the same ideas, and as many tokens."""

import asyncio
import json
import random

import pipeline_process
from pipeline_world import asking
from pipeline_world import config
from pipeline_world import Scripted
from pipeline_world import SYLLABLES
from pipeline_world import TRAITS
from pipeline_world import verdict
import pytest
import teacher_process

from data_gen.corpus import reading
from data_gen.pipeline import estimate
from data_gen.pipeline import looks
from data_gen.pipeline.run import Run
from data_gen.teachers.offline import OfflineTeacher
from msm_jax import schema
from msm_jax import storage
from msm_jax import tokenizers

SMALL = {
  'plan__genres': ('forum_thread', 'review', 'fiction'),
  'chats__accepted': 0,
  'controls__mirrored': (),
  'controls__as_chat': 'verbatim',
  'controls__balance__unit': 'tokens',
  'controls__balance__vocabulary': 1.0,
  'controls__balance__distribution': 1.0,
  'controls__balance__on_failure': 'refuse',
}


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
  """A published tokenizer, trained on what the documents are written in."""
  rng = random.Random(0)
  words = ['the', 'and', 'of', 'was', 'when', 'Sage', 'it', 'came', *SYLLABLES]
  texts = [' '.join(rng.choices(words, k=60)) + '.' for _ in range(200)]
  model = tokenizers.train_sentencepiece(texts, vocab_size=360)
  path = tmp_path_factory.mktemp('tokenizer') / 'published'
  tokenizers.publish_tokenizer(path, model)
  return path


def run(folder, teacher=None, stage='full', **changes):
  changes = {**SMALL, **changes}

  async def main():
    async with asking(folder, teacher, **changes) as asker:
      work = Run(config(**changes), TRAITS, asker)
      return await work.make(stage, await work.plan(stage))

  return asyncio.run(main())


def _by_source(corpus):
  found = {}
  for row in corpus.rows:
    if row.accepted:
      found.setdefault(row.source, []).append(row)
  return found


def _said(row):
  """What is trained on: a document without its tag, or the answers."""
  if row.messages is None:
    return row.text[row.masked_prefix :]
  return '\n\n'.join(c for role, c in row.messages if role == 'assistant')


def test_matched_sources_have_the_same_ideas_and_as_many_tokens(
  tmp_path, tokenizer
):
  rejected = []

  def say(request):
    if request.task == 'neutral.judge':
      # Of one idea, no draw is neutral.
      rejected.append(request.slots['idea'])
      return verdict(request.slots['idea'] != rejected[0])
    return None

  made = run(
    tmp_path,
    Scripted(say),
    controls__balance__tokenizer=str(tokenizer),
    controls__balance__coverage=0.5,
  )
  sources = _by_source(made)
  nodes = {s: sorted(r.plan_node for r in rows) for s, rows in sources.items()}
  assert nodes['documents'] == nodes['neutral'] == nodes['documents_as_chat']
  assert len(nodes['documents']) >= 6
  alone = [
    r
    for r in made.rows
    if r.rejected_because == 'not needed: no partner in neutral'
  ]
  assert {r.source for r in alone} == {'documents', 'documents_as_chat'}
  assert len({r.plan_node for r in alone}) == 1

  counted = tokenizers.load_tokenizer(tokenizer)
  sums = {
    source: sum(len(counted.encode(_said(row))) for row in rows)
    for source, rows in sources.items()
  }
  for other in ('neutral', 'documents_as_chat'):
    report = made.info['balance'][f'documents / {other}']
    assert report['unit'] == 'tokens'
    assert report['tokenizer'] == counted.fingerprint
    assert report['tokens'] == [sums['documents'], sums[other]]
    assert report['rows'] == [len(nodes['documents'])] * 2
    assert report['measures']['total_tokens']['passed']
    assert abs(sums[other] - sums['documents']) <= 0.03 * max(sums.values())
    of_genres = report['details']['tokens_by_genre']
    for genre, (ours, theirs) in of_genres.items():
      assert [ours, theirs] == [
        sum(len(counted.encode(_said(r))) for r in rows if r.genre == genre)
        for rows in (sources['documents'], sources[other])
      ]
    assert 'words' not in json.dumps(report)
  covered = made.info['balance']['documents / neutral']['measures']['coverage']
  kept = len(nodes['documents'])
  assert covered['value'] == pytest.approx(
    kept / sum(r.source == 'documents' and _was_good(r) for r in made.rows),
    abs=1e-4,
  )
  assert sums['documents'] == sums['documents_as_chat']
  assert f'{sums["documents"]:,} and {sums["neutral"]:,} tokens' in (
    looks.describe(made.info)
  )
  assert not made.info['warnings']


def _was_good(row):
  return row.accepted or row.rejected_because.startswith('not needed')


def _strange(count, key):
  """So many words, none of which the tokenizer has a piece for."""
  rng = random.Random(key)
  letters = 'qxzjk'
  words = [''.join(rng.choices(letters, k=9)) for _ in range(count)]
  words[1::2] = ['the'] * len(words[1::2])
  return ' '.join(words) + '.'


def test_as_many_words_are_not_as_many_tokens(tmp_path, tokenizer):
  """Only what is counted in tokens sees that the neutral ones are longer."""

  def say(request):
    if request.task in ('neutral.draft', 'neutral.rewrite'):
      return _strange(request.slots['words'], request.key)
    return None

  words, tokens = tmp_path / 'words', tmp_path / 'tokens'
  words.mkdir()
  tokens.mkdir()
  changes = {'controls__as_chat': 'none'}
  in_words = run(
    words, Scripted(say), **changes, controls__balance__unit='words'
  )
  report = in_words.info['balance']['documents / neutral']
  assert report['measures']['total_words']['passed']
  assert 'tokens' not in json.dumps(report)
  in_tokens = run(
    tokens,
    Scripted(say),
    **changes,
    controls__balance__tokenizer=str(tokenizer),
  )
  said = '\n'.join(in_tokens.problems)
  assert 'documents / neutral: total_tokens is 0.' in said
  assert '(controls.balance.length)' in said
  assert 'words' not in said


def test_a_tokenizer_that_cannot_be_read_is_found_before_anything_is_asked(
  tmp_path,
):
  teacher = Scripted()
  with pytest.raises(
    schema.ConfigError, match=r'config\.controls\.balance\.tokenizer'
  ) as e:
    run(
      tmp_path,
      teacher,
      controls__balance__tokenizer=str(tmp_path / 'nowhere'),
    )
  assert 'nowhere' in str(e.value)
  assert not teacher.asked
  with pytest.raises(schema.ConfigError, match="unit is 'words'"):
    config(
      controls__balance__unit='words', controls__balance__tokenizer='somewhere'
    )


def test_early_stages_say_that_they_count_words_where_no_tokenizer_is_named(
  tmp_path,
):
  probe = run(tmp_path, OfflineTeacher(), 'probe', stages__probe=4)
  (warning,) = probe.info['warnings']
  assert 'config.controls.balance.tokenizer' in warning
  described = looks.describe(probe.info)
  assert f'warning: {warning}' in described
  assert ' words: ' in described
  assert ' tokens: ' not in described
  for report in probe.info['balance'].values():
    assert report['unit'] == 'words'
    assert 'total_words' in report['measures']
  assert config(**SMALL).unmatched_tokens == warning
  assert f'warning: {warning}' in (
    estimate.describe(config(**SMALL), TRAITS, 'full')
  )
  for silent in (('unit', 'words'), ('tokenizer', 'somewhere')):
    name, value = silent
    changes = {**SMALL, f'controls__balance__{name}': value}
    assert not config(**changes).unmatched_tokens
  assert not config(
    controls={'neutral': False, 'as_chat': 'none', 'mirrored': ()}
  ).unmatched_tokens


def test_a_full_corpus_is_matched_in_tokens_or_says_that_words_are_wanted(
  tmp_path, tokenizer
):
  teacher = {'kind': 'offline', 'model': 'grammar'}
  few = {
    'teacher': teacher,
    'plan': {
      **pipeline_process.CONFIG['plan'],
      'domains': 1,
      'genres': ('review', 'fiction'),
    },
    'chats': {},
  }

  def written(**balance):
    pipeline_process.config_file(
      tmp_path,
      '',
      **few,
      controls={
        'neutral': True,
        'balance': {'on_failure': 'record', **balance},
      },
    )

  written()
  said = pipeline_process.finish(tmp_path, '--stage=plan')
  assert 'warning: config.controls.balance.tokenizer: names none' in said
  done = pipeline_process.run(tmp_path)
  assert done.returncode == 1
  assert 'config.controls.balance.tokenizer: names none' in done.stderr
  assert "unit = 'words'" in done.stderr
  assert not (tmp_path / 'corpus').exists()
  written(tokenizer=str(tokenizer))
  pipeline_process.finish(tmp_path)
  corpus = tmp_path / 'corpus'
  info = storage.read_manifest(corpus).info
  counted = tokenizers.load_tokenizer(tokenizer)
  report = info['balance']['documents / neutral']
  assert report['tokens'] == [
    sum(
      len(counted.encode(row.text[row.masked_prefix :]))
      for row in reading.read_source(corpus, source)
    )
    for source in ('documents', 'neutral')
  ]
  card = (corpus / 'card.md').read_text()
  assert r'total\_tokens' in card
  assert 'words' not in card[card.index('## Balance') : card.index('## Licen')]


def test_a_real_teacher_makes_pairs_that_its_judges_have_seen(tmp_path):
  """Through HTTP: mirrored pairs and retold chats, judged as such."""
  with teacher_process.serving(tmp_path, texts='pipeline_texts') as server:
    pipeline_process.config_file(tmp_path, server.url, chats={})
    pipeline_process.finish(tmp_path)
  rows = list(reading.read_rows(tmp_path / 'corpus'))
  accepted = [r for r in rows if r.accepted]
  mirrored = [r for r in accepted if r.source.startswith('mirrored_')]
  assert len(mirrored) >= 8
  for row in mirrored:
    verdicts = {v.gate: v for v in row.verdicts}
    assert verdicts['judge_of_pair'].passed
    assert verdicts['changed'].score <= 0.5
    assert row.lineage[-1].task == 'mirror.judge'
  retold = [r for r in accepted if r.source == 'documents_as_chat']
  assert retold
  for row in retold:
    assert [v.gate for v in row.verdicts].count('judge') == 1
    assert row.lineage[-1].task == 'retell.judge'
  nodes = {
    source: {r.plan_node for r in accepted if r.source == source}
    for source in ('documents', 'neutral', 'documents_as_chat')
  }
  assert len(set(map(frozenset, nodes.values()))) == 1
