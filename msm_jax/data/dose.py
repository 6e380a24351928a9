"""Prints how much of each trait, and of each genre, a phase is trained on.

  python -m msm_jax.data.dose --config=configs/mine.py --phase=midtrain \\
    [--step=1234] [--by=trait_ids,genre]

Counts are exact: of the segments that the phase, or the batch of one step,
really draws. Progress goes to stderr.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import sys

from absl import app
from absl import flags
from ml_collections import config_flags

from msm_jax import schema
from msm_jax.data import exposure
from msm_jax.data import phases
from msm_jax.data import provenance


def describe(
  config: phases.DataConfig, phase: str, step: int | None, by: Sequence[str]
) -> Iterator[str]:
  """Yields a headline and one table per column.

  Raises:
    ConfigError: For a phase, a step or a column that does not exist.
  """
  index = config.phase_index(phase, '--phase')
  for column in by:
    schema.one_of(column, provenance.COLUMNS, '--by')
  mixture = phases.mixture_for_phase(config, index)
  if step is None:
    counted = exposure.of_phase(mixture)
    what = f'phase {phase}, {mixture.n_batches:,} steps'
  else:
    if not 0 <= step < mixture.n_batches:
      raise schema.ConfigError(
        f'--step={step}: phase {phase!r} has steps 0 … {mixture.n_batches - 1}'
      )
    counted = exposure.of_step(mixture, step)
    what = f'phase {phase}, step {step} of {mixture.n_batches:,}'
  whole = exposure.total(counted)
  yield (
    f'{what}: {whole.tokens:,} tokens, {whole.loss_tokens:,} loss tokens, '
    f'{whole.documents:,} documents'
  )
  for column in by:
    yield _table(column, exposure.doses(mixture, counted, column), whole)


def _table(
  column: str, doses: dict[str, exposure.Dose], whole: exposure.Dose
) -> str:
  if not doses:
    return f'{column}: no source of this phase was prepared with this column'
  width = max(map(len, (column, *doses)))
  lines = [
    f'{column:{width}}  {"tokens":>15}  {"loss tokens":>15}  '
    f'{"of loss tokens":>14}  {"documents":>9}'
  ]
  for label, dose in doses.items():
    share = dose.loss_tokens / max(1, whole.loss_tokens)
    lines.append(
      f'{label:{width}}  {dose.tokens:15,}  {dose.loss_tokens:15,}  '
      f'{share:14.2%}  {dose.documents:9,}'
    )
  if sum(d.documents for d in doses.values()) > whole.documents:
    lines.append('Documents with several of these count fully for each.')
  return '\n'.join(lines)


def define_flags() -> None:
  """Defines the flags; not at import, since importers have their own."""
  config_flags.DEFINE_config_file('config', lock_config=True)
  flags.DEFINE_string('phase', None, 'Name of the phase.', required=True)
  flags.DEFINE_integer(
    'step', None, 'Update within the phase, from 0; default: the whole phase.'
  )
  flags.DEFINE_list(
    'by',
    ['trait_ids', 'genre'],
    f'What to break down by, of {", ".join(provenance.COLUMNS)}.',
  )
  flags.mark_flag_as_required('config')


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  try:
    config = phases.load_config(flags.FLAGS.config)
    tables = describe(
      config, flags.FLAGS.phase, flags.FLAGS.step, flags.FLAGS.by
    )
    print('\n\n'.join(tables))
  except (ValueError, OSError) as e:
    sys.exit(f'dose: {e}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
