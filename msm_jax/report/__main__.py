"""Writes `summary.json` and `report/index.html` of a finished experiment.

python -m msm_jax.report --workdir=runs/quickstart
"""

from absl import app
from absl import flags

from msm_jax import report

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'The folder that the experiment was run in.', required=True
)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments {argv[1:]}')
  try:
    written = report.write(_WORKDIR.value)
  except (OSError, ValueError) as e:
    raise SystemExit(f'report: {e}') from e
  print(written.text)
  print(f'summary: {written.summary_path}')
  print(f'report:  {written.page_path}')


if __name__ == '__main__':
  app.run(main)
