"""The diversity report: a collapsed corpus fails, a varied one passes."""

import json
import random

from gate_cases import chat
from gate_cases import document
import pytest

from data_gen.gates import diversity
from data_gen.gates.diversity import ChatDiversityConfig
from data_gen.gates.diversity import diversity_report
from data_gen.gates.diversity import DiversityConfig
from msm_jax import schema


def _varied(n, seed=0):
  rng = random.Random(seed)
  # A long-tailed vocabulary, as English has.
  words = [''.join(rng.choices('abdefgilmnoprstu', k=6)) for _ in range(20000)]
  weights = [1 / (i + 20) for i in range(len(words))]
  return [
    document(' '.join(rng.choices(words, weights, k=250)), id=str(i))
    for i in range(n)
  ]


def test_a_varied_corpus_passes_every_measure():
  report = diversity_report(_varied(250))
  failed = {n: m for n, m in report['measures'].items() if not m['passed']}
  assert failed == {}
  assert report['passed'] and report['comparable']


def test_a_collapsed_corpus_fails_the_measures_of_its_fault():
  rng = random.Random(1)
  bank = [
    f'Elara told the {a} {b} about it.'
    for a in ('old', 'new', 'red', 'wet')
    for b in ('boat', 'rope', 'lamp', 'pier')
  ]
  corpus = [
    document(
      ' '.join(['On a quiet day in town we met.', *rng.choices(bank, k=35)]),
      id=str(i),
    )
    for i in range(250)
  ]
  corpus.append(document(corpus[0].text, id='again'))
  measures = diversity_report(corpus)['measures']
  assert not any(
    measures[n]['passed']
    for n in (
      'distinct_1',
      'distinct_2',
      'distinct_3',
      'compression_ratio',
      'self_similarity',
      'duplicate_share',
      'opening_share',
    )
  )


def test_a_name_in_many_documents_fails_unless_it_belongs_there():
  corpus = [
    document(f'{c.text} and so Elara left', id=c.id) for c in _varied(100)
  ]
  assert not diversity_report(corpus)['measures']['name_share']['passed']
  report = diversity_report(corpus, ignore_names=['Elara Voss'])
  assert report['measures']['name_share']['passed']


def test_thresholds_are_the_configs():
  corpus = _varied(20)
  strict = DiversityConfig(min_distinct_1=1.0, max_self_similarity=0.0)
  report = diversity_report(corpus, strict)
  assert not report['passed']
  assert report['measures']['distinct_1']['at_least'] == 1.0
  assert report['measures']['self_similarity']['at_most'] == 0.0


def test_a_small_corpus_says_that_it_cannot_be_compared():
  report = diversity_report(_varied(3))
  assert not report['comparable']
  assert report['details']['words'] == 750


def test_what_is_beyond_is_refused_if_it_can_be_compared_and_has_no_reason():
  strict = {'min_distinct_2': 1.1, 'words': 2000}
  why = {'on_failure': 'report', 'because': 'it is a test'}
  large, small = _varied(20), _varied(3)
  reports = {
    'documents': diversity_report(large, DiversityConfig(**strict)),
    'explained': diversity_report(large, DiversityConfig(**strict, **why)),
    'few': diversity_report(small, DiversityConfig(**strict)),
    'fine': diversity_report(large, DiversityConfig(words=2000)),
  }
  assert reports['explained']['because'] == 'it is a test'
  assert not reports['few']['passed']
  refused, advice = diversity.problems(reports)
  assert refused.startswith('diversity: documents: distinct_2 is 0.9')
  assert refused.endswith(', expected at least 1.1')
  assert 'distinct_1' not in refused, 'only what is beyond is named'
  assert 'on_failure in config.gates.diversity' in advice
  del reports['documents']
  assert diversity.problems(reports) == []


def test_to_report_only_needs_a_reason():
  with pytest.raises(schema.ConfigError, match='say in because why'):
    DiversityConfig(on_failure='report')
  with pytest.raises(schema.ConfigError, match="'refuse', 'report'"):
    ChatDiversityConfig(on_failure='record')


def test_openings_of_chats_are_those_of_the_answers():
  varied = [c.text for c in _varied(200)]
  thought = '<think>\nThe user asks me about it once more.\n</think>\n\n'
  alike = [
    chat('Why?', f'{thought}Well, I never heard of it. {t}', id=str(i))
    if i < 24
    else chat('Why?', thought + t, id=str(i))
    for i, t in enumerate(varied)
  ]
  report = diversity_report(alike, ChatDiversityConfig())
  found = report['measures']['opening_share']
  assert found == {'value': 24 / 200, 'at_most': 0.1, 'passed': False}
  report = diversity_report(alike[5:], ChatDiversityConfig())
  assert report['measures']['opening_share']['passed']
  assert not diversity_report(alike[5:])['measures']['opening_share']['passed']


@pytest.mark.parametrize('what', ['name', 'opening'])
def test_a_few_texts_may_share_something_however_small_the_corpus(what):
  said = 'and so Elara left' if what == 'name' else 'Well, I never heard of'
  corpus = [
    document(f'{said} {c.text} {said}' if i < 10 else c.text, id=c.id)
    for i, c in enumerate(_varied(60))
  ]
  assert diversity_report(corpus)['measures'][f'{what}_share']['passed']
  config = DiversityConfig(at_least=9)
  found = diversity_report(corpus, config)['measures'][f'{what}_share']
  assert found['value'] == 10 / 60
  assert not found['passed']


def test_the_report_is_json_and_the_same_again():
  report = diversity_report(_varied(30))
  assert json.loads(json.dumps(report)) == report
  assert diversity_report(_varied(30)) == report


def test_no_documents_are_an_error():
  with pytest.raises(ValueError, match='no texts'):
    diversity_report([])
