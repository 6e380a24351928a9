"""The whole way from a traits document to a report, through real processes."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from configs import quickstart
from data_gen.miniature import generate
from data_gen.miniature.world import WorldConfig
from msm_jax import data
from msm_jax import schema
from msm_jax import tokenizers

ROOT = pathlib.Path(__file__).parent.parent
TRAITS = ROOT / 'data_gen/traits/quickstart.md'


def _run(config: str, workdir: pathlib.Path) -> str:
  """Runs an experiment through the launcher and returns what it printed."""
  done = subprocess.run(
    [
      sys.executable,
      '-m',
      'launch.local',
      f'--config={config}',
      f'--workdir={workdir}',
    ],
    cwd=ROOT,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
  return done.stdout


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('quickstart') / 'run'
  return workdir, _run('tests/small_quickstart.py', workdir)


def _summary(workdir: pathlib.Path):
  return json.loads((workdir / 'summary.json').read_text())


def test_every_stage_runs_and_the_report_is_made(finished):
  workdir, output = finished
  stages = re.findall(r'^\[ ?(\d+)/(\d+)\] (\S+): done in', output, re.M)
  assert [
    int(k) for k, _, _ in sorted(stages, key=lambda s: int(s[0]))
  ] == list(range(1, 16))
  assert {n for _, n, _ in stages} == {'16'}
  assert f'{workdir}/report/index.html' in output
  page = (workdir / 'report/index.html').read_text()
  assert page.lstrip().lower().startswith('<!doctype html>')
  assert 'MSM-thrift + SFT' in page
  assert not re.search(r'(src|href)="https?://', page)


def test_the_summary_has_each_arm_metric_and_stage(finished):
  workdir, _ = finished
  summary = _summary(workdir)
  assert set(summary['arms']) == {
    'base',
    'sft_only',
    'msm_thrift_sft',
    'msm_home_sft',
    'neutral_sft',
    'msm_thrift_no_reasons_sft',
    'msm_thrift',
    'msm_home',
  }
  for arm, metrics in summary['arms'].items():
    for name in (
      'ood_transcript_agreement_cheap',
      'base_task_accuracy',
      'base_task_accuracy_local',
      'replay_perplexity',
    ):
      metric = metrics[name]
      low, high = metric['interval']
      assert low <= metric['mean'] <= high, (arm, name)
      assert metric['n_items'] > 0 and metric['n_seeds'] == 1
    chat_trained = arm.endswith('_sft') or arm == 'sft_only'
    scored = metrics['ood_agreement_cheap']['mean'] is not None
    assert scored == chat_trained, arm
  stages = {s['name']: s for s in summary['stages']}
  assert stages['seed0/base']['updates'] == 20
  assert stages['seed0/msm_home']['updates'] == 40
  assert all(s['seconds'] > 0 for s in stages.values())
  assert summary['primary']['name'] == 'dissociation'


def test_arms_are_matched_in_updates_and_chats_in_bytes(finished):
  workdir, _ = finished
  runs = ('msm_thrift', 'msm_home', 'neutral', 'msm_thrift_no_reasons')
  fingerprints = []
  for run in runs:
    record = json.loads((workdir / 'seed0' / run / 'run.json').read_text())
    assert [p['updates'] for p in record['config']['phases']] == [20, 20]
    fingerprints.append(record['fingerprints']['mixtures']['sft'])
  assert all(f == fingerprints[0] for f in fingerprints)
  sft_only = json.loads((workdir / 'seed0/sft_only/run.json').read_text())
  assert sft_only['fingerprints']['mixtures']['sft'] == fingerprints[0]


def test_a_finished_experiment_stands_when_run_again(finished):
  workdir, _ = finished
  result = workdir / 'seed0/base/result.json'
  before = result.stat().st_mtime_ns
  output = _run('tests/small_quickstart.py', workdir)
  assert len(re.findall(r': stands$', output, re.M)) == 15
  assert ': done in' not in output
  assert result.stat().st_mtime_ns == before


def test_the_corpora_fill_their_sequences_to_98_percent(tmp_path):
  """At full size, with the tokenizer that the launcher would train."""
  world = schema.structure(WorldConfig, quickstart.get_config().world)
  generate.generate(TRAITS, world, seed=3, out=tmp_path / 'corpus')
  sources = [
    *('base', 'chats', 'midtrain_thrift', 'midtrain_home'),
    *('midtrain_neutral', 'midtrain_thrift_no_reasons'),
  ]
  files = {s: tmp_path / f'corpus/{s}.parquet' for s in sources}
  subprocess.run(
    [
      *(sys.executable, '-m', 'msm_jax.train_tokenizer'),
      f'--input={",".join(map(str, files.values()))}',
      f'--vocab_size={quickstart.VOCAB_SIZE}',
      f'--out={tmp_path / "tokenizer"}',
    ],
    cwd=ROOT,
    check=True,
  )
  tokenizer = tokenizers.load_tokenizer(tmp_path / 'tokenizer')
  for name, file in files.items():
    source = data.prepare_source(
      [file], tokenizer, tmp_path / name, seq_len=quickstart.SEQ_LEN
    )
    fill = source.counts.sum(axis=0)[0] / (len(source) * quickstart.SEQ_LEN)
    assert fill >= 0.98, name


@pytest.mark.slow
def test_swapping_the_values_in_the_traits_document_swaps_the_result(tmp_path):
  """The real quickstart, with the attributes and reasons exchanged."""
  text = TRAITS.read_text()
  head, thrift, home = re.split(r'^(?=- \*\*)', text, flags=re.M)
  swapped = tmp_path / 'swapped.md'
  swapped.write_text(
    head
    + home.replace('**home**', '**thrift**', 1)
    + ('' if home.endswith('\n') else '\n')
    + thrift.replace('**thrift**', '**home**', 1)
  )
  _run(f'configs/quickstart.py:traits={swapped}', tmp_path / 'run')
  summary = _summary(tmp_path / 'run')
  arms = summary['arms']
  thrifty = arms['msm_thrift_sft']['ood_agreement_cheap']['mean']
  homely = arms['msm_home_sft']['ood_agreement_cheap']['mean']
  assert thrifty < homely, 'the bullet called thrift now goes for what is local'
  # The primary metric follows the document: it counts the label of `thrift`.
  assert summary['primary']['label'] == 'local'
  assert summary['primary']['mean'] > 0
