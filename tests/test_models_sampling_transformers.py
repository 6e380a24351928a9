"""Whole samples against `generate` of transformers."""

import hf_models
import numpy as np
import pytest

from msm_jax import models
from msm_jax.models import huggingface

# One with windows, two kinds of positions and a pattern that ends early is
# compared always; step by step, all are compared in test_models_sampling.
ALWAYS = 'gemma3'
FAMILIES = [
  pytest.param(f, marks=[] if f == ALWAYS else [pytest.mark.slow])
  for f in sorted(huggingface.FAMILIES)
]


def _generated(model, prompts, n):
  torch = hf_models.import_torch()
  T = max(map(len, prompts))
  tokens, mask = np.zeros((2, len(prompts), T), np.int64)
  for b, prompt in enumerate(prompts):
    tokens[b, T - len(prompt) :] = prompt
    mask[b, T - len(prompt) :] = 1
  out = model.generate(
    torch.from_numpy(tokens),
    attention_mask=torch.from_numpy(mask),
    max_new_tokens=n,
    do_sample=False,
    return_dict_in_generate=True,
    output_logits=True,
  )
  logits = torch.stack(out.logits, dim=1).log_softmax(-1).numpy()
  return out.sequences[:, T:].numpy(), logits


@pytest.mark.parametrize('family', FAMILIES)
def test_greedy_samples_are_those_of_generate(family):
  hf_models.import_torch()
  c = hf_models.config(family)
  params = hf_models.random_params(c)
  rng = np.random.default_rng(0)
  prompts = [rng.integers(0, c.vocab_size, n).tolist() for n in (3, 14, 1, 9)]
  tokens, logp = _generated(
    hf_models.torch_model(family, c, params), prompts, 30
  )
  samples = models.sample(
    models.Model(c),
    params,
    prompts,
    models.SamplingConfig(max_new_tokens=30, temperature=0),
  )
  for sample, theirs, logp_NV in zip(samples, tokens, logp, strict=True):
    assert sample.tokens == theirs.tolist()
    expected = logp_NV[np.arange(30), theirs]
    np.testing.assert_allclose(sample.logprobs, expected, rtol=0, atol=1e-4)
