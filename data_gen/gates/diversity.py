"""The diversity report on a whole corpus: measures, each with a threshold.

Not a gate: it rejects no document, it says whether the corpus as a whole has
collapsed. Look at it after the pilot.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

from data_gen.gates.protocol import Candidate
from msm_jax.evals import diversity


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
    max_opening_share: Documents with the most frequent opening.
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
    wording to mean anything) and `details` (`msm_jax.evals.diversity`).

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
  opening_share = max((o.share for o in found.openings), default=0.0)
  at_most = {
    'compression_ratio': (
      found.compression_ratio,
      config.max_compression_ratio,
    ),
    'self_similarity': (found.self_similarity, config.max_self_similarity),
    'duplicate_share': (found.duplicate_share, config.max_duplicate_share),
    'name_share': (name_share, config.max_name_share),
    'opening_share': (opening_share, config.max_opening_share),
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
    'details': found.to_json(),
  }
