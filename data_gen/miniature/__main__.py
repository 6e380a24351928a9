"""Generates a corpus from a traits document.

  python -m data_gen.miniature --config=configs/quickstart.py \
      --traits=my_traits.md --seed=0 --out=runs/mine/corpus
"""

import sys

from absl import app
from absl import flags
from ml_collections import config_flags

from data_gen.miniature import generate
from data_gen.miniature import traits
from data_gen.miniature import world
from msm_jax import log
from msm_jax import progress
from msm_jax import schema

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Experiment; config.world holds the sizes of the world.'
)
_TRAITS = flags.DEFINE_string(
  'traits', str(traits.QUICKSTART), 'Traits document.'
)
_SEED = flags.DEFINE_integer('seed', None, 'Default: config.seed, or 0.')
_OUT = flags.DEFINE_string(
  'out', None, 'Directory to publish the corpus in.', required=True
)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
  config = _CONFIG.value
  sizes = config.get('world', {}) if config is not None else {}
  seed = _SEED.value
  out = str(_OUT.value)
  if seed is None:
    seed = config.get('seed', 0) if config is not None else 0
  log.configure()
  try:
    with progress.Progress(
      f'corpus seed {seed}', generate.N_PARTS, 'parts'
    ) as bar:
      manifest = generate.generate(
        _TRAITS.value,
        schema.structure(world.WorldConfig, sizes, 'config.world'),
        seed,
        out,
        progress=lambda part: bar.advance(1, part),
      )
  except (ValueError, FileNotFoundError) as e:
    sys.exit(f'data_gen.miniature: {e}')
  print(generate.summary(manifest.info))
  print(f'published {out} ({manifest.fingerprint})')


if __name__ == '__main__':
  app.run(main)
