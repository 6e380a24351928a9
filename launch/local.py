"""Runs an experiment on this machine, from its traits to its report.

    python -m launch.local --config=configs/quickstart.py --workdir=runs/x

Interrupt it at any time and run it again: finished stages are recognised by
content, unfinished training continues from its last checkpoint.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

from absl import app
from absl import flags
from ml_collections import config_flags

from data_gen import traits as traits_lib
from launch import executor
from launch import experiment
from launch import graph
from msm_jax import schema
from msm_jax import storage

_CONFIG = config_flags.DEFINE_config_file('config', help_string='Experiment.')
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Where everything goes.', required=True
)
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Print the stages and stop.')


def _run_config(
  config_file: str, workdir: pathlib.Path
) -> experiment.RunConfig:
  spec = importlib.util.spec_from_file_location(
    'experiment_config', config_file
  )
  if spec is None or spec.loader is None:
    raise FileNotFoundError(f'--config={config_file}: not a Python file')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return lambda run, seed: module.get_config(
    f'arm={run},seed={seed},root={workdir}'
  )


def _describe_arm(
  plan: experiment.Plan, arm: experiment.ArmConfig
) -> dict[str, Any]:
  """What the report says of an arm: its phases with their budgets."""
  phases: list[Any] = []
  run = arm.run
  config = plan.run_config(run, plan.config.seeds[0])
  names = [p.name for p in config.phases]
  phases = list(config.phases[: names.index(arm.phase) + 1])
  while (parent := config.get('init_from')) is not None:
    run = pathlib.Path(parent.workdir).name
    config = plan.run_config(run, plan.config.seeds[0])
    names = [p.name for p in config.phases]
    phases = list(config.phases[: names.index(parent.phase) + 1]) + phases
  return {
    'name': arm.name,
    'label': arm.label,
    'chat_trained': any('chats' in p['mixture'] for p in phases),
    'phases': [p['name'] for p in phases],
    'updates': {p['name']: p['updates'] for p in phases},
    'tokens': {
      p['name']: p['updates'] * p['batch_size'] * p['seq_len'] for p in phases
    },
  }


def _write_description(
  plan: experiment.Plan,
  stages: list[graph.Stage],
  records: dict[str, graph.Record],
) -> None:
  """Writes `experiment.json`, which the report reads."""
  config = plan.config
  description = {
    'name': config.name,
    'command': f'python -m launch.local --config={plan.config_flag} '
    f'--workdir={plan.workdir}',
    'seeds': list(config.seeds),
    'assistant': config.assistant,
    'traits': [
      {
        'name': t.name,
        'attribute': t.attribute,
        'statement': t.statement.replace('{model_name}', config.assistant),
        'reasons': list(t.reasons),
      }
      for t in traits_lib.load(config.traits)
    ],
    'arms': [_describe_arm(plan, arm) for arm in config.arms],
    'primary': config.primary,
    'contrasts': list(config.contrasts),
    'stages': [
      {
        'name': stage.name,
        'seconds': records[stage.name].seconds,
        'updates': records[stage.name].result.get('updates'),
        'tokens': records[stage.name].result.get('tokens'),
      }
      for stage in stages
    ],
  }
  storage.write_atomic(
    plan.workdir / 'experiment.json', json.dumps(description, indent=1)
  )


def _environment(workdir: pathlib.Path) -> dict[str, str]:
  """Makes later stages reuse what earlier ones compiled."""
  return {
    'JAX_COMPILATION_CACHE_DIR': str(workdir.absolute() / '.jax_cache'),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.5',
    'TF_CPP_MIN_LOG_LEVEL': '2',
  }


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  workdir = pathlib.Path(_WORKDIR.value)
  config_flag = config_flags.get_config_filename(flags.FLAGS['config'])
  started = time.monotonic()
  try:
    plan = experiment.Plan(
      config=experiment.load(_CONFIG.value),
      config_flag=config_flag,
      workdir=workdir,
      run_config=_run_config(config_flag.partition(':')[0], workdir),
      n_cores=len(os.sched_getaffinity(0)),
    )
    stages = experiment.stages(plan)
    if _DRY_RUN.value:
      for number, stage in enumerate(stages, 1):
        print(f'[{number:>2}/{len(stages)}] {stage.command}')
      return
    workdir.mkdir(parents=True, exist_ok=True)
    # The last stage is the report, which also prints its table here.
    display = executor.Display(len(stages) + 1)
    runner = executor.Executor(
      stages, workdir, environment=_environment(workdir), display=display
    )
    records = runner.run()
  except executor.Interrupted:
    print(
      '\ninterrupted; run the same command again to continue', file=sys.stderr
    )
    raise
  except (executor.StageFailedError, schema.ConfigError) as e:
    print(f'\n{e}', file=sys.stderr)
    sys.exit(1)
  _write_description(plan, stages, records)
  command = ['-m', 'msm_jax.report', f'--workdir={workdir}']
  display.say(len(stages) + 1, ' '.join(['python', *command]))
  done = subprocess.run([sys.executable, *command], check=False)
  if done.returncode:
    sys.exit(done.returncode)
  minutes = (time.monotonic() - started) / 60
  print(f'report: {workdir}/report/index.html ({minutes:.1f} minutes)')


if __name__ == '__main__':
  app.run(main)
