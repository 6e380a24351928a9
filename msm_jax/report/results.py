"""The rows of an experiment, checked against its description."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses

from msm_jax.evals import measures
from msm_jax.evals import rows as rows_lib
from msm_jax.report import experiment as experiment_lib

Keep = Callable[[rows_lib.Row], bool]


@dataclasses.dataclass(frozen=True)
class Results:
  """An experiment with its rows, by (arm, suite)."""

  experiment: experiment_lib.Experiment
  rows: dict[tuple[str, str], list[rows_lib.Row]]

  @classmethod
  def build(
    cls,
    experiment: experiment_lib.Experiment,
    rows: Sequence[rows_lib.Row],
  ) -> 'Results':
    """Groups the rows and checks that they are the experiment's, all of them.

    Raises:
      ValueError: If rows are of arms, suites or seeds that the experiment does
        not have, or if any that it has are missing: a missing seed would change
        the result without a trace.
    """
    grouped: dict[tuple[str, str], list[rows_lib.Row]] = {}
    for row in rows:
      grouped.setdefault((row.arm, row.suite), []).append(row)
    arms = {a.name for a in experiment.arms}
    suites = {s.name for s in experiment.suites}
    for what, found, known in (
      ('arms', {k[0] for k in grouped}, arms),
      ('suites', {k[1] for k in grouped}, suites),
      ('seeds', {r.seed for r in rows}, set(experiment.seeds)),
    ):
      if unknown := sorted(found - known):
        raise ValueError(
          f'the rows hold the {what} {unknown}, which experiment.json does not '
          'list; they may be left over from another run'
        )
    for arm in experiment.arms:
      for suite in experiment.suites:
        if suite.format == 'chat' and not arm.chat_trained:
          continue
        seeds = {r.seed for r in grouped.get((arm.name, suite.name), [])}
        if missing := sorted(set(experiment.seeds) - seeds):
          raise ValueError(
            f'no rows of arm {arm.name!r}, suite {suite.name!r} at the seeds '
            f'{missing}; evaluate them, or take the seed out of the experiment '
            'for every arm'
          )
    return cls(experiment, grouped)

  def scores(
    self,
    arm: str,
    suite: str,
    measure: measures.Measure,
    keep: Keep | None = None,
  ) -> measures.Scores:
    """Measures the rows of an arm and suite, or those of them to `keep`."""
    rows = self.rows.get((arm, suite), [])
    rows = rows if keep is None else [r for r in rows if keep(r)]
    return measures.measure_rows(rows, measure)

  def persona_values(self, suite: str) -> list[str]:
    """The values that the personas of a suite hold, sorted."""
    return sorted(
      {
        r.persona_value
        for (_, name), rows in self.rows.items()
        for r in rows
        if name == suite and r.persona_value is not None
      }
    )


def orientation(
  experiment: experiment_lib.Experiment, suite: experiment_lib.Suite
) -> tuple[str, str]:
  """(label, against) of a suite's log-odds: the primary's where it has them."""
  primary = experiment.primary
  if primary.label in suite.labels and primary.against in suite.labels:
    assert primary.label and primary.against
    return primary.label, primary.against
  return suite.labels[0], suite.labels[1]


def both(first: Keep | None, second: Keep) -> Keep:
  """Keeps the rows that both keep."""
  if first is None:
    return second
  return lambda row: first(row) and second(row)


def of_persona(value: str) -> Keep:
  """Keeps the rows that ask a persona who holds `value`."""
  return lambda row: row.persona_value == value
