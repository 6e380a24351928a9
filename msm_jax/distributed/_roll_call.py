"""Who is there, before JAX is told: names those who are missing.

JAX's own start ends a process that waits in vain with a C++ abort that says
nobody's name. So all say hello to process 0 first, on the port that JAX's
coordinator will have: one line of JSON each way.
"""

from collections.abc import Mapping
import contextlib
import json
import select
import socket
import time
from typing import Any

_RETRY_SECONDS = 0.2
_HELLO_SECONDS = 5.0
# So much longer do others wait than process 0, whose message is better.
_PATIENCE = 5.0


class StartError(RuntimeError):
  """The processes of a run did not come together."""


def split_address(address: str) -> tuple[str, int]:
  """Splits `HOST:PORT`.

  Raises:
    StartError: If it is not of that form.
  """
  host, _, port = address.rpartition(':')
  if not host or not port.isdecimal() or not 0 < int(port) < 65536:
    raise StartError(f'--coordinator={address}: expected HOST:PORT')
  return host.strip('[]'), int(port)


def call(
  address: str,
  n_processes: int,
  index: int,
  *,
  timeout: float,
  alike: Mapping[str, str],
) -> None:
  """Returns when all processes are there, and are of the same run.

  Args:
    address: `HOST:PORT` of process 0.
    n_processes: How many there are.
    index: Which of them this is.
    timeout: Seconds to wait.
    alike: What must be the same in all, by what it is called in errors.

  Raises:
    StartError: Naming the processes that did not come, or are others.
  """
  host, port = split_address(address)
  hello = {'process': index, 'processes': n_processes, 'alike': dict(alike)}
  deadline = time.monotonic() + timeout
  if index == 0:
    _listen(port, hello, deadline, timeout)
  else:
    _report(host, port, hello, deadline + _PATIENCE, timeout)


def _send(connection: socket.socket, message: Mapping[str, Any]) -> None:
  connection.sendall(json.dumps(message).encode() + b'\n')


def _receive(connection: socket.socket) -> dict[str, Any] | None:
  """Returns a line of JSON, or None if something else came, or nothing."""
  with connection.makefile('rb') as file:
    try:
      message = json.loads(file.readline(1 << 16))
    except ValueError:
      return None
  return message if isinstance(message, dict) else None


def _bind(port: int) -> socket.socket:
  try:
    if socket.has_dualstack_ipv6():
      return socket.create_server(
        ('', port), family=socket.AF_INET6, dualstack_ipv6=True
      )
    return socket.create_server(('', port))
  except OSError as e:
    raise StartError(
      f'--coordinator: process 0 cannot listen on port {port} ({e}); is '
      'another run there? Choose another port'
    ) from e


def _has_gone(connection: socket.socket) -> bool:
  """Whether the other side has closed."""
  ready, _, _ = select.select([connection], [], [], 0)
  if not ready:
    return False
  try:
    return not connection.recv(1, socket.MSG_PEEK)
  except OSError:
    return True


def _problem(
  hello: Mapping[str, Any], ours: Mapping[str, Any], taken: bool
) -> str | None:
  """Returns why a process cannot be one of ours, or None."""
  index, n = hello.get('process'), ours['processes']
  if hello.get('processes') != n:
    return (
      f'process {index} was started with --num_processes='
      f'{hello.get("processes")}, process 0 with {n}'
    )
  if not isinstance(index, int) or not 0 < index < n:
    return f'a process calls itself number {index} of {n}'
  if taken:
    return f'two processes were started with --process_id={index}'
  theirs = hello.get('alike', {})
  for key, value in ours['alike'].items():
    if theirs.get(key) != value:
      return (
        f'process {index} has another {key} than process 0: '
        f'{theirs.get(key)!r}, not {value!r}'
      )
  return None


def _listen(
  port: int, ours: Mapping[str, Any], deadline: float, timeout: float
) -> None:
  """Process 0: waits for all others, and tells them how it went."""
  n = ours['processes']
  present: dict[int, socket.socket] = {}
  waiting: list[socket.socket] = []
  with contextlib.ExitStack() as stack:
    listener = stack.enter_context(_bind(port))
    problem = None
    while problem is None and len(present) < n - 1:
      left = deadline - time.monotonic()
      present = {i: c for i, c in present.items() if not _has_gone(c)}
      if left <= 0:
        missing = [i for i in range(1, n) if i not in present]
        problem = (
          f'after {timeout:g} seconds these of {n} processes have not come: '
          f'{", ".join(map(str, missing))}; look at their logs, and whether '
          'they can reach process 0'
        )
        break
      listener.settimeout(min(left, 1.0))
      try:
        connection, _ = listener.accept()
      except TimeoutError:
        continue
      stack.callback(connection.close)
      connection.settimeout(_HELLO_SECONDS)
      try:
        hello = _receive(connection)
      except OSError:
        hello = None
      if hello is None:
        connection.close()  # Somebody who scans ports.
        continue
      waiting.append(connection)
      taken = present.get(hello.get('process', -1))
      problem = _problem(
        hello, ours, taken is not None and not _has_gone(taken)
      )
      present[hello.get('process', -1)] = connection
    for connection in waiting:
      # Who has gone meanwhile is missed by JAX.
      with contextlib.suppress(OSError):
        _send(connection, {'problem': problem})
    if problem is not None:
      raise StartError(problem)
    # The others close first, so that the port is free at once.
    for connection in present.values():
      with contextlib.suppress(OSError):
        connection.recv(1)


def _report(
  host: str,
  port: int,
  hello: Mapping[str, Any],
  deadline: float,
  timeout: float,
) -> None:
  """Any other process: says hello until process 0 answers."""
  why: Exception | str = 'it does not answer'
  while (left := deadline - time.monotonic()) > 0:
    try:
      with socket.create_connection((host, port), min(left, 5.0)) as connection:
        _send(connection, hello)
        connection.settimeout(max(deadline - time.monotonic(), 0.1))
        answer = _receive(connection)
    except OSError as e:
      why = e
    else:
      if answer is not None:
        if (problem := answer.get('problem')) is not None:
          raise StartError(problem)
        return
      why = 'it closed the connection'
    time.sleep(_RETRY_SECONDS)
  raise StartError(
    f'process {hello["process"]} has not found process 0 at {host}:{port} '
    f'within {timeout:g} seconds ({why}); look at the log of process 0, and '
    'whether that address and port can be reached from here'
  )
