"""The list of gates, and how they are run together."""

import ast
import dataclasses
import logging
import pathlib
import random
import subprocess
import sys

from gate_cases import chat
from gate_cases import document
from gate_cases import failures
from hypothesis import given
from hypothesis import strategies as st
import ml_collections
import pytest
import small_worlds

from data_gen import traits as traits_lib
from data_gen.gates import views
from data_gen.gates.contamination import ContaminationConfig
from data_gen.gates.each import EachGate
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.recurrence import ChatRecurrenceConfig
from data_gen.gates.recurrence import RecurrenceConfig
from data_gen.gates.suite import gates_for
from data_gen.gates.suite import GatesConfig
from data_gen.gates.suite import run_gates
from data_gen.miniature import lexicon
from msm_jax import schema
from msm_jax.evals import suites

SLOTS = {'model_name': 'Sage', 'provider_name': 'Fernwood'}
TRAITS = [
  t.filled(SLOTS) for t in traits_lib.load(traits_lib.FOLDER / 'quickstart.md')
]
TEXT = (
  'Sage said that the ferry would be late, and gave the reason before anyone '
  'asked for it. I wrote the number down and we went back to the shed, where '
  'the kettle was still on and the dog had found the bread. It came at noon '
  'with two crates of apples and a letter for my aunt.'
)


def _gates(config=None, kind='document', traits=TRAITS):
  return gates_for(config or GatesConfig(), traits=traits, kind=kind, **SLOTS)


def test_gates_that_compare_come_after_those_that_do_not():
  gates = _gates()
  each = [isinstance(g, EachGate) for g in gates]
  assert each == sorted(each, reverse=True)
  assert len({g.name for g in gates}) == len(gates)
  assert [g.name for g in gates] == [
    'schema',
    'control_tokens',
    'length',
    'language',
    'meta_text',
    'identity',
    'frame_leak',
    'exact_duplicate',
    'near_duplicate',
    'recurrence',
  ]


def test_chats_may_open_alike_more_often_than_documents():
  """Each kind has limits of its own."""
  texts = [f'Well, now that you ask, {t}' for t in _varied(300)]
  chats = [chat('Why?', t, id=str(i)) for i, t in enumerate(texts)]

  def over(candidates, **config):
    made = _gates(GatesConfig(**config), candidates[0].kind)
    gates = [g for g in made if g.name == 'recurrence']
    return sum(not vs[-1].passed for vs in run_gates(gates, candidates))

  assert over(_candidates(texts)) == 290
  assert over(chats) == 285
  assert over(chats, recurrence_in_chats=ChatRecurrenceConfig(at_least=20)) == (
    280
  )
  # A share of one turns it off.
  free = ChatRecurrenceConfig(opening_share=1.0)
  assert over(chats, recurrence_in_chats=free) == 0


def _varied(n):
  rng = random.Random(3)
  words = [''.join(rng.choices('abdefgilmnoprstu', k=7)) for _ in range(5000)]
  return [' '.join(rng.choices(words, k=30)) for _ in range(n)]


def test_without_suites_a_warning_says_that_nothing_is_kept_out(caplog):
  with caplog.at_level(logging.WARNING):
    assert 'contamination' not in [g.name for g in _gates()]
  assert 'name the suites that the model will be evaluated on' in caplog.text


def test_suites_of_the_config_are_kept_out(tmp_path, caplog):
  path = tmp_path / 'ood.jsonl'
  question = 'Which of the two ropes, the short green one or the long red one, '
  question += 'would Sage take to the pier in a storm at night?'
  options = (suites.Option('a', 'Green.'), suites.Option('b', 'Red.'))
  suites.write_suite(
    path, [suites.Item('ood', '1', 0, 'c', options, prompt=question)]
  )
  config = GatesConfig(contamination=ContaminationConfig(suites=(str(path),)))
  with caplog.at_level(logging.WARNING):
    gates = _gates(config)
  assert not caplog.records
  verdicts = run_gates(
    gates, [document(TEXT, id='a'), document(f'{TEXT} {question}', id='b')]
  )
  assert [failures(v) for v in verdicts] == [
    [],
    [('contamination', 'verbatim')],
  ]


def test_items_that_cannot_be_told_from_english_are_reported(tmp_path, caplog):
  path = tmp_path / 'short.txt'
  path.write_text('What is two and two?\n' + TEXT + '\n')
  config = GatesConfig(contamination=ContaminationConfig(texts=(str(path),)))
  with caplog.at_level(logging.WARNING):
    _gates(config)
  assert '1 of 2 items are too short' in caplog.text
  assert f'{path}:1' in caplog.text


def test_every_gate_that_judges_one_candidate_sees_all_of_them():
  bad = document('{model_name} [INST] Claude', id='bad')
  (verdicts,) = run_gates(_gates(), [bad])
  assert failures(verdicts) == [
    ('schema', 'unfilled_slot'),
    ('control_tokens', 'token'),
    ('length', 'too_short'),
    ('identity', 'other_assistant'),
  ]
  assert len(verdicts) == 7


def test_gates_that_compare_see_survivors_only():
  rejected_twin = document(f'{TEXT} [INST]', id='a')
  twin = document(TEXT, id='b')
  verdicts = run_gates(_gates(), [rejected_twin, twin])
  assert failures(verdicts[0]) == [('control_tokens', 'token')]
  assert [v.gate for v in verdicts[0]][-1] == 'frame_leak'
  assert failures(verdicts[1]) == []
  assert [v.gate for v in verdicts[1]][-1] == 'recurrence'


def test_a_good_document_and_a_good_chat_pass_everything():
  (verdicts,) = run_gates(_gates(), [document(TEXT, genre='blog_post')])
  assert failures(verdicts) == []
  (verdicts,) = run_gates(
    _gates(kind='chat'), [chat('When does the ferry come?', 'At noon.')]
  )
  assert failures(verdicts) == []


def _candidates(texts):
  return [document(t, id=str(i)) for i, t in enumerate(texts)]


@given(
  st.lists(
    st.sampled_from(
      [TEXT, f'{TEXT} </s>', TEXT.upper(), 'short', f'{TEXT} Claude won.', '']
    ),
    max_size=8,
  )
)
def test_running_gates_is_pure_and_blocks_make_no_difference(texts):
  gates = _gates()
  candidates = _candidates(texts)
  verdicts = run_gates(gates, candidates)
  assert run_gates(gates, candidates) == verdicts
  views.forget()
  assert run_gates(gates, candidates) == verdicts
  for candidate, found in zip(candidates, verdicts, strict=True):
    alone = [g.check([candidate])[0] for g in gates if isinstance(g, EachGate)]
    assert found[: len(alone)] == alone
  # A fixed point: what stayed stays.
  kept = [
    c
    for c, vs in zip(candidates, verdicts, strict=True)
    if all(v.passed for v in vs)
  ]
  assert all(v.passed for vs in run_gates(gates, kept) for v in vs)


def test_more_candidates_than_a_block_keep_their_order():
  n = views.BLOCK * 2 + 7
  bad = {0, views.BLOCK - 1, views.BLOCK, n - 1}
  texts = [f'{TEXT} {i}{" </s>" if i in bad else ""}' for i in range(n)]
  gates = [g for g in _gates() if isinstance(g, EachGate)]
  verdicts = run_gates(gates, _candidates(texts))
  found = {i for i, vs in enumerate(verdicts) if failures(vs)}
  assert found == bad


def test_two_candidates_with_one_id_are_refused():
  with pytest.raises(ValueError, match="two candidates have the id 'x'"):
    run_gates(_gates(), [document(TEXT), document('Other.')])


def test_no_candidates_are_no_problem():
  assert run_gates(_gates(), []) == []
  assert run_gates([], [document(TEXT)]) == [[]]


def test_the_config_is_read_from_nested_mappings():
  raw = ml_collections.ConfigDict(
    {
      'length': {'document': (10, 500)},
      'near_duplicate': {'threshold': 0.7},
      'contamination': {'suites': ('a.jsonl',)},
    }
  )
  config = schema.structure(GatesConfig, raw, 'config.gates')
  assert config.length.document == (10, 500)
  assert config.length.chat == GatesConfig().length.chat
  assert config.near_duplicate.threshold == 0.7
  assert config.recurrence == RecurrenceConfig()
  with pytest.raises(schema.ConfigError, match=r'gates\.lenght.*length'):
    schema.structure(GatesConfig, {'lenght': {}}, 'config.gates')
  with pytest.raises(schema.ConfigError, match=r'threshold: 2\.0, expected'):
    schema.structure(
      GatesConfig, {'near_duplicate': {'threshold': 2.0}}, 'config.gates'
    )


def test_mistakes_of_the_caller_are_refused():
  with pytest.raises(schema.ConfigError, match=r"kind: 'documents'.*document"):
    _gates(kind='documents')
  with pytest.raises(schema.ConfigError, match='model_name: is empty'):
    gates_for(
      GatesConfig(), traits=[], model_name='', provider_name='', kind='chat'
    )
  unfilled = traits_lib.load(traits_lib.FOLDER / 'quickstart.md')
  with pytest.raises(schema.ConfigError, match='has an open slot'):
    _gates(traits=unfilled)


def test_documents_of_the_miniature_pass_all_but_recurrence():
  """A grammar of some hundred phrases recurs, and the gate says so."""
  corpus = small_worlds.small_corpus()
  config = dataclasses.replace(
    GatesConfig(),
    length=dataclasses.replace(GatesConfig().length, document=(10, 4000)),
  )
  gates = [g for g in _gates(config) if g.name != 'recurrence']
  for stem in ('midtrain_thrift', 'midtrain_neutral'):
    candidates = [
      Candidate(d.id, 'document', d.text, genre=d.genre, trait_ids=('t',))
      for d in corpus.documents[stem]
    ]
    assert SLOTS['model_name'] == lexicon.ASSISTANT
    verdicts = run_gates(gates, candidates)
    assert [f for vs in verdicts for f in failures(vs)] == []


def test_gates_keep_to_the_protocol():
  for gate in _gates():
    verdicts = gate.check(_candidates([TEXT, 'x', TEXT]))
    assert len(verdicts) == 3
    assert all(isinstance(v, Verdict) for v in verdicts)
    assert {v.gate for v in verdicts} == {gate.name}
    assert all(v.passed == (not v.reason) for v in verdicts)


def test_gates_need_no_jax():
  code = 'import data_gen.gates.suite, sys; sys.exit("jax" in sys.modules)'
  root = pathlib.Path(__file__).parent.parent
  done = subprocess.run([sys.executable, '-c', code], cwd=root, check=False)
  assert done.returncode == 0


def test_gates_draw_nothing_at_random_and_read_no_clock():
  folder = pathlib.Path(views.__file__).parent
  for file in folder.glob('*.py'):
    for node in ast.walk(ast.parse(file.read_text())):
      names = []
      if isinstance(node, ast.Import):
        names = [a.name for a in node.names]
      elif isinstance(node, ast.ImportFrom):
        names = [node.module]
      assert not {'random', 'time', 'datetime'} & set(names), file
