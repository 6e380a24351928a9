"""Reports as text for a terminal."""

from collections.abc import Sequence

from msm_jax.compilation import memory as memory_lib
from msm_jax.compilation import report as report_lib
from msm_jax.compilation import roofline


def quantity(value: float, unit: str, *, binary: bool = False) -> str:
  """Returns three digits with a prefix, e.g. `'6.17 GiB'` or `'452 TFLOP'`."""
  step, prefixes = (1024, 'KMGTPE') if binary else (1000, 'kMGTPE')
  prefix, scaled = '', float(value)
  for following in prefixes:
    if abs(scaled) < step:
      break
    scaled /= step
    prefix = following + 'i' * binary
  return f'{scaled:.3g} {prefix}{unit}'


def _bytes(n: float) -> str:
  return quantity(n, 'B', binary=True)


def of(report: report_lib.Report | report_lib.Refusal) -> str:
  """Returns a report as text of some twenty lines."""
  if isinstance(report, report_lib.Refusal):
    return '\n'.join(
      [
        *_head(report.job),
        f'  DOES NOT FIT {_bytes(report.needed)} of '
        f'{_bytes(report.job.topology.usable_hbm)} a device',
        *_largest(report.largest),
      ]
    )
  return '\n'.join(
    [
      *_head(report.job),
      *_memory(report.memory),
      *_work(report),
      *_collectives(report.collectives),
      *_time(report),
      *_warnings(report),
    ]
  )


def assumptions() -> str:
  """Returns what the times rest on."""
  lines = '\n'.join(f'  - {line}' for line in roofline.ASSUMPTIONS)
  return f'Times are lower bounds; they assume that\n{lines}'


def _head(job: report_lib.Job) -> list[str]:
  t = job.topology
  slices = f'{t.num_slices} slices of ' if t.num_slices > 1 else ''
  mesh = ' × '.join(f'{axis} {n}' for axis, n in job.mesh.items())
  return [
    f'phase {job.phase}: {job.updates:,} updates of {job.batch_size} × '
    f'{job.seq_len:,} tokens on {slices}{t.name} ({t.n_chips} chips; {mesh})',
    f'  program      loss_chunk {job.loss_chunk}, loss_group {job.loss_group}; '
    f'{len(job.compiler_options)} XLA options',
  ]


def _memory(m: memory_lib.Memory) -> list[str]:
  kinds = {
    **m.arguments,
    'temporary': m.temp,
    'results': m.outputs,
    'code': m.code,
  }
  parts = ', '.join(f'{kind} {_bytes(n)}' for kind, n in kinds.items())
  return [
    f'  memory       {_bytes(m.total)} of {_bytes(m.usable)} a device '
    f'({m.total / m.usable:.0%}): {parts}',
    *_largest(m.largest),
    f"               (XLA's own analysis says temporary {_bytes(m.xla_temp)})",
  ]


def _largest(buffers: Sequence[memory_lib.Buffer]) -> list[str]:
  found = '; '.join(f'{_bytes(b.nbytes)} {b.shapes[:40]}' for b in buffers[:4])
  return [f'               largest temporaries: {found}']


def _work(report: report_lib.Report) -> list[str]:
  return [
    f'  FLOPs        {quantity(report.flops, "FLOP")} a device and update, '
    f'{report.flops_ratio:.3f} of what the model needs; dots without kernels '
    f'{report.dots_ratio:.3f} of 6·N·tokens',
    f'  HBM          {quantity(report.read, "B")} read, '
    f'{quantity(report.written, "B")} written',
  ]


def _collectives(rows: Sequence[report_lib.Traded]) -> list[str]:
  if not rows:
    return ['  collectives  none']
  lines = [
    f'  {"collectives":<20} {"type":>5} {"among":>9} {"beside work":>11} '
    f'{"sites":>5} {"runs":>6} {"size":>9} {"ms":>9} {"exposed ms":>10}'
  ]
  for row in rows:
    way = 'yes' if row.is_overlapped else ('async' if row.is_async else 'no')
    lines.append(
      f'  {row.kind:<20} {row.dtype:>5} {row.network:>4} {row.group_size:>4} '
      f'{way:>11} {row.sites:>5} {row.runs:>6} {quantity(row.nbytes, "B"):>9} '
      f'{row.seconds * 1e3:>9.3f} {row.exposed * 1e3:>10.3f}'
    )
  return lines


def _time(report: report_lib.Report) -> list[str]:
  t, job = report.times, report.job
  cost = (
    'no price is known: give --price'
    if report.cost is None
    else f'{report.cost:,.2f} USD at {job.price:.2f} a chip-hour'
  )
  return [
    f'  time         {t.schedule * 1e3:.3f} ms an update at least (compute '
    f'{t.compute * 1e3:.3f}, HBM {t.memory * 1e3:.3f}, ICI {t.ici * 1e3:.3f}, '
    f'DCN {t.dcn * 1e3:.3f}; waiting for collectives {t.exposed * 1e3:.3f})',
    f'  bound        {report.mfu_bound:.1%} MFU, '
    f'{report.tokens_per_second_per_chip:,.0f} tokens/s/chip',
    f'  phase        {report.hours:,.2f} h, {report.chip_hours:,.1f} '
    f'chip-hours, {cost}',
  ]


def _warnings(report: report_lib.Report) -> list[str]:
  return [
    f'  WARNING      the FLOPs of the kernel {name} are not known and not '
    'counted'
    for name in report.uncounted
  ]
