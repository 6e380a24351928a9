"""How fast the gates are, as ratios to what they must reach.

  nice python benchmarks/gates.py                # per-document gates
  nice python benchmarks/gates.py --near=50000   # also near-duplicates

Documents have about 500 words. Seconds are CPU seconds of this process; of
several passes the best counts, since other work on the machine slows the rest.
A ratio of 1 just reaches the bar:
2,000 documents/s/core for all gates but near-duplicates together, 120 s and
4 GiB for near-duplicates among 50,000 documents.
"""

from collections.abc import Sequence
import pathlib
import resource
import tempfile
import time

from absl import app
from absl import flags
import gates_banks
import gates_corpus
import gates_faults

from data_gen.gates import suite
from data_gen.gates import views
from data_gen.gates.contamination import ContaminationConfig
from data_gen.gates.each import EachGate
from data_gen.gates.near_duplicates import NearDuplicateGate
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Gate

_DOCUMENTS = flags.DEFINE_integer('documents', 2000, 'For the first table.')
_NEAR = flags.DEFINE_integer('near', 0, 'Documents for near-duplicates.')

WORDS = 460  # about 500 come out
REPEATS = 5
BAR = 2000.0
NEAR_SECONDS = 120.0
NEAR_BYTES = 4 * 2**30
NEAR_DOCUMENTS = 50_000


def make_gates(folder: pathlib.Path) -> list[Gate]:
  (folder / 'suites').mkdir()
  gates_faults.write_items(folder, 0)
  config = suite.GatesConfig(
    contamination=ContaminationConfig(
      suites=(str(folder / 'suites'),),
      texts=(str(folder / 'questions.jsonl'),),
    )
  )
  return suite.gates_for(
    config,
    traits=gates_faults.traits_of(gates_banks.DEV),
    model_name=gates_corpus.MODEL,
    provider_name=gates_corpus.PROVIDER,
    kind='document',
  )


def seconds(gate: Gate, candidates: Sequence[Candidate]) -> float:
  """CPU seconds of one gate, whose texts nobody has taken apart before."""
  views.forget()
  begin = time.process_time()
  gate.check(candidates)
  return time.process_time() - begin


def report_speed(gates: Sequence[Gate], corpus: Sequence[Candidate]) -> None:
  n = len(corpus)
  each = [g for g in gates if isinstance(g, EachGate)]
  fast = [g for g in gates if not isinstance(g, NearDuplicateGate)]
  print('| gate, alone | µs/document |\n|---|---|')
  for gate in gates:
    print(f'| `{gate.name}` | {seconds(gate, corpus) / n * 1e6:.0f} |')
  for what, chosen in (
    ('gates that judge each document by itself', each),
    ('all gates but near-duplicates', fast),
  ):
    took = []
    for _ in range(REPEATS):
      views.forget()
      begin = time.process_time()
      suite.run_gates(chosen, corpus)
      took.append(time.process_time() - begin)
    speed = n / min(took)
    print(
      f'{what}: {speed:,.0f} documents/s/core, {speed / BAR:.2f} of the bar'
    )


def report_near(gate: Gate, n: int) -> None:
  # Documents of 500 words, made of a tenth as many: making them takes longer
  # than comparing them. Every other one is a copy with one sentence in three
  # from somewhere else, at a similarity far below the threshold.
  base = gates_corpus.clean_corpus(1, n // 10, int(1.18 * WORDS))
  corpus = []
  for i in range(n):
    one = base[i % len(base)].text.split('. ')
    other = base[(7 * i + i // len(base) + 1) % len(base)].text.split('. ')
    mixed = [
      (one if (j + i // len(base)) % 3 else other)[j]
      for j in range(min(len(one), len(other)))
    ]
    corpus.append(Candidate(str(i), 'document', '. '.join(mixed)))
  words = sum(len(c.text.split()) for c in corpus) / n
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  begin = time.process_time()
  verdicts = gate.check(corpus)
  took = time.process_time() - begin
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  rejected = sum(not v.passed for v in verdicts)
  scaled = NEAR_SECONDS * n / NEAR_DOCUMENTS
  print(
    f'near-duplicates: {n:,} documents of {words:.0f} words, {took:.1f} s of '
    f'CPU ({scaled / took:.2f} of the bar), peak {peak / 2**30:.2f} GiB of '
    f'which {before / 2**30:.2f} before ({NEAR_BYTES / peak:.2f} of the bar), '
    f'{rejected:,} rejected'
  )


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments {argv[1:]}')
  with tempfile.TemporaryDirectory() as directory:
    gates = make_gates(pathlib.Path(directory))
  corpus = gates_corpus.clean_corpus(0, _DOCUMENTS.value, WORDS)
  words = sum(len(c.text.split()) for c in corpus) / len(corpus)
  print(f'{len(corpus):,} documents of {words:.0f} words\n')
  report_speed(gates, corpus)
  if _NEAR.value:
    near = next(g for g in gates if isinstance(g, NearDuplicateGate))
    report_near(near, _NEAR.value)


if __name__ == '__main__':
  app.run(main)
