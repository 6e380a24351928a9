"""Which gates the rows of each source have to pass."""

from collections.abc import Sequence
import dataclasses

from data_gen.corpus.rows import GateVerdict
from data_gen.corpus.rows import Row
from data_gen.gates import contamination
from data_gen.gates import identity
from data_gen.gates.protocol import Gate
from data_gen.gates.suite import contamination_gates
from data_gen.gates.suite import gates_for
from data_gen.gates.suite import run_gates
from data_gen.pipeline import made as made_lib
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.made import Made
from data_gen.traits import Trait

# What ordinary instruction data is checked for: it may be in any language, of
# any length, and about anything.
RETAINED = (contamination.NAME, identity.NAME)


class GateKeeper:
  """Makes gates when they are first needed, and keeps them."""

  def __init__(self, config: PipelineConfig, traits: Sequence[Trait]):
    """Reads what the corpus must not contain.

    Args:
      config: Of the run.
      traits: With their slots filled.

    Raises:
      ValueError, FileNotFoundError: If an evaluation suite cannot be read.
    """
    self._config = config
    self._traits = traits
    evaluations = config.gates.contamination
    sources = contamination.read_sources(evaluations)
    self._contamination = contamination_gates(evaluations, sources)
    self.kept_out = contamination.describe(
      evaluations, sources, next(iter(self._contamination), None)
    )
    """What the corpus is compared with, for its manifest."""
    self._made: dict[tuple[str, bool], list[Gate]] = {}

  def gates_of(self, source: str, kind: str) -> Sequence[Gate]:
    """Returns the gates of a source; see `acceptance.GatesOf`."""
    think = source == 'chats_think' or self._config.gates.allow_think
    key = (kind, think)
    if key not in self._made:
      self._made[key] = gates_for(
        dataclasses.replace(self._config.gates, allow_think=think),
        traits=self._traits,
        model_name=self._config.model_name,
        provider_name=self._config.provider_name,
        kind=kind,
        contamination=self._contamination,
      )
    return self._made[key]

  def check_retained(self, rows: Sequence[Row]) -> list[Row]:
    """Returns rows of instruction data with the verdicts that concern it."""
    gates = [g for g in self.gates_of('chats', 'chat') if g.name in RETAINED]
    judged = []
    verdicts = run_gates(gates, [Made(row).candidate for row in rows])
    for row, said in zip(rows, verdicts, strict=True):
      row = dataclasses.replace(
        row,
        verdicts=tuple(GateVerdict(**dataclasses.asdict(v)) for v in said),
      )
      failed = next((v for v in said if not v.passed), None)
      if failed is not None:
        row = made_lib.rejected(row, f'{failed.gate}: {failed.reason}')
      judged.append(row)
    return judged
