"""Evaluation of real checkpoints, from the command line and by its parts."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import numpy as np
import numpy_decoder
import processes
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_run

from msm_jax import data
from msm_jax import evaluate
from msm_jax import log
from msm_jax import models
from msm_jax import schema
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.evals import forced_choice
from msm_jax.evals import rows as rows_lib
from msm_jax.evals import suites
from msm_jax.training import checkpoints as checkpoints_lib
from msm_jax.training import config as config_lib
from msm_jax.training import environment
from msm_jax.training import moments
from msm_jax.training import step as step_lib

# (phase, step, whether the phase ended there)
CHECKPOINTS = [('midtrain', 24, True), ('sft', 30, False), ('sft', 44, True)]


def make_run(root, workdir, seed):
  """Saves random parameters, others at each step, as a run would."""
  config = training.load(tiny_run.get_config(str(root)))
  tokenizer = tokenizers.load_tokenizer(root / 'tokenizer')
  model = models.Model(config.model)
  made = {}
  checkpoints = training.Checkpoints(workdir / 'checkpoints')
  for phase, step, ended in CHECKPOINTS:
    params = jax.jit(model.init)(jax.random.key(100 * seed + step))
    made[step] = params
    checkpoints.save(
      step_lib.TrainState(
        params, moments.init(config_lib.OptimizerConfig(), params)
      ),
      checkpoints_lib.Meta(
        step=step,
        phase=phase,
        phase_update=step,
        phase_ended=ended,
        schedule_position=step,
        config=config_lib.result_config(config),
        fingerprints={'tokenizer': tokenizer.fingerprint},
        environment=environment.describe(),
        metrics={},
      ),
    )
  checkpoints.close()
  return made


def choice(item, order, *, chat):
  """Two options of equal length, in words that the tokenizer knows."""
  first, second = ('cheap', 'local') if order == 0 else ('local', 'cheap')
  question = f'{item} wants the {first} lamp or the {second} lamp'
  messages = ({'role': 'user', 'content': question},)
  return suites.Item(
    suite='chat' if chat else 'text',
    item=item,
    order=order,
    cluster=item[0],
    options=(
      suites.Option('cheap', 'the cheap lamp' if chat else ' cheap lamp'),
      suites.Option('local', 'the local lamp' if chat else ' local lamp'),
    ),
    target='cheap',
    persona=item,
    messages=messages if chat else None,
    prompt=None if chat else f'{question}. {item} takes the',
  )


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  root = tmp_path_factory.mktemp('evaluate')
  tiny_run.make_sources(root)
  tokenizer = tokenizers.load_tokenizer(root / 'tokenizer')
  for chat in (True, False):
    items = [
      choice(name, order, chat=chat)
      for name in ('Mira', 'Bram', 'Tess')
      for order in (0, 1)
    ]
    lengths = {len(tokenizer.encode(o.text)) for o in items[0].options}
    assert len(lengths) == 1, 'the words of the test have different lengths'
    suites.write_suite(root / 'suites' / f'{items[0].suite}.jsonl', items)
  texts = [tiny_run.sentences(tiny_run.random.Random(n), n) for n in (1, 3, 30)]
  table = {'id': ['a', 'b', 'c'], 'text': texts, 'genre': ['x', 'y', None]}
  pq.write_table(pa.table(table), root / 'heldout.parquet')
  return root


@pytest.fixture(scope='module')
def params(root):
  """Parameters by run and step."""
  return {n: make_run(root, root / n, i) for i, n in enumerate(['one', 'two'])}


@pytest.fixture(scope='module')
def tokenizer(root):
  return tokenizers.load_tokenizer(root / 'tokenizer')


def command(root, out, *more, arms=('base:one@midtrain', 'sft:two@sft')):
  arms = [a.replace(':', f':{root}/') for a in arms]
  return subprocess.run(
    [
      *(sys.executable, '-m', 'msm_jax.evaluate', '--seed=7'),
      *(f'--tokenizer={root}/tokenizer', f'--out={out}'),
      *(f'--arm={arm}' for arm in arms),
      *more,
    ],
    cwd=processes.ROOT,
    env=processes.environment(),
    capture_output=True,
    check=False,
    text=True,
  )


def reference(params, tokens, start):
  """Σ log p of the tokens from `start` on, in float64."""
  config = models.DecoderConfig(**tiny_run.get_config('').model)
  logits = numpy_decoder.logits(params, config, tokens[:-1])
  top = logits.max(axis=-1, keepdims=True)
  logp = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
  return sum(logp[t - 1, tokens[t]] for t in range(start, len(tokens)))


@pytest.fixture(scope='module')
def published(root, params):
  out = root / 'evaluation'
  done = command(
    root,
    out,
    f'--suites={root}/suites',
    f'--documents=replay:{root}/heldout.parquet',
    '--samples=2',
  )
  assert done.returncode == 0, done.stderr
  return out


def test_there_is_a_row_for_every_arm_suite_item_and_order(published):
  assert storage.verify(published, kind='evaluation').info == {
    'seed': 7,
    'arms': ['base', 'sft'],
    'rows': 30,
  }
  rows = rows_lib.read_rows(published / 'rows.parquet')
  names = ('Bram', 'Mira', 'Tess')
  expected = {
    *(
      (arm, suite, name, order)
      for arm in ('base', 'sft')
      for suite in ('chat', 'text')
      for name in names
      for order in (0, 1)
    ),
    *((arm, 'replay', id_, 0) for arm in ('base', 'sft') for id_ in 'abc'),
  }
  assert {(r.arm, r.suite, r.item, r.order) for r in rows} == expected
  assert {r.seed for r in rows} == {7}
  replay = [r for r in rows if r.suite == 'replay' and r.arm == 'base']
  # By genre, where there is one.
  assert [r.cluster for r in replay] == ['x', 'y', 'c']


def test_every_row_is_of_its_arms_checkpoint(
  published, root, params, tokenizer
):
  of_arm = {'base': params['one'][24], 'sft': params['two'][44]}
  rows = rows_lib.read_rows(published / 'rows.parquet')
  checked = 0
  for row in rows:
    if row.suite == 'replay' or row.item != 'Tess':
      continue
    item = choice(row.item, row.order, chat=row.suite == 'chat')
    prompt = forced_choice.prompt_tokens(tokenizer, item)
    for option, logprob in zip(item.options, row.logprobs, strict=True):
      answer = forced_choice.option_tokens(tokenizer, item, option)
      expected = reference(of_arm[row.arm], [*prompt, *answer], len(prompt))
      assert logprob == pytest.approx(expected, abs=2e-5, rel=0)
      checked += 1
  assert checked == 2 * 2 * 2 * 2


def test_perplexity_is_of_whole_documents_in_trained_lengths(
  published, root, params, tokenizer
):
  texts = pq.read_table(root / 'heldout.parquet')['text'].to_pylist()
  rows = rows_lib.read_rows(published / 'rows.parquet')
  found = [r for r in rows if r.suite == 'replay' and r.arm == 'sft']
  lengths = []
  for text, row in zip(texts, found, strict=True):
    ids = [tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id]
    cuts = range(0, len(ids) - 1, tiny_run.SEQ_LEN)
    expected = sum(
      reference(params['two'][44], ids[c : c + tiny_run.SEQ_LEN + 1], 1)
      for c in cuts
    )
    assert row.tokens == (len(ids) - 1,)
    assert row.logprobs[0] == pytest.approx(expected, abs=1e-4, rel=0)
    lengths.append(len(cuts))
  assert min(lengths) == 1
  assert max(lengths) > 1


def test_samples_show_prompts_with_their_control_tokens(published, tokenizer):
  lines = (published / 'samples.jsonl').read_text().splitlines()
  samples = [json.loads(line) for line in lines]
  assert [(s['arm'], s['suite']) for s in samples] == [
    (arm, suite)
    for arm in ('base', 'sft')
    for suite in ('chat', 'text')
    for _ in range(2)
  ]
  for sample in samples:
    chat = sample['suite'] == 'chat'
    assert sample['prompt'].startswith('<bos>')
    assert sample['prompt'].endswith('<|assistant|>' if chat else 'takes the')


def test_two_processes_of_two_devices_score_as_one_does(root, published):
  out = root / 'shared'
  arms = [f'base:{root}/one@midtrain', f'sft:{root}/two@sft']
  group = processes.Group(
    '',
    out,
    2,
    *(f'--arm={arm}' for arm in arms),
    f'--suites={root}/suites',
    f'--documents=replay:{root}/heldout.parquet',
    '--samples=2',
    '--seed=7',
    f'--tokenizer={root}/tokenizer',
    f'--out={out}',
    program=[sys.executable, '-m', 'msm_jax.evaluate'],
  )
  assert group.codes() == [0, 0], [group.log(i) for i in (0, 1)]
  ours, theirs = (
    rows_lib.read_rows(folder / 'rows.parquet') for folder in (out, published)
  )
  for row, expected in zip(ours, theirs, strict=True):
    assert dataclasses.replace(row, logprobs=expected.logprobs) == expected
    np.testing.assert_allclose(row.logprobs, expected.logprobs, rtol=1e-5)
  assert (out / 'samples.jsonl').read_bytes() == (
    published / 'samples.jsonl'
  ).read_bytes()
  assert 'options' in group.log(0) and 'options' not in group.log(1)


def test_a_failed_evaluation_publishes_nothing(root, params):
  out = root / 'failed'
  done = command(
    root, out, f'--suites={root}/suites', arms=['base:one@pretrain']
  )
  assert done.returncode == 1
  assert done.stderr.splitlines()[-1] == (
    f'{root}/one/checkpoints: no checkpoint at the end of phase '
    "'pretrain'; phases that have ended: ['midtrain', 'sft']"
  )
  assert 'Traceback' not in done.stderr
  assert not [n for n in os.listdir(root) if 'failed' in n]


def arm(root, text='base:one@midtrain'):
  return evaluate.parse_arm(text.replace(':', f':{root}/'))


@pytest.mark.parametrize(('phase', 'step'), [('midtrain', 24), ('sft', 44)])
def test_the_checkpoint_is_that_of_the_end_of_the_phase(
  root, params, tokenizer, phase, step
):
  found = evaluate.find_checkpoint(arm(root, f'a:one@{phase}'), tokenizer)
  assert (found.step, found.seq_len) == (step, tiny_run.SEQ_LEN)
  assert found.model.config.d_model == 16
  jax.tree.map(
    np.testing.assert_array_equal, found.params(), params['one'][step]
  )


def test_another_tokenizer_is_refused(root, params, tokenizer):
  raw = (root / 'raw' / 'docs.jsonl').read_text().splitlines()
  model = tokenizers.train_sentencepiece(
    [json.loads(line)['text'] for line in raw],
    vocab_size=tiny_run.VOCAB_SIZE - 10,
  )
  other = tokenizers.publish_tokenizer(root / 'other_tokenizer', model)
  with pytest.raises(
    schema.ConfigError,
    match=rf'{other.fingerprint}, but .*/one was trained with '
    rf'{tokenizer.fingerprint}; .* give the tokenizer of that run',
  ):
    evaluate.find_checkpoint(arm(root), other)


def test_a_run_without_checkpoints_is_refused(root, tokenizer):
  with pytest.raises(training.CheckpointError, match='train that run first'):
    evaluate.find_checkpoint(arm(root, 'a:nowhere@sft'), tokenizer)


def test_all_checkpoints_are_found_before_one_is_scored(
  root, params, tokenizer, monkeypatch
):
  read = evaluate.read_suites(str(root / 'suites'), tokenizer, 'error')
  monkeypatch.setattr(evaluate.scoring, 'score', None)
  with pytest.raises(training.CheckpointError, match="'pretrain'"):
    evaluate.evaluate(
      [arm(root), arm(root, 'bad:one@pretrain')],
      tokenizer=tokenizer,
      suites=read,
      documents={},
      seed=0,
    )


@pytest.mark.parametrize(
  'text',
  ['', 'x', 'x@y', 'a:b', ':b@c', 'a:@c', 'a:b@', 'a:b@c@'],
)
def test_an_arm_that_is_not_name_workdir_phase_is_refused(text):
  with pytest.raises(
    schema.ConfigError, match=f'^--arm={text}: expected NAME:WORKDIR@PHASE$'
  ):
    evaluate.parse_arm(text)


def test_arms_may_lie_anywhere():
  assert evaluate.parse_arm('a:gs://b/x@y/run@sft') == evaluate.Arm(
    'a', 'gs://b/x@y/run', 'sft'
  )


def test_two_arms_of_one_name_are_refused():
  with pytest.raises(schema.ConfigError, match=r"--arm: \['a'\] are given mor"):
    evaluate.parse_arms(['a:x@y', 'b:x@y', 'a:z@y'])


def test_a_folder_without_suites_is_refused(tmp_path, tokenizer):
  with pytest.raises(schema.ConfigError, match=r'no \*\.jsonl files there'):
    evaluate.read_suites(str(tmp_path / 'nowhere'), tokenizer, 'error')


def test_suites_can_be_read_from_a_bucket(root, tokenizer, cloud):
  remote = 'gs://test-bucket/suites'
  for name in ('chat.jsonl', 'text.jsonl'):
    storage.write_atomic(
      f'{remote}/{name}', (root / 'suites' / name).read_bytes()
    )
  read = evaluate.read_suites(remote, tokenizer, 'error')
  here = evaluate.read_suites(str(root / 'suites'), tokenizer, 'error')
  assert read == here
  assert list(read) == ['chat', 'text']


def test_a_suite_must_be_of_its_file(tmp_path, tokenizer):
  suites.write_suite(tmp_path / 'other.jsonl', [choice('Mira', 0, chat=True)])
  with pytest.raises(ValueError, match=r'other\.jsonl: has chat/Mira/0 of ano'):
    evaluate.read_suites(str(tmp_path), tokenizer, 'error')


def test_a_suite_whose_orders_cannot_be_averaged_is_refused(
  tmp_path, tokenizer
):
  items = [choice('Mira', 0, chat=True), choice('Mira', 1, chat=True)]
  items.append(choice('Bram', 0, chat=True))
  suites.write_suite(tmp_path / 'chat.jsonl', items)
  with pytest.raises(ValueError, match=r'chat/Bram: lacks the orders \[1\]'):
    evaluate.read_suites(str(tmp_path), tokenizer, 'error')


def test_dropped_items_are_named(tmp_path, tokenizer, monkeypatch):
  said = []
  monkeypatch.setattr(
    log.logger, 'warning', lambda text, *args: said.append(text % args)
  )
  good = [choice('Mira', order, chat=True) for order in (0, 1)]
  long = suites.Option('local', 'the very very very local lamp')
  bad = [
    dataclasses.replace(i, item='Bram', options=(i.options[0], long))
    for i in good
  ]
  suites.write_suite(tmp_path / 'chat.jsonl', [*good, *bad])
  with pytest.raises(forced_choice.UnequalOptionsError, match='chat/Bram/0'):
    evaluate.read_suites(str(tmp_path), tokenizer, 'error')
  read = evaluate.read_suites(str(tmp_path), tokenizer, 'drop')
  assert read['chat'].items == tuple(good)
  assert said == [
    'suite chat: dropped 1 items whose options differ in length: Bram'
  ]


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ('replay', '--documents=replay: expected SUITE:FILE'),
    ('replay:', '--documents=replay:: expected SUITE:FILE'),
    (':x', '--documents=:x: expected SUITE:FILE'),
  ],
)
def test_documents_that_are_not_suite_and_file_are_refused(spec, message):
  with pytest.raises(schema.ConfigError, match=f'^{message}$'):
    evaluate.read_documents(spec)


def test_documents_with_one_id_are_refused(tmp_path):
  path = tmp_path / 'd.jsonl'
  path.write_text('{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n')
  with pytest.raises(ValueError, match=r"d\.jsonl, row 1: id 'a' occurs twice"):
    evaluate.read_documents(f'replay:{path}')


def test_rows_that_are_no_documents_are_refused(root):
  with pytest.raises(data.SourceError, match=r'chats\.jsonl, row 0 .*text is'):
    evaluate.read_documents(f'replay:{root}/raw/chats.jsonl')


def test_documents_without_a_genre_are_their_own_clusters(root):
  name, documents = evaluate.read_documents(f'replay:{root}/raw/docs.jsonl')
  assert name == 'replay'
  assert len(documents) == 120
  assert documents[3].cluster == documents[3].id == 'docs3'


def test_documents_may_not_have_the_name_of_a_suite(root, params, tokenizer):
  read = evaluate.read_suites(str(root / 'suites'), tokenizer, 'error')
  with pytest.raises(
    schema.ConfigError, match=r"\['chat'\] are names of suite"
  ):
    evaluate.evaluate(
      [arm(root)],
      tokenizer=tokenizer,
      suites=read,
      documents={'chat': []},
      seed=0,
    )


def test_nothing_to_evaluate_is_refused(root, params):
  done = command(root, root / 'nothing')
  assert done.returncode == 1
  assert '--suites, --documents: nothing to evaluate' in done.stderr
