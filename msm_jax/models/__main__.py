"""Lists the published sizes that have a preset.

python -m msm_jax.models
"""

from absl import app

from msm_jax.models.decoder import Model
from msm_jax.models.presets import PRESETS


def table() -> str:
  """Returns a line for each preset; parameters are those of our own tree."""
  lines = [
    f'{"preset":<14} {"family":<8} {"parameters":>14} {"layers":>6} '
    f'{"width":>5} {"context":>7}  published as'
  ]
  for name, preset in PRESETS.items():
    c = preset.config
    lines.append(
      f'{name:<14} {preset.family:<8} {Model(c).n_params():>14,} '
      f'{c.n_layers:>6} {c.d_model:>5} {c.context_length:>7}  '
      f'{preset.repository}'
    )
  return '\n'.join(lines)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments {argv[1:]}')
  print(table())


if __name__ == '__main__':
  app.run(main)
