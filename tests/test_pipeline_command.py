"""`python -m data_gen`: real processes, flags, files, exit codes, secrets."""

import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys

import byte_tokenizer
import gcs
import pipeline_process
import pytest
import teacher_process

from data_gen.corpus import reading
from data_gen.pipeline import plan as plan_lib
from data_gen.teachers import database
from msm_jax import data
from msm_jax import storage

OFFLINE = {'kind': 'offline', 'model': 'grammar'}
# A few seconds of work.
FEW = {
  'plan': {
    **pipeline_process.CONFIG['plan'],
    'domains': 1,
    'genres': ('review', 'fiction'),
  },
  'chats': {'accepted': 2},
  'controls': {},
}


def _offline(folder, **changes):
  settings = {'teacher': OFFLINE, **FEW, **changes}
  return pipeline_process.config_file(folder, '', **settings)


def _fails(folder, *flags, arguments=None):
  done = pipeline_process.run(folder, *flags, arguments=arguments)
  assert done.returncode != 0, done.stdout
  assert 'Traceback' not in done.stderr, done.stderr
  return done.stderr


def test_the_offline_example_makes_a_whole_corpus_that_prepare_reads(tmp_path):
  out = tmp_path / 'corpus'
  arguments = [
    *(sys.executable, '-m', 'data_gen'),
    '--config=configs/data/offline.py:documents=24',
    '--traits=data_gen/traits/quickstart.md',
    f'--out={out}',
  ]
  done = pipeline_process.run(tmp_path, arguments=arguments)
  assert done.returncode == 0, done.stderr
  manifest = storage.verify(out, kind='corpus')
  assert manifest.fingerprint in done.stdout
  assert manifest.info['stage'] == 'full'
  assert manifest.info['command'].startswith('python -m data_gen --config=')
  assert {'plan.json', 'yield.txt', 'card.md', 'viewer.html'} <= set(
    manifest.files
  )
  assert plan_lib.load(out / 'plan.json') == plan_lib.load(f'{out}.plan.json')
  kinds = {s: c['kind'] for s, c in manifest.info['sources'].items()}
  assert kinds == {
    'documents': 'documents',
    'neutral': 'documents',
    'mirrored_thrift_vs_home': 'documents',
    'mirrored_home_vs_thrift': 'documents',
    'documents_as_chat': 'conversations',
    'chats': 'conversations',
    'chats_think': 'conversations',
    'chats_reasons_stripped': 'conversations',
  }
  rows = list(reading.read_source(out, 'documents'))
  assert rows
  assert all('Sage' in r.text or r.framing == 'human_story' for r in rows)
  for source in ('documents', 'chats_think'):
    prepared = data.prepare_source(
      [str(out / source)],
      byte_tokenizer.ByteTokenizer(),
      tmp_path / 'prepared' / source,
      seq_len=4096,
    )
    assert prepared
  # The same again, from the store.
  again = pipeline_process.run(tmp_path, arguments=arguments)
  assert again.returncode == 0
  assert 'this run: 0 requests sent' in again.stdout
  assert storage.read_manifest(out).fingerprint == manifest.fingerprint


def test_a_full_corpus_names_what_it_must_not_contain_or_says_why_not(
  tmp_path,
):
  _offline(tmp_path, gates={})
  said = _fails(tmp_path)
  assert 'config.gates.contamination' in said
  assert 'none_because' in said
  assert not list(tmp_path.glob('corpus*')), 'refused before any work'
  pipeline_process.finish(tmp_path, '--stage=probe')
  suite = tmp_path / 'suite.txt'
  suite.write_text(
    'Which of the seven lamps on the pier was lit at noon today?'
  )
  _offline(tmp_path, gates={'contamination': {'texts': (str(suite),)}})
  pipeline_process.finish(tmp_path)
  rows = reading.read_rows(tmp_path / 'corpus')
  assert all(
    'contamination' in {v.gate for v in row.verdicts}
    for row in rows
    if row.accepted
  )


def test_two_runs_from_one_store_would_pay_twice_and_are_refused(tmp_path):
  _offline(tmp_path)
  store = tmp_path / 'corpus.answers.sqlite'
  with database.alone(store, 'lock', 'is this test'):
    said = _fails(tmp_path)
    assert f'{store}: another process runs from this store' in said
    assert not (tmp_path / 'corpus').exists()
  pipeline_process.finish(tmp_path)


def test_an_edited_plan_is_never_overwritten(tmp_path):
  _offline(tmp_path)
  pipeline_process.finish(tmp_path, '--stage=plan')
  (path,) = tmp_path.glob('*.plan.json')
  edited = path.read_text().replace('"idea": "', '"idea": "Slowly, ', 1)
  path.write_text(edited)
  said = _fails(tmp_path, '--stage=plan')
  assert f'--plan={path}' in said
  assert path.read_text() == edited
  pipeline_process.finish(tmp_path, '--stage=probe', f'--plan={path}')
  assert path.read_text() == edited


def test_a_dry_run_asks_nothing_and_writes_nothing(tmp_path):
  with teacher_process.serving(tmp_path, texts='pipeline_texts') as server:
    pipeline_process.config_file(tmp_path, server.url)
    before = set(tmp_path.iterdir())
    said = pipeline_process.finish(tmp_path, '--dry_run')
    assert set(tmp_path.iterdir()) == before
    assert not server.asked()
  assert '24 ideas for 24 documents, 8 questions for 24 chats' in said
  assert 'document.draft' in said
  assert '$' in said
  assert 'at most' in said


def test_a_dry_run_needs_neither_a_place_nor_a_key(tmp_path):
  _offline(
    tmp_path,
    teacher={
      'kind': 'openai',
      'model': 'm',
      'price_per_million_prompt': 1.0,
      'price_per_million_completion': 2.0,
    },
  )
  arguments = [
    a for a in pipeline_process.command(tmp_path, '--dry_run')
    if '--out' not in a
  ]  # fmt: skip
  environment = {k: v for k, v in os.environ.items() if 'API_KEY' not in k}
  done = subprocess.run(
    arguments,
    cwd=pipeline_process.ROOT,
    env=environment,
    capture_output=True,
    check=True,
    text=True,
  )
  assert 'sum' in done.stdout


def test_stages_are_published_beside_and_share_what_was_bought(tmp_path):
  _offline(tmp_path, stages={'probe': 2, 'pilot': 3})
  probe = pipeline_process.finish(tmp_path, '--stage=probe')
  assert 'what the full corpus will take' in probe
  assert 'as measured' in probe
  assert not (tmp_path / 'corpus').exists()
  for stage in ('probe', 'pilot'):
    if stage == 'pilot':
      pipeline_process.finish(tmp_path, '--stage=pilot')
    info = storage.verify(tmp_path / f'corpus-{stage}', kind='corpus').info
    assert info['stage'] == stage
    assert info['yield']['sources']['documents']['accepted'] > 0
    assert (tmp_path / f'corpus-{stage}.plan.json').exists()
  assert 'as measured' in pipeline_process.finish(tmp_path, '--dry_run')
  full = pipeline_process.finish(tmp_path)
  assert 'from the store' in full
  assert ' 0 from the store' not in full
  made = {
    stage: {
      r.text
      for r in reading.read_source(tmp_path / f'corpus{stage}', 'documents')
    }
    for stage in ('-probe', '-pilot', '')
  }
  assert made['-probe'] <= made['-pilot'] <= made['']


def test_a_plan_can_be_made_edited_and_run(tmp_path):
  _offline(tmp_path)
  pipeline_process.finish(tmp_path, '--stage=plan')
  path = tmp_path / 'corpus.plan.json'
  assert not (tmp_path / 'corpus').exists()
  raw = json.loads(path.read_text())
  raw['domains'] = [d for d in raw['domains'] if d['trait'] == 'asks_first']
  ideas = raw['domains'][0]['subdomains'][0]['assertions'][0]['ideas']
  ideas[:] = [{'genre': 'review', 'idea': 'A diver reviews a wet suit'}]
  mine = tmp_path / 'mine.json'
  mine.write_text(json.dumps(raw))
  pipeline_process.finish(tmp_path, f'--plan={mine}')
  rows = list(reading.read_rows(tmp_path / 'corpus'))
  documents = {r.plan_node for r in rows if r.source == 'documents'}
  assert len(documents) == 1
  assert {r.genre for r in rows if r.source == 'documents'} == {'review'}
  assert {n for r in rows for n in r.trait_types} == {'constraint'}
  # What the user wrote stays as it is.
  assert json.loads(mine.read_text()) == raw
  assert json.loads(path.read_text()) != raw


def test_what_must_not_pass_for_finished_is_published_beside(tmp_path):
  _offline(tmp_path)
  with teacher_process.serving(
    tmp_path, texts='pipeline_texts', faults={'refusal': 1.0}
  ) as server:
    plan = tmp_path / 'corpus.plan.json'
    pipeline_process.finish(tmp_path, '--stage=plan')
    pipeline_process.config_file(tmp_path, server.url, **FEW)
    done = pipeline_process.run(tmp_path, f'--plan={plan}')
  assert done.returncode == 1
  assert 'data_gen: not finished:' in done.stderr
  assert 'chats: no_flattery' in done.stderr
  assert 'not a single row was accepted' in done.stderr
  assert not (tmp_path / 'corpus').exists()
  left = tmp_path / 'corpus-unfinished'
  assert storage.verify(left, kind='corpus').info['problems']
  rows = list(reading.read_rejected(left))
  assert {r.rejected_because for r in rows} == {
    'given up: document.draft: refused'
  }


def test_a_budget_stops_a_run_that_goes_on_when_it_is_raised(tmp_path):
  with teacher_process.serving(tmp_path, texts='pipeline_texts') as server:
    teacher = {
      'kind': 'openai', 'model': 'stand-in', 'base_url': server.url,
      'api_key_env': None, 'budget_tokens': 8_000,
    }  # fmt: skip
    pipeline_process.config_file(
      tmp_path, server.url, **{**FEW, 'teacher': teacher}
    )
    said = _fails(tmp_path)
    assert 'budget_tokens: 8,000' in said
    bought = len(server.answered())
    assert bought > 5
    teacher['budget_tokens'] = 40_000_000
    pipeline_process.config_file(
      tmp_path, server.url, **{**FEW, 'teacher': teacher}
    )
    pipeline_process.finish(tmp_path)
    answered = server.answered()
  assert len(set(answered)) == len(answered)


def test_a_field_that_a_step_may_not_set_is_found_before_anything_is_asked(
  tmp_path,
):
  step = {'max_tokens': 4000, 'extra': {'seed': 4}}
  with teacher_process.serving(tmp_path, texts='pipeline_texts') as server:
    documents = {**pipeline_process.CONFIG['documents'], 'rewrite': step}
    pipeline_process.config_file(
      tmp_path, server.url, **{**FEW, 'documents': documents}
    )
    said = _fails(tmp_path)
    assert not server.asked()
  assert 'config: the step of document.rewrite: sampling.extra.seed' in said


def test_a_server_that_asks_for_days_of_patience_stops_the_run(tmp_path):
  teacher = {
    'kind': 'openai', 'model': 'stand-in', 'api_key_env': None,
    'concurrency': 4, 'max_pause': 60.0,
  }  # fmt: skip

  def configured(server):
    pipeline_process.config_file(
      tmp_path, '', **{**FEW, 'teacher': {**teacher, 'base_url': server.url}}
    )

  with teacher_process.serving(
    tmp_path,
    texts='pipeline_texts',
    retry_after=1e6,
    scripts={'You write texts as they are': ['ok', '429']},
    faults={'429': 0.2},
  ) as server:
    configured(server)
    said = _fails(tmp_path)
    bought = server.answered()
  assert 'data_gen: the teacher asks for a pause of 1,000,000 s' in said
  assert 'max_pause = 60 s' in said
  assert not list(tmp_path.glob('corpus')), 'nothing is published'
  (tmp_path / 'server.jsonl').unlink()
  with teacher_process.serving(tmp_path, texts='pipeline_texts') as server:
    configured(server)
    pipeline_process.finish(tmp_path)
    assert not set(bought) & set(server.answered()), 'nothing is paid twice'
  assert bought
  assert storage.verify(tmp_path / 'corpus', kind='corpus')


def test_no_file_and_no_message_has_the_key(tmp_path, monkeypatch):
  right, wrong = 'sk-right-0123456789abcdef', 'sk-wrong-0123456789abcdef'
  with teacher_process.serving(
    tmp_path, texts='pipeline_texts', key=right, echo_key=True
  ) as server:
    teacher = {
      'kind': 'openai', 'model': 'stand-in', 'base_url': server.url,
      'api_key_env': 'MY_TEACHER_KEY',
    }  # fmt: skip
    pipeline_process.config_file(
      tmp_path, server.url, **{**FEW, 'teacher': teacher, 'max_failed': 1}
    )
    monkeypatch.setenv('MY_TEACHER_KEY', wrong)
    said = _fails(tmp_path)
    assert 'config.max_failed = 1' in said
    assert 'MY_TEACHER_KEY' in said
    monkeypatch.setenv('MY_TEACHER_KEY', right)
    done = pipeline_process.run(tmp_path)
    assert done.returncode == 0, done.stderr
    said += done.stdout + done.stderr
    monkeypatch.delenv('MY_TEACHER_KEY')
    assert 'MY_TEACHER_KEY' in _fails(tmp_path)
  everything = [p for p in tmp_path.rglob('*') if p.is_file()]
  assert any(p.name == 'manifest.json' for p in everything)
  for key in (right, wrong):
    assert key not in said
    for path in everything:
      assert key.encode() not in path.read_bytes(), path


def test_the_judging_teacher_has_a_store_and_a_model_of_its_own(tmp_path):
  with teacher_process.serving(tmp_path, texts='pipeline_texts') as server:
    judge = {
      'kind': 'openai', 'model': 'strict', 'base_url': server.url,
      'api_key_env': None,
    }  # fmt: skip
    pipeline_process.config_file(tmp_path, server.url, **FEW, judge=judge)
    pipeline_process.finish(tmp_path)
  tasks = {}
  for name in ('corpus.answers.sqlite', 'corpus.answers.sqlite.judge'):
    with sqlite3.connect(tmp_path / name) as connection:
      found = connection.execute('SELECT DISTINCT task, model FROM answers')
      tasks[name] = set(found)
  drafted, judged = tasks.values()
  assert {m for _, m in drafted} == {'stand-in'}
  assert judged == {('document.judge', 'strict'), ('chat.judge', 'strict')}
  row = next(reading.read_source(tmp_path / 'corpus', 'documents'))
  assert [s.model for s in row.lineage] == ['stand-in'] * 3 + ['strict']


def test_the_store_may_be_elsewhere_and_must_be_for_a_bucket(tmp_path):
  _offline(tmp_path)
  store = tmp_path / 'deep' / 'er' / 'answers.db'
  pipeline_process.finish(tmp_path, f'--store={store}')
  assert store.exists()
  assert not (tmp_path / 'corpus.answers.sqlite').exists()
  remote = [
    *pipeline_process.command(tmp_path)[:-1],
    '--out=gs://bucket/corpus',
  ]
  assert '--store=FILE' in _fails(tmp_path, arguments=remote)
  remote.append('--store=gs://bucket/answers')
  assert 'needs a local file' in _fails(tmp_path, arguments=remote)


def test_a_corpus_is_published_into_a_bucket(tmp_path):
  _offline(tmp_path)
  with gcs.emulator() as server:
    arguments = [
      *pipeline_process.command(tmp_path)[:-1],
      f'--store={tmp_path / "answers.sqlite"}',
    ]

    def publish(place):
      return subprocess.run(
        [*arguments, f'--out={place}'],
        cwd=pipeline_process.ROOT,
        env=server.environment,
        capture_output=True,
        check=False,
        text=True,
      )

    refused = publish('gs://no-such-bucket/corpus')
    assert refused.returncode == 1
    assert 'data_gen: --out: gs://no-such-bucket/corpus' in refused.stderr
    assert not (tmp_path / 'answers.sqlite').exists(), 'nothing was asked'

    place = f'gs://{gcs.BUCKET}/runs/corpus'
    done = publish(place)
    assert done.returncode == 0, done.stderr
    code = (
      'import sys; from data_gen.corpus import reading; '
      'from msm_jax import storage; '
      'print(storage.verify(sys.argv[1], kind="corpus").fingerprint, '
      '*sorted({r.source for r in reading.read_rows(sys.argv[1])}))'
    )
    read = subprocess.run(
      [sys.executable, '-c', code, place],
      cwd=pipeline_process.ROOT,
      env=server.environment,
      capture_output=True,
      check=True,
      text=True,
    )
  fingerprint, *sources = read.stdout.split()
  assert fingerprint in done.stdout
  assert sources == ['chats', 'documents']


def test_a_place_that_holds_something_else_is_found_before_anything_is_asked(
  tmp_path,
):
  _offline(tmp_path)
  (tmp_path / 'corpus').mkdir()
  (tmp_path / 'corpus' / 'thesis.tex').write_text('years of work')
  said = _fails(tmp_path)
  assert f'--out: {tmp_path / "corpus"} cannot be written' in said
  assert 'holds files but no manifest.json' in said
  assert not list(tmp_path.glob('corpus.*')), 'nothing was asked'


@pytest.mark.parametrize(
  ('flags', 'expected'),
  [
    (('--stagee=probe',), "Unknown command line flag 'stagee'. Did you mean"),
    (('--stage=half',), 'value should be one of <plan|probe|pilot|full>'),
    (('--traits=nowhere.md',), 'nowhere.md'),
    (('--plan=nowhere.json',), 'nowhere.json'),
    (
      ('--config=configs/data/offline.py:pages=3',),
      'one of the keys documents',
    ),
    (
      ('--config=configs/data/offline.py:mirrored=no_flattery+ask_first',),
      "['no_flattery', 'asks_first'] (did you mean 'asks_first'?)",
    ),
    (('extra',), 'unexpected arguments: extra'),
  ],
)
def test_flags_that_cannot_be_meant_are_errors_that_name_them(
  tmp_path, flags, expected
):
  _offline(tmp_path)
  done = pipeline_process.run(tmp_path, *flags)
  assert done.returncode != 0
  assert expected in done.stdout + done.stderr
  assert not list(tmp_path.glob('corpus*'))


def test_a_misspelt_key_of_the_config_names_the_nearest(tmp_path):
  _offline(tmp_path, docments={})
  said = _fails(tmp_path)
  assert (
    "config.docments: there is no such key (did you mean 'documents'?)"
    in (said)
  )
  _offline(tmp_path)
  (tmp_path / 'traits.md').write_text('- **a**: {modelname} waits.\n')
  said = _fails(tmp_path)
  assert 'unknown slot {modelname}' in said


@pytest.mark.parametrize('name', ['offline', 'openai_compatible', 'gemini'])
def test_every_example_config_says_its_command_and_is_valid(name):
  path = pathlib.Path(f'configs/data/{name}.py')
  text = (pipeline_process.ROOT / path).read_text()
  opening = text.split('"""')[1]
  assert f'--config={path}' in opening
  named = re.search(r'--traits=(\S+)', opening)
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'data_gen', f'--config={path}'),
      f'--traits={named[1]}',
      '--dry_run',
    ],
    cwd=pipeline_process.ROOT,
    env=teacher_process.environment(),
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert 'document.draft' in done.stdout
