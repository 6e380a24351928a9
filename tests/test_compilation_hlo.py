"""Tests of reading HLO: shapes, instructions, groups of devices."""

import textwrap

import pytest

from msm_jax.compilation import collectives
from msm_jax.compilation import hlo
from msm_jax.compilation import shapes


def _shape(text):
  shape, end = shapes.parse(text)
  assert end == len(text)
  return shape


@pytest.mark.parametrize(
  ('text', 'dims', 'nbytes', 'padded'),
  [
    ('f32[]', (), 4, 4),
    ('bf16[3,5]{1,0}', (3, 5), 30, 30),
    ('pred[7]{0}', (7,), 7, 7),
    # The last two physical dimensions fill whole tiles.
    ('f32[3,5]{1,0:T(8,128)}', (3, 5), 60, 8 * 128 * 4),
    ('bf16[8,130]{1,0:T(8,128)(2,1)}', (8, 130), 2080, 8 * 256 * 2),
    # Physical order, not logical: 5 is the fastest here.
    ('f32[5,3]{0,1:T(8,128)}', (5, 3), 60, 8 * 128 * 4),
    ('f32[2,130,9]{1,2,0:T(8,128)}', (2, 130, 9), 9360, 2 * 16 * 256 * 4),
    ('f32[4096]{0:T(1024)}', (4096,), 16384, 16384),
    ('s32[1,300]{1,0:T(1,128)S(1)}', (1, 300), 1200, 1536),
    # A vector in tiles of two dimensions is one row of them.
    ('f32[300]{0:T(8,128)}', (300,), 1200, 8 * 384 * 4),
    ('s32[]{:T(128)}', (), 4, 512),
    # Four bits each, if the layout says so; else a type has its own width.
    ('s4[10]{0:E(4)}', (10,), 5, 5),
    ('s8[10]{0}', (10,), 10, 10),
    ('f8e4m3fn[10]{0}', (10,), 10, 10),
    ('f32[<=6,2]{1,0}', (6, 2), 48, 48),
    ('token[]', (), 0, 0),
  ],
)
def test_sizes_of_arrays(text, dims, nbytes, padded):
  shape = _shape(text)
  assert shape.dims == dims
  assert shape.nbytes == nbytes
  assert shape.padded_nbytes == padded


def test_a_tuple_may_hold_tuples_and_memory_spaces():
  shape = _shape('((bf16[2]{0:T(1024)S(1)}, token[]), u32[]{:S(2)})')
  first, token, semaphore = shapes.leaves(shape)
  assert [first.memory_space, semaphore.memory_space] == [1, 2]
  assert token.size == 1


def test_an_element_type_that_is_not_known_is_an_error():
  with pytest.raises(ValueError, match="'q7' is not a known element type"):
    _shape('q7[2]')


MODULE = (
  textwrap.dedent("""\
  HloModule jit_f, is_scheduled=true, layout={(f32[2])}, num_partitions=8

  FileNames
  1 "f.py"

  %helper (p.1: f32[2], /*index=1*/p.2: f32[2]) -> f32[2] {
    %p.1 = f32[2]{0} parameter(0)
    %p.2 = f32[2]{0} parameter(1)
    ROOT %sum = f32[2]{0} add(%p.1, %p.2)
  }, execution_thread="sparsecore"

  ENTRY %main (x.1: f32[2]) -> f32[2] {
    %x.1 = f32[2]{0} parameter(0), metadata={op_name="s[\\'a, (\\']" id=1}
    %c = s32[2]{0} constant({1, -2})
    %kernel = (f32[2]{0}, /*index=1*/f32[2]{0}) KERNEL, NOTE={metadata={
  "note":"{\\"block\\": 8}"
  }}, backend_config={"a":{"b":"}"}}
    %part = f32[2]{0} get-tuple-element(%kernel), index=1
    ROOT %call.1 = f32[2]{0} call(f32[2]{0} %x.1, %part), to_apply=%helper
  }
  """)
  .replace('KERNEL', 'custom-call(%x.1, %c), custom_call_target="k"')
  .replace('NOTE', 'frontend_attributes')
)


def test_a_module_is_its_computations():
  module = hlo.parse(MODULE)
  assert (module.name, module.entry) == ('jit_f', 'main')
  assert module.is_scheduled
  assert module.n_devices == 8
  assert list(module.computations) == ['helper', 'main']
  main = module.computations['main']
  assert main.root == 'call.1'
  assert main.instructions['call.1'].operands == ('x.1', 'part')
  assert main.instructions['call.1'].called('to_apply') == ('helper',)
  assert main.instructions['x.1'].op_name == "s[\\'a, (\\']"
  assert main.instructions['c'].literal == '{1, -2}'


def test_a_string_may_hold_brackets_and_line_breaks():
  kernel = hlo.parse(MODULE).computations['main'].instructions['kernel']
  assert kernel.target == 'k'
  assert 'block' in kernel.attributes['frontend_attributes']
  assert kernel.backend_config == {'a': {'b': '}'}}


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('module {}', "begins with 'module {}', not HloModule"),
    ('HloModule f\n\nENTRY %main () -> f32[] {\n', 'ends before the entry'),
    (
      'HloModule f\n\nENTRY %main () -> f32[] {\n  %c = f32[] constant(1)\n}',
      'main has no root',
    ),
  ],
)
def test_what_is_no_module_is_an_error(text, message):
  with pytest.raises(ValueError, match=message):
    hlo.parse(text)


def _groups(attributes):
  text = (
    'HloModule f, num_partitions=8\n\nENTRY %main (x: f32[8]) -> f32[8] {\n'
    '  %x = f32[8]{0} parameter(0)\n'
    f'  ROOT %r = f32[8]{{0}} all-reduce(%x), {attributes}, to_apply=%add\n}}'
  )
  module = hlo.parse(text)
  root = module.computations['main'].instructions['r']
  return collectives.groups(root, module.n_devices)


@pytest.mark.parametrize(
  ('written', 'groups'),
  [
    ('replica_groups={{0,1,2,3},{4,5,6,7}}', ((0, 1, 2, 3), (4, 5, 6, 7))),
    ('replica_groups={}', (tuple(range(8)),)),
    ('replica_groups=[2,4]<=[8]', ((0, 1, 2, 3), (4, 5, 6, 7))),
    (
      'replica_groups=[4,2]<=[2,4]T(1,0)',
      ((0, 4), (1, 5), (2, 6), (3, 7)),
    ),
    (
      "replica_groups=mesh['x'=2,'y'=4] {'x'}",
      ((0, 4), (1, 5), (2, 6), (3, 7)),
    ),
    (
      "replica_groups=mesh['x'=2,'y'=1,'z'=4] {'y','z'}",
      ((0, 1, 2, 3), (4, 5, 6, 7)),
    ),
    (
      "replica_groups=mesh['x'=4,'y'=2], device_ids=([2,4]T(1,0)) {'y'}",
      ((0, 4), (1, 5), (2, 6), (3, 7)),
    ),
  ],
)
def test_groups_of_devices_in_every_notation(written, groups):
  assert _groups(written) == groups


def test_groups_in_a_notation_that_is_not_known_are_an_error():
  with pytest.raises(ValueError, match='not a list of replica groups'):
    _groups("replica_groups=mesh['x'=8] {'x':(2)4}")
