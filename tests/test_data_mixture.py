import collections
import math
import sys
import threading

from byte_tokenizer import ByteTokenizer
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
from prepared_sources import prepare
from prepared_sources import write_chats
from prepared_sources import write_documents
import pytest

from msm_jax import data
from msm_jax.data import records
from msm_jax.data import selection

WEIGHTS = {'docs': 0.5, 'chats': 0.3, 'other': 0.2}


@pytest.fixture(scope='module')
def sources(tmp_path_factory) -> dict[str, data.PreparedSource]:
  directory = tmp_path_factory.mktemp('sources')
  lengths = np.random.default_rng(0).integers(5, 200, 150).tolist()
  docs = write_documents(directory / 'docs.jsonl', lengths)
  # Half empty: 33 of 64, and no two fit together.
  other = write_documents(directory / 'other.jsonl', [33] * 70, prefix='o')
  chats = write_chats(directory / 'chats.jsonl', 80)
  return {
    'docs': prepare(directory, 'docs', docs),
    'other': prepare(directory, 'other', other),
    'chats': prepare(directory, 'chats', chats),
  }


def mixture(sources, weights=WEIGHTS, **options) -> data.Mixture:
  return data.Mixture(
    sources,
    weights,
    **{'seed': 0, 'batch_size': 8, 'n_batches': 200, **options},
  )


def assert_batches_equal(a, b):
  assert list(a) == list(b) == list(records.FIELDS)
  for key in a:
    np.testing.assert_array_equal(a[key], b[key])


def test_a_batch_is_a_pure_function_of_the_step(sources):
  first, fresh = mixture(sources), mixture(sources)
  in_order = [first.batch(step) for step in range(10)]
  for step in reversed(range(10)):
    assert_batches_equal(fresh.batch(step), in_order[step])
    assert_batches_equal(first.batch(step), in_order[step])


def test_rows_are_the_sequences_that_origins_name(sources):
  m = mixture(sources)
  for step in (0, 7, 199):
    batch, origins = m.batch(step), m.origins(step)
    assert [o.source for o in origins] == m.source_of(step)
    for row, origin in enumerate(origins):
      source = sources[origin.source]
      assert origin.segments == source.origins(origin.sequence)
      for name, field in source[origin.sequence].items():
        np.testing.assert_array_equal(batch[name][row], field)


def test_batches_have_the_documented_types_and_shapes(sources):
  for name, field in mixture(sources).batch(3).items():
    assert field.shape == (8, 64)
    assert field.dtype == (np.float32 if name == 'loss_weights' else np.int32)


@pytest.mark.parametrize('process_count', [1, 2, 4, 8])
def test_rows_of_all_processes_are_the_whole_batch_in_order(
  sources, process_count
):
  m = mixture(sources)
  for step in range(5):
    local = 8 // process_count
    parts = [
      m.batch(step, range(p * local, (p + 1) * local))
      for p in range(process_count)
    ]
    joined = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    assert_batches_equal(joined, m.batch(step))


@pytest.mark.parametrize('process_count', [2, 4, 8])
def test_no_process_sees_one_source_only(sources, process_count):
  """Equal weights and a period that divides the batch are the worst case."""
  m = mixture(sources, {'docs': 1.0, 'chats': 1.0}, batch_size=8)
  local = 8 // process_count
  for process in range(process_count):
    seen = collections.Counter(
      name
      for step in range(50)
      for name in m.source_of(step)[process * local : (process + 1) * local]
    )
    share = seen['docs'] / seen.total()
    # Four standard deviations of fair draws.
    assert abs(share - 0.5) < 4 * 0.5 / math.sqrt(50 * local)


def test_a_longer_phase_begins_with_the_same_batches(sources):
  short = mixture(sources, n_batches=20)
  long = mixture(sources, n_batches=2000)
  for step in range(20):
    assert_batches_equal(short.batch(step), long.batch(step))
  assert short.fingerprint == long.fingerprint


def test_the_order_of_the_weights_and_their_scale_do_not_matter(sources):
  turned = {k: 10 * WEIGHTS[k] for k in reversed(WEIGHTS)}
  a, b = mixture(sources), mixture(sources, turned)
  assert a.fingerprint == b.fingerprint
  for step in range(5):
    assert_batches_equal(a.batch(step), b.batch(step))


def draws(m: data.Mixture, name: str, steps: int) -> list[int]:
  """Returns a source's sequences in the order of the global row index."""
  index = m.names.index(name)
  rows = [m._rows[row] for row in range(steps * m.batch_size)]
  return [sequence for source, sequence in rows if source == index]


def test_every_epoch_holds_every_sequence_once_in_an_order_of_its_own(sources):
  m = mixture(sources)
  size = len(sources['chats'])
  drawn = draws(m, 'chats', 200)
  epochs = [drawn[i : i + size] for i in range(0, len(drawn), size)][:-1]
  assert len(epochs) >= 3
  for epoch in epochs:
    assert sorted(epoch) == list(range(size))
  assert len({tuple(e) for e in epochs}) == len(epochs)


def test_sources_of_one_size_do_not_share_an_order(tmp_path):
  made = {}
  for name in ('a', 'b'):
    path = write_documents(tmp_path / f'{name}.jsonl', [64] * 60)
    made[name] = prepare(tmp_path, name, path)
  m = mixture(made, {'a': 1.0, 'b': 1.0})
  assert draws(m, 'a', 10) != draws(m, 'b', 10)


def test_another_seed_gives_another_order(sources):
  a, b = mixture(sources, seed=0), mixture(sources, seed=1)
  assert draws(a, 'docs', 10) != draws(b, 'docs', 10)
  assert a.fingerprint != b.fingerprint


def test_the_first_rows_are_what_they_were_when_this_was_written(sources):
  """A changed shuffle or mix would silently change every resumed run."""
  m = mixture(sources)
  assert m.names == ('chats', 'docs', 'other')
  assert m.rows(0) == GOLDEN_FIRST
  assert m.rows(1_000_000) == GOLDEN_MILLION


def test_realised_shares_of_tokens_are_those_asked_for(sources):
  """Although one source's sequences are half empty."""
  report = mixture(sources, n_batches=4000).report()
  for name, weight in WEIGHTS.items():
    assert report.share(name, 'tokens') == pytest.approx(weight, abs=1e-3)
  assert report.share('other', 'sequences') > 0.3


def test_realised_shares_of_loss_tokens_are_those_asked_for(sources):
  report = mixture(sources, n_batches=4000, weight_by='loss_tokens').report()
  for name, weight in WEIGHTS.items():
    assert report.share(name, 'loss_tokens') == pytest.approx(weight, abs=1e-3)
  assert report.share('chats', 'tokens') > 0.45


def test_report_counts_what_the_batches_hold(sources):
  m = mixture(sources, n_batches=60)
  sequences = collections.Counter()
  tokens = collections.Counter()
  loss_tokens = collections.Counter()
  for step in range(60):
    batch = m.batch(step)
    by_step = collections.Counter()
    loss_by_step = collections.Counter()
    for row, name in enumerate(m.source_of(step)):
      sequences[name] += 1
      by_step[name] += int((batch['segment_ids'][row] > 0).sum())
      loss_by_step[name] += int(batch['loss_weights'][row].sum())
    assert m.counts(step) == {
      name: (by_step[name], loss_by_step[name]) for name in m.names
    }
    tokens += by_step
    loss_tokens += loss_by_step
  for entry in m.report().sources:
    assert entry.sequences == sequences[entry.name]
    assert entry.tokens == tokens[entry.name]
    assert entry.loss_tokens == loss_tokens[entry.name]
    size = len(sources[entry.name])
    assert entry.epochs == sequences[entry.name] / size
    assert entry.requested == pytest.approx(WEIGHTS[entry.name])


def test_report_is_printed_with_requested_and_realised_shares(sources):
  report = mixture(sources, n_batches=4000).report()
  header, *lines = str(report).splitlines()
  assert 'requested' in header
  assert [line.split()[0] for line in lines] == ['chats', 'docs', 'other']
  assert lines[1].split()[1] == '50.00%'
  assert len({len(line) for line in [header, *lines]}) == 1
  as_json = report.to_json()
  assert as_json['sources'][1]['share_of_tokens'] == report.share(
    'docs', 'tokens'
  )


@settings(max_examples=50)
@given(
  st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5), st.integers(1, 300)
)
def test_every_stretch_of_rows_is_dealt_by_weight(shares, n):
  s = selection.Selection(shares)
  dealt = [s[i] for i in range(n)]
  for source, share in enumerate(shares):
    mine = [index for who, index in dealt if who == source]
    assert mine == list(range(len(mine)))
    assert s.count(n)[source] == len(mine)
    # Dealt in turn, each source is at most one row a source off its share.
    assert abs(len(mine) - n * share / sum(shares)) <= len(shares)


def test_shares_are_exact_in_the_long_run():
  """Grain's own mix would give 100 : 199 : 100 for these."""
  shares = [1.0, 1.999, 1.001]
  counts = np.array(selection.Selection(shares).count(10**9))
  np.testing.assert_allclose(counts / 10**9, np.array(shares) / 4, atol=1e-8)


def refuse(sources, weights, *needles, **options):
  with pytest.raises(ValueError) as error:
    mixture(sources, weights, where='phases[1].mixture', **options)
  for needle in ('phases[1].mixture', *needles):
    assert needle in str(error.value)


def test_an_unknown_source_is_named_with_the_nearest(sources):
  refuse(
    sources,
    {'docs': 0.5, 'chat': 0.5},
    "phases[1].mixture.chat: source 'chat' is not defined",
    "did you mean 'chats'?",
  )


@pytest.mark.parametrize(
  'weight', [0, 0.0, -1, math.nan, math.inf, None, '1', True]
)
def test_a_weight_that_is_not_a_positive_number_is_refused(sources, weight):
  refuse(
    sources, {'docs': 1.0, 'chats': weight}, f'.chats={weight!r}', 'positive'
  )


def test_a_mixture_of_nothing_is_refused(sources):
  refuse(sources, {}, 'names no source')


def test_a_starved_source_is_an_error_before_the_first_step(sources):
  weights = {'docs': 1.0, 'chats': 1e-4}
  refuse(
    sources,
    weights,
    ".chats: source 'chats' gets none of the 80 sequences",
    n_batches=10,
  )
  mixture(sources, weights, n_batches=10_000)


def test_a_source_repeated_too_often_is_an_error_that_says_how_often(sources):
  size = len(sources['chats'])
  n_batches = 300
  sequences = mixture(sources, n_batches=n_batches)._drawn()['chats']
  needed = math.ceil(100 * sequences / size) / 100
  short = round(needed - 0.01, 2)
  for max_epochs in (2, {'chats': short, 'docs': 1000}):
    refuse(
      sources,
      WEIGHTS,
      f'.chats: source {"chats"!r} would be repeated',
      f'({sequences} sequences from {size})',
      f'raise max_epochs to at least {needed:.2f}',
      n_batches=n_batches,
      max_epochs=max_epochs,
    )
  mixture(sources, n_batches=n_batches, max_epochs={'chats': needed})


@pytest.mark.parametrize(
  ('max_epochs', 'needle'),
  [(0, '0'), ({'chats': -1}, '-1'), ({'chat': 2}, "'chats'"), ('4', "'4'")],
)
def test_a_limit_that_makes_no_sense_is_refused(sources, max_epochs, needle):
  refuse(sources, WEIGHTS, 'max_epochs', needle, max_epochs=max_epochs)


def test_sources_of_different_length_do_not_mix(sources, tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', [20] * 30)
  longer = prepare(tmp_path, 'longer', path, seq_len=128)
  refuse(
    {**sources, 'longer': longer}, {'docs': 1, 'longer': 1}, 'seq_len', '128'
  )


def test_sources_of_different_tokenizers_do_not_mix(sources, tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', [20] * 30)
  foreign = prepare(
    tmp_path, 'foreign', path, tokenizer=ByteTokenizer('another')
  )
  refuse(
    {**sources, 'foreign': foreign},
    {'docs': 1, 'foreign': 1},
    'tokenizer_fingerprint',
    'another',
  )


def test_a_source_without_loss_tokens_cannot_be_weighted_by_them(
  sources, monkeypatch
):
  counts = sources['chats'].counts.copy()
  counts[:, 1] = 0
  monkeypatch.setattr(sources['chats'], 'counts', counts)
  refuse(sources, WEIGHTS, '.chats', 'no loss_tokens', weight_by='loss_tokens')


@pytest.mark.parametrize(
  ('options', 'needle'),
  [
    ({'batch_size': 0}, 'batch_size=0'),
    ({'n_batches': 0}, 'n_batches=0'),
    ({'n_batches': 1.5}, 'n_batches=1.5'),
    ({'weight_by': 'documents'}, "weight_by='documents'"),
  ],
)
def test_other_settings_that_make_no_sense_are_refused(
  sources, options, needle
):
  refuse(sources, WEIGHTS, needle, **options)


def test_some_rows_of_a_batch_are_those_of_the_whole(sources):
  m = mixture(sources)
  whole, some = m.batch(2), m.batch(2, [5, 0, 6])
  assert_batches_equal(some, {k: v[[5, 0, 6]] for k, v in whole.items()})


def test_rows_that_a_batch_does_not_have_are_refused(sources):
  m = mixture(sources)
  for row in (-1, 8):
    with pytest.raises(ValueError, match=f'row {row} of a batch of 8'):
      m.batch(0, [0, row])
  with pytest.raises(ValueError, match='step: -1'):
    m.batch(-1)


def test_fingerprint_changes_with_all_that_changes_a_batch(sources, tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', [33] * 70, prefix='x')
  swapped = {**sources, 'other': prepare(tmp_path, 'other', path)}
  variants = [
    mixture(sources),
    mixture(swapped),
    mixture(sources, {**WEIGHTS, 'docs': 0.51}),
    mixture(sources, {'docs': 0.5, 'chats': 0.3}),
    mixture(sources, seed=1),
    mixture(sources, batch_size=16),
    mixture(sources, weight_by='loss_tokens'),
  ]
  assert len({v.fingerprint for v in variants}) == len(variants)
  assert mixture(sources, max_epochs=1000).fingerprint == (
    variants[0].fingerprint
  )


def test_a_batch_reads_only_its_own_records_however_late(sources, monkeypatch):
  """So step 1,000,000 costs what step 0 costs."""
  m = mixture(sources)
  read = []
  for name, source in sources.items():
    real = source.record
    monkeypatch.setattr(
      source,
      'record',
      lambda i, real=real, name=name: read.append((name, i)) or real(i),
    )
  for step in (0, 1_000_000):
    read.clear()
    m.batch(step)
    assert read == [(m.names[s], i) for s, i in m.rows(step)]


def calls_of(function) -> int:
  """Returns how many functions are called, of Python and of C."""
  events = []
  sys.setprofile(lambda frame, event, argument: events.append(event))
  try:
    function()
  finally:
    sys.setprofile(None)
  return sum(event in ('call', 'c_call') for event in events)


def test_a_first_batch_takes_as_little_work_after_a_million_steps(sources):
  """Nothing is replayed: not a record, not an order of rows."""
  near, far = (
    calls_of(lambda step=step: mixture(sources).batch(step))
    for step in (0, 1_000_000)
  )
  # Of two rows, one may be dealt earlier or of a later epoch: a few calls.
  assert far == pytest.approx(near, rel=0.05)


def test_threads_may_share_a_mixture(sources):
  m = mixture(sources)
  expected = [m.batch(step) for step in range(40)]
  results: list = [None] * 40

  def work(begin):
    for step in range(begin, 40, 4):
      results[step] = m.batch(step)

  threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  for got, want in zip(results, expected, strict=True):
    assert_batches_equal(got, want)


GOLDEN_FIRST = [
  (1, 204),
  (2, 8),
  (1, 48),
  (2, 57),
  (1, 126),
  (0, 37),
  (1, 47),
  (2, 44),
]
GOLDEN_MILLION = [
  (0, 21),
  (2, 45),
  (1, 122),
  (2, 9),
  (0, 29),
  (1, 132),
  (1, 131),
  (1, 245),
]
