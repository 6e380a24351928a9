"""How fast `prepare` and `batch(step)` are, and whether the step matters.

  python benchmarks/batch_throughput.py

Prepares a synthetic source at L = 4096 on the local disk and prints, for one
process: tokens/s of packing and writing, tokens/s of `batch(step)`, and the
ratio of the first batch at step 1,000,000 to the first batch at step 0, each in
a fresh mixture, which a restart after a million steps pays. The ratio is near 1
where nothing is replayed. Numbers compare runs on one machine, not machines.
"""

from collections.abc import Callable
import json
import pathlib
import random
import statistics
import tempfile
import time

from absl import app
import numpy as np

from msm_jax import data
from msm_jax import tokenizers
from msm_jax.data import packing

SEQ_LEN = 4096
BATCH_SIZE = 16
TOKENS = 4_000_000
FAR = 1_000_000
REPEATS = 15
BATCHES = 40


def seconds(function: Callable[[], object]) -> float:
  begin = time.perf_counter()
  function()
  return time.perf_counter() - begin


def write_corpus(path: pathlib.Path) -> list[str]:
  """Writes documents of skewed lengths; returns some of their texts."""
  rng = random.Random(0)
  letters = 'abcdefghijklmnopqrstuvwxyz'
  words = [
    ''.join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(4000)
  ]
  texts = []
  written = 0
  with open(path, 'w', encoding='utf-8') as f:
    while written < TOKENS:
      length = int(rng.lognormvariate(6, 1)) + 1
      text = ' '.join(rng.choices(words, k=length))
      written += 2 * length  # about two tokens a word
      f.write(json.dumps({'text': text}) + '\n')
      if len(texts) < 200:
        texts.append(text)
  return texts


def first_batch(source: data.PreparedSource, step: int) -> float:
  mixture = data.Mixture(
    {'source': source},
    {'source': 1.0},
    seed=0,
    batch_size=BATCH_SIZE,
    n_batches=FAR + BATCHES,
  )
  return seconds(lambda: mixture.batch(step))


def main(argv: list[str]) -> None:
  del argv
  with tempfile.TemporaryDirectory() as directory:
    root = pathlib.Path(directory)
    texts = write_corpus(root / 'corpus.jsonl')
    tokenizer = tokenizers.SentencePieceTokenizer(
      tokenizers.train_sentencepiece(texts, vocab_size=2000)
    )
    prepare_seconds = seconds(
      lambda: data.prepare_source(
        [root / 'corpus.jsonl'], tokenizer, root / 'source', seq_len=SEQ_LEN
      )
    )
    source = data.PreparedSource.open(root / 'source')
    lengths = np.random.default_rng(0).lognormal(6, 1, 300_000).astype(int) + 1
    pack_seconds = seconds(lambda: packing.pack(lengths, SEQ_LEN))

    near, far = [], []
    for _ in range(REPEATS):
      near.append(first_batch(source, 0))
      far.append(first_batch(source, FAR))
    mixture = data.Mixture(
      {'source': source},
      {'source': 1.0},
      seed=0,
      batch_size=BATCH_SIZE,
      n_batches=BATCHES,
    )
    batch_seconds = seconds(lambda: [mixture.batch(i) for i in range(BATCHES)])

    tokens = source.info['tokens']
    per_batch = BATCH_SIZE * SEQ_LEN
    print(f'source: {tokens:,} tokens, fill {source.info["fill"]:.2%}')
    print(
      f'prepare (tokenise, pack, write): {tokens / prepare_seconds:,.0f} '
      'tokens/s'
    )
    print(f'packing alone: {lengths.sum() / pack_seconds:,.0f} tokens/s')
    print(
      f'batch(step), L = {SEQ_LEN}, B = {BATCH_SIZE}: '
      f'{BATCHES * per_batch / batch_seconds:,.0f} tokens/s'
    )
    ratio = statistics.median(far) / statistics.median(near)
    print(f'first batch at step {FAR:,} / at step 0: {ratio:.2f}')


if __name__ == '__main__':
  app.run(main)
