"""Figures, drawn by Matplotlib from the summary, as SVG that follows the page.

Each function returns a `Figure`; `to_svg` turns it into one inline element
whose colours are CSS variables (dark and light) and whose text is text. Series
are told apart by shape as well as by colour (close to Okabe and Ito's set for
colour-blind readers).
"""

from collections.abc import Sequence
import html
import io
import re
import textwrap
from typing import Any

import matplotlib as mpl
from matplotlib import figure as mpl_figure
from matplotlib import ticker
import numpy as np

from msm_jax.report import materials

Json = dict[str, Any]

# Light colours; the page's style sheet redefines the variables when it is dark.
COLOURS = {
  'ink': '#1f2328',
  'muted': '#656d76',
  'grid': '#d8dee4',
  'paper': '#ffffff',
  'c0': '#0072b2',
  'c1': '#d55e00',
  'c2': '#009e73',
  'c3': '#b8609a',
  'c4': '#b07d00',
  'c5': '#3f9fd0',
}
_SERIES = ('c0', 'c1', 'c2', 'c3', 'c4', 'c5')
_MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X', '<', '>', 'p')
_WIDTH = 5.4  # inches: narrow enough that a phone shows it without zooming

_STYLE: dict[Any, Any] = {
  'svg.fonttype': 'none',
  'font.size': 10.5,
  'axes.edgecolor': COLOURS['grid'],
  'axes.labelcolor': COLOURS['muted'],
  'axes.labelsize': 10.5,
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.titlesize': 10.5,
  'axes.titlelocation': 'left',
  'axes.titlecolor': COLOURS['ink'],
  'axes.facecolor': 'none',
  'axes.unicode_minus': True,
  'figure.facecolor': 'none',
  'grid.color': COLOURS['grid'],
  'grid.linewidth': 0.6,
  'legend.frameon': False,
  'legend.labelcolor': COLOURS['ink'],
  'text.color': COLOURS['ink'],
  'xtick.color': COLOURS['grid'],
  'xtick.labelcolor': COLOURS['muted'],
  'ytick.color': COLOURS['grid'],
  'ytick.labelcolor': COLOURS['ink'],
}


def to_svg(figure: mpl_figure.Figure, name: str, alt: str) -> str:
  """An inline SVG element with role `img` and a text alternative.

  Args:
    figure: From one of the functions below.
    name: Prefix of the ids inside, unique on the page.
    alt: What the figure shows, in words.
  """
  buffer = io.StringIO()
  with mpl.rc_context({**_STYLE, 'svg.hashsalt': name}):
    figure.savefig(buffer, format='svg', metadata={'Date': None})
  text = buffer.getvalue()
  text = text[text.index('<svg') :]
  text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
  text = re.sub(r'\bid="', f'id="{name}-', text)
  text = re.sub(r'url\(#', f'url(#{name}-', text)
  text = re.sub(r'xlink:href="#', f'href="#{name}-', text)
  text = re.sub(r'font: ([\d.]+)px [^;"]*', r'font-size: \1px', text)
  for key, colour in COLOURS.items():
    text = text.replace(colour, f'var(--{key}, {colour})')
  size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
  assert size is not None
  head = (
    f'<svg role="img" aria-label="{html.escape(alt, quote=True)}" '
    f'class="figure" viewBox="0 0 {size[1]} {size[2]}" '
    f'width="{size[1]}" height="{size[2]}">'
  )
  return re.sub(r'<svg[^>]*>', head.replace('\\', r'\\'), text, count=1).strip()


def _new(height: float) -> mpl_figure.Figure:
  figure = mpl_figure.Figure(figsize=(_WIDTH, height), layout='constrained')
  figure.get_layout_engine().set(h_pad=0.04, w_pad=0.04)  # type: ignore
  return figure


def _wrap(label: str, width: int = 22) -> str:
  return '\n'.join(textwrap.wrap(label, width))


def _rows_axis(axes: Any, labels: Sequence[str], width: int = 22) -> None:
  """Rows from top to bottom, labelled, with light lines between them."""
  axes.set_yticks(range(len(labels)), [_wrap(n, width) for n in labels])
  axes.set_ylim(len(labels) - 0.4, -0.6)
  axes.tick_params(axis='y', length=0)
  axes.spines['left'].set_visible(False)
  axes.grid(axis='x')
  axes.set_axisbelow(True)


def _zero(axes: Any) -> None:
  axes.axvline(0, color=COLOURS['muted'], linewidth=1, zorder=1)


def _point(
  axes: Any,
  metric: Json | None,
  y: float,
  colour: str,
  marker: str = 'o',
  filled: bool = True,
) -> None:
  """A mean, its interval and its seeds; nothing where the metric is null."""
  if metric is None or metric['mean'] is None:
    return
  tone = COLOURS[colour]
  if metric['interval'] is not None:
    axes.plot(metric['interval'], [y, y], color=tone, linewidth=1.6, zorder=2)
  if metric['n_seeds'] > 1:
    seeds = list(metric['per_seed'].values())
    axes.plot(
      seeds,
      [y] * len(seeds),
      marker='|',
      markersize=7,
      color=tone,
      linestyle='none',
      alpha=0.7,
      zorder=2,
    )
  axes.plot(
    metric['mean'],
    y,
    marker=marker,
    markersize=6,
    color=tone,
    markerfacecolor=tone if filled else COLOURS['paper'],
    markeredgewidth=1.4,
    linestyle='none',
    zorder=3,
  )


def _tone(summary: Json, arm: str) -> str:
  """The arms of the primary contrast stand out; the rest is ink."""
  return {
    summary['primary']['arm']: 'c1',
    summary['primary']['reference']: 'c0',
  }.get(arm, 'ink')


def _legend(
  figure: Any, entries: list[tuple[str, str, str, bool]], columns: int = 2
) -> None:
  """Below the figure: (label, colour, marker, filled)."""
  handles = [
    mpl.lines.Line2D(
      [],
      [],
      color=COLOURS[colour],
      marker=marker,
      markersize=6,
      markerfacecolor=COLOURS[colour] if filled else COLOURS['paper'],
      markeredgewidth=1.4,
      linestyle='none',
      label=label,
    )
    for label, colour, marker, filled in entries
  ]
  figure.legend(
    handles=handles,
    loc='outside lower left',
    ncols=columns,
    fontsize=9.5,
    handletextpad=0.3,
    columnspacing=1.2,
  )


def forest(summary: Json) -> mpl_figure.Figure:
  """Mean log-odds of each arm, in chat and as a transcript."""
  primary = summary['suites'][summary['primary']['suite']]
  check = next(
    (
      s
      for s in summary['suites'].values()
      if s['of'] == primary['name'] and s['role'] == 'format_check'
    ),
    None,
  )
  arms = list(summary['arms'])
  with mpl.rc_context(_STYLE):
    figure = _new(0.36 * len(arms) + 1.0)
    axes = figure.subplots()
    for i, arm in enumerate(arms):
      metrics, tone = summary['arms'][arm], _tone(summary, arm)
      own = metrics.get(f'{primary["metric"]}_log_odds')
      shift = 0.0
      if check is not None:
        other = metrics.get(f'{check["metric"]}_log_odds')
        both = own is not None and own['mean'] is not None
        shift = 0.14 if both else 0.0
        _point(axes, other, i + shift, tone, 's', filled=False)
      _point(axes, own, i - shift, tone)
    _zero(axes)
    _rows_axis(axes, [summary['arm_info'][a]['label'] for a in arms])
    label, against = primary['orientation']
    axes.set_xlabel(f'mean log-odds of {label} over {against}')
    entries = [(f'asked in {primary["format"]} format', 'ink', 'o', True)]
    if check is not None:
      entries.append((f'asked as a {check["format"]}', 'ink', 's', False))
    if len(summary['seeds']) > 1:
      entries.append(('one seed', 'ink', '|', True))
    _legend(figure, entries, columns=3)
  return figure


def alignment_and_tax(summary: Json) -> mpl_figure.Figure | None:
  """Alignment against each tax metric, one marker an arm."""
  primary = summary['suites'][summary['primary']['suite']]
  taxes = [s for s in summary['suites'].values() if s['role'] == 'tax']
  if not taxes:
    return None
  check = next(
    (
      s
      for s in summary['suites'].values()
      if s['of'] == primary['name'] and s['role'] == 'format_check'
    ),
    None,
  )
  entries: list[tuple[str, str, str, bool]] = []
  with mpl.rc_context(_STYLE):
    figure = _new(2.9 + 0.21 * ((len(summary['arms']) + 1) // 2))
    panels = np.atleast_1d(figure.subplots(1, len(taxes), sharey=True))
    figure.get_layout_engine().set(wspace=0.08)  # type: ignore
    for axes, suite in zip(panels, taxes, strict=True):
      axes.axhline(0, color=COLOURS['muted'], linewidth=1, zorder=1)
      axes.grid()
      axes.set_axisbelow(True)
      perplexity = suite['kind'] == 'perplexity'
      axes.set_xlabel(
        suite['metric'].replace('_', ' ')
        + ('\n(lower is better)' if perplexity else '\n(higher is better)')
      )
      axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
    label, against = primary['orientation']
    panels[0].set_ylabel(f'log-odds of {label} over {against}')
    for i, (arm, metrics) in enumerate(summary['arms'].items()):
      alignment = metrics[f'{primary["metric"]}_log_odds']
      filled = alignment['mean'] is not None
      if not filled and check is not None:
        alignment = metrics[f'{check["metric"]}_log_odds']
      tone, marker = _tone(summary, arm), _MARKERS[i % len(_MARKERS)]
      entries.append((summary['arm_info'][arm]['label'], tone, marker, filled))
      for axes, suite in zip(panels, taxes, strict=True):
        x = metrics.get(suite['metric'])
        if x is None or x['mean'] is None or alignment['mean'] is None:
          continue
        for values, fixed, across in (
          (x['interval'], alignment['mean'], True),
          (alignment['interval'], x['mean'], False),
        ):
          if values is not None:
            points = (values, [fixed] * 2) if across else ([fixed] * 2, values)
            axes.plot(
              *points, color=COLOURS[tone], linewidth=0.8, alpha=0.45, zorder=2
            )
        axes.plot(
          x['mean'],
          alignment['mean'],
          marker=marker,
          markersize=7,
          color=COLOURS[tone],
          markerfacecolor=COLOURS[tone] if filled else COLOURS['paper'],
          markeredgewidth=1.4,
          zorder=3,
        )
    _legend(figure, entries)
  return figure


def loss_curves(
  curves: Sequence[materials.Curve],
) -> mpl_figure.Figure | None:
  """The loss over the updates of each phase, one line a run and seed."""
  phases = list(dict.fromkeys(c.phase for c in curves))
  if not phases:
    return None
  with mpl.rc_context(_STYLE):
    figure = _new(1.7 * len(phases) + 0.2)
    panels = np.atleast_1d(figure.subplots(len(phases), 1))
    for axes, phase in zip(panels, phases, strict=True):
      here = [c for c in curves if c.phase == phase]
      runs = list(dict.fromkeys(c.run for c in here))
      for curve in here:
        n = runs.index(curve.run)
        axes.plot(
          curve.updates,
          curve.losses,
          color=COLOURS[_SERIES[n % len(_SERIES)]],
          linestyle=('-', '--', ':')[n // len(_SERIES) % 3],
          linewidth=1.1,
          alpha=0.85,
          label=curve.run if curve.seed == here[0].seed else None,
        )
      axes.set_title(phase)
      axes.grid(axis='y')
      axes.set_axisbelow(True)
      axes.legend(
        loc='upper left',
        bbox_to_anchor=(1.0, 1.04),
        fontsize=9,
        handlelength=1.2,
        borderaxespad=0.2,
      )
    panels[-1].set_xlabel('optimizer updates in the phase')
    figure.supylabel(
      'loss (nats per token)', fontsize=10.5, color=COLOURS['muted']
    )
  return figure


def clusters(summary: Json) -> mpl_figure.Figure:
  """The primary contrast in each cluster."""
  primary = summary['primary']
  found = primary['clusters']
  with mpl.rc_context(_STYLE):
    figure = _new(0.3 * len(found) + 0.9)
    axes = figure.subplots()
    if primary['interval'] is not None:
      axes.axvspan(
        *primary['interval'], color=COLOURS['c2'], alpha=0.14, linewidth=0
      )
    axes.axvline(primary['mean'], color=COLOURS['c2'], linewidth=1.2)
    for i, metric in enumerate(found.values()):
      # With few seeds a cluster's own interval by seeds would say nothing.
      of_items = {**metric, 'interval': metric['interval_items']}
      _point(axes, of_items, i, 'ink')
    _zero(axes)
    _rows_axis(axes, list(found))
    axes.set_xlabel(f'{primary["title"]}\nin {primary["score_text"]}')
    entries = [
      ('one cluster, over its items', 'ink', 'o', True),
      ('primary, with its interval', 'c2', '|', True),
    ]
    if primary['n_seeds'] > 1:
      entries.append(('one seed', 'ink', '|', True))
    _legend(figure, entries)
  return figure


def persona_shift(summary: Json) -> mpl_figure.Figure | None:
  """How far the assistant moved, and how far everybody else did."""
  shifts = summary['persona_shift']
  if not shifts:
    return None
  contrasts = {
    c['name']: c for c in [summary['primary'], *summary['contrasts'].values()]
  }
  with mpl.rc_context(_STYLE):
    figure = _new(0.46 * len(shifts) + 1.0)
    axes = figure.subplots()
    for i, shift in enumerate(shifts.values()):
      _point(axes, shift['own'], i - 0.14, 'c1')
      _point(axes, shift['other'], i + 0.14, 'c0', 'D', filled=False)
    _zero(axes)
    _rows_axis(axes, [contrasts[n]['title'] for n in shifts], 26)
    axes.set_xlabel(f'contrast in {summary["primary"]["score_name"]}')
    _legend(
      figure,
      [
        ('asked of the assistant', 'c1', 'o', True),
        ('asked of other personas', 'c0', 'D', False),
      ],
    )
  return figure
