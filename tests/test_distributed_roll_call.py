"""Processes find each other, or say who is missing and what is wrong."""

import contextlib
import json
import socket
import threading

import pytest

from msm_jax.distributed import _roll_call
from msm_jax.distributed import StartError


@pytest.fixture
def port():
  with socket.create_server(('localhost', 0)) as server:
    return server.getsockname()[1]


class _Caller(threading.Thread):
  """A process, as far as the roll call is concerned."""

  def __init__(self, port, n, index, *, timeout=30.0, **alike):
    super().__init__()
    self._args = f'localhost:{port}', n, index
    self._timeout, self._alike = timeout, alike or {'config': 'a'}
    self.error = None
    self.start()

  def run(self):
    try:
      _roll_call.call(*self._args, timeout=self._timeout, alike=self._alike)
    except StartError as e:
      self.error = str(e)


def _call(*callers):
  """Waits for all and returns their errors."""
  for caller in callers:
    caller.join()
  return [caller.error for caller in callers]


def test_all_of_a_run_go_on_together_and_leave_the_port_free(port):
  callers = [_Caller(port, 4, i) for i in (3, 1, 2, 0)]
  assert _call(*callers) == [None] * 4
  with socket.create_server(('localhost', port)):
    pass


def test_those_who_do_not_come_are_named_everywhere(port):
  for error in _call(*(_Caller(port, 5, i, timeout=1.5) for i in (0, 2))):
    assert 'of 5 processes have not come: 1, 3, 4;' in error


def test_without_process_0_its_address_is_named(port, monkeypatch):
  monkeypatch.setattr(_roll_call, '_PATIENCE', 0.5)
  (error,) = _call(_Caller(port, 2, 1, timeout=0.5))
  assert f'process 1 has not found process 0 at localhost:{port}' in error
  assert 'refused' in error


@pytest.mark.parametrize(
  ('others', 'expected'),
  [
    ([(3, 1)], 'process 1 was started with --num_processes=3, process 0 with'),
    ([(2, 2)], 'calls itself number 2 of 2'),
  ],
)
def test_processes_of_another_run_are_refused(port, others, expected):
  callers = [_Caller(port, n, i) for n, i in others]
  for error in _call(_Caller(port, 2, 0), *callers):
    assert expected in error


def test_two_with_one_number_are_refused(port):
  errors = _call(
    _Caller(port, 3, 0, timeout=20), *(_Caller(port, 3, 1) for _ in range(2))
  )
  assert 'two processes were started with --process_id=1' in errors[0]


def test_what_must_be_alike_is_compared(port):
  errors = _call(
    _Caller(port, 2, 0, config='a', jax='1'),
    _Caller(port, 2, 1, config='a', jax='2'),
  )
  for error in errors:
    assert "process 1 has another jax than process 0: '2', not '1'" in error


def test_a_process_that_died_while_it_waited_may_come_again(port):
  first = _Caller(port, 3, 0)
  while True:
    with contextlib.suppress(ConnectionRefusedError):
      dead = socket.create_connection(('localhost', port))
      break
  hello = {'process': 1, 'processes': 3, 'alike': {'config': 'a'}}
  dead.sendall(json.dumps(hello).encode() + b'\n')
  dead.close()
  assert _call(first, _Caller(port, 3, 1), _Caller(port, 3, 2)) == [None] * 3


def test_strangers_are_not_taken_for_processes(port):
  first = _Caller(port, 2, 0)
  for said in (b'GET / HTTP/1.1\r\n\r\n', b'[1]\n', b''):
    while True:
      with contextlib.suppress(ConnectionRefusedError):
        stranger = socket.create_connection(('localhost', port))
        break
    with stranger:
      stranger.sendall(said)
      stranger.shutdown(socket.SHUT_WR)
      assert not stranger.recv(1)
  assert _call(first, _Caller(port, 2, 1)) == [None, None]


def test_a_port_that_is_taken_is_named(port):
  with socket.create_server(('', port)):
    (error,) = _call(_Caller(port, 2, 0))
  assert f'process 0 cannot listen on port {port}' in error


@pytest.mark.parametrize('address', ['localhost', ':80', 'a:b', 'a:0', 'a:1e5'])
def test_what_is_no_address_is_refused(address):
  with pytest.raises(StartError, match='expected HOST:PORT'):
    _roll_call.call(address, 2, 1, timeout=1, alike={})
