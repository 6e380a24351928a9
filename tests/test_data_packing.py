import itertools

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from msm_jax import data
from msm_jax.data import fitting
from msm_jax.data import hashing
from msm_jax.data import packing

lengths_and_seq_len = st.tuples(
  st.lists(st.integers(1, 40), max_size=60), st.integers(1, 16)
)


def pieces_of(packed: data.Packing, document: int) -> list[tuple[int, int]]:
  """Returns (start, length) by piece."""
  at = np.flatnonzero(packed.document == document)
  at = at[np.argsort(packed.piece[at])]
  assert packed.piece[at].tolist() == list(range(len(at)))
  return list(zip(packed.start[at], packed.length[at], strict=True))


@given(lengths_and_seq_len)
def test_every_pair_is_packed_exactly_once(case):
  lengths, seq_len = case
  packed = data.pack(np.array(lengths, int), seq_len)
  for document, length in enumerate(lengths):
    pairs = [
      pair
      for start, n in pieces_of(packed, document)
      for pair in range(start, start + n)
    ]
    assert pairs == list(range(length))
  assert packed.length.sum() == sum(lengths)


@given(lengths_and_seq_len)
def test_a_document_that_fits_is_never_split(case):
  lengths, seq_len = case
  packed = data.pack(np.array(lengths, int), seq_len)
  for document, length in enumerate(lengths):
    if length <= seq_len:
      assert pieces_of(packed, document) == [(0, length)]


@given(lengths_and_seq_len)
def test_splits_are_as_few_as_there_can_be(case):
  lengths, seq_len = case
  packed = data.pack(np.array(lengths, int), seq_len)
  assert packed.splits == sum(-(-n // seq_len) - 1 for n in lengths)
  assert packed.splits == len(packed.length) - len(lengths)


@given(lengths_and_seq_len)
def test_pieces_lie_side_by_side_within_their_sequence(case):
  lengths, seq_len = case
  packed = data.pack(np.array(lengths, int), seq_len)
  groups = itertools.groupby(range(len(packed.length)), packed.sequence.item)
  seen = []
  for sequence, members in groups:
    seen.append(sequence)
    at = 0
    for slot, piece in enumerate(members):
      assert packed.slot[piece] == slot
      assert packed.offset[piece] == at
      at += int(packed.length[piece])
    assert 0 < at <= seq_len
  assert seen == list(range(packed.n_sequences))


def test_packing_is_a_function_of_lengths_and_seed():
  lengths = np.random.default_rng(0).integers(1, 300, 500)
  first, again = data.pack(lengths, 256), data.pack(lengths, 256)
  other = data.pack(lengths, 256, seed=1)
  np.testing.assert_array_equal(first.document, again.document)
  np.testing.assert_array_equal(first.sequence, again.sequence)
  assert first.document.tolist() != other.document.tolist()
  assert other.n_sequences == first.n_sequences


def test_neighbours_of_equal_length_do_not_stay_together():
  packed = data.pack(np.full(1000, 10), 100)
  steps = np.diff(packed.document.reshape(100, 10), axis=1)
  assert np.mean(np.abs(steps) == 1) < 0.05


def test_no_document_gives_no_sequence():
  packed = data.pack(np.array([], int), 8)
  assert (packed.n_sequences, packed.splits) == (0, 0)


@pytest.mark.parametrize('lengths', [[3, 0], [2, -1]])
def test_a_document_without_a_pair_is_refused(lengths):
  with pytest.raises(ValueError, match='document 1 has length'):
    data.pack(np.array(lengths), 8)


def test_a_sequence_length_that_is_not_positive_is_refused():
  with pytest.raises(ValueError, match='seq_len: 0'):
    data.pack(np.array([1]), 0)


def best_fit_one_by_one(lengths: list[int], capacity: int) -> list[int]:
  """Returns the sizes of the bins; the algorithm as textbooks have it."""
  rooms: list[int] = []
  for length in lengths:
    fitting_bins = [(room, i) for i, room in enumerate(rooms) if room >= length]
    if fitting_bins:
      rooms[min(fitting_bins)[1]] -= length
    else:
      rooms.append(capacity - length)
  return sorted(capacity - room for room in rooms)


def sums(lengths: np.ndarray, fit: fitting.Fit) -> list[int]:
  bins, n_bins = fit
  return sorted(
    np.bincount(bins, weights=lengths, minlength=n_bins).astype(int).tolist()
  )


decreasing = st.lists(st.integers(1, 30), max_size=80).map(
  lambda x: np.array(sorted(x, reverse=True), int)
)


@given(decreasing)
def test_placing_in_groups_is_best_fit_one_by_one(lengths):
  fit = fitting.best_fit_decreasing(lengths, 30)
  assert sums(lengths, fit) == best_fit_one_by_one(lengths.tolist(), 30)


@given(decreasing)
def test_best_set_fills_every_bin_within_capacity(lengths):
  bins, n_bins = fitting.best_set_decreasing(lengths, 30)
  assert set(bins.tolist()) == set(range(n_bins))
  assert all(size <= 30 for size in sums(lengths, (bins, n_bins)))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=9))
def test_best_set_leaves_least_room_beside_the_longest(lengths):
  lengths = np.array(sorted(lengths, reverse=True))
  bins, _ = fitting.best_set_decreasing(lengths, 30)
  rest = lengths[1:].tolist()
  best = max(
    lengths[0] + sum(chosen)
    for size in range(len(rest) + 1)
    for chosen in itertools.combinations(rest, size)
    if lengths[0] + sum(chosen) <= 30
  )
  assert lengths[bins == bins[0]].sum() == best


def test_the_better_of_both_fits_is_taken():
  rng = np.random.default_rng(0)
  narrow = np.sort(rng.integers(45, 56, 2000))[::-1]
  wide = np.sort(np.maximum(2, rng.normal(100, 30, 2000).astype(int)))[::-1]
  wide = np.minimum(wide, 256)
  counts = {}
  for name, lengths in (('narrow', narrow), ('wide', wide)):
    fits = (
      fitting.best_fit_decreasing(lengths, 256)[1],
      fitting.best_set_decreasing(lengths, 256)[1],
    )
    counts[name] = fits
    assert data.pack(lengths, 256).n_sequences == min(fits)
  # Each is the better one somewhere, or there would be no need for both.
  assert counts['narrow'][1] < counts['narrow'][0]
  assert counts['wide'][0] < counts['wide'][1]


@pytest.mark.parametrize(
  'lengths',
  [
    np.random.default_rng(0).lognormal(5.3, 0.8, 5000).astype(int) + 2,
    np.random.default_rng(1).normal(100, 10, 3000).astype(int),
    np.random.default_rng(2).integers(20, 400, 3000),
  ],
  ids=['documents', 'chats', 'uniform'],
)
def test_sequences_are_at_least_98_percent_full(lengths):
  assert data.pack(lengths, 512).fill >= 0.98


def test_ragged_arange_counts_within_each_run():
  counts = np.array([3, 0, 1, 2])
  assert packing.ragged_arange(counts).tolist() == [0, 1, 2, 0, 0, 1]


def test_hashes_are_those_of_splitmix64():
  """First outputs of the generator for seed 1234567 (published test vector)."""
  gamma = 0x9E3779B97F4A7C15
  inverse = pow(gamma, -1, 2**64)
  seed = 1234567 * inverse % 2**64
  assert hashing.mix(seed, np.arange(5)).tolist() == [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
  ]


def test_permutations_differ_by_any_part_and_hold_every_index():
  first = hashing.permutation(100, 0, 'rows', 1)
  assert sorted(first.tolist()) == list(range(100))
  for parts in ((1, 'rows', 1), (0, 'order', 1), (0, 'rows', 2)):
    assert hashing.permutation(100, *parts).tolist() != first.tolist()
