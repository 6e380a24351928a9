"""Hashes that stay what they are across NumPy versions and machines."""

import hashlib
from typing import Any

import numpy as np

from msm_jax import storage


def seed_of(*parts: Any) -> int:
  """Returns a seed in [0, 2**32) of any JSON-like values."""
  digest = hashlib.sha256(storage.canonical_json(parts).encode()).digest()
  return int.from_bytes(digest[:4], 'big')


def mix(seed: int, values: np.ndarray) -> np.ndarray:
  """Hashes integers to uint64: SplitMix64 (Steele et al., OOPSLA 2014)."""
  gamma = 0x9E3779B97F4A7C15
  state = np.uint64(seed * gamma % 2**64)
  z = np.asarray(values).astype(np.uint64) + np.uint64(1)
  z = z * np.uint64(gamma) + state
  z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return z ^ (z >> np.uint64(31))


def permutation(n: int, *parts: Any) -> np.ndarray:
  """Returns a permutation of 0 … n−1 that depends on `parts` alone."""
  return np.argsort(mix(seed_of(*parts), np.arange(n)), kind='stable')
