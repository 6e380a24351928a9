"""From the parameters of one model to those of another of the same decoder.

What may become of the adapters of the first:

`'carry'`: they are those of the second; nothing is computed.
`'merge'`: they are added into the kernels, exactly, and the second model's
  adapters, if it has any, are new.
`'fresh'`: they are dropped, and the second model's adapters are new ones on the
  base as it was before the first's were trained.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax

from msm_jax import schema
from msm_jax.models import axes
from msm_jax.models import lora
from msm_jax.models.decoder import Model
from msm_jax.models.decoder import Params
from msm_jax.models.layout import Layout

CHOICES = ('carry', 'merge', 'fresh')


def check(
  before: lora.LoRAConfig | None,
  after: lora.LoRAConfig | None,
  adapters: str | None,
) -> None:
  """Checks that a choice makes sense between two models.

  Args:
    before: Adapters of the first, if it has any.
    after: Adapters of the second, if it has any.
    adapters: One of `CHOICES`; None is for models that leave no choice.

  Raises:
    ValueError: Beginning with `adapters: `, and saying what to do.
  """
  if adapters is not None:
    schema.one_of(adapters, CHOICES, 'adapters')
  if before is None:
    if adapters in ('carry', 'merge'):
      raise ValueError(
        f'adapters: {adapters!r}, but what comes before has no adapters; leave '
        'it out'
      )
    if adapters == 'fresh' and after is None:
      raise ValueError("adapters: 'fresh' makes new adapters; set lora as well")
    return
  if adapters is None:
    raise ValueError(
      'adapters: is missing, but what comes before has adapters: say whether '
      "to 'carry' them on, 'merge' them into the base, or drop them for "
      "'fresh' ones on the same base"
    )
  if adapters == 'carry':
    _check_carried(before, after)
  elif adapters == 'fresh' and after is None:
    raise ValueError(
      "adapters: 'fresh', but lora is not set: all that was trained before "
      "would be lost; use 'merge' to train all parameters from here on"
    )
  elif (
    after is not None
    and before.is_quantised
    and after.is_quantised
    and (adapters == 'merge' or before.base != after.base)
  ):
    raise ValueError(
      f'adapters: {adapters!r} would round a base that is {before.base} a '
      f"second time, to {after.base}; use lora.base = 'bfloat16' or "
      "'param_dtype'"
      + (", or 'carry' the adapters" if adapters == 'merge' else '')
    )


def _check_carried(
  before: lora.LoRAConfig, after: lora.LoRAConfig | None
) -> None:
  if after is None:
    raise ValueError(
      "adapters: 'carry', but lora is not set: repeat the lora of what comes "
      "before, or use 'merge' to train all parameters from here on"
    )
  found = schema.differences(
    dataclasses.asdict(after), dataclasses.asdict(before), 'lora'
  )
  if found:
    changes = ', '.join(f'{key} {a!r} (was {b!r})' for key, a, b in found)
    raise ValueError(
      f"adapters: 'carry', but they cannot go on with another {changes}; undo "
      "that, or use 'merge'"
    )


def moments_cross(
  before: lora.LoRAConfig | None,
  after: lora.LoRAConfig | None,
  adapters: str | None,
) -> bool:
  """Whether the second model trains the very parameters of the first."""
  return adapters == 'carry' or (before is None and after is None)


@dataclasses.dataclass(frozen=True)
class Crossing:
  """How parameters get from one model to another.

  Attributes:
    before: The first model.
    after: The second; its decoder is that of the first.
    adapters: See the head of this file.
  """

  before: Model
  after: Model
  adapters: str | None

  @property
  def is_trivial(self) -> bool:
    """Whether the parameters stay the very same."""
    return moments_cross(self.before.lora, self.after.lora, self.adapters)

  def compile(self, layout: Layout) -> Callable[[Params, jax.Array], Params]:
    """Returns the compiled function from parameters and a key.

    The parameters are donated; the key is for new adapters.

    Args:
      layout: Where parameters lie, before and after.
    """
    if self.is_trivial:
      return lambda params, key: params
    params = self.before.abstract_params()
    merge = None
    if self.adapters == 'merge':
      with jax.enable_x64(True):
        merge, params = _compile(self._merge, layout, params)
    key = jax.eval_shape(lambda: jax.random.key(0))
    adapt, _ = _compile(self._adapt, layout, params, key)

    def cross(params: Params, key: jax.Array) -> Params:
      return adapt(params if merge is None else merge(params), key)

    return cross

  def _merge(self, params: Params) -> Params:
    assert self.before.lora is not None
    after = self.after.lora
    # Rounded to what the kernel will be kept as, and so only once.
    dtype = self.after.config.param_dtype
    if after is not None and after.base != 'param_dtype':
      dtype = 'float32' if after.is_quantised else 'bfloat16'
    return lora.merge(self.before.lora, dtype, self.before.sites, params)

  def _adapt(self, params: Params, key: jax.Array) -> Params:
    after = self.after
    return lora.adapt(
      after.lora, after.config.param_dtype, after.sites, lora.drop(params), key
    )


def _compile(
  fn: Callable[..., Params], layout: Layout, params: Params, *args: Any
) -> tuple[Callable[..., Params], Params]:
  """Compiles `fn(params, *args)`, donating what comes out in its old shape.

  Returns:
    The compiled function, and the shapes and dtypes of what it returns.
  """
  out = jax.eval_shape(fn, params, *args)
  kept = {
    path: (leaf.shape, leaf.dtype)
    for path, leaf in jax.tree_util.tree_leaves_with_path(out)
  }
  paths, treedef = jax.tree_util.tree_flatten_with_path(params)
  donated = [kept.get(path) == (x.shape, x.dtype) for path, x in paths]

  def deal(leaves: list[Any]) -> tuple[list[Any], list[Any]]:
    dealt: tuple[list[Any], list[Any]] = ([], [])
    for leaf, donate in zip(leaves, donated, strict=True):
      dealt[0 if donate else 1].append(leaf)
    return dealt

  def dealt_fn(ours: list[Any], theirs: list[Any], *args: Any) -> Params:
    ours, theirs = ours[::-1], theirs[::-1]
    leaves = [(ours if donate else theirs).pop() for donate in donated]
    return fn(jax.tree.unflatten(treedef, leaves), *args)

  compiled = (
    jax.jit(
      dealt_fn,
      in_shardings=(
        *deal(jax.tree.leaves(axes.shardings(params, layout))),
        *(layout.sharding() for _ in args),
      ),
      out_shardings=axes.shardings(out, layout),
      donate_argnums=0,
    )
    .lower(*deal([leaf for _, leaf in paths]), *args)
    .compile()
  )
  return lambda params, *args: compiled(
    *deal(jax.tree.leaves(params)), *args
  ), out
