"""How much of the loss is computed at once, where a config leaves it open."""

import jax
import pytest

from msm_jax import models
from msm_jax.models import layout as layout_lib
from msm_jax.models import presets
from msm_jax.training import loss_sizes


def _layout(**sizes):
  of_axes = [sizes.get(axis, 1) for axis in layout_lib.MESH_AXES]
  return models.Layout(
    jax.sharding.AbstractMesh(tuple(of_axes), layout_lib.MESH_AXES)
  )


def _sizes(rows, length, vocab_size, **sizes):
  return {
    'rows': rows,
    'length': length,
    'vocab_size': vocab_size,
    'layout': _layout(**sizes),
  }


@pytest.mark.parametrize(
  'name, mesh, rows, length, expected',
  [
    # As found by compiling: see docs/compile.md.
    ('Llama-3.1-8B', {'fsdp': 64}, 1, 8192, (512, 4)),
    ('Llama-3.1-8B', {'fsdp': 64}, 2, 8192, (256, 4)),
    ('Llama-3.2-1B', {'fsdp': 4, 'fsdp_inner': 4}, 4, 4096, (128, 4)),
    # The larger the vocabulary beside the positions, the more share it.
    ('Gemma-3-4B', {'fsdp': 8, 'fsdp_inner': 8}, 1, 4096, (256, 8)),
    # No more than there are neighbours on the last axis.
    ('Gemma-3-4B', {'fsdp': 32, 'fsdp_inner': 2}, 1, 4096, (256, 2)),
    # 100,278 vectors are no multiple of 4.
    ('OLMo-3-7B', {'fsdp': 64}, 1, 8192, (512, 2)),
    ('Llama-3.1-8B', {'fsdp': 8, 'tensor': 8}, 1, 8192, (4096, 2)),
    ('Llama-3.1-8B', {'fsdp': 16, 'context': 4}, 1, 8192, (2048, 8)),
    ('Llama-3.1-8B', {}, 1, 8192, (512, 1)),
  ],
)
def test_sizes_of_published_models(name, mesh, rows, length, expected):
  sizes = _sizes(rows, length, presets.get(name).config.vocab_size, **mesh)
  found = (
    loss_sizes.chunk(**sizes),
    loss_sizes.group(**sizes, trains_head=True),
  )
  assert found == expected


@pytest.mark.parametrize('length', [1, 7, 288, 4096, 8190])
@pytest.mark.parametrize('context', [1, 2, 5])
def test_a_chunk_divides_a_sequence_and_is_the_largest_that_fits(
  length, context
):
  length *= context
  V, rows = 100_000, 3
  sizes = _sizes(rows, length, V, context=context)
  chunk = loss_sizes.chunk(**sizes)
  assert length % chunk == 0
  assert chunk % context == 0

  def fits(size):
    return size == context or size // context * rows * V * 4 <= 3e8

  assert fits(chunk)
  larger = range(chunk + context, length + 1, context)
  assert not [n for n in larger if length % n == 0 and fits(n)]


def test_a_frozen_head_needs_fewer_neighbours():
  sizes = _sizes(1, 8192, 262208, fsdp=64)
  assert loss_sizes.group(**sizes, trains_head=True) == 8
  assert loss_sizes.group(**sizes, trains_head=False) == 4
