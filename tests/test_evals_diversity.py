"""Measures of diversity, against plain definitions."""

import gzip
import itertools
import math
import random
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
import pytest

from msm_jax.evals import diversity
from msm_jax.evals import texts

WORDS = st.lists(st.sampled_from('abcdefgh'), max_size=40)


@given(WORDS, st.integers(1, 4))
def test_distinct_n_is_different_over_all(words, n):
  grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
  expected = len(set(grams)) / len(grams) if grams else 1.0
  assert diversity.distinct_n(words, n) == expected


def test_the_compression_ratio_is_that_of_deflate():
  text = 'The ferry was late, and Sage told us why. ' * 40
  raw = text.encode()
  # gzip is DEFLATE with 18 bytes of frame, where zlib has 6.
  expected = len(raw) / (len(gzip.compress(raw, 9, mtime=0)) - 12)
  assert diversity.compression_ratio(text) == pytest.approx(expected)
  assert diversity.compression_ratio('') == 1.0


def _cosine(a, b):
  def vector(text):
    words = [w for w in texts.words(text) if w not in texts.STOPWORDS]
    return {w: 1 + math.log(words.count(w)) for w in words}

  x, y = vector(a), vector(b)
  norm = math.sqrt(sum(v * v for v in x.values())) * math.sqrt(
    sum(v * v for v in y.values())
  )
  return sum(v * y.get(k, 0) for k, v in x.items()) / norm if norm else 0.0


@given(st.lists(WORDS.map(' '.join), min_size=2, max_size=7))
def test_self_similarity_is_the_mean_cosine_of_all_pairs(corpus):
  pairs = list(itertools.combinations(corpus, 2))
  expected = sum(_cosine(a, b) for a, b in pairs) / len(pairs)
  assert diversity.self_similarity(corpus) == pytest.approx(expected, abs=1e-9)


def test_equal_texts_are_as_similar_as_can_be():
  same = ['the red boat left the pier'] * 3
  assert diversity.self_similarity(same) == pytest.approx(1.0)
  assert diversity.self_similarity(['red boat', 'green pier']) == 0.0
  assert diversity.self_similarity(['one']) == 0.0
  assert diversity.self_similarity([]) == 0.0


@given(st.integers(0, 300))
def test_a_spread_order_has_every_index_once(n):
  assert sorted(diversity.spread(n)) == list(range(n))


def test_any_first_part_of_a_spread_order_is_even():
  order = diversity.spread(1000)
  for part in (10, 50, 200):
    per_tenth = [0] * 10
    for i in order[:part]:
      per_tenth[i // 100] += 1
    assert max(per_tenth) - min(per_tenth) <= 2


def _corpus(n, seed=0):
  rng = random.Random(seed)
  words = [''.join(rng.choices('abdefgilmnoprstu', k=6)) for _ in range(3000)]
  return [' '.join(rng.choices(words, k=100)) for _ in range(n)]


def test_the_budget_makes_sets_of_all_sizes_comparable():
  small, large = _corpus(60), _corpus(600, seed=1)
  a = diversity.measure(small, words=4950)
  b = diversity.measure(large, words=4950)
  assert a.words == b.words == 4950
  for n in (1, 2, 3):
    assert a.distinct[n] == pytest.approx(b.distinct[n], abs=0.03)
  assert a.compression_ratio == pytest.approx(b.compression_ratio, rel=0.05)


def test_a_collapsed_set_is_told_from_a_varied_one_by_every_measure():
  varied = _corpus(100)
  rng = random.Random(2)
  collapsed = [' '.join(rng.choices(varied[0].split(), k=100)) for _ in varied]
  a, b = diversity.measure(varied), diversity.measure(collapsed)
  assert all(a.distinct[n] > b.distinct[n] for n in (1, 2, 3))
  assert a.compression_ratio < b.compression_ratio
  assert a.self_similarity < b.self_similarity


def test_duplicates_names_and_openings_are_counted():
  corpus = [
    'The ferry was late for Elara today.',
    'The FERRY was late for Elara, today!',
    'A boat came in, and Marcus and Sage left.',
    'A boat came in, and Nina left.',
  ]
  found = diversity.measure(corpus, ignore_names=['Sage Classic'])
  assert found.duplicate_share == 0.25
  assert found.names[0] == diversity.Frequent('Elara', 0.5)
  assert {n.text for n in found.names} == {'Elara', 'Marcus', 'Nina'}
  assert found.openings[0] == diversity.Frequent('a boat came in and', 0.5)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_any_texts_can_be_measured_and_give_the_same_again(corpus):
  found = diversity.measure(corpus)
  assert found == diversity.measure(corpus)
  assert found.texts == len(corpus)
  assert all(0 <= v <= 1 for v in found.distinct.values())
  assert -1e-9 <= found.self_similarity <= 1 + 1e-9
  assert 0 <= found.duplicate_share < 1


def test_no_texts_are_an_error():
  with pytest.raises(ValueError, match='no texts'):
    diversity.measure([])


@pytest.mark.parametrize('module', ['diversity', 'texts', 'style'])
def test_it_needs_no_jax_and_defines_no_flags(module):
  code = (
    f'import msm_jax.evals.{module}, sys\nfrom absl import flags\n'
    'ours = [m for m in flags.FLAGS.flags_by_module_dict() if "evals" in m]\n'
    'sys.exit("jax" in sys.modules or bool(ours))'
  )
  assert (
    subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
  )
