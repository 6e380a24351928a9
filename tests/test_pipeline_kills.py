"""A real process, a real server with all faults, SIGKILL at random moments."""

import collections
import random
import subprocess

import pipeline_process
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
  """Requests that the store knows to be in flight, of all runs."""
  if not (path := folder / 'corpus.answers.sqlite').exists():
    return 0
  store = teachers.Store(path)
  found = sum(store.in_flight().values())
  store.close()
  return found


def kill_after(process, server, arrivals):
  """Kills a run when so many more requests have reached the server."""
  seen = len(server.asked())
  while len(server.asked()) < seen + arrivals:
    try:
      code = process.wait(timeout=0.002)
    except subprocess.TimeoutExpired:
      continue
    raise AssertionError(f'ended by itself: {code}\n{process.stderr.read()}')
  process.kill()
  process.communicate()


def files(folder):
  """Checksums of all rows, accepted and rejected, and of the plan."""
  manifest = storage.verify(folder / 'corpus', kind='corpus')
  return {
    name: file['sha256']
    for name, file in manifest.files.items()
    if name.endswith(('.parquet', 'plan.json', 'yield.txt'))
  }


def check_killed_runs(tmp_path, kills, arrivals, seed):
  calm, killed = tmp_path / 'calm', tmp_path / 'killed'
  calm.mkdir()
  killed.mkdir()
  with teacher_process.serving(calm, **FLAGS) as server:
    pipeline_process.config_file(calm, server.url)
    pipeline_process.finish(calm)
    asked = len(server.asked())
    met = {line['outcome'] for line in server.log('asked')}
  assert set(FAULTS) - {'hang', 'error_200', '408', '502', '503'} <= met
  assert asked > kills * arrivals[1]

  rng = random.Random(seed)
  left_behind = 0
  with teacher_process.serving(killed, **FLAGS) as server:
    pipeline_process.config_file(killed, server.url)
    for _ in range(kills):
      before = in_flight(killed)
      process = pipeline_process.start(killed)
      kill_after(process, server, rng.randint(*arrivals))
      after = in_flight(killed)
      assert after <= before + CONCURRENCY
      left_behind += after
    pipeline_process.finish(killed)
    answered = collections.Counter(server.answered())
    said = pipeline_process.finish(killed)

  assert files(killed) == files(calm)
  ours, theirs = (
    storage.read_manifest(f / 'corpus').info for f in (killed, calm)
  )
  for key in ('asked', 'yield', 'balance', 'diversity', 'chats', 'plan'):
    assert ours[key] == theirs[key], key
  # Nothing was left to buy, and what was bought twice was in flight at a kill.
  assert 'this run: 0 requests sent' in said
  assert sum(answered.values()) - len(answered) <= left_behind
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
  check_killed_runs(tmp_path, 3, (20, 110), seed=1)


@pytest.mark.slow
def test_a_run_that_was_killed_20_times_gives_the_same_corpus(tmp_path):
  check_killed_runs(tmp_path, 20, (1, 20), seed=2026)
