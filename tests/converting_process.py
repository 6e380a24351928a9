"""Converts in a process of its own, which says its peak memory or dies.

    python tests/converting_process.py [--die=N] --from=… --to=…

Prints, last, `VmHWM` in bytes. With `--die` it is killed by SIGKILL when it
asks for its tensor number N, the tensors before that being on their way; with
`--die_uploading` when it begins to copy its file number N to a bucket.
"""

import functools
import inspect
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import fsspec

from msm_jax import convert
from msm_jax.conversion import stacks
from msm_jax.conversion import tensor_files


def die_at(n: int, *methods: tuple[type, str]) -> None:
  """SIGKILL at the n-th call of any of these methods."""
  left = n

  def step():
    nonlocal left
    left -= 1
    if left == 0:
      os.kill(os.getpid(), signal.SIGKILL)

  def counted(method):
    @functools.wraps(method)
    def call(*args):
      step()
      return method(*args)

    @functools.wraps(method)
    async def call_async(*args, **kwargs):
      step()
      return await method(*args, **kwargs)

    return call_async if inspect.iscoroutinefunction(method) else call

  for owner, name in methods:
    setattr(owner, name, counted(getattr(owner, name)))


def peak_bytes() -> int:
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  (line,) = [x for x in lines if x.startswith('VmHWM')]
  return int(line.split()[1]) * 1024


def main(arguments: list[str]) -> None:
  flags = dict(a.removeprefix('--').split('=', 1) for a in arguments)
  if 'die' in flags:
    readers = (tensor_files.Reader, stacks.StackReader)
    die_at(int(flags['die']), *((reader, 'read') for reader in readers))
  if 'die_uploading' in flags:
    die_at(
      int(flags['die_uploading']),
      (fsspec.get_filesystem_class('gs'), 'upload'),
    )
  convert.convert(
    flags['from'],
    flags['to'],
    max_shard_size=flags.get('max_shard_size', convert.DEFAULT_SHARD_SIZE),
  )
  print(peak_bytes())


if __name__ == '__main__':
  main(sys.argv[1:])
