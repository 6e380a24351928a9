"""Published checkpoints: config.json and tensors, theirs and ours.

Reading and writing the files themselves is `msm_jax.convert`'s.
"""

from msm_jax.models.huggingface.families import FAMILIES
from msm_jax.models.huggingface.families import Family
from msm_jax.models.huggingface.locating import locate
from msm_jax.models.huggingface.locating import Located
from msm_jax.models.huggingface.reading import read_config
from msm_jax.models.huggingface.ropes import effective as effective_rope
from msm_jax.models.huggingface.tensors import tensors
from msm_jax.models.huggingface.tensors import TensorSpec
from msm_jax.models.huggingface.writing import DTYPES
from msm_jax.models.huggingface.writing import export_family
from msm_jax.models.huggingface.writing import write_config

__all__ = [
  'DTYPES',
  'FAMILIES',
  'Family',
  'Located',
  'TensorSpec',
  'effective_rope',
  'export_family',
  'locate',
  'read_config',
  'tensors',
  'write_config',
]
