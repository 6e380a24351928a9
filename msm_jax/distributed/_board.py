"""A board on which every process writes a line that all can read.

It is the key-value store of JAX's coordinator, in process 0. Its client is not
public; Orbax uses it as well.
"""

from collections.abc import Mapping
import json
from typing import Any
from typing import Protocol

import jax
from jax._src import distributed as jax_distributed

_FOLDER = 'msm_jax/board'


class BoardError(RuntimeError):
  """Process 0, which holds the board, cannot be reached."""


class Board(Protocol):
  """Lines of JSON, one for each process."""

  def write(self, line: Mapping[str, Any]) -> None: ...

  def read(self) -> dict[int, dict[str, Any]]: ...


class _Alone:
  """A board that nobody else reads."""

  def __init__(self):
    self._line: dict[str, Any] = {}

  def write(self, line: Mapping[str, Any]) -> None:
    self._line = dict(line)

  def read(self) -> dict[int, dict[str, Any]]:
    return {0: self._line} if self._line else {}


class _Shared:
  """The board of several processes."""

  def __init__(self, client: Any, index: int):
    self._client, self._key = client, f'{_FOLDER}/{index}'

  def write(self, line: Mapping[str, Any]) -> None:
    """Replaces this process's line.

    Raises:
      BoardError: If process 0 cannot be reached.
    """
    try:
      self._client.key_value_set(
        self._key, json.dumps(line), allow_overwrite=True
      )
    except jax.errors.JaxRuntimeError as e:
      raise BoardError(str(e)) from e

  def read(self) -> dict[int, dict[str, Any]]:
    """Returns all lines, by process.

    Raises:
      BoardError: If process 0 cannot be reached.
    """
    try:
      found = self._client.key_value_dir_get(_FOLDER)
    except jax.errors.JaxRuntimeError as e:
      raise BoardError(str(e)) from e
    return {int(k.rsplit('/', 1)[1]): json.loads(v) for k, v in found}


def open_board() -> Board:
  """Returns the board of all processes."""
  if jax.process_count() == 1:
    return _Alone()
  return _Shared(jax_distributed.global_state.client, jax.process_index())
