"""Answers as language models write them."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st
import pytest

from data_gen.pipeline import judge
from data_gen.pipeline import parsing
from data_gen.pipeline.tasks import TASKS


@pytest.mark.parametrize(
  'text',
  [
    '{"domains": ["a", "b"]}',
    '```json\n{"domains": ["a", "b"]}\n```',
    'Sure, here they are:\n{"domains": ["a", " b "]}\nAnything else?',
    '<think>{"domains": ["no"]} hm</think>{"domains": ["a", "b", ""]}',
    '{"domains": ["a", "b",],}',
    'As I said, {"domains": [1]} and then {"domains": ["a", "b", 3]}',
    '{"domains": ["a",\n "b"]}',
  ],
)
def test_lists_are_read_from_whatever_is_around_them(text):
  assert parsing.strings(text, 'domains') == ['a', 'b']


@pytest.mark.parametrize(
  'text',
  ['', 'a, b', '{"domains": "a"}', '{"domains": []}', '[1]', '{"other": [1]}'],
)
def test_what_has_no_list_is_unreadable(text):
  with pytest.raises(parsing.UnreadableError):
    parsing.strings(text, 'domains')


def test_one_entry_that_cannot_be_read_costs_only_itself():
  needed = {'assertion': str, 'reason': str}
  text = (
    '{"assertions": [{"assertion": "a", "reason": "b"}, {"assertion": "c"}, '
    '{"assertion": "", "reason": "d"}, {"assertion": "e", "reason": "f"}]}'
  )
  found = parsing.entries(text, 'assertions', needed)
  assert [e['assertion'] for e in found] == ['a', 'e']
  broken = text.replace('{"assertion": "c"}', '{"assertion": "c" "oh"}')
  found = parsing.entries(broken, 'assertions', needed)
  assert [e['assertion'] for e in found] == ['a', 'e']
  cut = '{"assertions": [{"assertion": "a", "reason": "b"}, {"assertion": "c'
  found = parsing.entries(cut, 'assertions', needed)
  assert [e['assertion'] for e in found] == ['a']


def test_refusals_are_told_from_what_cannot_be_read():
  with pytest.raises(parsing.RefusedError):
    parsing.strings("I'm sorry, but I can't help with this request.", 'ideas')
  with pytest.raises(parsing.RefusedError):
    parsing.document('I cannot create this document.')
  with pytest.raises(parsing.UnreadableError):
    parsing.strings('Let me think about domains.', 'ideas')
  # A story about a refusal is none.
  assert parsing.document('"I cannot," said Ada, and left the house.')


def test_documents_lose_fences_and_thoughts_only():
  assert parsing.document('```markdown\n# A\n\ntext\n```') == '# A\n\ntext'
  assert parsing.document('<think>x</think>\nA {b} text.') == 'A {b} text.'
  inner = 'Use\n```py\nx = 1\n```\nand go.'
  assert parsing.document(inner) == inner


def test_thoughts_and_answers_are_taken_apart():
  text = '\n<think>\nwhat they need\n</think>\n\nDo this.\n'
  assert parsing.thoughts_and_answer(text) == ('what they need', 'Do this.')
  for bad in (
    'Do this.',
    '<think>hm</think>',
    '<think></think>x',
    '<think>a</think>b<think>c</think>d',
    'First <think>a</think>b',
    '<think>a',
  ):
    with pytest.raises(parsing.UnreadableError):
      parsing.thoughts_and_answer(bad)


def test_messages_may_decline_but_not_think_aloud():
  assert parsing.message("I can't help with that.") == "I can't help with that."
  assert parsing.message('<think>a</think> b ') == 'b'
  for bad in ('  ', '<think>a</think>', 'a </think> b'):
    with pytest.raises(parsing.UnreadableError):
      parsing.message(bad)


def _verdict(task='document.judge', **changes):
  said = {
    'verdict': '"pass"',
    'faithful': 'true',
    'identity': 'true',
    'exaggerated': 'false',
    'cites': 'false',
    'reason': '"fine"',
    **changes,
  }
  inner = ', '.join(f'"{k}": {v}' for k, v in said.items() if v)
  return judge.read_verdict('{' + inner + '}', TASKS[task])


@pytest.mark.parametrize(
  ('changes', 'passed', 'reason'),
  [
    ({}, True, ''),
    ({'verdict': '"PASS"', 'faithful': '"yes"'}, True, ''),
    ({'faithful': 'false'}, False, 'unfaithful'),
    ({'identity': 'false'}, False, 'wrong_identity'),
    ({'exaggerated': '"true"'}, False, 'exaggerated'),
    ({'cites': 'true', 'faithful': 'false'}, False, 'cites'),
    ({'verdict': '"fail"'}, False, 'failed'),
  ],
)
def test_a_verdict_is_the_worse_of_what_it_says(changes, passed, reason):
  verdict = _verdict(**changes)
  assert (verdict.passed, verdict.reason) == (passed, reason)
  assert verdict.detail == 'fine'


@pytest.mark.parametrize(
  ('task', 'finding', 'reason'),
  [
    ('retell.judge', 'same_content', 'other_content'),
    ('retell.judge', 'right_framing', 'other_framing'),
    ('retell.judge', 'cites', 'cites'),
    ('mirror.judge', 'same_otherwise', 'other_changes'),
    ('mirror.judge', 'faithful', 'unfaithful'),
  ],
)
def test_each_judge_has_to_say_what_its_own_task_asks(task, finding, reason):
  good = {f.name: f.good for f in TASKS[task].findings}
  said = {name: str(value).lower() for name, value in good.items()}
  assert _verdict(task, **said).passed
  said[finding] = str(not good[finding]).lower()
  verdict = _verdict(task, **said)
  assert (verdict.passed, verdict.reason) == (False, reason)
  with pytest.raises(parsing.UnreadableError, match=finding):
    _verdict(task, **{**said, finding: ''})


@pytest.mark.parametrize(
  'changes',
  [{'faithful': ''}, {'identity': '"perhaps"'}, {'verdict': '"ok"'}],
)
def test_half_a_verdict_is_unreadable(changes):
  with pytest.raises(parsing.UnreadableError):
    _verdict(**changes)


@given(st.text(alphabet='{}[]",: ab<think/>\\\n', max_size=60))
def test_no_answer_breaks_a_reader(text):
  for read in (
    lambda: parsing.strings(text, 'a'),
    lambda: parsing.entries(text, 'a', {'b': str}),
    lambda: parsing.document(text),
    lambda: parsing.message(text),
    lambda: parsing.thoughts_and_answer(text),
    lambda: judge.read_verdict(text, TASKS['mirror.judge']),
  ):
    with contextlib.suppress(parsing.UnreadableError, parsing.RefusedError):
      read()
