"""What a stage yielded: to look at before paying for the next one."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from data_gen.corpus.rows import Row

Json = dict[str, Any]

_REASONS = 4


def measure(rows: Sequence[Row], asked: Mapping[str, Any]) -> Json:
  """Returns what became of what was made, as JSON.

  Args:
    rows: Accepted and rejected ones.
    asked: Task to the tally of its answers.

  Returns:
    `sources` (source to made, accepted, and why not), `steps` (task to the
    share of its answers that could be used), `gates` (gate to how many it saw
    and failed), and `cost_per_accepted_usd`, of all that was asked.
  """
  made: dict[str, list[Row]] = {}
  for row in rows:
    made.setdefault(row.source, []).append(row)
  accepted = sum(row.accepted for row in rows)
  return {
    'sources': {
      source: _source(of_source) for source, of_source in sorted(made.items())
    },
    'steps': {
      task: {
        'answers': tally['calls'],
        'usable': _share(tally['usable'], tally['calls']),
        'failures': tally['failures'],
        'given_up': tally['given_up'],
      }
      for task, tally in asked.items()
    },
    'gates': _gates(rows),
    'cost_per_accepted_usd': _per(
      [tally['cost_usd'] for tally in asked.values()], accepted
    ),
  }


def _share(part: int, whole: int) -> float | None:
  return round(part / whole, 4) if whole else None


def _per(costs: Sequence[float | None], count: int) -> float | None:
  if not count or any(c is None for c in costs):
    return None
  return round(sum(c for c in costs if c is not None) / count, 6)


def _source(rows: Sequence[Row]) -> Json:
  accepted = [row for row in rows if row.accepted]
  why = Counter(row.rejected_because for row in rows if not row.accepted)
  return {
    'made': len(rows),
    'accepted': len(accepted),
    'share': _share(len(accepted), len(rows)),
    'rejected_because': dict(
      sorted(why.items(), key=lambda item: (-item[1], item[0]))
    ),
  }


def _gates(rows: Sequence[Row]) -> Json:
  seen: Counter[str] = Counter()
  failed: Counter[str] = Counter()
  for row in rows:
    for verdict in row.verdicts:
      seen[verdict.gate] += 1
      failed[verdict.gate] += not verdict.passed
  return {
    gate: {
      'saw': seen[gate],
      'failed': failed[gate],
      'passed': _share(seen[gate] - failed[gate], seen[gate]),
    }
    for gate in sorted(seen)
  }


def describe(found: Mapping[str, Any]) -> str:
  """Returns a measured yield as text."""
  lines = [f'{"source":<34} {"made":>8} {"accepted":>9} {"yield":>6}']
  for source, counts in found['sources'].items():
    lines.append(
      f'{source:<34} {counts["made"]:>8,} {counts["accepted"]:>9,} '
      f'{_percent(counts["share"]):>6}'
    )
    for why, n in list(counts['rejected_because'].items())[:_REASONS]:
      lines.append(f'  {n:>6,} {why}')
  lines.append(f'\n{"step":<34} {"answers":>8} {"usable":>9}')
  for task, counts in found['steps'].items():
    failures = ', '.join(f'{n} {f}' for f, n in counts['failures'].items())
    lines.append(
      f'{task:<34} {counts["answers"]:>8,} {_percent(counts["usable"]):>9} '
      f'{failures}'.rstrip()
    )
  lines.append(f'\n{"gate":<34} {"saw":>8} {"passed":>9}')
  for gate, counts in found['gates'].items():
    lines.append(
      f'{gate:<34} {counts["saw"]:>8,} {_percent(counts["passed"]):>9}'
    )
  cost = found['cost_per_accepted_usd']
  if cost is not None:
    lines.append(f'\n${cost:.4f} for each accepted row, planning included')
  return '\n'.join(lines)


def _percent(share: float | None) -> str:
  return '–' if share is None else f'{share:.0%}'
