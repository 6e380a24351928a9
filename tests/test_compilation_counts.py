"""FLOPs, bytes and loops of compiled programs, against counts by hand."""

import pathlib

from hlo import programs
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msm_jax.compilation import hlo
from msm_jax.compilation import phases
from msm_jax.compilation import program
from msm_jax.compilation import traffic

TEXTS = pathlib.Path(__file__).parent / 'hlo'
# Of one product of [N, D] and [D, D].
PRODUCT = 2 * programs.N * programs.D**2
WIDE_PRODUCT = 2 * programs.WIDTH**3


def _read(text):
  return program.read(hlo.parse(text))


def _on_cpu(function, *arguments):
  return phases.text(jax.jit(function).lower(*arguments).compile())


def _on_tpu(name):
  return (TEXTS / f'{name}.hlo').read_text(encoding='utf-8')


PRODUCTS = {
  'matmuls': 5,
  'nested_loops': programs.OUTER * (programs.INNER + 1),
  'rematerialised': 7 * programs.OUTER,
}


@pytest.mark.parametrize('name', PRODUCTS)
def test_flops_are_those_counted_by_hand_on_a_cpu(name):
  function, arguments = getattr(programs, name)(jax.devices())
  read = _read(_on_cpu(function, *arguments))
  assert program.flops(read.events) == PRODUCTS[name] * PRODUCT


@pytest.mark.parametrize('name', PRODUCTS)
def test_flops_are_those_counted_by_hand_on_a_tpu(name):
  read = _read(_on_tpu(f'{name}.v5e'))
  assert program.flops(read.events) == PRODUCTS[name] * PRODUCT


@pytest.mark.parametrize('name', ['gathered', 'offloaded', 'continued'])
def test_flops_inside_of_collective_fusions_count_once(name):
  read = _read(_on_tpu(f'{name}.v5p'))
  assert program.flops(read.events) == 7 * programs.OUTER * WIDE_PRODUCT


def test_xla_counts_the_body_of_a_loop_once_and_we_do_not():
  function, arguments = programs.nested_loops(jax.devices())
  compiled = jax.jit(function).lower(*arguments).compile()
  ours = program.flops(_read(phases.text(compiled)).events)
  xla = compiled.cost_analysis()['flops']
  assert ours == programs.OUTER * (programs.INNER + 1) * PRODUCT
  assert xla < ours / programs.OUTER


@pytest.mark.parametrize(
  ('equation', 'shapes'),
  [
    ('ij,jk->ik', ((64, 32), (32, 16))),
    ('bij,bjk->bik', ((3, 64, 32), (3, 32, 16))),
    ('ij,kj->ki', ((64, 32), (16, 32))),
    ('btkgc,bskc->bkgts', ((2, 8, 2, 3, 4), (2, 8, 2, 4))),
  ],
)
def test_flops_without_loops_are_those_of_xlas_cost_analysis(equation, shapes):
  arrays = [np.ones(s, np.float32) for s in shapes]
  compiled = (
    jax.jit(lambda a, b: jnp.einsum(equation, a, b)).lower(*arrays).compile()
  )
  ours = program.flops(_read(phases.text(compiled)).events)
  assert ours == compiled.cost_analysis()['flops'] > 0


@pytest.mark.parametrize(
  ('shape', 'kernel', 'strides', 'padding', 'lhs', 'rhs', 'groups'),
  [
    ((2, 3, 9, 8), (4, 3, 3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1), 1),
    ((2, 3, 9, 8), (4, 3, 3, 2), (2, 3), ((1, 2), (3, 0)), (1, 1), (1, 1), 1),
    ((2, 3, 9, 8), (4, 3, 3, 2), (1, 1), ((2, 2), (1, 1)), (2, 3), (1, 1), 1),
    ((2, 3, 9, 8), (4, 3, 3, 2), (1, 2), ((2, 2), (1, 1)), (1, 1), (2, 2), 1),
    ((2, 4, 9, 8), (6, 2, 3, 2), (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 2),
  ],
)
def test_products_with_padding_are_no_flops(
  shape, kernel, strides, padding, lhs, rhs, groups
):
  def convolve(x, k):
    return jax.lax.conv_general_dilated(
      x,
      k,
      strides,
      padding,
      lhs_dilation=lhs,
      rhs_dilation=rhs,
      feature_group_count=groups,
    )

  x, k = np.ones(shape, np.float32), np.ones(kernel, np.float32)
  # With ones everywhere each output says how many products made it.
  expected = 2 * int(np.sum(convolve(x, k)))
  lowered = jax.jit(convolve).lower(x, k).compiler_ir('hlo').as_hlo_text()
  module = hlo.parse(lowered)
  assert program.flops(program.read(module).events) == expected


def test_a_loop_whose_length_is_data_is_an_error():
  def collatz(n):
    return jax.lax.while_loop(lambda n: n > 1, lambda n: n // 2, n)

  with pytest.raises(ValueError, match='how often the loop while'):
    _read(_on_cpu(collatz, jnp.int32(7)))


@pytest.mark.parametrize(('start', 'stop', 'step'), [(0, 7, 1), (3, 20, 4)])
def test_a_loop_is_followed_where_xla_does_not_say_how_long_it_is(
  start, stop, step
):
  def f(x):
    def body(carry):
      i, x = carry
      return i + step, x @ x

    return jax.lax.while_loop(lambda c: c[0] < stop, body, (start, x))[1]

  x = np.eye(16, dtype=np.float32)
  text = _on_cpu(f, x)
  hidden = text.replace('known_trip_count', 'unknown')
  trips = len(range(start, stop, step))
  for version in (text, hidden):
    assert program.flops(_read(version).events) == trips * 2 * 16**3


def test_of_branches_the_most_expensive_counts():
  def f(flag, x):
    return jax.lax.cond(flag, lambda x: x @ x @ x, lambda x: x @ x, x)

  read = _read(_on_cpu(f, True, np.eye(16, dtype=np.float32)))
  assert program.flops(read.events) == 2 * 2 * 16**3


@pytest.mark.parametrize(
  ('name', 'blocks'),
  [
    # Of 4 × 4 blocks those on and below the diagonal; two diagonals of them.
    ('splash_causal', 10),
    ('splash_window', 7),
  ],
)
def test_splash_attention_counts_the_blocks_that_its_mask_names(name, blocks):
  read = _read(_on_tpu(f'{name}.v5p'))
  # Forward 2 products of a block; dkv 4; dq 3. Two rows of four heads of 128.
  expected = (2 + 4 + 3) * 2 * blocks * 512**2 * 128 * 4 * 2
  assert program.flops(read.events) == expected
  assert program.kernel_flops(read.events) == expected
  assert read.uncounted == ()


def test_a_kernel_of_which_nothing_is_known_is_named():
  text = _on_tpu('splash_causal.v5p').replace('splash_mha', 'secret')
  read = _read(text)
  assert program.flops(read.events) == 0
  assert len(read.uncounted) == 3
  assert all('secret' in name for name in read.uncounted)


def test_a_kernel_may_say_how_many_flops_it_has():
  text = _on_tpu('splash_causal.v5p').replace(
    '"custom_call_config":{',
    '"custom_call_config":{"cost_estimate":{"flops":"7"},',
  )
  assert program.flops(_read(text).events) == 3 * 7


def _moved(function, *arguments):
  return program.moved(_read(_on_cpu(function, *arguments)).events)


def test_bytes_of_a_product_are_its_operands_and_result():
  x, y = np.ones((64, 32), np.float32), np.ones((32, 48), np.float32)
  moved = _moved(jnp.dot, x, y)
  assert moved == traffic.Traffic(x.nbytes + y.nbytes, 64 * 48 * 4)


def test_fused_work_moves_only_inputs_and_outputs():
  x = np.ones((64, 32), np.float32)
  moved = _moved(lambda x: jnp.tanh(x * 2 + 1) - x, x)
  assert moved == traffic.Traffic(x.nbytes, x.nbytes)


def test_a_scan_reads_its_slices_and_writes_its_slices():
  x = np.ones((16, 8, 128), np.float32)
  moved = _moved(
    lambda x: jax.lax.scan(lambda c, x: (c, jnp.sin(x)), 0.0, x)[1], x
  )
  # Each slice once, into what XLA first fills with zeros; and some bytes of
  # bookkeeping for each iteration.
  assert x.nbytes <= moved.read < 1.05 * x.nbytes
  assert 2 * x.nbytes <= moved.written < 2.05 * x.nbytes


def test_memory_on_the_chip_is_free_and_bringing_it_there_is_not():
  here, there = 'f32[8,128]{1,0:T(8,128)}', 'f32[8,128]{1,0:T(8,128)S(1)}'
  text = f"""\
HloModule f, is_scheduled=true

ENTRY %main (x: f32[8,128]) -> f32[8,128] {{
  %x = {here} parameter(0)
  %start = ({there}, {here}, u32[]{{:S(2)}}) copy-start(%x)
  %done = {there} copy-done(%start)
  %square = {there} multiply(%done, %done)
  ROOT %negate = {here} negate(%square)
}}
"""
  nbytes = 8 * 128 * 4
  moved = program.moved(_read(text).events)
  assert moved == traffic.Traffic(read=nbytes, written=nbytes)


def test_a_slice_that_is_brought_to_the_chip_is_read_alone():
  whole, part = (
    'f32[4,8,128]{2,1,0:T(8,128)}',
    'f32[1,8,128]{2,1,0:T(8,128)S(1)}',
  )
  text = f"""\
HloModule f, is_scheduled=true

ENTRY %main (x: f32[4,8,128]) -> f32[1,8,128] {{
  %x = {whole} parameter(0)
  %start = (({whole}), {part}, s32[]{{:S(2)}}) slice-start(%x), slice={{[1:2]}}
  %done = {part} slice-done(%start)
  ROOT %negate = f32[1,8,128]{{2,1,0:T(8,128)}} negate(%done)
}}
"""
  nbytes = 8 * 128 * 4
  events = _read(text).events
  assert program.moved(events) == traffic.Traffic(read=nbytes, written=nbytes)
  copy, done = (e for e in events if isinstance(e, program.Copy | program.Done))
  assert copy.name == done.name == 'start'
