"""Converts in a process of its own, which says its peak memory or dies.

    python tests/converting_process.py [--die=N] --from=… --to=…

Prints, last, `VmHWM` in bytes. With `--die` it is killed by SIGKILL when it
asks for its tensor number N, the tensors before that being on their way.
"""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from msm_jax import convert
from msm_jax.conversion import stacks
from msm_jax.conversion import tensor_files


def die_at(n: int) -> None:
  """SIGKILL at the n-th tensor that is read, of either side."""
  count = 0

  def counted(read):
    def call(*args):
      nonlocal count
      count += 1
      if count == n:
        os.kill(os.getpid(), signal.SIGKILL)
      return read(*args)

    return call

  tensor_files.Reader.read = counted(tensor_files.Reader.read)
  stacks.StackReader.read = counted(stacks.StackReader.read)


def peak_bytes() -> int:
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  (line,) = [x for x in lines if x.startswith('VmHWM')]
  return int(line.split()[1]) * 1024


def main(arguments: list[str]) -> None:
  flags = dict(a.removeprefix('--').split('=', 1) for a in arguments)
  if 'die' in flags:
    die_at(int(flags['die']))
  convert.convert(
    flags['from'],
    flags['to'],
    max_shard_size=flags.get('max_shard_size', convert.DEFAULT_SHARD_SIZE),
  )
  print(peak_bytes())


if __name__ == '__main__':
  main(sys.argv[1:])
