"""Model FLOPs and the peak of a device, for model-FLOPs utilisation."""

from msm_jax import models

# Dense bf16 peak FLOP/s of one jax device, from the vendors' data sheets.
# (A v4, v5p or v6e chip is one device.)
_PEAK_BF16 = {
  'TPU v4': 275e12,
  'TPU v5 lite': 197e12,
  'TPU v5e': 197e12,
  'TPU v5': 459e12,
  'TPU v5p': 459e12,
  'TPU v6 lite': 918e12,
  'TPU v6e': 918e12,
  'NVIDIA A100-SXM4-40GB': 312e12,
  'NVIDIA A100-SXM4-80GB': 312e12,
  'NVIDIA H100 80GB HBM3': 989e12,
  'NVIDIA H200': 989e12,
}


def flops_per_token(model: models.Model, seq_len: int) -> float:
  """Returns training FLOPs of a token: 6 per weight, plus causal attention.

  PaLM, arXiv 2204.02311, appendix B, with attention counted as causal: each
  query meets on average half of the sequence, or its window. An untied
  embedding is a lookup and does not count; packed documents, which attend less,
  are not credited. A frozen weight has no gradient of its own, but passes one
  on: 4 FLOPs, not 6.
  """
  c = model.config
  n_trained = model.n_trained()
  n_frozen = model.n_params() - n_trained
  if not c.tied_embeddings:
    lookup = c.vocab_size * c.d_model
    if model.lora is None:
      n_trained -= lookup
    else:
      n_frozen -= lookup
  keys = sum(_mean_keys(c.layer(n).window, seq_len) for n in range(c.n_layers))
  matmuls = 6 * n_trained + 4 * n_frozen
  return matmuls + 12 * c.n_heads * c.head_dim * keys


def _mean_keys(window: int | None, seq_len: int) -> float:
  """Keys that a query meets, the mean over a sequence, to leading order."""
  if window is None or window >= seq_len:
    return seq_len / 2
  return window - window**2 / (2 * seq_len)


def peak_flops(device_kind: str) -> float | None:
  """Returns peak bf16 FLOP/s of a device, or None if it is not known."""
  return _PEAK_BF16.get(device_kind)
