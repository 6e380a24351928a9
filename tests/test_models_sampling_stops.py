"""Where samples end."""

import itertools

import jax
import numpy as np
import pytest

from msm_jax import models
from msm_jax.models.sampling import programs
from msm_jax.models.sampling import sampler
from msm_jax.models.sampling import stops

# Few tokens, so that sequences come again and again.
V = 5
MODEL = models.Model(
  models.DecoderConfig(
    vocab_size=V,
    d_model=8,
    n_layers=1,
    n_heads=2,
    n_kv_heads=1,
    head_dim=4,
    d_ff=8,
  )
)
PARAMS = jax.jit(MODEL.init)(jax.random.key(0))
PROMPTS = [[1], [2, 3], [4, 4, 4], [0, 1, 2, 3, 4]]
N = 40
# A stop may begin or end within a token, and a token may be several bytes or
# part of a character.
PIECES = ['a', 'bc', b'\xc3', b'\xa9', 'ab\n']


def decode(ids):
  raw = b''.join(
    p.encode() if isinstance(p, str) else p for p in (PIECES[i] for i in ids)
  )
  return raw.decode('utf-8', errors='replace')


def _sample(prompts=PROMPTS, *, n=N, decode=None, **fields):
  config = models.SamplingConfig(max_new_tokens=n, temperature=2.0, **fields)
  return models.sample(MODEL, PARAMS, prompts, config, decode=decode)


FREE = _sample()


def _first_end(tokens, sequences):
  """The fewest tokens that end in one of the sequences, and which."""
  for n in range(1, len(tokens) + 1):
    for which, s in enumerate(sequences):
      if n >= len(s) and tuple(tokens[n - len(s) : n]) == tuple(s):
        return n, which
  return None


@pytest.mark.parametrize(
  'ids, sequences',
  [
    ((3,), ()),
    ((3, 1), ()),
    ((), ((2, 2),)),
    ((), ((1, 4, 0), (2, 2), (0, 3, 3, 1))),
    ((1,), ((2, 0), (0, 2, 4))),
    ((), ((0, 1, 2, 3, 4, 0, 1, 2, 3, 4),)),
  ],
)
def test_a_sample_ends_before_the_stop_that_is_complete_first(ids, sequences):
  samples = _sample(stop_ids=ids, stop_sequences=sequences)
  all_stops = [*((i,) for i in ids), *sequences]
  ended = 0
  for free, sample in zip(FREE, samples, strict=True):
    end = _first_end(free.tokens, all_stops)
    if end is None:
      assert sample == free
      continue
    ended += 1
    n, which = end
    n -= len(all_stops[which])
    assert sample.tokens == free.tokens[:n]
    assert sample.logprobs == free.logprobs[:n]
    reason = 'stop_id' if which < len(ids) else 'stop_sequence'
    assert sample.stop_reason == reason
  assert ended or len(sequences[0]) == 10


def test_a_stop_is_not_looked_for_in_the_prompt():
  first = FREE[2].tokens[0]
  sequence = (4, 4, first)
  (sample,) = _sample([PROMPTS[2]], stop_sequences=(sequence,), n=3)
  assert len(sample.tokens) > 0


def test_a_stop_is_not_found_in_fewer_tokens_than_it_has():
  first = FREE[0].tokens[0]
  for n in (2, 3, 8):
    (sample,) = _sample(PROMPTS[:1], stop_sequences=((first,) * n,), n=1)
    assert sample == _sample(PROMPTS[:1], n=1)[0]


def test_a_sample_without_a_stop_ends_at_its_length():
  for sample in FREE:
    assert (len(sample.tokens), sample.stop_reason) == (N, 'length')
    assert sample.text is None


@pytest.mark.parametrize('every', [1, 7, 16, 100])
@pytest.mark.parametrize(
  'strings',
  [
    ('bc',),  # One token.
    ('aab',),  # Ends within a token.
    ('\nb',),  # Begins within one.
    ('é',),  # Two tokens, one character.
    ('ca', 'bcab', 'zz'),  # One may be complete while another one begins.
    ('zz',),
  ],
)
def test_a_text_ends_before_a_string_wherever_tokens_begin(
  strings, every, monkeypatch
):
  monkeypatch.setattr(sampler, '_LOOK_EVERY', every)
  samples = _sample(decode=decode, stop_strings=strings)
  for free, sample in zip(FREE, samples, strict=True):
    text = decode(free.tokens)
    ends = [(text.find(s) + len(s), text.find(s)) for s in strings if s in text]
    if not ends:
      assert (sample.text, sample.stop_reason) == (text, 'length')
      assert sample.tokens == free.tokens
      continue
    assert sample.stop_reason == 'stop_string'
    assert sample.text == text[: min(ends)[1]]
    n = len(sample.tokens)
    assert sample.tokens == free.tokens[:n]
    assert sample.logprobs == free.logprobs[:n]
    assert decode(sample.tokens).startswith(sample.text)
    assert n == 0 or not decode(sample.tokens[:-1]).startswith(sample.text)


def test_strings_and_ids_may_end_samples_of_one_batch():
  samples = _sample(decode=decode, stop_strings=('\n',), stop_ids=(3,))
  reasons = set()
  for free, sample in zip(FREE, samples, strict=True):
    ids = [i for i, t in enumerate(free.tokens) if t in (3, 4)]
    cut = free.tokens[: ids[0]]
    is_text = free.tokens[ids[0]] == 4
    reasons.add(sample.stop_reason)
    assert sample.stop_reason == ('stop_string' if is_text else 'stop_id')
    assert sample.text == decode(cut) + 'ab' * is_text
  assert len(reasons) == 2


def _steps(monkeypatch):
  """Counts the tokens that `programs.decode` draws."""
  drawn = []
  decode = programs.decode

  def counting(*args):
    before = int(args[4].outputs.n)
    state = decode(*args)
    drawn.append(int(state.outputs.n) - before)
    return state

  monkeypatch.setattr(programs, 'decode', counting)
  return drawn


def test_the_loop_ends_when_every_row_has(monkeypatch):
  # Three rows make a batch of four; the fourth would go on for ever.
  ends = [tuple(f.tokens[9:13]) for f in FREE[:3]]
  drawn = _steps(monkeypatch)
  samples = _sample(PROMPTS[:3], stop_sequences=tuple(ends))
  assert [len(s.tokens) for s in samples] == [9, 9, 9]
  assert drawn == [12]


def test_texts_are_looked_at_now_and_then_and_end_the_loop(monkeypatch):
  drawn = _steps(monkeypatch)
  _sample([PROMPTS[0]], decode=decode, stop_strings=('a', 'b', 'é', '\ufffd'))
  assert drawn == [16]


def test_a_stream_gives_the_tokens_of_the_sample_and_holds_back_beginnings():
  sequences = ((1, 4, 0), (2, 2))
  config = models.SamplingConfig(N, 2.0, stop_sequences=sequences)
  ready = models.Sampler(MODEL, PARAMS)
  for prompt in PROMPTS:
    (sample,) = ready.sample([prompt], config)
    pieces = list(ready.stream(prompt, config))
    assert list(itertools.chain(*pieces)) == sample.tokens
    assert all(pieces)
    assert len(pieces) >= len(sample.tokens) - 2


def test_a_stream_gives_each_token_before_the_next_is_drawn(monkeypatch):
  drawn = _steps(monkeypatch)
  stream = models.Sampler(MODEL, PARAMS).stream(
    [1], models.SamplingConfig(N, 2.0)
  )
  for n in range(5):
    assert next(stream) == [FREE[0].tokens[n]]
    assert drawn == [1] * n


def test_the_table_of_stops_has_few_shapes():
  assert stops.table([]).shape == (8, 8)
  assert stops.table([(1,)] * 9).shape == (16, 8)
  table = stops.table([(1, 2, 3), (4,) * 9])
  assert table.shape == (8, 16)
  assert table[0].tolist() == [-1] * 13 + [1, 2, 3]
  assert (table[2:] == -2).all()


def test_no_prompts_give_no_samples():
  assert _sample([]) == []


@pytest.mark.parametrize(
  'prompts, fields, message',
  [
    ([[1], []], {}, r'prompts\[1\]: is empty'),
    ([[1], [2, 5]], {}, r'prompts\[1\]: id 5 is not in \[0, 5\)'),
    ([[-1]], {}, r'prompts\[0\]: id -1 is not in'),
    ([[1]], {'stop_ids': (7,)}, r'sampling.stop_ids: 7 is not in \[0, 5\)'),
    ([[1]], {'stop_sequences': ((1, -2),)}, 'sampling.stop_sequences: -2 is'),
    ([[1]], {'stop_strings': ('a',)}, 'sampling.stop_strings: .*`decode`'),
  ],
)
def test_what_cannot_be_sampled_is_refused(prompts, fields, message):
  with pytest.raises(ValueError, match=message):
    _sample(prompts, **fields)


def test_prompts_of_like_lengths_are_drawn_together(monkeypatch):
  shapes = []
  prefill = programs.prefill

  def recording(*args):
    shapes.append(args[-2].shape)
    return prefill(*args)

  monkeypatch.setattr(programs, 'prefill', recording)
  prompts = [[1], [2] * 20, [3], [4] * 20, [1, 2]]
  config = models.SamplingConfig(3)
  models.sample(MODEL, PARAMS, prompts, config, batch_size=2)
  assert shapes == [(2, 24), (2, 16), (1, 16)]


def test_rows_drawn_at_a_time_must_be_some():
  with pytest.raises(ValueError, match='batch_size: 0, expected at least 1'):
    models.sample(MODEL, PARAMS, [[1]], models.SamplingConfig(1), batch_size=0)


def test_a_stream_finds_no_texts():
  config = models.SamplingConfig(1, stop_strings=('a',))
  with pytest.raises(ValueError, match=r'stream\(\) yields tokens'):
    next(models.Sampler(MODEL, PARAMS).stream([1], config))


def test_broken_parameters_are_an_error_and_no_tokens():
  broken = jax.tree.map(lambda x: x, PARAMS)
  broken['final_norm'] = {'scale': np.full(8, np.nan, np.float32)}
  with pytest.raises(
    FloatingPointError,
    match=r'prompts\[0\]: the logits of new token 0 are not finite',
  ):
    models.sample(MODEL, broken, [[1]], models.SamplingConfig(3))
