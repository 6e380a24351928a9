"""Doses of a phase and of a step, against a count of every batch."""

import collections
import json
import pathlib
import random
import subprocess
import sys

from byte_tokenizer import ByteTokenizer
import numpy as np
from prepared_sources import prepare
from prepared_sources import write_chats
from prepared_sources import write_documents
from prepared_sources import write_jsonl
import pytest

from msm_jax import data
from msm_jax import schema
from msm_jax import tokenizers
from msm_jax.data import dose
from msm_jax.data import exposure

NAMES = {f'{i:016x}': f'trait_{i}' for i in range(4)}
STEPS = 40


def describe_rows(path: str, seed: int) -> str:
  """Adds traits (none, one or several), masked prefixes and a genre."""
  rng = random.Random(seed)
  rows = []
  for line in pathlib.Path(path).read_text(encoding='utf-8').splitlines():
    row = json.loads(line)
    ids = rng.sample(list(NAMES), rng.choice([0, 1, 1, 2]))
    row |= {'trait_ids': ids, 'trait_names': [NAMES[i] for i in ids]}
    row['genre'] = rng.choice(['blog', 'email', 'paper', None])
    if 'text' in row and rng.random() < 0.5:
      row['masked_prefix'] = min(5, len(row['text']))
    rows.append(row)
  return write_jsonl(pathlib.Path(path), rows)


@pytest.fixture(scope='module')
def prepared(tmp_path_factory) -> pathlib.Path:
  """Documents and chats that say what they are about, and some that do not."""
  directory = tmp_path_factory.mktemp('prepared')
  lengths = np.random.default_rng(0).integers(5, 200, 120).tolist()
  docs = write_documents(directory / 'docs.jsonl', lengths)
  chats = write_chats(directory / 'chats.jsonl', 60)
  replay = write_documents(directory / 'replay.jsonl', [70] * 30, prefix='r')
  paths = {
    'docs': describe_rows(docs, 0),
    'chats': describe_rows(chats, 1),
    'replay': replay,
  }
  texts = pathlib.Path(docs).read_text(encoding='utf-8').splitlines()
  tokenizer = tokenizers.publish_tokenizer(
    directory / 'tokenizer',
    tokenizers.train_sentencepiece(texts, vocab_size=320),
  )
  for name, path in paths.items():
    data.prepare_source([path], tokenizer, directory / name, seq_len=64)
    data.prepare_source(
      [path], ByteTokenizer(), directory / f'{name}-bytes', seq_len=64
    )
  return directory


@pytest.fixture(scope='module')
def mixture(prepared) -> data.Mixture:
  sources = {
    name: data.PreparedSource.open(prepared / f'{name}-bytes')
    for name in ('docs', 'chats', 'replay')
  }
  weights = {'docs': 0.5, 'chats': 0.3, 'replay': 0.2}
  return data.Mixture(sources, weights, seed=5, batch_size=8, n_batches=STEPS)


def rows_by_id(directory: pathlib.Path) -> dict[str, dict]:
  found = {}
  for name in ('docs', 'chats', 'replay'):
    text = (directory / f'{name}.jsonl').read_text(encoding='utf-8')
    found |= {r['id']: r for r in map(json.loads, text.splitlines())}
  return found


def count_batches(mixture, steps, rows):
  """{column: {label: (tokens, loss tokens, documents)}}, segment by segment."""
  tokens: dict = collections.defaultdict(collections.Counter)
  loss: dict = collections.defaultdict(collections.Counter)
  seen: dict = collections.defaultdict(lambda: collections.defaultdict(set))
  for step in steps:
    batch = mixture.batch(step)
    for index, origin in enumerate(mixture.origins(step)):
      for segment, document, _ in origin.segments:
        at = batch['segment_ids'][index] == segment
        row = rows[document]
        for column, labels in (
          ('trait_ids', row.get('trait_ids') or ['(none)']),
          ('genre', [row.get('genre') or '(none)']),
          ('all', ['all']),
        ):
          for label in labels:
            tokens[column][label] += int(at.sum())
            loss[column][label] += int(batch['loss_weights'][index][at].sum())
            seen[column][label].add(document)
  return {
    column: {
      label: (tokens[column][label], loss[column][label], len(documents))
      for label, documents in labels.items()
    }
    for column, labels in seen.items()
  }


def as_tuples(doses) -> dict:
  return {
    label.split(' ')[0]: (d.tokens, d.loss_tokens, d.documents)
    for label, d in doses.items()
  }


def test_the_doses_of_a_phase_are_those_of_all_its_batches(mixture, prepared):
  epochs = [s.epochs for s in mixture.report().sources]
  assert max(epochs) > 1 > min(epochs), 'both repeats and a part are tested'
  expected = count_batches(mixture, range(STEPS), rows_by_id(prepared))
  counted = exposure.of_phase(mixture)
  for column in ('trait_ids', 'genre'):
    doses = exposure.doses(mixture, counted, column)
    assert as_tuples(doses) == expected[column]
  whole = exposure.total(counted)
  (all_of_it,) = as_tuples({'all': whole}).values()
  assert all_of_it == expected['all']['all']


@pytest.mark.parametrize('step', [0, 17, STEPS - 1])
def test_the_doses_of_a_step_are_those_of_its_batch(mixture, prepared, step):
  expected = count_batches(mixture, [step], rows_by_id(prepared))
  counted = exposure.of_step(mixture, step)
  for column in ('trait_ids', 'genre'):
    doses = exposure.doses(mixture, counted, column)
    assert as_tuples(doses) == expected[column]
  by_source = {
    name: tuple(counted[name].sum(axis=0).tolist()) for name in mixture.names
  }
  assert by_source == mixture.counts(step)


def test_a_phase_takes_each_sequence_as_often_as_its_batches_hold_it(mixture):
  held = collections.Counter(
    row for step in range(STEPS) for row in mixture.rows(step)
  )
  for index, name in enumerate(mixture.names):
    taken = mixture.taken(name)
    assert len(taken) == len(mixture.source(name))
    assert taken.tolist() == [held[index, i] for i in range(len(taken))]


def test_a_row_that_a_batch_holds_twice_counts_twice(tmp_path):
  path = write_documents(tmp_path / 'a.jsonl', [64, 64])
  rows = [json.loads(p) for p in pathlib.Path(path).read_text().splitlines()]
  # One of them names its trait twice, which is no second document.
  rows[0]['trait_ids'], rows[1]['trait_ids'] = ['a', 'a'], ['b']
  source = prepare(tmp_path, 's', write_jsonl(tmp_path / 'a.jsonl', rows))
  m = data.Mixture({'s': source}, {'s': 1.0}, seed=0, batch_size=6, n_batches=2)
  doses = exposure.doses(m, exposure.of_step(m, 1), 'trait_ids')
  assert as_tuples(doses) == {'a': (192, 192, 1), 'b': (192, 192, 1)}


def test_traits_have_their_names_and_none_comes_last(mixture):
  labels = list(
    exposure.doses(mixture, exposure.of_phase(mixture), 'trait_ids')
  )
  assert labels == [*(f'{i} ({n})' for i, n in NAMES.items()), '(none)']


def test_a_column_that_no_source_has_gives_no_doses(mixture):
  counted = exposure.of_step(mixture, 0)
  assert exposure.doses(mixture, counted, 'variant') == {}


def write_config(prepared) -> tuple[pathlib.Path, dict]:
  raw = {
    'seed': 3,
    'tokenizer': str(prepared / 'tokenizer'),
    'sources': {
      n: {'path': str(prepared / n)} for n in ('docs', 'chats', 'replay')
    },
    'phases': [
      {
        'name': 'midtrain',
        'mixture': {'docs': 0.7, 'replay': 0.1, 'chats': 0.2},
        'seq_len': 64,
        'batch_size': 8,
        'updates': 20,
        'tokens': None,
        'max_epochs': None,
      }
    ],
  }
  file = prepared / 'config.py'
  file.write_text(
    'from ml_collections import ConfigDict\n\n\ndef get_config():\n'
    f'  return ConfigDict({raw!r})\n'
  )
  return file, raw


def run(module, prepared, *flags):
  file, _ = write_config(prepared)
  return subprocess.run(
    [sys.executable, '-m', module, f'--config={file}', *flags],
    capture_output=True,
    text=True,
    check=False,
  )


def printed_doses(lines: list[str], column: str) -> dict:
  """The table below a column's name."""
  start = next(i for i, p in enumerate(lines) if p.startswith(column))
  table = {}
  for line in lines[start + 1 :]:
    if not line.strip() or line.startswith('Documents'):
      break
    label, *_ = line.split()
    tokens, loss_tokens, _, documents = line.replace(',', '').split()[-4:]
    table[label] = (int(tokens), int(loss_tokens), int(documents))
  return table


@pytest.mark.parametrize('step', [None, 7])
def test_the_command_prints_the_doses(prepared, step):
  flags = [] if step is None else [f'--step={step}']
  done = run('msm_jax.data.dose', prepared, '--phase=midtrain', *flags)
  assert done.returncode == 0, done.stderr
  _, raw = write_config(prepared)
  m = data.mixture_for_phase(data.load_config(raw), 0)
  steps = range(20) if step is None else [step]
  expected = count_batches(m, steps, rows_by_id(prepared))
  lines = done.stdout.splitlines()
  tokens, loss_tokens, documents = expected['all']['all']
  assert f'{tokens:,} tokens, {loss_tokens:,} loss tokens' in lines[0]
  assert lines[0].endswith(f'{documents:,} documents')
  for column in ('trait_ids', 'genre'):
    assert printed_doses(lines, column) == expected[column]
  assert 'count fully for each' in done.stdout


@pytest.mark.parametrize(
  ('phase', 'step', 'by', 'needle'),
  [
    ('midtrian', None, 'genre', "did you mean 'midtrain'?"),
    ('midtrain', 20, 'genre', '--step=20: .* steps 0 … 19'),
    ('midtrain', -1, 'genre', '--step=-1: .* steps 0 … 19'),
    ('midtrain', None, 'trait_id', "--by: .*did you mean 'trait_ids'?"),
  ],
)
def test_what_does_not_exist_is_refused(prepared, phase, step, by, needle):
  _, raw = write_config(prepared)
  with pytest.raises(schema.ConfigError, match=needle.replace('?', r'\?')):
    list(dose.describe(data.load_config(raw), phase, step, [by]))


def test_the_command_says_what_is_wrong_in_one_line(prepared):
  done = run('msm_jax.data.dose', prepared, '--phase=midtrian')
  assert done.returncode == 1
  (line,) = done.stderr.splitlines()
  assert line.startswith('dose: ')


def test_a_column_that_no_source_has_is_said_so(prepared):
  _, raw = write_config(prepared)
  config = data.load_config(raw)
  *_, last = dose.describe(config, 'midtrain', 0, ['variant'])
  assert last == (
    'variant: no source of this phase was prepared with this column'
  )


def test_show_names_the_traits_of_each_document(prepared):
  done = run('msm_jax.data.show', prepared, '--phase=midtrain', '--step=3')
  assert done.returncode == 0, done.stderr
  _, raw = write_config(prepared)
  m = data.mixture_for_phase(data.load_config(raw), 0)
  rows = rows_by_id(prepared)
  shown = 0
  for origin in m.origins(3)[:4]:
    for segment, document, _ in origin.segments:
      start = f'[{segment}] {document}'
      (line, *_) = [
        p
        for p in done.stdout.splitlines()
        if p.startswith((f'{start} (', f'{start}, '))
      ]
      ids = rows[document].get('trait_ids', [])
      about = ', '.join(f'{i} ({NAMES[i]})' for i in ids)
      assert line.endswith(f' about {about}' if ids else ' tokens)')
      shown += bool(ids)
  assert shown
