"""Memory of `prepare`, of a corpus that is larger than what it may take.

  nice python benchmarks/prepare_memory.py --megabytes=400 --workers=1

Writes a corpus of documents (JSONL, about 2,000 characters each, words that
nobody knows), prepares a quarter of it and then all, each in a process of its
own, and prints for each process the peak of its resident memory. Files that are
mapped count as resident while the system has memory to spare, so what only this
process holds (anonymous memory) stands beside it: that is what has to be there.
What all of it takes more than a quarter is what grows with a corpus: what is
known of left-overs, and of sequences.
"""

from collections.abc import Sequence
import multiprocessing
import os
import pathlib
import random
import tempfile
import threading
import time

from absl import app
from absl import flags

from msm_jax import data
from msm_jax import tokenizers

_MEGABYTES = flags.DEFINE_integer('megabytes', 400, 'Size of the corpus.')
_WORKERS = flags.DEFINE_integer('workers', 1, 'See `prepare`.')
_ROWS = flags.DEFINE_integer('rows_per_part', 16384, 'See `prepare`.')

SEQ_LEN = 2048
CHARACTERS = 2000


def write_corpus(path: pathlib.Path, n_bytes: int) -> list[str]:
  """Writes documents; returns some of their texts."""
  rng = random.Random(0)
  letters = 'abcdefghijklmnopqrstuvwxyz'
  words = [
    ''.join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(4000)
  ]
  # Long stretches, so that writing them takes no longer than reading.
  stretches = [' '.join(rng.choices(words, k=60)) for _ in range(2000)]
  texts: list[str] = []
  with open(path, 'w', encoding='utf-8') as f:
    while f.tell() < n_bytes:
      count = max(1, int(rng.lognormvariate(1.6, 0.7)))
      text = '. '.join(rng.choices(stretches, k=count))
      f.write('{"text": "' + text + '"}\n')
      if len(texts) < 300:
        texts.append(text)
  return texts


class Watch(threading.Thread):
  """Looks every now and then at the memory of this process and its children."""

  def __init__(self):
    super().__init__(daemon=True)
    self.stop = threading.Event()
    self.peak: dict[int, dict[str, int]] = {}

  def run(self) -> None:
    while not self.stop.wait(0.05):
      pids = [
        os.getpid(),
        *(p.pid for p in multiprocessing.active_children() if p.pid),
      ]
      for pid in pids:
        for key, value in status(pid).items():
          peak = self.peak.setdefault(pid, {})
          peak[key] = max(peak.get(key, 0), value)


def status(pid: int) -> dict[str, int]:
  """Returns bytes of resident memory, all and anonymous."""
  try:
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
  except (FileNotFoundError, ProcessLookupError):
    return {}
  fields = dict(line.split(':', 1) for line in text.splitlines())
  return {
    key: int(fields[key].split()[0]) * 1024
    for key in ('VmRSS', 'RssAnon')
    if key in fields
  }


def prepare(
  corpus: pathlib.Path, tokenizer: str, workers: int, rows_per_part: int
) -> None:
  """Prepares a corpus, in a process of its own, and prints what it took."""
  before = status(os.getpid())['RssAnon']
  watch = Watch()
  watch.start()
  begin = time.monotonic()
  info = data.prepare_source(
    [corpus],
    tokenizers.load_tokenizer(tokenizer),
    corpus.with_suffix(''),
    seq_len=SEQ_LEN,
    rows_per_part=rows_per_part,
    workers=workers,
  ).info
  took = time.monotonic() - begin
  watch.stop.set()
  watch.join()
  print(
    f'{corpus.stat().st_size / 1e6:.0f} MB, {info["documents"]:,} documents in '
    f'{info.get("parts", 1)} parts, {info["tokens"] / 1e6:.0f} million tokens, '
    f'{info["tokens"] / took / 1e6:.2f} million tokens/s, fill '
    f'{info["fill"]:.2%}, {info.get("left_over_sequences", 0)} of '
    f'{info["sequences"]} sequences of left-overs'
  )
  for i, peak in enumerate(watch.peak.values()):
    print(
      f'  process {i}: {peak["VmRSS"] / 2**20:.0f} MiB resident, '
      f'{peak["RssAnon"] / 2**20:.0f} MiB its own'
      + (f', {before / 2**20:.0f} before it began' if i == 0 else ''),
      flush=True,
    )


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments {argv[1:]}')
  n_bytes = _MEGABYTES.value * 10**6
  with tempfile.TemporaryDirectory() as directory:
    root = pathlib.Path(directory)
    texts = write_corpus(root / 'quarter.jsonl', n_bytes // 4)
    write_corpus(root / 'whole.jsonl', n_bytes)
    model = tokenizers.train_sentencepiece(texts, vocab_size=2000)
    tokenizers.publish_tokenizer(root / 'tokenizer', model)
    for name in ('quarter', 'whole'):
      process = multiprocessing.get_context('spawn').Process(
        target=prepare,
        args=(
          root / f'{name}.jsonl',
          str(root / 'tokenizer'),
          _WORKERS.value,
          _ROWS.value,
        ),
      )
      process.start()
      process.join()
      if process.exitcode:
        raise RuntimeError(f'{name}: ended with {process.exitcode}')


if __name__ == '__main__':
  app.run(main)
