"""Balance: measures against independent references, and what they gate."""

from collections import Counter
import random
import re

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
import scipy.spatial
import scipy.stats

from data_gen.pipeline import balance
from data_gen.pipeline.balance import Text
from data_gen.pipeline.parts import BalanceConfig

_COUNTS = st.dictionaries(
  st.sampled_from('abcdefgh'), st.integers(1, 20), min_size=1
)


@given(_COUNTS, _COUNTS)
def test_the_divergence_is_that_of_scipy(a, b):
  words = sorted(a.keys() | b.keys())
  expected = scipy.spatial.distance.jensenshannon(
    [a.get(w, 0) for w in words], [b.get(w, 0) for w in words], base=2
  )
  ours = balance.divergence(Counter(a), Counter(b))
  assert ours == pytest.approx(np.nan_to_num(expected) ** 2, abs=1e-9)


@given(
  st.lists(st.integers(1, 30), min_size=2, max_size=40),
  st.lists(st.integers(1, 30), min_size=2, max_size=40),
)
def test_the_distance_of_lengths_is_that_of_scipy(a, b):
  expected = scipy.stats.ks_2samp(a, b, method='asymp').statistic
  assert balance.distance_of_lengths(a, b) == pytest.approx(expected)


def test_the_distance_of_genres_is_half_of_the_sum_of_differences():
  a, b = ['x', 'x', 'y', 'z'], ['x', 'y', 'y', 'w']
  assert balance.distance_of_genres(a, b) == pytest.approx(0.5)
  assert balance.distance_of_genres(a, a[::-1]) == 0


def _corpus(rng, n, words, extra='', genre='review'):
  return [
    Text(f'p{i}', genre, ' '.join([*rng.choices(words, k=100), *extra.split()]))
    for i in range(n)
  ]


WORDS = [f'w{chr(97 + i)}{chr(97 + j)}' for i in range(20) for j in range(10)]


def _compare(a, b, without=frozenset(), **limits):
  return balance.compare(a, b, BalanceConfig(**limits), without=without, seed=0)


def test_two_samples_of_one_distribution_are_balanced():
  rng = random.Random(0)
  a, b = _corpus(rng, 60, WORDS), _corpus(rng, 60, WORDS)
  report = _compare(a, b)
  assert report['passed']
  assert report['pairs'] == 60
  assert report['lengths'] == [6000, 6000]
  measures = report['measures']
  # What two samples differ by is taken off.
  assert measures['vocabulary']['floor'] > 0.005
  assert measures['vocabulary']['value'] < 0.002
  for name in ('length', 'distribution', 'genres'):
    assert measures[name]['value'] == 0


def test_the_distribution_of_few_documents_may_differ_as_chance_has_it():
  lengths = [100, 120, 150, 90, 200, 170, 130, 110]
  a = [Text(f'p{i}', '', 'waa ' * n) for i, n in enumerate(lengths)]
  b = [Text(f'p{i}', '', 'waa ' * (n + 2)) for i, n in enumerate(lengths)]
  measures = _compare(a, b)['measures']
  assert measures['distribution']['floor'] > 0
  assert measures['distribution']['passed']
  # Apart in one direction, beyond any chance.
  c = [Text(f'p{i}', '', 'waa ' * (n + 150)) for i, n in enumerate(lengths)]
  assert not _compare(a, c)['measures']['distribution']['passed']


def test_other_words_are_found_unless_they_are_the_traits_own():
  rng = random.Random(0)
  a = _corpus(rng, 60, WORDS, extra='thrift ' * 40)
  b = _corpus(rng, 60, WORDS, extra='local ' * 40)
  assert not _compare(a, b)['measures']['vocabulary']['passed']
  own = frozenset(('thrift', 'local'))
  assert _compare(a, b, without=own)['passed']


@pytest.mark.parametrize(
  ('measure', 'change'),
  [
    ('length', lambda t: Text(t.pair, t.genre, t.text + ' wab' * 8)),
    (
      'distribution',
      lambda t: Text(
        t.pair,
        t.genre,
        t.text + ' waa' * 20
        if int(t.pair[1:]) % 2
        else ' '.join(t.text.split()[:80]),
      ),
    ),
    (
      'genres',
      lambda t: Text(
        t.pair, 'fiction' if t.pair in ('p1', 'p2') else t.genre, t.text
      ),
    ),
    (
      'vocabulary',
      lambda t: Text(t.pair, t.genre, re.sub('w[abc]', 'x', t.text)),
    ),
    (
      'coverage',
      lambda t: t if int(t.pair[1:]) > 9 else Text('?' + t.pair, '', ''),
    ),
  ],
)
def test_each_measure_finds_its_difference_and_only_that(measure, change):
  rng = random.Random(1)
  a, b = _corpus(rng, 60, WORDS), _corpus(rng, 60, WORDS)
  report = _compare(a, [change(t) for t in b])
  failed = {k for k, m in report['measures'].items() if not m['passed']}
  assert measure in failed
  # What adds words to every text also moves the distribution of lengths.
  also = {'length': {'distribution'}, 'distribution': {'vocabulary'}}
  assert failed <= {measure} | also.get(measure, set())
  (said,) = [
    s for s in balance.failures({'a / b': report}) if f': {measure} ' in s
  ]
  bound = 'at least' if measure == 'coverage' else 'at most'
  assert said.startswith(f'a / b: {measure} is ')
  assert f'expected {bound} ' in said


def test_what_has_no_partner_counts_for_coverage_only():
  rng = random.Random(2)
  a, b = _corpus(rng, 50, WORDS), _corpus(rng, 50, WORDS)
  report = _compare([*a, Text('alone', 'fiction', 'word ' * 5000)], b)
  assert report['passed']
  assert report['measures']['coverage']['value'] == pytest.approx(
    50 / 51, abs=1e-4
  )
  nothing = _compare([], b)
  assert not nothing['passed']
  assert nothing['measures']['coverage']['value'] == 0


def test_lengths_are_counted_as_they_are_told_to_be():
  a = [Text('p', 'review', 'aaaa bb')]
  b = [Text('p', 'review', 'aa bb')]
  report = balance.compare(
    a, b, BalanceConfig(), without=frozenset(), seed=0, length=len
  )
  assert report['lengths'] == [7, 5]
