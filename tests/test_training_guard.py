"""A run that goes wrong stops, says where, and leaves what was good."""

import json
import logging
import math

import numpy as np
import pytest
import tiny_run

from msm_jax import schema
from msm_jax import storage
from msm_jax import training
from msm_jax.training import environment
from msm_jax.training import guard
from msm_jax.training import identity
from msm_jax.training import metrics


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  path = tmp_path_factory.mktemp('guard')
  tiny_run.make_sources(path)
  return path


def test_a_loss_that_is_not_finite_is_a_problem():
  watch = guard.LossGuard(max_jump=3.0)
  assert watch.problem(2.0, 1.0) is None
  assert 'loss is nan' in watch.problem(math.nan, 1.0)
  assert 'loss is inf' in watch.problem(math.inf, 1.0)
  assert 'gradient norm is nan' in watch.problem(2.0, math.nan)


def test_a_jump_counts_only_against_the_same_phase():
  watch = guard.LossGuard(max_jump=3.0)
  for _ in range(20):
    assert watch.problem(1.0, 1.0) is None
  assert watch.problem(3.9, 1.0) is None
  # The mean of the last twenty is 1.145 now.
  assert watch.problem(4.15, 1.0) is not None
  assert watch.problem(4.14, 1.0) is None
  assert 'jumped to 9.0000' in watch.problem(9.0, 1.0)
  watch.new_phase()
  assert watch.problem(9.0, 1.0) is None


def test_a_run_that_diverges_names_step_batch_and_last_good_checkpoint(
  root, tmp_path
):
  config = tiny_run.get_config(str(root))
  config.phases[0].schedule.peak = 1e30
  config.phases[0].schedule.warmup = 0
  config.phases[0].optimizer = {'clip_norm': None}
  config.checkpoint.every = 1
  with pytest.raises(training.TrainingDivergedError) as error:
    training.train(training.load(config), tmp_path)
  message = str(error.value)
  steps = training.Checkpoints(tmp_path / 'checkpoints', read_only=True).steps()
  bad = steps[-1] + 1
  assert f'step {bad} (phase midtrain, update {bad})' in message
  assert f'last good checkpoint is step {steps[-1]}' in message
  lines = [line for line in message.splitlines() if line.startswith('  row ')]
  assert len(lines) == 8
  assert any('docs[' in line and 'documents docs' in line for line in lines)
  logged = (tmp_path / 'metrics.jsonl').read_text().splitlines()
  assert len(logged) == steps[-1], 'the bad update is not in the log'


def test_the_log_is_on_the_disk_before_a_checkpoint_is(
  root, tmp_path, monkeypatch
):
  order = []

  def noted(cls, method):
    original = getattr(cls, method)

    def call(self, *args):
      order.append(method)
      return original(self, *args)

    monkeypatch.setattr(cls, method, call)

  noted(metrics.MetricsWriter, 'flush')
  noted(training.Checkpoints, 'save')
  training.train(training.load(tiny_run.get_config(str(root))), tmp_path)
  saves = [i for i, what in enumerate(order) if what == 'save']
  assert len(saves) > 2
  assert all(order[i - 1] == 'flush' for i in saves)


def test_a_tokenizer_that_does_not_fit_the_model_is_refused(root, tmp_path):
  config = tiny_run.get_config(str(root))
  config.model.vocab_size = 100
  with pytest.raises(
    schema.ConfigError, match=r'model\.vocab_size: 100 is smaller than the 330'
  ):
    training.train(training.load(config), tmp_path)
  assert not (tmp_path / 'checkpoints').exists(), 'refused before any work'


def test_unprepared_sources_are_refused_before_any_work(root, tmp_path):
  config = tiny_run.get_config(str(root))
  config.sources.docs.path = str(tmp_path / 'nothing')
  with pytest.raises(storage.NotPublishedError, match='run it again'):
    training.train(training.load(config), tmp_path / 'run')


def test_a_run_can_start_from_the_end_of_another_runs_phase(root, tmp_path):
  config = tiny_run.get_config(str(root))
  whole = training.train(training.load(config), tmp_path / 'whole')
  # Two of the latest, and the ends of both phases.
  kept = training.Checkpoints(tmp_path / 'whole/checkpoints', read_only=True)
  assert kept.steps() == [24, 42, 44]

  first = tiny_run.get_config(str(root))
  first.phases = first.phases[:1]
  training.train(training.load(first), tmp_path / 'first')
  second = tiny_run.get_config(str(root))
  second.phases = second.phases[1:]
  second.init_from = {'workdir': str(tmp_path / 'first'), 'phase': 'midtrain'}
  result = training.train(training.load(second), tmp_path / 'second')
  # The second phase carries the moments, so nothing but the split differs.
  assert result.params_sha256 == whole.params_sha256

  second.init_from.phase = 'pretrain'
  with pytest.raises(training.CheckpointError, match=r'have ended: .*midtrain'):
    training.train(training.load(second), tmp_path / 'third')


def test_the_realised_mixture_is_logged(root, tmp_path):
  config = tiny_run.get_config(str(root))
  result = training.train(training.load(config), tmp_path)
  records = [
    json.loads(line)
    for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()
  ]
  totals = {}
  for record in records:
    for source, tokens in record['tokens'].items():
      totals[source] = totals.get(source, 0) + tokens
    shares = record['loss_tokens']
    weighted = sum(
      record['source_loss'][s] * n for s, n in shares.items() if n
    ) / sum(shares.values())
    np.testing.assert_allclose(weighted, record['loss'], rtol=1e-5)
  assert sum(totals.values()) == result.tokens == records[-1]['tokens_seen']
  share = totals['docs'] / (totals['docs'] + totals['replay'])
  assert 0.45 < share < 0.55
  chat = [r for r in records if r['phase'] == 'sft']
  assert all(r['loss_tokens']['chats'] < r['tokens']['chats'] for r in chat)


def test_metrics_are_cut_back_to_the_checkpoint(tmp_path):
  lines = [json.dumps({'step': s, 'loss': 1.0 / s}) for s in range(1, 6)]
  path = tmp_path / metrics.FILE_NAME
  path.write_text('\n'.join(lines) + '\n{"step": 6, "lo')
  writer = metrics.MetricsWriter(tmp_path, resume_step=3)
  writer.write({'step': 4, 'loss': 7.0})
  writer.close()
  steps = [json.loads(line) for line in path.read_text().splitlines()]
  assert [s['step'] for s in steps] == [1, 2, 3, 4]
  assert steps[-1]['loss'] == 7.0


def test_metrics_with_a_gap_are_refused(tmp_path):
  path = tmp_path / metrics.FILE_NAME
  path.write_text('{"step": 1}\n{"step": 3}\n')
  with pytest.raises(ValueError, match='has 2 whole records up to step 3'):
    metrics.MetricsWriter(tmp_path, resume_step=3)
  path.unlink()
  with pytest.raises(ValueError, match='is missing, but the checkpoint is at'):
    metrics.MetricsWriter(tmp_path, resume_step=3)


def test_a_failing_wandb_does_not_stop_a_run(tmp_path, monkeypatch):
  monkeypatch.setitem(__import__('sys').modules, 'wandb', None)
  writer = metrics.MetricsWriter(tmp_path, resume_step=0, wandb_config={})
  writer.write({'step': 1, 'loss': 2.0})
  writer.close()
  assert json.loads((tmp_path / metrics.FILE_NAME).read_text())['loss'] == 2.0


def test_tensorboard_holds_the_same_numbers(tmp_path):
  writer = metrics.MetricsWriter(tmp_path, resume_step=0)
  writer.write({'step': 1, 'loss': 2.5, 'tokens': {'docs': 7}, 'phase': 'a'})
  writer.close()
  from tensorboardX.proto import event_pb2

  (file,) = (tmp_path / 'tensorboard').iterdir()
  values = {}
  raw = file.read_bytes()
  while raw:
    length = int.from_bytes(raw[:8], 'little')
    event = event_pb2.Event.FromString(raw[12 : 12 + length])
    for value in event.summary.value:
      values[value.tag] = (event.step, value.simple_value)
    raw = raw[12 + length + 4 :]
  assert values == {'loss': (1, 2.5), 'tokens/docs': (1, 7.0)}


def test_a_changed_environment_is_warned_about(caplog):
  there = environment.describe()
  with caplog.at_level(logging.WARNING, logger='msm_jax'):
    identity.warn_about_environment(there)
    assert not caplog.records
    identity.warn_about_environment({**there, 'n_cores': 96, 'jaxlib': '0.1'})
  (record,) = caplog.records
  message = record.getMessage()
  assert 'will not be bitwise' in message
  assert 'environment.n_cores: there 96' in message
  assert "environment.jaxlib: there '0.1'" in message
