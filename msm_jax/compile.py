"""Compiles a run's steps for TPUs that are not there, and says what they need.

    python -m msm_jax.compile --config=configs/x.py:arm=msm \\
      --topology=v5p:4x4x4 [--num_slices=2] [--out=report.json] [--sweep]

For each phase: memory by kind, FLOPs and bytes with loops counted fully,
collectives, the least time of an update, the MFU that cannot be exceeded,
chip-hours and cost. Needs `jax[tpu]`, no TPU. See docs/compile.md.

Exit codes: 0 it fits; 1 a config error; 2 it does not fit; 3 it exceeds the
budget that it was compared with.
"""

import sys

from absl import app
from absl import flags
from ml_collections import config_flags

from msm_jax import log
from msm_jax import schema
from msm_jax.compilation import libtpu


def define_flags() -> None:
  """Defines the flags; not at import, since importers have their own."""
  config_flags.DEFINE_config_file('config', help_string='The run.')
  flags.DEFINE_string(
    'topology', None, 'Chips, such as v5p:4x4x4 or v6e:16x16.', required=True
  )
  flags.DEFINE_integer('num_slices', 1, 'Slices of that shape.')
  flags.DEFINE_string('phase', None, 'Only this phase.')
  flags.DEFINE_float('price', None, 'US dollars per chip-hour.')
  flags.DEFINE_multi_string(
    'option', [], 'NAME=VALUE for XLA; may be repeated.'
  )
  flags.DEFINE_bool(
    'sweep', False, 'Try batch sizes, remat policies and meshes.'
  )
  flags.DEFINE_string('out', None, 'JSON file to write.')
  flags.DEFINE_string('budget', None, 'JSON file of limits to compare with.')
  flags.DEFINE_string('write_budget', None, 'JSON file of limits to write.')


def _options() -> dict[str, str]:
  found = {}
  for option in flags.FLAGS.option:
    name, equals, value = option.partition('=')
    if not equals:
      raise schema.ConfigError(f'--option: {option!r} is not NAME=VALUE')
    found[name] = value
  return found


def _run() -> int:
  """Does what the flags ask for; returns the exit code."""
  # These import JAX, which must not happen before `libtpu.prepare()`.
  from msm_jax import training
  from msm_jax.compilation import command

  values = flags.FLAGS
  request = command.Request(
    topology=values.topology,
    num_slices=values.num_slices,
    phase=values.phase,
    price=values.price,
    options=_options(),
    sweep=values.sweep,
    out=values.out,
    budget=values.budget,
    write_budget=values.write_budget,
  )
  config = training.load(values.config)
  name = config_flags.get_config_filename(values['config'])
  return command.run(config, request, name)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  try:
    code = _run()
  except schema.ConfigError as e:
    log.logger.error('%s', e)
    code = 1
  sys.exit(code)


if __name__ == '__main__':
  libtpu.prepare()
  define_flags()
  log.configure()
  app.run(main)
