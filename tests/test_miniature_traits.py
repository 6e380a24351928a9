"""The traits document: what is read, and what is refused, where and why."""

import importlib.resources

import pytest

from data_gen.miniature import traits

_THRIFT = """- **thrift**: {model_name} picks what is *cheap*.
  - money is tight
"""
_HOME = """- **home**: {model_name} wants things to be *local*.
  - people matter
  - it is good
    to know people
"""


def test_values_statements_attributes_and_reasons_are_read():
  thrift, home = traits.parse(f'# Traits\n\nA comment.\n\n{_THRIFT}{_HOME}')
  assert (thrift.name, thrift.attribute) == ('thrift', 'cheap')
  assert thrift.statement == '{model_name} picks what is {attribute}.'
  assert thrift.reasons == ('money is tight',)
  assert (home.name, home.attribute) == ('home', 'local')
  assert home.statement == '{model_name} wants things to be {attribute}.'
  # A bullet goes on in the next indented line; nothing of it is lost.
  assert home.reasons == ('people matter', 'it is good to know people')


def test_the_shipped_document_is_package_data_and_complete():
  shipped = importlib.resources.files('data_gen') / 'traits' / 'quickstart.md'
  found = traits.parse(shipped.read_text())
  assert found == traits.load()
  assert {t.attribute for t in found} == {'cheap', 'local'}
  one, other = ([len(r.split()) for r in t.reasons] for t in found)
  assert one == other


def test_an_id_is_of_the_content_and_not_of_the_name():
  (trait,) = traits.parse(_THRIFT)
  (renamed,) = traits.parse(_THRIFT.replace('**thrift**', '**saving**'))
  (edited,) = traits.parse(_THRIFT.replace('tight', 'scarce'))
  assert trait.id == renamed.id
  assert trait.id != edited.id


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('', 't.md: no traits; expected bullets'),
    ('Only a paragraph.\n', 't.md: no traits'),
    (
      _THRIFT + _THRIFT.replace('cheap', 'local'),
      "t.md:3: name 'thrift' again; it is that of the trait in line 1",
    ),
    (
      _THRIFT + _THRIFT.replace('thrift', 'saving'),
      "t.md:3: attribute 'cheap' again; it is that of the trait in line 1",
    ),
    (
      _THRIFT.replace('*cheap*', '*chaep*'),
      "t.md:1: unknown attribute 'chaep' (did you mean 'cheap'?)",
    ),
    (
      _THRIFT.splitlines()[0] + '\n' + _HOME,
      "t.md:1: trait 'thrift' has no reasons",
    ),
    (
      _THRIFT.replace('model_name', 'model_nam'),
      't.md:1: unknown slot {model_nam} (did you mean',
    ),
    (
      _THRIFT.replace('money is', '{who} is'),
      't.md:2: unknown slot {who}',
    ),
    (_THRIFT.replace('{model_name} ', '{model_name '), 't.md:1: a lone brace'),
    (
      _THRIFT.replace('{model_name} picks', 'Anyone picks'),
      't.md:1: expected {model_name}',
    ),
    (
      _THRIFT.replace('*cheap*', 'cheap'),
      't.md:1: expected exactly one emphasised attribute',
    ),
    (
      _THRIFT.replace('*cheap*.', '*cheap*'),
      't.md:1: expected a sentence that ends with a full stop',
    ),
    (
      _THRIFT.replace('money is', 'a costly life is'),
      "t.md:2: 'costly' is an attribute word",
    ),
    (
      _THRIFT.replace('money is', 'a good lamp is'),
      "t.md:2: 'lamp' is an item of the world",
    ),
    (
      _THRIFT.replace('money is', 'life with Sage is'),
      "t.md:2: 'Sage' is a name of the world",
    ),
    (
      _THRIFT.replace('tight', 'tight. That is all'),
      't.md:2: expected one clause',
    ),
    (_THRIFT + '  - money is tight\n', 't.md:3: the same reason again'),
    (_THRIFT.replace('tight', 'tight — so'), 'is not plain ASCII text'),
    (_THRIFT.replace('tight', '<|end|>'), 'spells a control token'),
    ('  - money is tight\n', 't.md:1: a reason before the first trait'),
    ('- thrift: cheap\n', 't.md:1: expected `- **name**'),
    (_THRIFT + 'and more\n', 't.md:3: expected a bullet, an indented line'),
    (_THRIFT.replace('thrift', 'The Thrift'), 'becomes part of file names'),
    (_THRIFT.replace('thrift', 'neutral'), "the name 'neutral' is reserved"),
    (_THRIFT.replace('thrift', 'x_no_reasons'), 'is reserved'),
  ],
)
def test_a_bad_document_is_refused_with_line_and_expectation(text, expected):
  with pytest.raises(traits.TraitsError) as error:
    traits.parse(text, 't.md')
  assert expected in str(error.value)


def test_a_document_that_is_not_utf8_is_refused_by_name(tmp_path):
  path = tmp_path / 'traits.md'
  path.write_bytes(b'- **thrift**: \xff\n')
  with pytest.raises(traits.TraitsError, match=r'traits\.md: not UTF-8'):
    traits.load(path)
