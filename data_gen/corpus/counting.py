"""Counts of a corpus, for its manifest and its card."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import math
from typing import Any

from data_gen.corpus import checking
from data_gen.corpus.rows import Row
from data_gen.corpus.rows import Step

Json = dict[str, Any]

NONE = '(none)'
"""Counts rows that say nothing, e.g. neutral documents under traits."""

_SAMPLINGS_KEPT = 8


def count(rows: Sequence[Row]) -> Json:
  """Returns all counts, as JSON.

  Returns:
    `rows` (accepted, rejected), `sources`, `by_trait`, `by_trait_type`,
    `by_genre`, `by_variant`, `by_framing` and `by_domain` (each label to
    accepted and rejected; a row about two traits counts for both), `gates`,
    `rejected_because`, and `spent`.
  """
  return {
    'rows': _tally(rows),
    'sources': _sources(rows),
    'by_trait': _by(rows, lambda row: row.trait_ids),
    'by_trait_type': _by(rows, lambda row: row.trait_types),
    'by_genre': _by(rows, lambda row: (row.genre,)),
    'by_variant': _by(rows, lambda row: (row.variant,)),
    'by_framing': _by(rows, lambda row: (row.framing,)),
    'by_domain': _by(rows, lambda row: (row.domain,)),
    'gates': _gates(rows),
    'rejected_because': _histogram(
      row.rejected_because for row in rows if not row.accepted
    ),
    'spent': _spent(rows),
  }


def _tally(rows: Iterable[Row]) -> dict[str, int]:
  accepted = [row.accepted for row in rows]
  return {
    'accepted': sum(accepted),
    'rejected': len(accepted) - sum(accepted),
  }


def _histogram(values: Iterable[str]) -> dict[str, int]:
  """Counts values, the most frequent first."""
  counts: dict[str, int] = {}
  for value in values:
    counts[value] = counts.get(value, 0) + 1
  return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _by(rows: Sequence[Row], labels: Callable[[Row], Iterable[str]]) -> Json:
  groups: dict[str, list[Row]] = {}
  for row in rows:
    for label in dict.fromkeys(filter(None, labels(row))) or (NONE,):
      groups.setdefault(label, []).append(row)
  return {label: _tally(groups[label]) for label in sorted(groups)}


def _sources(rows: Sequence[Row]) -> Json:
  counts: Json = {}
  for name in sorted({row.source for row in rows}):
    of_source = [row for row in rows if row.source == name]
    accepted = [row for row in of_source if row.accepted]
    texts = [_text(row) for row in accepted]
    counts[name] = {
      'kind': checking.kind_of(accepted[0]) if accepted else None,
      **_tally(of_source),
      'words': sum(len(text.split()) for text in texts),
      'characters': sum(map(len, texts)),
      'masked_characters': sum(row.masked_prefix for row in accepted),
    }
  return counts


def _text(row: Row) -> str:
  return row.text or '\n'.join(content for _, content in row.messages or ())


def _gates(rows: Sequence[Row]) -> Json:
  gates: dict[str, list[tuple[bool, str]]] = {}
  for row in rows:
    for v in row.verdicts:
      gates.setdefault(v.gate, []).append((v.passed, v.reason))
  return {
    gate: {
      'checked': len(verdicts),
      'failed': sum(not passed for passed, _ in verdicts),
      'reasons': _histogram(r or NONE for passed, r in verdicts if not passed),
    }
    for gate, verdicts in sorted(gates.items())
  }


def _spent(rows: Sequence[Row]) -> Json:
  """Sums over calls; one that led to several rows counts once."""
  accepted = {s.key: s for row in rows if row.accepted for s in row.lineage}
  every = {s.key: s for row in rows for s in row.lineage}
  by_task: dict[str, list[Step]] = {}
  by_model: dict[str, list[Step]] = {}
  for step in every.values():
    by_task.setdefault(step.task, []).append(step)
    by_model.setdefault(step.model, []).append(step)
  return {
    **_sum(every.values()),
    'for_accepted': _sum(accepted.values()),
    'of_no_use': _sum(s for s in every.values() if s.failure),
    'by_task': {
      task: {**_sum(steps), 'sampling': _samplings(steps)}
      for task, steps in sorted(by_task.items())
    },
    'by_model': {m: _sum(steps) for m, steps in sorted(by_model.items())},
  }


def _samplings(steps: Sequence[Step]) -> list[str]:
  """The most frequent sampling parameters."""
  return list(_histogram(s.sampling for s in steps))[:_SAMPLINGS_KEPT]


def _sum(steps: Iterable[Step]) -> Json:
  """Returns calls, tokens and cost; the cost of priced calls, if there is one.

  `cost_usd` is None where no call has a price, and leaves out
  `calls_without_price`.
  """
  steps = list(steps)
  costs = [s.cost_usd for s in steps if s.cost_usd is not None]
  return {
    'calls': len(steps),
    'prompt_tokens': sum(s.prompt_tokens for s in steps),
    'completion_tokens': sum(s.completion_tokens for s in steps),
    'cost_usd': math.fsum(costs) if costs else None,
    'calls_without_price': len(steps) - len(costs),
  }
