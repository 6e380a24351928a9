"""Small models of every family, and the same ones in `transformers`.

Test files that need torch say `hf_models.import_torch()` first.
"""

import contextlib
import dataclasses
from unittest import mock

import jax
import numpy as np
import pytest

from msm_jax import models
from msm_jax.models import huggingface


def import_torch():
  """Returns torch, on one thread as tests run side by side; or skips."""
  torch = pytest.importorskip(
    'torch',
    reason='parity with transformers needs torch; its build for CPUs is in '
    'requirements/parity.txt, which `make setup` tries to install',
  )
  torch.set_num_threads(1)
  return torch


_BASE = models.DecoderConfig(
  vocab_size=61,
  d_model=32,
  n_layers=3,
  n_heads=4,
  n_kv_heads=2,
  head_dim=12,
  d_ff=40,
  context_length=4096,
  scale_embeddings=False,
  tied_embeddings=False,
)
_GEMMA = {
  'norm': 'sandwich',
  'norm_plus_one': True,
  'scale_embeddings': True,
  'tied_embeddings': True,
  'activation': 'gelu_tanh',
  'query_scale': 20**-0.5,
}


def _layer(theta, *scaling, window=None, **fields):
  rope = models.RopeConfig(theta, *scaling, **fields)
  return models.LayerConfig(window=window, rope=rope)


def config(family, *, window=5, context=16, whole=False):
  """Returns a small model of a family, one and a half patterns deep.

  Args:
    family: A key of `huggingface.FAMILIES`.
    window: Of its sliding layers.
    context: From which RoPE is stretched.
    whole: Whether a pattern is as long as published, instead of two layers.
  """
  yarn = {'scaling': 'yarn', 'factor': 4.0, 'original_length': context}
  # All of its ramp is seen within a few positions and pairs.
  ramp = {'beta_fast': 2.0, 'beta_slow': 0.25, 'truncate': False}
  near = _layer(5e5, window=window)
  changes = {
    'llama': {
      'pattern': (_layer(5e5, 'llama3', 8.0, original_length=context),)
    },
    'qwen2': {'qkv_bias': True, 'pattern': (_layer(1e6, 'linear', 4.0),)},
    'qwen3': {
      'qk_norm': 'head',
      'tied_embeddings': True,
      'pattern': (_layer(1e2, **yarn, **ramp, attention_factor=1.3),),
    },
    'gemma2': {
      'attention_softcap': 3.0,
      'final_softcap': 2.0,
      'pattern': (
        _layer(1e4, 'linear', 2.0, window=window),
        _layer(1e4, 'linear', 2.0),
      ),
      **_GEMMA,
    },
    'gemma3': {
      'qk_norm': 'head',
      'pattern': (_layer(2e4, window=window),) * (5 if whole else 1)
      + (_layer(1e6, 'linear', 8.0),),
      **_GEMMA,
    },
    'olmo2': {'norm': 'post', 'qk_norm': 'full', 'norm_eps': 1e-3},
    'olmo3': {
      'norm': 'post',
      'qk_norm': 'full',
      'pattern': (near,) * (3 if whole else 1) + (_layer(5e5, **yarn),),
    },
    'smollm3': {
      'tied_embeddings': True,
      'pattern': (_layer(5e6),) * (3 if whole else 1)
      + (models.LayerConfig(rope=None),),
    },
    'granite': {
      'scale_embeddings': True,
      'tied_embeddings': True,
      'query_scale': 0.2,
    },
  }
  c = dataclasses.replace(_BASE, **changes[family])
  return dataclasses.replace(c, n_layers=max(3, len(c.pattern) * 3 // 2))


def random_params(c, seed=0):
  """Parameters of which none has its initial value: norms and biases too."""
  rng = np.random.default_rng(seed)

  def draw(path, spec):
    noise = rng.normal(size=spec.shape).astype(np.float32)
    name = path[-1].key
    if name == 'scale':
      return np.float32(not c.norm_plus_one) + 0.3 * noise
    if name == 'bias':
      return 0.3 * noise
    n_inputs = c.d_ff if 'down' in str(path) else c.d_model
    return noise * np.float32(n_inputs**-0.5)

  return jax.tree_util.tree_map_with_path(
    draw, models.Model(c).abstract_params()
  )


def at(tree, spec):
  """Returns the slice of a tree of parameters that a tensor is."""
  for key in spec.path:
    tree = tree[key]
  return np.asarray(tree if spec.layer is None else tree[spec.layer])


def exported(family, c, params):
  """Returns the published tensors by name."""
  return {
    spec.name: np.ascontiguousarray(spec.to_theirs(at(params, spec)))
    for spec in huggingface.tensors(family, c)
  }


def config_json(family, c, **ids):
  tokens = {'bos_token_id': None, 'eos_token_id': None, 'pad_token_id': None}
  return huggingface.write_config(family, c, **tokens | ids, dtype='float32')


def torch_model(family, c, params):
  """Returns the model of `transformers` that our config.json describes."""
  torch = import_torch()
  import transformers

  keys = transformers.AutoConfig.for_model(**config_json(family, c))
  model = transformers.AutoModelForCausalLM.from_config(
    keys, attn_implementation='eager', dtype=torch.float32
  )
  tensors = {
    k: torch.from_numpy(v) for k, v in exported(family, c, params).items()
  }
  missing, unexpected = model.load_state_dict(tensors, strict=False)
  tied = ['lm_head.weight'] if c.tied_embeddings else []
  assert (missing, unexpected) == (tied, []), (missing, unexpected)
  return model.eval()


@contextlib.contextmanager
def float64():
  """Within, models of `transformers` are made and run in float64.

  Throughout: `model.double()` alone leaves angles, norms and softmax in
  float32, which they ask for by name.
  """
  torch = import_torch()
  with (
    mock.patch.object(torch, 'float32', torch.float64),
    mock.patch.object(torch, 'float', torch.float64),
    mock.patch.object(torch.Tensor, 'float', torch.Tensor.double),
  ):
    yield


def torch_logits(model, tokens):
  """Logits `[T, V]` of one row of tokens."""
  torch = import_torch()
  row = torch.from_numpy(np.asarray(tokens, np.int64))[None]
  return model(row).logits[0]


def both_logits(family, c, params, tokens):
  """Logits of one row by `transformers` in float32, and in float64."""
  torch = import_torch()
  with torch.no_grad():
    in_32 = torch_logits(torch_model(family, c, params), tokens).numpy()
    with float64():
      in_64 = torch_logits(torch_model(family, c, params), tokens).numpy()
  assert (in_32.dtype, in_64.dtype) == (np.float32, np.float64)
  return in_32, in_64
