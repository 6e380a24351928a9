"""Answers on the disk: whole, first come first kept, safe for two processes."""

import asyncio
import concurrent.futures
import os
import sqlite3
import subprocess
import sys
import threading

import fake_teacher
import pytest

from data_gen import teachers
from data_gen.teachers import database

REQUEST = teachers.Request(
  'a/model',
  (
    teachers.Message('system', 'Be brief. ✓'),
    teachers.Message('user', "It's {a} 'test'\x00 \u2028 of everything"),
  ),
  teachers.Sampling(50, 0.7, 0.9, {'reasoning_effort': 'low', 'top_k': 5}),
  sample=3,
  task='document.draft',
)
ANSWER = teachers.Answer(
  'Line\nline ✓\x00', teachers.Finish.LENGTH, 11, 22, 7, 'thought'
)
PRICES = teachers.Prices(1.0, 10.0)


def commit(store, request=REQUEST, answer=ANSWER, cost=0.5):
  return asyncio.run(store.commit(request, answer, cost_usd=cost, seconds=1.5))


@pytest.fixture
def path(tmp_path):
  return tmp_path / 'folder' / 'store.db'


@pytest.fixture
def store(path):
  opened = teachers.Store(path)
  yield opened
  opened.close()


def test_an_answer_comes_back_as_it_was(path, store):
  assert store.get(REQUEST.key) is None
  assert commit(store) == ANSWER
  store.close()
  again = teachers.Store(path)
  assert again.get(REQUEST.key) == ANSWER
  (row,) = again.rows()
  assert row.request == REQUEST
  assert row.request.key == REQUEST.key
  assert (row.answer, row.cost_usd, row.seconds) == (ANSWER, 0.5, 1.5)
  assert row.created > 1.7e9
  again.close()


def test_rows_are_listed_by_task_in_order(store):
  for i in range(4):
    commit(store, fake_teacher.request(str(i)))
  commit(store)
  drafts = [r.request.messages[0].content for r in store.rows(limit=3)]
  assert drafts == ['0', '1', '2']
  assert len(list(store.rows(task='document.draft'))) == 5
  assert not list(store.rows(task='chat.judge'))
  assert len(store) == 5


def test_the_first_answer_is_kept(store):
  other = teachers.Store(store.path)
  commit(store)
  late = teachers.Answer('late', teachers.Finish.STOP, 1, 1)
  assert commit(other, answer=late) == ANSWER
  assert other.get(REQUEST.key) == ANSWER
  other.close()


def test_what_was_committed_survives_sigkill(path):
  code = f"""
import asyncio, os, signal, sys
sys.path.insert(0, 'tests')
import fake_teacher
from data_gen import teachers
store = teachers.Store({str(path)!r})
async def main():
  await asyncio.gather(*(
    store.commit(fake_teacher.request(str(i)), fake_teacher.answer(str(i)),
                 cost_usd=None, seconds=0.0)
    for i in range(100)))
  os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
  done = subprocess.run([sys.executable, '-c', code], check=False)
  assert done.returncode == -9
  store = teachers.Store(path)
  assert len(store) == 100
  for i in range(100):
    assert store.get(fake_teacher.request(str(i)).key).text == str(i)
  store.close()


def test_commits_are_fsynced_in_wal_mode(path):
  connection = database.connect(path)
  (mode,) = connection.execute('PRAGMA journal_mode').fetchone()
  (synchronous,) = connection.execute('PRAGMA synchronous').fetchone()
  assert (mode, synchronous) == ('wal', 2)  # 2 is FULL.
  connection.close()


WRITER = """
import asyncio, sys
sys.path.insert(0, 'tests')
import fake_teacher
from data_gen import teachers
path, who = sys.argv[1:]
sys.stdin.readline()
store = teachers.Store(path)
async def one(i):
  request = fake_teacher.request(str(i))
  await store.mark(request.key, teachers.most_tokens(request))
  return await store.commit(
    request, fake_teacher.answer(who), cost_usd=None, seconds=0.0)
async def main():
  return await asyncio.gather(*map(one, range(200)))
print(''.join(a.text for a in asyncio.run(main())))
store.close()
"""


def test_processes_that_open_and_write_at_once_agree(path):
  """They create the file together, too."""
  path.parent.mkdir()
  writers = [
    subprocess.Popen(
      [sys.executable, '-c', WRITER, str(path), who],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    for who in 'abcd'
  ]
  for writer in writers:
    writer.stdin.write('\n')
    writer.stdin.flush()
  said = [writer.communicate()[0].strip() for writer in writers]
  assert [writer.returncode for writer in writers] == [0] * 4
  assert len(said[0]) == 200
  assert len(set(said)) == 1
  store = teachers.Store(path)
  stored = [store.get(fake_teacher.request(str(i)).key) for i in range(200)]
  assert ''.join(a.text for a in stored) == said[0]
  assert store.in_flight() == {}
  store.check()
  store.close()


def test_who_waits_for_another_to_create_the_file_uses_it(path, monkeypatch):
  path.parent.mkdir()
  first = sqlite3.connect(path, isolation_level=None)
  first.execute('BEGIN IMMEDIATE')
  pragma = database._pragma
  looked = threading.Event()

  def look(connection, name):
    found = pragma(connection, name)
    looked.set()
    return found

  monkeypatch.setattr(database, '_pragma', look)
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    second = pool.submit(teachers.Store, path)
    looked.wait()  # It has seen a file that is no store yet.
    database._create(first, path)
    first.execute('COMMIT')
    store = second.result()
  first.close()
  assert len(store) == 0
  store.close()


def test_many_commits_share_transactions(path, monkeypatch):
  """64 at a time cost a few fsyncs, not 64."""
  statements = []
  connect = database.connect

  def traced(where):
    connection = connect(where)
    connection.set_trace_callback(statements.append)
    return connection

  monkeypatch.setattr(database, 'connect', traced)
  store = teachers.Store(path)

  async def main():
    async def one(i):
      request = fake_teacher.request(str(i))
      return await store.commit(
        request, fake_teacher.answer(), cost_usd=None, seconds=0.0
      )

    await asyncio.gather(*map(one, range(640)))

  asyncio.run(main())
  store.close()
  assert statements.count('COMMIT') < 100


def test_a_write_that_fails_takes_no_other_with_it(store):
  def bad(connection):
    connection.execute('INSERT INTO answers VALUES (1)')

  async def main():
    requests = [fake_teacher.request(str(i)) for i in range(20)]
    commits = [
      store.commit(r, fake_teacher.answer(), cost_usd=None, seconds=0.0)
      for r in requests
    ]
    commits.insert(10, store._write(bad))
    return await asyncio.gather(*commits, return_exceptions=True)

  done = asyncio.run(main())
  assert isinstance(done.pop(10), teachers.StoreError)
  assert done == [fake_teacher.answer()] * 20
  assert len(store) == 20


def test_a_commit_that_nobody_waits_for_is_made_all_the_same(store):
  async def main():
    task = asyncio.create_task(
      store.commit(REQUEST, ANSWER, cost_usd=None, seconds=0.0)
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
      await task

  asyncio.run(main())
  store._writer.close()
  assert store.get(REQUEST.key) == ANSWER


def test_only_requests_of_other_runs_are_repeats(store):
  most = teachers.Tokens(100, 200)
  other = teachers.Store(store.path)

  async def main():
    assert not await store.mark('a', most)
    assert not await store.mark('a', most)  # Another attempt of this run.
    assert not await other.mark('b', most)
    assert sorted(store.in_flight().values()) == [1, 1]
    assert await other.mark('a', most)
    assert not await other.mark('a', most)

  asyncio.run(main())
  assert list(store.in_flight().values()) == [2]
  spent = store.spent(PRICES)
  assert spent.lost == 3
  assert spent.tokens == teachers.Tokens(300, 600)
  other.close()


def test_what_failed_without_charge_leaves_nothing(store):
  async def main():
    await store.mark('a', teachers.Tokens(100, 200))
    await asyncio.wrap_future(store.unmark('a'))

  asyncio.run(main())
  assert store.in_flight() == {}
  assert store.spent(PRICES) == teachers.Spent(teachers.Tokens(), 0.0, 0)


def test_spending_is_that_of_all_runs(store):
  commit(store, cost=0.5)
  commit(store, fake_teacher.request('unpriced'), cost=None)

  async def lose():
    await store.mark('lost', teachers.Tokens(1000, 2000))
    await asyncio.wrap_future(store.unmark('lost', lost='timed out'))

  asyncio.run(lose())
  spent = store.spent(PRICES)
  assert spent.tokens == teachers.Tokens(2 * 11 + 1000, 2 * 22 + 2000)
  # The price of then, and of now for what had none.
  expected = 0.5 + (11 + 10 * 22) / 1e6 + (1000 + 10 * 2000) / 1e6
  assert spent.usd == pytest.approx(expected)
  assert store.spent().usd is None


def test_others_may_keep_tables_in_the_same_file(path, store):
  connection = database.connect(path)
  connection.execute('CREATE TABLE IF NOT EXISTS jobs (id TEXT)')
  connection.execute("INSERT INTO jobs VALUES ('x')")
  connection.close()
  commit(store)
  store.close()
  again = teachers.Store(path)
  assert len(again) == 1
  again.close()


def test_a_file_that_is_no_database_is_an_error(path):
  path.parent.mkdir()
  path.write_text('These are my notes, and I want them back.\n' * 100)
  before = path.read_bytes()
  with pytest.raises(teachers.StoreError, match=r'store\.db.*another path'):
    teachers.Store(path)
  assert path.read_bytes() == before


def test_a_database_of_something_else_is_left_alone(path):
  path.parent.mkdir()
  connection = sqlite3.connect(path)
  connection.execute('CREATE TABLE recipes (name)')
  connection.commit()
  connection.close()
  before = path.read_bytes()
  with pytest.raises(teachers.StoreError, match='not a store'):
    teachers.Store(path)
  assert path.read_bytes() == before


def test_a_store_of_another_version_is_an_error(path):
  teachers.Store(path).close()
  connection = sqlite3.connect(path)
  connection.execute('PRAGMA user_version=7')
  connection.close()
  with pytest.raises(teachers.StoreError, match='version 7, expected 1'):
    teachers.Store(path)


@pytest.mark.parametrize('damage', ['cut', 'overwritten'])
def test_a_damaged_store_is_an_error_that_says_what_to_do(path, damage):
  store = teachers.Store(path)
  for i in range(50):
    commit(store, fake_teacher.request(f'{i} ' * 500))
  store.close()
  size = os.path.getsize(path)
  with open(path, 'r+b') as file:
    if damage == 'cut':
      file.truncate(size // 2)
    else:
      file.seek(4096)
      file.write(b'\xa5' * (size - 8192))
  with pytest.raises(teachers.StoreError, match=r'store\.db.*damaged.*recover'):
    broken = teachers.Store(path)
    try:
      for i in range(50):
        broken.get(fake_teacher.request(f'{i} ' * 500).key)
      list(broken.rows())
      broken.check()
    finally:
      broken.close()


def test_a_bucket_is_no_place_for_a_store():
  with pytest.raises(teachers.StoreError, match=r'gs://b/store\.db.*local'):
    teachers.Store('gs://b/store.db')


def test_a_file_that_was_never_written_becomes_a_store(path):
  path.parent.mkdir()
  path.touch()
  store = teachers.Store(path)
  commit(store)
  assert len(store) == 1
  store.close()


def test_a_closed_store_says_so(store):
  store.close()
  with pytest.raises(RuntimeError, match='closed'):
    store.unmark('a')


def test_threads_that_wait_for_the_writer_get_their_own_results(store):
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    results = list(
      pool.map(lambda i: store._writer.submit(lambda c: i).result(), range(200))
    )
  assert results == list(range(200))
