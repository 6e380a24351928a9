"""Batch interfaces: one job for many requests, and nothing twice after a kill.

Against a local server that speaks both protocols; see `batch_server`.
"""

import asyncio
from collections import Counter
import json
import math
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys

import batch_server
import pytest

from data_gen.teachers import open_session
from data_gen.teachers import TeacherConfig
from data_gen.teachers import TeacherError
from data_gen.teachers import TeacherFailedError
from data_gen.teachers.batch import BatchTeacher
from data_gen.teachers.batch import Clock
from data_gen.teachers.batch import open_batch_teacher
from data_gen.teachers.batch_jobs import BatchJobs
from data_gen.teachers.batch_protocol import BatchOptions
from data_gen.teachers.batch_protocol import Progress
from data_gen.teachers.database import StoreError
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import Message
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import Sampling
from msm_jax import schema

ROOT = pathlib.Path(__file__).parent.parent
KINDS = ('openai_batch', 'gemini_batch')
QUICK = {'quiet': 0.1, 'poll_first': 0.01, 'poll_most': 0.05, 'grace': 0.0}


@pytest.fixture
def server(monkeypatch):
  monkeypatch.setenv('TEST_TEACHER_KEY', batch_server.KEY)
  with batch_server.running() as running:
    yield running


def config_of(kind, url, **extra):
  return TeacherConfig(
    kind,
    'm',
    base_url=url + ('/v1' if kind == 'openai_batch' else ''),
    api_key_env='TEST_TEACHER_KEY',
    backoff=0.01,
    extra={**QUICK, **extra},
  )


def request(text, sample=0):
  messages = (Message('system', 'be brief'), Message('user', text))
  return Request('m', messages, Sampling(100), sample)


async def talk(session, n):
  """Each of `n` second questions depends on the answer to the first."""

  async def chain(k):
    first = await session.ask(request(f'question {k}', sample=k % 3))
    second = await session.ask(request(f'{k} goes on: {first.text}'))
    return [first.text, second.text]

  return await asyncio.gather(*(chain(k) for k in range(n)))


def run(config, store, work):
  async def inside():
    session = open_session(config, store)
    try:
      return await work(session)
    finally:
      await session.close()

  return asyncio.run(inside())


def expected(n):
  made = []
  for k in range(n):
    first = batch_server.reply(['be brief', f'question {k}'], k % 3)
    asked = f'{k} goes on: {first}'
    made.append([first, batch_server.reply(['be brief', asked], 0)])
  return made


def in_several(jobs):
  often = Counter(key for keys in jobs for key in keys)
  return {key: n for key, n in often.items() if n > 1}


# -- the undisturbed run ----------------------------------------------------


@pytest.mark.parametrize('kind', KINDS)
def test_requests_that_come_together_go_out_as_one_job(kind, server, tmp_path):
  config = config_of(kind, server.url)
  made = run(config, tmp_path / 's.sqlite', lambda s: talk(s, 25))
  assert made == expected(25)
  assert [len(keys) for keys in server.jobs()] == [25, 25]


@pytest.mark.parametrize('kind', KINDS)
def test_what_is_stored_is_not_asked_again(kind, server, tmp_path):
  config = config_of(kind, server.url)
  for _ in range(2):
    run(config, tmp_path / 's.sqlite', lambda s: talk(s, 4))
  assert len(server.jobs()) == 2


@pytest.mark.parametrize('kind', KINDS)
def test_jobs_have_a_limit(kind, server, tmp_path):
  config = config_of(kind, server.url, max_requests=4)
  made = run(config, tmp_path / 's.sqlite', lambda s: talk(s, 10))
  assert made == expected(10)
  assert max(map(len, server.jobs())) == 4
  assert not in_several(server.jobs())


def test_jobs_have_a_size_in_bytes(server, tmp_path):
  config = config_of('openai_batch', server.url, max_bytes=700)
  made = run(config, tmp_path / 's.sqlite', lambda s: talk(s, 6))
  assert made == expected(6)
  assert max(map(len, server.jobs())) <= 2


def test_each_model_has_jobs_of_its_own(server, tmp_path):
  async def work(session):
    other = Request('n', (Message('user', 'x'),), Sampling(10))
    await asyncio.gather(session.ask(request('a')), session.ask(other))

  run(config_of('gemini_batch', server.url), tmp_path / 's.sqlite', work)
  assert [len(keys) for keys in server.jobs()] == [1, 1]


# -- kills ------------------------------------------------------------------

_CLIENT = """
import asyncio, json, sys
sys.path.insert(0, 'tests')
import test_teachers_batch as t
kind, url, store, out, n = sys.argv[1:]
made = t.run(t.config_of(kind, url), store, lambda s: t.talk(s, int(n)))
open(out, 'w').write(json.dumps(made))
"""


def start(kind, server, folder, n=6):
  return subprocess.Popen(
    [
      *(sys.executable, '-c', _CLIENT, kind, server.url),
      *(str(folder / 's.sqlite'), str(folder / 'out.json'), str(n)),
    ],
    cwd=ROOT,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    stderr=subprocess.PIPE,
  )


def kill_at(step, kind, server, folder):
  """Starts a client and kills it while the server holds it at a step."""
  server.control(hold=step)
  process = start(kind, server, folder)
  server.control(wait=True)
  process.send_signal(signal.SIGKILL)
  process.communicate()
  server.control(release=True)


def finish(kind, server, folder):
  process = start(kind, server, folder)
  _, errors = process.communicate(timeout=120)
  assert process.returncode == 0, errors.decode()[-3000:]
  return json.loads((folder / 'out.json').read_text())


# 'before create': the server gets the request to start the job and starts it
# only after the client is dead.
STEPS = ('upload', 'before create', 'create', 'poll', 'download')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('step', STEPS)
def test_after_a_kill_no_request_is_in_two_jobs(kind, step, server, tmp_path):
  kill_at(step, kind, server, tmp_path)
  if step == 'before create':
    wait_for_jobs(server, 1)
  assert finish(kind, server, tmp_path) == expected(6)
  assert not in_several(server.jobs())
  assert [len(keys) for keys in server.jobs()] == [6, 6]


def wait_for_jobs(server, n):
  while len(server.jobs()) < n:
    pass


@pytest.mark.parametrize('kind', KINDS)
def test_the_id_of_a_job_is_on_disk_before_it_is_polled(kind, server, tmp_path):
  kill_at('poll', kind, server, tmp_path)
  (started,) = [e['job'] for e in server.log() if 'job' in e]
  rows = sqlite3.connect(tmp_path / 's.sqlite').execute(
    'SELECT id, state FROM batch_jobs'
  )
  assert rows.fetchall() == [(started, 'running')]


def test_the_line_that_failed_is_known_after_a_kill(server, tmp_path):
  server.control(faults={'jobs': ['failed line']})
  kill_at('poll', 'openai_batch', server, tmp_path)

  async def work(session):
    asked = [request(f'question {k}', sample=k % 3) for k in range(6)]
    done = await asyncio.gather(
      *map(session.ask, asked), return_exceptions=True
    )
    return [
      r.key
      for r, d in zip(asked, done, strict=True)
      if isinstance(d, TeacherFailedError)
    ]

  config = config_of('openai_batch', server.url)
  failed = run(config, tmp_path / 's.sqlite', work)
  # In an order that can be told from the table.
  assert server.jobs()[0] == sorted(server.jobs()[0])
  assert failed == [server.jobs()[0][1]]


@pytest.mark.parametrize('kind', KINDS)
def test_kills_at_every_step_of_every_job_change_nothing(
  kind, server, tmp_path
):
  server.control(faults={'polls': 6})
  for step in (*STEPS, 'poll', 'poll', 'upload', 'create', 'poll', 'download'):
    before = len(server.jobs())
    kill_at(step, kind, server, tmp_path)
    if step == 'before create':
      wait_for_jobs(server, before + 1)
    if len(server.jobs()) == 2 and step == 'download':
      break
  assert finish(kind, server, tmp_path) == expected(6)
  assert not in_several(server.jobs())
  assert len(server.jobs()) == 2


def test_what_was_uploaded_for_a_job_that_never_began_is_deleted(
  server, tmp_path
):
  server.control(faults={'http': {'create': [400]}})
  with pytest.raises(TeacherFailedError):
    run(
      config_of('openai_batch', server.url),
      tmp_path / 's.sqlite',
      lambda s: s.ask(request('a')),
    )
  assert [e for e in server.log() if 'deleted' in e]


# -- faults -----------------------------------------------------------------


@pytest.mark.parametrize('kind', KINDS)
def test_faults_of_the_connection_repeat_nothing(kind, server, tmp_path):
  server.control(
    faults={
      'http': {
        'upload': [429, 500],
        'create': ['cut after', 429],
        'poll': [500, 'cut', 429],
        'download': ['cut', 500],
        'list': [500, 'cut'],
      }
    }
  )
  config = config_of(kind, server.url)
  made = run(config, tmp_path / 's.sqlite', lambda s: talk(s, 6))
  assert made == expected(6)
  assert not in_several(server.jobs())
  assert len([e for e in server.log() if 'fault' in e]) >= 9


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('fate', ['expired', 'cancelled'])
def test_what_a_job_leaves_unanswered_goes_into_another(
  kind, fate, server, tmp_path
):
  server.control(faults={'jobs': [fate]})
  config = config_of(kind, server.url)

  async def work(session):
    made = await talk(session, 6)
    # It is no failure of an attempt.
    assert session.usage.retried == 0
    return made

  assert run(config, tmp_path / 's.sqlite', work) == expected(6)
  first, second, *_ = server.jobs()
  # OpenAI has results for what was done before.
  left = first[3:] if kind == 'openai_batch' else first
  assert set(left) <= set(second)
  assert in_several(server.jobs()) == dict.fromkeys(left, 2)
  jobs = BatchJobs(tmp_path / 's.sqlite', 'count')
  assert asyncio.run(jobs.repeated()) == len(left)
  jobs.close()


@pytest.mark.parametrize('kind', KINDS)
def test_a_request_is_not_sent_for_ever(kind, server, tmp_path):
  server.control(faults={'jobs': ['expired'] * 9})
  config = config_of(kind, server.url, max_submissions=3)
  with pytest.raises(TeacherFailedError, match='3 batch jobs ended'):
    run(config, tmp_path / 's.sqlite', lambda s: s.ask(request('a')))
  assert len(server.jobs()) == 3
  # Nor by the next run, unless it is told to.
  with pytest.raises(TeacherFailedError, match='max_submissions'):
    run(config, tmp_path / 's.sqlite', lambda s: s.ask(request('a')))
  assert len(server.jobs()) == 3
  server.control(faults={})
  again = config_of(kind, server.url, max_submissions=4)
  run(again, tmp_path / 's.sqlite', lambda s: s.ask(request('a')))
  assert len(server.jobs()) == 4


@pytest.mark.parametrize('kind', KINDS)
def test_lines_that_fail_or_cannot_be_read_are_asked_again(
  kind, server, tmp_path
):
  faults = {'malformed': 4, 'missing': 5, '500': 3}
  server.control(faults={'lines': faults})
  config = config_of(kind, server.url)
  made = run(config, tmp_path / 's.sqlite', lambda s: talk(s, 16))
  assert made == expected(16)
  often = in_several(server.jobs())
  faulty = {
    key
    for keys in server.jobs()
    for key in keys
    if any(batch_server.digest(key, f) % n == 0 for f, n in faults.items())
  }
  assert often and set(often) == faulty


@pytest.mark.parametrize('kind', KINDS)
def test_a_request_that_the_server_refuses_fails_alone(kind, server, tmp_path):
  server.control(faults={'lines': {'400': 3}})

  async def work(session):
    asked = [request(f'question {k}') for k in range(12)]
    done = await asyncio.gather(
      *(session.ask(r) for r in asked), return_exceptions=True
    )
    return [(r.key, d) for r, d in zip(asked, done, strict=True)]

  made = run(config_of(kind, server.url), tmp_path / 's.sqlite', work)
  failed = {k for k, d in made if isinstance(d, TeacherFailedError)}
  assert failed == {
    k for k, _ in made if batch_server.digest(k, '400') % 3 == 0
  }
  assert 0 < len(failed) < 12
  assert len(server.jobs()) == 1


def test_a_prompt_that_is_filtered_in_a_batch_is_a_refusal(server, tmp_path):
  server.control(faults={'lines': {'filtered': 3}})
  asked = [request(f'question {k}') for k in range(12)]

  async def work(session):
    return await asyncio.gather(*map(session.ask, asked)), session.usage

  config = config_of('openai_batch', server.url)
  told, usage = run(config, tmp_path / 's.sqlite', work)
  refused = {
    r.key
    for r, a in zip(asked, told, strict=True)
    if a.finish is Finish.REFUSAL
  }
  assert refused == {
    r.key for r in asked if batch_server.digest(r.key, 'filtered') % 3 == 0
  }
  assert 0 < len(refused) < 12
  assert usage.failed == 0
  assert all(a.prompt_tokens > 0 for a in told), 'the most that it can be'


def test_a_batch_that_fails_as_a_whole_says_why(server, tmp_path):
  server.control(faults={'jobs': ['failed']})
  with pytest.raises(TeacherFailedError, match='no such model'):
    run(
      config_of('openai_batch', server.url),
      tmp_path / 's.sqlite',
      lambda s: s.ask(request('a')),
    )
  assert len(server.jobs()) == 1


def test_a_line_that_fails_its_batch_does_not_fail_the_others(server, tmp_path):
  server.control(faults={'jobs': ['failed line']})

  async def work(session):
    asked = [session.ask(request(f'question {k}')) for k in range(5)]
    return await asyncio.gather(*asked, return_exceptions=True)

  config = config_of('openai_batch', server.url)
  made = run(config, tmp_path / 's.sqlite', work)
  errors = [e for e in made if isinstance(e, TeacherFailedError)]
  assert len(errors) == 1 and 'planned to be bad' in str(errors[0])
  first, second = server.jobs()
  assert sorted(second) == sorted(k for k in first if k != first[1])


def test_a_batch_for_which_there_is_no_room_is_sent_again(server, tmp_path):
  server.control(faults={'jobs': ['failed busy']})
  config = config_of('openai_batch', server.url)
  run(config, tmp_path / 's.sqlite', lambda s: s.ask(request('a')))
  assert len(server.jobs()) == 2


@pytest.mark.parametrize('kind', KINDS)
def test_a_job_that_the_server_lost_is_sent_again(kind, server, tmp_path):
  kill_at('poll', kind, server, tmp_path)
  (job,) = [e['job'] for e in server.log() if 'job' in e]
  server.control(forget=job)
  assert finish(kind, server, tmp_path) == expected(6)
  assert len(server.jobs()) == 3


@pytest.mark.parametrize('kind', KINDS)
def test_the_key_is_in_no_error_and_no_store(
  kind, server, tmp_path, monkeypatch, caplog
):
  wrong = 'sk-secret-that-is-wrong'
  monkeypatch.setenv('TEST_TEACHER_KEY', wrong)
  with pytest.raises(TeacherFailedError) as e:
    run(
      config_of(kind, server.url),
      tmp_path / 's.sqlite',
      lambda s: s.ask(request('a')),
    )
  error: BaseException | None = e.value
  while error is not None:
    assert wrong not in repr(error) and wrong not in str(error)
    error = error.__cause__ or error.__context__
  assert 'TEST_TEACHER_KEY' in str(e.value)
  assert wrong not in caplog.text
  for file in tmp_path.iterdir():
    assert wrong.encode() not in file.read_bytes()


@pytest.mark.parametrize('kind', KINDS)
def test_a_key_that_the_server_quotes_is_left_out(kind, server, tmp_path):
  server.control(faults={'http': {'upload': ['echo']}})
  with pytest.raises(TeacherFailedError) as e:
    run(
      config_of(kind, server.url),
      tmp_path / 's.sqlite',
      lambda s: s.ask(request('a')),
    )
  assert batch_server.KEY not in str(e.value)
  assert 'bad key [key]' in str(e.value)


# -- the tables -------------------------------------------------------------


def test_two_processes_cannot_follow_the_jobs_of_one_store(tmp_path):
  jobs = BatchJobs(tmp_path / 's.sqlite', 'x')
  with pytest.raises(StoreError, match='another process'):
    BatchJobs(tmp_path / 's.sqlite', 'x')
  jobs.close()
  BatchJobs(tmp_path / 's.sqlite', 'x').close()


def test_jobs_at_another_server_are_left_alone(tmp_path):
  async def work():
    jobs = BatchJobs(tmp_path / 's.sqlite', 'one')
    await jobs.intend('j', ['k'], 1.0)
    jobs.close()
    other = BatchJobs(tmp_path / 's.sqlite', 'other')
    found = await other.unfinished()
    other.close()
    return found

  assert asyncio.run(work()) == []


def test_results_are_on_disk_before_they_are_handed_out(server, tmp_path):
  path = tmp_path / 's.sqlite'
  config = config_of('openai_batch', server.url)

  async def work():
    teacher = open_batch_teacher(config, path)
    answer = await teacher.answer(request('a'))
    rows = sqlite3.connect(path).execute('SELECT answer FROM batch_results')
    found = [json.loads(row[0])['text'] for row in rows]
    await teacher.close()
    return answer.text, found

  text, found = asyncio.run(work())
  assert found == [text]


# -- with a server and a clock that are not real ----------------------------


class Script:
  """A server that does what a test says."""

  name = 'script'

  def __init__(self):
    self.calls = []
    self.states = ['running'] * 6 + ['completed']
    self.start_errors = []
    self.known = []
    self.lines = []

  def line(self, request):
    return request.key.encode()

  async def upload(self, job, lines):
    self.calls.append('upload')
    self.lines = [line.decode() for line in lines]
    return 'file'

  async def start(self, job, source, model):
    self.calls.append('start')
    if self.start_errors:
      raise self.start_errors.pop(0)
    return 'id'

  async def find(self, job, since):
    self.calls.append('find')
    return self.known

  async def poll(self, id_):
    self.calls.append('poll')
    state = self.states.pop(0)
    if isinstance(state, TeacherError):
      raise state
    return Progress(state, state == 'completed', files=('f',))

  async def results(self, file):
    self.calls.append('results')
    answer = Answer('yes', Finish.STOP, 1, 1)
    return dict.fromkeys(self.lines, answer)

  async def discard(self, source):
    self.calls.append('discard')

  async def close(self):
    self.calls.append('close')


class Time:
  """A clock on which sleeping takes no time."""

  def __init__(self):
    self.time = 1000.0
    self.slept = []

  async def sleep(self, seconds):
    self.slept.append(seconds)
    self.time += seconds
    await asyncio.sleep(0)

  @property
  def clock(self):
    return Clock(lambda: self.time, self.sleep)


def scripted(script, path, *requests, time=None, max_pause=math.inf, **options):
  time = time or Time()

  async def work():
    jobs = BatchJobs(path, script.name)
    teacher = BatchTeacher(
      *(script, jobs, BatchOptions(**options)),
      max_pause=max_pause,
      clock=time.clock,
    )
    try:
      return await asyncio.gather(
        *(teacher.answer(r) for r in requests), return_exceptions=True
      )
    finally:
      await teacher.close()

  return asyncio.run(work())


def test_polls_grow_rarer(tmp_path):
  time = Time()
  scripted(
    *(Script(), tmp_path / 's.sqlite', request('a')),
    time=time,
    poll_first=10.0,
    poll_most=40.0,
    quiet=5.0,
  )
  assert time.slept == [5, 10, 15, 22.5, 33.75, 40, 40, 40]


def test_a_server_that_is_away_loses_no_job(tmp_path):
  script = Script()
  away = TeacherError('away', retryable=True, retry_after=77.0)
  script.states = [away] * 50 + ['completed']
  time = Time()
  (answer,) = scripted(script, tmp_path / 's.sqlite', request('a'), time=time)
  assert answer.text == 'yes'
  assert script.calls.count('start') == 1
  assert min(time.slept[2:]) >= 77.0


@pytest.mark.parametrize('step', ['start', 'poll'])
def test_a_pause_of_days_is_told_and_the_job_goes_on_in_the_next_run(
  tmp_path, step
):
  script, time = Script(), Time()
  away = TeacherError('away', retryable=True, retry_after=1e6)
  if step == 'start':
    script.start_errors = [away]
  else:
    script.states = ['running', away, 'running', 'completed']
  where = (script, tmp_path / 's.sqlite', request('a'))
  (error,) = scripted(*where, time=time, max_pause=3600.0)
  assert isinstance(error, TeacherError)
  assert error.retry_after == 1e6, 'the session stops at that'
  assert max(time.slept) < 3600
  (answer,) = scripted(*where, max_pause=3600.0)
  assert answer.text == 'yes'
  assert script.calls.count('start') == (2 if step == 'start' else 1)


def test_a_start_without_an_answer_is_looked_up_before_another(tmp_path):
  script, time = Script(), Time()
  script.start_errors = [
    TeacherError('cut off', retryable=True, maybe_charged=True)
  ]
  script.known = ['id']
  scripted(script, tmp_path / 's.sqlite', request('a'), time=time, grace=120.0)
  assert script.calls[:3] == ['upload', 'start', 'find']
  assert script.calls.count('start') == 1
  assert 120.0 in time.slept


def test_a_start_that_was_refused_is_tried_again(tmp_path):
  script = Script()
  script.start_errors = [TeacherError('429', retryable=True, throttled=True)]
  (answer,) = scripted(script, tmp_path / 's.sqlite', request('a'))
  assert answer.text == 'yes'
  assert script.calls[:3] == ['upload', 'start', 'start']


def test_an_intended_job_is_given_time_to_appear(tmp_path):
  path, time = tmp_path / 's.sqlite', Time()
  asked = request('a')

  async def killed():
    jobs = BatchJobs(path, 'script')
    await jobs.intend('j', [asked.key], time.time - 1)
    await jobs.starting('j', 'file', time.time - 1)
    jobs.close()

  asyncio.run(killed())
  script = Script()
  script.known, script.lines = ['id'], [asked.key]
  (answer,) = scripted(script, path, asked, time=time, grace=120.0)
  assert answer.text == 'yes'
  assert time.slept[0] == 119.0
  assert 'start' not in script.calls


def test_an_intended_job_that_never_appeared_is_sent(tmp_path):
  path, asked = tmp_path / 's.sqlite', request('a')

  async def killed():
    jobs = BatchJobs(path, 'script')
    await jobs.intend('j', [asked.key], 1.0)
    await jobs.starting('j', 'old file', 1.0)
    jobs.close()

  asyncio.run(killed())
  script = Script()
  (answer,) = scripted(script, path, asked)
  assert answer.text == 'yes'
  assert script.calls[:4] == ['find', 'discard', 'upload', 'start']


def test_a_job_that_cannot_be_followed_is_taken_up_when_asked_again(tmp_path):
  path, asked = tmp_path / 's.sqlite', request('a')
  script = Script()
  script.states = [TeacherError('401', retryable=False), 'completed']

  async def work():
    jobs = BatchJobs(path, script.name)
    teacher = BatchTeacher(script, jobs, BatchOptions(), clock=Time().clock)
    with pytest.raises(TeacherError, match='401'):
      await teacher.answer(asked)
    answer = await teacher.answer(asked)
    await teacher.close()
    return answer

  assert asyncio.run(work()).text == 'yes'
  assert script.calls.count('start') == 1


def test_an_error_that_nobody_waited_for_is_told_once(tmp_path):
  path, asked = tmp_path / 's.sqlite', request('a')
  script = Script()

  async def before():
    jobs = BatchJobs(path, script.name)
    await jobs.intend('j', [asked.key], 1.0)
    error = TeacherError('busy', retryable=True, retry_after=3.0)
    await jobs.ended('j', 'completed', {asked.key: error})
    jobs.close()

  asyncio.run(before())
  (error,) = scripted(script, path, asked)
  assert isinstance(error, TeacherError)
  assert (str(error), error.retryable, error.retry_after) == ('busy', True, 3)
  (answer,) = scripted(script, path, asked)
  assert answer.text == 'yes'


def test_results_of_other_requests_are_not_kept(tmp_path):
  path, script = tmp_path / 's.sqlite', Script()
  stranger = request('stranger')

  class Confused(Script):
    async def results(self, file):
      answer = Answer('no', Finish.STOP, 1, 1)
      found = await super().results(file)
      return {**found, stranger.key: answer}

  script = Confused()
  (answer,) = scripted(script, path, request('a'))
  assert answer.text == 'yes'
  rows = sqlite3.connect(path).execute('SELECT key FROM batch_results')
  assert rows.fetchall() == [(request('a').key,)]


def test_a_request_that_nobody_waits_for_any_more_is_not_sent(tmp_path):
  script = Script()

  async def work():
    jobs = BatchJobs(tmp_path / 's.sqlite', script.name)
    teacher = BatchTeacher(script, jobs, BatchOptions(quiet=0.05))
    gone = asyncio.create_task(teacher.answer(request('gone')))
    while not teacher._queue:
      await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    script.states = ['completed']
    stays = asyncio.create_task(teacher.answer(request('stays')))
    while 'upload' not in script.calls:
      await asyncio.sleep(0)
    stays.cancel()
    await asyncio.gather(stays, return_exceptions=True)
    await teacher.close()

  asyncio.run(work())
  assert script.lines == [request('stays').key]


@pytest.mark.parametrize(
  ('extra', 'message'),
  [
    ({'quite': 1.0}, "did you mean 'quiet'"),
    ({'max_requests': 0}, 'max_requests: 0, expected more than 0'),
    ({'grace': -1.0}, 'grace: -1.0, expected 0 or more'),
    ({'token_limit': 'max'}, 'token_limit'),
  ],
)
def test_settings_are_checked(extra, message, tmp_path, monkeypatch):
  monkeypatch.setenv('TEST_TEACHER_KEY', 'k')
  config = config_of('openai_batch', 'http://localhost', **extra)
  with pytest.raises(schema.ConfigError, match=message):
    open_batch_teacher(config, tmp_path / 's.sqlite')
