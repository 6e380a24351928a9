"""The `contamination` gate: evaluation items stay out, edited ones too."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from data_gen.gates import items
from data_gen.gates.each import EachGate
from data_gen.gates.passages import LooseIndex
from data_gen.gates.passages import Passage
from data_gen.gates.passages import VerbatimIndex
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import view
from data_gen.gates.views import whole_text

NAME = 'contamination'


@dataclasses.dataclass(frozen=True)
class ContaminationConfig:
  """What the model will be evaluated on, and what counts as having seen it.

  Attributes:
    suites: Suites of `msm_jax.evals`: files, folders of `*.jsonl`, workdirs of
      experiments, with wildcards or without; local or `gs://`. See `finding`.
    texts: Texts of any kind; see `items.read_texts`.
    none_because: Why there are neither suites nor texts. Without them and
      without this, a full corpus is refused before the first request.
    run: Words in a row that a text may not share with an item. GPT-3 used 13
      (Brown et al. 2020, appendix C), Llama 2 used 10 tokens (Touvron et al.
      2023, appendix A.6).
    share: Of an item's runs of three words, weighted by how rare they are among
      the items, found close together: a lightly edited item.
    long_words: Items of so many words are told from other texts more safely,
      so that
    long_share: of their runs of two words is enough.
    min_runs: Different runs with a content word that an item must have to be
      looked for; shorter ones are ordinary English.
  """

  suites: tuple[str, ...] = ()
  texts: tuple[str, ...] = ()
  none_because: str = ''
  run: int = 13
  share: float = 0.5
  long_words: int = 30
  long_share: float = 0.4
  min_runs: int = 5

  def __post_init__(self):
    if not 8 <= self.run <= 13:
      raise ValueError(
        f'run: {self.run}, expected 8 to 13 words; shorter runs are ordinary '
        'English, longer ones miss most items'
      )
    for key in ('share', 'long_share'):
      if not 0 < getattr(self, key) <= 1:
        raise ValueError(
          f'{key}: {getattr(self, key)}, expected more than 0, at most 1'
        )


class ContaminationGate(EachGate):
  """Rejects any text, or any turn of a chat, that holds an item.

  Attributes:
    items: How many there are.
    too_short: Items that are not looked for; see `ContaminationConfig`.

  Args:
    config: What counts.
    passages: The items; see `read_sources`.
  """

  def __init__(self, config: ContaminationConfig, passages: Sequence[Passage]):
    super().__init__(NAME)
    self.items = len({p.group for p in passages})
    self._verbatim = VerbatimIndex(passages, config.run)
    long = [p for p in passages if len(p.words) >= config.long_words]
    short = [p for p in passages if len(p.words) < config.long_words]
    self._loose = (
      LooseIndex(
        long, k=2, min_share=config.long_share, min_runs=config.min_runs
      ),
      LooseIndex(short, k=3, min_share=config.share, min_runs=config.min_runs),
    )
    missed = {p.group for index in self._loose for p in index.too_short}
    found = {p.group for index in self._loose for p in index.passages}
    runs = {p.group for p in passages if len(p.words) >= config.run}
    self.too_short = sorted(missed - found - runs)

  def judge(self, candidate: Candidate) -> Verdict:
    seen = view(whole_text(candidate))
    if run := self._verbatim.find(seen):
      detail = f'{run.passage.name}: {seen.excerpt(run.start, run.end)!r}'
      return self.fail('verbatim', detail, round(run.share, 3))
    for index in self._loose:
      if loose := index.find(seen):
        words = seen.excerpt(loose.start, loose.end)
        detail = f'{loose.passage.name}: {words!r}'
        return self.fail('edited', detail, round(loose.share, 3))
    return self._passed


def read_sources(config: ContaminationConfig) -> list[items.Source]:
  """Reads every item that the config names; see `items` for errors."""
  return [*items.read_suites(config.suites), *items.read_texts(config.texts)]


def describe(
  config: ContaminationConfig,
  sources: Sequence[items.Source],
  gate: ContaminationGate | None,
) -> dict[str, Any]:
  """Returns what a corpus was compared with, for its manifest.

  Args:
    config: What counts as having seen an item.
    sources: Of the config.
    gate: Of these; None if there are none.

  Returns:
    `sources` (path, kind, items and checksum of each), `items` (of all),
    `too_short` (how many of those cannot be looked for) and `none_because`.
  """
  return {
    'sources': [source.to_json() for source in sources],
    'items': gate.items if gate else 0,
    'too_short': len(gate.too_short) if gate else 0,
    'none_because': '' if sources else config.none_because,
  }
