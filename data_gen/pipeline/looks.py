"""A look at a whole stage: yield, diversity and balance as text."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from data_gen.gates import diversity
from data_gen.pipeline import balance
from data_gen.pipeline import recurring
from data_gen.pipeline import yields


def _diversity(report: Mapping[str, Any]) -> Iterator[str]:
  for source, found in report.items():
    if not found['comparable']:
      yield f'{source:<34} too few words to tell'
      continue
    failed = '; '.join(diversity.beyond(found))
    if failed and found['on_failure'] == diversity.REPORT:
      failed += f' (reported only: {found["because"]})'
    elif failed:
      failed += ' (a full corpus is refused)'
    yield f'{source:<34} {failed or "varied"}'


def _balance(report: Mapping[str, Any]) -> Iterator[str]:
  for name, found in report.items():
    failed = balance.failures({name: found})
    said = [f.removeprefix(f'{name}: ') for f in failed]
    measured = '' if found['gated'] else ' (measured only)'
    yield f'{name}{measured}'
    unit = found['unit']
    ours, theirs = found[unit]
    yield (
      f'  {found["pairs"]:,} pairs, {ours:,} and {theirs:,} {unit}: '
      f'{"; ".join(said) or "balanced"}'
    )


def describe(info: Mapping[str, Any]) -> str:
  """Returns what a manifest's info says of a stage, for people."""
  parts = [yields.describe(info['yield'])]
  if lines := recurring.describe(info['recurring']):
    parts.append('\n'.join(['recurs', *lines]))
  if info['diversity']:
    parts.append('\n'.join(['diversity', *_diversity(info['diversity'])]))
  if info['balance']:
    parts.append('\n'.join(['balance', *_balance(info['balance'])]))
  parts += [f'warning: {said}' for said in info['warnings']]
  return '\n\n'.join(parts)
