"""A process reads the rows of its own devices, and places them there."""

import jax
import numpy as np
import pytest

from msm_jax import models
from msm_jax.training import loading
from msm_jax.training import step as step_lib

B, T = 8, 4


class _Sharding:
  """Of a process whose devices have some rows of a batch."""

  def __init__(self, *rows):
    self._rows = rows

  def addressable_devices_indices_map(self, shape):
    assert shape == (B, T)
    return {i: (rows, slice(None)) for i, rows in enumerate(self._rows)}


class _Mixture:
  """Rows that say their number; remembers which were read."""

  batch_size, seq_len = B, T

  def __init__(self):
    self.read = []

  def batch(self, update, only):
    self.read.append((update, list(only)))
    rows = np.asarray(only)[:, None] + 100 * update + np.zeros((1, T))
    return {k: rows.astype(d) for k, d in step_lib.BATCH_DTYPES.items()}


@pytest.mark.parametrize(
  ('parts', 'expected'),
  [
    ((slice(0, 4), slice(4, 8)), range(8)),
    # Two devices have the same rows, as where a sequence is cut.
    ((slice(2, 4), slice(6, 8), slice(2, 4)), [2, 3, 6, 7]),
    ((slice(None),), range(8)),
  ],
)
def test_the_rows_of_a_process_are_those_of_its_devices(parts, expected):
  assert loading.rows_here(_Sharding(*parts), (B, T)) == list(expected)


def test_only_those_rows_are_read(monkeypatch):
  sharding = _Sharding(slice(6, 8), slice(2, 4))
  monkeypatch.setattr(step_lib, 'batch_sharding', lambda layout: sharding)
  placed = []

  def make(shape, where, part):
    assert (shape, where) == ((B, T), sharding)
    every = sharding.addressable_devices_indices_map(shape).values()
    placed.append([part(index)[:, 0].tolist() for index in every])

  monkeypatch.setattr(jax, 'make_array_from_callback', make)
  mixture = _Mixture()
  loading.batches(mixture, models.ALONE)(3)
  assert mixture.read == [(3, [2, 3, 6, 7])]
  assert placed == [[[306, 307], [302, 303]]] * len(step_lib.BATCH_DTYPES)
