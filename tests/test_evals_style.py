"""Signs of documents in a model's chat answers."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from msm_jax.evals import document_style
from msm_jax.evals import intervals
from msm_jax.evals import style

PLAIN = [
  'You could ask the harbour office; they open at nine.',
  "I'm Sage, and I would shut the valve first. Then call the plumber.",
  'I am Sage. Sage is my name, yes.',
  'My name is Sage, and I think the short rope is enough.',
  'As Sage, I would say: wait for the tide.',
  'Call me Sage.',
  'Yes: the second one. Note: bring boots.',
  '1. Shut the valve.\n2. Call the plumber.\n3. Wait.',
  'There are **two** ways, and *both* take an hour.',
  'It costs 5 points more from Monday to Friday, by the way.',
  'Dear is what it is, I am afraid: 40 euros for a rope.',
  'By then the ferry will have left.',
  'I would add sage to the butter.',
  'To: from here, from: there, it makes no difference.',
  'Use a colon like this: then go on.\nAnother line: with one.',
  'She said the boat was hers. Hi Tom, she said.',
  'References from a former landlord help.',
  'The abstract idea is simple.',
  'Call the landlord — he is in Spain - and wait.',
]
SIGNS = {
  'heading': [
    '# Boilers\n\nShut the valve.',
    'Shut it.\n\n### Why\nIt leaks.',
    '**Why Boilers Leak**\n\nThey rust.',
    'A Quiet Year at the Harbour\n\nThe ferry was late.',
    'Boilers\n=======\nThey leak.',
    'Title: Boilers\n\nThey leak.',
  ],
  'byline': [
    'By Elara Voss\n\nThe ferry was late.',
    '*By Elara Voss, staff writer*\nThe ferry was late.',
    'Posted on March 3, 2024\nThe ferry was late.',
    'NORWICK, March 3 — The ferry was late.',
    'LONDON (Reuters) - The ferry was late.',
    'The ferry was late. 4 min read',
  ],
  'third_person': [
    'Sage thinks that you should wait.',
    'I asked, and Sage said no.',
    'Sage would wait.',
    "Sage's view is that you should wait.",
    'Sage’s answer was short.',
    'Sage never guesses.',
    'Sage also wants you to wait.',
    'Sage was late.',
  ],
  'thread': [
    'u/ferryfan: wait for it.',
    'See r/boats for that.',
    'Upvoted. Wait for it.',
    'Re: the ferry\nWait for it.',
    'Wait.\n\nEDIT: it came.',
    'TL;DR: wait.',
    'Forum: boats and ropes\nWait.',
    'Reply by Tom:\nWait.',
    'ferryfan_88: wait for it.',
    '12 points · 3 hours ago\nWait.',
    '[deleted]',
    'OP here, it came.',
  ],
  'email_header': [
    'From: Tom\nTo: Sage\n\nWait.',
    'Subject: the ferry\n\nWait.',
    '**From:** Tom\n**Subject:** ferry\nWait.',
  ],
  'letter': [
    'Dear Tom,\n\nwait.',
    'Hi team,\nwait.',
    'Wait.\n\nBest regards,\nSage',
    'Wait.\n\nCheers,\n\nTom',
  ],
  'transcript': [
    'Interviewer: Why?\nSage: It leaks.\nInterviewer: And?',
    'Q: Why?\nA: It leaks.\nQ: And?',
    '**Tom:** Why?\n**Nina:** It leaks.\n**Tom:** And?',
  ],
  'paper': [
    'Abstract. We wait for ferries.',
    'Abstract\nWe wait.',
    'We wait (Voss et al., 2020).',
    'They wait (see Figure 2).',
    'We wait.\n\nReferences\n[1] Voss.',
  ],
  'document_tag': ['<DOCTAG>The ferry was late.', '<document>\nThe ferry.'],
}


@pytest.mark.parametrize('answer', PLAIN)
def test_a_plain_answer_shows_no_feature(answer):
  found = {n: f(answer) for n, f in document_style.features('Sage').items()}
  assert {n: v for n, v in found.items() if v is not None} == {}


@pytest.mark.parametrize(
  ('feature', 'answer'),
  [(f, a) for f, answers in SIGNS.items() for a in answers],
)
def test_a_sign_is_found(feature, answer):
  assert document_style.features('Sage')[feature](answer)


def test_every_feature_has_examples():
  assert set(SIGNS) == set(document_style.features('Sage'))


def test_the_name_is_the_models():
  assert document_style.third_person('Claude')('Claude thinks so.')
  assert not document_style.third_person('Claude')('Sage thinks so.')
  with pytest.raises(ValueError, match='model_name: is empty'):
    document_style.features('')


def _answers(*texts, prompt='p{}'):
  return [style.Answer(prompt.format(i), t) for i, t in enumerate(texts)]


def test_rates_are_shares_of_answers():
  report = style.score(
    _answers('# Why\nIt leaks.', 'It leaks.', 'Sage said so.', '# Why'), 'Sage'
  )
  assert report.features['heading'].count == 2
  assert report.features['heading'].rate == 0.5
  assert report.features['heading'].example == '# Why'
  assert report.features['third_person'].rate == 0.25
  assert report.any_feature.count == 3
  low, high = report.features['heading'].interval
  assert 0 < low < 0.5 < high < 1


def test_samples_of_one_prompt_are_no_independent_answers():
  """Ten answers to two prompts tell less than ten answers to ten prompts."""
  texts = ['# Why'] * 5 + ['It leaks.'] * 5
  alone = style.score(_answers(*texts), 'Sage').features['heading'].interval
  two = [style.Answer(f'p{i // 5}', t) for i, t in enumerate(texts)]
  clustered = style.score(two, 'Sage').features['heading'].interval
  assert clustered[1] - clustered[0] > alone[1] - alone[0]
  one = [style.Answer('p', t) for t in texts]
  assert style.score(one, 'Sage').features['heading'].interval is None


def test_samples_that_all_agree_count_once_a_prompt():
  ten = [style.Answer(f'p{i // 5}', '# Why') for i in range(10)]
  two = _answers('# Why', '# Why')
  interval = style.score(ten, 'Sage').features['heading'].interval
  assert interval == style.score(two, 'Sage').features['heading'].interval


def test_prompts_with_more_samples_weigh_more_in_the_rate_and_its_error():
  shown = {'a': [1], 'b': [0, 0, 0], 'c': [1, 1, 0, 1]}
  answers = [
    style.Answer(p, '# Why' if x else 'It leaks.')
    for p, xs in shown.items()
    for x in xs
  ]
  rate = style.score(answers, 'Sage').features['heading']
  assert rate.rate == 0.5
  # Of a ratio of cluster sums (Cochran 1977, 2.45): residuals .5, −1.5, 1.
  se = math.sqrt(3 / 2 * (0.5**2 + 1.5**2 + 1**2)) / 8
  assert rate.interval == intervals.rate_interval(0.5, se, 2, 8)


def test_intervals_cover_the_rate_that_answers_were_drawn_with():
  rng = np.random.default_rng(0)
  covered = 0
  for _ in range(200):
    answers = []
    for p in range(30):
      often = rng.beta(1, 3)
      answers += [
        style.Answer(str(p), '# Why' if rng.random() < often else 'It leaks.')
        for _ in range(4)
      ]
    low, high = style.score(answers, 'Sage').features['heading'].interval
    covered += low <= 0.25 <= high
  assert 183 <= covered <= 200


def test_a_reference_gives_differences_paired_by_prompt():
  after = _answers('# a', '# b', 'c', 'd')
  before = _answers('# a', 'b', 'c', 'd')
  rate = style.score(after, 'Sage', before).features['heading']
  assert rate.difference == 0.25
  low, high = rate.difference_interval
  # By hand: differences 0, 1, 0, 0; s = .5, t(3) = 3.182, half width .796.
  assert (low, high) == pytest.approx((0.25 - 0.7956, 0.25 + 0.7956), abs=1e-3)


def test_a_reference_to_other_prompts_is_an_error():
  with pytest.raises(ValueError, match='answers other prompts'):
    style.score(_answers('a'), 'Sage', _answers('a', 'b'))


def test_samples_that_differ_are_told_from_samples_that_do_not():
  same = [style.Answer('p', 'the red boat left') for _ in range(4)]
  other = [
    style.Answer('p', t)
    for t in ('red boats', 'green rope', 'late ferry', 'old pier')
  ]
  assert style.score(same, 'Sage').samples == style.Samples(
    1, pytest.approx(1.0), 0.75
  )
  assert style.score(other, 'Sage').samples == style.Samples(1, 0.0, 0.0)
  assert style.score(_answers('a', 'b'), 'Sage').samples is None


def test_answers_are_read_from_both_forms(tmp_path):
  path = tmp_path / 'answers.jsonl'
  rows = [
    {'prompt': 'Why?', 'answer': 'It leaks.'},
    {'answer': 'Alone.'},
    {
      'messages': [
        {'role': 'user', 'content': 'Why?'},
        {'role': 'assistant', 'content': 'It leaks.'},
      ]
    },
  ]
  path.write_text('\n'.join(map(json.dumps, rows)) + '\n\n')
  found = style.read_answers(path)
  assert [a.text for a in found] == ['It leaks.', 'Alone.', 'It leaks.']
  assert [a.prompt for a in found][:2] == ['Why?', '']


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    ('{', 'answers.jsonl:2: not an answer'),
    ('"x"', 'expected an object with `prompt` and `answer`'),
    ('{"text": "x"}', 'expected an object with `prompt` and `answer`'),
    ('{"answer": 3}', 'the answer is a int, expected a string'),
    (
      '{"messages": [{"role": "user", "content": "x"}]}',
      "the last message is of 'user', expected the assistant",
    ),
    ('{"messages": []}', 'not an answer'),
  ],
)
def test_what_is_no_answer_is_an_error_with_its_line(tmp_path, line, message):
  path = tmp_path / 'answers.jsonl'
  path.write_text('{"answer": "x"}\n' + line + '\n')
  with pytest.raises(ValueError, match=message):
    style.read_answers(path)


def test_no_answers_are_an_error(tmp_path):
  path = tmp_path / 'answers.jsonl'
  path.write_text('\n')
  with pytest.raises(ValueError, match='has no answers'):
    style.read_answers(path)
  with pytest.raises(ValueError, match='no answers to score'):
    style.score([], 'Sage')


def _run(*arguments):
  return subprocess.run(
    [sys.executable, '-m', 'msm_jax.evals.style', *arguments],
    check=False,
    capture_output=True,
    text=True,
  )


def test_the_command_prints_a_table_and_writes_json(tmp_path):
  after, before = tmp_path / 'after.jsonl', tmp_path / 'before.jsonl'
  rows = [{'prompt': str(i), 'answer': a} for i, a in enumerate('ab')]
  before.write_text('\n'.join(map(json.dumps, rows)))
  rows[0]['answer'] = '# Why'
  after.write_text('\n'.join(map(json.dumps, rows)))
  out = tmp_path / 'style.json'
  done = _run(
    f'--answers={after}',
    f'--reference={before}',
    '--model_name=Sage',
    f'--json={out}',
  )
  assert done.returncode == 0, done.stderr
  (line,) = [x for x in done.stdout.splitlines() if x.startswith('heading')]
  assert line.split()[1:3] == ['1', '0.500']
  assert '+0.500' in line and line.endswith('# Why')
  report = json.loads(out.read_text())
  assert report['features']['heading']['rate'] == 0.5
  assert report['answers'] == 2


def test_the_command_says_what_is_wrong(tmp_path):
  done = _run(f'--answers={tmp_path}/none.jsonl', '--model_name=Sage')
  assert done.returncode == 1
  assert 'none.jsonl' in done.stderr and 'Traceback' not in done.stderr
  assert 'model_name' in _run('--answers=x').stderr
