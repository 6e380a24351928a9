"""Several processes that are one run: finding each other, and agreeing.

Everything here does the right thing for a process that is alone as well.
"""

from msm_jax.distributed._board import Board
from msm_jax.distributed._board import BoardError
from msm_jax.distributed._board import open_board
from msm_jax.distributed._joining import define_flags
from msm_jax.distributed._joining import join
from msm_jax.distributed._joining import join_by_flags
from msm_jax.distributed._joining import leave
from msm_jax.distributed._joining import leave_or_raise
from msm_jax.distributed._joining import StartError
from msm_jax.distributed._processes import check_alike
from msm_jax.distributed._processes import count
from msm_jax.distributed._processes import from_first
from msm_jax.distributed._processes import gather
from msm_jax.distributed._processes import index
from msm_jax.distributed._processes import is_first
from msm_jax.distributed._processes import meet

__all__ = [
  'Board',
  'BoardError',
  'StartError',
  'check_alike',
  'count',
  'define_flags',
  'from_first',
  'gather',
  'index',
  'is_first',
  'join',
  'join_by_flags',
  'leave',
  'leave_or_raise',
  'meet',
  'open_board',
]
