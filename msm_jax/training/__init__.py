"""Loss, optimizer, step, phases, checkpoints, and the loop over them."""

from msm_jax.training.checkpoints import CheckpointError
from msm_jax.training.checkpoints import Checkpoints
from msm_jax.training.config import load
from msm_jax.training.config import PhaseConfig
from msm_jax.training.config import RunConfig
from msm_jax.training.guard import TrainingDivergedError
from msm_jax.training.identity import MismatchError
from msm_jax.training.loop import train
from msm_jax.training.loss import chunked_cross_entropy
from msm_jax.training.preemption import EXIT_CODE
from msm_jax.training.preemption import Preempted
from msm_jax.training.result import Result
from msm_jax.training.watch import PeerLostError

__all__ = [
  'EXIT_CODE',
  'CheckpointError',
  'Checkpoints',
  'MismatchError',
  'PeerLostError',
  'PhaseConfig',
  'Preempted',
  'Result',
  'RunConfig',
  'TrainingDivergedError',
  'chunked_cross_entropy',
  'load',
  'train',
]
