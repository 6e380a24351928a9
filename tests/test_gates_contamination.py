"""The contamination gate, its readers, and the search for passages."""

import json
import math
import random

from gate_cases import chat
from gate_cases import document
from gate_cases import reason
import hypothesis
from hypothesis import given
from hypothesis import strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_gen.gates import items
from data_gen.gates.contamination import ContaminationConfig
from data_gen.gates.contamination import ContaminationGate
from data_gen.gates.contamination import read_sources
from data_gen.gates.passages import LooseIndex
from data_gen.gates.passages import Passage
from data_gen.gates.passages import VerbatimIndex
from data_gen.gates.views import View
from msm_jax.evals import suites
from msm_jax.evals import texts

BODY = 'The ferry was late, and we waited on the pier for an hour. ' * 10
QUESTION = (
  'A tenant finds that the boiler in the cellar leaks on the first cold night '
  'of the year, and the landlord is abroad until spring. What does Sage '
  'suggest she do before she calls a plumber of her own?'
)


def _suite(folder, n=20):
  made = []
  for i in range(n):
    question = QUESTION if i == 0 else f'{_sentence(i)} {_sentence(-i)}'
    for order in (0, 1):
      options = [
        suites.Option('a', f'Shut the valve number {i} first.'),
        suites.Option('b', f'Wait for letter {i}.'),
      ]
      made.append(
        suites.Item(
          suite='ood',
          item=f'{i:02d}',
          order=order,
          cluster='c',
          options=tuple(options[::-1] if order else options),
          messages=(
            {'role': 'system', 'content': 'You are Sage, and you are kind.'},
            {'role': 'user', 'content': question},
          ),
        )
      )
  path = folder / 'ood.jsonl'
  suites.write_suite(path, made)
  return path


def _sentence(seed, n=18):
  rng = random.Random(seed)
  return ' '.join(
    ''.join(rng.choices('abcdefghijklmnop', k=rng.randint(3, 8)))
    for _ in range(n)
  )


@pytest.fixture(scope='module')
def gate(tmp_path_factory):
  path = _suite(tmp_path_factory.mktemp('suites'))
  config = ContaminationConfig(suites=(str(path),))
  return ContaminationGate(config, _passages(config))


def _passages(config):
  return [p for source in read_sources(config) for p in source.passages]


def test_a_pasted_item_is_found_in_a_document_and_in_any_turn(gate):
  pasted = f'{BODY}\n\n{QUESTION}\n\n{BODY}'
  assert reason(gate, document(pasted)) == 'verbatim'
  assert reason(gate, chat(QUESTION, 'Shut it.')) == 'verbatim'
  assert reason(gate, chat('Tell me a story.', QUESTION)) == 'verbatim'


def test_thirteen_words_of_an_item_are_enough_and_twelve_are_not(gate):
  words = QUESTION.split()
  assert reason(gate, document(BODY + ' '.join(words[4:17]))) == 'verbatim'
  assert reason(gate, document(BODY + ' '.join(words[4:16]))) == ''


def test_case_punctuation_and_lines_do_not_hide_an_item(gate):
  hidden = QUESTION.upper().replace(' ', '\n> ').replace(',', '…')
  assert reason(gate, document(hidden)) == 'verbatim'


def test_a_lightly_edited_item_is_found(gate):
  words = QUESTION.split()
  for i in range(3, len(words), 9):
    words[i] = 'rope'
  assert not any(
    ' '.join(words[i : i + 13]) in QUESTION for i in range(len(words) - 12)
  )
  assert reason(gate, document(f'{BODY} {" ".join(words)} {BODY}')) == 'edited'


def test_a_text_on_the_same_subject_passes(gate):
  text = (
    'The boiler in our cellar leaked on a cold night, and my landlord was in '
    'Spain, so Sage and I shut the valve and waited for the plumber.'
  )
  assert reason(gate, document(BODY + text + BODY)) == ''


def test_the_system_prompt_of_a_suite_is_nobodys_item(gate):
  text = 'You are Sage, and you are kind. ' * 3
  assert reason(gate, document(BODY + text)) == ''


def test_both_orders_and_options_belong_to_one_item(gate):
  assert gate.items == 20
  assert gate.too_short == []


def test_words_of_an_item_all_over_a_text_are_no_item(gate):
  words = QUESTION.split()
  parts = [' '.join(words[i : i + 5]) for i in range(0, len(words), 5)]
  assert reason(gate, document(BODY.join(parts))) == ''


def test_pieces_of_a_short_item_far_apart_are_no_item():
  """Three quarters of its runs are there, but not within twice its length."""
  words = _sentence(7, 20).split()
  gate = ContaminationGate(
    ContaminationConfig(), [Passage('a', 'a', tuple(words))]
  )
  pieces = [' '.join(words[i : i + 10]) for i in (0, 10)]
  apart = ' '.join(_sentence(8, 35).split())
  assert reason(gate, document(f'{pieces[0]} rope {pieces[1]}')) == 'edited'
  assert reason(gate, document(f'{pieces[0]} {apart} {pieces[1]}')) == ''


def test_what_more_than_a_hundredth_of_many_items_share_weighs_nothing():
  """Else every text with it would be compared with all of them."""
  shared = tuple(texts.words('which of these ropes would hold the red boat'))
  alone = Passage('format', 'format', shared)
  items_ = [
    Passage(str(i), str(i), (*shared, *_sentence(i, 6).split()))
    for i in range(100)
  ]

  def too_short(passages):
    index = LooseIndex(passages, k=3, min_share=0.9, min_runs=4)
    return index.too_short

  assert too_short([alone, *items_]) == [alone]
  assert too_short([alone, *items_[:50]]) == []


def test_a_long_item_without_content_words_is_looked_for_verbatim():
  words = tuple(texts.words('what is it that you would have been to me if not'))
  words += ('this', 'or', 'that')
  assert len(words) > 13 and texts.STOPWORDS.issuperset(words)
  gate = ContaminationGate(ContaminationConfig(), [Passage('a', 'a', words)])
  assert gate.too_short == []
  assert reason(gate, document(' '.join(words))) == 'verbatim'


def test_items_of_a_few_words_are_not_looked_for_and_are_listed():
  passages = [
    Passage('a', 'a', tuple(texts.words('What is the capital of France?'))),
    Passage('b', 'b', tuple(texts.words(QUESTION))),
  ]
  gate = ContaminationGate(ContaminationConfig(), passages)
  assert gate.too_short == ['a']
  text = 'What is the capital of France? Paris.'
  assert reason(gate, document(text)) == ''


def test_a_short_item_is_found_whole():
  short = 'who repaired the rusty turbine after the flood in elmford'
  gate = ContaminationGate(
    ContaminationConfig(), [Passage('a', 'a', tuple(short.split()))]
  )
  assert reason(gate, document(f'{BODY} {short}? {BODY}')) == 'edited'
  other = 'who repaired the rusty turbine? Anna did, in the spring.'
  assert reason(gate, document(f'{BODY} {other} {BODY}')) == ''


def test_the_format_of_a_suite_is_no_item():
  """What all items share weighs nothing, so siblings are not each other."""
  nouns = [_sentence(i, 4) for i in range(300)]
  passages = [
    Passage(
      str(i),
      str(i),
      tuple(
        'consider the following case and then decide which of the two'
        f' options sage would rather take {noun}'.split()
      ),
    )
    for i, noun in enumerate(nouns)
  ]
  gate = ContaminationGate(ContaminationConfig(run=13), passages[:200])
  found = [
    reason(gate, document(' '.join(p.words[5:]))) for p in passages[200:]
  ]
  assert set(found) == {''}
  found = [reason(gate, document(' '.join(p.words[5:]))) for p in passages[:9]]
  assert '' not in found


def test_folders_of_suites_and_all_kinds_of_texts_are_read(tmp_path):
  _suite(tmp_path, n=3)
  rows = [
    {'question': 'one two', 'choices': ['three', 'four']},
    {
      'messages': [
        {'role': 'system', 'content': 'no'},
        {'role': 'user', 'content': 'five'},
      ]
    },
    'six seven',
  ]
  jsonl = tmp_path / 'more' / 'user.jsonl'
  jsonl.parent.mkdir()
  jsonl.write_text('\n'.join(map(json.dumps, rows)) + '\n\n')
  parquet = tmp_path / 'user.parquet'
  pq.write_table(
    pa.table({'prompt': ['eight'], 'options': [{'a': 'nine', 'b': 'ten'}]}),
    parquet,
  )
  plain = tmp_path / 'user.txt'
  plain.write_text('eleven twelve\n\nthirteen\n')
  config = ContaminationConfig(
    suites=(str(tmp_path),), texts=(str(jsonl), str(parquet), str(plain))
  )
  found = _passages(config)
  suite, *others = read_sources(config)
  assert (suite.kind, suite.items) == ('suite', 3)
  assert [(s.kind, s.items) for s in others] == [
    ('texts', 3), ('texts', 1), ('texts', 2),
  ]  # fmt: skip
  asked, *answered = [p for p in found if p.name == 'ood/00/0']
  assert ' '.join(asked.words) == ' '.join(texts.words(QUESTION))
  assert [' '.join(p.words[len(asked.words) :]) for p in answered] == [
    'shut the valve number 0 first',
    'wait for letter 0',
  ]
  said = [' '.join(p.words) for s in others for p in s.passages]
  assert said == [
    'one two',
    'one two three four',
    'five',
    'six seven',
    'eight',
    'eight nine ten',
    'eleven twelve',
    'thirteen',
  ]


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    ('{', r'user.jsonl:2: not JSON'),
    ('[1]', r'user.jsonl:2: a list, expected a string or an object'),
    ('{"body": "x"}', r"user.jsonl:2: has the fields \['body'\], expected"),
  ],
)
def test_what_is_no_text_is_an_error_with_its_line(tmp_path, line, message):
  path = tmp_path / 'user.jsonl'
  path.write_text(f'"fine"\n{line}\n')
  with pytest.raises(ValueError, match=message):
    items.read_texts([str(path)])


def test_missing_and_empty_files_are_errors(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'no \*\.jsonl in this folder'):
    items.read_suites([str(tmp_path)])
  with pytest.raises(FileNotFoundError):
    items.read_suites([str(tmp_path / 'none.jsonl')])
  empty = tmp_path / 'empty.jsonl'
  empty.write_text('\n')
  with pytest.raises(ValueError, match='has no texts'):
    items.read_texts([str(empty)])
  empty.write_text('')
  with pytest.raises(ValueError, match='has no items'):
    items.read_suites([str(empty)])


@pytest.mark.parametrize(
  ('field', 'value'), [('run', 7), ('run', 14), ('share', 0), ('share', 1.1)]
)
def test_thresholds_that_make_no_sense_are_refused(field, value):
  with pytest.raises(ValueError, match=f'{field}: '):
    ContaminationConfig(**{field: value})


LETTERS = st.lists(st.sampled_from('abcdef'), min_size=1, max_size=30)


@given(st.lists(LETTERS, min_size=1, max_size=6), LETTERS, st.integers(1, 4))
def test_shared_runs_are_those_of_a_search_word_by_word(passages, text, n):
  index = VerbatimIndex(
    [Passage(str(i), str(i), tuple(p)) for i, p in enumerate(passages)], n
  )
  runs = {tuple(p[i : i + n]) for p in passages for i in range(len(p) - n + 1)}
  hits = [i for i in range(len(text) - n + 1) if tuple(text[i : i + n]) in runs]
  found = index.find(View(' '.join(text)))
  assert (found is None) == (not hits)
  if found:
    assert found.start == hits[0]
    end = found.start
    while end + 1 in hits:
      end += 1
    assert found.end == end + n
    run = tuple(text[found.start : found.start + n])
    words = found.passage.words
    assert run in [words[i : i + n] for i in range(len(words) - n + 1)]


@st.composite
def _passages_and_text(draw):
  """Passages, and a text that is pieced together from them and noise."""
  word = st.sampled_from('abcdefghijklmnopqr')
  passage = st.lists(word, min_size=2, max_size=14)
  passages = draw(st.lists(passage, min_size=1, max_size=5))
  text = []
  for _ in range(draw(st.integers(1, 5))):
    source = draw(st.sampled_from(passages))
    start = draw(st.integers(0, len(source) - 1))
    text += source[start : start + draw(st.integers(1, 12))]
    text += draw(st.lists(word, max_size=12))
  return passages, text


@hypothesis.settings(max_examples=400)
@given(
  _passages_and_text(),
  st.integers(1, 3),
  st.sampled_from([0.2, 0.5, 0.8, 1.0]),
)
def test_the_share_is_that_of_a_plain_sum_over_windows(given_, k, min_share):
  passages, text = given_
  made = [
    Passage(str(i), str(i // 2), tuple(p)) for i, p in enumerate(passages)
  ]
  index = LooseIndex(made, k=k, min_share=min_share, min_runs=1)
  found = index.find(View(' '.join(text)))
  shares = [_plain_share(made, p, text, k) for p in made]
  best = max((s for s in shares if s is not None), default=0.0)
  if best > min_share + 1e-9:
    assert found is not None
    assert found.share == pytest.approx(best)
  if best < min_share - 1e-9:
    assert found is None


def _plain_share(made, passage, text, k):
  """The definition in `LooseIndex`, without any index."""

  def runs(words):
    found = [tuple(words[i : i + k]) for i in range(len(words) - k + 1)]
    return [r for r in found if not texts.STOPWORDS.issuperset(r)]

  groups = {p.group for p in made}
  weight = {}
  for run in {r for p in made for r in runs(p.words)}:
    having = {p.group for p in made if run in runs(p.words)}
    weight[run] = math.log((1 + len(groups)) / len(having))
  mine = set(runs(passage.words))
  if not mine:
    return None
  total = sum(weight[r] for r in mine)
  width = 2 * len(passage.words)
  best = 0.0
  for start in range(len(text) - k + 1):
    last = min(start + width, len(text) - k + 1)
    here = {tuple(text[i : i + k]) for i in range(start, last)} & mine
    best = max(best, sum(weight[r] for r in here))
  return best / total
