"""Continuations of prompts, drawn token by token with a cache.

    samples = models.sample(
      model, params, prompts, models.SamplingConfig(max_new_tokens=64)
    )

Prompts run through the model once, then one compiled loop draws all tokens. A
program is compiled for each number of rows and length, both rounded up to a few
sizes; temperature, top-p, seed and stops change without compiling again.

What is promised: the noise of a row depends on the seed, the prompt, how many
equal prompts stood before it, and the position alone, bit for bit. So a prompt
gets the same tokens in any batch, at any padding and in any order, unless two
tokens tie within the rounding errors of the logits, which do depend on the
shapes of arrays (about 1e-6 in float32, 1e-2 in bfloat16).
"""

from msm_jax.models.sampling.config import Sample
from msm_jax.models.sampling.config import SamplingConfig
from msm_jax.models.sampling.sampler import sample
from msm_jax.models.sampling.sampler import Sampler

__all__ = ['Sample', 'Sampler', 'SamplingConfig', 'sample']
