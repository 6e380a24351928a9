"""What a phase, or one batch of it, takes of each document, and its doses.

A *dose* is what the documents of one kind, say those about one trait, add up
to. Counts are of segments that are really drawn, so they are exact: a document
that is cut may be taken in part, and one that is repeated counts each time.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from msm_jax import progress
from msm_jax.data import mixture as mixture_lib
from msm_jax.data import prepared

NONE = '(none)'
"""The label of documents for which a column says nothing."""


@dataclasses.dataclass(frozen=True)
class Dose:
  """What some documents add up to.

  Attributes:
    tokens: Drawn from them, repeats included.
    loss_tokens: Those of them that are predicted.
    documents: Different documents of which anything is drawn.
  """

  tokens: int
  loss_tokens: int
  documents: int


Exposure = dict[str, np.ndarray]
"""Source to [D, 2] int64: tokens and loss tokens drawn of each document."""


def of_phase(mixture: mixture_lib.Mixture) -> Exposure:
  """Counts what the whole phase takes; reads every sequence that it takes."""
  return _count(mixture, {n: mixture.taken(n) for n in mixture.names})


def of_step(mixture: mixture_lib.Mixture, step: int) -> Exposure:
  """Counts what `batch(step)` takes."""
  taken = {
    name: np.zeros(len(mixture.source(name)), np.int64)
    for name in mixture.names
  }
  for source, sequence in mixture.rows(step):
    taken[mixture.names[source]][sequence] += 1
  return _count(mixture, taken)


def _count(
  mixture: mixture_lib.Mixture, taken: Mapping[str, np.ndarray]
) -> Exposure:
  sequences = sum(int(np.count_nonzero(times)) for times in taken.values())
  with progress.Progress('count', sequences, 'sequences') as bar:
    return {
      name: _count_source(mixture.source(name), times, bar)
      for name, times in taken.items()
    }


def _count_source(
  source: prepared.PreparedSource, taken: np.ndarray, bar: progress.Progress
) -> np.ndarray:
  totals = np.zeros((source.documents.num_rows, 2), np.int64)
  for index in np.flatnonzero(taken).tolist():
    record = source.record(index)
    segment_ids, trained = record.fields[2], record.fields[4] != 0
    bins = len(record.segments) + 1
    of_segments = np.stack(
      [
        np.bincount(segment_ids, minlength=bins)[1:],
        np.bincount(segment_ids[trained], minlength=bins)[1:],
      ],
      axis=1,
    )
    np.add.at(totals, record.segments[:, 0], taken[index] * of_segments)
    bar.advance(1)
  return totals


def total(exposure: Exposure) -> Dose:
  """Returns the dose of all documents together."""
  tokens, loss_tokens = sum(e.sum(axis=0) for e in exposure.values())
  documents = sum(np.count_nonzero(e[:, 0]) for e in exposure.values())
  return Dose(int(tokens), int(loss_tokens), int(documents))


def doses(
  mixture: mixture_lib.Mixture, exposure: Exposure, column: str
) -> dict[str, Dose]:
  """Breaks an exposure down by a column of `provenance.COLUMNS`.

  Returns:
    Label to its dose, sorted, `NONE` last; empty if no source has the column.
    A document with several labels, say two traits, counts fully for each.
  """
  if not any(column in mixture.source(n).provenance for n in mixture.names):
    return {}
  counts: dict[str, np.ndarray] = {}
  names: dict[str, str] = {}
  for name, counted in exposure.items():
    source = mixture.source(name)
    wanted = [column] if column != 'trait_ids' else [column, 'trait_names']
    known = source.documents.select(
      [c for c in wanted if c in source.provenance]
    )
    # A table without columns has no rows to speak of.
    rows = known.to_pylist() if known.num_columns else [{}] * len(counted)
    for row, (tokens, loss_tokens) in zip(rows, counted.tolist(), strict=True):
      names |= trait_names(row)
      if tokens:
        for label in _labels(row.get(column)):
          entry = counts.setdefault(label, np.zeros(3, np.int64))
          entry += (tokens, loss_tokens, 1)
  ordered = sorted(counts, key=lambda label: (label == NONE, label))
  return {
    with_name(label, names): Dose(*counts[label].tolist()) for label in ordered
  }


def _labels(value: str | list[str] | None) -> list[str]:
  """What a column says of a document, each label once."""
  values = value if isinstance(value, list) else [value or '']
  return list(dict.fromkeys(v for v in values if v)) or [NONE]


def trait_names(document: Mapping[str, Any]) -> dict[str, str]:
  """Returns trait id to name, where the input of a document had both."""
  ids = document.get('trait_ids') or []
  names = document.get('trait_names') or []
  return dict(zip(ids, names, strict=True)) if len(ids) == len(names) else {}


def with_name(trait_id: str, names: Mapping[str, str]) -> str:
  """Returns `id (name)`, or the id alone where there is no name."""
  return f'{trait_id} ({names[trait_id]})' if trait_id in names else trait_id
