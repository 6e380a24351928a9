"""What a block keeps for its backward pass, by policy and by name.

`none` keeps everything, `minimal` the products of weights and activations,
`full` the block's input alone: everything else is computed again. With `full`
what has a name can be kept besides: where it is (`remat_save`), or in the
memory of the host (`remat_offload`), from which it comes back for the backward
pass.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name

from msm_jax import schema
from msm_jax.models.config import DecoderConfig

# JAX's own policies.
REMAT_POLICIES: dict[str, Callable[..., Any]] = {
  'none': jax.checkpoint_policies.everything_saveable,
  'minimal': jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
  'full': jax.checkpoint_policies.nothing_saveable,
}

# In the order in which a block makes them.
NAMES = (
  'block_input',
  'query',
  'key',
  'value',
  'context',
  'attention_out',
  'mlp_gate',
  'mlp_up',
  'mlp_out',
)


def named(x: jax.Array, name: str) -> jax.Array:
  """Gives an activation one of `NAMES`."""
  assert name in NAMES
  return checkpoint_name(x, name)


def check(c: DecoderConfig) -> None:
  """Checks that what is to be kept has a name.

  Raises:
    ConfigError: Naming the key, the value and what is possible.
  """
  schema.one_of(c.remat, sorted(REMAT_POLICIES), 'model.remat')
  for key in ('remat_save', 'remat_offload'):
    names = getattr(c, key)
    for name in names:
      schema.one_of(name, NAMES, f'model.{key}')
    schema.unique(names, f'model.{key}')
    if names and c.remat != 'full':
      raise schema.ConfigError(
        f'model.{key}: {list(names)}, but model.remat is {c.remat!r}; names '
        "say what is kept beside what 'full' keeps"
      )
  if both := sorted({*c.remat_save} & {*c.remat_offload}):
    raise schema.ConfigError(
      f'model.remat_offload: {both} are in remat_save as well; keep them on '
      'the device or on the host'
    )


def policy(c: DecoderConfig) -> Callable[..., Any]:
  """Returns the policy of `jax.checkpoint` for a block."""
  if not (c.remat_save or c.remat_offload):
    return REMAT_POLICIES[c.remat]
  return jax.checkpoint_policies.save_and_offload_only_these_names(
    names_which_can_be_saved=list(c.remat_save),
    names_which_can_be_offloaded=list(c.remat_offload),
    offload_src='device',
    offload_dst='pinned_host',
  )
