"""Which process this is, and what all of them agree on."""

from collections.abc import Mapping
import itertools
import json
from typing import Any

import jax
from jax._src import distributed as jax_distributed
from jax.experimental import multihost_utils
import numpy as np

from msm_jax import schema


def count() -> int:
  """Returns how many processes the run has."""
  return jax.process_count()


def index() -> int:
  """Returns which of them this is."""
  return jax.process_index()


def is_first() -> bool:
  """Whether this is the process that logs and publishes."""
  return jax.process_index() == 0


_MEETINGS = itertools.count()
_MEETING_SECONDS = 3600


def meet() -> None:
  """Returns when all processes have come here; all have to, equally often.

  To be called before devices exchange something for the first time: Gloo, which
  does it between CPUs, waits for 30 seconds only. This is JAX's coordinator's
  barrier, which is not public; Orbax uses it as well.
  """
  if count() > 1:
    client: Any = jax_distributed.global_state.client
    client.wait_at_barrier(
      f'msm_jax/meeting/{next(_MEETINGS)}', 1000 * _MEETING_SECONDS
    )


def from_first(number: int) -> int:
  """Returns the number that process 0 has; all have to ask."""
  if count() == 1:
    return number
  meet()
  return int(multihost_utils.broadcast_one_to_all(np.int64(number)))


def gather(data: bytes) -> list[bytes]:
  """Returns what each process has, in their order; all have to ask."""
  if count() == 1:
    return [data]
  meet()
  sizes = multihost_utils.process_allgather(np.int32(len(data)))
  padded = np.zeros(int(sizes.max()), np.uint8)
  padded[: len(data)] = np.frombuffer(data, np.uint8)
  rows = multihost_utils.process_allgather(padded)
  return [bytes(row[:n]) for row, n in zip(rows, sizes.tolist(), strict=True)]


def check_alike(values: Mapping[str, Any]) -> None:
  """Checks that all processes have the same; all have to ask.

  Args:
    values: JSON.

  Raises:
    ConfigError: In all processes, naming the first that differs from process
      0, and all keys in which it does.
  """
  everybody = gather(json.dumps(values, sort_keys=True).encode())
  for i, other in enumerate(everybody):
    if other != everybody[0]:
      found = schema.differences(
        json.loads(other), json.loads(everybody[0]), 'run'
      )
      raise schema.ConfigError(
        f'process {i} does not do the same as process 0; start all with the '
        'same command:\n'
        + '\n'.join(f'  {k}: there {a!r}, here {b!r}' for k, a, b in found)
      )
