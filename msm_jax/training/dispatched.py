"""An update that is on its way, and what is written of it when it is done."""

import dataclasses
import math
from typing import Any

from msm_jax import data
from msm_jax.training import metrics as metrics_lib
from msm_jax.training import phases
from msm_jax.training import step as step_lib


@dataclasses.dataclass(frozen=True)
class Dispatched:
  """An update that was dispatched and whose metrics are not yet read.

  Attributes:
    step: Updates of the run, with it.
    plan: Its phase.
    update: Updates of the phase before it.
    learning_rate: Its own.
    metrics: On the devices; to read them is to wait for the update.
  """

  step: int
  plan: phases.Plan
  update: int
  learning_rate: float
  metrics: step_lib.Metrics

  def record(
    self,
    mixture: data.Mixture,
    *,
    tokens_seen: int,
    seconds: float,
    mfu: float | None,
  ) -> dict[str, Any]:
    """Returns what the log says of it, as JSON.

    Args:
      mixture: Of the phase.
      tokens_seen: By the run, with it; padding is not counted.
      seconds: That it took.
      mfu: Model FLOPs utilisation, where the peak is known.
    """
    counts = mixture.counts(self.update)
    loss = float(self.metrics.loss)
    return {
      'step': self.step,
      'phase': self.plan.phase.name,
      'update': self.update + 1,
      'loss': loss,
      'perplexity': math.exp(min(loss, 50.0)),
      'log_z_squared': float(self.metrics.log_z_squared),
      'grad_norm': float(self.metrics.grad_norm),
      'learning_rate': self.learning_rate,
      'tokens': {name: t for name, (t, _) in counts.items()},
      'loss_tokens': {name: t for name, (_, t) in counts.items()},
      'source_loss': metrics_lib.loss_by_source(
        mixture.source_of(self.update),
        self.metrics.row_loss,
        self.metrics.row_weight,
      ),
      'tokens_seen': tokens_seen,
      'tokens_per_second': self.plan.phase.tokens_per_update / seconds,
      'mfu': mfu,
    }

  def explain(self, mixture: data.Mixture, problem: str, good: str) -> str:
    """Says what is wrong with it, which documents it saw, and what is good."""
    rows = [
      f'  row {r}: {row.source}[{row.sequence}] documents '
      + ', '.join(document for _, document, _ in row.segments)
      for r, row in enumerate(mixture.origins(self.update))
    ]
    return (
      f'step {self.step} (phase {self.plan.phase.name}, update '
      f'{self.update + 1}): {problem}. The last good checkpoint is {good}. The '
      'batch held:\n' + '\n'.join(rows)
    )
