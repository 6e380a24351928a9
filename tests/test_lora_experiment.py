"""Adapters from prepared data to the report, through real processes."""

import json
import os
import subprocess
import sys

import lora_experiment
import processes
import pytest


@pytest.mark.slow
def test_adapters_go_all_the_way_from_prepared_data_to_the_report(tmp_path):
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'launch.local'),
      '--config=tests/lora_experiment.py',
      f'--workdir={tmp_path}',
    ],
    cwd=processes.ROOT,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
  run = tmp_path / 'seed0/msm_thrift'
  phases = json.loads((run / 'run.json').read_text())['config']['phases']
  assert [p['adapters'] for p in phases] == [None, 'carry']
  assert [p['lora']['base'] for p in phases] == ['nf4', 'nf4']
  summary = json.loads((tmp_path / 'summary.json').read_text())
  assert set(summary['arms']) == set(lora_experiment.ARMS)
  perplexity = {
    arm: metrics['replay_perplexity']['mean']
    for arm, metrics in summary['arms'].items()
  }
  # Each arm is scored with its own adapters: no two say the same.
  assert len(set(perplexity.values())) == len(perplexity)
  assert (tmp_path / 'report/index.html').exists()
