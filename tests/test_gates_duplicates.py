"""The exact_duplicate and near_duplicate gates."""

import itertools
import random

from gate_cases import chat
from gate_cases import document
from gate_cases import rejected
from hypothesis import given
from hypothesis import strategies as st
import pytest

from data_gen.gates.duplicates import ExactDuplicateGate
from data_gen.gates.near_duplicates import NearDuplicateConfig
from data_gen.gates.near_duplicates import NearDuplicateGate
from data_gen.gates.near_duplicates import shingles
from msm_jax.evals import texts

EXACT = ExactDuplicateGate()


def test_the_first_of_equal_texts_stays():
  assert rejected(EXACT, ['One two.', 'Three.', 'One two.', 'One two.']) == [
    2,
    3,
  ]


def test_the_verdict_names_the_text_that_stayed():
  same = [document('One two.', id='a'), document('one, TWO', id='b')]
  assert [v.detail for v in EXACT.check(same)] == ['', 'of a']


def test_case_punctuation_and_white_space_make_no_difference():
  assert rejected(EXACT, ['One, two’s.', '“one”\n\ntwo s', 'ONE – TWO; S']) == [
    1,
    2,
  ]


def test_order_and_number_of_words_make_a_difference():
  assert rejected(EXACT, ['a b', 'b a', 'a b a', 'ab', 'a', 'é', 'e']) == []


def test_texts_without_words_are_compared_as_they_are():
  assert rejected(EXACT, ['…', '★★', '…']) == [2]


def test_chats_are_equal_if_all_turns_are():
  chats = [
    chat('Why?', 'Because.', id='a'),
    chat('How?', 'Because.', id='b'),
    chat('why', 'because', id='c'),
  ]
  assert [v.passed for v in EXACT.check(chats)] == [True, True, False]


def _shingle_sets(text, n):
  words = texts.words(text)
  n = min(n, max(1, len(words)))
  return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def _jaccard(a, b, n):
  x, y = _shingle_sets(a, n), _shingle_sets(b, n)
  return len(x & y) / len(x | y) if x | y else 0.0


def _edited(words, changes, rng):
  words = list(words)
  for i in rng.sample(range(len(words)), changes):
    words[i] = f'new{rng.random()}'
  return ' '.join(words)


def _corpus(seed):
  """Texts with copies of very different similarity."""
  rng = random.Random(seed)
  made = []
  for _ in range(12):
    words = [f'w{rng.randrange(4000)}' for _ in range(rng.randint(60, 200))]
    made.append(' '.join(words))
    made += [_edited(words, c, rng) for c in (1, 2, 4, 8, 15)]
  rng.shuffle(made)
  return made


@pytest.mark.parametrize('seed', range(4))
def test_what_stays_and_goes_is_what_comparing_all_pairs_says(seed):
  """With more bands, so that no pair is overlooked; Jaccard on sets of tuples.

  One pair at the threshold could go either way; there is none here.
  """
  config = NearDuplicateConfig(threshold=0.55, bands=128, rows=2)
  corpus = _corpus(seed)
  kept, expected = [], []
  for i, text in enumerate(corpus):
    best = max((_jaccard(text, corpus[k], 5) for k in kept), default=0)
    if best >= config.threshold:
      expected.append(i)
    else:
      kept.append(i)
  assert 10 < len(expected) < 60
  assert rejected(NearDuplicateGate(config), corpus) == expected


@pytest.mark.parametrize('seed', range(3))
def test_the_default_bands_find_nearly_all_pairs_and_no_others(seed):
  config = NearDuplicateConfig()
  rng = random.Random(seed)
  similar = 0
  found = 0
  for _ in range(150):
    words = [f'w{rng.randrange(4000)}' for _ in range(120)]
    text = ' '.join(words)
    other = _edited(words, rng.choice([2, 4, 5, 6, 7, 8]), rng)
    is_rejected = bool(rejected(NearDuplicateGate(config), [text, other]))
    similarity = _jaccard(text, other, 5)
    if similarity >= config.threshold:
      similar += 1
      found += is_rejected
    else:
      assert not is_rejected
  # 1 − (1 − .55³)⁴² = .9995 at the threshold, and more above it.
  assert similar > 60
  assert found >= similar - 1


def test_the_verdict_says_how_similar_to_what():
  words = [f'w{i}' for i in range(100)]
  pair = [
    document(' '.join(words), id='first'),
    document(' '.join([*words[:-1], 'other']), id='second'),
  ]
  _, verdict = NearDuplicateGate(NearDuplicateConfig()).check(pair)
  # 95 of 96 runs of each are shared, so 95 of 97 in all.
  assert verdict.score == round(95 / 97, 3)
  assert verdict.detail == '0.98 of first'


def test_a_rejected_text_rejects_no_other():
  """b is near a, c is near b, but not near a."""
  rng = random.Random(0)
  words = [f'w{i}' for i in range(150)]
  a = ' '.join(words)
  b = _edited(words, 7, rng)
  c = _edited(b.split(), 7, rng)
  assert _jaccard(a, b, 5) > 0.55 < _jaccard(b, c, 5)
  assert _jaccard(a, c, 5) < 0.55
  gate = NearDuplicateGate(NearDuplicateConfig())
  assert rejected(gate, [a, b, c]) == [1]
  assert rejected(gate, [b, a, c]) == [1, 2]


@given(st.lists(st.text('ab ', max_size=20), max_size=12))
def test_the_gate_is_pure_and_keeps_what_it_kept(corpus):
  gate = NearDuplicateGate(NearDuplicateConfig())
  once = rejected(gate, corpus)
  assert rejected(gate, corpus) == once
  assert not once or once[0] > 0
  left = [t for i, t in enumerate(corpus) if i not in once]
  assert rejected(gate, left) == []
  # What comes later changes nothing about what came before.
  for n in range(len(corpus)):
    assert rejected(gate, corpus[:n]) == [i for i in once if i < n]


def test_short_texts_are_one_shingle_each():
  gate = NearDuplicateGate(NearDuplicateConfig())
  assert rejected(gate, ['a b', 'a b', 'b a', 'a', '', '']) == [1]


@given(st.lists(st.sampled_from('abcdef'), max_size=30))
def test_shingles_are_the_set_of_word_runs(words):
  text = ' '.join(words)
  found = shingles(text, 5)
  assert len(found) == len(_shingle_sets(text, 5))
  assert found.tolist() == sorted(set(found.tolist()))


def test_chats_are_compared_with_the_users_turns():
  words = [f'w{i}' for i in range(60)]
  question = ' '.join(words)
  chats = [
    chat(question, 'Yes.', id='a'),
    chat(question, 'No.', id='b'),
    chat('Why?', 'Yes.', id='c'),
  ]
  gate = NearDuplicateGate(NearDuplicateConfig())
  assert [v.passed for v in gate.check(chats)] == [True, False, True]


@pytest.mark.parametrize(
  ('field', 'value'),
  [('threshold', 0.0), ('threshold', 1.5), ('bands', 0), ('shingle', 0)],
)
def test_settings_that_make_no_sense_are_refused(field, value):
  with pytest.raises(ValueError, match=f'{field}: {value}, expected'):
    NearDuplicateConfig(**{field: value})


def test_every_order_keeps_one_of_equal_texts():
  words = ' '.join(f'w{i}' for i in range(50))
  gate = NearDuplicateGate(NearDuplicateConfig())
  for order in itertools.permutations([words, words.upper(), 'other words']):
    assert len(rejected(gate, list(order))) == 1
