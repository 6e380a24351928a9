"""One decoder: RMSNorm, RoPE, grouped-query attention, gated MLP.

The modules are Flax NNX; `Model` takes one apart once, and from there on it is
a pure function of a plain dict of arrays. The blocks' parameters are stacked
along a leading axis `N` and scanned over, one repetition of the layer pattern
at a time.

Shapes: `B` batch, `T` sequence, `D` model width, `V` vocabulary, `N` layers,
`P` kinds in the pattern, `R` repetitions of it.
"""

from collections.abc import Callable
import functools
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp

from msm_jax.models import attention
from msm_jax.models import kernels
from msm_jax.models import layers
from msm_jax.models import lora as lora_lib
from msm_jax.models import precision
from msm_jax.models import projection
from msm_jax.models import remat
from msm_jax.models.config import DecoderConfig
from msm_jax.models.config import LayerConfig
from msm_jax.models.layout import ALONE
from msm_jax.models.layout import Layout
from msm_jax.models.precision import wide

Params = dict[str, Any]

# Elements of the embedding or the head.
_DRAWN_AT_ONCE = 1 << 23


def scores_of(c: DecoderConfig, kind: LayerConfig) -> attention.Scores:
  """Returns how a layer of this kind makes its attention scores."""
  scale = c.head_dim**-0.5 if c.query_scale is None else c.query_scale
  return attention.Scores(scale, kind.window, c.attention_softcap)


def _vectors(
  key: jax.Array, V: int, D: int, dtype: Any, *, columns: bool = False
) -> jax.Array:
  """Draws a vector for each of the vocabulary: `[V, D]`, or `[D, V]`.

  Where there are many, some rows at a time, as layers are, and for the same
  reason.
  """
  draw = projection.normal(D**-0.5)
  if V * D <= _DRAWN_AT_ONCE:
    return draw(key, (D, V) if columns else (V, D), dtype)
  few = max(_DRAWN_AT_ONCE // D, 1)
  rows = max(n for n in range(1, few + 1) if V % n == 0)
  keys = jax.random.split(key, V // rows)

  def add(i: jax.Array, drawn: jax.Array) -> jax.Array:
    block = draw(keys[i], (D, rows) if columns else (rows, D), dtype)
    return jax.lax.dynamic_update_slice_in_dim(
      drawn, block, i * rows, axis=1 if columns else 0
    )

  # In place: to join blocks would copy all of them.
  nothing = jnp.zeros((D, V) if columns else (V, D), dtype)
  return jax.lax.fori_loop(0, V // rows, add, nothing)


@functools.cache
def _stack(
  c: DecoderConfig, n_layers: int
) -> Callable[[nnx.Rngs], layers.Block]:
  """Returns what makes a block whose parameters have an axis of `n_layers`.

  One layer is drawn at a time: drawing takes several times the memory of what
  is drawn. Kept, so that it is compiled once.
  """

  @nnx.split_rngs(splits=n_layers)
  @nnx.scan(in_axes=0, out_axes=0)
  def make(rngs: nnx.Rngs) -> layers.Block:
    return layers.Block(c, rngs=rngs)

  return make


class Decoder(nnx.Module):
  """Token ids to final hidden states; `head_DV` turns those into logits."""

  def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs):
    c = config
    remat.check(c)
    kernels.check(c.attention)
    precision.check(c)
    dtype = jnp.dtype(c.param_dtype)
    V, D = c.vocab_size, c.d_model
    self.config = c
    self.embedding_VD = nnx.Param(_vectors(rngs.params(), V, D, dtype))
    # A depth that is no multiple of the pattern has a stack of its own for the
    # rest: cutting one stack in two would copy all of it in every step.
    n_first = c.n_grouped_layers
    self.layers = _stack(c, n_first)(rngs) if n_first else None
    n_last = c.n_layers - n_first
    self.last_layers = _stack(c, n_last)(rngs) if n_last else None
    self.final_norm = layers.RMSNorm((D,), c)
    if not c.tied_embeddings:
      self.untied_head_DV = nnx.Param(
        _vectors(rngs.params(), V, D, dtype, columns=True)
      )

  def __call__(
    self,
    tokens_BT: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
    layout: Layout = ALONE,
  ) -> jax.Array:
    """Returns the normalised final hidden states `[B, T, D]`."""
    c = self.config
    attend = kernels.on_mesh(c.attention, layout)

    def mix(kind, q_BTHC, k_BTKC, v_BTKC, state):
      scores = scores_of(c, kind)
      return attend(q_BTHC, k_BTKC, v_BTKC, segment_ids_BT, scores), state

    return self.run(tokens_BT, positions_BT, mix, (None, None), layout)[0]

  def run(
    self,
    tokens_BT: jax.Array,
    positions_BT: jax.Array,
    mix: layers.Mix,
    state: tuple[Any, Any],
    layout: Layout = ALONE,
  ) -> tuple[jax.Array, tuple[Any, Any]]:
    """Runs all layers, with the caller's way of mixing positions.

    Args:
      tokens_BT: int32 ids.
      positions_BT: int32 positions for RoPE.
      mix: See `layers.Mix`.
      state: Of `layers` and of `last_layers`: for each kind in the pattern a
        tree of arrays with a leading axis `R`, or None.
      layout: Where arrays lie.

    Returns:
      The normalised final hidden states `[B, T, D]`, and the new state, of the
      same structure.
    """
    c = self.config
    x_BTD = self.embed(tokens_BT, layout)
    P = len(c.pattern)
    new: list[Any] = []
    for stack, kinds, of_stack in (
      (self.layers, c.pattern, state[0]),
      (self.last_layers, c.pattern[: c.n_layers % P], state[1]),
    ):
      if stack is None:
        new.append(None)
        continue
      x_BTD, of_stack = self._scan(
        stack, kinds, x_BTD, positions_BT, mix, of_stack, layout
      )
      new.append(of_stack)
    return self.final_norm(x_BTD), (new[0], new[1])

  def embed(self, tokens_BT: jax.Array, layout: Layout = ALONE) -> jax.Array:
    """Returns what the first layer reads, `[B, T, D]`."""
    c = self.config
    # Every device looks all tokens up in its part of the width, and then sends
    # rows where they belong: much less than the embedding, or its gradient.
    tokens_RT = layout.constrain(tokens_BT, 'RT')
    x_RTD = self.embedding_VD[...][tokens_RT].astype(c.dtype)
    x_BTD = layout.constrain(layout.constrain(x_RTD, 'RTD'), 'BTD')
    if c.scale_embeddings:
      # Unit variance at the input, as tied heads want a small embedding
      # (Gemma, arXiv 2403.08295).
      x_BTD = x_BTD * c.d_model**0.5
    return x_BTD

  def _scan(
    self,
    stack: layers.Block,
    kinds: tuple[LayerConfig, ...],
    x_BTD: jax.Array,
    positions_BT: jax.Array,
    mix: layers.Mix,
    state: Any,
    layout: Layout,
  ) -> tuple[jax.Array, Any]:
    """Scans over the repetitions of `kinds` in a stack of blocks."""
    c, P = self.config, len(kinds)
    graphdef, stacked = nnx.split(stack)
    grouped = jax.tree.map(
      lambda a: a.reshape(a.shape[0] // P, P, *a.shape[1:]), stacked
    )

    def one_layer(kind, i, x_BTD, params, state):
      # Taken here, so that a backward pass takes it again: what a scan would
      # save of each layer's part is a copy of all parameters.
      of_layer = jax.tree.map(lambda a: a[i], params)
      block = nnx.merge(graphdef, of_layer)
      x_BTD = remat.named(x_BTD, 'block_input')
      x_BTD, state = block(x_BTD, positions_BT, kind, mix, state, layout)
      return layout.constrain(x_BTD, 'BTD'), state

    if c.remat != 'none':
      one_layer = jax.checkpoint(
        one_layer,
        policy=remat.policy(c),
        # A scan keeps one body after the other. Within a body nothing else says
        # that a layer is recomputed only when its gradients arrive, and all of
        # them would be kept at the same time.
        prevent_cse=len(kinds) > 1,
        static_argnums=(0, 1),
      )

    def repetition(x_BTD, xs):
      params, states = xs
      new = []
      for i, kind in enumerate(kinds):
        before = None if states is None else states[i]
        x_BTD, after = one_layer(kind, i, x_BTD, params, before)
        new.append(after)
      return x_BTD, tuple(new)

    return jax.lax.scan(repetition, x_BTD, (grouped, state))

  def head_DV(self) -> jax.Array:
    """The matrix from hidden states to logits, `[D, V]`, in compute dtype."""
    c = self.config
    if c.tied_embeddings:
      return self.embedding_VD[...].T.astype(c.dtype)
    return self.untied_head_DV[...].astype(c.dtype)


class Model:
  """A decoder taken apart: structure here, parameters in the caller's hands.

  Parameters are a plain nested dict of arrays, so that optimizers, shardings
  and checkpoints need to know nothing of Flax.
  """

  def __init__(
    self, config: DecoderConfig, lora: lora_lib.LoRAConfig | None = None
  ):
    """Makes the structure.

    Args:
      config: Of the decoder.
      lora: Which projections have adapters, and how the rest is kept.

    Raises:
      ConfigError: If `lora.targets` match nothing.
    """
    self.config, self.lora = config, lora

    def make(lora: lora_lib.LoRAConfig | None) -> Decoder:
      decoder = Decoder(config, rngs=nnx.Rngs(0))
      if lora is not None:
        lora_lib.install(decoder, lora, config.param_dtype)
      return decoder

    abstract = nnx.eval_shape(lambda: make(None))
    self.sites = lora_lib.find_sites(abstract)
    self._n_base = _size(nnx.state(abstract, nnx.Param))
    if lora is not None:
      lora_lib.targets(lora, self.sites)
      abstract = nnx.eval_shape(lambda: make(lora))
    self._graphdef, self._abstract_state = nnx.split(abstract, nnx.Param)

  def __eq__(self, other: object) -> bool:
    return isinstance(other, Model) and (self.config, self.lora) == (
      other.config,
      other.lora,
    )

  def __hash__(self) -> int:
    return hash((self.config, self.lora))

  def init(self, key: jax.Array) -> Params:
    """Returns new parameters; pure and jittable.

    With adapters they are those of the decoder without, from the same key, and
    new adapters, which change nothing yet.
    """
    decoder = Decoder(self.config, rngs=nnx.Rngs(params=key))
    params = nnx.to_pure_dict(nnx.state(decoder, nnx.Param))
    return lora_lib.adapt(
      self.lora,
      self.config.param_dtype,
      self.sites,
      params,
      jax.random.fold_in(key, 1),
    )

  def abstract_params(self) -> Params:
    """Returns the tree of `jax.ShapeDtypeStruct` of the parameters."""
    return nnx.to_pure_dict(self._abstract_state)

  def bind(self, params: Params) -> Decoder:
    """Returns the module with these parameters; cheap, inside a trace only."""
    state = jax.tree.map(lambda x: x, self._abstract_state)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(self._graphdef, state)

  def hidden(
    self,
    params: Params,
    tokens_BT: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
    layout: Layout = ALONE,
  ) -> tuple[jax.Array, jax.Array]:
    """Returns final hidden states `[B, T, D]` and the head `[D, V]`.

    Logits are their product, soft-capped by `config.final_softcap`.
    """
    decoder = self.bind(params)
    x_BTD = decoder(tokens_BT, segment_ids_BT, positions_BT, layout)
    return x_BTD, decoder.head_DV()

  def logits(
    self,
    params: Params,
    tokens_BT: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
  ) -> jax.Array:
    """Returns logits `[B, T, V]` in float32; for sampling and tests.

    Training never builds them: see `msm_jax.training.loss`.
    """
    x_BTD, head_DV = self.hidden(
      params, tokens_BT, segment_ids_BT, positions_BT
    )
    return project_logits(x_BTD, head_DV, self.config.final_softcap)

  def n_params(self) -> int:
    """Number of parameters, adapters included; a tied head counts once."""
    return self._n_base + (self.n_trained() if self.lora else 0)

  def n_trained(self) -> int:
    """Number of parameters that are trained: all, or those of adapters."""
    return _size(lora_lib.split(self.abstract_params())[0])


def _size(tree: Any) -> int:
  return sum(x.size for x in jax.tree.leaves(tree))


def project_logits(
  x_BTD: jax.Array, head_DV: jax.Array, softcap: float | None
) -> jax.Array:
  """Returns the logits `[B, T, V]` of hidden states, `wide`."""
  logits_BTV = jnp.einsum(
    'BTD,DV->BTV', x_BTD, head_DV, preferred_element_type=wide(x_BTD)
  )
  return attention.softcapped(logits_BTV, softcap)
