"""FLOPs of matrix products: dots, convolutions, attention kernels.

A multiplication and an addition are two FLOPs. Elementwise work is not
counted: on a TPU it is bound by the bytes that it moves.
"""

from collections.abc import Sequence
import json
import math
import re
from typing import Any

import numpy as np

from msm_jax.compilation import constants
from msm_jax.compilation import hlo
from msm_jax.compilation import shapes

# Kernels of `jax.experimental.pallas.ops.tpu.splash_attention`, with how many
# matrix products they make of a query and a key block, and the names of the
# block sizes in what they note down. Forward: scores, output. Gradients: the
# scores again, the gradient of the weights, and one product for each of dq, dk
# and dv that the kernel returns.
_SPLASH = (
  (re.compile(r'splash_\w+_fwd'), 2, 'block_q', 'block_kv'),
  (re.compile(r'splash_\w+_dkv'), 4, 'block_q_dkv', 'block_kv_dkv'),
  (re.compile(r'splash_\w+_dq'), 3, 'block_q_dq', 'block_kv_dq'),
)


def _array(shape: shapes.Shape) -> shapes.Array:
  if not isinstance(shape, shapes.Array):
    raise ValueError(f'HLO: {shape} is a tuple, expected one array')
  return shape


def dot_flops(i: hlo.Instruction, computation: hlo.Computation) -> int:
  """2 × elements of the result × length of the contraction."""
  lhs = _array(computation.operand(i, 0).shape)
  contracted = i.numbers('lhs_contracting_dims')
  return 2 * _array(i.shape).size * math.prod(lhs.dims[d] for d in contracted)


def _window(text: str, key: str, n: int, default: str) -> list[str]:
  match = re.search(rf'\b{key}=([\w\-]+)', text)
  return match[1].split('x') if match else [default] * n


def _met(
  size: int,
  out: int,
  kernel: int,
  stride: int,
  low: int,
  grown: tuple[int, int],
) -> int:
  """Pairs of an output and a kernel position that meet an input element.

  Args:
    size: Input elements.
    out: Output positions.
    kernel: Kernel positions.
    stride: Input positions between outputs.
    low: Padding before the first input element.
    grown: Positions between neighbouring input elements, and between
      neighbouring kernel elements (dilations).
  """
  between_inputs, between_kernel = grown
  positions = (
    np.arange(out)[:, None] * stride
    + np.arange(kernel)[None, :] * between_kernel
    - low
  )
  inside = (positions >= 0) & (positions <= (size - 1) * between_inputs)
  return int(np.sum(inside & (positions % between_inputs == 0)))


def convolution_flops(i: hlo.Instruction, computation: hlo.Computation) -> int:
  """FLOPs of a convolution, products with padding not counted.

  A TPU's compiler writes every dot as a convolution; batch dimensions become
  spatial ones, in which most pairs of positions meet only padding.
  """
  lhs = _array(computation.operand(i, 0).shape)
  rhs = _array(computation.operand(i, 1).shape)
  result = _array(i.shape)
  match = re.fullmatch(
    r'(\w+)_(\w+)->(\w+)', i.attributes['dim_labels'].replace('?', '_')
  )
  if not match:
    raise ValueError(f'HLO: {i.name}: {i.attributes["dim_labels"]!r}')
  in_labels, kernel_labels, out_labels = match.groups()
  spatial = sorted(label for label in in_labels if label.isdigit())
  window = i.attributes.get('window', '')
  n = len(spatial)
  strides = _window(window, 'stride', n, '1')
  pads = _window(window, 'pad', n, '0_0')
  in_grown = _window(window, 'lhs_dilate', n, '1')
  kernel_grown = _window(window, 'rhs_dilate', n, '1')
  met = 1
  for k, label in enumerate(spatial):
    met *= _met(
      lhs.dims[in_labels.index(label)],
      result.dims[out_labels.index(label)],
      rhs.dims[kernel_labels.index(label)],
      int(strides[k]),
      int(pads[k].split('_')[0]),
      (int(in_grown[k]), int(kernel_grown[k])),
    )
  # The kernel's input features are those of one feature group already; a batch
  # group meets only its share of the batch.
  groups = int(i.attributes.get('batch_group_count', '1'))
  batch = lhs.dims[in_labels.index('b')] // groups
  features = (
    rhs.dims[kernel_labels.index('o')] * rhs.dims[kernel_labels.index('i')]
  )
  return 2 * batch * features * met


def kernel_flops(i: hlo.Instruction, frame: constants.Frame) -> int | None:
  """FLOPs of a Pallas kernel, or None if they are not known.

  A kernel may say so itself (`pl.CostEstimate`). Splash attention does not; it
  computes the blocks that its mask names, whatever the segment ids hide.
  """
  config = i.backend_config.get('custom_call_config', {})
  if 'flops' in (estimate := config.get('cost_estimate', {})):
    return int(estimate['flops'])
  for pattern, n_products, *names in _SPLASH:
    if pattern.search(i.op_name):
      return _splash_flops(i, frame, n_products, names)
  return None


def _noted(i: hlo.Instruction) -> dict[str, Any]:
  """What a splash kernel notes of itself: block sizes and layouts."""
  text = i.attributes.get('frontend_attributes', '')
  match = re.search(r'"xprof_metadata":("(?:[^"\\]|\\.)*")', text)
  return json.loads(json.loads(match[1])) if match else {}


def _splash_flops(
  i: hlo.Instruction,
  frame: constants.Frame,
  n_products: int,
  names: Sequence[str],
) -> int | None:
  """2 × products × head size × pairs of positions in the computed blocks."""
  noted = _noted(i)
  operands = list(
    zip(i.operands, frame.computation.operand_shapes(i), strict=True)
  )
  q = next(s for _, s in operands if _array(s).dtype in ('bf16', 'f32'))
  q_dims, results = _array(q).dims, list(shapes.leaves(i.shape))
  if any(len(s.dims) > len(q_dims) for s in results):
    n_products += 1  # dq as well, a part of it from each block of keys.
  # The first operand says which blocks to fetch, the second which to compute.
  blocks = frame.value(operands[1][0])
  if blocks is None or any(name not in noted for name in names):
    return None
  pairs = np.count_nonzero(blocks) * math.prod(noted[name] for name in names)
  copies = math.prod(q_dims[:-2]) // math.prod(np.shape(blocks)[:-2])
  # 1 is head-size-minor, 2 sequence-minor.
  head_size = q_dims[-1] if noted['q_layout'] == 1 else q_dims[-2]
  return int(2 * n_products * head_size * pairs * copies)
