"""What a bitwise-equal result depends on besides the config."""

import os
import platform
from typing import Any

import jax
import jaxlib


def _option(name: str) -> Any:
  return getattr(jax.config, name)


def describe() -> dict[str, Any]:
  """Returns versions, flags, devices and core count, as JSON."""
  devices = jax.devices()
  return {
    'jax': jax.__version__,
    'jaxlib': jaxlib.__version__,
    'python': platform.python_version(),
    'machine': platform.machine(),
    'xla_flags': os.environ.get('XLA_FLAGS', ''),
    'matmul_precision': _option('jax_default_matmul_precision'),
    'x64': _option('jax_enable_x64'),
    'device_kind': devices[0].device_kind,
    'n_devices': len(devices),
    'n_processes': jax.process_count(),
    'n_cores': len(os.sched_getaffinity(0)),
  }
