"""One decoder, as a pure function of a plain dict of parameters."""

from msm_jax.models.attention import blocked_attention
from msm_jax.models.attention import KERNELS
from msm_jax.models.attention import reference_attention
from msm_jax.models.attention import Scores
from msm_jax.models.config import DecoderConfig
from msm_jax.models.config import LayerConfig
from msm_jax.models.config import RopeConfig
from msm_jax.models.decoder import Decoder
from msm_jax.models.decoder import Model
from msm_jax.models.decoder import Params
from msm_jax.models.decoder import REMAT_POLICIES
from msm_jax.models.logprobs import sequence_logprobs
from msm_jax.models.logprobs import split_positions
from msm_jax.models.logprobs import target_logprobs
from msm_jax.models.sampling import Sample
from msm_jax.models.sampling import sample
from msm_jax.models.sampling import Sampler
from msm_jax.models.sampling import SamplingConfig

__all__ = [
  'KERNELS',
  'REMAT_POLICIES',
  'Decoder',
  'DecoderConfig',
  'LayerConfig',
  'Model',
  'Params',
  'RopeConfig',
  'Sample',
  'Sampler',
  'SamplingConfig',
  'Scores',
  'blocked_attention',
  'reference_attention',
  'sample',
  'sequence_logprobs',
  'split_positions',
  'target_logprobs',
]
