"""A whole experiment through the launcher, disturbed and undisturbed."""

import json
import os
import signal
import subprocess
import sys

import processes
import pytest
import small_stages

from msm_jax.evals import rows as rows_lib

RUNS = ('base', 'msm_thrift', 'msm_home')


def launch(workdir):
  """Starts the launcher on one core; its output goes to `<workdir>.log`."""
  core = min(os.sched_getaffinity(0))

  def on_one_core():
    os.sched_setaffinity(0, [core])
    # A test run in the background may ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

  with open(f'{workdir}.log', 'ab') as log:
    return subprocess.Popen(
      [
        *(sys.executable, '-m', 'launch.local', f'--workdir={workdir}'),
        '--config=tests/tiny_experiment.py',
      ],
      cwd=processes.ROOT,
      env=processes.environment(),
      stdout=log,
      stderr=log,
      preexec_fn=on_one_core,  # noqa: PLW1509
    )


def said(workdir):
  return processes.read_log(workdir)


def results(workdir):
  """What each run reports of its parameters, and all rows."""
  parameters = [
    json.loads((workdir / 'seed0' / run / 'result.json').read_text())[
      'params_sha256'
    ]
    for run in RUNS
  ]
  return parameters, rows_lib.read_rows(
    workdir / 'seed0' / 'evaluation' / 'rows.parquet'
  )


@pytest.mark.slow
def test_an_interrupted_experiment_ends_like_an_undisturbed_one(tmp_path):
  calm, disturbed = tmp_path / 'calm', tmp_path / 'disturbed'
  process = launch(calm)
  assert process.wait() == 0, said(calm)

  def steps(run):
    return processes.last_step(disturbed / 'seed0' / run)

  process = launch(disturbed)
  small_stages.wait_until(process, lambda: steps('base') >= 7)
  process.send_signal(signal.SIGINT)
  assert process.wait() == 130, said(disturbed)
  assert 7 <= steps('base') < 30
  process = launch(disturbed)
  small_stages.wait_until(process, lambda: steps('msm_thrift') >= 7)
  process.kill()
  process.wait()
  process = launch(disturbed)
  assert process.wait() == 0, said(disturbed)

  assert results(disturbed) == results(calm)
  output = said(disturbed)
  assert 'seed0/base: continues after ' in output
  assert output.count('seed0/base: done in') == 1
  assert not (disturbed / 'superseded').exists()
  for workdir in (calm, disturbed):
    page = (workdir / 'report' / 'index.html').read_text()
    assert 'MSM-thrift + SFT' in page
    assert 'arms' in json.loads((workdir / 'summary.json').read_text())

  finished = len(output)
  assert launch(disturbed).wait() == 0
  again = said(disturbed)[finished:]
  assert again.count(': stands') == 10
  assert 'msm_jax.train' not in again


def test_a_bucket_is_no_folder_of_this_machine():
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'launch.local', '--workdir=gs://bucket/x'),
      f'--config={processes.ROOT}/tests/tiny_experiment.py',
    ],
    cwd=processes.ROOT,
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 1
  assert '--workdir=gs://bucket/x: stages of this machine' in done.stderr
