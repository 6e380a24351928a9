"""The one place with kernels: linear maps, frozen or not, with adapters or not.

Letters in equations are those of `layers`; `r` is the rank of an adapter.
"""

import dataclasses
import functools
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp

from msm_jax.models import quantised
from msm_jax.models.config import DecoderConfig
from msm_jax.models.layout import ALONE
from msm_jax.models.layout import Layout
from msm_jax.models.layout import names_of


def normal(stddev: float) -> nnx.Initializer:
  return nnx.initializers.truncated_normal(stddev)


@dataclasses.dataclass(frozen=True)
class Axes:
  """An equation such as `'BTD,DHC->BTHC'`, taken apart.

  Attributes:
    x: Axes of the input.
    kernel: Of the kernel: shared ones, inputs, outputs, in this order.
    y: Of the output.
  """

  x: str
  kernel: str
  y: str

  @classmethod
  def of(cls, equation: str) -> 'Axes':
    """Parses an equation.

    Raises:
      ValueError: If the kernel's axes are in another order.
    """
    operands, y = equation.split('->')
    x, kernel = operands.split(',')
    axes = cls(x, kernel, y)
    if axes.shared + axes.inputs + axes.outputs != kernel:
      raise ValueError(
        f'{equation}: expected a kernel whose axes are those that both sides '
        'have, then inputs, then outputs'
      )
    return axes

  @property
  def shared(self) -> str:
    """Axes over which there are independent kernels, e.g. of experts."""
    return ''.join(a for a in self.kernel if a in self.x and a in self.y)

  @property
  def inputs(self) -> str:
    return ''.join(a for a in self.kernel if a not in self.y)

  @property
  def outputs(self) -> str:
    return ''.join(a for a in self.kernel if a not in self.x)

  @property
  def product(self) -> str:
    """The equation itself: input and kernel to output."""
    return f'{self.x},{self.kernel}->{self.y}'

  @property
  def down(self) -> str:
    """Input and `a` to what the adapter keeps of it, `[…, r]`."""
    return f'{self.x},{self.shared}{self.inputs}r->{self._kept}'

  @property
  def up(self) -> str:
    """That and `b` to output."""
    return f'{self._kept},{self.shared}r{self.outputs}->{self.y}'

  @property
  def delta(self) -> str:
    """`a` and `b` to the kernel that the adapter is."""
    a, b = f'{self.shared}{self.inputs}r', f'{self.shared}r{self.outputs}'
    return f'{a},{b}->{self.kernel}'

  @property
  def _kept(self) -> str:
    return ''.join(a for a in self.x if a not in self.inputs) + 'r'

  def along_y(self, per_output: jax.Array) -> jax.Array:
    """Gives an array over the shared and output axes the rank of `y`."""
    own = self.shared + self.outputs
    others = [i for i, axis in enumerate(self.y) if axis not in own]
    return jnp.expand_dims(per_output, others)

  def along_kernel(self, per_output: jax.Array) -> jax.Array:
    """Gives an array over the shared and output axes the rank of a kernel."""
    first = len(self.shared)
    return jnp.expand_dims(per_output, range(first, first + len(self.inputs)))

  def norms(self, kernel: jax.Array) -> jax.Array:
    """Returns the norm of what leads to each output, `[shared, outputs]`."""
    first = len(self.shared)
    over = tuple(range(first, first + len(self.inputs)))
    return jnp.sqrt(jnp.sum(kernel * kernel, axis=over))


def dense(
  axes: Axes,
  kernel: jax.Array | quantised.Quantised,
  shape: tuple[int, ...],
  dtype: Any,
) -> jax.Array:
  """Returns one layer's kernel in this dtype, whatever it is kept as.

  Args:
    axes: Of the kernel.
    kernel: As it is kept.
    shape: Of the kernel, with which 4-bit codes are read.
    dtype: Of the result.
  """
  if not isinstance(kernel, dict):
    return kernel.astype(dtype)
  shared = len(axes.shared)
  dequantise = functools.partial(
    quantised.dequantise, shape=shape[shared:], inputs=len(axes.inputs)
  )
  for _ in range(shared):
    dequantise = jax.vmap(dequantise)
  return dequantise(kernel).astype(dtype)


def product(
  equation: str, x: jax.Array, kernel: jax.Array, layout: Layout
) -> jax.Array:
  """Multiplies by a kernel that is trained, in the dtype of the input.

  Args:
    equation: Of `jnp.einsum`.
    x: The input.
    kernel: As parameters are kept.
    layout: Where it lies, and in which dtype its gradient is added up.
  """
  if layout.grad_reduce_dtype is None:
    return _product(layout, equation, x, kernel)
  return _reducing(layout, equation, x, kernel)


def _product(
  layout: Layout, equation: str, x: jax.Array, kernel: jax.Array
) -> jax.Array:
  letters = equation.split('->')[0].split(',')[1]
  return jnp.einsum(equation, x, layout.gather(kernel.astype(x.dtype), letters))


_reducing = jax.custom_vjp(_product, nondiff_argnums=(0, 1))


def _reducing_forward(
  layout: Layout, equation: str, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return _product(layout, equation, x, kernel), (x, kernel)


def _reducing_backward(
  layout: Layout,
  equation: str,
  kept: tuple[jax.Array, jax.Array],
  dy: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  x, kernel = kept
  operands, of_y = equation.split('->')
  of_x, of_kernel = operands.split(',')
  whole = layout.gather(kernel.astype(x.dtype), of_kernel)
  dx = jnp.einsum(f'{of_y},{of_kernel}->{of_x}', dy, whole)
  # Devices' sums are added up where the product is, in its dtype: to convert
  # what it returns would be too late.
  dkernel = jnp.einsum(
    f'{of_x},{of_y}->{of_kernel}',
    x,
    dy,
    preferred_element_type=jnp.dtype(layout.grad_reduce_dtype),
  )
  dkernel = layout.scatter(dkernel, names_of(of_kernel))
  return dx, dkernel.astype(kernel.dtype)


_reducing.defvjp(_reducing_forward, _reducing_backward)


class Projection(nnx.Module):
  """A linear map between named axes, e.g. `'BTD,DHC->BTHC'`."""

  def __init__(
    self,
    equation: str,
    shape: tuple[int, ...],
    c: DecoderConfig,
    *,
    stddev: float,
    bias: bool = False,
    rngs: nnx.Rngs,
  ):
    """Makes new parameters.

    Args:
      equation: Of `jnp.einsum`: inputs `BT…`, the kernel, outputs `BT…`.
      shape: Of the kernel: its input axes, then its output axes.
      c: For the parameters' dtype.
      stddev: Of the truncated normal distribution of the kernel.
      bias: Whether a bias over the output axes is added.
      rngs: For the kernel.
    """
    dtype = jnp.dtype(c.param_dtype)
    self.axes = Axes.of(equation)
    self.shape = shape
    self.kernel = nnx.Param(normal(stddev)(rngs.params(), shape, dtype))
    sizes = dict(zip(self.axes.kernel, shape, strict=True))
    outputs = [sizes[a] for a in self.axes.shared + self.axes.outputs]
    self.bias = nnx.Param(jnp.zeros(outputs, dtype)) if bias else None
    # What `lora` changes: how the kernel is kept, and what is added to it.
    self.frozen = False
    self.lora: nnx.Dict | None = nnx.data(None)
    self.lora_scale = 1.0

  def __call__(self, x: jax.Array, layout: Layout = ALONE) -> jax.Array:
    y = layout.constrain(self._product(x, layout), self.axes.y)
    if self.lora is not None:
      y = self._adapted(x, y, layout)
    if self.bias is not None:
      wider = jnp.dtype(layout.grad_reduce_dtype or x.dtype)
      bias = self.axes.along_y(self.bias[...].astype(wider))
      y = (y.astype(wider) + bias).astype(y.dtype)
    return y

  def _kernel(self) -> jax.Array | quantised.Quantised:
    if isinstance(self.kernel, nnx.Param):
      return self.kernel[...]
    return {name: leaf[...] for name, leaf in self.kernel.items()}

  def _gathered(self, kernel: Any, dtype: Any, layout: Layout) -> jax.Array:
    """Returns the kernel in this dtype, on the devices that need all of it."""
    axes = self.axes
    if isinstance(kernel, dict):
      # As codes, which are fewer bytes to send.
      is_int8 = quantised.format_of(kernel) == 'int8'
      letters = {
        'codes': (axes.inputs if is_int8 else 'b') + axes.outputs,
        'scales': ('' if is_int8 else 'b') + axes.outputs,
      }
      kernel = {
        name: layout.gather(leaf, letters[name])
        for name, leaf in kernel.items()
      }
      return dense(axes, kernel, self.shape, dtype)
    kernel = dense(axes, kernel, self.shape, dtype)
    return layout.gather(kernel, axes.kernel)

  def _product(self, x: jax.Array, layout: Layout) -> jax.Array:
    kernel = self._kernel()
    if not self.frozen:
      assert not isinstance(kernel, dict)
      return product(self.axes.product, x, kernel, layout)

    # The backward pass makes the kernel anew from how it is kept; a scan would
    # save it for every layer otherwise.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def frozen(x: jax.Array, kernel: Any) -> jax.Array:
      in_dtype = self._gathered(kernel, x.dtype, layout)
      return jnp.einsum(self.axes.product, x, in_dtype)

    return frozen(x, kernel)

  def _adapted(self, x: jax.Array, y: jax.Array, layout: Layout) -> jax.Array:
    """Adds the adapter's output to the kernel's; see `lora`."""
    assert self.lora is not None
    axes, scale = self.axes, self.lora_scale
    a, b = self.lora['a'][...], self.lora['b'][...]
    kept = product(axes.down, x, a, layout) * scale
    y = y + layout.constrain(product(axes.up, kept, b, layout), axes.y)
    if 'magnitude' not in self.lora:
      return y
    # DoRA, section 4.3: the norm counts as a constant in the backward pass.
    a, b = jax.lax.stop_gradient((a, b))
    kernel = dense(axes, self._kernel(), self.shape, jnp.float32)
    norms = axes.norms(kernel + scale * jnp.einsum(axes.delta, a, b))
    # An output without weights has the norm and the magnitude 0.
    norms = jnp.maximum(norms, jnp.finfo(jnp.float32).tiny)
    ratio = self.lora['magnitude'][...] / norms
    return y * axes.along_y(ratio).astype(y.dtype)
