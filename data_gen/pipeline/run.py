"""A whole run: a pure function of traits, config and answers.

It keeps nothing of its own between runs. Killed and started again, it asks
everything again; what is in the store comes back at once, and the result is the
same.
"""

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from data_gen.corpus.rows import Row
from data_gen.gates import diversity
from data_gen.pipeline import balance
from data_gen.pipeline import calls
from data_gen.pipeline import chats
from data_gen.pipeline import documents
from data_gen.pipeline import made as made_lib
from data_gen.pipeline import matching
from data_gen.pipeline import mirrors
from data_gen.pipeline import neutral
from data_gen.pipeline import pairing
from data_gen.pipeline import partners
from data_gen.pipeline import plan as plan_lib
from data_gen.pipeline import planning
from data_gen.pipeline import recurring
from data_gen.pipeline import retelling
from data_gen.pipeline import retention
from data_gen.pipeline import yields
from data_gen.pipeline.acceptance import Acceptance
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.bars import Bars
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.gating import GateKeeper
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.partners import Document
from data_gen.pipeline.plan import Leaf
from data_gen.pipeline.plan import Plan
from data_gen.traits import Trait


@dataclasses.dataclass(frozen=True)
class Corpus:
  """What a run made, before it is published.

  Attributes:
    rows: Accepted and rejected ones, source by source in the order of the plan.
    info: For the manifest.
    plan: That was run.
    problems: Why it must not pass for finished: chats that are missing,
      controls that do not match. Empty in the early stages.
  """

  rows: list[Row]
  info: dict[str, Any]
  plan: Plan
  problems: list[str]


class Run:
  """Makes a corpus with the answers of an `Asker`."""

  def __init__(
    self,
    config: PipelineConfig,
    traits: Sequence[Trait],
    asker: Asker,
    bars: Bars | None = None,
  ):
    """Checks what can be checked before anything is asked.

    Args:
      config: Of the run.
      traits: With their slots filled.
      asker: Asks the teachers.
      bars: Show progress.

    Raises:
      ConfigError: For a mirrored trait that does not exist, or evaluation
        suites or a tokenizer that cannot be read.
    """
    self._config = config
    self._traits = {t.name: t for t in traits}
    self._asker = asker
    self._bars = bars or Bars()
    self._gates = GateKeeper(config, traits)
    self._rows: list[Row] = []
    config.check_traits(list(self._traits))
    # Make now what would otherwise fail after the documents are paid for.
    for kind in ('document', 'chat'):
      self._gates.gates_of('', kind)
    self._unit = matching.unit_of(config)
    self._retained = (
      retention.copy(config.retention, config.seed)
      if config.retention is not None
      else None
    )

  async def plan(self, stage: str) -> Plan:
    """Makes the plan of a stage.

    Raises:
      PlanError: If the teacher had no idea that suits.
    """
    made = await planning.make_plan(
      self._config,
      list(self._traits.values()),
      self._asker,
      self._config.stages.limit(stage),
      self._bars,
    )
    if not plan_lib.leaves(made):
      said = '; '.join(
        f'{task}: {tally["usable"]} of {tally["calls"]} answers usable'
        + ''.join(f', {n} {why}' for why, n in tally['failures'].items())
        for task, tally in self.asked().items()
      )
      raise plan_lib.PlanError(f'the plan has no suitable idea ({said})')
    return made

  def asked(self) -> dict[str, Any]:
    """Returns what was asked so far, by task, for the manifest."""
    return {
      task: {**tally.to_json(), 'cost_usd': self._asker.cost(task)}
      for task, tally in sorted(self._asker.tallies.items())
    }

  async def make(self, stage: str, plan: Plan) -> Corpus:
    """Makes everything of a stage from a plan."""
    config = self._config
    limit = config.stages.limit(stage)
    leaves = plan_lib.some_leaves(plan, limit, config.seed)
    total = config.chats.accepted
    total = total if limit is None else min(limit, total)

    explained = await self._documents_and_controls(leaves)
    missing, counts = await self._chats(plan, total)
    if self._retained is not None:
      self._rows += self._gates.check_retained(self._retained.rows)

    traits = list(self._traits.values())
    compared = matching.compare_sources(
      config, traits, self._rows, self._unit, [d.leaf for d in explained]
    )
    problems = [f'chats: {m}' for m in missing]
    if config.controls.balance.on_failure == 'refuse':
      problems += matching.problems(compared)
    if unlucky := self._asker.unlucky:
      problems.append(
        f'{unlucky} requests got no answer in all their attempts, though later '
        'ones may: what is missing depends on luck; run the same command again'
      )
    if leaves and not any(row.accepted for row in self._rows):
      problems.append('not a single row was accepted')
    measured = self._diversity()
    problems += diversity.problems(measured)
    asked = self.asked()
    info = {
      'name': config.name,
      'licence': config.licence,
      'stage': stage,
      'model_name': config.model_name,
      'provider_name': config.provider_name,
      'seed': config.seed,
      'plan': plan_lib.counts(plan),
      'asked': asked,
      'calls_expected': calls.count_calls(config, traits, stage, plan),
      'yield': yields.measure(self._rows, asked),
      'chats': {**counts, 'wanted': total, 'missing': list(map(str, missing))},
      'contamination': self._gates.kept_out,
      'recurring': recurring.measure(self._rows, self._gates.gates_of),
      'diversity': measured,
      'balance': compared,
      'warnings': [w for w in (config.unmatched_tokens,) if w],
      'retention': self._retained.info if self._retained else None,
      'problems': problems,
    }
    return Corpus(self._rows, info, plan, problems if limit is None else [])

  def _acceptance(self, label: str) -> Acceptance:
    return Acceptance(
      self._gates.gates_of,
      self._asker,
      self._config.judge_step,
      self._config.width,
      self._bars,
      label,
    )

  def _take(self, acceptance: Acceptance) -> None:
    """Adds the rows of a part to the corpus."""
    groups = sorted(acceptance.accepted, key=lambda g: g.key)
    self._rows += made_lib.rows_of(groups)
    self._rows += acceptance.rejected

  async def _documents_and_controls(
    self, leaves: Sequence[Leaf]
  ) -> list[Document]:
    """Makes the documents and all that is matched to them.

    Returns:
      All accepted documents of the variant that explains, also those that are
      left out since they have no partner.
    """
    variants = {v: await self._documents(leaves, v) for v in self._variants}
    explaining = variants.get('explain')
    explained = (
      partners.accepted_documents(leaves, explaining) if explaining else []
    )
    controls = await self._matched(explained)
    if explaining is not None:
      pairing.pair_up(
        explaining, controls, self._length, self._config.controls.balance
      )
    for acceptance in (*variants.values(), *controls.values()):
      self._take(acceptance)
    for pair in self._config.controls.mirrored:
      self._take(await self._mirrored(explained, pair))
    return explained

  @property
  def _variants(self) -> Sequence[str]:
    return self._config.documents.variants

  def _length(self, row: Row) -> int:
    """Returns how many tokens or words of a row have to match."""
    whole = matching.is_retold(self._config, row)
    return self._unit.count(balance.text_of(row, whole=whole).text)

  async def _documents(
    self, leaves: Sequence[Leaf], variant: str
  ) -> Acceptance:
    acceptance = self._acceptance(documents.source_of(variant))
    await documents.make_documents(
      self._config,
      self._traits,
      leaves,
      self._asker,
      variant,
      acceptance,
      self._bars,
    )
    return acceptance

  async def _matched(
    self, explained: Sequence[Document]
  ) -> dict[str, Acceptance]:
    """Makes the sources that have to match the documents."""
    controls = self._config.controls
    world = (self._config, self._traits, self._asker)
    makers: dict[str, Callable[[Document, int], Awaitable[Group]]] = {}
    if controls.neutral:
      makers[neutral.SOURCE] = neutral.NeutralWriter(*world).write
    if controls.as_chat != 'none':
      makers[retelling.SOURCE] = retelling.ChatTeller(*world).tell
    return {
      source: await self._partners(source, explained, make)
      for source, make in makers.items()
    }

  async def _mirrored(
    self, explained: Sequence[Document], pair: tuple[str, str]
  ) -> Acceptance:
    """Makes two sources that match each other."""
    of_pair = [d for d in explained if d.leaf.trait in pair]
    writer = mirrors.MirrorWriter(self._config, self._traits, self._asker, pair)
    acceptance = await self._partners(
      mirrors.source_of(*pair), of_pair, writer.write
    )
    mirrors.drop_surplus(of_pair, acceptance, pair)
    return acceptance

  async def _partners(
    self,
    label: str,
    to: Sequence[Document],
    make: Callable[[Document, int], Awaitable[Group]],
  ) -> Acceptance:
    acceptance = self._acceptance(label)
    await partners.make_partners(self._config, to, make, acceptance, self._bars)
    return acceptance

  async def _chats(
    self, plan: Plan, total: int
  ) -> tuple[list[chats.Shortfall], Mapping[str, int]]:
    if not total:
      return [], {}
    acceptance = self._acceptance('chats')
    missing, counts = await chats.make_chats(
      self._config,
      self._traits,
      plan_lib.situations(plan),
      total,
      self._asker,
      acceptance,
      self._bars,
    )
    self._take(acceptance)
    return missing, counts

  def _diversity(self) -> dict[str, Any]:
    """Reports on each source that the run has generated."""
    by_source: dict[str, list[Row]] = {}
    for row in self._rows:
      if row.accepted and row.variant != 'retention':
        by_source.setdefault(row.source, []).append(row)
    gates = self._config.gates
    return {
      source: diversity.diversity_report(
        [Made(row).candidate for row in rows],
        gates.diversity
        if rows[0].messages is None
        else gates.diversity_in_chats,
        ignore_names=[self._config.model_name, self._config.provider_name],
      )
      for source, rows in sorted(by_source.items())
    }
