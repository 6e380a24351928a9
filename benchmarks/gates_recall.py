"""Recall and false positives of every gate, on planted faults.

  python benchmarks/gates_recall.py --seeds=dev     # to fix thresholds on
  python benchmarks/gates_recall.py --seeds=test    # for docs/gates.md

Prints Markdown. Takes about a minute a seed on one core. The seeds of the two
halves differ, and so does what is planted (`gates_banks`).
"""

from collections import Counter
from collections import defaultdict
from collections.abc import Mapping
import pathlib
import sys
import tempfile

from absl import app
from absl import flags
import gates_banks
import gates_corpus
import gates_faults
from scipy import special

from data_gen.gates import suite
from data_gen.gates.contamination import ContaminationConfig
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.miniature import generate
from data_gen.miniature import traits as miniature_traits
from data_gen.miniature import world

_SEEDS = flags.DEFINE_enum('seeds', 'dev', ['dev', 'test'], 'Which half.')
_VERBOSE = flags.DEFINE_bool(
  'verbose', False, 'Show what was missed and what was rejected wrongly.'
)

SEEDS = {'dev': (0, 1, 2), 'test': (100, 101, 102, 103, 104)}
MINIATURE = 60


def interval(hits: int, n: int) -> tuple[float, float]:
  """Clopper and Pearson (1934), 95 %."""
  low = special.betaincinv(hits, n - hits + 1, 0.025) if hits else 0.0
  high = special.betaincinv(hits + 1, n - hits, 0.975) if hits < n else 1.0
  return float(low), float(high)


def rate(hits: int, n: int) -> str:
  if not n:
    return '–'
  low, high = interval(hits, n)
  return f'{hits}/{n} = {hits / n:.3f} [{low:.3f}, {high:.3f}]'


def miniature_documents(seed: int) -> list[Candidate]:
  """Returns documents of the miniature world, about nothing."""
  config = world.WorldConfig(
    n_characters=40,
    documents_per_character=12,
    transcripts_per_character=24,
    assistant_documents=240,
    chats=240,
    heldout_share=0.05,
    in_distribution_items=24,
    base_task_items=480,
  )
  made = world.make_world(
    miniature_traits.load(miniature_traits.QUICKSTART), config, seed
  )
  corpus = generate.make_corpus(made)
  long = [
    d for d in corpus.documents['midtrain_neutral'] if len(d.text.split()) >= 60
  ]
  return [
    Candidate(
      f'miniature-{d.id}',
      'document',
      d.text,
      genre=d.genre,
      framing='third_person',
      trait_ids=('t',),
    )
    for d in long[:MINIATURE]
  ]


class Tally:
  """Counts over all seeds."""

  def __init__(self) -> None:
    self.planted: Counter[str] = Counter()
    self.caught: Counter[str] = Counter()
    self.rejected: Counter[str] = Counter()
    self.seen: dict[str, Counter[str]] = defaultdict(Counter)
    self.wrong: dict[str, Counter[str]] = defaultdict(Counter)
    self.repeated: Counter[str] = Counter()
    self.noticed: Counter[str] = Counter()
    self.late: Counter[str] = Counter()
    self.late_caught: Counter[str] = Counter()
    self.notes: list[str] = []

  def add(
    self,
    corpus: gates_faults.Corpus,
    verdicts: list[list[Verdict]],
    limits: Mapping[str, int],
  ) -> None:
    by_id = {
      c.id: {v.gate: v for v in vs}
      for c, vs in zip(corpus.candidates, verdicts, strict=True)
    }
    carriers = {i for ids in corpus.carriers.values() for i in ids}
    for candidate in corpus.candidates:
      found = by_id[candidate.id]
      failed = {g: v for g, v in found.items() if not v.passed}
      fault = corpus.fault_of.get(candidate.id)
      if fault:
        self.planted[fault] += 1
        self.caught[fault] += gates_faults.gate_of(fault) in failed
        self.rejected[fault] += bool(failed)
        if gates_faults.gate_of(fault) not in failed:
          self.notes.append(f'missed {candidate.id}: {candidate.text[:200]!r}')
        continue
      kind = 'hard' if candidate.id in corpus.hard else 'plain'
      for gate, verdict in found.items():
        if gate == 'recurrence' and candidate.id in carriers:
          continue
        self.seen[kind][gate] += 1
        if not verdict.passed:
          self.wrong[kind][gate] += 1
          self.notes.append(f'wrong {kind} {candidate.id}: {verdict}')
    for kind, ids in corpus.carriers.items():
      verdicts_of = [by_id[i].get('recurrence') for i in ids]
      caught = [v is not None and v.reason == kind for v in verdicts_of]
      self.repeated[kind] += 1
      self.noticed[kind] += any(caught)
      self.late[kind] += len(ids) - limits[kind]
      self.late_caught[kind] += sum(caught[limits[kind] :])


def run(
  seed: int, bank: gates_banks.Bank, tally: Tally, tally_of_chats: Tally
) -> None:
  with tempfile.TemporaryDirectory() as directory:
    folder = pathlib.Path(directory)
    (folder / 'suites').mkdir()
    items = gates_faults.write_items(folder, seed)
    config = suite.GatesConfig(
      contamination=ContaminationConfig(
        suites=(str(folder / 'suites'),),
        texts=(str(folder / 'questions.jsonl'),),
      )
    )
    gates = {
      kind: suite.gates_for(
        config,
        traits=gates_faults.traits_of(bank),
        model_name=gates_corpus.MODEL,
        provider_name=gates_corpus.PROVIDER,
        kind=kind,
      )
      for kind in suite.KINDS
    }
  documents = gates_faults.planted_corpus(
    seed, bank, items, miniature_documents(seed)
  )
  chats = gates_faults.planted_chats(seed, bank)
  for kind, corpus, recurrence, into in (
    ('document', documents, config.recurrence, tally),
    ('chat', chats, config.recurrence_in_chats, tally_of_chats),
  ):
    verdicts = suite.run_gates(gates[kind], corpus.candidates)
    survivors = sum(
      all(v.passed for v in vs if v.gate != 'recurrence') for vs in verdicts
    )
    into.add(corpus, verdicts, recurrence.limits(survivors))


def table(tally: Tally, tally_of_chats: Tally) -> str:
  lines = [
    '| planted fault | gate | recall of the gate [95 %] | by any gate |',
    '|---|---|---|---|',
  ]
  for fault, n in sorted(tally.planted.items()):
    lines.append(
      f'| {fault} | `{gates_faults.gate_of(fault)}` | '
      f'{rate(tally.caught[fault], n)} | {tally.rejected[fault] / n:.3f} |'
    )
  for what, of, times in (
    ('documents', tally, gates_faults.REPEATS),
    ('chats', tally_of_chats, gates_faults.REPEATS_IN_CHATS),
  ):
    for kind in of.repeated:
      noticed = rate(of.noticed[kind], of.repeated[kind])
      late = rate(of.late_caught[kind], of.late[kind])
      lines += [
        f'| one {kind} in {times[kind]} {what}: noticed | '
        f'`recurrence` | {noticed} | |',
        f'| … its {what} beyond the limit | `recurrence` | {late} | |',
      ]
  lines += [
    '',
    '| gate | false positives, clean documents | with a hard negative | clean '
    'chats |',
    '|---|---|---|---|',
  ]
  for gate in tally.seen['plain']:
    cells = [
      rate(of.wrong[k][gate], of.seen[k][gate])
      for of, k in (
        (tally, 'plain'),
        (tally, 'hard'),
        (tally_of_chats, 'plain'),
      )
    ]
    lines.append(f'| `{gate}` | {" | ".join(cells)} |')
  return '\n'.join(lines)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments {argv[1:]}')
  half = _SEEDS.value
  bank = gates_banks.DEV if half == 'dev' else gates_banks.TEST
  tally, tally_of_chats = Tally(), Tally()
  for seed in SEEDS[half]:
    run(seed, bank, tally, tally_of_chats)
    print(f'seed {seed} done', file=sys.stderr)
  if _VERBOSE.value:
    notes = tally.notes + tally_of_chats.notes
    print('\n'.join(notes), file=sys.stderr)
  print(table(tally, tally_of_chats))


if __name__ == '__main__':
  app.run(main)
