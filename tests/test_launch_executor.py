import os
import signal

import pytest
import small_stages

from launch import display
from launch import executor
from launch import graph
from launch import jobs
from launch import lock

# Says that it has begun, and ends when `other` has begun too.
MEET = """
import os
import pathlib
import sys
import time

mine, other = map(pathlib.Path, sys.argv[1:3])
mine.write_text(' '.join(map(str, sorted(os.sched_getaffinity(0)))))
deadline = time.monotonic() + 30
while not other.exists():
  if time.monotonic() > deadline:
    sys.exit('nobody came')
  time.sleep(0.005)
"""

# Fails if any of the others is at work.
ALONE = """
import os
import pathlib
import sys

mine, *others = map(pathlib.Path, sys.argv[1:])
seen = [o.name for o in others if o.exists()]
mine.write_text(f'{seen} {sorted(os.sched_getaffinity(0))}')
"""


@pytest.fixture
def small(tmp_path):
  small = small_stages.Small(tmp_path)
  yield small
  small.close()


def ended(process):
  """Waits for the end of a process; returns its exit code."""
  return process.wait(timeout=small_stages.DEADLINE)


def meeting(small, mine, other, **fields):
  small.module(mine, MEET)
  return small.stage(
    mine,
    f'{graph.WORKDIR}/{mine}',
    f'{graph.WORKDIR}/{other}',
    outputs=(mine,),
    **fields,
  )


def test_independent_stages_run_at_the_same_time(small):
  small.run([meeting(small, 'left', 'right'), meeting(small, 'right', 'left')])
  cores = {(small.workdir / n).read_text() for n in ('left', 'right')}
  assert cores == {str(c) for c in small.cores}


def test_a_stage_that_wants_all_cores_gets_them_in_its_turn(small):
  # One core is free while `count` runs. Were `late` started on it, `all` would
  # have to wait for it too, and would see it.
  class LetGo(display.Display):
    looks = 0

    def draw(self, running):
      self.looks += 1
      if self.looks == 3:
        small.let_go()

  small.module('all', ALONE)
  small.module('late', ALONE)
  stages = [
    small.count(),
    small.stage(
      'all',
      f'{graph.WORKDIR}/all',
      f'{graph.WORKDIR}/late',
      cores=99,
      outputs=('all',),
    ),
    small.stage('late', f'{graph.WORKDIR}/late', outputs=('late',)),
  ]
  small.hold()
  small.run(stages, display=LetGo(3, small.output))
  cores = sorted(set(small.cores))
  assert (small.workdir / 'all').read_text() == f'[] {cores}'
  assert (small.workdir / 'late').exists()


def test_a_stage_that_fails_stops_the_others_which_save(small):
  small.hold()
  fail = 'import pathlib, sys\n'
  fail += f'while not pathlib.Path({str(small.workdir)!r}, "count/waits")'
  fail += '.exists(): pass\n'
  fail += 'for i in range(99): print(f"line {i}")\nsys.exit("no such thing")\n'
  small.module('fail', fail)
  stages = [
    small.count(),
    small.stage('fail', '--what=a b'),
    small.join('after', ('count',)),
  ]
  with pytest.raises(executor.StageFailedError) as error:
    small.run(stages)
  message = str(error.value)
  assert message.startswith('stage fail exited with code 1. The end of ')
  assert message.splitlines()[0].endswith('logs/fail.log:')
  assert 'line 79\n' not in message
  assert 'line 98\nno such thing\n' in message
  assert message.endswith("by hand:\n  python -m fail '--what=a b'")
  assert (small.workdir / 'count' / 'state').read_text() == '2'
  assert 'stopping count: ' in small.output.getvalue()
  assert small.ran() == ''

  small.module('fail', '')
  small.let_go()
  small.run([small.count(), small.stage('fail')])
  assert small.attempts() == ['from 0', 'from 2']


def test_the_tail_of_the_log_is_of_this_attempt(small):
  small.module('fail', 'import sys\nsys.exit("the first reason")')
  with pytest.raises(executor.StageFailedError, match='the first reason'):
    small.run([small.stage('fail')])
  small.module('fail', 'import sys\nsys.exit(3)')
  with pytest.raises(executor.StageFailedError, match='code 3') as error:
    small.run([small.stage('fail')])
  assert 'the first reason' not in str(error.value)
  assert 'the first reason' in (small.workdir / 'logs/fail.log').read_text()


@pytest.mark.parametrize(
  ('source', 'message'),
  [
    ('import os; os.kill(os.getpid(), 9)', r'was killed by signal 9 .*memory'),
    ('import os; os.kill(os.getpid(), 11)', r'was killed by signal 11 \(Seg'),
    (
      'import sys; sys.exit(75)',
      r'was stopped by SIGTERM after saving; run it',
    ),
    ('', r'exited with code 0, but its output .*: made no .*work/x'),
  ],
)
def test_it_is_said_how_a_stage_ended(small, source, message):
  small.module('x', source)
  with pytest.raises(executor.StageFailedError, match=message):
    small.run([small.stage('x', outputs=('x',))])


def test_a_stage_that_did_not_finish_does_not_stand(small):
  small.module(
    'x', 'import pathlib, sys\npathlib.Path(sys.argv[1]).touch()\nsys.exit(1)'
  )
  stages = [small.stage('x', f'{graph.WORKDIR}/x', outputs=('x',))]
  for _ in range(2):
    with pytest.raises(executor.StageFailedError):
      small.run(stages)


def test_a_failure_ends_the_launcher_with_an_exit_code(small):
  small.module('x', 'import sys; sys.exit("no such thing")')
  process = small.launch([small.stage('x')])
  assert ended(process) == 1
  assert 'no such thing' in small.said()
  assert 'To run it by hand:\n  python -m x' in small.said()


def interrupt(small, stages, *signals):
  """Launches, and sends signals when `count` waits; returns the exit code."""
  small.hold()
  process = small.launch(stages)
  waits = small.workdir / 'count' / 'waits'
  small_stages.wait_until(process, waits.exists)
  for number in signals:
    process.send_signal(number)
  code = ended(process)
  waits.unlink()
  small.let_go()
  return code


@pytest.mark.parametrize(
  ('number', 'code'),
  [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_an_interrupted_launcher_continues_where_it_was(small, number, code):
  stages = [small.join('a'), small.count(needs=('a',))]
  assert interrupt(small, stages, number) == code
  assert 'stopping count: they save first' in small.said()
  assert 'saved 2' in (small.workdir / 'logs' / 'count.log').read_text()
  ledger = graph.Ledger(small.workdir)
  spent = ledger.begun(stages[1]).seconds
  assert spent > 0
  records = small.run(stages)
  assert small.attempts() == ['from 0', 'from 2']
  assert small.ran() == 'a'
  assert 'count: continues after ' in small.output.getvalue()
  assert records['count'].seconds > spent
  assert ledger.record(stages[1]).seconds == records['count'].seconds


def test_time_is_counted_from_zero_for_other_inputs(small):
  assert interrupt(small, [small.count()], signal.SIGINT) == 130
  stages = [small.count(inputs={'n': 2})]
  small.run(stages)
  assert small.attempts() == ['from 0']
  assert 'continues' not in small.output.getvalue()
  assert (small.workdir / 'superseded').exists()


def test_an_interrupted_repair_of_damaged_work_is_continued(small):
  stages = [small.count()]
  small.run(stages)
  (small.workdir / 'count' / 'state').write_text('3')
  (small.workdir / 'count' / 'waits').unlink()
  assert interrupt(small, stages, signal.SIGINT) == 130
  small.run(stages)
  assert small.attempts() == ['from 0', 'from 2']
  assert len(list((small.workdir / 'superseded').iterdir())) == 1


def test_a_second_interrupt_kills_what_does_not_stop(small):
  stages = [small.count('stubborn')]
  small.hold()
  process = small.launch(stages)
  waits = small.workdir / 'count' / 'waits'
  small_stages.wait_until(process, waits.exists)
  process.send_signal(signal.SIGINT)
  small_stages.wait_until(process, lambda: 'stopping count' in small.said())
  process.send_signal(signal.SIGINT)
  assert ended(process) == 130
  with pytest.raises(ProcessLookupError):
    os.kill(int(waits.read_text()), 0)


def test_stages_of_a_killed_launcher_save_and_never_run_twice(small):
  stages = [small.count()]
  small.hold()
  process = small.launch(stages)
  waits = small.workdir / 'count' / 'waits'
  small_stages.wait_until(process, waits.exists)
  orphan = int(waits.read_text())
  os.kill(orphan, signal.SIGSTOP)  # It cannot save yet.
  process.kill()
  process.wait()

  again = small.launch(stages)
  small_stages.wait_until(again, lambda: 'waiting: another' in small.said())
  assert small.attempts() == ['from 0']
  os.kill(orphan, signal.SIGCONT)
  log = small.workdir / 'logs' / 'count.log'
  small_stages.wait_until(again, lambda: 'saved 2' in log.read_text())
  small.let_go()
  assert ended(again) == 0, small.said()
  assert small.attempts() == ['from 0', 'from 2']
  assert (small.workdir / 'count' / 'state').read_text() == '4'


def test_two_launchers_take_turns(small):
  stages = [small.count()]
  small.hold()
  first = small.launch(stages)
  waits = small.workdir / 'count' / 'waits'
  small_stages.wait_until(first, waits.exists)
  second = small.launch(stages)
  small_stages.wait_until(second, lambda: 'waiting: another' in small.said())
  small.let_go()
  assert (ended(first), ended(second)) == (0, 0)
  assert small.attempts() == ['from 0']
  assert 'count: stands' in small.said()


def test_a_free_workdir_is_held_without_a_word(tmp_path):
  said = []
  for _ in range(2):
    with lock.hold(tmp_path, said.append):
      pass
  assert said == []


def test_what_is_ignored_stays_ignored(small):
  # As under nohup, when the terminal closes.
  small.hold()
  process = small.launch([small.count()], hangup=signal.SIG_IGN)
  waits = small.workdir / 'count' / 'waits'
  small_stages.wait_until(process, waits.exists)
  process.send_signal(signal.SIGHUP)
  small.let_go()
  assert ended(process) == 0
  assert small.attempts() == ['from 0']


def test_environment_is_handed_to_stages(small):
  small.module(
    'x',
    'import os, pathlib, sys\n'
    'pathlib.Path(sys.argv[1]).write_text(os.environ["COLOUR"])',
  )
  stage = small.stage('x', f'{graph.WORKDIR}/x', outputs=('x',))
  executor.Executor(
    [stage],
    small.workdir,
    environment={'PYTHONPATH': str(small.modules), 'COLOUR': 'green'},
  ).run()
  assert (small.workdir / 'x').read_text() == 'green'


def test_time_is_noted_while_a_stage_runs(small, monkeypatch):
  # So that it counts even if the launcher is killed.
  monkeypatch.setattr(executor, '_NOTE_PERIOD', 0.0)
  source = 'import json, pathlib, sys, time\n'
  source += 'note = pathlib.Path(sys.argv[1])\n'
  source += 'deadline = time.monotonic() + 30\n'
  source += 'while json.loads(note.read_text())["seconds"] == 0:\n'
  source += '  time.sleep(0.005)\n  assert time.monotonic() < deadline\n'
  small.module('x', source)
  small.run([small.stage('x', f'{graph.WORKDIR}/stages/x.begun')])


def test_a_stage_that_does_not_stop_in_time_is_killed(small):
  small.hold()
  job = jobs.Job(
    small.count('stubborn'),
    workdir=small.workdir,
    cores=small.cores,
    environment={'PYTHONPATH': str(small.modules)},
  )
  waits = small.workdir / 'count' / 'waits'
  small_stages.wait_until(job._process, waits.exists)
  asked = []

  def hurry():
    asked.append(1)
    assert len(asked) < 10, 'has no patience left, and waits'
    return False

  try:
    jobs.stop([job], patience=0.0, hurry=hurry)
    assert job.poll() == -signal.SIGKILL
  finally:
    job.kill()
