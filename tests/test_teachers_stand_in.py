"""The stand-in teacher itself: reproducible, varied, with faults as asked."""

import collections
import json
import re

import pytest
import teacher_faults
import teacher_texts


def test_an_answer_is_a_function_of_prompt_and_seed():
  messages = [('user', 'Write.')]
  assert teacher_texts.answer(messages, 1) == teacher_texts.answer(messages, 1)
  texts = {teacher_texts.answer(messages, seed) for seed in range(200)}
  assert len(texts) == 200


def test_documents_are_readable_and_of_several_hundred_words():
  for seed in range(50):
    text = teacher_texts.answer([('user', 'Write.')], seed)
    assert 150 < len(text.split()) < 1000
    assert not re.search(r'[{}]|  |\bNone\b', text)
    sentences = re.split(r'(?<=[.?])"? ', text.split('\n\n', 1)[1])
    assert all(s[0].isupper() or s[0] == '"' for s in sentences)


@pytest.mark.parametrize('key', list(teacher_texts._LISTS))
def test_json_has_the_keys_and_the_number_that_the_prompt_names(key):
  prompt = f'Name 13 different {key}. Answer in JSON: {{"{key}": […]}}'
  told = json.loads(teacher_texts.answer([('user', prompt)], 5))
  assert list(told) == [key]
  assert len(told[key]) == 13


def test_json_that_no_list_fits_is_a_verdict():
  told = [
    json.loads(teacher_texts.answer([('user', 'Judge, in JSON.')], seed))
    for seed in range(100)
  ]
  assert {t['verdict'] for t in told} == {'pass', 'fail'}


def test_what_is_registered_last_answers_first(monkeypatch):
  monkeypatch.setattr(
    teacher_texts, '_ANSWERERS', list(teacher_texts._ANSWERERS)
  )

  @teacher_texts.register(lambda prompt: 'riddle' in prompt.last)
  def riddle(prompt, rng):
    return f'{prompt.system} {rng.random()}'

  told = teacher_texts.answer([('system', 'Hm.'), ('user', 'A riddle!')], 1)
  assert told.startswith('Hm. 0.')


def test_faults_come_at_their_rates_and_always_the_same():
  faults = teacher_faults.Faults({'500': 0.2, 'length': 0.1})
  drawn = [faults.of('', f'{i}', i % 3, 0) for i in range(5000)]
  assert drawn == [faults.of('', f'{i}', i % 3, 0) for i in range(5000)]
  counts = collections.Counter(drawn)
  assert 900 < counts['500'] < 1100
  assert 320 < counts['length'] < 480


def test_only_transport_depends_on_how_often_one_asks():
  faults = teacher_faults.Faults({'500': 0.5, 'refusal': 0.5})
  for i in range(200):
    outcomes = {faults.of('', str(i), 0, nth) for nth in range(20)}
    assert '500' in outcomes
    assert len(outcomes - {'500'}) == 1


def test_scripts_are_played_in_order_and_then_all_is_well():
  faults = teacher_faults.Faults(scripts={'bees': ['500', 'hang']})
  assert [faults.of('of bees', 'p', 0, nth) for nth in range(4)] == [
    *('500', 'hang', 'ok', 'ok')
  ]
  assert faults.of('of ants', 'p', 0, 0) == 'ok'


def test_an_unknown_fault_is_an_error():
  with pytest.raises(ValueError, match='teapot'):
    teacher_faults.Faults({'teapot': 0.1})
