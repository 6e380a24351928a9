"""A real process, a real server with all faults, SIGKILL at random moments."""

import collections
import contextlib
import json
import random
import sqlite3
import subprocess
import sys

import pipeline_process
import publishing
import pytest
import teacher_process

from data_gen import teachers
from data_gen.corpus import reading
from msm_jax import storage

CONCURRENCY = 64
FAULTS = {
  '429': 0.02,
  '500': 0.02,
  '502': 0.01,
  '503': 0.01,
  'reset': 0.02,
  'cut': 0.02,
  'no_finish': 0.01,
  'invalid_json': 0.02,
  'hang': 0.004,
  'error_200': 0.01,
  '408': 0.01,
  'refusal': 0.02,
  'content_filter': 0.01,
  'prompt_filter': 0.01,
  'length': 0.04,
  'reasoning': 0.02,
  'duplicate': 0.02,
}
FLAGS = {
  'faults': FAULTS,
  'latency': 0.05,
  'retry_after': 0.01,
  'texts': 'pipeline_texts',
}


def in_flight(folder):
  """Requests in flight by run, as the store knows them."""
  if not (path := folder / 'corpus.answers.sqlite').exists():
    return {}
  store = teachers.Store(path)
  found = store.in_flight()
  store.close()
  return found


def stored(folder):
  """The tasks of the answers in the store, the first first."""
  path = folder / 'corpus.answers.sqlite'
  try:
    with contextlib.closing(
      sqlite3.connect(f'file:{path}?mode=ro', uri=True)
    ) as connection:
      return [
        task
        for (task,) in connection.execute(
          'SELECT task FROM answers ORDER BY rowid'
        )
      ]
  except sqlite3.OperationalError:
    return []  # It is being made.


def timeouts(folder):
  """Requests that were given up after their timeout, as the store knows them.

  On a machine that is busy enough, the process may wake up too late for an
  answer that has come.
  """
  path = folder / 'corpus.answers.sqlite'
  with contextlib.closing(sqlite3.connect(path)) as connection:
    (count,) = connection.execute(
      "SELECT count(*) FROM lost WHERE reason LIKE 'no answer within timeout%'"
    ).fetchone()
  return count


def kill_at(process, folder, answers):
  """Kills a run when so many answers are stored; returns the last's task."""
  while len(tasks := stored(folder)) < answers:
    try:
      code = process.wait(timeout=0.005)
    except subprocess.TimeoutExpired:
      continue
    raise AssertionError(f'ended by itself: {code}\n{process.stderr.read()}')
  process.kill()
  process.communicate()
  return tasks[-1]


def files(folder):
  """Checksums of all rows, accepted and rejected, and of the plan."""
  manifest = storage.verify(folder / 'corpus', kind='corpus')
  return {
    name: file['sha256']
    for name, file in manifest.files.items()
    if name.endswith(('.parquet', 'plan.json', 'yield.txt'))
  }


def check_killed_runs(tmp_path, kills, seed, *, stream):
  calm, killed = tmp_path / 'calm', tmp_path / 'killed'
  calm.mkdir()
  killed.mkdir()
  with teacher_process.serving(calm, **FLAGS) as server:
    pipeline_process.config_file(calm, server.url, stream=stream)
    pipeline_process.finish(calm)
    met = {line['outcome'] for line in server.log('asked')}
  assert set(FAULTS) - {'hang', 'error_200', '408', '502', '503'} <= met

  total = len(stored(calm))
  # Spread over the whole run; the last one between its last answer and the end.
  moments = random.Random(seed).sample(range(1, total), kills - 1)
  left_behind = 0
  parts = set()
  with teacher_process.serving(killed, **FLAGS) as server:
    pipeline_process.config_file(killed, server.url, stream=stream)
    for answers in [*sorted(moments), total]:
      before = in_flight(killed)
      process = pipeline_process.start(killed)
      parts.add(kill_at(process, killed, answers).split('.')[0])
      new = {r: n for r, n in in_flight(killed).items() if r not in before}
      assert sum(new.values()) <= CONCURRENCY
      left_behind += sum(new.values())
    assert not (killed / 'corpus').exists()
    pipeline_process.finish(killed)
    answered = collections.Counter(server.answered())
    hung = sum(line['outcome'] == 'hang' for line in server.log('asked'))
    said = pipeline_process.finish(killed)

  assert {'document', 'chat'} <= parts, 'killed in all parts of the run'
  assert files(killed) == files(calm)
  ours, theirs = (
    storage.read_manifest(f / 'corpus').info for f in (killed, calm)
  )
  for key in ('asked', 'yield', 'balance', 'diversity', 'chats', 'plan'):
    assert ours[key] == theirs[key], key
  # Nothing was left to buy, and what was bought twice was in flight at a kill.
  assert 'this run: 0 requests sent' in said
  too_late = max(0, timeouts(killed) - hung)
  assert sum(answered.values()) - len(answered) <= left_behind + too_late
  assert left_behind > 0
  accepted = [r for r in reading.read_rows(killed / 'corpus') if r.accepted]
  assert len([r for r in accepted if r.source == 'chats']) == 8
  assert {r.source for r in accepted} == {
    *('documents', 'neutral', 'documents_as_chat'),
    *('chats', 'chats_think', 'chats_reasons_stripped'),
    'mirrored_no_flattery_vs_asks_first',
    'mirrored_asks_first_vs_no_flattery',
  }


def test_a_run_that_was_killed_three_times_gives_the_same_corpus(tmp_path):
  check_killed_runs(tmp_path, 3, seed=1, stream=True)


def test_kills_while_it_publishes_leave_all_of_a_corpus_or_nothing(tmp_path):
  done = subprocess.run(
    [sys.executable, publishing.__file__, str(tmp_path)],
    env=teacher_process.environment(),
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-4000:]
  seen = json.loads(done.stdout.splitlines()[-1])
  whole = seen.pop('calm')[0]['found']
  assert whole
  (last,) = seen.pop('at last')
  assert last == {'killed': False, 'found': whole, 'left': []}
  assert set(seen) == {*publishing.MOMENTS, *publishing.REPLACING}
  for moment, runs in seen.items():
    if moment in publishing.MOMENTS:
      first, *runs = runs
      assert first['killed'], moment
      assert first['found'] is None, moment
      assert first['left'], moment
    # The next run gives the same bytes, and removes what was left.
    assert runs[0] == {'killed': False, 'found': whole, 'left': []}, moment
    for replacing in runs[1:]:
      assert replacing['killed'], moment
      assert replacing['found'] == whole, moment


@pytest.mark.slow
def test_a_run_that_was_killed_20_times_gives_the_same_corpus(tmp_path):
  check_killed_runs(tmp_path, 20, seed=2026, stream=False)
