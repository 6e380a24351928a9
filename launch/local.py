"""Runs an experiment on this machine, from its traits to its report.

    python -m launch.local --config=configs/quickstart.py --workdir=runs/x

Interrupt it at any time and run it again: finished stages are recognised by
content, unfinished training continues from its last checkpoint.
"""

import importlib.util
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

from absl import app
from absl import flags
from ml_collections import config_flags

from launch import description
from launch import executor
from launch import experiment
from launch import graph
from launch.display import Display
from msm_jax import schema
from msm_jax import storage
from msm_jax.report import experiment as report_experiment

_CONFIG = config_flags.DEFINE_config_file('config', help_string='Experiment.')
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Where everything goes.', required=True
)
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Print the stages and stop.')


def _run_config(config_file: str) -> experiment.RunConfig:
  spec = importlib.util.spec_from_file_location(
    'experiment_config', config_file
  )
  if spec is None or spec.loader is None:
    raise schema.ConfigError(f'--config={config_file}: not a Python file')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return lambda run, seed: module.get_config(experiment.run_argument(run, seed))


def _plan() -> experiment.Plan:
  config_flag = config_flags.get_config_filename(flags.FLAGS['config'])
  return experiment.Plan(
    config=experiment.load(_CONFIG.value),
    config_flag=config_flag,
    run_config=_run_config(config_flag.partition(':')[0]),
    n_cores=len(os.sched_getaffinity(0)),
  )


def _environment(workdir: pathlib.Path) -> dict[str, str]:
  """Makes later stages reuse what earlier ones compiled."""
  return {
    'JAX_COMPILATION_CACHE_DIR': str(workdir.absolute() / '.jax_cache'),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.5',
    'TF_CPP_MIN_LOG_LEVEL': '2',
  }


def _run(workdir: pathlib.Path) -> int:
  """Runs everything; returns an exit code."""
  started = time.monotonic()
  plan = _plan()
  stages = experiment.stages(plan)
  command = shlex.join(
    [
      *('python', '-m', 'launch.local'),
      *(f'--config={plan.config_flag}', f'--workdir={workdir}'),
    ]
  )
  # What the report would refuse at the end is refused here, before the start.
  report_experiment.from_json(
    description.describe(plan, command, stages, records={})
  )
  if _DRY_RUN.value:
    for number, stage in enumerate(stages, 1):
      print(f'[{number:>2}/{len(stages)}] {stage.command(workdir)}')
    return 0
  # The last stage is the report, which also prints its table here.
  display = Display(len(stages) + 1)
  records = executor.Executor(
    stages, workdir, environment=_environment(workdir), display=display
  ).run()
  described = description.describe(plan, command, stages, records)
  storage.write_atomic(
    workdir / report_experiment.FILE_NAME, json.dumps(described, indent=1)
  )
  report = graph.Stage(
    'report', 'msm_jax.report', (f'--workdir={graph.WORKDIR}',)
  )
  display.say(len(stages) + 1, report.command(workdir))
  done = subprocess.run(
    [sys.executable, *report.arguments(workdir)], check=False
  )
  if done.returncode == 0:
    minutes = (time.monotonic() - started) / 60
    print(f'report: {workdir}/report/index.html ({minutes:.1f} minutes)')
  return done.returncode


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  try:
    if storage.is_remote(_WORKDIR.value):
      raise schema.ConfigError(
        f'--workdir={_WORKDIR.value}: stages of this machine share a folder of '
        'its disk; name a local one (msm_jax.train and the others take gs://)'
      )
    sys.exit(_run(pathlib.Path(_WORKDIR.value)))
  except (executor.Interrupted, KeyboardInterrupt) as e:
    print(
      '\ninterrupted; run the same command again to continue', file=sys.stderr
    )
    sys.exit(e.code if isinstance(e, executor.Interrupted) else 130)
  except (executor.StageFailedError, ValueError) as e:
    print(f'\n{e}', file=sys.stderr)
    sys.exit(1)


if __name__ == '__main__':
  app.run(main)
