"""SIGKILL at random moments: nothing is lost, nothing is asked twice."""

import collections
import json
import random
import subprocess
import sys

import pytest
import teacher_process

from data_gen import teachers

CONCURRENCY = 64
# Far more than the kills can let through, however late they come.
COUNT = 2400
KILLS = 20
# Faults of every kind; those of the answers are part of what must not change.
FAULTS = {
  '429': 0.01,
  '500': 0.02,
  '503': 0.01,
  'reset': 0.02,
  'cut': 0.02,
  'no_finish': 0.02,
  'invalid_json': 0.02,
  'hang': 0.002,
  'refusal': 0.03,
  'length': 0.05,
  'reasoning': 0.03,
  'duplicate': 0.05,
}


def start(folder, server, out):
  arguments = [folder / 'store.db', server.url, COUNT, CONCURRENCY, out]
  return subprocess.Popen(
    [
      *(sys.executable, str(teacher_process.HERE / 'teacher_client.py')),
      *map(str, arguments),
    ],
    cwd=teacher_process.HERE.parent,
    env=teacher_process.environment(),
    stderr=subprocess.PIPE,
    text=True,
  )


def finish(folder, server, name):
  process = start(folder, server, folder / name)
  _, errors = process.communicate()
  assert process.returncode == 0, errors
  return json.loads((folder / name).read_text())


def in_flight(folder):
  """Requests that were in flight when a run was killed, by run."""
  if not (folder / 'store.db').exists():
    return {}
  store = teachers.Store(folder / 'store.db')
  found = store.in_flight()
  store.close()
  return found


def kill_after(process, server, arrivals):
  """Kills a client when so many more requests have reached the server."""
  wanted = server.arrivals() + arrivals
  while server.arrivals() < wanted:
    try:
      process.wait(timeout=0.005)
    except subprocess.TimeoutExpired:
      continue
    raise AssertionError(f'ended by itself: {process.stderr.read()}')
  process.kill()
  process.wait()
  process.stderr.close()


def test_after_20_kills_every_answer_is_there_and_none_was_bought_twice(
  tmp_path,
):
  calm, killed = tmp_path / 'calm', tmp_path / 'killed'
  calm.mkdir()
  killed.mkdir()
  flags = {'faults': FAULTS, 'latency': 0.05, 'retry_after': 0.01}
  with teacher_process.serving(calm, **flags) as server:
    expected = finish(calm, server, 'out.json')

  rng = random.Random(2026)
  at_kills = []
  with teacher_process.serving(killed, **flags) as server:
    for _ in range(KILLS):
      before = in_flight(killed)
      process = start(killed, server, killed / 'never.json')
      kill_after(process, server, rng.randint(1, 2 * CONCURRENCY))
      after = in_flight(killed)
      at_kills.append(sum(n for r, n in after.items() if r not in before))
    told = finish(killed, server, 'out.json')
    answered = collections.Counter(server.answered())
    stored_twice = finish(killed, server, 'again.json')

  assert told['told'] == expected['told']
  assert not (killed / 'never.json').exists()
  # The last run bought what was missing, and one more run buys nothing.
  assert told['usage']['from_store'] > 0
  assert stored_twice['told'] == told['told']
  assert stored_twice['usage']['sent'] == 0
  # What the server answered in full more than once.
  repeated = sum(answered.values()) - len(answered)
  assert len(answered) == COUNT
  assert repeated <= sum(at_kills)
  assert max(at_kills) <= CONCURRENCY
  assert sum(at_kills) > KILLS  # The kills hit something.


@pytest.mark.parametrize('seed', [1, 2])
def test_a_killed_run_repeats_only_what_was_in_flight(tmp_path, seed):
  """Without faults, each repeat can be named."""
  with teacher_process.serving(tmp_path, latency=0.05) as server:
    process = start(tmp_path, server, tmp_path / 'never.json')
    kill_after(process, server, random.Random(seed).randint(70, 500))
    store = teachers.Store(tmp_path / 'store.db')
    committed = len(store)
    unknown = sum(store.in_flight().values())
    store.close()
    told = finish(tmp_path, server, 'out.json')
    asked = collections.Counter(server.asked())

  assert 0 < unknown <= CONCURRENCY
  assert len(asked) == COUNT
  repeats = sum(asked.values()) - COUNT
  assert told['usage']['sent'] == COUNT - committed
  assert repeats <= unknown
  assert told['usage']['from_store'] == committed
  assert told['usage']['repeated'] == unknown
