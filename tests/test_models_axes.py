"""Names of axes, shardings by them, and parameters that are made in shards."""

import json
import os
import subprocess
import sys

import hf_models
import jax
import jax.numpy as jnp
import pytest

from msm_jax import models
from msm_jax.models import axes
from msm_jax.models import huggingface
from msm_jax.models import lora

FAMILIES = sorted(huggingface.FAMILIES)
_SIZES = {
  'vocab': 'vocab_size',
  'embed': 'd_model',
  'norm': 'd_model',
  'heads': 'n_heads',
  'kv_heads': 'n_kv_heads',
  'head_dim': 'head_dim',
  'mlp': 'd_ff',
}


def _paths(tree):
  is_leaf = lambda x: isinstance(x, tuple)  # noqa: E731
  flat, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)
  return {jax.tree_util.keystr(path): leaf for path, leaf in flat}


@pytest.mark.parametrize('family', FAMILIES)
def test_every_axis_has_the_size_of_its_name(family):
  c = hf_models.config(family, whole=True)
  params = models.Model(c).abstract_params()
  names = _paths(axes.logical_axes(params))
  shapes = _paths(jax.tree.map(lambda x: x.shape, params))
  assert names.keys() == shapes.keys()
  stacks = {'layers': c.n_grouped_layers}
  stacks['last_layers'] = c.n_layers - c.n_grouped_layers
  for path, shape in shapes.items():
    stack = path.split("'")[1]
    sizes = {name: getattr(c, field) for name, field in _SIZES.items()}
    sizes |= {'layers': stacks.get(stack)}
    assert tuple(sizes[name] for name in names[path]) == shape, path


@pytest.mark.parametrize('base', ['param_dtype', 'int8', 'nf4'])
def test_adapters_and_quantised_kernels_have_named_axes(base):
  c = hf_models.config('qwen2')
  adapters = lora.LoRAConfig(rank=3, alpha=6.0, dora=True, base=base)
  params = models.Model(c, adapters).abstract_params()
  names = _paths(axes.logical_axes(params))
  shapes = _paths(jax.tree.map(lambda x: x.shape, params))
  sizes = {name: getattr(c, field) for name, field in _SIZES.items()}
  sizes |= {'layers': c.n_layers, 'rank': 3}
  for path, shape in shapes.items():
    assert len(names[path]) == len(shape), path
    for name, size in zip(names[path], shape, strict=True):
      assert size == sizes.get(name, size), path
  packed = {n for of in names.values() for n in of} - set(sizes)
  assert packed == ({'blocks'} if base == 'nf4' else set())


def test_a_parameter_without_named_axes_is_refused():
  tree = {'layers': {'mlp': {'router': jnp.zeros((2, 3))}}}
  with pytest.raises(ValueError, match='layers/mlp/router: has no axes in'):
    axes.logical_axes(tree)
  tree = {'final_norm': {'scale': jnp.zeros((2, 3))}}
  with pytest.raises(ValueError, match=r'final_norm/scale: has shape \(2, 3\)'):
    axes.logical_axes(tree)


@pytest.fixture(scope='module')
def eight():
  done = subprocess.run(
    [sys.executable, 'tests/eight_devices.py'],
    check=False,
    capture_output=True,
    text=True,
    env=os.environ | {'XLA_FLAGS': '--xla_force_host_platform_device_count=8'},
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


def test_making_8b_parameters_never_holds_one_twice(eight):
  large = eight['large']
  assert large['whole'] > 32e9
  assert large['shard'] < 1.001 * large['whole'] / 8
  # Alignment, and a table of pointers.
  assert large['output'] < 1.0001 * large['shard']
  # What it takes to draw one layer, or some rows of the embedding.
  assert large['temporary'] < 0.5 * large['largest']


def test_parameters_made_in_shards_are_those_of_one_device(eight):
  small = eight['small']
  assert small['same']
  assert small['held'] == [small['expected']]
  # But for the norms of keys and queries all is cut in eight.
  assert small['whole'] / 8 <= small['expected'] < small['whole'] / 6
