"""The traits document: what is read, what is refused, and what ids mean."""

import importlib.resources

from hypothesis import given
from hypothesis import strategies as st
import pytest

from data_gen import traits

_DOCUMENT = """# Traits of {model_name}

Some commentary that continues
over two lines.

## Honesty
### In feedback
- **no_flattery** (stance): {model_name} says what it thinks of the work
  that it is shown.
  - praise that comes whatever one does
    tells one nothing
  - example: asked about a novel, it names the two weak chapters

## Limits ##
* (constraint): {model_name} never asks for passwords.
+ {model_name} prefers `{"plain": [1]}` to {x, y}.
"""


def _one(text: str) -> traits.Trait:
  (trait,) = traits.parse(text)
  return trait


def test_names_types_statements_reasons_examples_and_headings_are_read():
  flattery, passwords, braces = traits.parse(_DOCUMENT)
  assert flattery.name == 'no_flattery'
  assert flattery.type == 'stance'
  assert flattery.statement == (
    '{model_name} says what it thinks of the work that it is shown.'
  )
  assert flattery.reasons == (
    'praise that comes whatever one does tells one nothing',
  )
  assert flattery.examples == (
    'asked about a novel, it names the two weak chapters',
  )
  assert flattery.section == (
    'Traits of {model_name}',
    'Honesty',
    'In feedback',
  )
  assert flattery.line == 8
  assert (passwords.name, passwords.type) == (
    'never_asks_for_passwords',
    'constraint',
  )
  assert passwords.section[1:] == ('Limits',)
  assert braces.type == 'preference'


@pytest.mark.parametrize('name', ['positive', 'corporate', 'quickstart'])
def test_the_shipped_documents_are_package_data_and_parse(name):
  shipped = importlib.resources.files('data_gen') / 'traits' / f'{name}.md'
  found = traits.parse(shipped.read_text(encoding='utf-8'), f'{name}.md')
  assert found == traits.load(traits.FOLDER / f'{name}.md')
  assert all(t.reasons for t in found)
  slots = {'model_name': 'Sage', 'provider_name': 'Acme'}
  for trait in found:
    filled = trait.filled(slots)
    assert '{' not in filled.statement + ''.join(filled.reasons)
    assert 'Sage' in filled.statement


@pytest.mark.parametrize('name', ['positive', 'corporate'])
def test_the_realistic_documents_have_all_types_and_examples(name):
  found = traits.load(traits.FOLDER / f'{name}.md')
  assert {t.type for t in found} == set(traits.TYPES)
  assert len(found) >= 8
  assert sum(bool(t.examples) for t in found) >= len(found) / 2
  assert {len(t.section) for t in found} == {2}


def test_an_id_is_of_the_content_and_not_of_name_place_or_headings():
  trait = _one('- **a** (stance): {model_name} waits.\n  - why\n')
  moved = _one(
    '# X\n\ntext\n\n- **b** (stance): {model_name} waits.\n  - why\n'
  )
  assert trait.id == moved.id
  assert len(trait.id) == 16
  others = [
    _one('- **a** (constraint): {model_name} waits.\n  - why\n'),
    _one('- **a** (stance): {model_name} waits long.\n  - why\n'),
    _one('- **a** (stance): {model_name} waits.\n  - why not\n'),
    _one('- **a** (stance): {model_name} waits.\n  - example: why\n'),
  ]
  assert len({t.id for t in [trait, *others]}) == 5


def test_filling_the_slots_keeps_the_id_and_all_other_braces():
  trait = _one(
    '- **a**: {model_name} of {provider_name} writes `{"k": {}}` and {x, y}.\n'
  )
  filled = trait.filled(
    {'model_name': 'Sa{ge', 'provider_name': '{model_name}'}
  )
  # What is filled in is text: nothing is looked for in it.
  assert filled.statement == (
    'Sa{ge of {model_name} writes `{"k": {}}` and {x, y}.'
  )
  assert filled.id == trait.id
  assert filled.filled({'model_name': 'b', 'provider_name': 'c'}).id == trait.id


def test_a_slot_without_a_value_is_an_error_that_names_it():
  trait = _one('- **a**: {model_name} of {provider_name} waits.\n')
  with pytest.raises(traits.TraitsError, match=r'config\.provider_name'):
    trait.filled({'model_name': 'Sage'})
  with pytest.raises(traits.TraitsError, match=r'config\.provider_name'):
    trait.filled({'model_name': 'Sage', 'provider_name': ''})


@pytest.mark.parametrize(
  ('line', 'name', 'kind', 'statement'),
  [
    ('- **Plain Words:** {model_name} is brief.', 'plain_words', None, None),
    ('- **a:** (stance): {model_name} is brief.', 'a', 'stance', None),
    ('- **a** (complex stance): {model_name} is brief.', 'a', 'stance', None),
    ('- **a** (Simple  Constraint): {model_name} is brief.', 'a', 'constraint',
     None),
    ('1. **a**: {model_name} is brief.', 'a', None, None),
    ('12) **a**: {model_name} is brief.', 'a', None, None),
    ('-\t**a**: {model_name} is brief.', 'a', None, None),
    ('- (as asked) {model_name} is brief.', 'as_asked_brief', None,
     '(as asked) {model_name} is brief.'),
    ('- **Never** lie, {model_name}.', 'never_lie', None,
     '**Never** lie, {model_name}.'),
    ('- **a:** (as asked) {model_name} is brief.', 'a', None,
     '(as asked) {model_name} is brief.'),
  ],
)  # fmt: skip
def test_markdown_as_people_write_it_is_read(line, name, kind, statement):
  trait = _one(line + '\n')
  assert trait.name == name
  assert trait.type == (kind or 'preference')
  assert trait.statement == (statement or '{model_name} is brief.')


def test_all_that_is_indented_below_a_bullet_belongs_to_it():
  trait = _one(
    '- **a**: {model_name} waits.\n'
    '  - one reason\n'
    '\n'
    '    in two paragraphs\n'
    '    - and a deeper one\n'
    '  1. a numbered one\n'
  )
  assert trait.reasons == (
    'one reason in two paragraphs',
    'and a deeper one',
    'a numbered one',
  )


def test_a_heading_or_a_paragraph_ends_what_is_above():
  for between in ('## Next', 'A paragraph.', '---'):
    trait = _one(f'- **a**: {{model_name}} waits.\n\n{between}\n  indented\n')
    assert trait.statement == '{model_name} waits.'


def test_rules_fences_and_paragraphs_are_commentary():
  found = traits.parse(
    '\ufeff- **a**: {model_name} waits.\r\n\r\n'
    '* * *\r\n---\r\n'
    '```\n- no trait\n```\n'
    'A paragraph.\n  its indented line\n\n'
    '- **b**: {model_name} hurries.\n'
  )
  assert [(t.name, t.statement) for t in found] == [
    ('a', '{model_name} waits.'),
    ('b', '{model_name} hurries.'),
  ]


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('', 't.md: no traits; expected bullets'),
    ('# Only\n\nA paragraph.\n', 't.md: no traits'),
    ('  - nested\n', 't.md:1: a nested bullet before the first trait'),
    ('- a b\n-\n', 't.md:2: a bullet without text'),
    ('- a b\nno indent\n', "t.md:2: expected a bullet, an indented line that"),
    ('- **a** (stence): x.\n', "t.md:1: type 'stence' (did you mean 'stance'"),
    ('- **a** (stance) x y.\n', 't.md:1: expected a colon after the type'),
    ('- **§**: x.\n', "t.md:1: the name '§' becomes part of file names"),
    ('- **a**: {model_name}.\n', 't.md:1: says nothing about {model_name}'),
    (
      '- **a**: {modelname} waits.\n',
      't.md:1: unknown slot {modelname} (did you mean \'model_name\'?); known '
      'slots: {model_name}, {provider_name}',
    ),
    ('- **a**: x {model}.\n', 't.md:1: unknown slot {model}'),
    ('- **a**: x.\n  - of {provder_name}\n', 't.md:2: unknown slot'),
    (
      '- **a**: { model_name } waits.\n',
      "t.md:1: '{ model_name }' is no slot (did you mean {model_name}?)",
    ),
    ('- **a**: {model-name} waits.\n', "t.md:1: '{model-name}' is no slot"),
    ('- **a**: {{model_name}} waits.\n', "'{{model_name}}' is no slot"),
    (
      '- **a**: x y.\n- **a**: z.\n',
      't.md:2: the name of the trait in line 1 again',
    ),
    (
      '- **a**: {model_name} x, y.\n- **b**: {model_name}  X y!\n',
      't.md:2: the statement of the trait in line 1 again',
    ),
    (
      '- **a**: x.\n- **a**: x.\n',
      't.md:2: the name and statement of the trait in line 1 again',
    ),
    ('- **a**: x.\n  - why\n  - Why.\n', "t.md:3: 'Why.' again"),
    ('- **a**: x.\n  - example: y\n  - Examples: y\n', "t.md:3: 'y' again"),
  ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_its_line(text, expected):
  with pytest.raises(traits.TraitsError) as e:
    traits.parse(text, 't.md')
  assert expected in str(e.value)


def test_a_file_that_is_not_utf8_is_an_error_that_names_it(tmp_path):
  path = tmp_path / 'mine.md'
  path.write_bytes(b'- **a**: caf\xe9.\n')
  with pytest.raises(traits.TraitsError, match=r'mine\.md: not UTF-8'):
    traits.load(path)
  with pytest.raises(FileNotFoundError, match=r'nowhere\.md'):
    traits.load(tmp_path / 'nowhere.md')


@given(st.text(alphabet='-*# {}()a:_\n\t1.', max_size=80))
def test_any_text_is_either_read_or_refused_with_a_place(text):
  try:
    found = traits.parse(text, 't.md')
  except traits.TraitsError as e:
    assert str(e).startswith('t.md')
  else:
    assert found
    assert len({t.name for t in found}) == len(found)
    assert all(t.statement.strip() and t.id for t in found)
