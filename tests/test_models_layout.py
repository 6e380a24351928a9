"""Which axis of an array is cut over which axis of a mesh."""

import types

import jax
from jax.sharding import PartitionSpec
import numpy as np
import pytest

from msm_jax import models
from msm_jax import schema
from msm_jax.models import layout as layout_lib
from msm_jax.models import tpus


def _layout(data=1, fsdp=1, context=1, tensor=1, inner=1):
  sizes = (data, fsdp, inner, context, tensor)
  return models.Layout(jax.sharding.AbstractMesh(sizes, layout_lib.MESH_AXES))


@pytest.mark.parametrize(
  'letters, expected',
  [
    ('BT', (('data', 'fsdp'), 'context')),
    ('BTD', (('data', 'fsdp'), 'context', None)),
    ('BTHC', (('data', 'fsdp'), 'context', 'tensor', None)),
    ('BTV', (('data', 'fsdp'), 'context', 'tensor')),
    # Where rows are not cut over it, fsdp is free for the width.
    ('RTD', ('data', 'context', 'fsdp')),
    ('DHC', ('fsdp', 'tensor', None)),
    ('FD', ('tensor', 'fsdp')),
  ],
)
def test_the_first_name_that_wants_an_axis_of_the_mesh_has_it(
  letters, expected
):
  layout = _layout(2, 2, 2, 2)
  spec = layout.spec(layout_lib.names_of(letters))
  assert spec == PartitionSpec(*expected)


def test_both_axes_of_fsdp_cut_the_same():
  spec = _layout(fsdp=2, inner=2).spec(layout_lib.names_of('DHC'))
  assert spec == PartitionSpec(('fsdp', 'fsdp_inner'), None, None)


def test_axes_of_one_device_cut_nothing():
  spec = _layout(fsdp=4).spec(layout_lib.names_of('BTHC'))
  assert spec == PartitionSpec('fsdp', None, None, None)
  assert models.Layout().spec(('batch', 'heads')) == PartitionSpec(None, None)


@pytest.mark.parametrize(
  'config, n_devices, expected',
  [
    ({}, 8, (8, 1, 1, 1, 1)),
    ({'fsdp': 4}, 8, (2, 4, 1, 1, 1)),
    ({'data': 1, 'fsdp': -1, 'tensor': 2}, 8, (1, 4, 1, 1, 2)),
    ({'fsdp': -1}, 8, (1, 8, 1, 1, 1)),
    ({'fsdp': -1, 'num_slices': 2}, 8, (2, 4, 1, 1, 1)),
    ({'tensor': -1, 'fsdp': 2}, 8, (1, 2, 1, 1, 4)),
    ({'fsdp': 2, 'fsdp_inner': -1}, 8, (1, 2, 4, 1, 1)),
    ({'data': 2, 'fsdp': 2, 'context': 2, 'tensor': 1}, 8, (2, 2, 1, 2, 1)),
    ({'num_slices': 2, 'fsdp': 4}, 16, (4, 4, 1, 1, 1)),
  ],
)
def test_one_axis_is_what_is_left(config, n_devices, expected):
  sizes = models.MeshConfig(**config).sizes(n_devices)
  assert tuple(sizes[axis] for axis in layout_lib.MESH_AXES) == expected


@pytest.mark.parametrize(
  'config, expected',
  [
    ({'fsdp': -1}, (1, 8, 4, 1, 1)),
    ({'fsdp': 32}, (1, 8, 4, 1, 1)),
    # Both parts are given, or it is no whole slice.
    ({'fsdp': -1, 'fsdp_inner': 1}, (1, 32, 1, 1, 1)),
    ({'fsdp': -1, 'fsdp_inner': 2}, (1, 16, 2, 1, 1)),
    ({'fsdp': 16}, (2, 16, 1, 1, 1)),
    ({'fsdp': -1, 'tensor': 2}, (1, 16, 1, 1, 2)),
    ({}, (32, 1, 1, 1, 1)),
  ],
)
def test_fsdp_over_a_whole_plane_is_cut_along_its_dimensions(config, expected):
  sizes = models.MeshConfig(**config).sizes(32, (8, 4))
  assert tuple(sizes.values()) == expected


def test_each_slice_that_is_a_plane_is_cut_along_its_dimensions():
  config = models.MeshConfig(fsdp=-1, num_slices=2)
  sizes = config.sizes(64, (8, 4))
  assert tuple(sizes.values()) == (2, 8, 4, 1, 1)


def _chips(kind, shape, slices=1):
  return [
    types.SimpleNamespace(device_kind=kind, coords=coords, slice_index=i)
    for i in range(slices)
    for coords in np.ndindex(shape)
  ]


def test_slices_that_scatter_better_in_two_steps_are_known():
  flat = _chips('TPU v5 lite', (8, 4, 1), slices=2)
  assert tpus.generation(flat[0]) == 'v5e'
  assert tpus.parts(flat) == (8, 4)
  assert tpus.parts(_chips('TPU v6 lite', (16, 16, 1))) == (16, 16)
  assert tpus.parts(_chips('TPU v5', (4, 4, 4))) is None
  assert tpus.parts(_chips('TPU v5', (8, 8, 4))) == (64, 4)
  assert tpus.parts(_chips('TPU v4', (8, 8, 4))) is None
  # Not all chips of a rectangle.
  assert tpus.parts(flat[:31]) is None
  assert tpus.parts(jax.devices()) is None


@pytest.mark.parametrize(
  'config, message',
  [
    ({'fsdp': 0}, r'mesh\.fsdp: 0, expected at least 1, or -1 for what'),
    ({'num_slices': -1}, r'mesh\.num_slices: -1, expected at least 1$'),
    (
      {'data': -1, 'fsdp': -1},
      r'mesh\.fsdp: -1, but mesh\.data is -1 as well',
    ),
    ({'fsdp_inner': 'two'}, r"mesh\.fsdp_inner: 'two', expected one of"),
  ],
)
def test_sizes_that_mean_nothing_are_refused(config, message):
  with pytest.raises(schema.ConfigError, match=message):
    schema.structure(models.MeshConfig, config)


@pytest.mark.parametrize(
  'config, message',
  [
    ({'fsdp': 3}, 'mesh: fsdp 3 = 3 does not divide the 8 devices'),
    ({'data': 4}, 'mesh: data 4 makes 4, but there are 8 devices'),
    ({'data': 1}, 'mesh: every axis 1 makes 1, but there are 8 devices'),
    (
      {'fsdp': 8, 'num_slices': 2},
      r'mesh\.data: 1 is not a multiple of mesh\.num_slices = 2',
    ),
  ],
)
def test_axes_that_do_not_make_up_the_devices_are_refused(config, message):
  with pytest.raises(ValueError, match=message):
    models.MeshConfig(**config).sizes(8)


@pytest.mark.parametrize('shards', [1, 2, 4, 5])
def test_every_shard_meets_the_same_number_of_keys(shards):
  T = 40
  order = models.balanced_order(T, shards)
  assert sorted(order) == list(range(T))
  # With causal attention the query at t meets t + 1 keys.
  met = (order + 1).reshape(shards, -1).sum(axis=1)
  assert len(set(met)) == 1


def test_arrays_stay_as_they_are_without_a_mesh():
  x = np.ones((2, 3, 4), np.float32)
  assert models.ALONE.constrain(x, 'BTD') is x
  assert models.ALONE.gather(x, 'DHC') is x
