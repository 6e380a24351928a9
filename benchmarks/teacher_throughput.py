"""How near a session comes to what its concurrency allows.

  python benchmarks/teacher_throughput.py

A server of its own answers each request after one second, with a document of
several hundred words; the client asks 64 at a time, through the whole of a
session with a store on disk. No client can have more than 64 answers a second;
the ratio to that is what is printed last. The target is 55 answers/s on two
cores, server included. `--stream` asks for the answers in pieces.
"""

import asyncio
import pathlib
import subprocess
import sys
import tempfile
import time

from absl import app
from absl import flags

from data_gen import teachers
from msm_jax import log

COUNT = flags.DEFINE_integer('count', 64 * 30, 'requests')
CONCURRENCY = flags.DEFINE_integer('concurrency', 64, 'requests in flight')
LATENCY = flags.DEFINE_float('latency', 1.0, 'seconds for each answer')
STREAM = flags.DEFINE_bool('stream', False, 'ask for answers in pieces')
SERVER = pathlib.Path(__file__).parent.parent / 'tests' / 'teacher_server.py'


def requests() -> list[teachers.Request]:
  """Prompts as long as those of a pipeline."""
  task = 'Write a document about this idea, and give its reasons. ' * 40
  return [
    teachers.Request(
      'stand-in',
      (teachers.Message('user', f'{task} Idea {i}.'),),
      teachers.Sampling(max_tokens=2000),
    )
    for i in range(COUNT.value)
  ]


async def measure(url: str, store: pathlib.Path) -> tuple[float, float]:
  """Returns answers a second: asked for, and then from the store."""
  config = teachers.TeacherConfig(
    kind='openai',
    model='stand-in',
    base_url=url,
    api_key_env=None,
    concurrency=CONCURRENCY.value,
    extra={'stream': STREAM.value},
  )
  rates = []
  for _ in range(2):
    async with teachers.open_session(config, store) as session:
      begin = time.perf_counter()
      await asyncio.gather(*map(session.ask, requests()))
      rates.append(COUNT.value / (time.perf_counter() - begin))
  return rates[0], rates[1]


def main(argv: list[str]) -> None:
  del argv
  log.configure()  # Or the client writes a line for each request.
  with (
    tempfile.TemporaryDirectory() as folder,
    subprocess.Popen(
      [sys.executable, str(SERVER), f'--latency={LATENCY.value}'],
      stdout=subprocess.PIPE,
      text=True,
    ) as server,
  ):
    try:
      assert server.stdout is not None
      port = server.stdout.readline().split()[1]
      begin = time.process_time()
      asked, stored = asyncio.run(
        measure(
          f'http://127.0.0.1:{port}/v1', pathlib.Path(folder) / 'store.db'
        )
      )
      busy = time.process_time() - begin
    finally:
      server.kill()
  ideal = CONCURRENCY.value / LATENCY.value
  print(f'{asked:.1f} answers/s of {COUNT.value} asked, {ideal:.0f} possible')
  print(f'{stored:,.0f} answers/s from the store')
  print(f'{1000 * busy / COUNT.value:.2f} ms of processor time a request')
  print(f'answers/s over the possible: {asked / ideal:.3f}')


if __name__ == '__main__':
  app.run(main)
