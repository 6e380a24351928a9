"""From a traits document to a corpus.

  python -m data_gen --config=configs/data/offline.py \\
    --traits=data_gen/traits/quickstart.md --out=runs/corpus

Look before you pay: `--dry_run` prints sizes, tokens and cost and asks nothing;
`--stage=probe`, then `--stage=pilot`, make a part of the same plan, publish it
beside as OUT-probe and OUT-pilot, and say what the rest will take. All stages
share the store of answers, so nothing is paid for twice. `--stage=plan` makes
the plan only; edit it and run from it with `--plan=FILE`.

Killed or interrupted, run the same command again. Exit codes: 0 finished; 1 an
error, or a corpus that must not pass for finished, explained on the last lines.
"""

import asyncio
import sys

from absl import app
from absl import flags
from ml_collections import config_flags

from data_gen import traits as traits_lib
from data_gen.pipeline import command
from data_gen.pipeline import config as config_lib
from msm_jax import log
from msm_jax import schema

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'What is made, how much, and by whom.'
)
_TRAITS = flags.DEFINE_string('traits', None, 'Traits document.', required=True)
_OUT = flags.DEFINE_string(
  'out', None, 'Directory to publish the corpus in, local or gs://….'
)
_STAGE = flags.DEFINE_enum(
  'stage', 'full', list(config_lib.STAGES), 'How much of it.'
)
_DRY_RUN = flags.DEFINE_bool(
  'dry_run', False, 'Print sizes, tokens and cost; ask nothing.'
)
_PLAN = flags.DEFINE_string(
  'plan', None, 'Plan to run from; default: a new one is made.'
)
_STORE = flags.DEFINE_string(
  'store',
  None,
  'SQLite file of the answers, on a local disk; default: OUT.answers.sqlite.',
)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
  if _CONFIG.value is None:
    raise app.UsageError('flag --config must be given')
  if _OUT.value is None and not _DRY_RUN.value:
    raise app.UsageError('flag --out must be given, unless with --dry_run')
  log.configure()
  try:
    config = config_lib.load(_CONFIG.value)
    job = command.Job(
      config=config,
      traits=traits_lib.load(_TRAITS.value),
      out=_OUT.value,
      stage=_STAGE.value,
      plan_path=_PLAN.value,
      store_path=_STORE.value,
      command=('python', '-m', 'data_gen', *sys.argv[1:]),
    )
    if _DRY_RUN.value:
      print(command.dry_run(job))
      return
    said, problems = asyncio.run(command.run(job))
  except KeyboardInterrupt:
    sys.exit('data_gen: interrupted; what was answered is stored, run again')
  except (*command.ERRORS, schema.ConfigError) as e:
    sys.exit(f'data_gen: {e}')
  print(said)
  if problems:
    sys.exit('\n'.join(['data_gen: not finished:', *problems]))


if __name__ == '__main__':
  app.run(main)
