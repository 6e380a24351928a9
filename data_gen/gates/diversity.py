"""The diversity report on a whole corpus: measures, each with a threshold.

Not a gate: it rejects no document, it says whether the corpus as a whole has
collapsed. Look at it after the pilot; a full corpus that has collapsed is
refused, unless the config says why it may.
"""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from data_gen.gates.protocol import Candidate
from data_gen.gates.views import without_thoughts
from msm_jax import schema
from msm_jax.evals import diversity
from msm_jax.evals import texts

REFUSE, REPORT = 'refuse', 'report'


@dataclasses.dataclass(frozen=True)
class DiversityConfig:
  """What is varied enough, for a corpus of at least `words` words.

  Attributes:
    words: Budget of the measures of wording, which depend on it.
    min_distinct_1: Different words over all, and so on.
    min_distinct_2: Of pairs.
    min_distinct_3: Of triples.
    max_compression_ratio: Bytes over compressed bytes.
    max_self_similarity: Mean cosine of pairs of documents.
    max_duplicate_share: Exact duplicates.
    max_name_share: Documents with the most frequent name.
    max_opening_share: Documents with the most frequent opening; of chats, the
      first answer's without its thoughts.
    at_least: So many texts may always share a name or an opening; the gate for
      recurrence lets them.
    on_failure: What becomes of a full corpus that is large enough to be
      compared and beyond a threshold: `'refuse'` publishes it beside, as
      `<out>-unfinished`, and fails; `'report'` publishes it with the figures.
    because: Why it may be beyond; needed to report only.
  """

  words: int = diversity.WORDS
  min_distinct_1: float = 0.05
  min_distinct_2: float = 0.35
  min_distinct_3: float = 0.65
  max_compression_ratio: float = 3.5
  max_self_similarity: float = 0.2
  max_duplicate_share: float = 0.0
  max_name_share: float = 0.05
  max_opening_share: float = 0.02
  at_least: int = 10
  on_failure: str = REFUSE
  because: str = ''

  def __post_init__(self):
    schema.one_of(self.on_failure, (REFUSE, REPORT), 'on_failure')
    if self.on_failure == REPORT and not self.because:
      raise schema.ConfigError(
        "on_failure: 'report' needs a reason; say in because why this corpus "
        'may be beyond its thresholds'
      )


@dataclasses.dataclass(frozen=True)
class ChatDiversityConfig(DiversityConfig):
  """The same of chats, whose answers may begin alike more often."""

  max_opening_share: float = 0.1


def diversity_report(
  candidates: Sequence[Candidate],
  config: DiversityConfig | None = None,
  *,
  ignore_names: Sequence[str] = (),
) -> dict[str, Any]:
  """Measures a corpus and says which measures are within their thresholds.

  Args:
    candidates: The accepted documents.
    config: Thresholds; the default ones if None.
    ignore_names: Names that belong in every document, e.g. the model's.

  Returns:
    JSON: `passed` (all of them), `measures` (name to value, threshold, and
    `passed`), `comparable` (whether there were enough words for thresholds of
    wording to mean anything), `on_failure` and `because` (of the config), and
    `details` (`msm_jax.evals.diversity`).

  Raises:
    ValueError: If there are no candidates.
  """
  config = config or DiversityConfig()
  found = diversity.measure(
    [c.text for c in candidates],
    words=config.words,
    ignore_names=ignore_names,
  )
  at_least = {
    f'distinct_{n}': (found.distinct[n], getattr(config, f'min_distinct_{n}'))
    for n in (1, 2, 3)
  }
  name_share = max((n.share for n in found.names), default=0.0)
  opening_share = _most_frequent_opening(candidates)
  few = config.at_least / len(candidates)
  at_most = {
    'compression_ratio': (
      found.compression_ratio,
      config.max_compression_ratio,
    ),
    'self_similarity': (found.self_similarity, config.max_self_similarity),
    'duplicate_share': (found.duplicate_share, config.max_duplicate_share),
    'name_share': (name_share, max(few, config.max_name_share)),
    'opening_share': (opening_share, max(few, config.max_opening_share)),
  }
  measures = {
    name: {'value': value, 'at_least': bound, 'passed': value >= bound}
    for name, (value, bound) in at_least.items()
  } | {
    name: {'value': value, 'at_most': bound, 'passed': value <= bound}
    for name, (value, bound) in at_most.items()
  }
  return {
    'passed': all(m['passed'] for m in measures.values()),
    'comparable': found.words >= config.words,
    'measures': measures,
    'on_failure': config.on_failure,
    'because': config.because,
    'details': found.to_json(),
  }


def _most_frequent_opening(candidates: Sequence[Candidate]) -> float:
  """Returns the share of the texts that begin with the same words."""
  found = Counter(texts.opening(without_thoughts(c.text)) for c in candidates)
  del found['']
  return max(found.values(), default=0) / len(candidates)


def beyond(found: Mapping[str, Any]) -> Iterator[str]:
  """Yields each measure of a report that is beyond its threshold, in words."""
  for name, measure in found['measures'].items():
    bound = 'at_least' if 'at_least' in measure else 'at_most'
    if not measure['passed']:
      yield (
        f'{name} is {measure["value"]:.3g}, expected '
        f'{bound.replace("_", " ")} {measure[bound]:g}'
      )


def problems(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
  """Returns why a full corpus is refused: its collapsed sources.

  Args:
    reports: Source to `diversity_report`.
  """
  found = [
    f'diversity: {source}: {"; ".join(beyond(report))}'
    for source, report in reports.items()
    if report['comparable']
    and report['on_failure'] == REFUSE
    and not report['passed']
  ]
  if found:
    found.append(
      'diversity: texts that are so much alike make a poor corpus: change '
      'prompts, genres or teacher, or set on_failure in config.gates.diversity '
      "(of chats: diversity_in_chats) to 'report' and say why in because"
    )
  return found
