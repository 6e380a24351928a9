"""Joining the other processes of a run, and leaving them."""

from collections.abc import Mapping
import glob
import importlib.util
import logging
import os
import sys
import threading
from typing import Any

from absl import flags
import jax

from msm_jax.distributed import _roll_call
from msm_jax.log import logger

StartError = _roll_call.StartError

# JAX ends the process itself after its own limit, so ours comes first.
_MARGIN = 30.0


def define_flags() -> None:
  """Defines the flags of an entry point that several processes may run."""
  flags.DEFINE_string(
    'coordinator',
    None,
    'HOST:PORT of process 0. Not needed on TPUs, which find each other.',
  )
  flags.DEFINE_integer('num_processes', 1, 'Of the run.', lower_bound=1)
  flags.DEFINE_integer('process_id', 0, 'Which of them this is.', lower_bound=0)
  flags.DEFINE_float(
    'join_timeout',
    300.0,
    'Seconds to wait for all processes at the start.',
    lower_bound=1.0,
  )


def join_by_flags(alike: Mapping[str, str]) -> None:
  """Joins the processes that the flags, or the TPU, say there are.

  Args:
    alike: What must be the same in all, by what errors call it.

  Raises:
    StartError: If they do not come together, or the flags are wrong.
  """
  f = flags.FLAGS
  if f.coordinator is not None or f.num_processes > 1 or f.process_id:
    if f.coordinator is None:
      raise StartError(
        f'--num_processes={f.num_processes}: needs --coordinator=HOST:PORT, '
        'the address of process 0'
      )
    if f.process_id >= f.num_processes:
      raise StartError(
        f'--process_id={f.process_id}: expected less than --num_processes='
        f'{f.num_processes}'
      )
    join(
      f.coordinator,
      f.num_processes,
      f.process_id,
      timeout=f.join_timeout,
      alike=alike,
    )
  elif _is_tpu_vm():
    _initialize(f.join_timeout)
  if jax.process_index() > 0:
    # What everybody would say, process 0 says.
    logger.setLevel(logging.WARNING)
  for handler in logger.handlers:
    if jax.process_count() > 1 and jax.process_index() > 0:
      handler.setFormatter(
        logging.Formatter(f'process {jax.process_index()}: %(message)s')
      )


def join(
  coordinator: str,
  n_processes: int,
  index: int,
  *,
  timeout: float,
  alike: Mapping[str, str],
) -> None:
  """Joins the other processes; call it before JAX is used.

  Args:
    coordinator: `HOST:PORT` of process 0.
    n_processes: How many there are.
    index: Which of them this is.
    timeout: Seconds to wait.
    alike: What must be the same in all, by what errors call it.

  Raises:
    StartError: Naming those that did not come, or are of another run.
  """
  if n_processes == 1:
    return
  _roll_call.call(
    coordinator,
    n_processes,
    index,
    timeout=timeout,
    alike={'version of JAX': jax.__version__, **alike},
  )
  _initialize(
    timeout,
    coordinator_address=coordinator,
    num_processes=n_processes,
    process_id=index,
  )


def _is_tpu_vm() -> bool:
  """Whether there are TPUs here that JAX is to use."""
  platforms = os.environ.get('JAX_PLATFORMS', '')
  return (
    (not platforms or 'tpu' in platforms)
    and bool(glob.glob('/dev/accel*') + glob.glob('/dev/vfio/[0-9]*'))
    and importlib.util.find_spec('libtpu') is not None
  )


def _initialize(timeout: float, **where: Any) -> None:
  """Starts `jax.distributed`, and ends the process if that hangs."""

  def give_up() -> None:
    logger.error(
      'the processes of this run have not come together within %g seconds; '
      'look at the logs of the others%s',
      timeout,
      f' (TPU workers: {hosts})' if (hosts := _tpu_hosts()) else '',
    )
    # JAX waits in C++, where no exception arrives.
    _end(1)

  timer = threading.Timer(timeout, give_up)
  timer.daemon = True
  timer.start()
  try:
    jax.distributed.initialize(
      initialization_timeout=int(timeout + _MARGIN), **where
    )
  finally:
    timer.cancel()


def _tpu_hosts() -> str:
  return os.environ.get('TPU_WORKER_HOSTNAMES', '')


def leave(code: int) -> None:
  """Ends this process after a failure that others may not share.

  Where there are several, those that are left would be waited for at exit; so
  this one just ends, and they notice.
  """
  if jax.process_count() == 1:
    sys.exit(code)
  _end(code)


def leave_or_raise(error: Exception) -> None:
  """Raises an unexpected error again, or ends one process of several."""
  if jax.process_count() == 1:
    raise error
  logger.error('process %d has failed', jax.process_index(), exc_info=error)
  _end(1)


def _end(code: int) -> None:
  logging.shutdown()
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)
