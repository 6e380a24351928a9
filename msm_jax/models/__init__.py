"""One decoder, as a pure function of a plain dict of parameters."""

from msm_jax.models.attention import Scores
from msm_jax.models.config import DecoderConfig
from msm_jax.models.config import LayerConfig
from msm_jax.models.config import RopeConfig
from msm_jax.models.decoder import Decoder
from msm_jax.models.decoder import Model
from msm_jax.models.decoder import Params
from msm_jax.models.kernels import check_layout
from msm_jax.models.kernels import kernel
from msm_jax.models.kernels import KERNELS
from msm_jax.models.layout import ALONE
from msm_jax.models.layout import balanced_order
from msm_jax.models.layout import FSDP
from msm_jax.models.layout import Layout
from msm_jax.models.layout import make_mesh
from msm_jax.models.layout import MeshConfig
from msm_jax.models.layout import ROWS
from msm_jax.models.logprobs import sequence_logprobs
from msm_jax.models.logprobs import split_positions
from msm_jax.models.logprobs import target_logprobs
from msm_jax.models.precision import wide
from msm_jax.models.remat import REMAT_POLICIES
from msm_jax.models.sampling import Sample
from msm_jax.models.sampling import sample
from msm_jax.models.sampling import Sampler
from msm_jax.models.sampling import SamplingConfig

__all__ = [
  'ALONE',
  'FSDP',
  'KERNELS',
  'REMAT_POLICIES',
  'ROWS',
  'Decoder',
  'DecoderConfig',
  'LayerConfig',
  'Layout',
  'MeshConfig',
  'Model',
  'Params',
  'RopeConfig',
  'Sample',
  'Sampler',
  'SamplingConfig',
  'Scores',
  'balanced_order',
  'check_layout',
  'kernel',
  'make_mesh',
  'sample',
  'sequence_logprobs',
  'split_positions',
  'target_logprobs',
  'wide',
]
