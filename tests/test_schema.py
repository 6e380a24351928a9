import dataclasses
import json
import re
from typing import Any

import ml_collections
import pytest

from msm_jax import schema


@dataclasses.dataclass(frozen=True)
class Schedule:
  peak: float
  warmup: int = 0

  def __post_init__(self):
    if self.peak <= 0:
      raise ValueError(f'peak: {self.peak}, expected a positive number')


@dataclasses.dataclass(frozen=True)
class Phase:
  name: str
  mixture: dict[str, float]
  schedule: Schedule = Schedule(1.0)
  max_epochs: float | dict[str, float] | None = None
  clip: float | None = None
  final: bool = False


@dataclasses.dataclass(frozen=True)
class Run:
  phases: tuple[Phase, ...]
  grid: tuple[tuple[int, ...], ...] = ()
  span: tuple[int, str] | None = None
  extra: dict[str, Any] = dataclasses.field(default_factory=dict)


PHASE = {'name': 'sft', 'mixture': {'chats': 1.0}}


def run(**changes):
  return {'phases': [PHASE], **changes}


def phase(**changes):
  return run(phases=[PHASE, {**PHASE, **changes}])


@pytest.mark.parametrize('wrap', [dict, ml_collections.ConfigDict])
def test_nested_mappings_and_lists_become_dataclasses(wrap):
  raw = {
    'phases': (
      wrap(
        {
          'name': 'midtrain',
          'mixture': {'docs': 1, 'replay': 0.5},
          'schedule': {'peak': 2},
          'max_epochs': {'docs': 3},
        }
      ),
      wrap(
        {
          'name': 'sft',
          'mixture': {'chats': 1.0},
          'max_epochs': 4,
          'clip': None,
        }
      ),
    ),
    'grid': [[1, 2], [], (3,)],
    'span': [5, 'x'],
    'extra': {'a': {'b': [wrap({'c': 1})]}, 'd': None},
  }
  expected = Run(
    phases=(
      Phase(
        'midtrain',
        {'docs': 1.0, 'replay': 0.5},
        Schedule(2.0, 0),
        {'docs': 3.0},
      ),
      Phase('sft', {'chats': 1.0}, max_epochs=4.0),
    ),
    grid=((1, 2), (), (3,)),
    span=(5, 'x'),
    extra={'a': {'b': [{'c': 1}]}, 'd': None},
  )
  built = schema.structure(Run, wrap(raw))
  assert built == expected
  assert type(built.phases[0].mixture['docs']) is float
  assert type(built.extra['a']) is dict
  assert type(built.extra['a']['b'][0]) is dict


def test_a_dataclass_that_is_one_already_is_taken_as_it_is():
  built = Phase('sft', {'chats': 1.0})
  assert schema.structure(Run, {'phases': [built]}).phases == (built,)


ERRORS = {
  'a misspelt key': (
    phase(shedule={'peak': 1.0}),
    "config.phases[1].shedule: there is no such key (did you mean 'schedule'?)"
    '; known keys: name, mixture, schedule, max_epochs, clip, final',
  ),
  'a misspelt key further down': (
    phase(schedule={'peek': 1.0}),
    "config.phases[1].schedule.peek: there is no such key (did you mean 'peak'"
    '?); known keys: peak, warmup',
  ),
  'a key like no other': (
    run(zzz=1),
    'config.zzz: there is no such key; known keys: phases, grid, span, extra',
  ),
  'a key that is no string': (
    {**run(), 3: 1},
    'config.3: there is no such key; known keys: phases, grid, span, extra',
  ),
  'a missing key': (
    run(phases=[{'name': 'sft'}]),
    'config.phases[0].mixture: is missing, and has no default',
  ),
  'a string for a number': (
    phase(schedule={'peak': '1e-3'}),
    "config.phases[1].schedule.peak: '1e-3' is a str, expected float",
  ),
  'a fraction for a count': (
    phase(schedule={'peak': 1.0, 'warmup': 2.5}),
    'config.phases[1].schedule.warmup: 2.5 is a float, expected int',
  ),
  'a bool for a count': (
    phase(schedule={'peak': 1.0, 'warmup': True}),
    'config.phases[1].schedule.warmup: True is a bool, expected int',
  ),
  'a bool for a number': (
    phase(schedule={'peak': True}),
    'config.phases[1].schedule.peak: True is a bool, expected float',
  ),
  'a number for a bool': (
    phase(final=1),
    'config.phases[1].final: 1 is a int, expected bool',
  ),
  'a string for a mapping': (
    phase(schedule='cosine'),
    "config.phases[1].schedule: 'cosine' is a str, expected a mapping",
  ),
  'a list for a mapping': (
    phase(mixture=['chats']),
    "config.phases[1].mixture: ['chats'] is a list, expected a mapping",
  ),
  'a mapping for a list': (
    run(phases=PHASE),
    f'config.phases: {PHASE!r} is a dict, expected a list',
  ),
  'a string for a list': (
    run(grid='12'),
    "config.grid: '12' is a str, expected a list",
  ),
  'a wrong value in a mapping': (
    phase(mixture={'chats': 'half'}),
    "config.phases[1].mixture.chats: 'half' is a str, expected float",
  ),
  'a key of a mapping that is no string': (
    phase(mixture={3: 1.0}),
    'config.phases[1].mixture: the key 3 is not a string',
  ),
  'a wrong value in a list of lists': (
    run(grid=[[1], [2, 'x']]),
    "config.grid[1][1]: 'x' is a str, expected int",
  ),
  'a wrong length': (
    run(span=[5, 'x', 'y']),
    "config.span: [5, 'x', 'y'] has 3 entries, expected 2",
  ),
  'a wrong place in a fixed list': (
    run(span=['x', 5]),
    "config.span[0]: 'x' is a str, expected int",
  ),
  'none of several types': (
    phase(max_epochs='all'),
    "config.phases[1].max_epochs: 'all' is a str, expected float, a mapping or "
    'None',
  ),
  'a wrong value inside one of several types': (
    phase(max_epochs={'chats': 'all'}),
    "config.phases[1].max_epochs.chats: 'all' is a str, expected float",
  ),
  'a wrong optional value': (
    phase(clip='1'),
    "config.phases[1].clip: '1' is a str, expected float or None",
  ),
  'no value where one is needed': (
    phase(name=None),
    'config.phases[1].name: None is a NoneType, expected str',
  ),
  'a value that the dataclass refuses': (
    phase(schedule={'peak': -1}),
    'config.phases[1].schedule: peak: -1.0, expected a positive number',
  ),
  'no mapping at all': (
    [1],
    'config: [1] is a list, expected a mapping',
  ),
}


@pytest.mark.parametrize('what', ERRORS)
def test_errors_name_the_key_the_value_and_what_was_expected(what):
  raw, message = ERRORS[what]
  with pytest.raises(schema.ConfigError, match=f'^{re.escape(message)}$'):
    schema.structure(Run, raw)


def test_the_error_names_where_the_mapping_came_from():
  with pytest.raises(schema.ConfigError, match=r'^meta\.model\.peek: there is'):
    schema.structure(Schedule, {'peek': 1}, 'meta.model')


def test_only_near_names_are_suggested():
  assert schema.suggest('dosc', ['docs', 'chats']) == " (did you mean 'docs'?)"
  assert schema.suggest('replay', ['docs', 'chats']) == ''
  assert schema.suggest('x', []) == ''


def test_differences_name_every_leaf_that_differs():
  ours = {'a': [1, {'b': 2}], 'c': {'d': 1, 'e': 2}, 'f': [1, 2], 'same': [0]}
  theirs = {'a': [1, {'b': 3}], 'c': {'d': 1, 'g': 2}, 'f': [1], 'same': [0]}
  assert schema.differences(ours, theirs) == [
    ('config.a[1].b', 2, 3),
    ('config.c.e', 2, '(absent)'),
    ('config.c.g', '(absent)', 2),
    ('config.f', [1, 2], [1]),
  ]
  assert schema.differences(ours, ours) == []


def test_what_was_read_back_from_json_does_not_differ():
  ours = {'a': (1, [2, (3, 4)]), 'b': ()}
  assert schema.differences(ours, json.loads(json.dumps(ours))) == []
  assert schema.differences({'a': (1, 2)}, {'a': [1, 3]}) == [
    ('config.a[1]', 2, 3)
  ]


def test_the_argument_of_a_config_changes_defaults():
  defaults = {'seeds': '1', 'arm': ''}
  parse = schema.parse_argument
  assert parse('', defaults, 'x.py') == defaults
  assert parse('arm=msm,seeds=4', defaults, 'x.py') == {
    'seeds': '4',
    'arm': 'msm',
  }
  assert parse('arm=a=b', defaults, 'x.py')['arm'] == 'a=b'
  assert defaults == {'seeds': '1', 'arm': ''}


@pytest.mark.parametrize(
  ('wrong', 'said'),
  [
    ('seed=4', "x.py: 'seed=…' is not"),
    ('seeds', 'x.py: argument 1 is not'),
    ('seeds=1,seed=4', "x.py: 'seed=…' is not"),
    # A value with a comma: what follows it may be the rest of a credential.
    ('arm=sk-4,sk-5', 'x.py: argument 2 is not'),
  ],
)
def test_an_argument_that_does_not_exist_is_named_without_its_value(
  wrong, said
):
  with pytest.raises(schema.ConfigError, match=r'KEY=VALUE.* seeds, arm') as e:
    schema.parse_argument(wrong, {'seeds': '1', 'arm': ''}, 'x.py')
  assert str(e.value).startswith(said)
  assert ("(did you mean 'seeds'?)" in str(e.value)) == ('seed' in wrong)
  assert '4' not in str(e.value) and 'sk-' not in str(e.value)


@pytest.mark.parametrize(
  ('raw', 'expected'),
  [
    ('sk-1', 'config: is a str, expected a mapping'),
    (run(extra='sk-1'), 'config.extra: is a str, expected a mapping'),
    (
      phase(clip=['sk-1']),
      'config.phases[1].clip: is a list, expected float or None',
    ),
    (
      phase(mixture={'a': 'sk-1'}),
      'config.phases[1].mixture.a: is a str, expected float',
    ),
    (run(span=['sk-1']), 'config.span: has 1 entries, expected 2'),
    (run(grid=[['sk-1']]), 'config.grid[0][0]: is a str, expected int'),
    # Nothing is lost where no text can be one.
    (
      phase(schedule={'peak': True}),
      'config.phases[1].schedule.peak: True is a bool, expected float',
    ),
  ],
)
def test_texts_of_the_wrong_type_are_not_quoted_where_they_may_be_secret(
  raw, expected
):
  with pytest.raises(schema.ConfigError) as e:
    schema.structure(Run, raw, quote=False)
  assert str(e.value) == expected
