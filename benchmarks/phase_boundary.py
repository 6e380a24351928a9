"""The pause between two phases of different shapes, in steps.

  nice python benchmarks/phase_boundary.py --repeats=5

Trains a run of two phases by `training.train`: the model of the quickstart
(0.60M parameters), batches of 12 × 288 tokens and then of 8 × 192, so that the
second phase has a program, a crossing, a loader and a schedule of its own.
Parameters go over the boundary, and moments with --moments. Every repeat
compiles all of it anew, without a cache. At the boundary a checkpoint is saved,
as always.

The pause is the time from the end of the last update of the first phase to the
end of the first update of the second, less the median time of an update of the
second. It is given in updates of the second phase, which are the shorter ones;
the bar is 1. Beside it is what the loop waited for meanwhile.
"""

import collections
from collections.abc import Callable
from collections.abc import Sequence
import json
import pathlib
import random
import statistics
import tempfile
import time
from typing import Any

from absl import app
from absl import flags
import jax
import ml_collections

from msm_jax import data
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.data.prefetch import Prefetcher
from msm_jax.training import loop
from msm_jax.training import metrics
from msm_jax.training import programs

_REPEATS = flags.DEFINE_integer('repeats', 5, 'How many runs.')
_UPDATES = flags.DEFINE_integer('updates', 60, 'Of each phase.')
_MOMENTS = flags.DEFINE_bool('moments', False, "Carry the optimizer's moments.")

SHAPES = {'first': (12, 288), 'second': (8, 192)}
VOCAB_SIZE = 2048


class Clock:
  """When each update ended, and what the loop waited for between them.

  Attributes:
    ends: Of each update, in seconds.
    waits: Of each update, what was waited for since the one before it.
  """

  def __init__(self):
    self.ends: list[float] = []
    self.waits: list[dict[str, float]] = []
    self._since = collections.Counter()

  def watch(self, owner: type, name: str, label: str) -> Callable[[], None]:
    """Times the calls of a method; returns what undoes it."""
    real = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
      begin = time.perf_counter()
      try:
        return real(*args, **kwargs)
      finally:
        self._since[label] += time.perf_counter() - begin

    setattr(owner, name, timed)
    return lambda: setattr(owner, name, real)

  def watch_updates(self) -> Callable[[], None]:
    """Takes an update to end when its record is written."""
    real = metrics.MetricsWriter.write

    def write(writer: metrics.MetricsWriter, record: dict[str, Any]) -> None:
      real(writer, record)
      self.ends.append(time.perf_counter())
      self.waits.append(dict(self._since))
      self._since.clear()

    metrics.MetricsWriter.write = write  # type: ignore[method-assign]
    return lambda: setattr(metrics.MetricsWriter, 'write', real)


WATCHED = (
  (loop.Trainer, '_save', 'checkpoint'),
  (loop.Trainer, '_enter', 'crossing'),
  (programs.Programs, 'step', 'program'),
  (Prefetcher, '__next__', 'batch'),
)


def make_sources(root: pathlib.Path) -> None:
  """Writes a tokenizer, and a source for each phase."""
  rng = random.Random(0)
  letters = 'abcdefghijklmnopqrstuvwxyz'
  words = [
    ''.join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(2000)
  ]
  texts = [
    ' '.join(rng.choices(words, k=int(rng.lognormvariate(4, 0.6)) + 1))
    for _ in range(1500)
  ]
  path = root / 'texts.jsonl'
  path.write_text(''.join(json.dumps({'text': t}) + '\n' for t in texts))
  model = tokenizers.train_sentencepiece(texts, vocab_size=VOCAB_SIZE)
  tokenizer = tokenizers.publish_tokenizer(root / 'tokenizer', model)
  for name, (_, seq_len) in SHAPES.items():
    data.prepare_source([path], tokenizer, root / name, seq_len=seq_len)


def config(root: pathlib.Path) -> training.RunConfig:
  phases = [
    {
      'name': name,
      'mixture': {name: 1.0},
      'seq_len': seq_len,
      'batch_size': batch_size,
      'updates': _UPDATES.value,
      'schedule': {'peak': 1e-3, 'warmup': 5, 'decay': 'cosine', 'final': 0.1},
    }
    for name, (batch_size, seq_len) in SHAPES.items()
  ]
  if _MOMENTS.value:
    phases[1]['optimizer_state'] = 'carry'
  raw = {
    'seed': 0,
    'model': {
      'vocab_size': VOCAB_SIZE,
      'd_model': 96,
      'n_layers': 4,
      'n_heads': 4,
      'n_kv_heads': 2,
      'head_dim': 24,
      'd_ff': 256,
      'attention': 'blocked',
    },
    'tokenizer': f'{root}/tokenizer',
    'sources': {name: {'path': f'{root}/{name}'} for name in SHAPES},
    'phases': tuple(map(ml_collections.ConfigDict, phases)),
    'checkpoint': {'every': 10**6, 'keep': 1},
    'loss_chunk': 96,
  }
  return training.load(ml_collections.ConfigDict(raw))


def measure(run: training.RunConfig, workdir: pathlib.Path) -> Clock:
  """Trains once, with nothing compiled before."""
  jax.clear_caches()
  clock = Clock()
  undo = [clock.watch(*watched) for watched in WATCHED]
  undo.append(clock.watch_updates())
  try:
    training.train(run, workdir)
  finally:
    for function in undo:
      function()
  return clock


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments {argv[1:]}')
  jax.config.update('jax_enable_compilation_cache', False)
  ratios = []
  with tempfile.TemporaryDirectory() as directory:
    root = pathlib.Path(directory)
    make_sources(root)
    run = config(root)
    for repeat in range(_REPEATS.value):
      clock = measure(run, root / f'run{repeat}')
      n = _UPDATES.value
      took = [b - a for a, b in zip(clock.ends, clock.ends[1:], strict=False)]
      first, second = took[: n - 1], took[n:]
      median = statistics.median(second)
      pause = took[n - 1] - median
      ratios.append(pause / median)
      waits = ', '.join(
        f'{label} {1e3 * seconds:.0f} ms'
        for label, seconds in clock.waits[n].items()
      )
      print(
        f'run {repeat}: updates of {1e3 * statistics.median(first):.0f} ms, '
        f'then {1e3 * median:.0f} ms; pause {1e3 * pause:.0f} ms = '
        f'{ratios[-1]:.2f} updates (waited for: {waits})',
        flush=True,
      )
  print(
    f'pause at the boundary / update: median {statistics.median(ratios):.2f}, '
    f'worst {max(ratios):.2f}; the bar is 1'
  )


if __name__ == '__main__':
  app.run(main)
