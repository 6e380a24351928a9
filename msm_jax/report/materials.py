"""What the report shows beside numbers: loss curves, documents, answers."""

from collections.abc import Iterator
import dataclasses
import io
import json
import pathlib
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from msm_jax import storage
from msm_jax.report import experiment as experiment_lib

Json = dict[str, Any]

_CURVE_POINTS = 240
_TEXT_LIMIT = 1800  # characters
_ANSWERS = 2  # of each arm and suite


@dataclasses.dataclass(frozen=True)
class Curve:
  """The loss of one phase of one run.

  Attributes:
    run: Name of the run's folder.
    seed: The experiment's seed.
    phase: Name of the phase.
    updates: float64 [P], the optimizer update within the phase.
    losses: float64 [P], means over equal stretches of updates.
  """

  run: str
  seed: int
  phase: str
  updates: np.ndarray
  losses: np.ndarray


@dataclasses.dataclass(frozen=True)
class Materials:
  """Everything of a workdir that is shown as it is.

  Attributes:
    curves: Loss curves.
    documents: {corpus file: [{'genre', 'id', 'text'}]}.
    chats: [{'id', 'messages'}].
    answers: [{'seed', 'arm', 'prompt', 'answer'}].
    corpus: What the corpus's manifest says of it, or {}.
  """

  curves: tuple[Curve, ...]
  documents: dict[str, list[Json]]
  chats: list[Json]
  answers: list[Json]
  corpus: Json


def evaluation_dir(workdir: str | pathlib.Path, seed: int) -> str:
  """The published folder of a seed's `rows.parquet` and `samples.jsonl`."""
  return storage.join(workdir, f'seed{seed}', 'evaluation')


def collect(
  workdir: str | pathlib.Path, experiment: experiment_lib.Experiment
) -> Materials:
  """Reads what there is; nothing of it is required."""
  corpus = storage.join(workdir, f'seed{experiment.seeds[0]}', 'corpus')
  documents, chats = _corpus_samples(corpus)
  info: Json = {}
  if storage.exists(storage.join(corpus, storage.MANIFEST_NAME)):
    info = storage.read_manifest(corpus, kind='corpus').info
  return Materials(
    curves=tuple(_curves(workdir, experiment.seeds)),
    documents=documents,
    chats=chats,
    answers=_answers(workdir, experiment),
    corpus=info,
  )


def _curves(
  workdir: str | pathlib.Path, seeds: tuple[int, ...]
) -> Iterator[Curve]:
  for seed in seeds:
    home = storage.join(workdir, f'seed{seed}')
    for run in storage.list_dir(home):
      path = storage.join(home, run, 'metrics.jsonl')
      if not storage.exists(path):
        continue
      phases: dict[str, list[tuple[float, float]]] = {}
      for line in read_jsonl(path):
        if line.get('loss') is None or 'phase' not in line:
          continue
        update = float(line.get('update') or line.get('step') or 0)
        points = phases.setdefault(str(line['phase']), [])
        points.append((update, float(line['loss'])))
      for phase, points in phases.items():
        updates, losses = np.array(points, float).T
        parts = np.array_split(np.arange(len(losses)), _CURVE_POINTS)
        parts = [p for p in parts if len(p)]
        yield Curve(
          run,
          seed,
          phase,
          np.array([updates[p].mean() for p in parts]),
          np.array([losses[p].mean() for p in parts]),
        )


def _corpus_samples(corpus: str) -> tuple[dict[str, list[Json]], list[Json]]:
  """The first document of each genre of each file, and two conversations."""
  documents: dict[str, list[Json]] = {}
  chats: list[Json] = []
  for name in storage.list_dir(corpus):
    if not name.endswith('.parquet'):
      continue
    data = io.BytesIO(storage.read_bytes(storage.join(corpus, name)))
    table = pq.read_table(data)
    if 'messages' in table.column_names:
      chats += [
        {'id': r.get('id', ''), 'messages': r['messages']}
        for r in table.slice(0, 2).to_pylist()
      ]
    elif 'text' in table.column_names:
      columns = [c for c in ('id', 'genre', 'text') if c in table.column_names]
      first: dict[str, Json] = {}
      for row in table.select(columns).to_pylist():
        genre = row.get('genre') or 'document'
        if genre not in first:
          text, cut = row['text'][:_TEXT_LIMIT], len(row['text']) > _TEXT_LIMIT
          first[genre] = {
            'genre': genre,
            'id': row.get('id', ''),
            'text': text + ('…' if cut else ''),
          }
      documents[name.removesuffix('.parquet')] = [
        first[g] for g in sorted(first)
      ]
  return documents, chats


def _answers(
  workdir: str | pathlib.Path, experiment: experiment_lib.Experiment
) -> list[Json]:
  found = []
  for seed in experiment.seeds:
    path = storage.join(evaluation_dir(workdir, seed), 'samples.jsonl')
    if storage.exists(path):
      found += [{**line, 'seed': seed} for line in read_jsonl(path)]
  labels = {a.name: a.label for a in experiment.arms}
  shown: dict[str, int] = {}
  kept = []
  for answer in found:
    key = f'{answer.get("arm")}/{answer.get("suite")}'
    shown[key] = shown.get(key, 0) + 1
    if shown[key] <= _ANSWERS:
      kept.append(answer)
  for answer in kept:
    answer['label'] = labels.get(answer.get('arm', ''), answer.get('arm', '?'))
    for key in ('prompt', 'answer'):
      answer[key] = str(answer.get(key, ''))[:_TEXT_LIMIT]
  return kept


def read_jsonl(path: str) -> Iterator[Json]:
  """Yields the objects of a JSONL file.

  Raises:
    ValueError: Naming file and line of anything that is not an object.
  """
  for number, line in enumerate(storage.read_text(path).splitlines(), 1):
    if not line.strip():
      continue
    try:
      value = json.loads(line)
    except ValueError as e:
      raise ValueError(f'{path}:{number}: is not JSON: {e}') from e
    if not isinstance(value, dict):
      raise ValueError(f'{path}:{number}: is {value!r}, expected an object')
    yield value
