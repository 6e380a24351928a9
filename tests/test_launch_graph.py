import dataclasses
import shlex
import shutil

import pytest
import small_stages

from launch import executor
from launch import graph


@pytest.fixture
def small(tmp_path):
  return small_stages.Small(tmp_path)


@pytest.fixture
def diamond(small):
  """a → b, a → c, (b, c) → d."""
  return [
    small.join('a', inputs={'n': 1}),
    small.join('b', ('a',)),
    small.join('c', ('a',)),
    small.join('d', ('b', 'c')),
  ]


def ran(small, stages):
  """The names of the stages that ran, in alphabetical order."""
  small.run(stages)
  return ''.join(sorted(small.ran()))


def change(stage, **fields):
  return dataclasses.replace(stage, **fields)


def test_every_stage_runs_once_and_after_what_it_needs(small, diamond):
  records = small.run(diamond)
  assert (small.workdir / 'd.txt').read_text() == 'abacd'
  order = small.ran()
  assert sorted(order) == list('abcd')
  assert order[0] == 'a'
  assert order[3] == 'd'
  assert list(records['b'].files) == ['b.txt']


def test_finished_stages_stand(small, diamond):
  first = small.run(diamond)
  small.ran()
  second = small.run(diamond)
  assert small.ran() == ''
  assert second == first
  assert small.output.getvalue().count(': stands') == 4


def test_a_changed_input_runs_its_stage_again(small, diamond):
  small.run(diamond)
  small.ran()
  diamond[2] = change(diamond[2], inputs={'n': 2})
  assert ran(small, diamond) == 'c'
  diamond[2] = change(diamond[2], flags=(*diamond[2].flags, '/dev/null'))
  assert ran(small, diamond) == 'c'
  diamond[2] = change(diamond[2], cores=2)
  assert ran(small, diamond) == 'c'


def test_changed_code_runs_its_stage_again(small, diamond):
  small.run(diamond)
  small.ran()
  path = small.modules / 'b.py'
  path.write_text(path.read_text() + '# The same, better explained.\n')
  assert ran(small, diamond) == 'b'


def test_what_needs_a_changed_output_runs_again(small, diamond):
  small.run(diamond)
  small.ran()
  small.module('b', small_stages.JOIN.format(value='B'))
  assert ran(small, diamond) == 'Bd'
  assert (small.workdir / 'd.txt').read_text() == 'aBacd'


def test_what_needs_an_output_that_came_out_the_same_stands(small, diamond):
  small.run(diamond)
  small.ran()
  diamond[0] = change(diamond[0], inputs={'n': 2})
  assert ran(small, diamond) == 'a'


@pytest.mark.parametrize('damage', ['change', 'cut', 'delete'])
def test_a_stage_whose_output_was_damaged_runs_again(small, diamond, damage):
  small.run(diamond)
  small.ran()
  path = small.workdir / 'b.txt'
  if damage == 'delete':
    path.unlink()
  else:
    path.write_text({'change': 'aX', 'cut': 'a'}[damage])
  assert ran(small, diamond) == 'b'
  assert path.read_text() == 'ab'


def test_dates_of_files_do_not_matter(small, diamond):
  small.run(diamond)
  small.ran()
  (small.workdir / 'a.txt').touch()
  (small.modules / 'a.py').touch()
  assert ran(small, diamond) == ''


def test_a_file_that_merely_exists_does_not_stand(small, diamond):
  (small.workdir / 'a.txt').write_text('a')
  small.run(diamond[:1])
  assert small.ran() == 'a'


def test_a_workdir_that_was_moved_still_stands(small, diamond, monkeypatch):
  small.run(diamond)
  small.ran()
  moved = small.root / 'elsewhere' / 'work'
  moved.parent.mkdir()
  shutil.move(small.workdir, moved)
  small.run(diamond, moved)
  monkeypatch.chdir(moved.parent)
  small.run(diamond, moved.relative_to(moved.parent))
  assert small.ran() == ''


def test_code_that_changes_while_its_stage_runs_runs_again(small):
  source = small_stages.JOIN.format(value='x')
  # Only at the first time, and after it was read.
  edit = '\nif ran:\n  p = pathlib.Path(__file__)\n  s = p.read_text()\n'
  edit += "  if '# ' + 'new' not in s:\n    p.write_text(s + '# ' + 'new')\n"
  small.module('x', source + edit)
  stages = [small.join('x')]
  assert ran(small, stages) == 'x'
  assert ran(small, stages) == 'x'
  assert ran(small, stages) == ''


def test_unfinished_work_of_other_inputs_is_set_aside_never_deleted(small):
  first = [small.count(inputs={'n': 1})]
  second = [small.count(inputs={'n': 2})]
  for stages in (first, second, first, second):
    small.run(stages)
    assert small.attempts() == ['from 0']
    mark = small.workdir / 'count' / 'mark'
    assert not mark.exists()
    mark.write_text(str(stages[0].inputs))
  aside = sorted((small.workdir / 'superseded').iterdir())
  assert sorted((p / 'mark').read_text() for p in aside) == [
    "{'n': 1}",
    "{'n': 1}",
    "{'n': 2}",
  ]
  assert small.output.getvalue().count('what was there is in') == 3
  assert str(aside[0]) in small.output.getvalue()


def test_finished_work_that_was_damaged_is_set_aside_and_made_again(small):
  stages = [small.count()]
  small.run(stages)
  (small.workdir / 'count' / 'state').write_text('3')
  small.run(stages)
  assert small.attempts() == ['from 0']
  (aside,) = (small.workdir / 'superseded').iterdir()
  assert (aside / 'state').read_text() == '3'


def test_work_begun_by_hand_is_continued(small):
  stages = [small.count()]
  (small.workdir / 'count').mkdir()
  (small.workdir / 'count' / 'state').write_text('2')
  small.run(stages)
  assert small.attempts() == ['from 2']


def test_a_stage_reports_what_its_result_file_says(small):
  record = small.run([small.count()])['count']
  assert record.result == {'updates': 4, 'tokens': 4000}
  assert ', 4 updates, 4,000 tokens' in small.output.getvalue()


def test_the_printed_command_can_be_pasted_into_a_shell(tmp_path):
  stage = graph.Stage('s', 'm', ('--a=it\'s "two" words', f'{graph.WORKDIR}/x'))
  command = stage.command(tmp_path / 'my runs')
  assert shlex.split(command) == [
    'python',
    '-m',
    'm',
    '--a=it\'s "two" words',
    f'{tmp_path}/my runs/x',
  ]


@pytest.mark.parametrize(
  ('stages', 'message'),
  [
    ([('a', {}), ('a', {})], "'a' and 'a': the same name twice"),
    ([('a/b', {}), ('a-b', {})], "'a-b' and 'a/b': the same name twice"),
    ([('a', {'needs': ('b',)}), ('b', {})], r"a: needs \['b'\], not listed"),
    ([('a', {'needs': ('a',)})], r"a: needs \['a'\], not listed"),
    ([('a', {'cores': 0})], 'a: cores: 0, expected >= 1'),
    (
      [('a', {'outputs': ('x',)}), ('b', {'outputs': ('x',)})],
      'b and a both make x',
    ),
  ],
)
def test_graphs_that_cannot_work_are_refused(tmp_path, stages, message):
  made = [graph.Stage(name, 'm', **fields) for name, fields in stages]
  with pytest.raises(ValueError, match=message):
    executor.Executor(made, tmp_path)
