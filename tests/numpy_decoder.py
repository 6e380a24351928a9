"""The decoder again, in float64 NumPy, one token and one head at a time.

Written from the papers' formulas and sharing no code with `msm_jax.models`: an
independent reference, slow on purpose.
"""

import numpy as np


def _rms_norm(x, scale, eps):
  return x / np.sqrt(np.mean(x * x) + eps) * scale


def _rotate(x, position, theta):
  half = len(x) // 2
  out = np.empty_like(x)
  for c in range(half):
    angle = position * theta ** (-c / half)
    sin, cos = np.sin(angle), np.cos(angle)
    out[c] = x[c] * cos - x[c + half] * sin
    out[c + half] = x[c + half] * cos + x[c] * sin
  return out


def _softmax(x):
  e = np.exp(x - x.max())
  return e / e.sum()


def _attention(x_TD, p, c, positions):
  T = len(x_TD)
  out_TD = np.zeros_like(x_TD)
  group = c.n_heads // c.n_kv_heads
  theta = c.pattern[0].rope.theta
  for h in range(c.n_heads):
    k = h // group
    q_TC = [
      _rotate(x @ p['q']['kernel'][:, h], t, theta)
      for x, t in zip(x_TD, positions, strict=True)
    ]
    k_TC = [
      _rotate(x @ p['k']['kernel'][:, k], t, theta)
      for x, t in zip(x_TD, positions, strict=True)
    ]
    v_TC = x_TD @ p['v']['kernel'][:, k]
    for t in range(T):
      scores = np.array([q_TC[t] @ k_TC[s] for s in range(t + 1)])
      weights = _softmax(scores / np.sqrt(c.head_dim))
      out_TD[t] += (weights @ v_TC[: t + 1]) @ p['out']['kernel'][h]
  return out_TD


def _mlp(x, p):
  gate = x @ p['gate']['kernel']
  return (gate / (1 + np.exp(-gate)) * (x @ p['up']['kernel'])) @ p['down'][
    'kernel'
  ]


def logits(params, config, tokens) -> np.ndarray:
  """`[T, V]` float64 logits of one document, positions 0 … T − 1."""
  c = config

  def cast(x):
    if isinstance(x, dict):
      return {k: cast(v) for k, v in x.items()}
    return np.asarray(x, np.float64)

  params = cast(params)

  def layer(tree, n):
    if isinstance(tree, dict):
      return {k: layer(v, n) for k, v in tree.items()}
    return tree[n]

  x_TD = params['embedding_VD'][np.asarray(tokens)] * np.sqrt(c.d_model)
  for n in range(c.n_layers):
    p = layer(params['layers'], n)
    y_TD = np.stack(
      [_rms_norm(x, p['attention_norm']['scale'], c.norm_eps) for x in x_TD]
    )
    x_TD = x_TD + _attention(y_TD, p['attention'], c, range(len(tokens)))
    y_TD = np.stack(
      [_rms_norm(x, p['mlp_norm']['scale'], c.norm_eps) for x in x_TD]
    )
    x_TD = x_TD + np.stack([_mlp(y, p['mlp']) for y in y_TD])
  x_TD = np.stack(
    [_rms_norm(x, params['final_norm']['scale'], c.norm_eps) for x in x_TD]
  )
  if c.tied_embeddings:
    return x_TD @ params['embedding_VD'].T
  return x_TD @ params['untied_head_DV']
