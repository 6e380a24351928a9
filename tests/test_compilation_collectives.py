"""Collectives of compiled programs, against counts by hand."""

import pathlib
import subprocess
import sys

from hlo import programs
import processes
import pytest

from msm_jax.compilation import hlo
from msm_jax.compilation import program

TEXTS = pathlib.Path(__file__).parent / 'hlo'
# Bytes of what each of 8 devices holds: bfloat16[N, D].
PART = programs.N * programs.D * 2


def _on_cpu():
  done = subprocess.run(
    [sys.executable, 'tests/compiled_on_eight.py'],
    cwd=processes.ROOT,
    env={
      **processes.environment(),
      'PYTHONPATH': str(processes.ROOT),
      'XLA_FLAGS': '--xla_force_host_platform_device_count=8',
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  return program.read(hlo.parse(done.stdout))


def _on_tpu(name):
  text = (TEXTS / f'{name}.hlo').read_text(encoding='utf-8')
  return program.read(hlo.parse(text))


ON_8 = (0, 1, 2, 3, 4, 5, 6, 7)
ON_4 = (0, 1, 2, 3)


@pytest.mark.parametrize('where', ['cpu', 'tpu'])
def test_kind_size_and_groups_of_each_collective(where):
  # The same program, on a CPU in float32.
  read = _on_cpu() if where == 'cpu' else _on_tpu('collectives.v5e')
  part = 2 * PART if where == 'cpu' else PART
  found = {
    c.kind: (runs, c.nbytes, c.groups[0], len(c.groups))
    for c, runs in program.all_collectives(read.events)
  }
  assert found == {
    'all-reduce': (1, part, ON_8, 1),
    'reduce-scatter': (1, part, ON_4, 2),
    'all-gather': (1, 2 * part, (0, 4), 4),
    'all-to-all': (1, part, ON_4, 2),
    'collective-permute': (1, part, (0, 1), 8),
  }


@pytest.mark.parametrize(
  ('kind', 'sent'),
  [
    ('all-reduce', 2 * PART * 7 / 8),
    ('reduce-scatter', PART * 3 / 4),
    ('all-gather', 2 * PART * 1 / 2),
    ('all-to-all', PART * 3 / 4),
    ('collective-permute', PART),
  ],
)
def test_what_a_device_keeps_is_not_sent(kind, sent):
  read = _on_tpu('collectives.v5e')
  (found,) = (
    c for c, _ in program.all_collectives(read.events) if c.kind == kind
  )
  assert found.sent == sent


def test_what_the_partitioner_adds_is_found():
  found = {
    c.kind: (c.nbytes, c.groups[0], len(c.groups))
    for c, _ in program.all_collectives(_on_tpu('partitioned.v5e').events)
  }
  weights = programs.D**2 * 4
  assert found == {
    # The weights over the axis that they are sharded on, as bfloat16.
    'all-gather': (weights // 2, ON_4, 2),
    # The gradient over that axis, then over the other.
    'reduce-scatter': (weights, ON_4, 2),
    'all-reduce': (weights // 4, (0, 4), 4),
  }


def _starts_and_ends(events):
  """Names of what begins and of what is waited for, in all loops."""
  starts, ends = [], []
  for event in events:
    if isinstance(event, program.Start | program.Copy):
      starts.append(event.name)
    elif isinstance(event, program.Done):
      ends.append(event.name)
    elif isinstance(event, program.Loop):
      inner = _starts_and_ends(event.body)
      starts, ends = starts + inner[0], ends + inner[1]
  return starts, ends


WIDE = programs.WIDTH**2 * 2


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    # On a whole cube, v5p's compiler makes sums of gathers and scatters, two
    # of them in one; so there are 4 and 2 of [WIDTH, WIDTH] a layer, all alike.
    ('gathered', {('all-reduce', False): 6}),
    # On the sparse cores everything is what was asked for, and asynchronous.
    (
      'offloaded',
      {('all-gather', True): 4, ('reduce-scatter', True): 2},
    ),
    # Continued in fusions: two of the gathers find work to go with.
    (
      'continued',
      {
        ('all-gather', True): 2,
        ('all-gather', False): 2,
        ('all-reduce', False): 2,
      },
    ),
  ],
)
def test_each_way_to_write_a_gather_is_one_collective(name, expected):
  read = _on_tpu(f'{name}.v5p')
  found: dict[tuple[str, bool], float] = {}
  for c, runs in program.all_collectives(read.events):
    assert runs == programs.OUTER
    key = c.kind, c.is_async
    found[key] = found.get(key, 0) + c.nbytes / WIDE
  assert found == expected
  starts, ends = _starts_and_ends(read.events)
  assert sorted(starts) == sorted(ends)
  assert len(set(starts)) == len(starts)


def test_an_exchange_of_slices_is_one_collective_of_the_other_network():
  read = _on_tpu('slices.v5e')
  within, between = (c for c, _ in program.all_collectives(read.events))
  nbytes = programs.N * programs.D * 4
  assert (within.kind, within.nbytes, within.slices) == (
    'all-reduce',
    nbytes,
    0,
  )
  assert within.groups == (ON_4,)
  assert (between.kind, between.nbytes, between.slices) == (
    'all-reduce',
    nbytes,
    2,
  )
  assert between.is_async
  starts, ends = _starts_and_ends(read.events)
  assert starts == ends


def test_an_asynchronous_call_of_a_call_of_a_collective_is_one():
  part, whole = 'bf16[64,128]{1,0}', 'bf16[512,128]{1,0}'
  text = f"""\
HloModule f, is_scheduled=true, num_partitions=8

%called (p: bf16[64,128]) -> bf16[512,128] {{
  %p = {part} parameter(0)
  ROOT %g = {whole} all-gather(%p), replica_groups=[1,8]<=[8], dimensions={{0}}
}}

%wrapper (q: bf16[64,128]) -> bf16[512,128] {{
  %q = {part} parameter(0)
  ROOT %c = {whole} call(%q), to_apply=%called
}}

ENTRY %main (x: bf16[64,128]) -> bf16[512,128] {{
  %x = {part} parameter(0)
  %start = (({part}), {whole}, s32[]) async-start(%x), calls=%wrapper
  ROOT %done = {whole} async-done(%start)
}}
"""
  read = program.read(hlo.parse(text))
  ((found, runs),) = program.all_collectives(read.events)
  assert (found.kind, found.is_async, runs) == ('all-gather', True, 1)
  assert (found.nbytes, found.groups) == (512 * 128 * 2, (ON_8,))
  assert _starts_and_ends(read.events) == (['start'], ['start'])
