"""Where each tensor of a published checkpoint lives in our parameters.

Published linear layers are `[out, in]`, all heads in one axis; ours are
`[in, …, out]` with heads apart. Between the two lie a transpose and a reshape,
never arithmetic: what is read and written again is the same to the bit.
"""

from collections.abc import Iterator
import dataclasses
import math
from typing import Any

from msm_jax.models.config import DecoderConfig
from msm_jax.models.huggingface import writing

EMBEDDING = 'model.embed_tokens.weight'
HEAD = 'lm_head.weight'

# Of the norms of a block, by where a block normalises.
_NORMS = {
  'pre': {
    'input_layernorm': 'attention_norm',
    'post_attention_layernorm': 'mlp_norm',
  },
  'post': {
    'post_attention_layernorm': 'attention_post_norm',
    'post_feedforward_layernorm': 'mlp_post_norm',
  },
  'sandwich': {
    'input_layernorm': 'attention_norm',
    'post_attention_layernorm': 'attention_post_norm',
    'pre_feedforward_layernorm': 'mlp_norm',
    'post_feedforward_layernorm': 'mlp_post_norm',
  },
}


@dataclasses.dataclass(frozen=True)
class TensorSpec:
  """One published tensor, and the slice of our parameters that it is.

  Attributes:
    name: In the published checkpoint.
    shape: There.
    path: Keys of our leaf in the tree of parameters.
    layer: Index along the leaf's leading axis; None if it has none.
    our_shape: Of the leaf, without that axis.
    transposed: Whether the two axes there are swapped, after ours are
      flattened to two.
  """

  name: str
  shape: tuple[int, ...]
  path: tuple[str, ...]
  layer: int | None
  our_shape: tuple[int, ...]
  transposed: bool

  def to_ours(self, theirs: Any) -> Any:
    """Returns a NumPy or JAX array of `shape` as one of `our_shape`."""
    self._check(theirs, self.shape)
    return (theirs.T if self.transposed else theirs).reshape(self.our_shape)

  def to_theirs(self, ours: Any) -> Any:
    """Returns a NumPy or JAX array of `our_shape` as one of `shape`."""
    self._check(ours, self.our_shape)
    if self.transposed:
      return ours.reshape(self.shape[::-1]).T
    return ours.reshape(self.shape)

  def _check(self, array: Any, expected: tuple[int, ...]) -> None:
    if tuple(array.shape) != expected:
      raise ValueError(
        f'{self.name}: has shape {tuple(array.shape)}, expected {expected}'
      )


def _block(c: DecoderConfig) -> Iterator[TensorSpec]:
  """Yields the tensors of one block, names and paths within it."""
  D, F, H, K, C = c.d_model, c.d_ff, c.n_heads, c.n_kv_heads, c.head_dim

  def linear(
    name: str,
    path: tuple[str, ...],
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    bias: bool = False,
  ) -> Iterator[TensorSpec]:
    n_in, n_out = math.prod(inputs), math.prod(outputs)
    yield TensorSpec(
      f'{name}.weight',
      (n_out, n_in),
      (*path, 'kernel'),
      None,
      inputs + outputs,
      True,
    )
    if bias:
      yield TensorSpec(
        f'{name}.bias', (n_out,), (*path, 'bias'), None, outputs, False
      )

  def norm(
    name: str, path: tuple[str, ...], shape: tuple[int, ...]
  ) -> TensorSpec:
    flat = (math.prod(shape),)
    return TensorSpec(
      f'{name}.weight', flat, (*path, 'scale'), None, shape, False
    )

  for name, heads in (('q', H), ('k', K), ('v', K)):
    yield from linear(
      f'self_attn.{name}_proj',
      ('attention', name),
      (D,),
      (heads, C),
      c.qkv_bias,
    )
  yield from linear('self_attn.o_proj', ('attention', 'out'), (H, C), (D,))
  if c.qk_norm != 'none':
    for name, heads in (('q', H), ('k', K)):
      shape = (C,) if c.qk_norm == 'head' else (heads, C)
      yield norm(f'self_attn.{name}_norm', ('attention', f'{name}_norm'), shape)
  yield from linear('mlp.gate_proj', ('mlp', 'gate'), (D,), (F,))
  yield from linear('mlp.up_proj', ('mlp', 'up'), (D,), (F,))
  yield from linear('mlp.down_proj', ('mlp', 'down'), (F,), (D,))
  for name, ours in _NORMS[c.norm].items():
    yield norm(name, (ours,), (D,))


def tensors(family_name: str, config: DecoderConfig) -> tuple[TensorSpec, ...]:
  """Returns every tensor of a model: embedding, layers, norm, head.

  Raises:
    ConfigError: If the family does not compute this architecture.
  """
  writing.check(family_name, config)
  c = config
  V, D = c.vocab_size, c.d_model
  specs = [
    TensorSpec(EMBEDDING, (V, D), ('embedding_VD',), None, (V, D), False)
  ]
  block = tuple(_block(c))
  for n in range(c.n_layers):
    first = n < c.n_grouped_layers
    stack = 'layers' if first else 'last_layers'
    specs += [
      dataclasses.replace(
        spec,
        name=f'model.layers.{n}.{spec.name}',
        path=(stack, *spec.path),
        layer=n if first else n - c.n_grouped_layers,
      )
      for spec in block
    ]
  specs.append(
    TensorSpec(
      'model.norm.weight', (D,), ('final_norm', 'scale'), None, (D,), False
    )
  )
  if not c.tied_embeddings:
    specs.append(
      TensorSpec(HEAD, (V, D), ('untied_head_DV',), None, (D, V), True)
    )
  return tuple(specs)
