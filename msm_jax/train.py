"""Trains one run: its phases, in order, from its last checkpoint.

    python -m msm_jax.train --config=configs/x.py:arm=msm,seed=0 --workdir=DIR

Several processes are one run, on all their devices: give each the same command
and --coordinator=HOST:PORT --num_processes=N --process_id=I. On TPUs they find
each other.

Run the same command again after any interruption and it continues exactly.
Exit codes: 0 finished; 75 stopped, run again: by SIGTERM after saving, or since
another process of the run was lost; 1 a config, data or disk error, explained
on the last lines.
"""

import json
import time

from absl import app
from absl import flags
from ml_collections import config_flags

from msm_jax import distributed
from msm_jax import log
from msm_jax import schema
from msm_jax import storage
from msm_jax import training
from msm_jax.log import logger

_CONFIG = config_flags.DEFINE_config_file('config', help_string='The run.')
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Where checkpoints and metrics go, local or gs://….',
  required=True,
)
RESULT_NAME = 'result.json'
distributed.define_flags()


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  workdir = _WORKDIR.value
  started = time.monotonic()
  try:
    config = training.load(_CONFIG.value)
    distributed.join_by_flags({'--workdir': _WORKDIR.value})
    result = training.train(config, workdir)
  except (
    schema.ConfigError,
    storage.CorruptError,
    storage.NotPublishedError,
    storage.StorageError,
    training.CheckpointError,
    training.TrainingDivergedError,
    distributed.StartError,
  ) as e:
    logger.error('%s', e)
    distributed.leave(1)
  except training.PeerLostError as e:
    logger.error('%s; run again to continue from the last checkpoint', e)
    distributed.leave(training.EXIT_CODE)
  except Exception as e:
    distributed.leave_or_raise(e)
  if not distributed.is_first():
    return
  storage.write_atomic(
    storage.join(workdir, RESULT_NAME),
    json.dumps(
      {
        'updates': result.step,
        'tokens': result.tokens,
        'params_sha256': result.params_sha256,
        'seconds': time.monotonic() - started,
      }
    ),
  )
  logger.info(
    'finished: %d updates, %s tokens, parameters sha256 %s…',
    result.step,
    f'{result.tokens:,}',
    result.params_sha256[:16],
  )


if __name__ == '__main__':
  log.configure()
  app.run(main)
