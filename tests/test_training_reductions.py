"""In which dtype gradients of parameters are added up."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import processes
import pytest
import tiny_run

from msm_jax import models
from msm_jax import schema
from msm_jax import training
from msm_jax.models import lora
from msm_jax.training.config import result_config


@pytest.fixture(scope='module')
def on_eight():
  done = subprocess.run(
    [sys.executable, 'tests/reductions.py'],
    cwd=processes.ROOT,
    env=processes.environment()
    | {
      'PYTHONPATH': str(processes.ROOT),
      'XLA_FLAGS': '--xla_force_host_platform_device_count=8',
    },
    check=False,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  rows = map(json.loads, done.stdout.splitlines())
  return {(row['dtype'], row['mesh']): row for row in rows}


@pytest.mark.parametrize('mesh', [False, True])
def test_sums_in_float32_are_not_rounded_to_the_dtype_of_activations(
  on_eight, mesh
):
  wide, narrow = on_eight['float32', mesh], on_eight[None, mesh]
  for name in ('kernel', 'bias'):
    assert wide[name] < 1e-5
    assert narrow[name] > 1e-3
  # What goes back to the layer before is in the dtype of activations.
  assert wide['input'] == narrow['input'] < 2**-7


def _products(model, dtype):
  """The dtypes of products in a gradient, by what they add up over."""
  tokens = jnp.zeros((2, 16), jnp.int32)
  layout = models.Layout(grad_reduce_dtype=dtype)
  trained, frozen = lora.split(model.abstract_params())

  def loss(trained, frozen):
    params = lora.join(trained, frozen)
    x_BTD, _ = model.hidden(params, tokens, tokens, tokens, layout)
    return jnp.sum(x_BTD.astype(jnp.float32) ** 2)

  text = str(jax.make_jaxpr(jax.grad(loss))(trained, frozen))
  return text.count('preferred_element_type=float32')


@pytest.mark.parametrize('adapters', [None, lora.LoRAConfig(rank=2, alpha=4.0)])
def test_every_kernel_and_adapter_is_added_up_so(adapters):
  config = models.DecoderConfig(
    vocab_size=16,
    d_model=8,
    n_layers=2,
    n_heads=2,
    n_kv_heads=1,
    head_dim=4,
    d_ff=8,
    dtype='bfloat16',
  )
  model = models.Model(config, adapters)
  # Seven projections of a block, or two matrices beside each.
  more = _products(model, 'float32') - _products(model, None)
  assert more == (7 if adapters is None else 14)


def test_the_dtype_of_sums_is_part_of_a_run():
  config = tiny_run.get_config('/nowhere')
  before = result_config(training.load(config))
  config.model.dtype = 'bfloat16'
  config.grad_reduce_dtype = 'float32'
  after = result_config(training.load(config))
  assert (before['grad_reduce_dtype'], after['grad_reduce_dtype']) == (
    None,
    'float32',
  )


@pytest.mark.parametrize(
  'value, message',
  [
    ('float23', r"grad_reduce_dtype: 'float23', .*mean 'float32'"),
    ('bfloat16', r"'bfloat16' is narrower than model\.dtype = 'float32'"),
  ],
)
def test_dtypes_that_cannot_be_summed_in_are_refused(value, message):
  config = tiny_run.get_config('/nowhere')
  config.grad_reduce_dtype = value
  with pytest.raises(schema.ConfigError, match=message):
    training.load(config)
