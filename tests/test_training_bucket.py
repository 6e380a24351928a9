"""A run whose every path is in a bucket is the run on the disk."""

import json
import pathlib
import subprocess
import sys

import gcs
import processes
import pytest
import tiny_run

from msm_jax import storage
from msm_jax.evals import suites
from msm_jax.storage import _gcs
from msm_jax.training import metrics

ROOT = f'gs://{gcs.BUCKET}'
_TIMING = {'tokens_per_second', 'mfu'}


def records(workdir):
  text = storage.read_text(f'{workdir}/metrics.jsonl')
  return [json.loads(line) for line in text.splitlines()]


def write(writer, *steps):
  for step in steps:
    writer.write({'step': step, 'loss': 1 / step})


def test_the_log_in_a_bucket_is_carried_on_and_cut_back(cloud):
  workdir = f'{ROOT}/run'
  writer = metrics.MetricsWriter(workdir, resume_step=0)
  write(writer, 1, 2, 3)
  writer.flush()
  assert [r['step'] for r in records(workdir)] == [1, 2, 3]
  write(writer, 4)
  writer.flush()
  write(writer, 5)  # And is killed.
  assert [r['step'] for r in records(workdir)] == [1, 2, 3, 4]
  again = metrics.MetricsWriter(workdir, resume_step=3)
  write(again, 4, 5)
  again.close()
  assert records(workdir) == [
    {'step': s, 'loss': 1 / s} for s in (1, 2, 3, 4, 5)
  ]
  assert storage.list_dir(workdir) == ['metrics.jsonl', 'tensorboard']
  with pytest.raises(ValueError, match='has 5 whole records up to step 6'):
    metrics.MetricsWriter(workdir, resume_step=6)
  with pytest.raises(ValueError, match='is missing, but the checkpoint'):
    metrics.MetricsWriter(f'{ROOT}/other', resume_step=6)


def test_two_writers_of_one_log_are_found_out(cloud):
  workdir = f'{ROOT}/run'
  first = metrics.MetricsWriter(workdir, resume_step=0)
  write(first, 1)
  first.flush()
  second = metrics.MetricsWriter(workdir, resume_step=1)
  write(second, 2)
  second.flush()
  first.write({'step': 2, 'loss': 9.0})
  with pytest.raises(FileExistsError, match=r'metrics\.jsonl: somebody else'):
    first.flush()
  assert [r['step'] for r in records(workdir)] == [1, 2]


@pytest.mark.parametrize('kind', ['reset', 'truncated', 'short', 'status'])
def test_no_fault_costs_or_repeats_a_record(cloud, monkeypatch, kind):
  async def wait(seconds):
    del seconds

  monkeypatch.setattr(_gcs, 'wait', wait)
  writer = metrics.MetricsWriter(f'{ROOT}/run', resume_step=0)
  cloud.fail('POST', kind, skip=1, times=5)
  for step in range(1, 9):
    write(writer, step)
    writer.flush()
  writer.close()
  assert [r['step'] for r in records(f'{ROOT}/run')] == list(range(1, 9))


@pytest.fixture
def sources(tmp_path, cloud):
  """Tokenizer, sources and a suite, on the disk and in the bucket."""
  tiny_run.make_sources(tmp_path)
  labels = ('cheap', 'local')
  items = [
    suites.Item(
      suite='lamps',
      item='Mira',
      order=order,
      cluster='Mira',
      options=tuple(suites.Option(o, f' {o} lamp') for o in labels),
      target='cheap',
      prompt=f'the {" ".join(labels[:: 1 - 2 * order])} Mira takes the',
    )
    for order in (0, 1)
  ]
  (tmp_path / 'suites').mkdir()
  suites.write_suite(tmp_path / 'suites' / 'lamps.jsonl', items)
  for part in ('tokenizer', 'prepared', 'suites'):
    for file in (tmp_path / part).rglob('*'):
      if file.is_file():
        name = file.relative_to(tmp_path).as_posix()
        storage.write_atomic(f'{ROOT}/{name}', file.read_bytes())
  return tmp_path


@pytest.mark.slow
def test_a_run_in_a_bucket_that_is_killed_goes_on_and_ends_the_same(
  sources, cloud
):
  config = f'{processes.ROOT}/tests/tiny_run.py'
  expected = processes.finish(f'{config}:{sources}', sources / 'here')
  environment = {
    **processes.environment(),
    **cloud.environment,
    'MSM_JAX_CACHE_DIR': str(sources / 'cache'),
  }
  workdir = f'{ROOT}/runs/there'
  command = processes.command(f'{config}:{ROOT}', workdir)

  def start():
    with open(sources / 'log', 'ab') as log:
      return subprocess.Popen(
        command, cwd=processes.ROOT, env=environment, stdout=log, stderr=log
      )

  # In a checkpoint that is written, and in a later one that is being written.
  for seen in (r'checkpoints/12/commit_success', r'checkpoints/18/params'):
    cloud.heal()
    victim = start()
    cloud.wait_for(f'POST /upload/.*{seen}', 1)
    victim.kill()
    victim.wait()
  assert start().wait() == 0, (sources / 'log').read_text()[-3000:]
  found = storage.read_json(f'{workdir}/result.json')
  assert found['params_sha256'] == expected['params_sha256']
  assert found['tokens'] == expected['tokens']

  def untimed(rows):
    return [{k: v for k, v in r.items() if k not in _TIMING} for r in rows]

  assert untimed(records(workdir)) == untimed(
    processes.records(sources / 'here')
  )
  assert not (sources / 'gs:').exists()
  assert not pathlib.Path(processes.ROOT, 'gs:').exists()
  _evaluates_alike(sources, environment, workdir)


def _evaluates_alike(sources, environment, workdir):
  for arm, root, out in (
    (sources / 'here', sources, sources / 'evaluation'),
    (workdir, ROOT, f'{ROOT}/evaluation'),
  ):
    done = subprocess.run(
      [
        *(sys.executable, '-m', 'msm_jax.evaluate', f'--arm=a:{arm}@sft'),
        *(f'--tokenizer={root}/tokenizer', f'--suites={root}/suites'),
        *('--seed=0', '--samples=0', f'--out={out}'),
      ],
      cwd=processes.ROOT,
      env=environment,
      capture_output=True,
      check=False,
      text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
  here, there = (
    storage.verify(place, kind='evaluation').files['rows.parquet']
    for place in (sources / 'evaluation', f'{ROOT}/evaluation')
  )
  assert here == there


def test_a_bucket_that_does_not_exist_is_an_error_of_one_line(sources, cloud):
  done = subprocess.run(
    processes.command(
      f'{processes.ROOT}/tests/tiny_run.py:{sources}', 'gs://no-such/run'
    ),
    cwd=processes.ROOT,
    env={**processes.environment(), **cloud.environment},
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 1
  assert 'the bucket gs://no-such does not exist' in done.stderr
  assert 'Traceback' not in done.stderr
