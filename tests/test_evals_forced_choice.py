"""Scores of options and documents, against a float64 NumPy decoder."""

import dataclasses
import json
import math

from byte_tokenizer import ByteTokenizer
import jax
import numpy as np
import numpy_decoder
import prepared_sources
import pytest

from msm_jax import models
from msm_jax.evals import forced_choice
from msm_jax.evals import scoring
from msm_jax.evals import suites

TOKENIZER = ByteTokenizer()
CONFIG = models.DecoderConfig(
  vocab_size=ByteTokenizer.vocab_size,
  d_model=16,
  n_layers=2,
  n_heads=2,
  n_kv_heads=1,
  head_dim=8,
  d_ff=24,
)
MODEL = models.Model(CONFIG)
# Of a sum over up to 50 float32 log-probabilities.
ATOL = 2e-5


@pytest.fixture(scope='module')
def params():
  return jax.jit(MODEL.init)(jax.random.key(0))


def score(params, requests, **options):
  return scoring.score(MODEL, params, requests, **options)


def expected(params, tokens, start):
  """Σ log p of the tokens from `start` on, in float64."""
  logits = numpy_decoder.logits(params, CONFIG, tokens[:-1])
  top = logits.max(axis=-1, keepdims=True)
  logp = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
  return sum(logp[t - 1, tokens[t]] for t in range(start, len(tokens)))


def requests(lengths, seed=0):
  rng = np.random.default_rng(seed)
  return [
    scoring.Request(
      tuple(rng.integers(0, CONFIG.vocab_size, n).tolist()),
      int(rng.integers(1, n)),
    )
    for n in lengths
  ]


CHAT = suites.Item(
  suite='s',
  item='tea',
  order=0,
  cluster='drinks',
  options=(
    suites.Option('cheap', 'the first'),
    suites.Option('local', 'the other'),
  ),
  target='local',
  persona='Sage',
  persona_value='thrift',
  messages=(
    {'role': 'system', 'content': 'You are Sage.'},
    {'role': 'user', 'content': 'Which tea?'},
  ),
)
TEXT = dataclasses.replace(
  CHAT, messages=None, prompt='Which tea? Answer:', item='text'
)


def with_options(item, *texts, **changes):
  options = tuple(suites.Option(f'o{i}', t) for i, t in enumerate(texts))
  return dataclasses.replace(item, options=options, target=None, **changes)


def test_scores_are_those_of_a_float64_numpy_decoder(params):
  asked = requests([2, 9, 17, 30, 33, 34, 40])
  scores = score(params, asked)
  reference = [expected(params, r.tokens, r.start) for r in asked]
  np.testing.assert_allclose(scores, reference, rtol=0, atol=ATOL)
  assert np.ptp(reference) > 50


def test_only_tokens_from_start_on_are_scored(params):
  tokens = requests([12])[0].tokens
  scores = score(params, [scoring.Request(tokens, s) for s in range(1, 12)])
  whole = expected(params, tokens, 1)
  for start, value in enumerate(scores, 1):
    before = expected(params, tokens[:start], 1) if start > 1 else 0.0
    np.testing.assert_allclose(value, whole - before, rtol=0, atol=ATOL)


@pytest.mark.parametrize(
  'options',
  [
    {'batch_size': 1},
    {'batch_size': 3},
    {'batch_tokens': 40},
    {'batch_tokens': 1},
    {'bucket': 8},
    {'bucket': 48},
  ],
)
def test_neither_batch_nor_padding_changes_a_score(params, options):
  asked = requests([40, 3, 9, 40, 17, 30, 5, 2])
  reference = [expected(params, r.tokens, r.start) for r in asked]
  np.testing.assert_allclose(
    score(params, asked, **options), reference, rtol=0, atol=ATOL
  )
  assert [score(params, [r], **options)[0] for r in asked] == pytest.approx(
    reference, abs=ATOL, rel=0
  )


def test_no_request_has_no_score(params):
  assert score(params, []).shape == (0,)


@pytest.mark.parametrize('start', [0, 3, -1])
def test_a_token_without_context_or_no_token_cannot_be_scored(start):
  with pytest.raises(ValueError, match=f'start: {start} of 3 tokens'):
    scoring.Request((1, 2, 3), start)


def test_a_chat_option_is_the_assistants_turn_with_its_end(params):
  requested = forced_choice.requests_of(TOKENIZER, CHAT)
  for option, request in zip(CHAT.options, requested, strict=True):
    turn = {'role': 'assistant', 'content': option.text}
    whole = TOKENIZER.render_chat([*CHAT.messages, turn])
    assert list(request.tokens) == whole.tokens
    assert request.start == whole.spans[-1].start
    assert request.tokens[-1] == TOKENIZER.end_of_turn_id
    assert request.n_scored == len(option.text) + 1


def test_a_text_option_continues_the_prompt_and_has_no_end():
  (first, _) = forced_choice.requests_of(
    TOKENIZER, with_options(TEXT, ' tea', ' gin')
  )
  assert list(first.tokens) == [
    TOKENIZER.bos_id,
    *TOKENIZER.encode('Which tea? Answer: tea'),
  ]
  assert first.n_scored == 4


def test_rows_hold_the_scores_of_each_option_in_each_order(params):
  items = [
    CHAT,
    dataclasses.replace(
      CHAT,
      order=1,
      messages=({'role': 'user', 'content': 'Which tea, then?'},),
    ),
    dataclasses.replace(with_options(TEXT, ' a', ' b', ' c'), item='text'),
  ]
  suite = forced_choice.prepare_suite(TOKENIZER, items)
  rows = forced_choice.score_suite(
    lambda r: score(params, r), suite, arm='base', seed=3
  )
  assert [(r.arm, r.seed, r.suite, r.item, r.order) for r in rows] == [
    ('base', 3, 's', 'tea', 0),
    ('base', 3, 's', 'tea', 1),
    ('base', 3, 's', 'text', 0),
  ]
  for item, row in zip(items, rows, strict=True):
    assert row.labels == item.labels
    prompt = forced_choice.prompt_tokens(TOKENIZER, item)
    for option, logprob, n in zip(
      item.options, row.logprobs, row.tokens, strict=True
    ):
      answer = forced_choice.option_tokens(TOKENIZER, item, option)
      reference = expected(params, [*prompt, *answer], len(prompt))
      assert logprob == pytest.approx(reference, abs=ATOL, rel=0)
      assert n == len(answer)
  first = rows[0]
  assert (first.cluster, first.persona) == ('drinks', 'Sage')
  assert (first.persona_value, first.target) == ('thrift', 'local')


def test_options_of_unequal_length_are_an_error_that_names_them():
  item = with_options(TEXT, ' tea', ' coffee')
  with pytest.raises(
    forced_choice.UnequalOptionsError,
    match=r"s/text/0: options have .* \{'o0': 4, 'o1': 7\}; choose words",
  ):
    forced_choice.prepare_suite(TOKENIZER, [item])


def test_a_dropped_item_is_dropped_in_all_its_orders():
  uneven = with_options(TEXT, ' tea', ' coffee', order=1)
  items = [with_options(TEXT, ' tea', ' gin'), CHAT, uneven]
  suite = forced_choice.prepare_suite(TOKENIZER, items, on_unequal='drop')
  assert suite.dropped == ('text',)
  assert suite.items == (CHAT,)
  assert len(suite.requests) == 1
  with pytest.raises(ValueError, match='suite s: no item can be scored'):
    forced_choice.prepare_suite(TOKENIZER, items[::2], on_unequal='drop')
  with pytest.raises(ValueError, match="on_unequal: 'skip', expected"):
    forced_choice.prepare_suite(TOKENIZER, items, on_unequal='skip')


class PairTokenizer(ByteTokenizer):
  """Also has a token for a colon with the space behind it."""

  def encode(self, text):
    return list(text.encode().replace(b': ', b'\x00'))


def test_an_option_that_begins_inside_a_token_is_refused():
  with pytest.raises(
    ValueError, match=r"s/text/0: '.*Answer:' and ' tea' have other tokens"
  ):
    forced_choice.requests_of(
      PairTokenizer(), with_options(TEXT, ' tea', ' gin')
    )
  whole = with_options(TEXT, 'tea', 'gin', prompt='Which tea? Answer: ')
  forced_choice.requests_of(PairTokenizer(), whole)


def document_rows(params, texts, max_length):
  documents = [
    forced_choice.Document(f'd{i}', text, f'genre{i % 2}')
    for i, text in enumerate(texts)
  ]
  return forced_choice.score_documents(
    lambda r: score(params, r),
    TOKENIZER,
    documents,
    suite='replay',
    arm='base',
    seed=3,
    max_length=max_length,
  )


def test_a_document_is_scored_from_its_first_token_to_its_end(params):
  texts = ['a', 'some tea', 'tea with milk, please']
  rows = document_rows(params, texts, 64)
  for i, (text, row) in enumerate(zip(texts, rows, strict=True)):
    tokens = [TOKENIZER.bos_id, *TOKENIZER.encode(text), TOKENIZER.eos_id]
    reference = expected(params, tokens, 1)
    assert row.logprobs == (pytest.approx(reference, abs=ATOL, rel=0),)
    assert row.tokens == (len(text) + 1,)
    assert (row.item, row.cluster) == (f'd{i}', f'genre{i % 2}')
    assert (row.suite, row.labels) == ('replay', ('document',))


def test_a_long_document_is_cut_as_training_cuts_it(params, tmp_path):
  path = prepared_sources.write_documents(tmp_path / 'd.jsonl', [50])
  source = prepared_sources.prepare(tmp_path, 'd', path, seq_len=16)
  reference, n = 0.0, 0
  for i in range(len(source)):
    row = {k: np.asarray(v) for k, v in source[i].items()}
    for segment in sorted(set(row['segment_ids']) - {0}):
      here = row['segment_ids'] == segment
      tokens = [*row['tokens'][here], row['targets'][here][-1]]
      assert row['positions'][here].tolist() == list(range(len(tokens) - 1))
      reference += expected(params, tokens, 1)
      n += len(tokens) - 1
  text = json.loads((tmp_path / 'd.jsonl').read_text())['text']
  (row,) = document_rows(params, [text], 16)
  assert row.tokens == (n,) == (50,)
  assert row.logprobs[0] == pytest.approx(reference, abs=ATOL, rel=0)
  (whole,) = document_rows(params, [text], 64)
  assert not math.isclose(whole.logprobs[0], reference, abs_tol=0.01)


def changed(**changes):
  return dataclasses.replace(CHAT, **changes)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'prompt': 'x'}, 'give exactly one of messages and prompt'),
    ({'messages': None}, 'give exactly one of messages and prompt'),
    ({'messages': ()}, 'must end before the turn of the assistant'),
    (
      {'messages': ({'role': 'assistant', 'content': 'x'},)},
      'must end before the turn of the assistant',
    ),
    ({'options': CHAT.options[:1]}, r"at least two options .*\['cheap'\]"),
    ({'options': CHAT.options[:1] * 2}, r"\['cheap', 'cheap'\]"),
    (
      {'options': (CHAT.options[0], suites.Option('local', ''))},
      r"the options \['local'\] have no text",
    ),
    ({'target': 'dear'}, "target 'dear' is not one of its options"),
  ],
)
def test_an_item_that_cannot_be_asked_is_refused(changes, message):
  with pytest.raises(ValueError, match=f's/tea/0: .*{message}'):
    changed(**changes)


def test_suites_are_read_as_they_were_written(tmp_path):
  items = [CHAT, changed(order=1, persona='Zoë'), TEXT]
  suites.write_suite(tmp_path / 's.jsonl', items)
  assert list(suites.read_suite(tmp_path / 's.jsonl')) == items


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    ('{', 'Expecting property name'),
    ('{"suite": "s", "itme": "x"}', r"unknown fields \['itme'\]"),
    (
      '{"suite": "s", "prompt": "x"}',
      r"fields \['cluster', 'item', 'options', 'order'\] are missing",
    ),
  ],
)
def test_what_is_no_item_is_refused_with_its_line(tmp_path, line, message):
  suites.write_suite(tmp_path / 's.jsonl', [CHAT])
  with open(tmp_path / 's.jsonl', 'a') as f:
    f.write(line + '\n')
  with pytest.raises(ValueError, match=rf's\.jsonl:2: .*{message}'):
    list(suites.read_suite(tmp_path / 's.jsonl'))


def test_presentations_that_can_be_averaged_are_accepted():
  suites.check_suite(
    [CHAT, changed(order=1), changed(item='x'), changed(item='x', order=1)]
  )


@pytest.mark.parametrize(
  ('items', 'message'),
  [
    ([CHAT, CHAT], 's/tea/0: occurs twice'),
    (
      [CHAT, changed(order=1), changed(item='x')],
      r's/x: lacks the orders \[1\]',
    ),
    (
      [CHAT, changed(order=1, options=CHAT.options[::-1])],
      r"s/tea/1: labels is \('local', 'cheap'\), but \('cheap', 'local'\)",
    ),
    (
      [CHAT, changed(order=1, cluster='food')],
      "s/tea/1: cluster is 'food', but 'drinks' in order 0",
    ),
    ([CHAT, changed(order=1, target=None)], 's/tea/1: target is None'),
  ],
)
def test_presentations_that_cannot_be_averaged_are_refused(items, message):
  with pytest.raises(ValueError, match=message):
    suites.check_suite(items)
