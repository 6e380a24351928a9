"""One decoder, as a pure function of a plain dict of parameters."""

from msm_jax.models.attention import KERNELS
from msm_jax.models.attention import reference_attention
from msm_jax.models.config import DecoderConfig
from msm_jax.models.decoder import Decoder
from msm_jax.models.decoder import Model
from msm_jax.models.decoder import Params
from msm_jax.models.decoder import REMAT_POLICIES

__all__ = [
  'KERNELS',
  'REMAT_POLICIES',
  'Decoder',
  'DecoderConfig',
  'Model',
  'Params',
  'reference_attention',
]
