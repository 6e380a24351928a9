"""Sources → prepared sequences → mixture → `batch(step)`.

The data state is the step: a source is tokenised and packed once, and what
`Mixture.batch` returns is a pure function of (sources, weights, seed, step).
"""

from msm_jax.data.describe import describe_source
from msm_jax.data.documents import Conversation
from msm_jax.data.documents import detect_kind
from msm_jax.data.documents import Document
from msm_jax.data.documents import read_items
from msm_jax.data.documents import SourceError
from msm_jax.data.inputs import find_files
from msm_jax.data.mixture import Mixture
from msm_jax.data.mixture import RowOrigin
from msm_jax.data.packing import pack
from msm_jax.data.packing import Packing
from msm_jax.data.phases import DataConfig
from msm_jax.data.phases import load_config
from msm_jax.data.phases import mixture_for_phase
from msm_jax.data.phases import phase_seed
from msm_jax.data.prefetch import prefetch
from msm_jax.data.prepared import PreparedSource
from msm_jax.data.preparing import ON_LONG_CONVERSATION
from msm_jax.data.preparing import prepare_source
from msm_jax.data.shares import MixtureReport
from msm_jax.data.shares import SourceShares

__all__ = [
  'ON_LONG_CONVERSATION',
  'Conversation',
  'DataConfig',
  'Document',
  'Mixture',
  'MixtureReport',
  'Packing',
  'PreparedSource',
  'RowOrigin',
  'SourceError',
  'SourceShares',
  'describe_source',
  'detect_kind',
  'find_files',
  'load_config',
  'mixture_for_phase',
  'pack',
  'phase_seed',
  'prefetch',
  'prepare_source',
  'read_items',
]
