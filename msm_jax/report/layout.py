"""A table, as text for the terminal; the page renders the same object."""

from collections.abc import Sequence
import dataclasses
import textwrap

WIDTH = 100
_LABEL_WIDTH = 28
_NARROWEST_LABEL = 16
_HEAD_WIDTH = 12
_GAP = 2


@dataclasses.dataclass(frozen=True)
class Cell:
  """A number, the interval below it, a mark, and a hint to be pointed at."""

  text: str
  interval: str = ''
  mark: str = ''
  hint: str = ''


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of results.

  Attributes:
    name: Identifies it on the page.
    caption: One sentence on what the numbers are.
    head: What the first column holds.
    columns: Heads of the other columns.
    rows: (label, cells).
    notes: Below the table.
  """

  name: str
  caption: str
  head: str
  columns: tuple[str, ...]
  rows: tuple[tuple[str, tuple[Cell, ...]], ...]
  notes: tuple[str, ...] = ()


def number(value: float | None, kind: str) -> str:
  """Formats a number: kind `'rate'`, `'signed'`, `'ratio'` or `'plain'`."""
  if value is None:
    return '–'
  if kind == 'signed':
    text = f'{value:+.2f}'
  elif kind == 'plain' and abs(value) >= 100:
    text = f'{value:.0f}'
  else:
    text = f'{value:.2f}'
  if float(text) == 0:
    text = text.lstrip('+-')
  return text.replace('-', '−')


def interval(value: Sequence[float] | None, kind: str) -> str:
  """Formats an interval, without the leading zero of a rate."""
  if value is None:
    return ''
  low, high = (number(v, kind) for v in value)
  if kind == 'rate':
    low, high = (v.removeprefix('0') if v[0] == '0' else v for v in (low, high))
  return f'[{low}, {high}]'


def render_text(table: Table, width: int = WIDTH) -> str:
  """The table for a terminal of `width` columns; wraps what does not fit."""
  heads = [textwrap.wrap(c, _HEAD_WIDTH) for c in table.columns]
  widths = []
  for i, head in enumerate(heads):
    texts = [*head]
    for _, cells in table.rows:
      texts += [cells[i].text + cells[i].mark, cells[i].interval]
    widths.append(max(len(t) for t in texts))
  labels = [table.head, *(label for label, _ in table.rows)]
  label_width = min(max(len(n) for n in labels), _LABEL_WIDTH)
  spare = width - sum(w + _GAP for w in widths)
  if spare >= _NARROWEST_LABEL:
    label_width = min(label_width, spare)
  blocks: list[list[int]] = [[]]
  used = label_width
  for i, w in enumerate(widths):
    if blocks[-1] and used + _GAP + w > width:
      blocks.append([])
      used = label_width
    blocks[-1].append(i)
    used += _GAP + w
  lines = [table.caption, '']
  for block in blocks:
    lines += _text_block(table, block, heads, widths, label_width)
    lines.append('')
  for note in table.notes:
    lines += textwrap.wrap(note, width)
  return '\n'.join(lines).rstrip() + '\n'


def _text_block(
  table: Table,
  block: list[int],
  heads: list[list[str]],
  widths: list[int],
  label_width: int,
) -> list[str]:
  def line(label: str, texts: list[str]) -> str:
    parts = [label.ljust(label_width)]
    parts += [t.rjust(widths[i]) for i, t in zip(block, texts, strict=True)]
    return (' ' * _GAP).join(parts).rstrip()

  height = max(len(heads[i]) for i in block)
  lines = []
  for n in range(height):
    texts = [([''] * (height - len(heads[i])) + heads[i])[n] for i in block]
    lines.append(line(table.head if n == height - 1 else '', texts))
  rule = '─' * (label_width + sum(widths[i] + _GAP for i in block))
  lines.append(rule)
  for label, cells in table.rows:
    names = textwrap.wrap(label, label_width) or ['']
    body = [[cells[i].text + cells[i].mark for i in block]]
    if any(cells[i].interval for i in block):
      body.append([cells[i].interval for i in block])
    for n in range(max(len(names), len(body))):
      lines.append(
        line(
          names[n] if n < len(names) else '',
          body[n] if n < len(body) else [''] * len(block),
        )
      )
  lines.append(rule)
  return lines
