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
from data_gen.pipeline import edits
from data_gen.pipeline.balance import Text
from data_gen.pipeline.balance import Unit
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
  a = [('x', 1), ('x', 1), ('y', 1), ('z', 1)]
  b = [('x', 1), ('y', 1), ('y', 1), ('w', 1)]
  assert balance.distance_of_shares(a, b) == pytest.approx(0.5)
  assert balance.distance_of_shares(a, a[::-1]) == 0
  # Of their tokens: 6 of 10 are in x on the one side, 3 of 10 on the other.
  a, b = [('x', 6), ('y', 4)], [('x', 1), ('x', 2), ('y', 7)]
  assert balance.distance_of_shares(a, b) == pytest.approx(0.3)
  assert balance.distance_of_shares(a, []) == 1


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
  assert report['rows'] == [60, 60]
  assert report['unit'] == 'words'
  assert report['words'] == [6000, 6000]
  assert report['details'] == {'words_by_genre': {'review': [6000, 6000]}}
  measures = report['measures']
  # What two samples differ by is taken off.
  assert measures['vocabulary']['floor'] > 0.005
  assert measures['vocabulary']['value'] < 0.002
  for name in (
    *('total_words', 'words_by_genre', 'words_distribution', 'genres'),
  ):
    assert measures[name]['value'] == 0


def test_the_distribution_of_few_documents_may_differ_as_chance_has_it():
  lengths = [100, 120, 150, 90, 200, 170, 130, 110]
  a = [Text(f'p{i}', '', 'waa ' * n) for i, n in enumerate(lengths)]
  b = [Text(f'p{i}', '', 'waa ' * (n + 2)) for i, n in enumerate(lengths)]
  measures = _compare(a, b)['measures']
  assert measures['words_distribution']['floor'] > 0
  assert measures['words_distribution']['passed']
  # Apart in one direction, beyond any chance.
  c = [Text(f'p{i}', '', 'waa ' * (n + 150)) for i, n in enumerate(lengths)]
  assert not _compare(a, c)['measures']['words_distribution']['passed']


def test_other_words_are_found_unless_they_are_the_traits_own():
  rng = random.Random(0)
  a = _corpus(rng, 60, WORDS, extra='thrift ' * 40)
  b = _corpus(rng, 60, WORDS, extra='local ' * 40)
  assert not _compare(a, b)['measures']['vocabulary']['passed']
  own = frozenset(('thrift', 'local'))
  assert _compare(a, b, without=own)['passed']


def _is_odd(text):
  return int(text.pair[1:]) % 2


@pytest.mark.parametrize(
  ('measure', 'key', 'change'),
  [
    (
      'total_words',
      'length',
      lambda t: Text(t.pair, t.genre, t.text + ' wab' * 8),
    ),
    (
      'words_by_genre',
      'by_genre',
      lambda t: Text(
        t.pair,
        t.genre,
        t.text + ' wab' * 20
        if t.genre == 'review'
        else ' '.join(t.text.split()[:80]),
      ),
    ),
    (
      'words_distribution',
      'distribution',
      lambda t: Text(
        t.pair,
        t.genre,
        t.text + ' waa' * 20
        if _is_odd(t) == (t.genre == 'review')
        else ' '.join(t.text.split()[:80]),
      ),
    ),
    (
      'genres',
      'genres',
      lambda t: Text(
        t.pair, 'fiction' if t.pair in ('p1', 'p2') else t.genre, t.text
      ),
    ),
    (
      'vocabulary',
      'vocabulary',
      lambda t: Text(t.pair, t.genre, re.sub('w[abc]', 'x', t.text)),
    ),
    (
      'coverage',
      'coverage',
      lambda t: (
        t if int(t.pair[1:]) > 9 else Text('?' + t.pair, t.genre, t.text)
      ),
    ),
  ],
)
def test_each_measure_finds_its_difference_and_only_that(measure, key, change):
  rng = random.Random(1)
  a, b = (
    [
      Text(t.pair, 'review' if i < 30 else 'blog', t.text)
      for i, t in enumerate(_corpus(rng, 60, WORDS))
    ]
    for _ in range(2)
  )
  report = _compare(a, [change(t) for t in b])
  failed = {k for k, m in report['measures'].items() if not m['passed']}
  assert measure in failed
  # What adds words to texts also moves how their lengths are distributed.
  also = {
    'total_words': {'words_distribution'},
    'words_by_genre': {'words_distribution', 'vocabulary'},
    'words_distribution': {'vocabulary'},
  }
  assert failed <= {measure} | also.get(measure, set())
  (said,) = [
    s for s in balance.failures({'a / b': report}) if f': {measure} ' in s
  ]
  bound = 'at least' if measure == 'coverage' else 'at most'
  assert said.startswith(f'a / b: {measure} is ')
  assert f'expected {bound} ' in said
  assert said.endswith(f'(controls.balance.{key})')


def test_what_has_no_partner_counts_as_it_is_published():
  rng = random.Random(2)
  a, b = _corpus(rng, 50, WORDS), _corpus(rng, 50, WORDS)
  alone = Text('alone', 'fiction', ' '.join(rng.choices(WORDS, k=300)))
  report = _compare([*a, alone], b)
  assert report['pairs'] == 50
  assert report['rows'] == [51, 50]
  assert report['words'] == [5300, 5000]
  measures = report['measures']
  assert measures['coverage']['value'] == pytest.approx(50 / 51, abs=1e-4)
  assert measures['coverage']['passed']
  assert measures['total_words']['value'] == pytest.approx(300 / 5300, abs=1e-4)
  assert not measures['total_words']['passed']
  assert measures['words_by_genre']['value'] == pytest.approx(
    300 / 5300, abs=1e-4
  )
  nothing = _compare([], b)
  assert not nothing['passed']
  assert nothing['measures']['coverage']['value'] == 0


def test_lengths_are_counted_as_they_are_told_to_be_and_called_so():
  a = [Text('p', 'review', 'aaaa bb')]
  b = [Text('p', 'review', 'aa bb')]
  unit = Unit('tokens', len, 'fingerprint')
  report = balance.compare(
    a, b, BalanceConfig(), without=frozenset(), seed=0, unit=unit
  )
  assert report['tokens'] == [7, 5]
  assert (report['unit'], report['tokenizer']) == ('tokens', 'fingerprint')
  assert 'total_tokens' in report['measures']
  assert 'words' not in str(report)
  (said,) = [s for s in balance.failures({'a / b': report}) if 'total' in s]
  assert 'total_tokens is 0.2857' in said
  words = _compare(a, b)
  assert 'tokens' not in str(words)
  assert 'tokenizer' not in words


@given(st.lists(st.sampled_from('abcd')), st.lists(st.sampled_from('abcd')))
def test_the_longest_common_subsequence_is_that_of_the_textbook(a, b):
  """Wagner and Fischer's table, by hand."""
  table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
  for i, x in enumerate(a):
    for j, y in enumerate(b):
      table[i + 1][j + 1] = (
        table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
      )
  assert edits.common(a, b) == table[-1][-1]
  assert edits.common(b, a) == table[-1][-1]


def test_what_an_edit_changed_is_measured_outside_of_words_that_may_change():
  one = 'The baker kept the cheap oven, and Sage wrote twelve short notes.'
  assert edits.changed(one, one, frozenset()) == 0
  # Of ten words that are no function words, one is another.
  other = one.replace('cheap', 'local')
  without = edits.changed(one, other, frozenset())
  assert without == pytest.approx(1 - 2 * 8 / 18)
  assert edits.changed(one, other, frozenset(('cheap', 'local'))) == 0
  moved = 'Sage wrote twelve short notes, and the baker kept the cheap oven.'
  assert edits.changed(one, moved, frozenset()) == pytest.approx(1 - 2 * 5 / 18)
  assert edits.changed(one, 'Nothing of it stood there.', frozenset()) == 1
  assert edits.changed('of it', 'and the', frozenset()) == 0
