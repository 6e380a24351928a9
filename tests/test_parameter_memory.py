"""Parameters in shards: the memory of the host that they are made on."""

import re
import subprocess
import sys

import processes
import pytest


@pytest.fixture(scope='module')
def ratios():
  """`peak / parameters` of making and of restoring 0.5 GB on eight devices."""
  done = subprocess.run(
    [
      *(sys.executable, 'benchmarks/parameter_memory.py'),
      *('--scale=8', '--layers=32'),
    ],
    cwd=processes.ROOT,
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  found = re.findall(
    r'^(\w+): .*; peak / parameters ([\d.]+)', done.stdout, re.M
  )
  return {what: float(ratio) for what, ratio in found}


# Temporaries of what is being drawn; parts that are on their way from the disk,
# which are no more for a larger model. A second copy would be 2 without those.
@pytest.mark.slow
@pytest.mark.parametrize('what, bound', [('init', 1.6), ('restore', 1.65)])
def test_eight_devices_never_hold_the_parameters_twice(ratios, what, bound):
  assert 1.0 <= ratios[what] < bound
