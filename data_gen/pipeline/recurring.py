"""What recurs in what a teacher wrote: clusters of what the gate scans for.

The gate for recurrence takes out the later documents of each name, date,
opening or phrase that comes too often. This says which those were, each thing
once, so that prompts and thresholds can be changed for a reason.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from data_gen.corpus.rows import Row
from data_gen.gates import recurrence
from data_gen.gates import tics
from data_gen.pipeline.acceptance import GatesOf
from data_gen.pipeline.made import Made

_KEPT = 50


def measure(rows: Sequence[Row], gates_of: GatesOf) -> dict[str, Any]:
  """Returns what comes more often than it may, by source, as JSON.

  Args:
    rows: Accepted and rejected ones.
    gates_of: Of each source; the limits are those of its gate.

  Returns:
    Source to `texts` (how many the gate has seen and passed, or rejected for
    this) and `clusters`, the most frequent first, each with `kind`, `text`,
    `documents` and the id of the `first` row that has it.
  """
  seen: dict[str, list[Row]] = {}
  for row in rows:
    if any(v.gate == recurrence.NAME for v in row.verdicts):
      seen.setdefault(row.source, []).append(row)
  report = {}
  for source, of_source in sorted(seen.items()):
    candidates = [Made(row).candidate for row in of_source]
    gates = gates_of(source, candidates[0].kind)
    gate = next(g for g in gates if isinstance(g, recurrence.RecurrenceGate))
    report[source] = {
      'texts': len(candidates),
      'clusters': [
        {
          'kind': tic.kind,
          'text': tic.text,
          'documents': tic.documents,
          'first': of_source[tic.first].id,
        }
        for tic in tics.clusters(gate.scan(candidates))[:_KEPT]
      ],
    }
  return report


def describe(report: Mapping[str, Any], most: int = 3) -> list[str]:
  """Returns a line for each source in which anything recurs."""
  lines = []
  for source, found in report.items():
    shown = [
      f'{c["kind"]} {c["text"]!r} in {c["documents"]}'
      for c in found['clusters'][:most]
    ]
    if more := len(found['clusters']) - len(shown):
      shown.append(f'{more} more in the manifest')
    if shown:
      said = '; '.join(shown)
      lines.append(f'{source:<34} of {found["texts"]:,}: {said}')
  return lines
