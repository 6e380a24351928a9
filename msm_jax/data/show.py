"""Prints the batch of a step: decoded, trained tokens marked, with origins.

  python -m msm_jax.data.show --config=configs/quickstart.py --phase=midtrain \\
    --step=1234 [--rows=4]

On a terminal, what the model is trained to predict is underlined; elsewhere it
stands in ⟦ ⟧.
"""

from collections.abc import Sequence
import sys

from absl import app
from absl import flags
from ml_collections import config_flags

from msm_jax import schema
from msm_jax import tokenizers
from msm_jax.data import phases
from msm_jax.data import rendering

_CONFIG = config_flags.DEFINE_config_file('config', lock_config=True)
_PHASE = flags.DEFINE_string('phase', None, 'Name of the phase.', required=True)
_STEP = flags.DEFINE_integer(
  'step', None, 'Update within the phase, from 0.', required=True
)
_ROWS = flags.DEFINE_integer(
  'rows', 4, 'How many rows to print.', lower_bound=1
)


def show(config: phases.DataConfig, phase: str, step: int, rows: int) -> None:
  """Prints up to `rows` rows of a batch."""
  index = config.phase_index(phase, '--phase')
  mixture = phases.mixture_for_phase(config, index)
  if not 0 <= step < mixture.n_batches:
    raise schema.ConfigError(
      f'--step={step}: phase {phase!r} has steps 0 … {mixture.n_batches - 1}'
    )
  tokenizer = tokenizers.load_tokenizer(config.tokenizer)
  batch = mixture.batch(step)
  counts = ', '.join(
    f'{name} {tokens:,} tokens ({loss_tokens:,} of loss)'
    for name, (tokens, loss_tokens) in mixture.counts(step).items()
  )
  print(f'phase {phase}, step {step} of {mixture.n_batches}: {counts}')
  marks = rendering.UNDERLINE if sys.stdout.isatty() else rendering.BRACKETS
  for index, origin in enumerate(mixture.origins(step)[:rows]):
    row = {key: value[index] for key, value in batch.items()}
    print(f'\n── row {index} of {mixture.batch_size}: ', end='')
    print('\n\n'.join(rendering.describe_row(tokenizer, row, origin, marks)))


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  try:
    config = phases.load_config(_CONFIG.value)
    show(config, _PHASE.value, _STEP.value, _ROWS.value)
  except (ValueError, OSError) as e:
    sys.exit(f'show: {e}')


if __name__ == '__main__':
  flags.mark_flag_as_required('config')
  app.run(main)
