"""Reports, budgets and sweeps, from programs that were not compiled here."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import pytest
import tiny_run

from msm_jax import schema
from msm_jax import training
from msm_jax.compilation import budgets
from msm_jax.compilation import command
from msm_jax.compilation import display
from msm_jax.compilation import hlo
from msm_jax.compilation import libtpu
from msm_jax.compilation import memory as memory_lib
from msm_jax.compilation import phases
from msm_jax.compilation import program
from msm_jax.compilation import report as report_lib
from msm_jax.compilation import sweep
from msm_jax.compilation import topology as topology_lib
from msm_jax.models import layout

ROOT = pathlib.Path(__file__).parent.parent
TEXTS = pathlib.Path(__file__).parent / 'hlo'
GIB = 2**30

PLACES = [
  topology_lib.Place((x, y, z))
  for x in range(4)
  for y in range(4)
  for z in range(4)
]


def _job(**changes):
  job = report_lib.Job(
    phase='midtrain',
    updates=1000,
    batch_size=64,
    seq_len=4096,
    model_flops=64 * 1e13,
    n_params=5_000_000,
    topology=topology_lib.parse('v5p:4x4x4'),
    mesh={'data': 64},
    price=2.0,
    loss_chunk=512,
    loss_group=4,
    compiler_options={'xla_a': 'true', 'xla_b': '1'},
  )
  return dataclasses.replace(job, **changes)


def _memory(**changes):
  memory = memory_lib.Memory(
    arguments={'parameters': GIB, 'moments': 2 * GIB},
    outputs=0,
    code=GIB // 2,
    temp=4 * GIB,
    xla_temp=5 * GIB,
    usable=16 * GIB,
    largest=(memory_lib.Buffer(3 * GIB, 'bf16[2,3]'),),
  )
  return dataclasses.replace(memory, **changes)


def _report(name='offloaded.v5p', job=None, memory=None):
  text = (TEXTS / f'{name}.hlo').read_text(encoding='utf-8')
  return report_lib.make(
    job or _job(),
    program.read(hlo.parse(text)),
    memory or _memory(),
    PLACES,
    compile_seconds=1.0,
  )


def test_cost_is_time_times_chips_times_price():
  report = _report()
  seconds = report.times.schedule
  assert report.hours == pytest.approx(1000 * seconds / 3600)
  assert report.chip_hours == pytest.approx(64 * report.hours)
  assert report.cost == pytest.approx(2.0 * report.chip_hours)
  rate = 64 * 4096 / seconds / 64
  assert report.tokens_per_second_per_chip == pytest.approx(rate)
  assert _report(job=_job(price=None)).cost is None


def test_the_mfu_bound_is_what_the_model_needs_of_what_the_chips_could():
  report = _report()
  assert report.mfu_bound == pytest.approx(
    1e13 / (report.times.schedule * 459e12)
  )
  assert report.flops_ratio == pytest.approx(report.flops / 1e13)
  # Of 64 × 4096 tokens on 64 chips each has 4096.
  assert report.dots_ratio == pytest.approx(report.flops / (6 * 5e6 * 4096))
  half = dataclasses.replace(report, kernel_flops=report.flops // 2)
  assert half.dots_ratio == pytest.approx(report.dots_ratio / 2)


def test_collectives_are_summed_by_kind_and_instructions_counted_once():
  report = _report()
  (gathers, scatters) = sorted(report.collectives, key=lambda row: row.kind)
  wide = 4096**2 * 2
  assert (gathers.kind, gathers.sites, gathers.runs) == ('all-gather', 4, 20)
  assert gathers.nbytes == 20 * wide
  assert (scatters.sites, scatters.runs) == (2, 10)
  assert report.non_overlapped == 0
  # In the other text two sums stand for two gathers each, and none has company.
  assert _report('gathered.v5p').non_overlapped == 3


def test_a_report_is_json():
  summary = json.loads(json.dumps(_report().summary()))
  assert summary['fits'] is True
  assert summary['memory']['total'] == 7.5 * GIB
  assert summary['memory']['arguments']['moments'] == 2 * GIB
  assert summary['flops']['ratio'] == summary['flops']['executed'] / 1e13
  assert {row['kind'] for row in summary['collectives']} == {
    'all-gather',
    'reduce-scatter',
  }
  assert summary['assumptions']


def test_a_report_is_readable():
  text = display.of(_report())
  for part in (
    'phase midtrain: 1,000 updates of 64 × 4,096 tokens on v5p:4x4x4 (64 chips',
    'program      loss_chunk 512, loss_group 4; 2 XLA options',
    'memory       7.5 GiB of 16 GiB a device (47%): parameters 1 GiB',
    'largest temporaries: 3 GiB bf16[2,3]',
    'all-gather            bf16  ici   64         yes     4     20    671 MB',
    'USD at 2.00 a chip-hour',
  ):
    assert part in text
  assert 'WARNING' not in text
  unknown = dataclasses.replace(_report(), uncounted=('jit(f)/secret',))
  assert 'WARNING      the FLOPs of the kernel jit(f)/secret' in display.of(
    unknown
  )
  assert 'give --price' in display.of(_report(job=_job(price=None)))


@pytest.mark.parametrize(
  ('value', 'binary', 'text'),
  [
    (0, False, '0 B'),
    (999, False, '999 B'),
    (1000, False, '1 kB'),
    (4.524e14, False, '452 TB'),
    (1536, True, '1.5 KiB'),
    (6.17 * GIB, True, '6.17 GiB'),
  ],
)
def test_quantities_have_three_digits(value, binary, text):
  assert display.quantity(value, 'B', binary=binary) == text


# What XLA says and writes of a program that is too large for a v5e.
OUT_OF_MEMORY = (
  'RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for '
  'HLO temporaries (16.11G) exceeds available HBM (15.75G).'
)
USAGE_REPORT = """\
Memory Space: default (color=0)
Total bytes: 17297366016 (16.11GiB)
  cumulative_size;       size;       offset; used_by_n_values; shapes_list
  ------------------------------------------------------------
    4.62GiB( 31%);    4.62GiB;        16384;                5; 5×bf16[8,75776]
   14.45GiB( 96%);  592.00MiB;  15518941184;                4; 2×pred[]
   15.03GiB(100%);       512B;            0;                1; (bf16[8], s32[])

  cumulative_size;       size;       offset; used_by_n_values; shapes_list
  ------------------------------------------------------------
  592.00MiB(100%);  592.00MiB;            0;                1; bf16[75776,4096]


Memory Space: vmem (color=1)
Total bytes: 49250304 (46.97MiB)
"""


def test_memory_is_what_xla_lays_out(tmp_path):
  (tmp_path / 'm.jit_f.memory-usage-report.txt').write_text(USAGE_REPORT)
  text = """\
HloModule f

ENTRY %main {
  %a = f32[8]{0:T(256)} parameter(0), metadata={op_name="state.params['w']"}
  %b = f32[8]{0} parameter(1), metadata={op_name="state.optimizer['mu']"}
  %c = s32[2]{0} parameter(2), metadata={op_name="batch['tokens']"}
  %d = f32[] parameter(3), metadata={op_name="learning_rate"}
  %e = u8[8]{0} parameter(4), metadata={op_name="state.optimizer[\\'nu\\']"}
  %f = s32[] parameter(5), metadata={op_name="state.optimizer['count']"}
  ROOT %sum = f32[8]{0} add(%a, %b)
}
"""
  stats = types.SimpleNamespace(
    argument_size_in_bytes=1000,
    output_size_in_bytes=700,
    alias_size_in_bytes=600,
    temp_size_in_bytes=2**35,
    generated_code_size_in_bytes=10,
    host_argument_size_in_bytes=5,
    host_output_size_in_bytes=4,
    host_alias_size_in_bytes=4,
    host_temp_size_in_bytes=3,
  )
  memory = memory_lib.of(stats, hlo.parse(text), tmp_path, 15.75 * GIB)
  assert memory.arguments == {
    'parameters': 1024,
    'first moments': 32,
    'second moments': 8,
    'batch': 8,
    'other': 8,
  }
  assert memory.outputs == 100
  assert memory.host == 8
  assert memory.temp == 17297366016 - 1000 - 100
  assert memory.xla_temp == 2**35
  assert memory.largest == (
    memory_lib.Buffer(int(4.62 * GIB), '5×bf16[8,75776]'),
    memory_lib.Buffer(592 * 2**20, '2×pred[]'),
    memory_lib.Buffer(512, '(bf16[8], s32[])'),
  )


def test_what_does_not_fit_says_what_is_large(tmp_path):
  (tmp_path / 'm.jit_f.memory-usage-report.txt').write_text(USAGE_REPORT)
  error = memory_lib.does_not_fit(RuntimeError(OUT_OF_MEMORY), tmp_path)
  assert error.needed == 17297366016
  refusal = report_lib.Refusal(_job(), str(error), error.needed, error.largest)
  text = display.of(refusal)
  assert 'DOES NOT FIT 16.1 GiB of 95.7 GiB a device' in text
  assert '4.62 GiB 5×bf16[8,75776]' in text
  summary = json.loads(json.dumps(refusal.summary()))
  assert summary['fits'] is False
  assert summary['memory']['total'] == 17297366016


def test_other_errors_of_the_compiler_are_not_taken_for_it(tmp_path):
  for message in (
    'RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem',
    'INVALID_ARGUMENT: No such compile option: hbm',
  ):
    assert memory_lib.does_not_fit(RuntimeError(message), tmp_path) is None


def test_a_program_without_a_report_of_its_memory_is_an_error(tmp_path):
  with pytest.raises(RuntimeError, match='is this a program for a TPU'):
    memory_lib.usage_report(tmp_path)


def _budget(**limits):
  return budgets.Budget('c.py', 'midtrain', 'v5p:4x4x4', limits)


def test_a_budget_holds_what_it_was_made_from_and_nothing_worse():
  report = _report()
  budget = _budget(**budgets.figures(report))
  assert budgets.exceeded(report, budget) == []
  worse = _report(memory=_memory(temp=4 * GIB + 1))
  (temp, total) = budgets.exceeded(worse, budget)
  assert temp == 'temp_bytes: 4,294,967,297, the budget is 4,294,967,296'
  assert total.startswith('total_bytes: ')
  synchronous = budgets.exceeded(_report('gathered.v5p'), budget)
  assert any('non_overlapped_collectives: 3' in line for line in synchronous)
  assert any('all_reduce_bytes' in line for line in synchronous)


def test_a_budget_is_a_file(tmp_path):
  path = tmp_path / 'b.json'
  budget = _budget(temp_bytes=3)
  path.write_text(json.dumps(dataclasses.asdict(budget)))
  assert budgets.load(path) == budget


def test_a_limit_of_a_figure_that_does_not_exist_is_an_error(tmp_path):
  path = tmp_path / 'b.json'
  raw = dataclasses.asdict(_budget())
  path.write_text(json.dumps({**raw, 'limits': {'temp_byte': 3}}))
  with pytest.raises(schema.ConfigError, match="did you mean 'temp_bytes'"):
    budgets.load(path)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  return training.load(tiny_run.get_config(str(tmp_path_factory.mktemp('t'))))


def test_a_sweep_varies_batch_and_remat_and_keeps_the_tokens(config):
  phase = dataclasses.replace(config.phases[0], min_updates=1)
  config = dataclasses.replace(config, phases=(phase, *config.phases[1:]))
  variants = list(sweep.variants(config, phase.name, 2, batch_factors=(1, 2)))
  labels = [v.label for v in variants]
  # Over two devices: rows alone, or parameters too.
  assert len(labels) == len(set(labels)) == 2 * 2 * 3
  for variant in variants:
    (varied,) = variant.config.phases
    assert varied.n_tokens >= phase.n_tokens
    assert varied.n_tokens - phase.n_tokens < varied.tokens_per_update
    assert f'remat {variant.config.model.remat}' in variant.label
    assert f'batch {varied.batch_size},' in variant.label
    for axis, size in variant.config.mesh.sizes(2).items():
      assert (f'{axis} {size}' in variant.label) == (size == 2)


def test_a_variant_with_too_few_updates_is_left_out(config):
  phase = config.phases[0]
  factor = phase.n_updates
  assert not list(
    sweep.variants(config, phase.name, 1, batch_factors=(factor,))
  )


def test_a_mesh_that_cannot_cut_the_model_is_left_out(config):
  assert config.model.n_kv_heads == 1
  tried = [m.tensor for m in sweep.meshes(config.mesh, 2)]
  assert tried == [1, 1, 2]
  variants = sweep.variants(
    config, config.phases[0].name, 2, batch_factors=(1,)
  )
  assert {v.config.mesh.tensor for v in variants} == {1}


def test_each_mesh_is_tried_once():
  mesh = layout.MeshConfig(data=1, fsdp=8)
  found = sweep.meshes(mesh, 8)
  assert found[0] == mesh
  sizes = [tuple(m.sizes(8).values()) for m in found]
  assert sizes == [(1, 8, 1, 1, 1), (1, 4, 1, 1, 2), (1, 2, 1, 1, 4)]
  inner = layout.MeshConfig(data=1, fsdp=2, fsdp_inner=-1)
  sizes = [tuple(m.sizes(8).values()) for m in sweep.meshes(inner, 8)]
  assert sizes[0] == (1, 2, 4, 1, 1)
  two = layout.MeshConfig(num_slices=2)
  assert {m.num_slices for m in sweep.meshes(two, 8)} == {2}


def _tried(label, seconds, total):
  report = _report(memory=_memory(temp=total))
  times = dataclasses.replace(report.times, schedule=seconds)
  variant = sweep.Variant(label, None)
  return sweep.Tried(variant, dataclasses.replace(report, times=times))


def test_the_frontier_has_what_nothing_beats_in_both():
  fast, small = _tried('fast', 1.0, 5 * GIB), _tried('small', 3.0, GIB)
  between, beaten = _tried('mid', 2.0, 2 * GIB), _tried('no', 2.5, 3 * GIB)
  refusal = report_lib.Refusal(_job(), 'too large', 20 * GIB, ())
  large = sweep.Tried(sweep.Variant('large', None), refusal)
  tried = [small, large, beaten, fast, between]
  assert sweep.frontier(tried) == [fast, between, small]
  lines = sweep.table(tried).splitlines()
  marked = {line.split()[1] for line in lines if line.startswith('  * ')}
  assert marked == {'fast', 'mid', 'small', 'on'}
  assert any('large' in line and 'does not fit' in line for line in lines)


def test_libtpu_must_be_there_in_the_version_of_jax(monkeypatch):
  installed = {'jax': '0.10.2', 'libtpu': '0.0.42.1'}

  def version(name):
    if name not in installed:
      raise libtpu.metadata.PackageNotFoundError(name)
    return installed[name]

  monkeypatch.setattr(libtpu.metadata, 'version', version)
  monkeypatch.setattr(
    libtpu.metadata,
    'requires',
    lambda _: ['numpy>=2', 'libtpu==0.0.42.*; extra == "tpu"'],
  )
  libtpu.check()
  installed['libtpu'] = '0.0.420.1'
  with pytest.raises(
    schema.ConfigError,
    match=r'0\.0\.420\.1 is installed, .* belongs to 0\.0\.42\.\*: install it '
    r"with JAX: pip install 'jax\[tpu\]==0\.10\.2'",
  ):
    libtpu.check()
  del installed['libtpu']
  with pytest.raises(schema.ConfigError, match=r'is not installed: install it'):
    libtpu.check()


def test_jax_must_not_be_imported_before_libtpu_is_prepared():
  with pytest.raises(RuntimeError, match='after JAX was imported'):
    libtpu.prepare()


@pytest.mark.parametrize(
  ('request_', 'message'),
  [
    ({'phase': 'bas'}, "phase: 'bas', expected one of"),
    ({'topology': 'v5p:4x4'}, 'is a torus of 3'),
    ({'budget': 'b.json'}, 'is of one phase; name it with --phase'),
    ({'sweep': True, 'budget': 'b.json'}, 'not of a sweep'),
  ],
)
def test_what_cannot_be_asked_for_is_said_before_compiling(
  config, request_, message
):
  with pytest.raises(schema.ConfigError, match=message):
    request = command.Request(**{'topology': 'v5p:4x4x4', **request_})
    command.run(config, request, 'c.py')


def test_the_entry_point_lists_the_chips_that_there_are():
  done = subprocess.run(
    [
      sys.executable,
      '-m',
      'msm_jax.compile',
      '--config=configs/quickstart.py:arm=base',
      '--topology=v9:4x4',
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert "'v9', expected one of ['v4', 'v5e', 'v5p'" in done.stderr


def test_an_option_that_xla_does_not_have_is_an_error_of_the_config():
  target = phases.Target(
    topology_lib.parse('v5p:4x4x4'), (), {'xla_nonsense': '1'}
  )
  lowered = jax.jit(jnp.sin).lower(1.0)
  with pytest.raises(
    schema.ConfigError, match=r'^xla_options\.xla_nonsense: .*No such'
  ):
    phases.read(lowered.compile, target)
