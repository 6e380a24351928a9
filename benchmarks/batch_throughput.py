"""How fast `prepare` and `batch(step)` are, and whether the step matters.

  taskset -c 0 python benchmarks/batch_throughput.py

Prepares three synthetic sources at L = 4096 on the local disk (documents,
replayed web text, chats) and draws batches of a mixture of them, on one core.

A token delivered is a position of `batch(step)` with all that training needs
there: `tokens`, `targets`, `segment_ids`, `positions` and `loss_weights`, 20
bytes as int32 and float32, read from records on the disk, decompressed, of rows
in shuffled order. The bar is 8 million of them a second and core. Files were
just written, so the operating system has them in memory, as it has those of a
cache that was just filled. The best of several passes counts, since other work
on the machine slows the rest; beside it is the rate by CPU seconds of all
threads.

The last line is the time to the first batch at step 1,000,000 / at step 0 (and
at the nine that follow), each in a fresh mixture, which a restart after a
million steps pays. The ratio is near 1 where nothing is replayed. Numbers
compare runs on one machine, not machines.
"""

from collections.abc import Callable
from collections.abc import Sequence
import json
import os
import pathlib
import random
import tempfile
import time

from absl import app
import numpy as np

from msm_jax import data
from msm_jax import tokenizers
from msm_jax.data import packing

SEQ_LEN = 4096
BATCH_SIZE = 32
TOKENS = {'documents': 4_000_000, 'replay': 6_000_000, 'chats': 2_000_000}
WEIGHTS = {'documents': 0.5, 'replay': 0.35, 'chats': 0.15}
BAR = 8_000_000
FAR = 1_000_000
FIRST_STEPS = 10
REPEATS = 10
PASSES = 5
BATCHES = 40


def seconds(function: Callable[[], object]) -> float:
  begin = time.perf_counter()
  function()
  return time.perf_counter() - begin


class Writer:
  """Texts of skewed lengths out of words that nobody knows."""

  def __init__(self):
    self._rng = random.Random(0)
    letters = 'abcdefghijklmnopqrstuvwxyz'
    self._words = [
      ''.join(self._rng.choices(letters, k=self._rng.randint(2, 9)))
      for _ in range(4000)
    ]

  def text(self, mean: float, spread: float) -> str:
    length = int(self._rng.lognormvariate(mean, spread)) + 1
    return ' '.join(self._rng.choices(self._words, k=length))

  def row(self, source: str) -> dict[str, object]:
    if source != 'chats':
      return {'text': self.text(6 if source == 'documents' else 6.5, 1)}
    roles = ['user', 'assistant'] * self._rng.randint(1, 3)
    return {
      'messages': [{'role': r, 'content': self.text(3.5, 0.7)} for r in roles]
    }


def write_corpus(path: pathlib.Path, writer: Writer) -> list[str]:
  """Writes a source that `path` names; returns some of its texts."""
  texts = []
  written = 0
  with open(path, 'w', encoding='utf-8') as f:
    while written < TOKENS[path.stem]:
      row = writer.row(path.stem)
      messages = row.get('messages')
      text = row['text'] if not messages else messages[-1]['content']
      line = json.dumps(row)
      written += 2 * line.count(' ')  # about two tokens a word
      f.write(line + '\n')
      if len(texts) < 100:
        texts.append(text)
  return texts


def mixture(sources: dict[str, data.PreparedSource]) -> data.Mixture:
  return data.Mixture(
    sources,
    WEIGHTS,
    seed=0,
    batch_size=BATCH_SIZE,
    n_batches=FAR + BATCHES,
  )


def prepare(root: pathlib.Path) -> dict[str, data.PreparedSource]:
  """Prepares all sources, and prints how fast that was."""
  writer = Writer()
  texts = [
    text
    for name in TOKENS
    for text in write_corpus(root / f'{name}.jsonl', writer)
  ]
  tokenizer = tokenizers.SentencePieceTokenizer(
    tokenizers.train_sentencepiece(texts, vocab_size=2000)
  )
  begin = time.perf_counter()
  sources = {
    name: data.prepare_source(
      [root / f'{name}.jsonl'], tokenizer, root / name, seq_len=SEQ_LEN
    )
    for name in TOKENS
  }
  took = time.perf_counter() - begin
  for name, source in sources.items():
    size = sum(
      (root / name / s['name']).stat().st_size for s in source.info['shards']
    )
    print(
      f'{name}: {source.info["tokens"]:,} tokens in {len(source)} sequences, '
      f'fill {source.info["fill"]:.2%}, {size / 2**20:.0f} MiB'
    )
  tokens = sum(s.info['tokens'] for s in sources.values())
  print(f'prepare (tokenise, pack, write): {tokens / took:,.0f} tokens/s')
  lengths = np.random.default_rng(0).lognormal(6, 1, 300_000).astype(int) + 1
  took = seconds(lambda: packing.pack(lengths, SEQ_LEN))
  print(f'packing alone: {lengths.sum() / took:,.0f} tokens/s')
  return sources


def measure_batches(sources: dict[str, data.PreparedSource]) -> None:
  mixed = mixture(sources)
  wall, cpu = [], []
  for begin in range(0, PASSES * BATCHES, BATCHES):
    wall_begin, cpu_begin = time.perf_counter(), time.process_time()
    for step in range(begin, begin + BATCHES):
      mixed.batch(step)
    wall.append(time.perf_counter() - wall_begin)
    cpu.append(time.process_time() - cpu_begin)
  delivered = BATCHES * BATCH_SIZE * SEQ_LEN
  rate = delivered / min(wall)
  print(
    f'batch(step), L = {SEQ_LEN}, B = {BATCH_SIZE}, one core: {rate:,.0f} '
    f'tokens/s, {rate / BAR:.1f} of the bar of {BAR:,}; '
    f'{delivered / min(cpu):,.0f} a second of CPU'
  )


def measure_first_batch(sources: dict[str, data.PreparedSource]) -> None:
  """Prints a ratio over several first steps: rows of a batch differ in size."""
  near, far = [], []
  for step in range(FIRST_STEPS):
    both = [], []
    for _ in range(REPEATS):
      for first, taken in zip((0, FAR), both, strict=True):
        taken.append(seconds(lambda s=first + step: mixture(sources).batch(s)))
    near.append(min(both[0]))
    far.append(min(both[1]))
  print(
    f'first batch at step {FAR:,} / at step 0: {sum(far) / sum(near):.2f} '
    f'({1e3 * sum(near) / len(near):.1f} ms at step 0, with the making of the '
    'mixture)'
  )


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments {argv[1:]}')
  if len(os.sched_getaffinity(0)) != 1:
    raise app.UsageError('tokens/s of one core: run it with `taskset -c 0`')
  with tempfile.TemporaryDirectory() as directory:
    sources = prepare(pathlib.Path(directory))
    measure_batches(sources)
    measure_first_batch(sources)


if __name__ == '__main__':
  app.run(main)
