"""Words as numbers: equal for equal words, and only for those."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from data_gen.gates import hashing
from msm_jax.evals import texts

WORDS = st.lists(
  st.text('abcdefghijklmnopqrstuvwxyz0123456789', min_size=1, max_size=12),
  max_size=40,
)


@given(st.text(max_size=300))
def test_a_text_has_one_number_for_each_of_its_words(text):
  words = texts.words(text)
  ids = hashing.text_ids(text).tolist()
  assert len(ids) == len(words)
  of = dict(zip(words, ids, strict=True))
  assert [of[w] for w in words] == ids
  assert len(set(ids)) == len(of)


@given(WORDS, st.text(' .,;:!?-\n\t\'"()’“”—', min_size=1, max_size=3))
def test_numbers_do_not_depend_on_where_a_word_stands(words, between):
  one = hashing.text_ids(between.join(words)).tolist()
  assert one == [int(hashing.text_ids(w)[0]) for w in words]


@pytest.mark.parametrize('text', ['café', 'ﬁne', 'ЛОДКА', '東京', 'naïve – 3½'])
def test_words_beyond_ascii_have_the_same_numbers_in_any_text(text):
  alone = hashing.text_ids(text).tolist()
  inside = hashing.text_ids(f'Then, {text} again ★').tolist()
  assert inside[1:-1] == alone


def test_numbers_are_the_same_in_every_process():
  found = hashing.text_ids('Sage told us').tolist()
  base, mask = 0x9E3779B97F4A7C15, (1 << 64) - 1
  for word, number in zip(['sage', 'told', 'us'], found, strict=True):
    h = sum(b * pow(base, i, 1 << 64) for i, b in enumerate(word.encode()))
    h &= mask
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & mask
    assert number == h ^ (h >> 33)


@given(WORDS, st.integers(1, 14))
def test_equal_runs_and_only_those_have_equal_numbers(words, n):
  runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
  ids = hashing.ngram_ids(hashing.word_ids(words), n).tolist()
  assert len(ids) == max(0, len(runs))
  assert len(set(ids)) == len(set(runs))
  assert len(set(zip(runs, ids, strict=True))) == len(set(runs))


@pytest.mark.parametrize('n', [2, 3, 4, 5, 6])
def test_every_order_of_the_same_words_is_another_run(n):
  orders = list(itertools.permutations('abcdef'[:n]))
  ids = {int(hashing.ngram_ids(hashing.word_ids(o), n)[0]) for o in orders}
  assert len(ids) == len(orders)


# Some of them so near to each other that they share a slot.
NUMBERS = st.lists(
  st.one_of(st.integers(0, 2**64 - 1), st.integers(2**63, 2**63 + 40)),
  max_size=50,
)


@given(NUMBERS, NUMBERS, st.sampled_from([1, 9]))
def test_keys_are_found_wherever_they_stand(keys, others, times):
  mixed = np.array((others + keys + others) * times, np.uint64)
  positions, indices = hashing.Keys(keys).find(mixed)
  expected = [i for i, k in enumerate(mixed.tolist()) if k in set(keys)]
  assert positions.tolist() == expected
  ordered = sorted(set(keys))
  assert [ordered[i] for i in indices] == [int(mixed[i]) for i in expected]
